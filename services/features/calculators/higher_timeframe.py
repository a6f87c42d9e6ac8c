"""Bars of four hours and of a day, made of the source's own shorter ones.

Longer bars begin where they do on every exchange, at multiples of their length since the epoch. At each bar
the newest that counts is the one before that which holds it, so it had closed when the bar opened. Only their
closes are read; one is known when the last bar in it is there. A window with a longer bar missing is NaN: it
would be of another length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import numpy as np
import numpy.typing as npt

from services.features.calculators import derived, windows
from services.features.calculators.declaration import declare
from services.features.calculators.windows import ratio, relative
from services.features.columns import Columns, Floats, Integers
from services.features.feature import Family, Feature

HOURS = {"4h": 4, "1d": 24}
SHORT, LONG = 10, 50  # longer bars, of the means that tell the trend
RSI_PERIOD = 14


@dataclass(frozen=True)
class LongerBars:
    """`numbers` (lengths since the epoch) and `closes` have one item a longer bar that has closed; `newest`
    (bars,) is the one before that which holds each bar, -1 where it is not known."""

    numbers: Integers
    closes: Floats
    newest: npt.NDArray[np.intp]

    def at_bars(self, statistic: Callable[[Floats], Floats], window: int) -> Floats:
        """A statistic that reads the last `window` closes, at the bars."""
        back = window - 1
        is_whole = np.zeros(self.numbers.size, dtype=np.bool_)
        is_whole[back:] = self.numbers[back:] - self.numbers[: max(self.numbers.size - back, 0)] == back
        values = np.where(is_whole, statistic(self.closes), np.nan)
        return np.append(values, np.nan)[self.newest]  # -1 picks the NaN at the end


def longer_bars(columns: Columns, hours: int) -> LongerBars:
    return columns.shared(("longer_bars", hours), lambda: _found(columns, hours))


def _found(columns: Columns, hours: int) -> LongerBars:
    count = timedelta(hours=hours) // columns.timeframe  # of bars in a longer one
    if count < 2 or timedelta(hours=hours) % columns.timeframe:
        return LongerBars(np.empty(0, np.int64), np.empty(0), np.full(columns.bars, -1, dtype=np.intp))
    close = columns["close"]
    own = columns.bar_numbers // count
    is_last = (columns.bar_numbers % count == count - 1) & ~np.isnan(close)
    numbers = own[is_last]
    newest = np.cumsum(is_last) - is_last - 1
    is_before = np.append(numbers, -2)[newest] == own - 1
    return LongerBars(numbers, close[is_last], np.where(is_before, newest, -1))


def _trend_strength(columns: Columns, hours: int) -> Floats:
    def compute() -> Floats:
        return longer_bars(columns, hours).at_bars(
            lambda closes: relative(windows.means(closes, SHORT), windows.means(closes, LONG)), LONG
        )

    return columns.shared(("longer_trend", hours), compute)


def _strength_index(closes: Floats) -> Floats:
    """Cutler's RSI: plain means where Wilder's look back hundreds of bars, which would be a year of days."""
    move = closes - windows.lag(closes, 1)
    gain = windows.means(np.maximum(move, 0.0), RSI_PERIOD)
    loss = windows.means(np.maximum(-move, 0.0), RSI_PERIOD)
    return 100.0 * ratio(gain, gain + loss)


def _distance(columns: Columns, hours: int) -> Floats:
    mean = longer_bars(columns, hours).at_bars(lambda closes: windows.means(closes, LONG), LONG)
    return relative(columns["close"], mean)


def _divergence(columns: Columns, hours: int) -> Floats:
    own = np.sign(derived.trend_strength(columns, SHORT, LONG))
    return (own - np.sign(_trend_strength(columns, hours))) / 2.0


def _alignment(columns: Columns) -> Floats:
    def compute() -> Floats:
        total = np.sign(derived.trend_strength(columns, SHORT, LONG))
        for hours in HOURS.values():
            total = total + np.sign(_trend_strength(columns, hours))
        return total / (1.0 + len(HOURS))

    return columns.shared(("longer_alignment",), compute)


def _longer(
    name: str,
    hours: int,
    depth: int,
    description: str,
    compute: Callable[[Columns], Floats],
    *,
    bar_hours: int = 0,
    lookback_bars: int = 0,
    **parameters: float | int,
) -> Feature:
    """A feature of the `depth` bars of `hours` that had closed when the bar opened, which asks for bars
    that make up `bar_hours` (else those of `hours`)."""
    declared = declare(
        Family.HIGHER_TIMEFRAME,
        "higher timeframe",
        name,
        "close",
        lookback_bars,
        description,
        compute,
        hours=hours,
        **parameters,
    )
    return replace(
        declared,
        lookback_seconds=depth * hours * 3600,
        longer_bar_seconds=(bar_hours or hours) * 3600,
    )


def _of_timeframe(name: str, hours: int) -> tuple[Feature, ...]:
    return (
        _longer(
            f"htf_{name}_trend_direction_{SHORT}_{LONG}",
            hours,
            LONG,
            f"1 where the mean of the last {SHORT} {name} closes is above that of the last {LONG}, -1 where "
            "below, 0 where equal.",
            lambda columns: np.sign(_trend_strength(columns, hours)),
            short_window=SHORT,
            long_window=LONG,
        ),
        _longer(
            f"htf_{name}_trend_strength_{SHORT}_{LONG}",
            hours,
            LONG,
            f"The mean of the last {SHORT} {name} closes over that of the last {LONG}, minus 1: a fraction.",
            partial(_trend_strength, hours=hours),
            short_window=SHORT,
            long_window=LONG,
        ),
        _longer(
            f"htf_{name}_rsi_{RSI_PERIOD}",
            hours,
            RSI_PERIOD + 1,
            f"The share of rises in the sum of the last {RSI_PERIOD} moves of {name} closes, 0 to 100 "
            "(Cutler's RSI); NaN where nothing moved.",
            lambda columns: longer_bars(columns, hours).at_bars(_strength_index, RSI_PERIOD + 1),
            period=RSI_PERIOD,
        ),
        _longer(
            f"htf_{name}_close_to_sma_{LONG}",
            hours,
            LONG,
            f"The bar's close over the mean of the last {LONG} {name} closes, minus 1: a fraction.",
            partial(_distance, hours=hours),
            window=LONG,
        ),
        _longer(
            f"htf_{name}_divergence_{SHORT}_{LONG}",
            hours,
            LONG,
            f"Half the difference of the trend directions (means of {SHORT} and {LONG}) of the bars and of "
            f"{name} bars: 1 where the bars rise against them, -1 where they fall, 0 where they agree.",
            partial(_divergence, hours=hours),
            lookback_bars=LONG - 1,
            short_window=SHORT,
            long_window=LONG,
        ),
    )


FEATURES: tuple[Feature, ...] = (
    *(feature for name, hours in HOURS.items() for feature in _of_timeframe(name, hours)),
    _longer(
        f"htf_alignment_score_{SHORT}_{LONG}",
        max(HOURS.values()),
        LONG,
        f"The mean of the trend directions (means of {SHORT} and {LONG}) of the bars, 4h bars and 1d bars: "
        "1 where all rise, -1 where all fall.",
        _alignment,
        bar_hours=min(HOURS.values()),
        lookback_bars=LONG - 1,
        short_window=SHORT,
        long_window=LONG,
    ),
    _longer(
        f"htf_alignment_direction_{SHORT}_{LONG}",
        max(HOURS.values()),
        LONG,
        f"1 where bars, 4h bars and 1d bars all rise by their means of {SHORT} and {LONG}, -1 where all "
        "fall, else 0.",
        lambda columns: np.trunc(_alignment(columns)) + 0.0,
        bar_hours=min(HOURS.values()),
        lookback_bars=LONG - 1,
        short_window=SHORT,
        long_window=LONG,
    ),
)
