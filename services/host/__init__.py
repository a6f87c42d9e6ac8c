"""What every server shares. A room is built in its `__main__` and served by one call:

    with explained_start("data"):  # or one sentence that says what cannot be used
        settings = read_settings(DataSettings, "data")  # a ServerSettings subclass, read from MARKETML_DATA_*
        metrics = Metrics()  # rooms register their own counters in metrics.registry
        application = DataApplication(Store(settings.database_url), …)
    room = Room(
        "data",
        services=((data_pb2.DESCRIPTOR.services_by_name["DataService"], DataServicer(application)),),
        lifespan=application.background,            # optional async context manager
        endless=frozenset({"WatchSeries"}),         # streams that only a drain ends
        metrics=metrics,
    )
    sys.exit(serve(room, settings))

A servicer is a plain object whose methods carry the contract's names: `def GetX(self, request, call)` runs on
the thread pool and returns the response; a generator, or an `async def` one, streams; an upload is
`async def IngestX(self, requests, call)`. It raises refusals (`marketml.rpc.refusals`) and never sees gRPC.
`call` knows the request id, the remaining seconds and whether the caller is still there. A response may be
`bytes`, a message already serialised (`marketml.rpc.frames.pack_chunk`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.host.call import Call, invoke
    from services.host.metrics import Metrics
    from services.host.server import Room, Server, serve
    from services.host.settings import (
        ClusterSettings,
        NeighbourSettings,
        ServerSettings,
        SettingsError,
        read_settings,
        with_cluster,
    )
    from services.host.start import explained_start, migrate_room, revision_asked
else:
    # When it is asked for: without gRPC and databases a process that serves another one over pipes
    # (`services.host.children`) starts in a tenth of the time.
    _HOMES = {
        "Call": "call",
        "ClusterSettings": "settings",
        "Metrics": "metrics",
        "NeighbourSettings": "settings",
        "Room": "server",
        "Server": "server",
        "ServerSettings": "settings",
        "SettingsError": "settings",
        "explained_start": "start",
        "invoke": "call",
        "migrate_room": "start",
        "read_settings": "settings",
        "revision_asked": "start",
        "serve": "server",
        "with_cluster": "settings",
    }

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"services.host.{_HOMES[name]}"), name)


__all__ = [
    "Call",
    "ClusterSettings",
    "Metrics",
    "NeighbourSettings",
    "Room",
    "Server",
    "ServerSettings",
    "SettingsError",
    "explained_start",
    "invoke",
    "migrate_room",
    "read_settings",
    "revision_asked",
    "serve",
    "with_cluster",
]
