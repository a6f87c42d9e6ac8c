"""The environment of the processes that this room starts: without its settings, with as many threads as they
may use."""

from __future__ import annotations

import os
from pathlib import Path

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def worker_environment(threads_count: int) -> dict[str, str]:
    """What a worker sees: this server's settings hold what it must not know."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MARKETML_")}
    ours = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (ours, kept.get("PYTHONPATH", "")) if part)
    passive = {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": path}
    return kept | dict.fromkeys(_THREADS, str(threads_count)) | passive
