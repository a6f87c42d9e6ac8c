"""The boundary: raw bytes on one side, a servicer's plain methods on the other.

Decoding, deadlines, admission, the thread pool, errors, metrics and the request log are here and nowhere
else. The handlers are built from the service descriptor. A servicer's method is one of

    def GetX(self, request, call) -> Response                       unary; runs on the pool
    def QueryX(self, request, call) -> Iterator[Response]           each `next` runs on the pool
    async def WatchX(self, request, call) -> AsyncIterator[Response]
    async def IngestX(self, requests, call) -> Response             `requests` is an async iterator

or an `async def` unary, which must never block. A response may be `bytes`: a message already serialised.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from marketml.rpc import correlation
from marketml.rpc.refusals import (
    Cancelled,
    DeadlineExceeded,
    Internal,
    Reason,
    Refusal,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from marketml.rpc.statuses import code_of, to_status, trailers_of
from services.host import logs
from services.host.admission import Slots
from services.host.call import Call, Pool
from services.host.method import Method, answered, decoded, encoded, method_of, next_encoded, opened
from services.host.metrics import Metrics
from services.host.settings import ServerSettings

DECODE_INLINE_BYTES = 64 * 1024  # larger messages are decoded on the pool, away from the loop
_END = object()
_MAKERS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


Work = Callable[[Method, Any, Call, Any], Awaitable[bytes]]


class Boundary:
    """Builds the handlers and knows every call under way."""

    def __init__(self, settings: ServerSettings, metrics: Metrics, pool: Pool) -> None:
        self._settings = settings
        self._metrics = metrics
        self._pool = pool
        self._unary_slots = Slots(
            "unary", settings.unary_in_flight_count, settings.unary_queue_count, metrics
        )
        self._stream_slots = Slots("stream", settings.streams_count, 0, metrics)
        self._calls: dict[Call, Method] = {}
        self._afterwards: set[asyncio.Task[None]] = set()
        self._is_draining = False

    def handlers(
        self,
        service: ServiceDescriptor,
        servicer: object,
        *,
        endless: frozenset[str] = frozenset(),
        is_admitted: bool = True,
    ) -> Iterator[tuple[str, grpc.RpcMethodHandler[Any, Any]]]:
        """The path and handler of every method of `service`, those the servicer lacks included."""
        for descriptor in service.methods:
            method = method_of(service, descriptor, servicer, descriptor.name in endless, is_admitted)
            yield f"/{method.service}/{method.name}", self._handler(method)

    def unknown(self) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler of every path that is none of ours."""
        return self._handler(Method("unknown", "unknown", bytes, None, True, True, False, False))

    def drain(self) -> None:
        """Refuse what is new; end the watches."""
        self._is_draining = True
        for call, method in list(self._calls.items()):
            if method.is_endless:
                call.end(_draining())

    def end_all(self) -> None:
        """End every call."""
        for call in list(self._calls):
            call.end(_draining())

    async def idle(self, seconds: float) -> bool:
        """Wait until no admitted call is under way, at most `seconds`; whether that came true."""
        until = time.monotonic() + seconds
        while any(method.is_admitted for method in self._calls.values()) or self._afterwards:
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(0.01)
        return True

    def _handler(self, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
        work: Work
        if method.function is None:
            work = _refuse_missing
        elif method.gives_stream:
            work = self._stream
        elif method.takes_stream:
            work = self._collect
        else:
            work = self._answer

        async def handle(incoming: Any, context: Any) -> bytes:
            return await self._conduct(method, work, incoming, context)

        make: Any = _MAKERS[method.takes_stream, method.gives_stream]
        handler: grpc.RpcMethodHandler[Any, Any] = make(handle)  # no serialisers: bytes in, bytes out
        return handler

    async def _conduct(self, method: Method, work: Work, incoming: Any, context: Any) -> bytes:
        """One call from its first bytes to its status."""
        started = time.perf_counter()
        call, timer = self._begin(method, context)
        slots: Slots | None = None
        refusal: Refusal | None = None
        try:
            if self._is_draining and method.is_admitted:
                raise _draining()
            if method.takes_stream and method.function is not None:
                incoming = await self._with_first_message(method, incoming, call)
            slots = await self._admit(method)
            return await work(method, incoming, call, context)
        except asyncio.CancelledError:
            call.cancelled.set()
            refusal = call.ending or _gone(call)
            if call.ending is None:
                raise
            asyncio.current_task().uncancel()  # type: ignore[union-attr]  # the cancellation was ours
        except Refusal as raised:
            refusal = raised
        except Exception as bug:
            refusal = _internal(method, bug)
        finally:
            if timer is not None:
                timer.cancel()
            call.detach()
            self._leave(call, slots)
            self._record(method, call, refusal, time.perf_counter() - started)
        status = to_status(refusal)
        code, trailers = code_of(refusal), trailers_of(status, refusal)
        if not method.gives_stream:
            # Returning would send an empty message before the status, and who got a message cannot retry.
            await context.abort(code, status.message, trailers)
        context.set_code(code)
        context.set_details(status.message)
        context.set_trailing_metadata(trailers)
        return b""

    def _begin(self, method: Method, context: Any) -> tuple[Call, asyncio.TimerHandle | None]:
        headers = dict(context.invocation_metadata() or ())
        request_id = correlation.accepted(headers.get(correlation.HEADER))
        seconds = context.time_remaining()
        if seconds is None:
            seconds = self._default_seconds(method)
        deadline = time.monotonic() + seconds
        call = Call(request_id, context.peer(), deadline, self._pool, method.is_stream)
        call.attach()
        self._calls[call] = method
        if seconds == math.inf:
            correlation.enter(correlation.Correlation(request_id))
            return call, None
        correlation.enter(correlation.Correlation(request_id, deadline))
        return call, asyncio.get_running_loop().call_later(seconds, call.end, _late())

    def _default_seconds(self, method: Method) -> float:
        if not method.is_admitted:
            return math.inf
        if method.gives_stream:
            return self._settings.stream_deadline_seconds
        if method.takes_stream:
            return self._settings.upload_deadline_seconds
        return self._settings.unary_deadline_seconds

    async def _admit(self, method: Method) -> Slots | None:
        if not method.is_admitted:
            return None
        slots = self._stream_slots if method.is_stream else self._unary_slots
        await slots.take()
        return slots

    def _leave(self, call: Call, slots: Slots | None) -> None:
        """Give the call's place back; while its work still runs on the pool, only after that."""
        if call.work or call.closer:
            task = asyncio.get_running_loop().create_task(self._leave_later(call, slots))
            self._afterwards.add(task)
            task.add_done_callback(self._afterwards.discard)
        elif slots is not None:
            slots.give_back()
        del self._calls[call]

    async def _leave_later(self, call: Call, slots: Slots | None) -> None:
        if call.work:
            await asyncio.wait(call.work)
        if call.closer is not None:
            try:
                await self._pool.submit(call.closer)
            except Exception:
                logs.problems.exception("A stream could not be closed.")
        if slots is not None:
            slots.give_back()

    def _record(self, method: Method, call: Call, refusal: Refusal | None, seconds: float) -> None:
        code = "OK" if refusal is None else code_of(refusal).name
        self._metrics.handled.labels(method.service, method.name, code).inc()
        self._metrics.duration.labels(method.service, method.name).observe(seconds)
        level = logging.INFO if method.is_admitted else logging.DEBUG
        if logs.requests.isEnabledFor(level):
            fields = {
                "method": f"{method.service}/{method.name}",
                "code": code,
                "duration_ms": round(seconds * 1000, 3),
                "request_id": call.request_id,
                "peer_kind": call.peer.partition(":")[0],
            }
            if refusal is not None:
                fields["reason"] = str(refusal.reason)
            # Once the answer is on its way: nobody waits for a line of the log.
            loop = asyncio.get_running_loop()
            loop.call_soon(partial(logs.requests.log, level, "call", extra={"fields": fields}))

    async def _answer(self, method: Method, raw: bytes, call: Call, _context: Any) -> bytes:
        """Unary to unary."""
        assert method.function is not None
        if inspect.iscoroutinefunction(method.function):
            return encoded(await method.function(decoded(method, raw), call))
        return await call.run(answered, method, raw, call)

    async def _collect(
        self, method: Method, incoming: AsyncIterator[bytes], call: Call, _context: Any
    ) -> bytes:
        """Stream to unary."""
        assert method.function is not None
        return encoded(await method.function(self._requests(method, incoming, call), call))

    async def _stream(self, method: Method, incoming: Any, call: Call, context: Any) -> bytes:
        """Anything to stream."""
        assert method.function is not None
        if method.takes_stream:
            incoming = self._requests(method, incoming, call)
        if not inspect.isasyncgenfunction(method.function):
            return await self._stream_from_pool(method, incoming, call, context)
        request = incoming if method.takes_stream else decoded(method, incoming)
        async with aclosing(method.function(request, call)) as responses:
            async for response in responses:
                await self._write(call, context, encoded(response))
        return b""

    async def _stream_from_pool(self, method: Method, raw: bytes, call: Call, context: Any) -> bytes:
        responses = await call.run(opened, method, raw, call)
        call.closer = getattr(responses, "close", None)
        while (message := await call.run(next_encoded, responses)) is not None:
            await self._write(call, context, message)
        call.closer = None
        return b""

    async def _write(self, call: Call, context: Any, message: bytes) -> None:
        seconds = self._settings.stream_write_seconds
        timer = asyncio.get_running_loop().call_later(seconds, call.end, _stalled_reader(seconds))
        call.begin_write()
        try:
            if not call.has_written:
                # Not with the first message: were that one stalled, a status after them would be lost.
                await context.send_initial_metadata(())
                call.has_written = True
            await context.write(message)
        finally:
            timer.cancel()
            call.end_write()
        if call.ending is not None:
            raise call.ending

    async def _with_first_message(self, method: Method, incoming: Any, call: Call) -> AsyncIterator[bytes]:
        """The incoming messages, the first of them already here: only who sent something is admitted."""
        messages = aiter(incoming)
        first = await self._read(method, messages, call)

        async def all_messages() -> AsyncIterator[bytes]:
            message = first
            while message is not _END:
                yield message
                message = await self._read(method, messages, call)

        return all_messages()

    async def _read(self, method: Method, messages: AsyncIterator[bytes], call: Call) -> Any:
        if not method.is_admitted:
            return await anext(messages, _END)
        seconds = self._settings.stream_read_seconds
        timer = asyncio.get_running_loop().call_later(seconds, call.end, _silent_writer(seconds))
        try:
            return await anext(messages, _END)
        finally:
            timer.cancel()

    async def _requests(
        self, method: Method, incoming: AsyncIterator[bytes], call: Call
    ) -> AsyncIterator[Any]:
        async for raw in incoming:
            if len(raw) <= DECODE_INLINE_BYTES:
                yield decoded(method, raw)
            else:
                yield await call.run(decoded, method, raw)


async def _refuse_missing(method: Method, _incoming: Any, _call: Call, _context: Any) -> bytes:
    if method.name == "unknown":
        raise Unimplemented("This server has no such method; reflection or the contracts list those it has.")
    raise Unimplemented(f"{method.service} on this server does not have {method.name} yet.")


def _internal(method: Method, bug: Exception) -> Internal:
    """What the caller learns of a bug: an id. What went wrong is in the log alone, under that id."""
    reference = secrets.token_hex(8)
    logs.problems.error(
        "A bug ended a call.",
        exc_info=bug,
        extra={"fields": {"method": f"{method.service}/{method.name}", "reference": reference}},
    )
    return Internal(reference)


def _gone(call: Call) -> Refusal:
    return _late() if time.monotonic() >= call.deadline else Cancelled("The caller went away.")


def _late() -> DeadlineExceeded:
    return DeadlineExceeded("The deadline of the call passed; its work was stopped.")


def _draining() -> Unavailable:
    return Unavailable("The server is stopping; send the request again.", reason=Reason.DRAINING)


def _stalled_reader(seconds: float) -> ResourceExhausted:
    return ResourceExhausted(
        "stream_write", f"The reader took no message for {seconds:g} s; the stream ended."
    )


def _silent_writer(seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"No message of the stream came for {seconds:g} s; the call ended.")
