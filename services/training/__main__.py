"""Start the training room: `python -m services.training`."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from marketml.training.v1 import training_pb2
from services.host import Metrics, Room, explained_start, read_settings, serve
from services.host.database import Database, open_database
from services.training.application import TrainingApplication
from services.training.feeds import Feeds
from services.training.neighbours import Endpoints, Neighbours
from services.training.servicer import TrainingServicer
from services.training.settings import TrainingSettings
from services.training.store import Store
from services.training.supervisor import Crew, Supervisor

MIGRATIONS = Path(__file__).with_name("migrations")
WORKER = (sys.executable, "-m", "services.training.worker")
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def build(
    settings: TrainingSettings, database: Database, rooms: Neighbours, command: tuple[str, ...] = WORKER
) -> Room:
    """The room, ready to be served; `command` starts a worker."""
    store = Store(database)
    feeds = Feeds(store.events_after, settings.heartbeat_seconds)
    crew = Crew(
        command=command,
        jobs_count=settings.jobs_count,
        threads_count=settings.job_threads_count or max(1, cores_count() // settings.jobs_count),
        attempts_count=settings.attempts_count,
        lease_seconds=settings.lease_seconds,
        neighbours={**asdict(endpoints(settings)), "retry_seconds": settings.neighbour_retry_seconds},
        retention_seconds=settings.request_retention_seconds,
    )
    supervisor = Supervisor(store, crew, feeds.publish)
    application = TrainingApplication(store, supervisor, feeds, rooms, settings.queued_jobs_count)
    service = training_pb2.DESCRIPTOR.services_by_name["TrainingService"]
    return Room(
        "training",
        ((service, TrainingServicer(application)),),
        lifespan=application.background,
        endless=frozenset({"WatchTraining"}),
        metrics=Metrics(),
    )


def endpoints(settings: TrainingSettings) -> Endpoints:
    """Where the neighbours are."""
    files = {
        "authority": settings.neighbour_tls_authority,
        "certificate": settings.neighbour_tls_certificate,
        "key": settings.neighbour_tls_key,
    }
    tls = {name: path and str(path.absolute()) for name, path in files.items()}
    return Endpoints(
        settings.data_target,
        settings.features_target,
        settings.registry_target,
        tls if settings.neighbour_tls else None,
    )


def cores_count() -> int:
    """Cores that this process may use: those it is bound to, and no more than its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CPU_QUOTA.read_text().split()
        return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores


def main() -> int:
    """Serve until SIGTERM; the exit status."""
    with explained_start("training"):
        settings = read_settings(TrainingSettings, "training")
        database = open_database(settings.database_url, migrations=MIGRATIONS)
    with database, closing(Neighbours(endpoints(settings))) as rooms:
        return serve(build(settings, database, rooms), settings)


if __name__ == "__main__":
    sys.exit(main())
