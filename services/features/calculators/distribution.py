"""Rolling statistics of what bars do: of returns, ranges, where they close, and volume."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from services.features.calculators import derived, windows
from services.features.calculators.declaration import declare
from services.features.calculators.windows import ratio, relative
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

WINDOWS = (5, 10, 20, 50)
EXTREME_WINDOWS = (10, 20, 50)  # of five values none lies two deviations away
EXTREME_DEVIATIONS = 2

Series = Callable[[Columns], Floats]
Statistic = Callable[[Columns, Series, int], Floats]

_declare = partial(declare, Family.STATISTICAL)


def _returns(columns: Columns) -> Floats:
    return derived.change(columns, "close", 1)


def _volume(columns: Columns) -> Floats:
    return columns["volume"]


def _height(columns: Columns) -> Floats:
    return columns.shared(("height",), lambda: relative(columns["high"], columns["low"]))


def _position(columns: Columns) -> Floats:
    def compute() -> Floats:
        high, low = columns["high"], columns["low"]
        return ratio(columns["close"] - low, high - low)

    return columns.shared(("close_position",), compute)


# What is described: name, inputs, bars it looks back itself, words.
_SERIES: dict[Series, tuple[str, str, int, str]] = {
    _returns: ("return", "close", 1, "one-bar relative changes of close"),
    derived.log_returns: ("log_return", "close", 1, "log returns"),
    _volume: ("volume", "volume", 0, "volumes"),
    _height: ("high_low_ratio", "high low", 0, "high / low - 1"),
    _position: ("close_position", "high low close", 0, "(close - low) / (high - low)"),
}


def _shapes(columns: Columns, series: Series, window: int) -> tuple[Floats, ...]:
    """As many as are declared of the series."""
    name, powers = _SERIES[series][0], max(_STATISTICS[each][2] for one, each in _DESCRIBED if one is series)
    key = ("shapes", name, window) if powers == 4 else ("shapes", name, window, powers)
    return columns.shared(key, lambda: windows.shapes(series(columns), window, powers))


def _mean(columns: Columns, series: Series, window: int) -> Floats:
    return _shapes(columns, series, window)[0]


def _std(columns: Columns, series: Series, window: int) -> Floats:
    return _shapes(columns, series, window)[1]


def _skew(columns: Columns, series: Series, window: int) -> Floats:
    return _shapes(columns, series, window)[2]


def _kurt(columns: Columns, series: Series, window: int) -> Floats:
    return _shapes(columns, series, window)[3]


# What is said of them: suffix, words, up to which power of the deviations it goes.
_STATISTICS: dict[Statistic, tuple[str, str, int]] = {
    _mean: ("mean", "mean", 1),
    _std: ("std", "sample standard deviation", 2),
    _skew: ("skew", "sample skewness, adjusted for bias (Joanes & Gill 1998),", 3),
    _kurt: ("kurt", "sample excess kurtosis, adjusted for bias (Joanes & Gill 1998),", 4),
}
_DESCRIBED: tuple[tuple[Series, Statistic], ...] = (
    (_returns, _skew),
    (_returns, _kurt),
    (derived.log_returns, _skew),
    (_volume, _skew),
    (_volume, _kurt),
    (_height, _mean),
    (_height, _std),
    (_position, _mean),
    (_position, _std),
)


def _described(series: Series, statistic: Statistic, window: int) -> Feature:
    name, inputs, back_bars, words = _SERIES[series]
    suffix, said, _ = _STATISTICS[statistic]
    return _declare(
        name.replace("_", " "),
        f"{name}_{suffix}_{window}",
        inputs,
        window - 1 + back_bars,
        f"The {said} of the last {window} bars' {words}.",
        lambda columns: statistic(columns, series, window),
        window=window,
    )


def _absolute_mean(columns: Columns, window: int) -> Floats:
    return columns.shared(
        ("absolute_return_mean", window), lambda: windows.means(np.abs(_returns(columns)), window)
    )


def _asymmetry(columns: Columns, window: int) -> Floats:
    return np.clip(ratio(windows.means(_returns(columns), window), _absolute_mean(columns, window)), -1, 1)


def _extreme_share(columns: Columns, window: int) -> Floats:
    return windows.shares_beyond(_returns(columns), window, EXTREME_DEVIATIONS)


def _correlation(columns: Columns, window: int) -> Floats:
    return windows.correlations(columns["close"], columns["volume"], window)


def _weighted_skew(columns: Columns, window: int) -> Floats:
    return windows.weighted_skewness(_returns(columns), columns["volume"], window)


def _of_window(window: int) -> tuple[Feature, ...]:
    return (
        *(_described(series, statistic, window) for series, statistic in _DESCRIBED),
        _declare(
            "return",
            f"abs_return_mean_{window}",
            "close",
            window,
            f"The mean of {window} absolute one-bar relative changes of close.",
            partial(_absolute_mean, window=window),
            window=window,
        ),
        _declare(
            "return",
            f"return_asymmetry_{window}",
            "close",
            window,
            f"The sum of {window} one-bar relative changes of close over that of their absolute values: 1 "
            "where all rise, -1 where all fall.",
            partial(_asymmetry, window=window),
            window=window,
        ),
        _declare(
            "price and volume",
            f"price_volume_correlation_{window}",
            "close volume",
            window - 1,
            f"Pearson's correlation of close and volume over {window} bars; NaN where one stood still.",
            partial(_correlation, window=window),
            window=window,
        ),
        _declare(
            "price and volume",
            f"volume_weighted_return_skew_{window}",
            "close volume",
            window,
            f"The skewness of {window} one-bar relative changes of close, each counted as often as its bar "
            "has volume.",
            partial(_weighted_skew, window=window),
            window=window,
        ),
    )


FEATURES: tuple[Feature, ...] = (
    *(feature for window in WINDOWS for feature in _of_window(window)),
    *(
        _declare(
            "return",
            f"extreme_return_share_{window}",
            "close",
            window,
            f"The share of {window} one-bar relative changes of close more than {EXTREME_DEVIATIONS} of "
            "their sample deviations away from their mean.",
            partial(_extreme_share, window=window),
            window=window,
            deviations=EXTREME_DEVIATIONS,
        )
        for window in EXTREME_WINDOWS
    ),
)
