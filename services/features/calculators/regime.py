"""Technical features of whether the price trends, and how cleanly."""

from __future__ import annotations

import math
from functools import partial

import numba
import numpy as np

from services.features.calculators import derived, windows
from services.features.calculators.compiling import INPUT, compiled
from services.features.calculators.declaration import declare
from services.features.calculators.windows import ratio
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

CHOPPINESS_WINDOW = 14
EFFICIENCY_BARS = (10, 20)
QUALITY_WINDOW = 20
SHORT, LONG = 50, 200
STOP_BARS, ACCELERATION, ACCELERATION_MAX = 100, 0.02, 0.2

_regime = partial(declare, Family.TECHNICAL, "regime")


@compiled(numba.float64[:, ::1](INPUT, INPUT, numba.int64))
def _stops(high, low, window):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows: the parabolic stop at each bar, and 1 where it is below, -1 where above the price.

    Started afresh at the first of the window's bars, as TA-Lib starts it; falling prices are mirrored.
    """
    result = np.full((2, high.size), np.nan)
    known_from = 0
    for t in range(high.size):
        if np.isnan(high[t] + low[t]):
            known_from = t + 1
        start = t - window + 1
        if start < known_from:
            continue
        fall = low[start] - low[start + 1]
        side = -1.0 if fall > 0.0 and high[start + 1] - high[start] < fall else 1.0
        stop = low[start] if side > 0.0 else high[start]
        best = high[start + 1] if side > 0.0 else low[start + 1]
        pace, shown = ACCELERATION, stop
        for i in range(start + 1, t + 1):
            before = max(i - 1, start + 1)
            near, far = (low[i], high[i]) if side > 0.0 else (high[i], low[i])
            if side * (near - stop) <= 0.0:
                top = max(side * high[i], side * high[before], side * low[i], side * low[before])
                shown = side * max(side * best, top)
                side, best, pace = -side, near, ACCELERATION
            else:
                shown = stop
                if side * (far - best) > 0.0:
                    best, pace = far, min(pace + ACCELERATION, ACCELERATION_MAX)
            stop = shown + pace * (best - shown)
            stop = min(stop, low[before], low[i]) if side > 0.0 else max(stop, high[before], high[i])
        result[0, t], result[1, t] = shown, side
    return result


def _stop(columns: Columns) -> Floats:
    high, low = columns["high"], columns["low"]
    return columns.shared(("parabolic_stop", STOP_BARS), lambda: _stops(high, low, STOP_BARS))


def _stop_distance(columns: Columns) -> Floats:
    close = columns["close"]
    return ratio(close - _stop(columns)[0], close)


def _choppiness(columns: Columns) -> Floats:
    window = CHOPPINESS_WINDOW
    path = windows.sums(derived.true_range(columns), window)
    span = derived.highest(columns, "high", window) - derived.lowest(columns, "low", window)
    share = ratio(path, span)
    logs = np.log(share, out=np.full(share.shape, np.nan), where=share > 0.0)
    return 100.0 * logs / math.log(window)


def _efficiency(columns: Columns, bars: int) -> Floats:
    moves = np.abs(columns["close"] - derived.lagged(columns, "close", 1))
    covered = np.abs(columns["close"] - derived.lagged(columns, "close", bars))
    return np.minimum(ratio(covered, windows.sums(moves, bars)), 1.0)


def _quality(columns: Columns) -> Floats:
    """The slope has the sign of the correlation, and its square times time's share is explained."""
    window = QUALITY_WINDOW
    slope = derived.slope(columns, "close", window)
    explained = slope * np.abs(slope) * (window * (window**2 - 1) / 12.0)
    return np.clip(ratio(explained, derived.squares(columns, "close", window)), -1.0, 1.0)


def _cross(columns: Columns) -> Floats:
    return np.sign(derived.trend_strength(columns, SHORT, LONG))


FEATURES: tuple[Feature, ...] = (
    _regime(
        f"choppiness_{CHOPPINESS_WINDOW}",
        "high low close",
        CHOPPINESS_WINDOW,
        f"100 log of the sum of {CHOPPINESS_WINDOW} true ranges over the range of the bars together, to base "
        f"{CHOPPINESS_WINDOW} (Dreiss's choppiness index): high where the price goes nowhere.",
        _choppiness,
        window=CHOPPINESS_WINDOW,
    ),
    *(
        _regime(
            f"efficiency_ratio_{bars}",
            "close",
            bars,
            f"The absolute change of close over {bars} bars over the sum of its one-bar absolute changes "
            "(Kaufman 1995): 1 is a straight way.",
            partial(_efficiency, bars=bars),
            bars=bars,
        )
        for bars in EFFICIENCY_BARS
    ),
    _regime(
        f"trend_quality_{QUALITY_WINDOW}",
        "close",
        QUALITY_WINDOW - 1,
        f"The share of the variance of {QUALITY_WINDOW} closes that a straight line explains, with its sign; "
        "NaN where the price stands still.",
        _quality,
        window=QUALITY_WINDOW,
    ),
    _regime(
        f"trend_strength_{SHORT}_{LONG}",
        "close",
        LONG - 1,
        f"The mean of the last {SHORT} closes over that of the last {LONG}, minus 1.",
        lambda columns: derived.trend_strength(columns, SHORT, LONG),
        short_window=SHORT,
        long_window=LONG,
    ),
    _regime(
        f"sma_cross_{SHORT}_{LONG}",
        "close",
        LONG - 1,
        f"1 where the mean of the last {SHORT} closes is above that of the last {LONG}, -1 where below, 0 "
        "where equal.",
        _cross,
        short_window=SHORT,
        long_window=LONG,
    ),
    _regime(
        f"psar_trend_{STOP_BARS}",
        "high low",
        STOP_BARS - 1,
        f"1 where Wilder's parabolic stop (TA-Lib SAR), started {STOP_BARS} bars ago, is below the price, -1 "
        "where above.",
        lambda columns: _stop(columns)[1],
        window=STOP_BARS,
        acceleration=ACCELERATION,
        acceleration_max=ACCELERATION_MAX,
    ),
    _regime(
        f"psar_distance_{STOP_BARS}",
        "high low close",
        STOP_BARS - 1,
        f"(close - stop) / close, the stop Wilder's parabolic one (TA-Lib SAR), {STOP_BARS} bars old.",
        _stop_distance,
        window=STOP_BARS,
        acceleration=ACCELERATION,
        acceleration_max=ACCELERATION_MAX,
    ),
)
