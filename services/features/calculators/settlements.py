"""Funding settlements as the bars of a frame show them.

A frame repeats the newest known funding rate at every bar; what is counted here is the settlements, told
apart by `funding_time`, whatever their interval. Bars longer than the interval show only the newest
settlement of each. A window of settlements spans at most one day for each step: one that reaches over a hole
in the feed, or whose newest settlement is older than that, gives NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.features.columns import Columns, Floats

DAY_SECONDS = 86_400.0
JITTER_SECONDS = 60.0  # venues stamp settlements some milliseconds late
BACK_BARS = 2  # the jitter, and the bar that last shows the oldest settlement


@dataclass(frozen=True)
class Settlements:
    """`rates`, `times` (seconds since the epoch) and `bars` (where each was first seen) have one item a
    settlement. `newest` (bars,) is the settlement known at each bar, -1 where none is. `step_seconds` is the
    longest interval that counts as one step."""

    rates: Floats
    times: Floats
    bars: npt.NDArray[np.intp]
    newest: npt.NDArray[np.intp]
    step_seconds: float

    def at_bars(self, values: Floats, window: int) -> Floats:
        """`values` (settlements,), each of the `window` settlements up to its own, at the bars."""
        back = window - 1
        is_close = np.zeros(self.times.size, dtype=np.bool_)
        spans = self.times[back:] - self.times[: max(self.times.size - back, 0)]
        is_close[back:] = spans <= back * self.step_seconds + JITTER_SECONDS
        kept = np.append(np.where(is_close, values, np.nan), np.nan)
        return kept[self.newest]  # -1 picks the NaN at the end

    def rolled(self, statistic: Callable[[Floats, int], Floats], window: int) -> Floats:
        """A statistic of the last `window` rates, at the bars."""
        return self.at_bars(statistic(self.rates, window), window)


def close_seconds(columns: Columns) -> Floats:
    """When each bar closes, seconds since the epoch."""

    def compute() -> Floats:
        opens = columns.open_time.as_unit("us").asi8 / 1e6
        return opens + columns.timeframe.total_seconds()

    return columns.shared(("close_seconds",), compute)


def settlements(columns: Columns) -> Settlements:
    return columns.shared(("settlements",), lambda: _found(columns))


def known_funding_rate(columns: Columns) -> Floats:
    """The newest funding rate known at each bar's close; NaN where the frame says it is missing."""
    return known(columns, "funding_rate")


def known(columns: Columns, name: str) -> Floats:
    """The column; NaN where the frame says that what stands there is missing."""
    flag = f"{name}_missing"
    if flag not in columns:
        return columns[name]
    return columns.shared(("known", name), lambda: np.where(columns[flag] == 1.0, np.nan, columns[name]))


def warm_up_bars(columns: Columns, window: int) -> int | None:
    """Bars from the first settlement seen to the `window`-th; None when there are fewer."""
    seen = settlements(columns)
    return int(seen.bars[window - 1] - seen.bars[0]) if seen.bars.size >= window else None


def _found(columns: Columns) -> Settlements:
    rate, time = known_funding_rate(columns), columns["funding_time"]
    step_seconds = max(DAY_SECONDS, columns.timeframe.total_seconds())
    is_known = ~np.isnan(rate) & (close_seconds(columns) - time <= step_seconds)
    known = np.flatnonzero(is_known)
    is_new = np.diff(time[known], prepend=-np.inf) > 0.0
    bars = known[is_new]
    newest = np.full(columns.bars, -1, dtype=np.intp)
    newest[known] = np.cumsum(is_new) - 1
    return Settlements(rate[bars], time[bars], bars, newest, step_seconds)
