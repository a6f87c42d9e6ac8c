"""What a server counts, and the small HTTP door where Prometheus and kubelets read it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from services.host.settings import split_address

REQUEST_HEAD_SECONDS = 5.0
_LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600)


class Metrics:
    """The counters of one server. Rooms add their own to `registry`; there is no global one."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names = ("service", "method")
        self.handled = Counter(
            "marketml_rpc_handled", "Calls ended, by status code.", (*names, "code"), registry=self.registry
        )
        self.duration = Histogram(
            "marketml_rpc_duration_seconds",
            "From the arrival of the request to the status.",
            names,
            buckets=_LATENCY_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "marketml_rpc_in_flight", "Calls admitted and not ended.", ("kind",), registry=self.registry
        )
        self.queued = Gauge(
            "marketml_rpc_queued", "Unary calls waiting for admission.", registry=self.registry
        )
        self.pool_queue = Gauge(
            "marketml_pool_queued", "Pieces of work waiting for a thread.", registry=self.registry
        )


class MetricsDoor:
    """HTTP/1.1 GET of `/metrics`, `/livez` and `/readyz`, on the server's own loop: when that hangs, `/livez`
    does not answer, which is what a liveness probe has to learn."""

    def __init__(self, metrics: Metrics, is_ready: Callable[[], bool]) -> None:
        self._metrics = metrics
        self._is_ready = is_ready
        self._server: asyncio.Server | None = None
        self._visits: set[asyncio.Task[None]] = set()

    async def open(self, address: str) -> int:
        """Listen; returns the port."""
        host, port = split_address(address)
        self._server = await asyncio.start_server(self._receive, host, port, limit=8192)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and end the visits of callers who have not finished asking."""
        if self._server is not None:
            self._server.close()
            for visit in self._visits:
                visit.cancel()
            await asyncio.gather(*self._visits, return_exceptions=True)
            await self._server.wait_closed()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.create_task(self._answer(reader, writer))
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                status, kind, body = self._page(head.split(b"\r\n", 1)[0].split(b" "))
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                writer.write(body)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a caller who does not speak HTTP, or left
        finally:
            writer.close()

    def _page(self, request_line: list[bytes]) -> tuple[str, str, bytes]:
        text = "text/plain; charset=utf-8"
        if len(request_line) != 3 or request_line[0] != b"GET":
            return "405 Method Not Allowed", text, b"Only GET.\n"
        path = request_line[1].partition(b"?")[0]
        if path == b"/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._metrics.registry)
        if path == b"/livez":
            return "200 OK", text, b"alive\n"
        if path == b"/readyz":
            return (
                ("200 OK", text, b"ready\n") if self._is_ready() else ("503 Not Ready", text, b"not ready\n")
            )
        return "404 Not Found", text, b"Pages: /metrics /livez /readyz\n"
