"""A Dask cluster of processes of its own: a scheduler and workers, on free ports.

with dask_cluster(tmp_path, workers_count=2) as cluster:
    cluster.address                      # tcp://127.0.0.1:…
    cluster.workers[0].kill()
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.support.programs import ROOT, dying_with_us
from tests.support.waiting import eventually

START_SECONDS_MAX = 60.0


@dataclass(frozen=True)
class DaskCluster:
    """The scheduler's address, and the processes."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: tuple[subprocess.Popen[bytes], ...]


@contextmanager
def dask_cluster(folder: Path, workers_count: int = 2) -> Iterator[DaskCluster]:
    """Start it and wait until the workers are there; their log is `dask.log` in `folder`."""
    found = folder / "scheduler.json"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    started: list[subprocess.Popen[bytes]] = []
    log_path = folder / "dask.log"
    with log_path.open("ab") as log:
        try:
            options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(found))
            started.append(_started("dask_scheduler", options, folder, environment, log))
            address = eventually(lambda: _address(found), START_SECONDS_MAX, "the scheduler's address")
            for number in range(workers_count):
                options = (address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", f"w{number}")
                started.append(_started("dask_worker", options, folder, environment, log))
            eventually(
                lambda: log_path.read_text(errors="replace").count("Registered to:") >= workers_count,
                START_SECONDS_MAX,
                "the workers of the cluster",
            )
            yield DaskCluster(address, started[0], tuple(started[1:]))
        finally:
            for process in reversed(started):
                process.kill()
                process.wait()


def _started(
    module: str, options: tuple[str, ...], folder: Path, environment: Mapping[str, str], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    command = [*dying_with_us("KILL"), sys.executable, "-m", f"distributed.cli.{module}", *options]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def _address(found: Path) -> str:
    try:
        return str(json.loads(found.read_text())["address"])
    except (OSError, ValueError):
        return ""
