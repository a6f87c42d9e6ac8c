"""Transforms of the price and volume series: lags, changes, deviations, slopes, realized volatility."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from services.features.calculators import derived, windows
from services.features.calculators.declaration import declare
from services.features.calculators.windows import log_relative, relative
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

LAG_BARS = (1, 3, 6, 12, 24, 48)
DIFFERENCE_BARS = (1, 6, 24)
CHANGE_BARS = (1, 6, 12, 24)
CUMULATIVE_BARS = (6, 12, 24)
DEVIATION_WINDOWS = (5, 10, 20)
SLOPE_WINDOWS = (10, 20, 50)
VOLATILITY_WINDOWS = (5, 10, 20, 50)
PARKINSON_WINDOWS = (5, 10, 20, 50)
REGIME_VOLATILITY_WINDOW, REGIME_WINDOW = 20, 240
FRACTION, FRACTION_WEIGHT_MIN = 0.4, 1e-4

_declare = partial(declare, Family.SERIES)


def _lag(name: str, bars: int) -> Feature:
    return _declare(
        "lag",
        f"{name}_lag_{bars}",
        name,
        bars,
        f"The {name} {bars} bars ago.",
        lambda columns: derived.lagged(columns, name, bars),
        bars=bars,
    )


def _return_lag(bars: int) -> Feature:
    return _declare(
        "lag",
        f"return_lag_{bars}",
        "close",
        bars + 1,
        f"The one-bar relative change of close {bars} bars ago, a fraction.",
        lambda columns: windows.lag(derived.change(columns, "close", 1), bars),
        bars=bars,
    )


def _cumulative_return(bars: int) -> Feature:
    return _declare(
        "change",
        f"cumulative_log_return_{bars}",
        "close",
        bars,
        f"The sum of the last {bars} log returns: ln(close / close {bars} bars ago).",
        lambda columns: log_relative(columns["close"], columns["close"], back=bars),
        bars=bars,
    )


def _difference(name: str, bars: int) -> Feature:
    return _declare(
        "change",
        f"{name}_diff_{bars}",
        name,
        bars,
        f"The {name} minus the {name} {bars} bars ago.",
        lambda columns: columns[name] - derived.lagged(columns, name, bars),
        bars=bars,
    )


def _change(name: str, bars: int) -> Feature:
    return _declare(
        "change",
        f"{name}_pct_change_{bars}",
        name,
        bars,
        f"The {name} over the {name} {bars} bars ago, minus 1: a fraction.",
        lambda columns: derived.change(columns, name, bars),
        bars=bars,
    )


def _deviation(window: int) -> Feature:
    return _declare(
        "trend",
        f"close_deviation_from_ma_{window}",
        "close",
        window - 1,
        f"The close over the mean of the last {window} closes, minus 1: a fraction.",
        lambda columns: relative(columns["close"], derived.mean(columns, "close", window)),
        window=window,
    )


def _slope(window: int) -> Feature:
    return _declare(
        "trend",
        f"close_slope_{window}",
        "close",
        window - 1,
        f"The least-squares slope of the last {window} closes against time, price per bar.",
        lambda columns: derived.slope(columns, "close", window),
        window=window,
    )


def _realized_volatility(window: int) -> Feature:
    return _declare(
        "volatility",
        f"realized_vol_{window}",
        "close",
        window,
        f"The sample deviation of the last {window} log returns times the root of the bars in a day.",
        lambda columns: derived.realized_volatility(columns, window),
        window=window,
    )


def _volatility_of_volatility(window: int) -> Feature:
    return _declare(
        "volatility",
        f"vol_of_vol_{window}",
        "close",
        2 * window - 1,
        f"The sample deviation of the last {window} values of realized_vol_{window}.",
        lambda columns: windows.deviations(derived.realized_volatility(columns, window), window),
        window=window,
    )


def _parkinson(window: int) -> Feature:
    def compute(columns: Columns) -> Floats:
        squares = columns.shared(("squared_log_heights",), lambda: derived.log_heights(columns) ** 2)
        return windows.roots(windows.means(squares, window) * (columns.bars_per_day / (4.0 * math.log(2.0))))

    return _declare(
        "volatility",
        f"parkinson_vol_{window}",
        "high low",
        window - 1,
        f"The root of the mean over {window} bars of ln(high / low) squared over 4 ln 2, times the root of "
        "the bars in a day (Parkinson 1980).",
        compute,
        window=window,
    )


def _volatility_regime(columns: Columns) -> Floats:
    volatility = derived.realized_volatility(columns, REGIME_VOLATILITY_WINDOW)
    return windows.passed(volatility, REGIME_WINDOW, (1.0 / 3.0, 2.0 / 3.0))


def _fractional_weights() -> Floats:
    """Those of (1 - L)^d, L the lag of a bar, up to the first one too small to count."""
    weights = [1.0]
    while abs(weights[-1]) >= FRACTION_WEIGHT_MIN:
        k = len(weights)
        weights.append(-weights[-1] * (FRACTION - k + 1.0) / k)
    return np.array(weights[:-1])


_FRACTIONAL = _fractional_weights()


def _fractional_difference(columns: Columns) -> Floats:
    close = columns["close"]
    logs = np.log(close, out=np.full(close.shape, np.nan), where=close > 0.0)
    return windows.weighted_sums(logs, _FRACTIONAL)


FEATURES: tuple[Feature, ...] = (
    *(_lag(name, bars) for name in ("close", "volume", "high", "low") for bars in LAG_BARS),
    *(_return_lag(bars) for bars in LAG_BARS),
    *(_cumulative_return(bars) for bars in CUMULATIVE_BARS),
    *(_difference(name, bars) for name in ("close", "volume") for bars in DIFFERENCE_BARS),
    *(_change(name, bars) for name in ("close", "volume") for bars in CHANGE_BARS),
    *(_deviation(window) for window in DEVIATION_WINDOWS),
    *(_slope(window) for window in SLOPE_WINDOWS),
    *(_realized_volatility(window) for window in VOLATILITY_WINDOWS),
    *(_volatility_of_volatility(window) for window in VOLATILITY_WINDOWS),
    *(_parkinson(window) for window in PARKINSON_WINDOWS),
    _declare(
        "volatility",
        f"volatility_regime_{REGIME_VOLATILITY_WINDOW}_{REGIME_WINDOW}",
        "close",
        REGIME_VOLATILITY_WINDOW + REGIME_WINDOW - 1,
        f"0, 1 or 2: which third of its own last {REGIME_WINDOW} values realized_vol_"
        f"{REGIME_VOLATILITY_WINDOW} lies in.",
        _volatility_regime,
        volatility_window=REGIME_VOLATILITY_WINDOW,
        window=REGIME_WINDOW,
    ),
    _declare(
        "change",
        f"close_fracdiff_{round(FRACTION * 1000)}",
        "close",
        _FRACTIONAL.size - 1,
        f"The difference of order {FRACTION} of ln close, its weights down to {FRACTION_WEIGHT_MIN:g}: "
        "stationary, and not without memory as returns are (Lopez de Prado 2018, chapter 5, fixed width).",
        _fractional_difference,
        order=FRACTION,
        weight_min=FRACTION_WEIGHT_MIN,
    ),
)
