"""Technical features of the volume profile: at which prices the last bars' volume was traded (Steidlmayer's
market profile, with volume in place of time).

The range of the window is cut into bins; a bar's volume is spread evenly over its own range. The value area
grows from the fullest bin, the point of control, to the fuller neighbour, the upper one of equals, until it
holds its share of the volume.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numba
import numpy as np

from services.features.calculators.compiling import INPUT, compiled
from services.features.calculators.declaration import declare
from services.features.calculators.windows import flag, ratio
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

WINDOWS = (50, 100, 200)
SHAPE_WINDOW = 100
BINS, NODES = 20, 4  # nodes: how many bins count as the fullest, and as the emptiest
VALUE_SHARE = 0.7

_POC, _VAH, _VAL, _HVN, _LVN, _SKEW, _KURT = range(7)

_profile = partial(declare, Family.TECHNICAL, "volume profile")


@compiled(numba.float64[:, ::1](INPUT, INPUT, INPUT, INPUT, numba.int64, numba.boolean))
def _profiles(high, low, close, volume, window, is_shaped):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows: point of control, value area's high and low, and, if they are
    asked for, nearest full and empty node, skewness, kurtosis."""
    result = np.full((7, close.size), np.nan)
    held, order = np.empty(BINS), np.empty(BINS, np.int64)
    densities = volume / (high - low)
    lowest_at = highest_at = known_from = 0
    for t in range(close.size):
        start = t - window + 1
        if np.isnan(high[t] + low[t] + volume[t]):
            known_from = t + 1
        if start < known_from:
            lowest_at = highest_at = -1
            continue
        if lowest_at < start or highest_at < start:
            lowest_at = start + np.argmin(low[start : t + 1])
            highest_at = start + np.argmax(high[start : t + 1])
        elif low[t] < low[lowest_at]:
            lowest_at = t
        if high[t] > high[highest_at]:
            highest_at = t
        lowest, highest = low[lowest_at], high[highest_at]
        span = highest - lowest
        if not span > 0.0:
            continue
        held[:] = 0.0
        width, scale = span / BINS, BINS / span
        for i in range(start, t + 1):
            # Counted in bins: of whole ones that hold the same bars none is fuller than another by rounding.
            bottom = (low[i] - lowest) * scale
            top = (high[i] - lowest) * scale if high[i] < highest else float(BINS)
            first, last = min(int(bottom), BINS - 1), min(int(top), BINS - 1)
            if last <= first:
                held[first] += volume[i]
                continue
            density = densities[i] * width
            held[first] += density * (first + 1.0 - bottom)
            for b in range(first + 1, last):
                held[b] += density
            held[last] += density * (top - last)
        total = held.sum()
        if not total > 0.0:
            continue
        upper = lower = np.argmax(held)
        result[0, t] = lowest + (upper + 0.5) * width
        area = held[upper]
        while area < VALUE_SHARE * total and upper - lower < BINS - 1:
            if lower == 0 or (upper < BINS - 1 and held[upper + 1] >= held[lower - 1]):
                upper += 1
                area += held[upper]
            else:
                lower -= 1
                area += held[lower]
        result[1, t], result[2, t] = lowest + (upper + 1) * width, lowest + lower * width
        if not is_shaped:
            continue
        for b in range(BINS):  # from the emptiest to the fullest, the lower one of equals first
            at = b
            while at > 0 and held[order[at - 1]] > held[b]:
                order[at] = order[at - 1]
                at -= 1
            order[at] = b
        for row, emptier in ((3, BINS - NODES), (4, 0)):
            nearest = np.inf
            for b in np.sort(order[emptier : emptier + NODES]):
                level = lowest + (b + 0.5) * width
                if abs(close[t] - level) < nearest:
                    nearest, result[row, t] = abs(close[t] - level), level
        mean = 0.0
        for b in range(BINS):
            mean += b * held[b] / total
        second = third = fourth = 0.0
        for b in range(BINS):
            away, share = b - mean, held[b] / total
            second += share * away**2
            third += share * away**3
            fourth += share * away**4
        if second > 0.0:
            result[5, t] = third / second**1.5
            result[6, t] = fourth / second**2 - 3.0
    return result


def _shared(columns: Columns, window: int) -> Floats:
    inputs = (columns[name] for name in ("high", "low", "close", "volume"))
    return columns.shared(
        ("volume_profile", window), lambda: _profiles(*inputs, window, window == SHAPE_WINDOW)
    )


def _distance(columns: Columns, window: int, row: int) -> Floats:
    close = columns["close"]
    return ratio(close - _shared(columns, window)[row], close)


def _is_inside(columns: Columns, window: int) -> Floats:
    close, top, bottom = columns["close"], *_shared(columns, window)[[_VAH, _VAL]]
    return flag((bottom <= close) & (close <= top), close, top)


def _width(columns: Columns, window: int) -> Floats:
    top, bottom = _shared(columns, window)[[_VAH, _VAL]]
    return ratio(top - bottom, columns["close"])


def _shape(columns: Columns, window: int, row: int) -> Floats:
    values: Floats = _shared(columns, window)[row]
    return values


def _declared(
    name: str,
    window: int,
    description: str,
    compute: Callable[[Columns], Floats],
    inputs: str = "high low close volume",
) -> Feature:
    return _profile(
        f"volume_profile_{name}_{window}",
        inputs,
        window - 1,
        f"{description} Of {window} bars' volume in {BINS} bins of price.",
        compute,
        window=window,
        bins=BINS,
        value_share=VALUE_SHARE,
    )


def _of_window(window: int) -> tuple[Feature, ...]:
    levels = (
        ("poc", _POC, "the middle of the fullest bin"),
        ("vah", _VAH, f"the upper end of the value area, {VALUE_SHARE:.0%} of the volume around that bin"),
        ("val", _VAL, f"the lower end of the value area, {VALUE_SHARE:.0%} of the volume around that bin"),
    )
    return (
        *(
            _declared(
                f"{name}_distance",
                window,
                f"(close - level) / close, the level {words}.",
                partial(_distance, window=window, row=row),
            )
            for name, row, words in levels
        ),
        _declared(
            "in_value_area",
            window,
            f"1 where the close lies in the value area ({VALUE_SHARE:.0%} of the volume), else 0.",
            partial(_is_inside, window=window),
        ),
        _declared(
            "value_area_width",
            window,
            f"The height of the value area ({VALUE_SHARE:.0%} of the volume) over the close.",
            partial(_width, window=window),
        ),
    )


FEATURES: tuple[Feature, ...] = (
    *(feature for window in WINDOWS for feature in _of_window(window)),
    *(
        _declared(
            f"{name}_distance",
            SHAPE_WINDOW,
            f"(close - level) / close, the level the nearest middle of the {NODES} {words} bins.",
            partial(_distance, window=SHAPE_WINDOW, row=row),
        )
        for name, row, words in (("hvn", _HVN, "fullest"), ("lvn", _LVN, "emptiest"))
    ),
    *(
        _declared(
            name,
            SHAPE_WINDOW,
            f"The {words} of price, weighted by volume.",
            partial(_shape, window=SHAPE_WINDOW, row=row),
            "high low volume",
        )
        for name, row, words in (("skew", _SKEW, "skewness"), ("kurt", _KURT, "excess kurtosis"))
    ),
)
