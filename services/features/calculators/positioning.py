"""Open interest against price, volume and the funding rate: who holds, who adds, and who is forced out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from services.features.calculators import derived, windows
from services.features.calculators.compiling import INPUT, OUTPUT, compiled
from services.features.calculators.declaration import declare
from services.features.calculators.funding import (
    FUNDING,
    LEVEL_SETTLEMENTS,
    funding_change,
    funding_z_score,
    z_scores,
)
from services.features.calculators.interest import (
    INTEREST,
    LEVEL_WINDOW,
    MOMENTUM_BARS,
    interest_change,
    interest_z_score,
    known_open_interest,
)
from services.features.calculators.settlements import known_funding_rate
from services.features.calculators.windows import flag, ratio, relative
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

DAY = 24
WINDOW = 20
RSI_PERIOD = 14
FAST_SPAN, SLOW_SPAN = 12, 26

_declare = partial(declare, Family.MARKET)


def _settled(declared: Feature, count: int) -> Feature:
    """A feature that also reads the last `count` settlements."""
    parameters = {**declared.parameters, "settlements": count}
    return replace(declared, lookback_settlements=count, parameters=parameters)


def _strength(columns: Columns) -> Floats:
    interest = known_open_interest(columns)
    return derived.strength(derived.rises_and_falls(interest), RSI_PERIOD)


def _fast_over_slow(columns: Columns) -> Floats:
    interest = known_open_interest(columns)
    return relative(windows.emas(interest, FAST_SPAN), windows.emas(interest, SLOW_SPAN))


def _price_regime(columns: Columns) -> Floats:
    price = np.sign(derived.change(columns, "close", DAY))
    return price * (1.5 + 0.5 * np.sign(interest_change(columns, DAY)))


@compiled(OUTPUT(INPUT, INPUT))
def _opposites(x, y):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """1 where one is positive and the other negative, else 0."""
    result = np.empty(x.size)
    for k in range(x.size):
        is_opposite = (x[k] < 0.0 and y[k] > 0.0) or (x[k] > 0.0 and y[k] < 0.0)
        is_known = x[k] == x[k] and y[k] == y[k]
        result[k] = (1.0 if is_opposite else 0.0) if is_known else np.nan
    return result


def _disagreement(columns: Columns) -> Floats:
    return windows.means(_opposites(derived.change(columns, "close", 1), interest_change(columns, 1)), DAY)


def _weighted(columns: Columns, series: Callable[[Columns], Floats], window: int) -> Floats:
    """The mean of the last `window` values, each weighted by open interest."""

    def compute() -> tuple[Floats, Floats]:
        values, interest = series(columns), known_open_interest(columns)
        return values * interest, interest + 0.0 * values  # missing where the value is

    weighted, weights = columns.shared(("weighted_by_interest", series), compute)
    return ratio(windows.sums(weighted, window), windows.sums(weights, window))


def _weighted_funding(columns: Columns, window: int) -> Floats:
    return _weighted(columns, known_funding_rate, window)


def _close(columns: Columns) -> Floats:
    return columns["close"]


def _price_deviation(columns: Columns) -> Floats:
    return relative(columns["close"], _weighted(columns, _close, DAY))


def _volume_of(columns: Columns, window: int) -> Floats:
    return derived.mean(columns, "volume", window) * window


def _flow(columns: Columns) -> Floats:
    return windows.sums(derived.close_location(columns) * interest_change(columns, 1), DAY)


def _efficiency(columns: Columns) -> Floats:
    turnover = ratio(_volume_of(columns, WINDOW), known_open_interest(columns))
    return ratio(np.abs(derived.change(columns, "close", WINDOW)), turnover)


@compiled(OUTPUT(INPUT, INPUT, INPUT))
def _liquidations(change, returns, deviation):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """What was closed, times minus the return in deviations."""
    result = np.empty(change.size)
    for k in range(change.size):
        closed = 0.0 if change[k] >= 0.0 else -change[k]
        unusual = returns[k] / deviation[k] if deviation[k] != 0.0 else np.nan
        result[k] = closed * -unusual
    return result


def _liquidation(columns: Columns) -> Floats:
    return columns.shared(
        ("liquidation", WINDOW),
        lambda: _liquidations(
            interest_change(columns, 1),
            derived.log_returns(columns),
            derived.return_deviation(columns, WINDOW),
        ),
    )


def _squeeze(columns: Columns) -> Floats:
    crowd = funding_z_score(columns) * np.maximum(interest_z_score(columns), 0.0)
    return -crowd * np.sign(derived.change(columns, "close", DAY))


def _confirmed(columns: Columns) -> Floats:
    price = np.sign(derived.change(columns, "close", MOMENTUM_BARS))
    rate = np.sign(known_funding_rate(columns))
    agreed = flag(price * rate > 0.0, price, rate)
    return agreed * interest_change(columns, MOMENTUM_BARS)


def _stress(columns: Columns) -> Floats:
    volatility = z_scores(derived.realized_volatility(columns, WINDOW), LEVEL_WINDOW)
    return np.hypot(np.hypot(funding_z_score(columns), interest_z_score(columns)), volatility)


def _of_interest(
    name: str,
    inputs: str,
    lookback_bars: int,
    description: str,
    compute: Callable[[Columns], Floats],
    **parameters: float | int,
) -> Feature:
    return _declare(
        "positioning", name, f"{INTEREST} {inputs}".strip(), lookback_bars, description, compute, **parameters
    )


FEATURES: tuple[Feature, ...] = (
    _of_interest(
        f"open_interest_rsi_{RSI_PERIOD}",
        "",
        windows.wilder_bars(RSI_PERIOD) + 1,
        "Wilder's RSI of open interest, 0 to 100; NaN where it stood still.",
        _strength,
        period=RSI_PERIOD,
    ),
    _of_interest(
        f"open_interest_macd_{FAST_SPAN}_{SLOW_SPAN}",
        "",
        windows.ema_bars(SLOW_SPAN),
        f"The exponential mean of open interest of span {FAST_SPAN} over that of {SLOW_SPAN}, minus 1.",
        _fast_over_slow,
        fast_span=FAST_SPAN,
        slow_span=SLOW_SPAN,
    ),
    _of_interest(
        f"open_interest_price_regime_{DAY}",
        "close",
        DAY,
        f"Over {DAY} bars: 2 price and open interest rose (new longs), 1 only price (shorts closed), -1 both "
        "fell (longs closed), -2 price fell and open interest rose (new shorts).",
        _price_regime,
        bars=DAY,
    ),
    _of_interest(
        f"open_interest_price_disagreement_{DAY}",
        "close",
        DAY,
        f"The share of {DAY} bars in which open interest and close moved in opposite directions.",
        _disagreement,
        window=DAY,
    ),
    _of_interest(
        f"open_interest_weighted_price_deviation_{DAY}",
        "close",
        DAY - 1,
        f"The close over the mean of the last {DAY}, each weighted by open interest, minus 1.",
        _price_deviation,
        window=DAY,
    ),
    _of_interest(
        "volume_open_interest_ratio",
        "volume",
        0,
        "The volume over open interest, in the venue's units.",
        lambda columns: ratio(columns["volume"], known_open_interest(columns)),
    ),
    _of_interest(
        f"leverage_ratio_{DAY}",
        "volume",
        DAY - 1,
        f"Open interest over the volume of {DAY} bars: how much must be traded to close it, without a "
        "guess of the supply.",
        lambda columns: ratio(known_open_interest(columns), _volume_of(columns, DAY)),
        window=DAY,
    ),
    _of_interest(
        f"open_interest_volume_interaction_{WINDOW}",
        "volume",
        WINDOW - 1,
        f"The one-bar relative change of open interest times volume_ratio_{WINDOW}.",
        lambda columns: interest_change(columns, 1) * derived.volume_ratio(columns, WINDOW),
        window=WINDOW,
    ),
    _of_interest(
        f"open_interest_flow_{DAY}",
        "high low close",
        DAY,
        f"The sum over {DAY} bars of the relative change of open interest times where the close lies in its "
        "bar, -1 to 1: positions opened into strength.",
        _flow,
        window=DAY,
    ),
    _of_interest(
        f"liquidity_efficiency_{WINDOW}",
        "close volume",
        WINDOW,
        f"The absolute relative change of close over {WINDOW} bars over their volume in open interests.",
        _efficiency,
        window=WINDOW,
    ),
    _of_interest(
        f"liquidation_pressure_{WINDOW}",
        "close",
        WINDOW,
        "The share of open interest closed in the bar times minus the log return in sample deviations of the "
        f"last {WINDOW}: positive where longs, negative where shorts are forced out.",
        _liquidation,
        window=WINDOW,
    ),
    _of_interest(
        f"liquidation_cascade_{WINDOW}_{DAY}",
        "close",
        WINDOW + DAY - 1,
        f"The mean of the last {DAY} absolute values of liquidation_pressure_{WINDOW}.",
        lambda columns: windows.means(np.abs(_liquidation(columns)), DAY),
        volatility_window=WINDOW,
        window=DAY,
    ),
    *(
        _of_interest(
            f"open_interest_weighted_funding_{window}",
            "funding_rate",
            window - 1,
            f"The mean over {window} bars of the funding rate known at each, weighted by open interest.",
            partial(_weighted_funding, window=window),
            window=window,
        )
        for window in (DAY, LEVEL_WINDOW)
    ),
    _of_interest(
        f"open_interest_momentum_confirmed_{MOMENTUM_BARS}",
        "close funding_rate",
        MOMENTUM_BARS,
        f"The relative change of open interest over {MOMENTUM_BARS} bars where the price moved to the side "
        "that pays funding, else 0.",
        _confirmed,
        bars=MOMENTUM_BARS,
    ),
    _declare(
        "positioning",
        f"funding_price_correlation_{LEVEL_WINDOW}",
        "funding_rate close",
        LEVEL_WINDOW - 1,
        f"Pearson's correlation over {LEVEL_WINDOW} bars of the funding rate known at each and close; NaN "
        "where one stood still.",
        lambda columns: windows.correlations(known_funding_rate(columns), columns["close"], LEVEL_WINDOW),
        window=LEVEL_WINDOW,
    ),
    _settled(
        _of_interest(
            f"funding_open_interest_divergence_{DAY}",
            FUNDING,
            DAY,
            f"1 where the last change of the funding rate and the change of open interest over {DAY} bars "
            "have opposite signs, -1 where the same, 0 where one stood still.",
            lambda columns: -np.sign(funding_change(columns)) * np.sign(interest_change(columns, DAY)),
            bars=DAY,
        ),
        2,
    ),
    _settled(
        _of_interest(
            f"funding_open_interest_sentiment_{DAY}",
            FUNDING,
            DAY,
            f"The funding rate's z-score ({LEVEL_SETTLEMENTS} settlements) times the relative change of open "
            f"interest over {DAY} bars.",
            lambda columns: funding_z_score(columns) * interest_change(columns, DAY),
            bars=DAY,
        ),
        LEVEL_SETTLEMENTS,
    ),
    _settled(
        _of_interest(
            f"squeeze_score_{DAY}",
            f"close {FUNDING}",
            LEVEL_WINDOW - 1,
            f"The funding rate's z-score ({LEVEL_SETTLEMENTS} settlements) times that of open interest "
            f"({LEVEL_WINDOW} bars, at least 0), positive where the price moved against the side that pays "
            f"over {DAY} bars.",
            _squeeze,
            bars=DAY,
            window=LEVEL_WINDOW,
        ),
        LEVEL_SETTLEMENTS,
    ),
    _settled(
        _of_interest(
            f"market_stress_volatility_{WINDOW}",
            f"close {FUNDING}",
            WINDOW + LEVEL_WINDOW - 1,
            f"The length of the vector of the z-scores of the funding rate ({LEVEL_SETTLEMENTS} "
            f"settlements), open interest and realized_vol_{WINDOW} ({LEVEL_WINDOW} bars).",
            _stress,
            window=LEVEL_WINDOW,
            volatility_window=WINDOW,
        ),
        LEVEL_SETTLEMENTS,
    ),
)
