"""`python -m services.registry`: the registry room on its port."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from inference import open_inference_pb2
from marketml.registry.v1 import registry_pb2
from services.host import Metrics, Room, explained_start, migrate_room, read_settings, revision_asked, serve
from services.host.database import Database, open_database
from services.registry.application import RegistryApplication
from services.registry.background import background
from services.registry.blobs import Blobs
from services.registry.inference_servicer import InferenceServicer
from services.registry.memory import Memory
from services.registry.servicer import RegistryServicer
from services.registry.serving import Serving
from services.registry.settings import RegistrySettings
from services.registry.store import MIGRATIONS, ConfigStore, ModelStore


def build_room(settings: RegistrySettings, database: Database) -> Room:
    """The room, ready to be served."""
    models, configs = ModelStore(database), ConfigStore(database)
    blobs, memory = Blobs(settings.folder), Memory(settings.loaded_bytes)
    serving = Serving(models, blobs, memory, configs.read(), now=_now, timer=time.perf_counter)
    application = RegistryApplication(models, configs, blobs, memory, serving, now=_now)
    return Room(
        "registry",
        services=(
            (
                registry_pb2.DESCRIPTOR.services_by_name["RegistryService"],
                RegistryServicer(application, serving),
            ),
            (
                open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"],
                InferenceServicer(serving),
            ),
        ),
        lifespan=background(
            application,
            _now,
            refresh_seconds=settings.refresh_seconds,
            sweep_seconds=settings.sweep_interval_seconds,
            grace_seconds=settings.leftover_grace_seconds,
            retention_seconds=settings.request_id_retention_seconds,
        ),
        metrics=Metrics(),
    )


def _now() -> datetime:
    return datetime.now(UTC)


def main(arguments: Sequence[str] = ()) -> int:
    """Serve until told to stop; returns the exit status."""
    revision = revision_asked("registry", arguments)
    with explained_start("registry"):
        settings = read_settings(RegistrySettings, "registry")
        if revision is not None:
            return migrate_room("registry", settings.database_url, MIGRATIONS, revision)
        database = open_database(settings.database_url, migrations=MIGRATIONS)
        room = build_room(settings, database)
    with database:
        return serve(room, settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
