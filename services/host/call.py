"""One call as a servicer sees it: who asks, how long they wait, whether they still do; and the pool."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from marketml.rpc.correlation import new_request_id
from marketml.rpc.refusals import Cancelled, DeadlineExceeded, Refusal
from services.host import logs
from services.host.metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")

WRITE_END_SECONDS = 0.2  # how long a message under way may still take when the server ends its call


class Pool:
    """The threads on which blocking work runs. Streams together may hold half of them, so that a crowd of
    streams leaves the other half to unary calls."""

    def __init__(self, threads_count: int, metrics: Metrics) -> None:
        self._executor = ThreadPoolExecutor(threads_count, thread_name_prefix="rpc")
        self._stream_turns = asyncio.Semaphore(max(1, threads_count // 2))
        self._queue = metrics.pool_queue
        self._open: set[asyncio.Future[Any]] = set()

    def submit(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Run `function` on a thread, in a copy of this context."""

        def start() -> T:
            self._queue.dec()
            return context.run(function)

        context = contextvars.copy_context()
        self._queue.inc()
        future = asyncio.get_running_loop().run_in_executor(self._executor, start)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    async def submit_in_turn(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """The same for a stream: waits until fewer than half of the threads work for streams."""
        await self._stream_turns.acquire()
        future = self.submit(function)
        future.add_done_callback(lambda _: self._stream_turns.release())
        return future

    async def close(self, seconds: float) -> bool:
        """Take no more work; True when every thread came back within `seconds`."""
        self._executor.shutdown(wait=False)
        if self._open:
            await asyncio.wait(self._open, timeout=seconds)
        return not self._open


class Call:
    """One call under way.

    Attributes
    ----------
    request_id
        The id that the logs of every room on the call's path share.
    peer
        Where the caller connects from, as gRPC writes it (`ipv4:127.0.0.1:53422`).
    cancelled
        Set when the caller went away, the deadline passed, or the server ends the call. Long work looks at it
        (or calls `check`) between its steps and stops.
    """

    def __init__(
        self, request_id: str, peer: str, deadline: float, pool: Pool | None = None, is_stream: bool = False
    ) -> None:
        self.request_id = request_id
        self.peer = peer
        self.cancelled = threading.Event()
        self.deadline = deadline
        # The rest is the boundary's.
        self.ending: Refusal | None = None  # why the server ended the call, if it did
        self.work: set[asyncio.Future[Any]] = set()  # what still runs for it on the pool
        self.closer: Callable[[], object] | None = None  # to run on the pool after that
        self.has_written = False  # whether the answer's stream is open
        self._pool = pool
        self._is_stream = is_stream
        self._task: asyncio.Task[Any] | None = None
        self._is_writing = False
        self._cut: asyncio.TimerHandle | None = None  # of a write that the server's end of the call met

    def remaining_seconds(self) -> float:
        """Seconds until the deadline, never below 0. Every call has one: the caller's or the server's."""
        return max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raise `DeadlineExceeded` or `Cancelled` (or why the server ended the call) when it is over."""
        if self.ending is not None:
            raise self.ending
        if time.monotonic() >= self.deadline:
            raise DeadlineExceeded("The deadline of the call passed.")
        if self.cancelled.is_set():
            raise Cancelled("The caller went away.")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking work on the pool. When the call ends first, `cancelled` is set, the work runs to its
        next look at it, and the call keeps its place in admission until then."""

        def work() -> T:
            self.check()  # what waited for a thread past its end never starts
            return function(*args, **kwargs)

        if self._pool is None:
            return await asyncio.to_thread(work)
        future = await self._pool.submit_in_turn(work) if self._is_stream else self._pool.submit(work)
        self.work.add(future)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, future: asyncio.Future[Any]) -> None:
        """Take the outcome of work that nobody may be waiting for any more: that it stopped is no news."""
        self.work.discard(future)
        error = None if future.cancelled() else future.exception()
        if self.cancelled.is_set() and error is not None and not isinstance(error, Refusal):
            logs.problems.error("A bug ended work whose caller had left.", exc_info=error)

    def attach(self) -> None:
        """Bind to the running task, which `end` will stop. For the boundary."""
        self._task = asyncio.current_task()

    def detach(self) -> None:
        """The task has its outcome; `end` does nothing from here on. For the boundary."""
        self._task = None

    def begin_write(self) -> None:
        """A message goes out from here to `end_write`. For the boundary."""
        self._is_writing = True

    def end_write(self) -> None:
        """The message is out; whoever wrote it looks at `ending`. For the boundary."""
        self._is_writing = False
        if self._cut is not None:
            self._cut.cancel()

    def end(self, refusal: Refusal) -> None:
        """Stop the call; the caller gets `refusal`. On the server's loop only. For the boundary.

        A status sent while gRPC opens the stream for a first message is lost: a write under way goes first.
        """
        if self._task is None or self.ending is not None:
            return
        self.ending = refusal
        self.cancelled.set()
        if self._is_writing:
            loop = asyncio.get_running_loop()
            self._cut = loop.call_later(WRITE_END_SECONDS, self._task.cancel)
        else:
            self._task.cancel()


def detached_call(deadline_seconds: float = 30.0) -> Call:
    """A call without a server around it, for tests of a servicer."""
    return Call(new_request_id(), "test", time.monotonic() + deadline_seconds)


def invoke(servicer: object, method: str, request: Any, call: Call | None = None) -> Any:
    """Call a servicer's method without a server: the response, or the iterator of a streaming method."""
    return getattr(servicer, method)(request, call or detached_call())
