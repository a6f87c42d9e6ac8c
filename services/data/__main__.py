"""Start the data room: `python -m services.data`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from marketml.data.v1 import data_pb2
from services.data.application import DataApplication, Limits
from services.data.collection.ccxt_exchange import Access
from services.data.collection.dump_files import ImportFolder
from services.data.servicer import DataServicer
from services.data.settings import DataSettings, venue_urls
from services.data.snapshots.files import SnapshotFiles
from services.data.store import PolicyStore, RepairStore, SeriesStore, SnapshotStore
from services.host import Room, explained_start, migrate_room, read_settings, revision_asked, serve
from services.host.database import Database, open_database

MIGRATIONS = Path(__file__).with_name("migrations")


def build(settings: DataSettings, database: Database, clock: Callable[[], int]) -> Room:
    """The room, ready to be served; `clock` is microseconds since 1970 UTC."""
    application = DataApplication(
        SeriesStore(database, settings.cache_bytes),
        SnapshotStore(database),
        PolicyStore(database, settings.open_interest_lags),
        RepairStore(database),
        SnapshotFiles(settings.folder / "snapshots"),
        clock,
        Limits(
            ingest_rows_max=settings.ingest_rows_count,
            ingest_bytes_max=settings.ingest_bytes,
            query_rows_max=settings.query_rows_count,
            query_seconds=settings.query_seconds,
            open_interest_lags=settings.open_interest_lags,
            request_memory_seconds=settings.request_memory_seconds,
            sweep_grace_seconds=settings.sweep_grace_seconds,
            collection_runs_max=settings.collection_runs_count if settings.runs_policies else 0,
            collection_lease_seconds=settings.collection_lease_seconds,
        ),
        ImportFolder(settings.import_folder) if settings.import_folder else None,
        Access(
            urls=venue_urls(settings.exchange_urls),
            proxy=settings.exchange_proxy,
            attempts_count=settings.exchange_attempts_count,
            request_seconds=settings.exchange_request_seconds,
            backoff_seconds=settings.exchange_backoff_seconds,
            wait_seconds_max=settings.exchange_wait_seconds,
        ),
    )
    service = data_pb2.DESCRIPTOR.services_by_name["DataService"]
    return Room("data", ((service, DataServicer(application)),), lifespan=application.background)


def main(arguments: Sequence[str] = ()) -> int:
    """Serve until SIGTERM; the exit status."""
    revision = revision_asked("data", arguments)
    with explained_start("data"):
        settings = read_settings(DataSettings, "data")
        if revision is not None:
            return migrate_room("data", settings.database_url, MIGRATIONS, revision)
        database = open_database(settings.database_url, migrations=MIGRATIONS)
    with database:
        return serve(build(settings, database, lambda: time.time_ns() // 1000), settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
