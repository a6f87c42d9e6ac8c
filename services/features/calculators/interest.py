"""Open interest: how much the crowd holds, by windows of bars."""

from __future__ import annotations

from functools import partial

import numpy as np

from services.features.calculators import derived, windows
from services.features.calculators.declaration import declare
from services.features.calculators.funding import score
from services.features.calculators.settlements import known
from services.features.calculators.windows import ratio, relative
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

CHANGE_BARS = (1, 6, 24)
MEAN_WINDOWS = (6, 24, 168)
LEVEL_WINDOW = 168
VOLATILITY_WINDOW = 20
CORRELATION_WINDOW = 24
MOMENTUM_BARS = 10

INTEREST = "open_interest"
_declare = partial(declare, Family.MARKET)


def known_open_interest(columns: Columns) -> Floats:
    return known(columns, "open_interest")


def interest_change(columns: Columns, bars: int) -> Floats:
    def compute() -> Floats:
        interest = known_open_interest(columns)
        return relative(interest, interest, back=bars)

    return columns.shared(("open_interest_change", bars), compute)


def interest_mean(columns: Columns, window: int) -> Floats:
    if window == LEVEL_WINDOW:
        return _level(columns)[0]
    return columns.shared(
        ("open_interest_mean", window), lambda: windows.means(known_open_interest(columns), window)
    )


def _level(columns: Columns) -> tuple[Floats, ...]:
    """Mean and sample deviation."""
    return columns.shared(
        ("open_interest_level",), lambda: windows.shapes(known_open_interest(columns), LEVEL_WINDOW, 2)
    )


def _deviation(columns: Columns, window: int) -> Floats:
    return relative(known_open_interest(columns), interest_mean(columns, window))


def interest_z_score(columns: Columns) -> Floats:
    return columns.shared(
        ("openinterest_z_score",), lambda: score(known_open_interest(columns), *_level(columns))
    )


FEATURES: tuple[Feature, ...] = (
    *(
        _declare(
            "open interest",
            f"open_interest_change_{bars}",
            INTEREST,
            bars,
            f"The relative change of open interest over {bars} bars, a fraction.",
            partial(interest_change, bars=bars),
            bars=bars,
        )
        for bars in CHANGE_BARS
    ),
    *(
        _declare(
            "open interest",
            f"open_interest_mean_{window}",
            INTEREST,
            window - 1,
            f"The mean open interest of the last {window} bars, in the venue's unit.",
            partial(interest_mean, window=window),
            window=window,
        )
        for window in MEAN_WINDOWS
    ),
    *(
        _declare(
            "open interest",
            f"open_interest_deviation_{window}",
            INTEREST,
            window - 1,
            f"Open interest over its mean of the last {window} bars, minus 1.",
            partial(_deviation, window=window),
            window=window,
        )
        for window in MEAN_WINDOWS
    ),
    _declare(
        "open interest",
        "open_interest_trend_24_168",
        INTEREST,
        167,
        "The mean open interest of the last 24 bars over that of the last 168, minus 1.",
        lambda columns: relative(interest_mean(columns, 24), interest_mean(columns, 168)),
        short=24,
        long=168,
    ),
    _declare(
        "open interest",
        f"open_interest_zscore_{LEVEL_WINDOW}",
        INTEREST,
        LEVEL_WINDOW - 1,
        f"Open interest in sample deviations from the mean of the last {LEVEL_WINDOW} bars.",
        interest_z_score,
        window=LEVEL_WINDOW,
    ),
    _declare(
        "open interest",
        f"open_interest_surge_{LEVEL_WINDOW}",
        INTEREST,
        LEVEL_WINDOW,
        f"1 where the one-bar change is above the 90% quantile of the last {LEVEL_WINDOW} changes, else 0.",
        lambda columns: windows.above(interest_change(columns, 1), LEVEL_WINDOW, 0.9),
        window=LEVEL_WINDOW,
        quantile=0.9,
    ),
    _declare(
        "open interest",
        f"open_interest_volatility_adjusted_{VOLATILITY_WINDOW}",
        f"{INTEREST} close",
        VOLATILITY_WINDOW,
        f"The one-bar change over the sample deviation of the last {VOLATILITY_WINDOW} log returns.",
        lambda columns: ratio(
            interest_change(columns, 1), derived.return_deviation(columns, VOLATILITY_WINDOW)
        ),
        window=VOLATILITY_WINDOW,
    ),
    _declare(
        "open interest",
        f"open_interest_price_correlation_{CORRELATION_WINDOW}",
        f"{INTEREST} close",
        CORRELATION_WINDOW,
        f"Pearson's correlation of the last {CORRELATION_WINDOW} one-bar relative changes of open interest "
        "and close; NaN where one stood still.",
        lambda columns: windows.correlations(
            interest_change(columns, 1), derived.change(columns, "close", 1), CORRELATION_WINDOW
        ),
        window=CORRELATION_WINDOW,
    ),
    _declare(
        "interaction",
        "open_interest_price_divergence_24",
        f"{INTEREST} close",
        24,
        "The 24-bar relative change of open interest minus that of close.",
        lambda columns: interest_change(columns, 24) - derived.change(columns, "close", 24),
        bars=24,
    ),
    _declare(
        "interaction",
        f"open_interest_momentum_alignment_{MOMENTUM_BARS}",
        f"{INTEREST} close",
        MOMENTUM_BARS,
        f"1 where open interest and close moved the same way over {MOMENTUM_BARS} bars, -1 where they did "
        "not, 0 where one stood still.",
        lambda columns: (
            np.sign(interest_change(columns, MOMENTUM_BARS))
            * np.sign(derived.change(columns, "close", MOMENTUM_BARS))
        ),
        bars=MOMENTUM_BARS,
    ),
)
