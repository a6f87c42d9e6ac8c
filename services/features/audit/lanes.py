"""Histories of many bars side by side in few frames, so that one computation serves them all.

What a feature may look at for a bar is a stretch of rows. Stretches that do not meet are strung together in
one frame, in the order of their times, a row of nothing before each. A feature that keeps to its stretch has
the same value there; one that reaches before or after it meets nothing, or bars of another time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from services.features.columns import Columns

LANE_ROWS = 16_384
NO_ROW = -1

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Stretch:
    """Rows `start` to `stop` of the source are looked at; the rows `after` of the pool follow them, at the
    times of the source's rows from `stop` on."""

    start: int
    stop: int
    after: range = range(0)


@dataclass(eq=False)
class Lane:
    """`rows` of the pool, -1 for one of nothing, at `times` (microseconds since the epoch); of them, the rows
    at `places` stand for the source's rows `looked_at`."""

    rows: list[Rows] = field(default_factory=list)
    times: list[npt.NDArray[np.int64]] = field(default_factory=list)
    places: list[Rows] = field(default_factory=list)
    looked_at: list[Rows] = field(default_factory=list)
    size: int = 0
    last: int = -2

    def frame(self, pool: Pool) -> pd.DataFrame:
        """The rows as a frame."""
        taken = pool.frame.take(np.concatenate(self.rows))
        stamps = pd.DatetimeIndex(np.concatenate(self.times).view("datetime64[us]"), tz="UTC")
        taken.index = stamps.rename("open_time")
        return taken


@dataclass(frozen=True, eq=False)
class Pool:
    """`frame` holds the rows of the source, then those of other futures, last one of nothing; `times` are the
    source's."""

    frame: pd.DataFrame
    times: npt.NDArray[np.int64]
    timeframe: timedelta

    def columns(self, lane: Lane) -> Columns:
        """The columns of a lane."""
        return Columns(lane.frame(self), self.timeframe)


def pooled(source: pd.DataFrame, futures: Sequence[pd.DataFrame], timeframe: timedelta) -> Pool:
    """A source and other futures of it."""
    nothing = {
        name: pd.Series([True] if column.dtype == np.bool_ else [None]).astype(
            column.dtype if column.dtype.kind in "bM" else np.float64
        )
        for name, column in source.items()
    }
    parts = [part.reset_index(drop=True) for part in (source, *futures)]
    times = pd.DatetimeIndex(source.index).as_unit("us").asi8
    return Pool(pd.concat([*parts, pd.DataFrame(nothing)], ignore_index=True), times, timeframe)


def strung(pool: Pool, stretches: Sequence[Stretch], history_bars: int) -> list[Lane]:
    """Every stretch with so many rows before it, in as few lanes as they fit in."""
    lanes: list[Lane] = []
    bar = pool.timeframe // timedelta(microseconds=1)
    for stretch in sorted(stretches, key=lambda each: (each.start, each.stop)):
        first = max(0, stretch.start - history_bars)
        size = 1 + stretch.stop - first + len(stretch.after)
        lane = next((each for each in lanes if each.last < first - 1 and each.size + size <= LANE_ROWS), None)
        if lane is None:
            lane = Lane()
            lanes.append(lane)
        end = stretch.stop + len(stretch.after)
        lane.rows += [np.array([NO_ROW]), np.arange(first, stretch.stop), np.array(stretch.after, np.intp)]
        lane.times += [pool.times[first : first + 1] - bar, pool.times[first:end]]
        lane.places.append(lane.size + 1 - first + np.arange(stretch.start, stretch.stop))
        lane.looked_at.append(np.arange(stretch.start, stretch.stop))
        lane.size += size
        lane.last = end - 1
    return lanes
