"""Funding, open interest and price together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from services.features.calculators import derived, windows
from services.features.calculators.declaration import declare
from services.features.calculators.funding import (
    FUNDING,
    LEVEL_SETTLEMENTS,
    funding_z_score,
)
from services.features.calculators.interest import (
    INTEREST,
    LEVEL_WINDOW,
    interest_mean,
    interest_z_score,
    known_open_interest,
)
from services.features.calculators.settlements import known_funding_rate, settlements
from services.features.calculators.windows import flag, ratio
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

RSI_PERIOD = 14
RSI_BARS = windows.wilder_bars(RSI_PERIOD) + 1
_BACK_BARS = LEVEL_WINDOW - 1
_SCORES = (
    f"z-scores of the funding rate ({LEVEL_SETTLEMENTS} settlements) and open interest ({LEVEL_WINDOW} bars)"
)
_declare = partial(declare, Family.MARKET)


def _with_funding(
    group: str,
    name: str,
    inputs: str,
    lookback_bars: int,
    description: str,
    compute: Callable[[Columns], Floats],
    **parameters: float | int,
) -> Feature:
    """A feature that also reads the standing of the funding rate among the last settlements."""
    declared = _declare(
        group,
        name,
        f"{FUNDING} {inputs}",
        lookback_bars,
        description,
        compute,
        settlements=LEVEL_SETTLEMENTS,
        **parameters,
    )
    return replace(declared, lookback_settlements=LEVEL_SETTLEMENTS)


def _both(
    columns: Columns, extreme: Callable[[Floats, int], Floats], direction: float, limit: float
) -> Floats:
    is_extreme = settlements(columns).rolled(extreme, LEVEL_SETTLEMENTS)
    strength = derived.relative_strength(columns, RSI_PERIOD)
    is_beyond = direction * strength > direction * limit
    return flag((is_extreme == 1.0) & is_beyond, is_extreme, strength)


FEATURES: tuple[Feature, ...] = (
    _declare(
        "composite",
        "funding_open_interest_ratio",
        f"funding_rate {INTEREST}",
        _BACK_BARS,
        f"The funding rate over open interest relative to its mean of the last {LEVEL_WINDOW} bars.",
        lambda columns: ratio(
            known_funding_rate(columns),
            ratio(known_open_interest(columns), interest_mean(columns, LEVEL_WINDOW)),
        ),
        window=LEVEL_WINDOW,
    ),
    _with_funding(
        "composite",
        "market_heat_index",
        INTEREST,
        _BACK_BARS,
        f"The mean of the {_SCORES}: crowded longs are positive.",
        lambda columns: (funding_z_score(columns) + interest_z_score(columns)) / 2.0,
        window=LEVEL_WINDOW,
    ),
    _with_funding(
        "composite",
        "market_stress",
        INTEREST,
        _BACK_BARS,
        f"The length of the vector of the {_SCORES}.",
        lambda columns: np.hypot(funding_z_score(columns), interest_z_score(columns)),
        window=LEVEL_WINDOW,
    ),
    _with_funding(
        "composite",
        "market_balance",
        INTEREST,
        _BACK_BARS,
        f"1 / (1 + the sum of the absolute {_SCORES}): 1 is calm.",
        lambda columns: 1.0 / (1.0 + np.abs(funding_z_score(columns)) + np.abs(interest_z_score(columns))),
        window=LEVEL_WINDOW,
    ),
    _with_funding(
        "interaction",
        "funding_rsi_extreme",
        "close",
        RSI_BARS,
        f"The funding rate's z-score ({LEVEL_SETTLEMENTS} settlements) times (RSI {RSI_PERIOD} - 50) / 50.",
        lambda columns: (
            funding_z_score(columns) * (derived.relative_strength(columns, RSI_PERIOD) - 50.0) / 50.0
        ),
        period=RSI_PERIOD,
    ),
    _with_funding(
        "interaction",
        "funding_overbought",
        "close",
        RSI_BARS,
        f"1 where RSI {RSI_PERIOD} is above 70 and the funding rate above the 90% quantile of the last "
        f"{LEVEL_SETTLEMENTS} settlements, else 0.",
        lambda columns: _both(columns, partial(windows.above, probability=0.9), 1.0, 70.0),
        period=RSI_PERIOD,
    ),
    _with_funding(
        "interaction",
        "funding_oversold",
        "close",
        RSI_BARS,
        f"1 where RSI {RSI_PERIOD} is below 30 and the funding rate below the 10% quantile of the last "
        f"{LEVEL_SETTLEMENTS} settlements, else 0.",
        lambda columns: _both(columns, partial(windows.below, probability=0.1), -1.0, 30.0),
        period=RSI_PERIOD,
    ),
)
