"""Intermediates that several features read, computed once per frame."""

from __future__ import annotations

import numba
import numpy as np

from services.features.calculators import windows
from services.features.calculators.compiling import INPUT, OUTPUT, compiled
from services.features.calculators.windows import log_relative, ratio, relative
from services.features.columns import Columns, Floats


@compiled(OUTPUT(INPUT, INPUT, INPUT))
def _locations(high, low, close):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    result = np.empty(close.size)
    for k in range(close.size):
        span = high[k] - low[k]
        result[k] = ((close[k] - low[k]) - (high[k] - close[k])) / (span if span != 0.0 else np.inf)
    return result


def lagged(columns: Columns, name: str, bars: int) -> Floats:
    return columns.shared(("lag", name, bars), lambda: windows.lag(columns[name], bars))


def change(columns: Columns, name: str, bars: int) -> Floats:
    """The relative change over `bars`, as a fraction."""
    return columns.shared(("change", name, bars), lambda: relative(columns[name], columns[name], back=bars))


def log_returns(columns: Columns) -> Floats:
    return columns.shared(("log_returns",), lambda: log_relative(columns["close"], columns["close"], back=1))


def log_heights(columns: Columns) -> Floats:
    """ln(high / low)."""
    return columns.shared(("log_heights",), lambda: log_relative(columns["high"], columns["low"]))


def mean(columns: Columns, name: str, window: int) -> Floats:
    return columns.shared(("mean", name, window), lambda: windows.means(columns[name], window))


def shapes(columns: Columns, name: str, window: int) -> tuple[Floats, ...]:
    """The mean, sample standard deviation, skewness and excess kurtosis."""
    return columns.shared(("shapes", name, window), lambda: windows.shapes(columns[name], window, 4))


def squares(columns: Columns, name: str, window: int) -> Floats:
    """The sum of the squared deviations from the window's mean."""
    return columns.shared(("squares", name, window), lambda: windows.moments(columns[name], window, 2)[1])


def deviation(columns: Columns, name: str, window: int) -> Floats:
    """Sample standard deviation."""
    return columns.shared(("deviation", name, window), lambda: windows.deviations(columns[name], window))


def lowest(columns: Columns, name: str, window: int) -> Floats:
    return columns.shared(("lowest", name, window), lambda: windows.lowest(columns[name], window))


def highest(columns: Columns, name: str, window: int) -> Floats:
    return columns.shared(("highest", name, window), lambda: windows.highest(columns[name], window))


def quartiles(columns: Columns, name: str, window: int) -> tuple[Floats, ...]:
    """The 25, 50 and 75 % quantiles."""
    return columns.shared(
        ("quartiles", name, window), lambda: windows.quantiles(columns[name], window, (0.25, 0.5, 0.75))
    )


def slope(columns: Columns, name: str, window: int) -> Floats:
    return columns.shared(("slope", name, window), lambda: windows.slopes(columns[name], window))


def typical_price(columns: Columns) -> Floats:
    return columns.shared(
        ("typical_price",), lambda: (columns["high"] + columns["low"] + columns["close"]) / 3.0
    )


def typical_value(columns: Columns) -> Floats:
    """What was traded, in quote currency, at the typical price."""
    return columns.shared(("typical_value",), lambda: typical_price(columns) * columns["volume"])


def close_location(columns: Columns) -> Floats:
    """Where the close lies in its bar, -1 to 1; 0 in one without range."""
    return columns.shared(
        ("close_location",), lambda: _locations(columns["high"], columns["low"], columns["close"])
    )


def true_range(columns: Columns) -> Floats:
    """Wilder (1978): the bar's range together with the previous close."""

    def compute() -> Floats:
        before = lagged(columns, "close", 1)
        return np.maximum(columns["high"], before) - np.minimum(columns["low"], before)

    return columns.shared(("true_range",), compute)


def average_true_range(columns: Columns, period: int) -> Floats:
    return columns.shared(
        ("average_true_range", period), lambda: windows.wilder_means(true_range(columns), period)
    )


def return_deviation(columns: Columns, window: int) -> Floats:
    """Sample deviation of the last `window` log returns; looks `window` bars back."""
    return columns.shared(
        ("return_deviation", window), lambda: windows.deviations(log_returns(columns), window)
    )


def realized_volatility(columns: Columns, window: int) -> Floats:
    """The same, scaled to a day."""
    return columns.shared(
        ("realized_volatility", window),
        lambda: return_deviation(columns, window) * np.sqrt(columns.bars_per_day),
    )


def volatility_spike(columns: Columns, window: int) -> Floats:
    """Realized volatility over its own mean; looks 2 `window` - 1 bars back."""

    def compute() -> Floats:
        volatility = realized_volatility(columns, window)
        return ratio(volatility, windows.means(volatility, window))

    return columns.shared(("volatility_spike", window), compute)


def volume_ratio(columns: Columns, window: int) -> Floats:
    return columns.shared(
        ("volume_ratio", window), lambda: ratio(columns["volume"], mean(columns, "volume", window))
    )


def trend_strength(columns: Columns, short: int, long: int) -> Floats:
    return columns.shared(
        ("trend_strength", short, long),
        lambda: relative(mean(columns, "close", short), mean(columns, "close", long)),
    )


BREAKOUT_ATR_PERIOD = 14
BREAKOUT_ATR_BARS = windows.wilder_bars(BREAKOUT_ATR_PERIOD) + 1


def breakout_strength(columns: Columns, window: int) -> Floats:
    """How far the close lies outside the range of the `window` bars before it, in average true ranges.

    Looks back `window` bars or `BREAKOUT_ATR_BARS`, whichever is more.
    """

    def compute() -> Floats:
        above = columns["close"] - windows.lag(highest(columns, "high", window), 1)
        below = columns["close"] - windows.lag(lowest(columns, "low", window), 1)
        outside = np.maximum(above, 0.0) + np.minimum(below, 0.0)
        return ratio(outside, average_true_range(columns, BREAKOUT_ATR_PERIOD))

    return columns.shared(("breakout_strength", window), compute)


@compiled(numba.float64[:, ::1](INPUT))
def rises_and_falls(values):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Rows: how far each value rose above the one before it, and how far it fell below."""
    result = np.empty((2, values.size))
    result[:, :1] = np.nan
    now, before, rises, falls = values[1:], values[:-1], result[0, 1:], result[1, 1:]
    for k in range(now.size):
        move = now[k] - before[k]
        rises[k] = 0.0 if move <= 0.0 else move
        falls[k] = 0.0 if move >= 0.0 else -move
    return result


def strength(moves: Floats, period: int) -> Floats:
    """Wilder's RSI of rises and falls, 0 to 100; NaN where nothing moved."""
    gain, loss = (windows.wilder_means(each, period) for each in moves)
    return ratio(gain, gain + loss, times=100.0)


def relative_strength(columns: Columns, period: int) -> Floats:
    """Wilder's RSI of the close; looks `wilder_bars(period)` + 1 bars back."""

    def compute() -> Floats:
        return strength(columns.shared(("moves",), lambda: rises_and_falls(columns["close"])), period)

    return columns.shared(("relative_strength", period), compute)


def stochastic(columns: Columns, window: int) -> Floats:
    """Where the close lies between the window's lowest low and highest high, 0 to 100."""

    def compute() -> Floats:
        low = lowest(columns, "low", window)
        return ratio(columns["close"] - low, highest(columns, "high", window) - low, times=100.0)

    return columns.shared(("stochastic", window), compute)
