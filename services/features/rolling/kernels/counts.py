"""How many values of a window are where: above and below levels, beside the mean, and at which bar."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats, Integers
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel
from services.features.rolling.sums import pairwise_sum

_MEAN = (
    "count_above_mean",
    "count_below_mean",
    "longest_strike_above_mean",
    "longest_strike_below_mean",
)
_PLACES = (
    "first_location_of_maximum",
    "last_location_of_maximum",
    "first_location_of_minimum",
    "last_location_of_minimum",
)


def _prepare_mean(window: int, items: Sequence[Item]) -> npt.NDArray[np.intp]:
    return np.array([_MEAN.index(item.calculator) for item in items], np.intp)


def _run_mean(block: Block, rows: npt.NDArray[np.intp], out: Floats) -> None:
    table = np.empty((len(_MEAN), block.count))
    _beside_mean(block.values, block.window, block.mean, table)
    out[:] = table[rows]


@njit(cache=True, nogil=True, error_model="numpy")
def _beside_mean(values: Floats, window: int, mean: Floats, table: Floats) -> None:
    for i in range(table.shape[1]):
        level = mean[i]
        above = below = run_above = run_below = longest_above = longest_below = 0
        for k in range(i, i + window):
            is_above, is_below = values[k] > level, values[k] < level
            above += is_above
            below += is_below
            run_above = run_above + 1 if is_above else 0
            run_below = run_below + 1 if is_below else 0
            longest_above = max(longest_above, run_above)
            longest_below = max(longest_below, run_below)
        table[0, i], table[1, i], table[2, i], table[3, i] = above, below, longest_above, longest_below


def _prepare_places(window: int, items: Sequence[Item]) -> npt.NDArray[np.intp]:
    return np.array([_PLACES.index(item.calculator) for item in items], np.intp)


def _run_places(block: Block, rows: npt.NDArray[np.intp], out: Floats) -> None:
    table = np.empty((len(_PLACES), block.count))
    _places(block.ordered, block.order, table)
    out[:] = table[rows]


@njit(cache=True, nogil=True, error_model="numpy")
def _places(ordered: Floats, order: Integers, table: Floats) -> None:
    """Of equal values the earlier stands first."""
    window = ordered.shape[1]
    for i in range(table.shape[1]):
        high, low = window - 1, 0
        while high > 0 and ordered[i, high - 1] == ordered[i, high]:
            high -= 1
        while low < window - 1 and ordered[i, low + 1] == ordered[i, low]:
            low += 1
        table[0, i] = order[i, high] / window
        table[1, i] = 1.0 - (window - 1 - order[i, window - 1]) / window
        table[2, i] = order[i, 0] / window
        table[3, i] = 1.0 - (window - 1 - order[i, low]) / window


def _prepare_ranges(window: int, items: Sequence[Item]) -> Floats:
    """Of each item: from where, up to where, whether the end counts, what one value adds."""
    rows = []
    for item in items:
        given = item.parameters
        match item.calculator:
            case "value_count":
                rows.append((given["value"], given["value"], 1, 1))
            case "range_count":
                rows.append((given["min"], given["max"], 0, 1))
            case "count_above":
                rows.append((given["t"], np.inf, 1, window))
            case _:
                rows.append((-np.inf, given["t"], 1, window))
    return np.array(rows, np.float64)


def _run_ranges(block: Block, ranges: Floats, out: Floats) -> None:
    _ranges(block.values, block.window, ranges, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _ranges(values: Floats, window: int, ranges: Floats, out: Floats) -> None:
    for row in range(out.shape[0]):
        low, high, closed, divisor = ranges[row]
        inside = 0
        for k in range(values.size):
            x = values[k]
            inside += low <= x and (x < high or (closed == 1.0 and x == high))
            if k >= window:
                x = values[k - window]
                inside -= low <= x and (x < high or (closed == 1.0 and x == high))
            if k >= window - 1:
                out[row, k - window + 1] = inside / divisor


def _prepare_levels(parameter: str, window: int, items: Sequence[Item]) -> tuple[Floats, Integers]:
    """The levels that the items ask for, ascending, and whose they are."""
    levels = np.array([item.parameters[parameter] for item in items], np.float64)
    order = np.argsort(levels, kind="stable").astype(np.int64)
    return levels[order], order


def _run_sigma(block: Block, tables: tuple[Floats, Integers], out: Floats) -> None:
    _beyond(block.ordered, block.mean, block.deviation, *tables, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _beyond(
    ordered: Floats, mean: Floats, deviation: Floats, ratios: Floats, rows: Integers, out: Floats
) -> None:
    """The values beyond lie at both ends of the ascending ones, and more so for a smaller ratio."""
    window = ordered.shape[1]
    for i in range(out.shape[1]):
        low, high = 0, window - 1
        for place in range(ratios.size - 1, -1, -1):
            bound = ratios[place] * deviation[i]
            while low <= high and abs(ordered[i, low] - mean[i]) > bound:
                low += 1
            while low <= high and abs(ordered[i, high] - mean[i]) > bound:
                high -= 1
            out[rows[place], i] = (low + window - 1 - high) / window


def _run_mass(block: Block, tables: tuple[Floats, Integers], out: Floats) -> None:
    _mass(block.values, block.window, *tables, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _mass(values: Floats, window: int, shares: Floats, rows: Integers, out: Floats) -> None:
    """Where no share is reached, as rounding may have it at the last bar, tsfresh gives the first bar."""
    absolute = np.empty(window)
    for i in range(out.shape[1]):
        for k in range(window):
            absolute[k] = abs(values[i + k])
        total = pairwise_sum(absolute, 0, window)
        if total == 0.0:
            out[:, i] = np.nan
            continue
        reached, place = 0.0, 0
        for k in range(window):
            reached += absolute[k]
            while place < shares.size and reached / total >= shares[place]:
                out[rows[place], i] = (k + 1) / window
                place += 1
        while place < shares.size:
            out[rows[place], i] = 1.0 / window
            place += 1


KERNELS = (
    Kernel(calculators=_MEAN, prepare=_prepare_mean, run=_run_mean),
    Kernel(calculators=_PLACES, prepare=_prepare_places, run=_run_places),
    Kernel(
        calculators=("value_count", "range_count", "count_above", "count_below"),
        prepare=_prepare_ranges,
        run=_run_ranges,
    ),
    Kernel(calculators=("ratio_beyond_r_sigma",), prepare=partial(_prepare_levels, "r"), run=_run_sigma),
    Kernel(calculators=("index_mass_quantile",), prepare=partial(_prepare_levels, "q"), run=_run_mass),
)
