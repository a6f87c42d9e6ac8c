"""A store with a supervisor whose workers are real processes that follow a script."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

import services.training
from services.host.database import open_database
from services.training.config import fill_config
from services.training.crew.checkpoint_folders import CheckpointFolders
from services.training.crew.supervisor import Crew, Supervisor
from services.training.jobs import Draft, Event, Job, JobState, Tree
from services.training.store import Store
from tests.support.waiting import eventually

MIGRATIONS = Path(services.training.__file__).with_name("migrations")
COMMAND = (sys.executable, "-m", "tests.training.scripted_worker")


def filled_config(**more: Any) -> Tree:
    """A config with every default filled in."""
    filled, violations = fill_config({"dataset": {"snapshot_id": "0" * 64}, **more}, {})
    assert not violations
    return filled


def crew(checkpoints: Path, **changes: Any) -> Crew:
    values: dict[str, Any] = {
        "command": COMMAND,
        "jobs_count": 1,
        "threads_count": 1,
        "attempts_count": 3,
        "lease_seconds": 15.0,
        "neighbours": {},
        "retention_seconds": 86_400.0,
        "checkpoints": CheckpointFolders(checkpoints),
        "log_retention_seconds": 86_400.0,
    }
    return Crew(**values | changes)


class Crewed:
    """A running supervisor and its store."""

    def __init__(self, store: Store, supervisor: Supervisor, published: list[Event]) -> None:
        self.store = store
        self.supervisor = supervisor
        self.published = published

    def queue(self, script: str, **config: Any) -> str:
        draft = Draft(script, filled_config(**config), 1)
        job, _ = self.store.start_job("", b"", draft, 1000)
        self.supervisor.wake()
        return job.job_id

    def until(self, job_id: str, *states: JobState, seconds: float = 30.0) -> Job:
        """Wait until the job is in one of the states."""

        def reached() -> Job | None:
            job = self.store.get(job_id)
            return job if job.state in states else None

        return eventually(reached, seconds, f"{states} of {self.store.get(job_id)}")

    def details(self, job_id: str) -> list[Tree]:
        return [json.loads(event.detail) for event in self.store.events_after(job_id, 0, 100_000)]

    def metrics(self, job_id: str, name: str) -> list[float]:
        told = [detail["metric"] for detail in self.details(job_id) if "metric" in detail]
        return [metric["value"] for metric in told if metric["name"] == name]

    def worker(self, job_id: str) -> psutil.Process:
        """The newest worker of a job, once it has told its process id."""
        attempt = self.store.get(job_id).attempt
        pids = eventually(
            lambda: len(found := self.metrics(job_id, "pid")) >= attempt and found, 30, "the worker's word"
        )
        return psutil.Process(int(pids[-1]))


@contextmanager
def crewed(store: Store, checkpoints: Path | None = None, **changes: Any) -> Iterator[Crewed]:
    """Run a supervisor over a store; when it is closed no worker is left. Workers keep what they have done
    below `checkpoints`, or in a folder that goes with the supervisor."""
    published: list[Event] = []
    with tempfile.TemporaryDirectory() as folder:
        supervisor = Supervisor(store, crew(checkpoints or Path(folder), **changes), published.extend)
        supervisor.start()
        try:
            yield Crewed(store, supervisor, published)
        finally:
            supervisor.close()
            assert not workers()


def workers() -> list[psutil.Process]:
    """The scripted workers of this process that are there."""
    return [child for child in psutil.Process().children() if "scripted_worker" in _words(child)]


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@contextmanager
def sqlite_store(folder: Path) -> Iterator[Store]:
    with open_database(f"sqlite:///{folder}/training.sqlite", migrations=MIGRATIONS) as database:
        yield Store(database)
