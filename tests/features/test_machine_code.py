"""Compiled code is kept apart by the state of the sources it was compiled from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.programs import ROOT

SCRIPT = "import services.features, numba; print(numba.config.CACHE_DIR)"


def cache_of(folder: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.strip()


def test_a_change_of_what_is_compiled_into_another_function_has_a_cache_of_its_own(tmp_path: Path):
    shutil.copytree(ROOT / "services", tmp_path / "services", ignore=shutil.ignore_patterns("__pycache__"))
    before = cache_of(tmp_path)
    assert before.startswith(str(tmp_path))
    assert cache_of(tmp_path) == before
    sums = tmp_path / "services" / "features" / "rolling" / "sums.py"
    sums.write_text(sums.read_text() + "\n")
    assert cache_of(tmp_path) != before


def test_a_cache_that_the_operator_names_is_taken(tmp_path: Path):
    assert cache_of(ROOT, NUMBA_CACHE_DIR=str(tmp_path)) == str(tmp_path)
