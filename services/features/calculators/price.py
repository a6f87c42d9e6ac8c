"""Technical features of the bar itself and of the price against its recent past."""

from __future__ import annotations

from functools import partial

import numpy as np

from services.features.calculators import derived
from services.features.calculators.declaration import declare
from services.features.calculators.windows import ratio, relative
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

_price = partial(declare, Family.TECHNICAL, "price")


def gap(columns: Columns) -> Floats:
    """The open over the close before it, minus 1."""
    return columns.shared(("gap",), lambda: relative(columns["open"], columns["close"], back=1))


def _over_mean(columns: Columns, window: int) -> Floats:
    return ratio(columns["close"], derived.mean(columns, "close", window))


def _price_position(columns: Columns, window: int) -> Floats:
    lowest, highest = derived.lowest(columns, "close", window), derived.highest(columns, "close", window)
    return ratio(columns["close"] - lowest, highest - lowest)


def _upper_shadow(columns: Columns) -> Floats:
    body_top = np.maximum(columns["open"], columns["close"])
    return ratio(columns["high"] - body_top, columns["close"])


def _lower_shadow(columns: Columns) -> Floats:
    body_bottom = np.minimum(columns["open"], columns["close"])
    return ratio(body_bottom - columns["low"], columns["close"])


FEATURES: tuple[Feature, ...] = (
    *(
        _price(
            f"close_to_sma_{window}",
            "close",
            window - 1,
            f"The close over the mean of the last {window} closes.",
            partial(_over_mean, window=window),
            window=window,
        )
        for window in (10, 50)
    ),
    _price(
        "price_momentum_14",
        "close",
        14,
        "The close over the close 14 bars ago, minus 1: a fraction.",
        lambda columns: derived.change(columns, "close", 14),
        bars=14,
    ),
    *(
        _price(
            f"price_change_{bars}",
            "close",
            bars,
            f"The close over the close {bars} bars ago, minus 1: a fraction.",
            partial(derived.change, name="close", bars=bars),
            bars=bars,
        )
        for bars in (5, 20)
    ),
    _price(
        "high_low_position",
        "high low close",
        0,
        "(close - low) / (high - low): 0 at the bar's low, 1 at its high.",
        lambda columns: ratio(columns["close"] - columns["low"], columns["high"] - columns["low"]),
    ),
    _price(
        "price_range",
        "high low close",
        0,
        "(high - low) / close.",
        lambda columns: ratio(columns["high"] - columns["low"], columns["close"]),
    ),
    _price(
        "body_size",
        "open close",
        0,
        "|close - open| / close.",
        lambda columns: ratio(np.abs(columns["close"] - columns["open"]), columns["close"]),
    ),
    _price(
        "upper_shadow", "open high close", 0, "(high - the higher of open and close) / close.", _upper_shadow
    ),
    _price(
        "lower_shadow", "open low close", 0, "(the lower of open and close - low) / close.", _lower_shadow
    ),
    _price(
        "price_position_20",
        "close",
        19,
        "Where the close lies between the lowest and the highest of the last 20 closes, 0 to 1.",
        partial(_price_position, window=20),
        window=20,
    ),
    _price("gap", "open close", 1, "The open over the close before it, minus 1: a fraction.", gap),
)
