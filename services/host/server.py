"""The server: one room on one port, health and metrics on their own, started and drained in order."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import ssl
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from services.host import logs
from services.host.boundary import Boundary
from services.host.call import Pool
from services.host.health import Health
from services.host.metrics import Metrics, MetricsDoor
from services.host.settings import ServerSettings, SettingsError, split_address, with_variables

CUT_SECONDS = 2.0  # how long calls that outlived the grace may take to leave once they are ended

_HEALTH: Any = health_pb2.DESCRIPTOR.services_by_name["Health"]
_REFLECTION: Any = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]


@dataclass(frozen=True)
class Room:
    """What a room gives to be served.

    Parameters
    ----------
    name
        `data`, `features`…; the word in its settings, logs and ready line.
    services
        Pairs of a service descriptor (`data_pb2.DESCRIPTOR.services_by_name["DataService"]`) and a servicer.
    lifespan
        Background work on the server's loop: entered before the server is SERVING, left after it drained.
    endless
        Names of streaming methods that never end by themselves (watches). Draining ends them at once, with
        UNAVAILABLE, and their callers resume elsewhere.
    metrics
        The counters of the process; a room registers its own in `metrics.registry`.
    """

    name: str
    services: tuple[tuple[ServiceDescriptor, object], ...]
    lifespan: Callable[[], AbstractAsyncContextManager[None]] | None = None
    endless: frozenset[str] = frozenset()
    metrics: Metrics = field(default_factory=Metrics)


class Server:
    """A room being served. `start` and `stop` run on one loop; `port`, `health_port` and `metrics_port` are
    known after `start`."""

    def __init__(self, room: Room, settings: ServerSettings) -> None:
        self._room = room
        self._settings = settings
        self._pool = Pool(settings.threads_count, room.metrics)
        self._boundary = Boundary(settings, room.metrics, self._pool)
        self._health = Health(service.full_name for service, _ in room.services)
        self._opened = AsyncExitStack()
        self.port = 0
        self.health_port = 0
        self.metrics_port = 0
        self.is_clean = True  # False once a thread outlived the stop

    async def start(self) -> None:
        """Bind, enter the lifespan, serve.

        Raises
        ------
        SettingsError
            An address cannot be bound, or a TLS file cannot be used.
        """
        try:
            await self._start()
        except BaseException:
            await self._opened.aclose()
            raise

    async def stop(self, grace_seconds: float | None = None) -> None:
        """Report NOT_SERVING, refuse new calls, let the running ones finish within the grace, stop."""
        seconds = self._settings.grace_seconds if grace_seconds is None else grace_seconds
        self._health.serving(False)
        self._boundary.drain()
        if not await self._boundary.idle(seconds):
            self._boundary.end_all()
            await self._boundary.idle(CUT_SECONDS)
        await self._opened.aclose()

    async def _start(self) -> None:
        settings = self._settings
        self._opened.push_async_callback(self._close_pool)
        door = MetricsDoor(self._room.metrics, lambda: self._health.is_serving)
        try:
            self.metrics_port = await door.open(settings.metrics_target())
        except OSError as error:
            raise SettingsError(f"metrics_address cannot be bound: {error.strerror}.") from None
        self._opened.push_async_callback(door.close)

        health = dict(self._boundary.handlers(_HEALTH, self._health, is_admitted=False))
        apart = self._grpc_server(health)
        self.health_port = _bind(apart, "health_address", settings.health_target(), None)
        await apart.start()
        self._opened.push_async_callback(apart.stop, None)

        own = dict(health)  # a dictionary of its own: the port of health is plaintext and serves nothing else
        for service, servicer in self._room.services:
            own |= self._boundary.handlers(service, servicer, endless=self._room.endless)
        if settings.reflection:
            names = [service.full_name for service, _ in self._room.services]
            reflection = ReflectionServicer([*names, _HEALTH.full_name, _REFLECTION.full_name])
            own |= self._boundary.handlers(_REFLECTION, reflection, is_admitted=False)
        main = self._grpc_server(own)
        self.port = _bind(main, "address", settings.address, _credentials(settings))
        if self._room.lifespan is not None:
            await self._opened.enter_async_context(self._room.lifespan())
        await main.start()
        self._opened.push_async_callback(main.stop, None)
        self._health.serving(True)

    def _grpc_server(self, handlers: dict[str, grpc.RpcMethodHandler[Any, Any]]) -> grpc.aio.Server:
        server = grpc.aio.server(options=_options(self._settings))
        server.add_generic_rpc_handlers([_Paths(handlers, self._boundary.unknown())])
        return server

    async def _close_pool(self) -> None:
        self.is_clean = await self._pool.close(seconds=0.2)


class _Paths(grpc.GenericRpcHandler):
    """Finds a handler by path; every other path is answered too, so that it is counted and logged."""

    def __init__(
        self, handlers: dict[str, grpc.RpcMethodHandler[Any, Any]], unknown: grpc.RpcMethodHandler[Any, Any]
    ) -> None:
        self._handlers = handlers
        self._unknown = unknown

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        return self._handlers.get(details.method, self._unknown)


def serve(room: Room, settings: ServerSettings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. A second signal exits at once.

    When ready it prints one JSON line to stdout with the room and its addresses.
    """
    logs.write_json_lines(room.name, settings.log_level)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            server = Server(room, settings)
            runner.run(_serve(server, room, settings))
    except SettingsError as error:
        sentence = with_variables(str(error), type(settings), room.name)
        logs.problems.error("The server cannot start: %s", sentence)
        return 1
    if not server.is_clean:
        logs.problems.error("Work on a thread did not stop when told to; leaving without it.")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(1)  # the interpreter would wait for that thread
    return 0


async def _serve(server: Server, room: Room, settings: ServerSettings) -> None:
    stopping = asyncio.Event()

    def on_signal(number: int) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await server.start()
    ready = {
        "event": "ready",
        "room": room.name,
        "address": _with_port(settings.address, server.port),
        "health_address": _with_port(settings.health_target(), server.health_port),
        "metrics_address": _with_port(settings.metrics_target(), server.metrics_port),
    }
    sys.stdout.write(f"{json.dumps(ready)}\n")  # at once, which an unbuffered print does not
    sys.stdout.flush()
    await stopping.wait()
    await server.stop()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _with_port(address: str, port: int) -> str:
    return f"{address.rpartition(':')[0]}:{port}"


def _bind(server: grpc.aio.Server, name: str, address: str, tls: grpc.ServerCredentials | None) -> int:
    try:
        return server.add_insecure_port(address) if tls is None else server.add_secure_port(address, tls)
    except RuntimeError:
        host, port = split_address(address)
        raise SettingsError(f"{name} cannot be bound: host {host!r}, port {port}.") from None


def _credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    authority = settings.tls_client_authority
    key = _pem("tls_key", settings.tls_key)
    certificate = _pem("tls_certificate", settings.tls_certificate)
    _check_pair(settings.tls_certificate, settings.tls_key)
    return grpc.ssl_server_credentials(
        [(key, certificate)],
        root_certificates=_pem("tls_client_authority", authority) if authority else None,
        require_client_auth=authority is not None,
    )


def _pem(name: str, path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{name} cannot be read: {error.strerror}.") from None
    if b"-----BEGIN " not in content:
        raise SettingsError(f"{name} must be a PEM file: it holds no -----BEGIN line.")
    return content


def _check_pair(certificate: Path, key: Path) -> None:
    """gRPC takes any pair and then fails every handshake."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "the key is encrypted"
        raise SettingsError(f"tls_certificate and tls_key are no pair that can be used: {reason}.") from None


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    def milliseconds(seconds: float) -> int:
        return round(seconds * 1000)

    return [
        ("grpc.so_reuseport", 0),  # else a second process on the same port starts and takes half the calls
        ("grpc.max_receive_message_length", settings.message_bytes),
        ("grpc.max_send_message_length", settings.message_bytes),
        ("grpc.max_metadata_size", settings.metadata_soft_bytes),
        ("grpc.absolute_max_metadata_size", settings.metadata_hard_bytes),
        ("grpc.max_concurrent_streams", settings.connection_streams_count),
        ("grpc.server_handshake_timeout_ms", milliseconds(settings.handshake_seconds)),
        ("grpc.keepalive_time_ms", milliseconds(settings.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", milliseconds(settings.keepalive_timeout_seconds)),
        ("grpc.http2.ping_timeout_ms", milliseconds(settings.keepalive_timeout_seconds)),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            milliseconds(settings.ping_interval_floor_seconds),
        ),
        ("grpc.max_connection_age_ms", milliseconds(settings.connection_age_seconds)),
        ("grpc.max_connection_age_grace_ms", milliseconds(settings.connection_grace_seconds)),
    ]
