"""Pieces on a Dask cluster, each with its bars; results come back as arrays.

The cluster's machines have this package installed. A worker that dies is Dask's business: it computes the
piece elsewhere, and gives up after a few deaths.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import distributed

from marketml.rpc.refusals import Unavailable
from services.features.columns import Floats, Integers
from services.features.pieces import Inputs, Piece, compute_piece
from services.host.cluster_events import is_set

# The library says nothing of its types.
_dask: Any = distributed
CONNECT_SECONDS = 5.0
LOOK_SECONDS = 0.25  # between looks of a task whether somebody still wants it
_LOST = (distributed.KilledWorker, OSError, TimeoutError)


class DaskPool:
    """The workers of one scheduler. It connects at the first piece, and again when the scheduler was away."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._client: Any = None

    @contextmanager
    def opened(self, inputs: Callable[[], Inputs]) -> Iterator[DaskWork]:
        """Work on these inputs; what runs when it is left stops."""
        work = DaskWork(self, inputs)
        try:
            yield work
        finally:
            work.cancel()

    def client(self) -> Any:
        """The connection.

        Raises
        ------
        Unavailable
            The scheduler does not answer.
        """
        with self._lock:
            if self._client is not None and self._client.status == "running":
                return self._client
            try:
                self._client = _dask.Client(self._address, timeout=CONNECT_SECONDS, set_as_default=False)
            except (OSError, TimeoutError, ValueError):
                raise _away() from None
            return self._client

    def shutdown(self) -> None:
        """Close the connection; the cluster stays."""
        with self._lock:
            if self._client is not None:
                self._client.close(timeout=CONNECT_SECONDS)
                self._client = None


class DaskWork:
    """Pieces of one call. Each takes its own bars along, which are few: so it can be computed anywhere, and
    again when a worker dies."""

    def __init__(self, pool: DaskPool, inputs: Callable[[], Inputs]) -> None:
        self._pool = pool
        self._ask = inputs
        self._inputs: Inputs | None = None
        self._client: Any = None
        self._stop_name = f"marketml-features-{uuid4().hex}"
        self._remote: list[Any] = []

    def submit(self, piece: Piece) -> Future[Floats]:
        """Have a piece computed.

        Raises
        ------
        Unavailable
            The cluster does not answer.
        """
        if self._client is None or self._inputs is None:
            self._client, self._inputs = self._pool.client(), self._ask()
        self.check()
        some = slice(piece.first, piece.stop)
        column, bar_numbers = self._inputs.columns[piece.rolling.column], self._inputs.bar_numbers
        try:
            remote = self._client.submit(
                computed, piece, column[some], bar_numbers[some], self._stop_name, pure=False
            )
        except _LOST:
            raise _away() from None
        self._remote = [each for each in self._remote if not each.done()]
        self._remote.append(remote)
        future: Future[Floats] = Future()
        remote.add_done_callback(lambda done: _pass_on(done, future))
        return future

    def check(self) -> None:
        """See that the cluster is still there.

        Raises
        ------
        Unavailable
            It is not, and did not come back in the time to connect.
        """
        if self._client is not None and self._client.status in ("closing", "closed"):
            raise _away()

    def cancel(self) -> None:
        """Stop what waits and what runs."""
        if self._client is None or self._client.status != "running":
            return
        running = [each for each in self._remote if not each.done()]
        with suppress(*_LOST, RuntimeError):
            if running:
                _dask.Event(self._stop_name, client=self._client).set()
                self._client.cancel(running, force=True)
            for each in self._remote:
                each.release()


def computed(piece: Piece, x: Floats, bar_numbers: Integers, stop_name: str) -> Floats:
    """A piece, on a worker of the cluster, from its own bars."""
    looked_at = time.monotonic()

    def check() -> None:
        nonlocal looked_at
        if time.monotonic() - looked_at >= LOOK_SECONDS:
            looked_at = time.monotonic()
            if is_set(stop_name):
                raise CancelledError

    return compute_piece(piece, x, bar_numbers, check)


def _pass_on(remote: Any, future: Future[Floats]) -> None:
    """The outcome of Dask's future to ours."""
    with suppress(InvalidStateError):
        try:
            future.set_result(remote.result())
        except CancelledError:
            future.cancel()
        except _LOST:
            future.set_exception(_away())
        except Exception as error:
            future.set_exception(error)


def _away() -> Unavailable:
    return Unavailable("The cluster that computes features does not answer: send the same request again.")
