"""The command as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    """Of this process, without settings of the platform."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MARKETML_")}
    return inherited | {"PYTHONPATH": str(ROOT)} | more


def start(
    *arguments: str, cwd: Path, stdout: IO[Any] | int = subprocess.PIPE, **variables: str
) -> subprocess.Popen[str]:
    """Start `marketml ARGUMENTS`."""
    return subprocess.Popen(
        [sys.executable, "-m", "marketml.cli.main", *arguments],
        cwd=cwd,
        env=environment(**variables),
        stdout=stdout,
        stderr=subprocess.STDOUT if stdout is not subprocess.PIPE else subprocess.PIPE,
        text=True,
    )


def run(
    *arguments: str, cwd: Path, seconds: float = 120, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `marketml ARGUMENTS` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "marketml.cli.main", *arguments],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
