"""How many values of a window are where: above and below levels, beside the mean, and at which bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats
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
    _places(block.values, block.window, table)
    out[:] = table[rows]


@njit(cache=True, nogil=True, error_model="numpy")
def _places(values: Floats, window: int, table: Floats) -> None:
    for i in range(table.shape[1]):
        first_high = last_high = first_low = last_low = 0
        high = low = values[i]
        for k in range(1, window):
            x = values[i + k]
            if x > high:
                high, first_high, last_high = x, k, k
            elif x == high:
                last_high = k
            if x < low:
                low, first_low, last_low = x, k, k
            elif x == low:
                last_low = k
        table[0, i] = first_high / window
        table[1, i] = 1.0 - (window - 1 - last_high) / window
        table[2, i] = first_low / window
        table[3, i] = 1.0 - (window - 1 - last_low) / window


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


def _prepare_sigma(window: int, items: Sequence[Item]) -> Floats:
    return np.array([item.parameters["r"] for item in items], np.float64)


def _run_sigma(block: Block, ratios: Floats, out: Floats) -> None:
    _beyond(block.values, block.window, block.mean, block.deviation, ratios, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _beyond(
    values: Floats, window: int, mean: Floats, deviation: Floats, ratios: Floats, out: Floats
) -> None:
    for row in range(ratios.size):
        for i in range(out.shape[1]):
            bound, beyond = ratios[row] * deviation[i], 0
            for k in range(i, i + window):
                beyond += abs(values[k] - mean[i]) > bound
            out[row, i] = beyond / window


def _prepare_mass(window: int, items: Sequence[Item]) -> Floats:
    return np.array([item.parameters["q"] for item in items], np.float64)


def _run_mass(block: Block, shares: Floats, out: Floats) -> None:
    _mass(block.values, block.window, shares, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _mass(values: Floats, window: int, shares: Floats, out: Floats) -> None:
    """Where no share is reached, as rounding may have it at the last bar, tsfresh gives the first bar."""
    absolute = np.empty(window)
    for i in range(out.shape[1]):
        for k in range(window):
            absolute[k] = abs(values[i + k])
        total = pairwise_sum(absolute, 0, window)
        if total == 0.0:
            out[:, i] = np.nan
            continue
        out[:, i] = 0.0
        reached = 0.0
        for k in range(window):
            reached += absolute[k]
            mass = reached / total
            for row in range(shares.size):
                if out[row, i] == 0.0 and mass >= shares[row]:
                    out[row, i] = (k + 1) / window
        for row in range(shares.size):
            if out[row, i] == 0.0:
                out[row, i] = 1.0 / window


KERNELS = (
    Kernel(calculators=_MEAN, prepare=_prepare_mean, run=_run_mean),
    Kernel(calculators=_PLACES, prepare=_prepare_places, run=_run_places),
    Kernel(
        calculators=("value_count", "range_count", "count_above", "count_below"),
        prepare=_prepare_ranges,
        run=_run_ranges,
    ),
    Kernel(calculators=("ratio_beyond_r_sigma",), prepare=_prepare_sigma, run=_run_sigma),
    Kernel(calculators=("index_mass_quantile",), prepare=_prepare_mass, run=_run_mass),
)
