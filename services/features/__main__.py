"""Start the features room: `python -m services.features`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from marketml.features.v1 import features_pb2
from marketml.rpc.channels import Tls
from services.features.application import FeaturesApplication
from services.features.budget import MemoryBudget
from services.features.cache import Cache
from services.features.memory import keep_between_chunks
from services.features.neighbours import DataRoom
from services.features.pieces import Pool
from services.features.pool import LocalPool
from services.features.servicer import FeaturesServicer
from services.features.settings import FeaturesSettings
from services.features.vectors import Vectors
from services.host import (
    Metrics,
    Room,
    SettingsError,
    explained_start,
    read_settings,
    serve,
    with_cluster,
)


def build(settings: FeaturesSettings) -> Room:
    """The room, ready to be served.

    Raises
    ------
    SettingsError
        A TLS file cannot be read.
    """
    tls = None
    if settings.neighbour_tls:
        tls = Tls(
            settings.neighbour_tls_authority, settings.neighbour_tls_certificate, settings.neighbour_tls_key
        )
    try:
        data = DataRoom(settings.data_target, tls)
    except OSError as error:
        raise SettingsError(
            f"neighbour_tls_authority, …_certificate or …_key cannot be read: {error.strerror}."
        ) from None
    pool = _pool(settings)
    application = FeaturesApplication(
        data,
        MemoryBudget(settings.work_memory_bytes),
        time.monotonic,
        Cache(settings.folder / "cache", settings.cache_bytes),
        pool,
        Vectors(settings.vectors_bytes),
    )

    @asynccontextmanager
    async def with_pool() -> AsyncIterator[None]:
        yield
        await data.leave_loop()
        await asyncio.to_thread(pool.shutdown)

    service = features_pb2.DESCRIPTOR.services_by_name["FeatureService"]
    return Room(
        "features", ((service, FeaturesServicer(application)),), lifespan=with_pool, metrics=Metrics()
    )


def _pool(settings: FeaturesSettings) -> Pool:
    if settings.dask_scheduler is None:
        return LocalPool(settings.folder / "work", settings.workers_count)
    from services.features.dask_pool import DaskPool  # a second of imports

    return DaskPool(settings.dask_scheduler, settings.dask_patience_seconds)


def main() -> int:
    """Serve until SIGTERM; the exit status."""
    keep_between_chunks()
    with explained_start("features"):
        settings = with_cluster(read_settings(FeaturesSettings, "features"))
        room = build(settings)
    return serve(room, settings)


if __name__ == "__main__":
    sys.exit(main())
