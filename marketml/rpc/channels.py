"""Channels as every client opens them: deadlines, keepalive, retries, TLS, request ids, typed refusals.

`open_channel(…)` gives a `grpc.Channel` for the generated stubs. A failed call raises a class of
`marketml.rpc.refusals`, from a unary call and from the middle of a stream alike.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from marketml.rpc import correlation
from marketml.rpc.refusals import DeadlineExceeded
from marketml.rpc.statuses import from_rpc_error

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
UNARY_DEADLINE_SECONDS = 30.0
STREAM_DEADLINE_SECONDS = 3600.0

# A nested call ends a little before its caller's deadline, so that its answer can still be used.
NESTED_MARGIN_SECONDS = 0.05

_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # Pings only while a call runs, and slower than the server's 20 s floor: faster ones end in GOAWAY.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),  # without it a dead peer went unnoticed for 61 s
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.max_frame_size", 1024 * 1024),  # a frame chunk is one HTTP/2 frame, not 64
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.enable_retries", 1),
    ("grpc.enable_http_proxy", 0),  # rooms are neighbours: no proxy stands between them
)


@dataclass(frozen=True)
class Tls:
    """What a client needs for TLS: the authority to trust (None: the system's), and for mutual TLS its own
    certificate and key. `server_name` replaces the target's host in the certificate check. PEM files."""

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """The channel credentials; the files are read now."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("Tls: certificate and key are given together or not at all.")
        return grpc.ssl_channel_credentials(
            root_certificates=self.authority.read_bytes() if self.authority else None,
            private_key=self.key.read_bytes() if self.key else None,
            certificate_chain=self.certificate.read_bytes() if self.certificate else None,
        )


def open_channel(
    target: str,
    *,
    tls: Tls | None = None,
    retryable: Iterable[str] = (),
    unary_deadline_seconds: float = UNARY_DEADLINE_SECONDS,
    stream_deadline_seconds: float = STREAM_DEADLINE_SECONDS,
    options: Iterable[tuple[str, int | str]] = (),
) -> grpc.Channel:
    """Open a channel to a room. It connects at the first call; close it, or use it as a context manager.

    Parameters
    ----------
    target
        `host:port`.
    tls
        None is plaintext.
    retryable
        Methods that may be sent again when the server was UNAVAILABLE: reads, and calls that carry a
        `request_id`. Written `package.Service/Method`.
    unary_deadline_seconds, stream_deadline_seconds
        The deadline of a call that names none. Inside a servicer's call it is cut to what is left of it.
    options
        More gRPC channel arguments; they win over the defaults.
    """
    listed = _arguments(tls, retryable, options)
    if tls is None:
        plain = grpc.insecure_channel(target, options=listed)
    else:
        plain = grpc.secure_channel(target, tls.credentials(), options=listed)
    return _Channel(plain, unary_deadline_seconds, stream_deadline_seconds)


class LoopChannel:
    """The same for unary calls of code on an event loop: a method is awaited and holds no thread. Made, used
    and closed on one loop; parameters as of `open_channel`."""

    def __init__(
        self,
        target: str,
        *,
        tls: Tls | None = None,
        retryable: Iterable[str] = (),
        unary_deadline_seconds: float = UNARY_DEADLINE_SECONDS,
    ) -> None:
        listed = _arguments(tls, retryable, ())
        if tls is None:
            self._inner = grpc.aio.insecure_channel(target, options=listed)
        else:
            self._inner = grpc.aio.secure_channel(target, tls.credentials(), options=listed)
        self._seconds = unary_deadline_seconds

    def unary_unary(self, *args: Any, **kwargs: Any) -> Callable[[Any], Awaitable[Any]]:
        """For a generated stub, or one method."""
        method: Any = self._inner.unary_unary(*args, **kwargs)

        async def call(request: Any) -> Any:
            seconds, sent = _call_arguments(None, self._seconds, None)
            try:
                return await method(request, timeout=seconds, metadata=sent)
            except grpc.RpcError as error:
                raise from_rpc_error(error) from error

        return call

    async def close(self) -> None:
        """Close the channel."""
        await self._inner.close()


def _arguments(
    tls: Tls | None, retryable: Iterable[str], options: Iterable[tuple[str, int | str]]
) -> list[tuple[str, int | str]]:
    arguments = dict(_OPTIONS) | {"grpc.service_config": _service_config(retryable)} | dict(options)
    if tls is not None and tls.server_name is not None:
        arguments["grpc.ssl_target_name_override"] = tls.server_name
    return list(arguments.items())


def _service_config(retryable: Iterable[str]) -> str:
    names = [dict(zip(("service", "method"), name.strip("/").split("/"), strict=True)) for name in retryable]
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.2s",
        "maxBackoff": "5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps(
        {
            "methodConfig": [{"name": names, "retryPolicy": policy}] if names else [],
            "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
        }
    )


def _call_arguments(
    timeout: float | None, default_seconds: float, metadata: Iterable[tuple[str, Any]] | None
) -> tuple[float, list[tuple[str, Any]]]:
    """The deadline and metadata of one call, under the correlation of the code that makes it."""
    around = correlation.current()
    seconds = default_seconds if timeout is None else timeout
    remaining = around.remaining_seconds() if around else None
    if remaining is not None:
        seconds = min(seconds, remaining - NESTED_MARGIN_SECONDS)
        if seconds <= 0:
            raise DeadlineExceeded("The caller's deadline leaves no time for a call to another room.")
    sent = list(metadata or ())
    if all(key != correlation.HEADER for key, _ in sent):
        sent.append((correlation.HEADER, around.request_id if around else correlation.new_request_id()))
    return seconds, sent


class _Channel(grpc.Channel):
    """A channel whose calls have a deadline and a request id, and fail with refusals."""

    def __init__(self, inner: grpc.Channel, unary_seconds: float, stream_seconds: float) -> None:
        self._inner = inner
        self._unary_seconds = unary_seconds
        self._stream_seconds = stream_seconds

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _Unary(self._inner.unary_unary(*args, **kwargs), self._unary_seconds)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _Unary(self._inner.stream_unary(*args, **kwargs), self._stream_seconds)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _Stream(self._inner.unary_stream(*args, **kwargs), self._stream_seconds)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _Stream(self._inner.stream_stream(*args, **kwargs), self._stream_seconds)

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool | None = False
    ) -> None:
        self._inner.subscribe(callback, bool(try_to_connect))

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        self._inner.unsubscribe(callback)

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self.close()
        return None


class _Unary:
    """A callable with one response."""

    def __init__(self, inner: Any, default_seconds: float) -> None:
        self._inner = inner
        self._default_seconds = default_seconds

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, Any]] | None = None,
        **more: Any,
    ) -> Any:
        seconds, sent = _call_arguments(timeout, self._default_seconds, metadata)
        try:
            return self._inner(request, timeout=seconds, metadata=sent, **more)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, Any]] | None = None,
        **more: Any,
    ) -> Responses:
        seconds, sent = _call_arguments(timeout, self._default_seconds, metadata)
        return Responses(self._inner.future(request, timeout=seconds, metadata=sent, **more))


class _Stream:
    """A callable with a stream of responses."""

    def __init__(self, inner: Any, default_seconds: float) -> None:
        self._inner = inner
        self._default_seconds = default_seconds

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, Any]] | None = None,
        **more: Any,
    ) -> Responses:
        seconds, sent = _call_arguments(timeout, self._default_seconds, metadata)
        return Responses(self._inner(request, timeout=seconds, metadata=sent, **more))


class Responses:
    """A call under way: iterate over its responses, `result()` for a single one, `cancel()` to leave.

    As a context manager it cancels on exit what has not ended, so that a reader who stops early leaves
    nothing running on the server. Everything else is the `grpc.Call` underneath.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._inner)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    def result(self, timeout: float | None = None) -> Any:
        try:
            return self._inner.result(timeout)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    def cancel(self) -> None:
        self._inner.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._inner.cancel()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
