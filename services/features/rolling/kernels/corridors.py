"""Changes within a corridor of quantiles: `change_quantiles`.

Source: tsfresh 0.21.2; its corridor is `pandas.qcut(x, [ql, qh])`, that is `low <= x <= high` with quantiles
interpolated as NumPy's `linear`. A variance of changes that are equal but for rounding is rounding, in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats, Integers
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel

Flags = npt.NDArray[np.bool_]

_AGGREGATES = ("mean", "var", "std", "sum", "median", "max", "min")


class _Tables(NamedTuple):
    """Distinct lower and upper levels, ascending; of each item its two (-1: none) and its aggregate."""

    lower: Floats
    upper: Floats
    low: Integers
    high: Integers
    absolute: Flags
    aggregate: Integers


@njit(cache=True, nogil=True, error_model="numpy")
def interpolated_quantile(ordered: Floats, level: float) -> float:
    """NumPy's quantile (`linear`) of ascending values, to the bit."""
    last = ordered.shape[0] - 1
    place = last * level
    quantile: float = ordered[last]
    if place < last:
        below = int(np.floor(place))
        part = place - below
        step = ordered[below + 1] - ordered[below]
        quantile = ordered[below] + step * part if part < 0.5 else ordered[below + 1] - step * (1.0 - part)
    return quantile


@njit(cache=True, nogil=True, error_model="numpy")
def _join(sums: Floats, into: int, other: int) -> None:
    """Add another group of changes to one: their number, and mean and squares about it, plain and absolute.

    Source: Chan, Golub and LeVeque (1979).
    """
    added = sums[other, 0]
    if added == 0.0:
        return
    own = sums[into, 0]
    if own == 0.0:
        for field in range(5):
            sums[into, field] = sums[other, field]
        return
    total = own + added
    share = added / total
    for mean in (1, 3):
        gap = sums[other, mean] - sums[into, mean]
        sums[into, mean] += gap * share
        sums[into, mean + 1] += sums[other, mean + 1] + gap * gap * own * share
    sums[into, 0] = total


@njit(cache=True, nogil=True, error_model="numpy")
def _median(found: Floats) -> float:
    found.sort()
    middle = found.shape[0] // 2
    median: float = found[middle]
    if found.shape[0] % 2 == 0:
        median = (found[middle - 1] + median) / 2.0
    return median


@njit(cache=True, nogil=True, error_model="numpy")
def _one_by_one(bars: Floats, low: float, high: float, absolute: bool, aggregate: int, kept: Floats) -> float:
    number = 0
    for bar in range(1, bars.shape[0]):
        before = bars[bar - 1]
        value = bars[bar]
        if low <= before and before <= high and low <= value and value <= high:
            change = value - before
            kept[number] = abs(change) if absolute else change
            number += 1
    if number == 0:
        return 0.0
    if aggregate == 4:
        return _median(kept[:number])
    best: float = kept[0]
    for place in range(1, number):
        best = max(best, kept[place]) if aggregate == 5 else min(best, kept[place])
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _corridors(
    values: Floats,
    window: int,
    ordered: Floats,
    lower: Floats,
    upper: Floats,
    low: Integers,
    high: Integers,
    absolute: Flags,
    aggregate: Integers,
    out: Floats,
) -> None:
    """Every change belongs to the class (highest lower level under both ends, lowest upper level over both).

    A corridor is the sum of the classes between its levels, so the window is walked twice, whatever the
    number of corridors: once for the means of the classes, once for the squares about them.
    """
    lowers = lower.shape[0]
    uppers = upper.shape[0]
    floors = np.empty(lowers)
    ceilings = np.empty(uppers)
    sums = np.empty((lowers * uppers, 5))
    group = np.empty(window, np.int64)
    kept = np.empty(window)
    for index in range(out.shape[1]):
        bars = values[index : index + window]
        for level in range(lowers):
            floors[level] = interpolated_quantile(ordered[index], lower[level])
        for level in range(uppers):
            ceilings[level] = interpolated_quantile(ordered[index], upper[level])
        sums[:] = 0.0
        under_before = 0
        over_before = 0
        for bar in range(window):
            value = bars[bar]
            under = 0
            for level in range(lowers):
                under += floors[level] <= value
            over = 0
            for level in range(uppers):
                over += ceilings[level] < value
            if bar > 0:
                both_under = min(under, under_before)
                both_over = max(over, over_before)
                if both_under > 0 and both_over < uppers:
                    place = (both_under - 1) * uppers + both_over
                    change = value - bars[bar - 1]
                    group[bar] = place
                    sums[place, 0] += 1.0
                    sums[place, 1] += change
                    sums[place, 3] += abs(change)
                else:
                    group[bar] = -1
            under_before = under
            over_before = over
        for place in range(lowers * uppers):
            if sums[place, 0] > 0.0:
                sums[place, 1] /= sums[place, 0]
                sums[place, 3] /= sums[place, 0]
        for bar in range(1, window):
            place = group[bar]
            if place >= 0:
                change = bars[bar] - bars[bar - 1]
                gap = change - sums[place, 1]
                sums[place, 2] += gap * gap
                gap = abs(change) - sums[place, 3]
                sums[place, 4] += gap * gap
        for level in range(lowers):
            for over in range(1, uppers):
                _join(sums, level * uppers + over, level * uppers + over - 1)
        for level in range(lowers - 2, -1, -1):
            for over in range(uppers):
                _join(sums, level * uppers + over, (level + 1) * uppers + over)
        for row in range(out.shape[0]):
            if low[row] < 0:
                out[row, index] = 0.0
                continue
            place = low[row] * uppers + high[row]
            field = 3 if absolute[row] else 1
            number = sums[place, 0]
            wanted = aggregate[row]
            if number == 0.0:
                out[row, index] = 0.0
            elif wanted == 0:
                out[row, index] = sums[place, field]
            elif wanted == 1:
                out[row, index] = sums[place, field + 1] / number
            elif wanted == 2:
                out[row, index] = np.sqrt(sums[place, field + 1] / number)
            elif wanted == 3:
                out[row, index] = sums[place, field] * number
            else:
                out[row, index] = _one_by_one(
                    bars, floors[low[row]], ceilings[high[row]], absolute[row], wanted, kept
                )


def _prepare(window: int, items: Sequence[Item]) -> _Tables:
    corridors = [(item.number("ql"), item.number("qh")) for item in items]
    # As in tsfresh, no change is within an empty corridor.
    inside = [low < high for low, high in corridors]
    lower = sorted({low for (low, _), known in zip(corridors, inside, strict=True) if known})
    upper = sorted({high for (_, high), known in zip(corridors, inside, strict=True) if known})
    return _Tables(
        lower=np.array(lower, dtype=np.float64),
        upper=np.array(upper, dtype=np.float64),
        low=np.array(
            [lower.index(low) if known else -1 for (low, _), known in zip(corridors, inside, strict=True)]
        ),
        high=np.array(
            [upper.index(high) if known else -1 for (_, high), known in zip(corridors, inside, strict=True)]
        ),
        absolute=np.array([bool(item.parameters["isabs"]) for item in items]),
        aggregate=np.array([_AGGREGATES.index(str(item.parameters["f_agg"])) for item in items]),
    )


def _run(block: Block, tables: _Tables, out: Floats) -> None:
    _corridors(block.values, block.window, block.ordered, *tables, out)


KERNELS = (Kernel(calculators=("change_quantiles",), prepare=_prepare, run=_run),)
