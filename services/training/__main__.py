"""Start the training room: `python -m services.training`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from marketml.training.v1 import training_pb2
from services.host import (
    Metrics,
    Room,
    SettingsError,
    explained_start,
    migrate_room,
    read_settings,
    revision_asked,
    serve,
    with_cluster,
)
from services.host.database import Database, open_database
from services.training.application import TrainingApplication
from services.training.crew.checkpoint_folders import CheckpointFolders
from services.training.crew.supervisor import Crew, Supervisor
from services.training.feeds import Feeds
from services.training.forecasting.cost_meter import CostMeter
from services.training.forecasting.cost_store import CostStore
from services.training.forecasting.planner import Planner
from services.training.job_metrics import JobMetrics
from services.training.jobs import Event
from services.training.machine import host_key
from services.training.neighbours import Endpoints, Neighbours
from services.training.servicer import TrainingServicer
from services.training.settings import TrainingSettings
from services.training.store import Store

MIGRATIONS = Path(__file__).with_name("migrations")
WORKER = (sys.executable, "-m", "services.training.worker")
COST_WORKER = (sys.executable, "-m", "services.training.forecasting.cost_worker")
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
        checkpoints=CheckpointFolders(settings.checkpoints_folder),
        processes_count=settings.job_processes_count,
        dask_scheduler=settings.dask_scheduler,
        log_retention_seconds=settings.log_retention_seconds,
    )
    metrics = Metrics()
    counted = JobMetrics(metrics.registry)

    def publish(events: Sequence[Event]) -> None:
        counted.count(events)
        feeds.publish(events)

    supervisor = Supervisor(store, crew, publish)
    counted.watch_workers(supervisor.workers_count)
    threads_each = max(1, crew.threads_count // crew.processes_count)
    meter = CostMeter(CostStore(database), host_key(cores_count(), threads_each), COST_WORKER, threads_each)
    planner = Planner(
        store,
        rooms,
        meter,
        threads_each,
        crew.processes_count,
        is_on_cluster=settings.dask_scheduler is not None,
        measures_at_start=settings.measures_host_at_start,
    )
    application = TrainingApplication(store, supervisor, feeds, rooms, planner, settings.queued_jobs_count)
    service = training_pb2.DESCRIPTOR.services_by_name["TrainingService"]
    return Room(
        "training",
        ((service, TrainingServicer(application)),),
        lifespan=application.background,
        endless=frozenset({"WatchTraining", "ReproduceModel"}),
        metrics=metrics,
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


def main(arguments: Sequence[str] = ()) -> int:
    """Serve until SIGTERM; the exit status."""
    revision = revision_asked("training", arguments)
    with explained_start("training"):
        settings = with_cluster(read_settings(TrainingSettings, "training"))
        if revision is not None:
            return migrate_room("training", settings.database_url, MIGRATIONS, revision)
        try:
            CheckpointFolders(settings.checkpoints_folder).prepare()
        except OSError as error:
            raise SettingsError(f"checkpoints_folder cannot be made: {error.strerror}.") from None
        try:
            rooms = Neighbours(endpoints(settings))
        except OSError as error:
            raise SettingsError(
                f"neighbour_tls names a file that cannot be read: {error.strerror}."
            ) from None
        database = open_database(settings.database_url, migrations=MIGRATIONS)
    with database, closing(rooms):
        return serve(build(settings, database, rooms), settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
