"""Rolling statistics of close and volume."""

from __future__ import annotations

from functools import partial

from services.features.calculators import derived
from services.features.calculators.declaration import declare
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

WINDOWS = (5, 10, 20, 50)

_declare = partial(declare, Family.STATISTICAL)


def _mean(columns: Columns, name: str, window: int) -> Floats:
    return derived.mean(columns, name, window)


def _std(columns: Columns, name: str, window: int) -> Floats:
    return derived.shapes(columns, name, window)[1]


def _skew(columns: Columns, name: str, window: int) -> Floats:
    return derived.shapes(columns, name, window)[2]


def _kurt(columns: Columns, name: str, window: int) -> Floats:
    return derived.shapes(columns, name, window)[3]


def _q25(columns: Columns, name: str, window: int) -> Floats:
    return derived.quartiles(columns, name, window)[0]


def _median(columns: Columns, name: str, window: int) -> Floats:
    return derived.quartiles(columns, name, window)[1]


def _q75(columns: Columns, name: str, window: int) -> Floats:
    return derived.quartiles(columns, name, window)[2]


def _iqr(columns: Columns, name: str, window: int) -> Floats:
    return _q75(columns, name, window) - _q25(columns, name, window)


def _range(columns: Columns, name: str, window: int) -> Floats:
    return derived.highest(columns, name, window) - derived.lowest(columns, name, window)


_STATISTICS = {
    "mean": (_mean, "arithmetic mean"),
    "std": (_std, "sample standard deviation (divisor n - 1)"),
    "skew": (_skew, "sample skewness, adjusted for bias (Joanes & Gill 1998)"),
    "kurt": (_kurt, "sample excess kurtosis, adjusted for bias (Joanes & Gill 1998)"),
    "q25": (_q25, "25 % quantile, linear between order statistics"),
    "q75": (_q75, "75 % quantile, linear between order statistics"),
    "median": (_median, "median"),
    "range": (_range, "highest minus lowest"),
    "iqr": (_iqr, "75 % quantile minus 25 % quantile"),
}


def _rolling(name: str, statistic: str, window: int) -> Feature:
    compute, words = _STATISTICS[statistic]
    return _declare(
        name,
        f"{name}_{statistic}_{window}",
        name,
        window - 1,
        f"The {words} of the last {window} bars' {name}.",
        lambda columns: compute(columns, name, window),
        window=window,
    )


FEATURES: tuple[Feature, ...] = (
    *(_rolling("close", statistic, window) for window in WINDOWS for statistic in _STATISTICS),
    *(_rolling("volume", statistic, window) for window in WINDOWS for statistic in ("mean", "std")),
)
