"""What a process needs that serves another one over pipes and must not outlive it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO

_PR_SET_PDEATHSIG = 1
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends, however it ends. Elsewhere than
    on Linux the end of stdin has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def take_stdout() -> BinaryIO:
    """The pipe to the parent, taken away from libraries that print."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def child_environment(threads_count: int) -> dict[str, str]:
    """A child's: with so many threads, and without the settings of this process, which it must not know."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MARKETML_")}
    ours = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (ours, kept.get("PYTHONPATH", "")) if part)
    threads = dict.fromkeys(_THREADS, str(threads_count))
    return kept | threads | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": path}
