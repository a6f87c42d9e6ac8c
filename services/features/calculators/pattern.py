"""Technical features of chart and candle patterns."""

from __future__ import annotations

from functools import partial

import numpy as np

from services.features.calculators import derived, windows
from services.features.calculators.declaration import declare
from services.features.calculators.price import gap
from services.features.calculators.windows import flag, ratio, relative, wilder_bars
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

_pattern = partial(declare, Family.TECHNICAL, "pattern")

_DIVERGENCE_BARS = wilder_bars(14) + 1 + 9
_GAP = 0.01
_RETRACEMENTS = (0.236, 0.382, 0.5, 0.618, 0.786)


def _divergence(columns: Columns, direction: float) -> Floats:
    """Price goes against `direction` while its oscillator goes with it."""
    price = direction * derived.slope(columns, "close", 10)
    oscillator = direction * windows.slopes(derived.relative_strength(columns, 14), 10)
    return flag((price < 0.0) & (oscillator > 0.0), price, oscillator)


def _support(columns: Columns) -> Floats:
    return ratio(columns["close"] - derived.lowest(columns, "low", 20), columns["close"])


def _resistance(columns: Columns) -> Floats:
    return ratio(derived.highest(columns, "high", 20) - columns["close"], columns["close"])


def _pivot(columns: Columns) -> Floats:
    return relative(columns["close"], derived.typical_price(columns), back=1)


def _retracement(columns: Columns, share: float) -> Floats:
    high, low = derived.highest(columns, "high", 20), derived.lowest(columns, "low", 20)
    return ratio(columns["close"] - (high - share * (high - low)), columns["close"])


def _body(columns: Columns) -> Floats:
    return np.abs(columns["close"] - columns["open"])


def _upper(columns: Columns) -> Floats:
    return columns["high"] - np.maximum(columns["open"], columns["close"])


def _lower(columns: Columns) -> Floats:
    return np.minimum(columns["open"], columns["close"]) - columns["low"]


def _before(x: Floats, window: int) -> Floats:
    """The mean of the `window` bars before the current one: TA-Lib's measure of what is usual."""
    return windows.lag(windows.means(x, window), 1)


def _usual_body(columns: Columns) -> Floats:
    return columns.shared(("usual_body",), lambda: _before(_body(columns), 10))


def _usual_span(columns: Columns) -> Floats:
    return columns.shared(("usual_span",), lambda: _before(columns["high"] - columns["low"], 10))


def _doji(columns: Columns) -> Floats:
    span = _usual_span(columns)
    return flag(_body(columns) <= 0.1 * span, span, columns["open"], columns["close"])


def _hammer(columns: Columns) -> Floats:
    near = 0.2 * _before(columns["high"] - columns["low"], 5)
    near_low = windows.lag(columns["low"] + near, 1)
    body = _body(columns)
    holds = (
        (body < _usual_body(columns))
        & (_lower(columns) > body)
        & (_upper(columns) < 0.1 * _usual_span(columns))
        & (np.minimum(columns["open"], columns["close"]) <= near_low)
    )
    return flag(holds, _usual_body(columns), _usual_span(columns), _upper(columns), _lower(columns))


def _shooting_star(columns: Columns) -> Floats:
    body = _body(columns)
    top_before = windows.lag(np.maximum(columns["open"], columns["close"]), 1)
    holds = (
        (body < _usual_body(columns))
        & (_upper(columns) > body)
        & (_lower(columns) < 0.1 * _usual_span(columns))
        & (np.minimum(columns["open"], columns["close"]) > top_before)
    )
    return flag(holds, _usual_body(columns), _usual_span(columns), _upper(columns), _lower(columns))


FEATURES: tuple[Feature, ...] = (
    _pattern(
        "bull_divergence_10",
        "close",
        _DIVERGENCE_BARS,
        "1 when over 10 bars the slope of close is negative and that of rsi_14 positive, else 0.",
        partial(_divergence, direction=1.0),
        window=10,
        rsi_period=14,
    ),
    _pattern(
        "bear_divergence_10",
        "close",
        _DIVERGENCE_BARS,
        "1 when over 10 bars the slope of close is positive and that of rsi_14 negative, else 0.",
        partial(_divergence, direction=-1.0),
        window=10,
        rsi_period=14,
    ),
    _pattern(
        "support_distance_20",
        "low close",
        19,
        "(close - lowest low of 20 bars) / close.",
        _support,
        window=20,
    ),
    _pattern(
        "resistance_distance_20",
        "high close",
        19,
        "(highest high of 20 bars - close) / close.",
        _resistance,
        window=20,
    ),
    _pattern(
        "pivot_distance",
        "high low close",
        1,
        "The close over the pivot, (high + low + close) / 3 of the bar before, minus 1: a fraction.",
        _pivot,
    ),
    *(
        _pattern(
            f"fib_{round(share * 1000)}_distance_20",
            "high low close",
            19,
            f"(close - level) / close, the level {share * 100:.1f} % of the way from the highest high to the "
            "lowest low of 20 bars.",
            partial(_retracement, share=share),
            window=20,
            share=share,
        )
        for share in _RETRACEMENTS
    ),
    _pattern(
        "gap_up_1pct",
        "open close",
        1,
        "1 when the open lies more than 1 % above the close before it, else 0.",
        lambda columns: flag(gap(columns) > _GAP, gap(columns)),
        threshold=_GAP,
    ),
    _pattern(
        "gap_down_1pct",
        "open close",
        1,
        "1 when the open lies more than 1 % below the close before it, else 0.",
        lambda columns: flag(gap(columns) < -_GAP, gap(columns)),
        threshold=_GAP,
    ),
    _pattern(
        "gap_size",
        "open close",
        1,
        "|open / the close before it - 1|: a fraction.",
        lambda columns: np.abs(gap(columns)),
    ),
    _pattern(
        "doji",
        "open high low close",
        10,
        "1 when the body is at most 10 % of the mean range of the 10 bars before (TA-Lib CDLDOJI), else 0.",
        _doji,
        window=10,
    ),
    _pattern(
        "hammer",
        "open high low close",
        10,
        "1 when a small body near or under the low before has a long lower and almost no upper shadow "
        "(TA-Lib CDLHAMMER), else 0.",
        _hammer,
        window=10,
    ),
    _pattern(
        "shooting_star",
        "open high low close",
        10,
        "1 when a small body above the body before has a long upper and almost no lower shadow "
        "(TA-Lib CDLSHOOTINGSTAR), else 0.",
        _shooting_star,
        window=10,
    ),
)
