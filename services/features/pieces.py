"""Rolling work divided by column, window and block of time, so that several processes do it at once.

    with pool.opened(inputs) as work:              # nothing is sent before the first piece
        future = work.submit(piece)                # of (features, bars) float64
                                                   # left: what still runs stops

A piece computes from the bars its windows need and nothing else, so it gives the bits that one process gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from marketml.rpc.refusals import Unavailable
from services.features.columns import Columns, Floats, Integers
from services.features.plan import Plan
from services.features.rolling.engine import Pass

# Of each job, so that one that took the slower pieces does not keep the others waiting for long.
PIECES_PER_JOB = 2


@dataclass(frozen=True, eq=False)
class Inputs:
    """What pieces read: columns and the numbers of their bars, each as long as the source."""

    columns: Mapping[str, Floats]
    bar_numbers: Integers


@dataclass(frozen=True)
class Piece:
    """A pass at the bars from `start`, where a block of the grid begins, up to `stop`."""

    rolling: Pass
    start: int
    stop: int

    @property
    def first(self) -> int:
        """The first bar that it reads."""
        return max(0, self.start - self.rolling.window + 1)


class Work(Protocol):
    """Pieces of one call on their way."""

    def submit(self, piece: Piece) -> Future[Floats]:
        """Have a piece computed: (features, stop - start)."""

    def check(self) -> None:
        """Raise Unavailable when nobody computes any more."""


class Pool(Protocol):
    """Processes that compute pieces; in the shape of `concurrent.futures`."""

    def opened(self, inputs: Callable[[], Inputs]) -> AbstractContextManager[Work]:
        """Work on these inputs, which are asked for at the first piece. What runs when it is left stops."""

    def shutdown(self) -> None:
        """End the processes, or leave them if they are not ours."""


@dataclass(frozen=True)
class Team:
    """Processes that work for one call, at most `jobs` at a time."""

    work: Work
    jobs: int

    def begun(self, plan: Plan, columns: Columns, start: int, stop: int) -> Shared:
        """Divide the passes of a plan at the bars from `start` to `stop`, and begin."""
        return Shared(self, divided(plan, columns, start, stop, self.jobs))


class Shared:
    """Pieces that a team does for one chunk."""

    def __init__(self, team: Team, pieces: Iterator[Piece]) -> None:
        self._team = team
        self._pieces = pieces
        self._running: dict[Future[Floats], Piece] = {}
        self._begin()

    @property
    def is_over(self) -> bool:
        """Whether every piece was given out."""
        return not self._running

    def finished(self, wait_seconds: float) -> Iterator[tuple[Piece, Floats]]:
        """The pieces done since the last look, after a wait for one of them of at most so long.

        Raises
        ------
        Unavailable
            Who computed a piece is gone.
        """
        if not self._running:
            return
        self._team.work.check()
        for future in wait(self._running, wait_seconds, FIRST_COMPLETED).done:
            piece = self._running.pop(future)
            self._begin()
            try:
                yield piece, future.result()
            except CancelledError:
                raise Unavailable("What computes features ended: send the same request again.") from None

    def _begin(self) -> None:
        while len(self._running) < self._team.jobs and (piece := next(self._pieces, None)) is not None:
            self._running[self._team.work.submit(piece)] = piece


def compute_piece(piece: Piece, x: Floats, bar_numbers: Integers, check: Callable[[], None]) -> Floats:
    """A piece from its column at the bars from `piece.first` to `piece.stop`, and their numbers; `check` is
    called now and then, and raises when nobody wants it any more."""
    computed = np.empty((len(piece.rolling.names), x.size))
    for _ in piece.rolling.run(x, bar_numbers, computed):
        check()
    return np.ascontiguousarray(computed[:, x.size - (piece.stop - piece.start) :])


def divided(plan: Plan, columns: Columns, start: int, stop: int, jobs: int) -> Iterator[Piece]:
    """The passes of a plan at the bars from `start` to `stop`, in so many pieces that each job has some."""
    borders = columns.borders
    inside = [int(border) for border in borders[(borders > start) & (borders < stop)]]
    parts = min(len(inside) + 1, math.ceil(PIECES_PER_JOB * jobs / len(plan.passes)))
    at = [inside[len(inside) * number // parts] for number in range(1, parts)]
    for rolling in plan.passes:
        for begin, end in zip([start, *at], [*at, stop], strict=True):
            if begin < end:
                yield Piece(rolling, begin, end)


def written_piece(piece: Piece) -> dict[str, Any]:
    """A piece as JSON has it."""
    return {"rolling": asdict(piece.rolling), "start": piece.start, "stop": piece.stop}


def read_piece(said: Mapping[str, Any]) -> Piece:
    """A piece from JSON."""
    rolling = said["rolling"]
    return Piece(
        Pass(rolling["column"], rolling["window"], tuple(rolling["calculators"])), said["start"], said["stop"]
    )
