"""Where jobs run of which somebody is killed: in a worker, in fitters of its own, on a Dask cluster."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.dask_cluster import DaskCluster, dask_cluster
from tests.support.servers import RoomProcess
from tests.training.conftest import Neighbourhood

ATTEMPTS = 5
CALLERS = ("client", "client and server")  # killed around the call that starts the job
ALWAYS = ("worker", "server", "watcher", *CALLERS)
VICTIMS = {
    "alone": ALWAYS,
    "fitters": (*ALWAYS, "fitter"),
    "cluster": (*ALWAYS, "dask worker", "dask scheduler"),
}
_MODULES = {"worker": "services.training.worker", "fitter": "services.training.workshop.fitter"}


@dataclass
class Place:
    """A training room that is killed and comes back, beside rooms that stay; and its cluster."""

    neighbourhood: Neighbourhood
    folder: Path
    settings: dict[str, object]
    cluster: DaskCluster | None = None
    room: RoomProcess = field(init=False)

    def __post_init__(self) -> None:
        self.start("127.0.0.1:0")

    def start(self, address: str) -> None:
        """Start the room, and wait until it serves."""
        environment = {} if self.cluster is None else {"MARKETML_DASK_SCHEDULER": self.cluster.address}
        settings = self.neighbourhood.settings() | self.settings | {"address": address}
        self.room = RoomProcess(
            "training", self.folder, environment=environment, attempts_count=ATTEMPTS, **settings
        )
        self.room.wait_ready()

    def restart(self) -> None:
        """Kill the room, if nobody has, and have it again where those who watch look for it."""
        address = self.room.target
        self.room.kill()
        self.start(address)

    def kill(self, victim: str, job_id: str, moments: random.Random, is_over: Callable[[], bool]) -> bool:
        """Kill it and have everything running afterwards; whether there was one before the job was over."""
        match victim:
            case "server":
                self.restart()
            case "watcher":
                self._kill_watcher(job_id)
            case "dask worker":
                assert self.cluster is not None
                self.cluster.replace_worker(moments.randrange(len(self.cluster.workers)))
            case "dask scheduler":
                assert self.cluster is not None
                self.cluster.replace_scheduler()
            case _:
                while not (found := self.processes(victim)):
                    if is_over():
                        return False
                with suppress(psutil.NoSuchProcess):
                    moments.choice(found).kill()
        return True

    def processes(self, kind: str) -> list[psutil.Process]:
        """Workers, or fitters, that the room has."""
        found = []
        for process in self.room.descendants():
            with suppress(psutil.NoSuchProcess):
                if _MODULES[kind] in process.cmdline():
                    found.append(process)
        return found

    def logs(self) -> str:
        """What all rooms that hear of a call wrote."""
        return self.room.log() + self.neighbourhood.logs()

    def checkpoints(self) -> list[Path]:
        """What is kept for jobs."""
        return list((self.folder / ".run" / "training" / "checkpoints").glob("*"))

    def _kill_watcher(self, job_id: str) -> None:
        watcher = subprocess.Popen(
            [sys.executable, "-m", "marketml.cli.main", "train", "watch", job_id, "--json"],
            env=os.environ | {"MARKETML_ENDPOINT_TRAINING": self.room.target},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with watcher:
            assert watcher.stdout is not None
            watcher.stdout.readline()
            watcher.kill()


@contextmanager
def places(neighbourhood: Neighbourhood, folder: Path) -> Iterator[Callable[[str], Place]]:
    """Gives the place of a name, which is started when it is asked for first."""
    with ExitStack() as ends:
        open_ones: dict[str, Place] = {}

        def place(name: str) -> Place:
            if name not in open_ones:
                (folder / name).mkdir()
                cluster = ends.enter_context(dask_cluster(folder / name)) if name == "cluster" else None
                settings: dict[str, object] = {"job_threads_count": 2}
                if name == "fitters":
                    settings["job_processes_count"] = 2
                made = open_ones[name] = Place(neighbourhood, folder / name, settings, cluster)
                ends.callback(_stop_room, made)
            return open_ones[name]

        yield place


def _stop_room(place: Place) -> None:
    place.room.stop()  # the last one that was started
