"""Pieces on a Dask cluster, each with its bars; results come back as arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from marketml.rpc.refusals import Unavailable
from services.features.columns import Floats, Integers
from services.features.pieces import Inputs, Piece, compute_piece
from services.host.cluster import LOST, SENDS, Cluster, Outbox, TooManyDeaths, is_unwanted


class DaskPool:
    """The workers of one scheduler. A call waits `patience_seconds` for one that does not answer, and goes on
    when it is back."""

    def __init__(self, address: str, patience_seconds: float) -> None:
        self._cluster = Cluster(address, patience_seconds)

    @contextmanager
    def opened(self, inputs: Callable[[], Inputs]) -> Iterator[DaskWork]:
        """Work on these inputs; what runs when it is left stops."""
        work = DaskWork(self._cluster, inputs)
        try:
            yield work
        finally:
            work.cancel()

    def shutdown(self) -> None:
        """Close the connection; the cluster stays."""
        self._cluster.close()


@dataclass(frozen=True, eq=False)
class _Order:
    """A piece on its way: the cluster has it for the `tries`-th time, or is to have it."""

    piece: Piece
    future: Future[Floats] = field(default_factory=Future)
    tries: int = 1


class DaskWork:
    """Pieces of one call. Each takes its own bars along, which are few: so it can be computed anywhere, and
    again when a worker or the scheduler dies."""

    def __init__(self, cluster: Cluster, inputs: Callable[[], Inputs]) -> None:
        self._cluster = cluster
        self._ask = inputs
        self._inputs: Inputs | None = None
        self._outbox = Outbox(cluster, self._send)
        self._remote: list[Any] = []

    def submit(self, piece: Piece) -> Future[Floats]:
        """Have a piece computed.

        Raises
        ------
        Unavailable
            The cluster does not answer.
        """
        order = _Order(piece)
        self._outbox.put(order)
        self.check()
        return order.future

    def check(self) -> None:
        """Send what waits, and what was lost.

        Raises
        ------
        Unavailable
            The cluster does not answer.
        """
        self._outbox.send()

    def cancel(self) -> None:
        """Stop what waits and what runs."""
        self._cluster.cancel(self._remote)

    def _send(self, client: Any, order: _Order) -> None:
        if self._inputs is None:
            self._inputs = self._ask()
        piece = order.piece
        some = slice(piece.first, piece.stop)
        column, bar_numbers = self._inputs.columns[piece.rolling.column], self._inputs.bar_numbers
        remote = client.submit(computed, piece, column[some], bar_numbers[some], pure=False)
        self._remote = [each for each in self._remote if not each.done()]
        self._remote.append(remote)
        remote.add_done_callback(lambda done: self._pass_on(done, order))

    def _pass_on(self, remote: Any, order: _Order) -> None:
        """The outcome of Dask's future to ours; on a thread of the library."""
        with suppress(InvalidStateError):
            try:
                order.future.set_result(remote.result())
            except TooManyDeaths:
                message = "Too many workers of the cluster died that computed a piece of features."
                order.future.set_exception(Unavailable(message))
            except LOST:
                if order.tries == SENDS:
                    order.future.set_exception(self._cluster.away())
                else:
                    self._outbox.put(replace(order, tries=order.tries + 1))
            except Exception as error:
                order.future.set_exception(error)


def computed(piece: Piece, x: Floats, bar_numbers: Integers) -> Floats:
    """A piece, on a worker of the cluster, from its own bars."""

    def check() -> None:
        if is_unwanted():
            raise CancelledError

    return compute_piece(piece, x, bar_numbers, check)
