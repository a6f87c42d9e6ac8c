"""Technical features of bands around the price: how wide they are and where the close lies in them."""

from __future__ import annotations

from functools import partial

from services.features.calculators import derived, windows
from services.features.calculators.declaration import declare
from services.features.calculators.windows import flag, ratio, relative
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

WINDOWS = (20, 48)
BOLLINGER_DEVIATIONS = 2.0
KELTNER_RANGES = 1.5
SQUEEZE_WINDOW = 20
CONVERSION, BASE = 9, 26

_bands = partial(declare, Family.TECHNICAL, "bands")


def _half_width(columns: Columns, window: int) -> Floats:
    """Bollinger's, whose deviation has the divisor n."""
    return BOLLINGER_DEVIATIONS * windows.roots(derived.squares(columns, "close", window) / window)


def _width(columns: Columns, window: int) -> Floats:
    return 2.0 * ratio(_half_width(columns, window), derived.mean(columns, "close", window))


def _position(columns: Columns, window: int) -> Floats:
    away = columns["close"] - derived.mean(columns, "close", window)
    return 0.5 + 0.5 * ratio(away, _half_width(columns, window))


def _is_squeezed(columns: Columns) -> Floats:
    bollinger = _half_width(columns, SQUEEZE_WINDOW)
    keltner = KELTNER_RANGES * windows.means(derived.true_range(columns), SQUEEZE_WINDOW)
    return flag(bollinger < keltner, bollinger, keltner)


def _middle(columns: Columns, window: int) -> Floats:
    return (derived.highest(columns, "high", window) + derived.lowest(columns, "low", window)) / 2.0


FEATURES: tuple[Feature, ...] = (
    *(
        _bands(
            f"bollinger_width_{window}",
            "close",
            window - 1,
            f"The distance of Bollinger's bands, {BOLLINGER_DEVIATIONS:g} deviations around the mean of "
            f"{window} closes, over that mean (TA-Lib BBANDS).",
            partial(_width, window=window),
            window=window,
            deviations=BOLLINGER_DEVIATIONS,
        )
        for window in WINDOWS
    ),
    *(
        _bands(
            f"bollinger_position_{window}",
            "close",
            window - 1,
            f"Where the close lies between Bollinger's bands of {window} bars (TA-Lib BBANDS): 0 on the "
            "lower, 1 on the upper one.",
            partial(_position, window=window),
            window=window,
            deviations=BOLLINGER_DEVIATIONS,
        )
        for window in WINDOWS
    ),
    _bands(
        f"bollinger_squeeze_{SQUEEZE_WINDOW}",
        "high low close",
        SQUEEZE_WINDOW,
        f"1 where Bollinger's bands of {SQUEEZE_WINDOW} bars lie within Keltner's, {KELTNER_RANGES:g} mean "
        "true ranges around the same mean, else 0 (Carter 2005).",
        _is_squeezed,
        window=SQUEEZE_WINDOW,
        deviations=BOLLINGER_DEVIATIONS,
        ranges=KELTNER_RANGES,
    ),
    _bands(
        f"ichimoku_base_distance_{BASE}",
        "high low close",
        BASE - 1,
        f"The close over the middle of the range of {BASE} bars (Ichimoku's base line, kijun), minus 1.",
        lambda columns: relative(columns["close"], _middle(columns, BASE)),
        window=BASE,
    ),
    _bands(
        f"ichimoku_conversion_distance_{CONVERSION}_{BASE}",
        "high low",
        BASE - 1,
        f"The middle of the range of {CONVERSION} bars (Ichimoku's conversion line, tenkan) over that of "
        f"{BASE} (kijun), minus 1.",
        lambda columns: relative(_middle(columns, CONVERSION), _middle(columns, BASE)),
        short_window=CONVERSION,
        long_window=BASE,
    ),
)
