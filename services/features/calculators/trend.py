"""Technical features of direction and its strength."""

from __future__ import annotations

from functools import partial

import numba
import numpy as np

from services.features.calculators import derived, windows
from services.features.calculators.compiling import INPUT, compiled
from services.features.calculators.declaration import declare
from services.features.calculators.windows import ratio, wilder_bars
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

_trend = partial(declare, Family.TECHNICAL, "trend")

_DIRECTIONAL_BARS = wilder_bars(14) + 1
_ADX_BARS = _DIRECTIONAL_BARS + wilder_bars(14)


def _range_bound(columns: Columns) -> Floats:
    """Over 21 bars, so that the bar the distance is measured from lies within the range."""
    travelled = np.abs(columns["close"] - derived.lagged(columns, "close", 20))
    spread = derived.highest(columns, "high", 21) - derived.lowest(columns, "low", 21)
    return 1.0 - ratio(travelled, spread)


def _autocorrelation(columns: Columns) -> Floats:
    change = derived.change(columns, "close", 1)
    return windows.correlations(change, windows.lag(change, 1), 20)


@compiled(numba.float64[:, ::1](INPUT, INPUT))
def _moves(high, low):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows: how far the high rose, how far the low fell; only the farther of both counts."""
    result = np.empty((2, high.size))
    result[:, :1] = np.nan
    for t in range(1, high.size):
        up, down = high[t] - high[t - 1], low[t - 1] - low[t]
        unknown = 0.0 if up + down == up + down else np.nan
        result[0, t] = (up if up > down and up > 0.0 else 0.0) + unknown
        result[1, t] = (down if down > up and down > 0.0 else 0.0) + unknown
    return result


def _directional_indicators(columns: Columns) -> tuple[Floats, Floats]:
    """Wilder's +DI and -DI of 14 bars (New Concepts in Technical Trading Systems, 1978)."""

    def compute() -> tuple[Floats, Floats]:
        plus, minus = _moves(columns["high"], columns["low"])
        span = derived.average_true_range(columns, 14)
        return (
            ratio(windows.wilder_means(plus, 14), span, times=100.0),
            ratio(windows.wilder_means(minus, 14), span, times=100.0),
        )

    return columns.shared(("directional_indicators", 14), compute)


def _average_directional_index(columns: Columns) -> Floats:
    def compute() -> Floats:
        plus, minus = _directional_indicators(columns)
        return windows.wilder_means(ratio(np.abs(plus - minus), plus + minus, times=100.0), 14)

    return columns.shared(("average_directional_index", 14), compute)


def _average_directional_rating(columns: Columns) -> Floats:
    index = _average_directional_index(columns)
    return (index + windows.lag(index, 13)) / 2.0


def _aroon_up(columns: Columns) -> Floats:
    return 100.0 * (14.0 - windows.since_highest(columns["high"], 15)) / 14.0


def _aroon_down(columns: Columns) -> Floats:
    return 100.0 * (14.0 - windows.since_lowest(columns["low"], 15)) / 14.0


FEATURES: tuple[Feature, ...] = (
    _trend(
        "trend_strength_10_50",
        "close",
        49,
        "The mean of the last 10 closes over the mean of the last 50, minus 1: a fraction.",
        partial(derived.trend_strength, short=10, long=50),
        short_window=10,
        long_window=50,
    ),
    _trend(
        "range_bound_ratio_20",
        "high low close",
        20,
        "1 - |close - close 20 bars ago| / (highest high - lowest low of these 21 bars): 1 when the price "
        "came back to where it was.",
        _range_bound,
        window=20,
    ),
    _trend(
        "breakout_strength_20",
        "high low close",
        derived.BREAKOUT_ATR_BARS,
        "How far the close lies above the highest high (below the lowest low: negative) of the 20 bars "
        "before it, in atr_14; 0 within.",
        partial(derived.breakout_strength, window=20),
        window=20,
        atr_period=derived.BREAKOUT_ATR_PERIOD,
    ),
    _trend(
        "return_autocorrelation_20",
        "close",
        21,
        "Pearson's correlation of the last 20 one-bar relative changes with the ones before them.",
        _autocorrelation,
        window=20,
    ),
    _trend(
        "plus_di_14",
        "high low close",
        _DIRECTIONAL_BARS,
        "Wilder's +DI: 100 times the smoothed upward move over the smoothed true range (TA-Lib PLUS_DI).",
        lambda columns: _directional_indicators(columns)[0],
        period=14,
    ),
    _trend(
        "minus_di_14",
        "high low close",
        _DIRECTIONAL_BARS,
        "Wilder's -DI: 100 times the smoothed downward move over the smoothed true range (TA-Lib MINUS_DI).",
        lambda columns: _directional_indicators(columns)[1],
        period=14,
    ),
    _trend(
        "adx_14",
        "high low close",
        _ADX_BARS,
        "Wilder's mean over 14 of 100 |+DI - -DI| / (+DI + -DI) (TA-Lib ADX).",
        _average_directional_index,
        period=14,
    ),
    _trend(
        "adxr_14",
        "high low close",
        _ADX_BARS + 13,
        "The mean of adx_14 and adx_14 13 bars ago (TA-Lib ADXR).",
        _average_directional_rating,
        period=14,
    ),
    _trend(
        "aroon_up_14",
        "high",
        14,
        "100 (14 - bars since the highest high of the last 15) / 14 (Chande 1995; TA-Lib AROON).",
        _aroon_up,
        period=14,
    ),
    _trend(
        "aroon_down_14",
        "low",
        14,
        "100 (14 - bars since the lowest low of the last 15) / 14 (Chande 1995; TA-Lib AROON).",
        _aroon_down,
        period=14,
    ),
    _trend(
        "aroon_oscillator_14",
        "high low",
        14,
        "aroon_up_14 - aroon_down_14 (TA-Lib AROONOSC).",
        lambda columns: _aroon_up(columns) - _aroon_down(columns),
        period=14,
    ),
)
