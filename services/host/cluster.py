"""A room's connection to the scheduler of a Dask cluster, and what it sends there.

    cluster = Cluster("tcp://host:8786", patience_seconds=60.0)
    outbox = Outbox(cluster, send)     # `send(client, item)` raises one of LOST when the scheduler is away
    outbox.put(item)
    outbox.send()                      # again and again: who sends never waits

The cluster's machines have this package installed. A worker that dies is Dask's business: it has the task
done elsewhere, and gives up after a few deaths. A scheduler that comes back knows of nothing: what it had is
put into the outbox again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Generic, TypeVar

import dask
import distributed
from tornado.ioloop import IOLoop

from marketml.rpc.refusals import Unavailable
from services.host.logs import problems

T = TypeVar("T")

# The libraries say nothing of their types.
_config: Any = dask
_dask: Any = distributed
CONNECT_SECONDS = 5.0
SENDS = 4  # of something that was lost with its scheduler
LOST = (OSError, CancelledError, _dask.client.ClosedClientError)
TooManyDeaths = _dask.KilledWorker


class Cluster:
    """The connection to one scheduler. It is made when it is first asked for, and again when the scheduler
    was away, on threads of its own: who asks does not wait. All methods may be called from any thread.

    Parameters
    ----------
    patience_seconds
        How long somebody waits for a scheduler that does not answer.
    """

    def __init__(self, address: str, patience_seconds: float) -> None:
        self.address = address
        self.patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._loop: IOLoop | None = None
        self._client: Any = None
        self._attempt: threading.Thread | None = None
        self._is_closed = False

    def client(self) -> Any:
        """The connection.

        Raises
        ------
        OSError
            It does not stand; it is being made.
        """
        with self._lock:
            status = None if self._client is None else self._client.status
            if status == "running":
                return self._client
            is_over = status in (None, "closing", "closed")
            if is_over and self._attempt is None and not self._is_closed:
                self._attempt = threading.Thread(target=self._connect, name="dask-connect", daemon=True)
                self._attempt.start()
        raise OSError(f"There is no connection to {self.address}.")

    def cancel(self, tasks: Sequence[Any]) -> None:
        """Have nothing of this done any more, if the scheduler answers; else it has forgotten it."""
        with suppress(*LOST, RuntimeError):
            if tasks:
                self.client().cancel(tasks, force=True)

    def away(self) -> Unavailable:
        """Why nobody waits for the scheduler any longer."""
        return Unavailable(
            f"The Dask scheduler {self.address} does not answer, or has no workers.", CONNECT_SECONDS
        )

    def close(self) -> None:
        """Close the connection; the cluster stays."""
        with self._lock:
            self._is_closed = True
            is_tried = self._attempt is not None
        if not is_tried:
            self._end()

    def _connect(self) -> None:
        # What is sent goes with its task: a few bytes a row, and no mistake.
        _config.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"})
        client = None
        try:
            client = _dask.Client(
                self.address, timeout=CONNECT_SECONDS, set_as_default=False, loop=self._running_loop()
            )
        except Exception as error:  # on a busy machine also an AssertionError
            problems.warning("The Dask scheduler %s does not answer: %s", self.address, error)
        with self._lock:
            self._client, self._attempt = client, None
            is_late = self._is_closed
        if is_late:
            self._end()

    def _end(self) -> None:
        if self._client is not None:
            with suppress(*LOST, RuntimeError):
                self._client.close(timeout=CONNECT_SECONDS)
        if self._loop is not None:
            self._loop.add_callback(self._loop.stop)

    def _running_loop(self) -> IOLoop:
        """The loop of all connections: of its own, each that fails would leave a thread behind."""
        if self._loop is None:
            loop, runs = IOLoop(make_current=False), threading.Event()
            loop.add_callback(runs.set)
            threading.Thread(target=_run, args=(loop,), name="dask", daemon=True).start()
            runs.wait()
            self._loop = loop
        return self._loop


class Outbox(Generic[T]):
    """What one call or run has for a cluster. `send` is called by one thread, `put` by any."""

    def __init__(self, cluster: Cluster, send: Callable[[Any, T], None]) -> None:
        self.waiting: deque[T] = deque()
        self._cluster = cluster
        self._send = send
        self._away_since: float | None = None

    def put(self, item: T) -> None:
        """Have something sent, or again."""
        self.waiting.append(item)

    def send(self) -> None:
        """Send what waits, if the scheduler answers.

        Raises
        ------
        Unavailable
            It has not for as long as the cluster's patience.
        """
        try:
            client = self._cluster.client()
            while self.waiting:
                self._send(client, self.waiting[0])
                self.waiting.popleft()
            self._away_since = None
        except LOST:
            now = time.monotonic()
            self._away_since = self._away_since or now
            if now - self._away_since >= self._cluster.patience_seconds:
                raise self._cluster.away() from None


def is_unwanted() -> bool:
    """Whether nobody wants the task any more that asks this on a worker of a cluster: it was cancelled, or
    who sent it is gone without a word."""
    worker = _dask.get_worker()
    state = worker.state.tasks.get(worker.get_current_task())
    return state is None or state.state == "cancelled"


def _run(loop: IOLoop) -> None:
    loop.start()
    loop.close()
