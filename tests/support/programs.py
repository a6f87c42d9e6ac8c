"""Programs that tests need and Python does not bring. Where one is absent its tests skip and say so; where
`CI=true` promises all of them, that is a failure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = (ROOT / ".tools" / "bin", ROOT / ".venv" / "bin", Path.home() / "go" / "bin")


def find_program(name: str) -> str | None:
    """The path of a program: on the PATH, in the project's own folders, or in Go's."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, _FOLDERS)))


def need_program(name: str) -> str:
    """The path of a program; without it the test is skipped, or fails with `CI=true`."""
    return find_program(name) or skip_or_fail(f"{name} is not installed (make tools).")


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test that runs now; with `CI=true` fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def dying_with_us(signal: str) -> list[str]:
    """The start of a command line whose process gets `signal` when the test process dies, however it dies.

    The kernel watches the thread that starts the process: start it from a thread that outlives it.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", signal] if setpriv else []
