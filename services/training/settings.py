"""Settings of the training room, from `MARKETML_TRAINING_*`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.host import ClusterSettings, SettingsError


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(ClusterSettings):
    """Jobs and neighbours.

    `jobs_count` jobs run at once, `queued_jobs_count` may wait, and one that `attempts_count` workers
    died with has failed. A worker computes with `job_threads_count` threads; without it the cores that
    this process may use are shared among the jobs. It fits what can be fitted at once in
    `job_processes_count` processes, which share these threads, or on the Dask cluster of
    `dask_scheduler`. What a job has done is kept below `checkpoints_folder` until it has ended; servers
    of one database may share it. What its workers logged can be read until `log_retention_seconds` after
    its end.
    """

    address: str = "127.0.0.1:50053"
    database_url: str = "sqlite:///.run/training/training.sqlite"
    checkpoints_folder: Path = Path(".run/training/checkpoints")

    jobs_count: int = 1
    queued_jobs_count: int = 100
    attempts_count: int = 3
    job_threads_count: int | None = None
    job_processes_count: int = 1
    lease_seconds: float = 15.0  # on PostgreSQL, how long the jobs of a server that vanished wait for another
    measures_host_at_start: bool = True  # for forecasts, some seconds; else when the first one is asked for
    heartbeat_seconds: float = 5.0  # of a watch in which nothing happens
    request_retention_seconds: float = 7 * 86_400.0  # how long a repeated request finds its first answer
    log_retention_seconds: float = 30 * 86_400.0
    neighbour_retry_seconds: float = 60.0  # how long a job waits for a room or cluster that does not answer

    data_target: str = "127.0.0.1:50051"
    features_target: str = "127.0.0.1:50052"
    registry_target: str = "127.0.0.1:50054"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heartbeat_seconds >= self.stream_deadline_seconds:
            raise SettingsError(
                f"heartbeat_seconds must be below stream_deadline_seconds: {self.heartbeat_seconds!r}."
            )
