"""The funding rate: what the crowd pays to hold its side, by windows of settlements (`settlements.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from services.features.calculators import windows
from services.features.calculators.declaration import declare
from services.features.calculators.settlements import (
    BACK_BARS,
    Settlements,
    known_funding_rate,
    settlements,
)
from services.features.calculators.windows import ratio
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

MEAN_SETTLEMENTS = (3, 7, 14, 21)
SPREAD_SETTLEMENTS = (3, 7, 14)
LEVEL_SETTLEMENTS = 21  # a week at eight hours
TAIL_SETTLEMENTS = 42
TREND_SETTLEMENTS = 7
LAG_SETTLEMENTS, MOMENTUM_SETTLEMENTS = 3, 7
EMA_SPAN = 3
BASELINE_RATE = 1e-4  # what most venues settle at eight hours where nobody crowds
BASIS_POINTS = 1e4

FUNDING = "funding_rate funding_time"
_declare = partial(declare, Family.MARKET)


def _funding(
    group: str,
    name: str,
    window: int,
    description: str,
    compute: Callable[[Settlements], Floats],
    **parameters: float | int,
) -> Feature:
    """A feature of the last `window` settlements."""
    declared = _declare(
        group,
        name,
        FUNDING,
        BACK_BARS,
        description,
        lambda columns: compute(settlements(columns)),
        settlements=window,
        **parameters,
    )
    return replace(declared, lookback_settlements=window)


def _rolled(statistic: Callable[[Floats, int], Floats], window: int) -> Callable[[Settlements], Floats]:
    return lambda seen: seen.rolled(statistic, window)


def z_scores(x: Floats, window: int) -> Floats:
    return score(x, *windows.shapes(x, window, 2))


def score(x: Floats, mean: Floats, deviation: Floats) -> Floats:
    return ratio(x - mean, deviation)


def _rate_change(seen: Settlements) -> Floats:
    return seen.rates - windows.lag(seen.rates, 1)


def _regime(rates: Floats, window: int) -> Floats:
    return windows.above(rates, window, 0.9) - windows.below(rates, window, 0.1)


def _fast_over_slow(seen: Settlements) -> Floats:
    fast, slow = seen.rolled(windows.means, LAG_SETTLEMENTS), seen.rolled(windows.means, LEVEL_SETTLEMENTS)
    return fast - slow


def _price_divergence(columns: Columns) -> Floats:
    """The older settlement's price is that of the bar that first showed it, so a third one must stand before
    it: without that the history may start in the middle of its bars."""
    seen = settlements(columns)
    close = columns["close"]
    before = seen.at_bars(windows.lag(close[seen.bars], 1), 3)
    change = seen.at_bars(_rate_change(seen), 3)
    return -np.sign(close - before) * np.sign(change)


def funding_z_score(columns: Columns) -> Floats:
    return columns.shared(
        ("funding_z_score",), lambda: settlements(columns).rolled(z_scores, LEVEL_SETTLEMENTS)
    )


def funding_change(columns: Columns) -> Floats:
    """The newest rate minus the one settled before it, at the bars."""
    seen = settlements(columns)
    return seen.at_bars(_rate_change(seen), 2)


FEATURES: tuple[Feature, ...] = (
    _declare(
        "funding",
        "funding_rate",
        "funding_rate",
        0,
        "The newest funding rate known at the bar's close, a fraction of the position a settlement.",
        known_funding_rate,
    ),
    *(
        _funding(
            "funding",
            f"funding_rate_mean_{window}",
            window,
            f"The mean of the last {window} settlements' rates.",
            _rolled(windows.means, window),
        )
        for window in MEAN_SETTLEMENTS
    ),
    *(
        _funding(
            "funding",
            f"funding_rate_std_{window}",
            window,
            f"The sample standard deviation of the last {window} settlements' rates.",
            _rolled(windows.deviations, window),
        )
        for window in SPREAD_SETTLEMENTS
    ),
    *(
        _funding(
            "funding",
            f"funding_rate_sum_{window}",
            window,
            f"The sum of the last {window} settlements' rates: what holding a long cost.",
            _rolled(windows.sums, window),
        )
        for window in SPREAD_SETTLEMENTS
    ),
    _funding(
        "funding",
        "funding_rate_change",
        2,
        "The newest rate minus the one settled before it.",
        lambda seen: seen.at_bars(_rate_change(seen), 2),
    ),
    _funding(
        "funding",
        "funding_rate_change_abs",
        2,
        "The absolute difference of the newest rate and the one settled before it.",
        lambda seen: np.abs(seen.at_bars(_rate_change(seen), 2)),
    ),
    _funding(
        "funding",
        "funding_rate_change_rate",
        2,
        "The change since the settlement before, over that one's absolute rate; NaN where it was zero.",
        lambda seen: seen.at_bars(ratio(_rate_change(seen), np.abs(windows.lag(seen.rates, 1))), 2),
    ),
    _funding(
        "funding",
        f"funding_rate_trend_{TREND_SETTLEMENTS}",
        TREND_SETTLEMENTS,
        f"The least-squares slope of the last {TREND_SETTLEMENTS} rates, per settlement.",
        _rolled(windows.slopes, TREND_SETTLEMENTS),
    ),
    _funding(
        "funding",
        f"funding_rate_zscore_{LEVEL_SETTLEMENTS}",
        LEVEL_SETTLEMENTS,
        f"The newest rate in sample deviations from the mean of the last {LEVEL_SETTLEMENTS}; NaN where they "
        "are equal.",
        _rolled(z_scores, LEVEL_SETTLEMENTS),
    ),
    *(
        _funding(
            "funding",
            f"funding_rate_extreme_{side}_{window}",
            window,
            f"1 where the newest rate is {word} the {probability:.0%} quantile of the last {window}, else 0.",
            _rolled(partial(compute, probability=probability), window),
            quantile=probability,
        )
        for side, window, word, probability, compute in (
            ("high", LEVEL_SETTLEMENTS, "above", 0.9, windows.above),
            ("low", LEVEL_SETTLEMENTS, "below", 0.1, windows.below),
            ("positive", TAIL_SETTLEMENTS, "above", 0.95, windows.above),
            ("negative", TAIL_SETTLEMENTS, "below", 0.05, windows.below),
        )
    ),
    replace(
        _declare(
            "funding",
            "price_funding_divergence",
            f"close {FUNDING}",
            BACK_BARS,
            "1 where close and funding rate moved in opposite directions since the settlement before the "
            "newest, -1 where in the same, 0 where one stood still.",
            _price_divergence,
            settlements=3,
        ),
        lookback_settlements=3,
    ),
    _declare(
        "funding",
        "funding_rate_bps",
        "funding_rate",
        0,
        "The newest funding rate in basis points.",
        lambda columns: known_funding_rate(columns) * BASIS_POINTS,
    ),
    _declare(
        "funding",
        "funding_rate_deviation",
        "funding_rate",
        0,
        f"The newest funding rate minus the usual {BASELINE_RATE:.2%} a settlement.",
        lambda columns: known_funding_rate(columns) - BASELINE_RATE,
        baseline=BASELINE_RATE,
    ),
    _declare(
        "funding",
        "funding_rate_direction",
        "funding_rate",
        0,
        "1 where longs pay shorts, -1 where shorts pay longs, 0 where nobody pays.",
        lambda columns: np.sign(known_funding_rate(columns)),
    ),
    _funding(
        "funding",
        f"funding_rate_lag_{LAG_SETTLEMENTS}",
        LAG_SETTLEMENTS + 1,
        f"The rate {LAG_SETTLEMENTS} settlements before the newest.",
        lambda seen: seen.at_bars(windows.lag(seen.rates, LAG_SETTLEMENTS), LAG_SETTLEMENTS + 1),
        lag=LAG_SETTLEMENTS,
    ),
    _funding(
        "funding",
        f"funding_rate_momentum_{MOMENTUM_SETTLEMENTS}",
        MOMENTUM_SETTLEMENTS + 1,
        f"The newest rate minus the one {MOMENTUM_SETTLEMENTS} settlements before.",
        lambda seen: seen.at_bars(
            seen.rates - windows.lag(seen.rates, MOMENTUM_SETTLEMENTS), MOMENTUM_SETTLEMENTS + 1
        ),
        lag=MOMENTUM_SETTLEMENTS,
    ),
    _funding(
        "funding",
        "funding_rate_acceleration",
        3,
        "The change of the rate since the settlement before minus the change before that.",
        lambda seen: seen.at_bars(_rate_change(seen) - windows.lag(_rate_change(seen), 1), 3),
    ),
    _funding(
        "funding",
        f"funding_rate_ema_{EMA_SPAN}",
        windows.ema_bars(EMA_SPAN) + 1,
        f"The exponential mean of the rates with alpha = 2 / ({EMA_SPAN} + 1), per settlement.",
        lambda seen: seen.at_bars(windows.emas(seen.rates, EMA_SPAN), windows.ema_bars(EMA_SPAN) + 1),
        span=EMA_SPAN,
    ),
    _funding(
        "funding",
        f"funding_rate_spread_{LAG_SETTLEMENTS}_{LEVEL_SETTLEMENTS}",
        LEVEL_SETTLEMENTS,
        f"The mean of the last {LAG_SETTLEMENTS} rates minus that of the last {LEVEL_SETTLEMENTS}.",
        _fast_over_slow,
        short=LAG_SETTLEMENTS,
    ),
    _funding(
        "funding",
        f"funding_rate_zscore_{TAIL_SETTLEMENTS}",
        TAIL_SETTLEMENTS,
        f"The newest rate in sample deviations from the mean of the last {TAIL_SETTLEMENTS}; NaN where they "
        "are equal.",
        _rolled(z_scores, TAIL_SETTLEMENTS),
    ),
    _funding(
        "funding",
        f"funding_rate_regime_{LEVEL_SETTLEMENTS}",
        LEVEL_SETTLEMENTS,
        f"1 where the newest rate is above the 90% quantile of the last {LEVEL_SETTLEMENTS}, -1 where "
        "below the 10% quantile, else 0.",
        _rolled(_regime, LEVEL_SETTLEMENTS),
        quantile=0.9,
    ),
)
