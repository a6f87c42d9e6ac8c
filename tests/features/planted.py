"""Features that see the future, or more of the past than they say: what an audit must name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from services.features.columns import Columns
from services.features.feature import Family, Feature
from services.features.plan import Plan


def planted(
    name: str, lookback_bars: int, compute: Callable[[pd.Series], pd.Series], column: str = "close"
) -> Feature:
    """A feature of the closes, or of another column, by their times."""

    def of_column(columns: Columns) -> np.ndarray:
        values = pd.Series(columns[column], columns.open_time)
        return np.array(compute(values), dtype=np.float64)

    return Feature(name, Family.SERIES, "planted", (column,), {}, lookback_bars, "A fault.", of_column)


def _shifted_from_the_future(close: pd.Series) -> pd.Series:
    back = -3
    return close.shift(back)


def _bucket_at_its_start(close: pd.Series) -> pd.Series:
    """The last close of four hours, known at the first of them."""
    return close.resample("4h").last().reindex(close.index, method="ffill")


FUTURE_SHIFT = planted("future_shift", 0, _shifted_from_the_future)
CENTRED_WINDOW = planted("centred_window", 8, lambda close: close.rolling(9, center=True).mean())
WHOLE_ZSCORE = planted("whole_zscore", 0, lambda close: (close - close.mean()) / close.std())
WHOLE_QUANTILE = planted("whole_quantile", 0, lambda close: (close > close.quantile(0.9)).astype(float))
SHORT_EMA = planted("short_ema", 23, lambda close: close.ewm(span=24, adjust=False).mean())
RESAMPLE_AT_START = planted("resample_at_start", 3, _bucket_at_its_start)
FILLED_BACKWARDS = planted("filled_backwards", 0, lambda close: close.where(close > close.shift(1)).bfill())
SINCE_THE_START = planted("since_the_start", 0, lambda close: close.diff().abs().cumsum())

# Faults that only a reference's columns show.
REFERENCE_FROM_THE_FUTURE = planted(
    "reference_from_the_future", 0, _shifted_from_the_future, "reference_close"
)
REFERENCE_FILLED_BACKWARDS = planted(
    "reference_filled_backwards", 0, lambda volume: volume.bfill(), "reference_volume"
)

LEAKS = (
    FUTURE_SHIFT,
    CENTRED_WINDOW,
    WHOLE_ZSCORE,
    WHOLE_QUANTILE,
    RESAMPLE_AT_START,
    FILLED_BACKWARDS,
)
OVERREACHING = (SHORT_EMA, SINCE_THE_START)


def with_planted(plan: Plan, features: Sequence[Feature]) -> Plan:
    """A plan that has these features, too."""
    return dataclasses.replace(
        plan,
        names=(*plan.names, *(feature.name for feature in features)),
        features=(*plan.features, *features),
    )
