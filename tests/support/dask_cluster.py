"""A Dask cluster of processes of its own: a scheduler and workers, on free ports.

with dask_cluster(tmp_path, workers_count=2) as cluster:
    cluster.address                      # tcp://127.0.0.1:…
    cluster.workers[0].kill()
    cluster.replace_worker(1)            # kill it and start another, as who deploys workers does
    cluster.replace_scheduler()
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support.programs import ROOT, dying_with_us
from tests.support.waiting import eventually

START_SECONDS_MAX = 60.0


class DaskCluster:
    """The scheduler's address, and the processes; their log is `dask.log` in `folder`.

    They die with the thread that started them.
    """

    def __init__(self, folder: Path, workers_count: int, log: IO[bytes]) -> None:
        self.address = ""
        self._folder = folder
        self._log = log
        self._found = folder / "scheduler.json"
        self._begun_count = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start_scheduler("0")
        self.workers: list[subprocess.Popen[bytes]] = []
        self._workers_count = workers_count

    def wait_ready(self) -> None:
        """Start the workers once the scheduler has an address, and wait until all have met it."""
        self.address = self._find_address()
        self.workers = [self._start_worker() for _ in range(self._workers_count)]
        path = self._folder / "dask.log"
        eventually(
            lambda: path.read_text(errors="replace").count("Registered to:") >= self._begun_count,
            START_SECONDS_MAX,
            "the workers of the cluster",
        )

    def replace_worker(self, number: int) -> None:
        """Kill a worker, and start another in its place."""
        _end(self.workers[number])
        self.workers[number] = self._start_worker()

    def replace_scheduler(self) -> None:
        """Kill the scheduler, without which its workers end, and start all of them again, at its address."""
        _end(self.scheduler)
        for worker in self.workers:
            _end(worker)
        self._found.unlink()
        self.scheduler = self._start_scheduler(self.address.rpartition(":")[2])
        assert self._find_address() == self.address
        self.workers = [self._start_worker() for _ in self.workers]

    def close(self) -> None:
        """Kill what is left."""
        for process in reversed(self._processes):
            _end(process)

    def _start_scheduler(self, port: str) -> subprocess.Popen[bytes]:
        options = ("--host", "127.0.0.1", "--port", port, "--scheduler-file", str(self._found))
        return self._start("dask_scheduler", *options)

    def _start_worker(self) -> subprocess.Popen[bytes]:
        self._begun_count += 1
        name = f"w{self._begun_count}"
        return self._start("dask_worker", self.address, "--nthreads", "1", "--no-nanny", "--name", name)

    def _start(self, module: str, *options: str) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-m", f"distributed.cli.{module}", *options, "--no-dashboard"]
        started = subprocess.Popen(
            [*dying_with_us("KILL"), *program],
            cwd=self._folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
            stdout=self._log,
            stderr=self._log,
        )
        self._processes.append(started)
        return started

    def _find_address(self) -> str:
        return eventually(lambda: _address(self._found), START_SECONDS_MAX, "the scheduler's address")


@contextmanager
def dask_cluster(folder: Path, workers_count: int = 2) -> Iterator[DaskCluster]:
    """Start it and wait until the workers are there."""
    with (folder / "dask.log").open("ab") as log:
        cluster = DaskCluster(folder, workers_count, log)
        try:
            cluster.wait_ready()
            yield cluster
        finally:
            cluster.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _address(found: Path) -> str:
    try:
        return str(json.loads(found.read_text())["address"])
    except (OSError, ValueError):
        return ""
