"""Settings of the data room, read from `MARKETML_DATA_*`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.host.settings import ServerSettings, SettingsError

LAG_MS_MAX = 24 * 3600 * 1000


@dataclass(frozen=True, kw_only=True)
class DataSettings(ServerSettings):
    """Where the rows lie, and what one call may take."""

    address: str = "127.0.0.1:50051"
    folder: Path = Path(".run/data")  # snapshots
    database_url: str = "sqlite:///.run/data/data.sqlite"

    import_folder: Path | None = None  # exchange dumps that callers may name; None reads no files
    open_interest_lag_ms: int = 0  # open interest is known this long after its observation
    ingest_rows_count: int = 5_000_000  # of one call
    ingest_bytes: int = 1024**3  # of all calls under way
    query_rows_count: int = 10_000_000  # of one answer
    query_seconds: float = 600.0  # from a query's begin to its last row
    cache_bytes: int = 256 * 1024**2  # blocks kept in memory, in the form in which they are sent
    request_memory_seconds: float = 7 * 86_400.0  # how long a request_id is remembered
    sweep_grace_seconds: float = 3600.0  # how old a file without a snapshot must be to be removed

    def __post_init__(self) -> None:
        if not 0 <= self.open_interest_lag_ms <= LAG_MS_MAX:
            raise SettingsError(
                f"open_interest_lag_ms must be from 0 to {LAG_MS_MAX}: {self.open_interest_lag_ms}."
            )
        super().__post_init__()
