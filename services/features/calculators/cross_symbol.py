"""What another instrument, the reference, says of this one: a market's leader of those that follow it.

Beta and what it leaves are of the market model (Sharpe 1963), of one-bar log returns over a rolling window.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from services.features.calculators import derived, pairs
from services.features.calculators.declaration import declare
from services.features.calculators.funding import z_scores
from services.features.calculators.windows import relative
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

RETURN_BARS = (1, 6, 24, 72)
RATIO_WINDOWS = (24, 168)
TREND_WINDOWS = ((6, 24), (24, 168))
BETA_WINDOWS = (24, 72, 168)
SHIFT_WINDOWS = (24, 168)
RESIDUAL_WINDOWS = (24, 168)
RESIDUAL_WINDOW = 72
LEAD_BARS, LEAD_WINDOW = (1, 2, 3), 72
VOLATILITY_WINDOWS = (24, 168)
VOLUME_WINDOWS = (24, 168)
FUNDING_WINDOW = 168
INTEREST_BARS = (6, 24)
MOMENTUM_BARS = (1, 6, 24)

_PRICES = f"close {pairs.REFERENCE}"
_declare = partial(declare, Family.CROSS_SYMBOL)


def _windowed(
    group: str,
    name: str,
    inputs: str,
    windows: tuple[int, ...],
    description: str,
    compute: Callable[[Columns, int], Floats],
    *,
    back_bars: int = 0,
) -> tuple[Feature, ...]:
    """A feature for each window, which looks `back_bars` further than the others of its bars; WINDOW in the
    description stands for it."""
    return tuple(
        _declare(
            group,
            f"{name}_{window}",
            inputs,
            window - 1 + back_bars,
            description.replace("WINDOW", str(window)),
            partial(_of_window, compute, window),
            window=window,
        )
        for window in windows
    )


def _of_window(compute: Callable[[Columns, int], Floats], window: int, columns: Columns) -> Floats:
    return compute(columns, window)


def _ratio_trend(columns: Columns, short: int, long: int) -> Floats:
    return pairs.price_ratio_mean(columns, short) - pairs.price_ratio_mean(columns, long)


def _return_difference(columns: Columns, bars: int) -> Floats:
    return pairs.own_return(columns, bars) - pairs.reference_return(columns, bars)


def _reference_trend(columns: Columns, short: int, long: int) -> Floats:
    newest, usual = (derived.mean(columns, pairs.REFERENCE, window) for window in (short, long))
    return relative(newest, usual)


FEATURES: tuple[Feature, ...] = (
    *(
        _declare(
            "relative strength",
            f"cross_return_difference_{bars}",
            _PRICES,
            bars,
            f"The log return of the last {bars} bars minus the reference's.",
            partial(_return_difference, bars=bars),
            bars=bars,
        )
        for bars in RETURN_BARS
    ),
    *_windowed(
        "relative strength",
        "cross_price_ratio_zscore",
        _PRICES,
        RATIO_WINDOWS,
        "ln(close / the reference's close) in sample deviations from its mean of the last WINDOW bars, as "
        "pairs are traded by it (Gatev, Goetzmann, Rouwenhorst 2006).",
        lambda columns, window: z_scores(pairs.price_ratio(columns), window),
    ),
    *(
        _declare(
            "relative strength",
            f"cross_price_ratio_trend_{short}_{long}",
            _PRICES,
            long - 1,
            f"The mean of ln(close / the reference's close) of the last {short} bars minus that of the last "
            f"{long}.",
            partial(_ratio_trend, short=short, long=long),
            short_window=short,
            long_window=long,
        )
        for short, long in TREND_WINDOWS
    ),
    *_windowed(
        "market model",
        "cross_beta",
        _PRICES,
        BETA_WINDOWS,
        "The least-squares slope of the last WINDOW one-bar log returns against the reference's (Sharpe "
        "1963); NaN where the reference stood still.",
        pairs.beta,
        back_bars=1,
    ),
    _declare(
        "market model",
        f"cross_beta_shift_{SHIFT_WINDOWS[0]}_{SHIFT_WINDOWS[1]}",
        _PRICES,
        SHIFT_WINDOWS[1],
        f"cross_beta_{SHIFT_WINDOWS[0]} minus cross_beta_{SHIFT_WINDOWS[1]}.",
        lambda columns: pairs.beta(columns, SHIFT_WINDOWS[0]) - pairs.beta(columns, SHIFT_WINDOWS[1]),
        short_window=SHIFT_WINDOWS[0],
        long_window=SHIFT_WINDOWS[1],
    ),
    *_windowed(
        "market model",
        "cross_correlation",
        _PRICES,
        BETA_WINDOWS,
        "Pearson's correlation of the last WINDOW one-bar log returns with the reference's; NaN where one "
        "stood still.",
        pairs.correlation,
        back_bars=1,
    ),
    *_windowed(
        "market model",
        "cross_unexplained_share",
        _PRICES,
        (RESIDUAL_WINDOW,),
        "1 - cross_correlation_WINDOW squared: the share of the variance of returns that the reference's do "
        "not explain.",
        pairs.unexplained,
        back_bars=1,
    ),
    *_windowed(
        "market model",
        "cross_idiosyncratic_return",
        _PRICES,
        RESIDUAL_WINDOWS,
        "The one-bar log return minus cross_beta_WINDOW times the reference's.",
        pairs.idiosyncratic_return,
        back_bars=1,
    ),
    *_windowed(
        "market model",
        "cross_idiosyncratic_volatility",
        _PRICES,
        (RESIDUAL_WINDOW,),
        "The deviation (divisor WINDOW - 2) of what the line of cross_beta_WINDOW leaves of the last WINDOW "
        "returns, times the root of the bars in a day.",
        pairs.idiosyncratic_volatility,
        back_bars=1,
    ),
    *(
        _declare(
            "lead",
            f"cross_lead_correlation_{bars}_{LEAD_WINDOW}",
            _PRICES,
            LEAD_WINDOW + bars,
            f"Pearson's correlation of the last {LEAD_WINDOW} one-bar log returns with the reference's "
            f"{bars} bars before each (Lo, MacKinlay 1990); NaN where one stood still.",
            partial(pairs.lead_correlation, bars=bars, window=LEAD_WINDOW),
            bars=bars,
            window=LEAD_WINDOW,
        )
        for bars in LEAD_BARS
    ),
    *_windowed(
        "volatility",
        "cross_volatility_ratio",
        _PRICES,
        VOLATILITY_WINDOWS,
        "The sample deviation of the last WINDOW one-bar log returns over that of the reference's; NaN where "
        "the reference stood still.",
        pairs.volatility_ratio,
        back_bars=1,
    ),
    *_windowed(
        "volume",
        "cross_volume_zscore_difference",
        "volume reference_volume",
        VOLUME_WINDOWS,
        "The volume in sample deviations from its mean of the last WINDOW bars, minus the same of the "
        "reference's.",
        pairs.volume_difference,
    ),
    _declare(
        "funding",
        "cross_funding_spread",
        "funding_rate reference_funding_rate",
        0,
        "The newest known funding rate minus the reference's, each for its own interval.",
        pairs.funding_spread,
    ),
    *_windowed(
        "funding",
        "cross_funding_spread_zscore",
        "funding_rate reference_funding_rate",
        (FUNDING_WINDOW,),
        "cross_funding_spread in sample deviations from its mean of the last WINDOW bars.",
        lambda columns, window: z_scores(pairs.funding_spread(columns), window),
    ),
    *(
        _declare(
            "open interest",
            f"cross_open_interest_growth_difference_{bars}",
            "open_interest reference_open_interest",
            bars,
            f"The relative change of open interest over {bars} bars minus that of the reference's.",
            partial(pairs.open_interest_difference, bars=bars),
            bars=bars,
        )
        for bars in INTEREST_BARS
    ),
    *(
        _declare(
            "reference",
            f"reference_log_return_{bars}",
            pairs.REFERENCE,
            bars,
            f"The reference's log return of the last {bars} bars.",
            partial(pairs.reference_return, bars=bars),
            bars=bars,
        )
        for bars in MOMENTUM_BARS
    ),
    *_windowed(
        "reference",
        "reference_realized_vol",
        pairs.REFERENCE,
        VOLATILITY_WINDOWS,
        "The sample deviation of the reference's last WINDOW log returns times the root of the bars in a "
        "day.",
        pairs.reference_volatility,
        back_bars=1,
    ),
    _declare(
        "reference",
        "reference_trend_strength_24_168",
        pairs.REFERENCE,
        167,
        "The mean of the reference's last 24 closes over that of its last 168, minus 1.",
        partial(_reference_trend, short=24, long=168),
        short_window=24,
        long_window=168,
    ),
)
