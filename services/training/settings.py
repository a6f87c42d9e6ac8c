"""Settings of the training room, from `MARKETML_TRAINING_*`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.host import ServerSettings, SettingsError


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(ServerSettings):
    """Jobs and neighbours.

    `jobs_count` jobs run at once, `queued_jobs_count` may wait, and one that `attempts_count` workers died
    with has failed. A worker computes with `job_threads_count` threads; without it the cores that this
    process may use are shared among the jobs.
    """

    address: str = "127.0.0.1:50053"
    database_url: str = "sqlite:///.run/training/training.sqlite"

    jobs_count: int = 1
    queued_jobs_count: int = 100
    attempts_count: int = 3
    job_threads_count: int | None = None
    lease_seconds: float = 15.0  # on PostgreSQL, how long the jobs of a server that vanished wait for another
    heartbeat_seconds: float = 5.0  # of a watch in which nothing happens
    request_retention_seconds: float = 7 * 86_400.0  # how long a repeated request finds its first answer
    neighbour_retry_seconds: float = 60.0  # how long a job waits for a room that does not answer

    data_target: str = "127.0.0.1:50051"
    features_target: str = "127.0.0.1:50052"
    registry_target: str = "127.0.0.1:50054"
    neighbour_tls: bool = False
    neighbour_tls_authority: Path | None = None  # PEM; None trusts the system's authorities
    neighbour_tls_certificate: Path | None = None
    neighbour_tls_key: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heartbeat_seconds >= self.stream_deadline_seconds:
            raise SettingsError(
                f"heartbeat_seconds must be below stream_deadline_seconds: {self.heartbeat_seconds!r}."
            )
        if (self.neighbour_tls_certificate is None) != (self.neighbour_tls_key is None):
            raise SettingsError("neighbour_tls_certificate and neighbour_tls_key must be given together.")
        if not self.neighbour_tls and (self.neighbour_tls_authority or self.neighbour_tls_certificate):
            raise SettingsError("neighbour_tls must be true when files for it are given.")
