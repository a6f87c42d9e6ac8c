"""How the values of a window follow each other: changes, crossings, peaks, products over lags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel
from services.features.rolling.sums import rolling_pairwise_sums, rolling_sums

Wholes = npt.NDArray[np.int64]

_CHANGES = ("mean_change", "mean_abs_change", "absolute_sum_of_changes", "mean_second_derivative_central")
_CID = len(_CHANGES)  # of plain values, then of standardised ones


def _prepare_changes(window: int, items: Sequence[Item]) -> npt.NDArray[np.intp]:
    rows = [
        _CID + bool(item.parameters["normalize"])
        if item.calculator == "cid_ce"
        else _CHANGES.index(item.calculator)
        for item in items
    ]
    return np.array(rows, np.intp)


def _run_changes(block: Block, rows: npt.NDArray[np.intp], out: Floats) -> None:
    table = np.empty((_CID + 2, block.count))
    _changes(block.values, block.window, block.mean, block.deviation, table)
    out[:] = table[rows]


@njit(cache=True, nogil=True, error_model="numpy")
def _changes(values: Floats, window: int, mean: Floats, deviation: Floats, table: Floats) -> None:
    count = table.shape[1]
    change = values[1:] - values[:-1]
    distance, squares, standard = table[2], table[4], table[5]
    rolling_sums(np.abs(change), window - 1, distance)
    rolling_sums(change * change, window - 1, squares)
    for i in range(count):
        last = i + window - 1
        table[0, i] = (values[last] - values[i]) / (window - 1)
        table[1, i] = distance[i] / (window - 1)
        bend = values[last] - values[last - 1] - values[i + 1] + values[i]
        table[3, i] = bend / (2 * (window - 2))
        squares[i] = np.sqrt(squares[i])
    before = (values[:count] - mean) / deviation
    standard[:] = 0.0
    for k in range(1, window):
        now = values[k : k + count]
        for i in range(count):
            x = (now[i] - mean[i]) / deviation[i]
            standard[i] += (x - before[i]) * (x - before[i])
            before[i] = x
    for i in range(count):
        standard[i] = np.sqrt(standard[i]) if deviation[i] != 0.0 else 0.0


def _prepare_lags(window: int, items: Sequence[Item]) -> Wholes:
    return np.array([item.parameters["lag"] for item in items], np.int64)


def _run_c3(block: Block, lags: Wholes, out: Floats) -> None:
    _c3(block.values, block.window, lags, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _c3(values: Floats, window: int, lags: Wholes, out: Floats) -> None:
    for row in range(lags.size):
        lag = lags[row]
        count = window - 2 * lag
        if count <= 0:
            out[row] = 0.0
            continue
        last = values.size - lag
        rolling_sums(values[2 * lag :] * values[lag:last] * values[: last - lag], count, out[row])
        out[row] /= count


def _run_reversal(block: Block, lags: Wholes, out: Floats) -> None:
    _reversal(block.values, block.window, lags, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _reversal(values: Floats, window: int, lags: Wholes, out: Floats) -> None:
    """The terms nearly cancel, so they are added as NumPy adds them."""
    for row in range(lags.size):
        lag = lags[row]
        count = window - 2 * lag
        if count <= 0:
            out[row] = 0.0
            continue
        last = values.size - lag
        now, one, two = values[: last - lag], values[lag:last], values[2 * lag :]
        rolling_pairwise_sums(two * two * one - one * now * now, count, out[row])
        out[row] /= count


def _prepare_crossings(window: int, items: Sequence[Item]) -> Floats:
    return np.array([item.parameters["m"] for item in items], np.float64)


def _run_crossings(block: Block, levels: Floats, out: Floats) -> None:
    _crossings(block.values, block.window, levels, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _crossings(values: Floats, window: int, levels: Floats, out: Floats) -> None:
    for row in range(levels.size):
        level, crossed = levels[row], 0
        for k in range(1, window):
            crossed += (values[k] > level) != (values[k - 1] > level)
        out[row, 0] = crossed
        for i in range(1, out.shape[1]):
            crossed -= (values[i] > level) != (values[i - 1] > level)
            crossed += (values[i + window - 1] > level) != (values[i + window - 2] > level)
            out[row, i] = crossed


def _prepare_peaks(window: int, items: Sequence[Item]) -> Wholes:
    return np.array([item.parameters["n"] for item in items], np.int64)


def _run_peaks(block: Block, supports: Wholes, out: Floats) -> None:
    _peaks(block.values, block.window, supports, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _peaks(values: Floats, window: int, supports: Wholes, out: Floats) -> None:
    """How far each value is the largest, to the left and to the right, is the same for every window."""
    size = values.size
    reach = np.empty(size, np.int64)
    larger = np.empty(size, np.int64)  # a falling stack of places
    depth = 0
    for k in range(size):  # values at the left that are not smaller
        while depth > 0 and values[larger[depth - 1]] < values[k]:
            depth -= 1
        reach[k] = k - larger[depth - 1] - 1 if depth > 0 else k
        larger[depth] = k
        depth += 1
    depth = 0
    for k in range(size - 1, -1, -1):
        while depth > 0 and values[larger[depth - 1]] < values[k]:
            depth -= 1
        right = larger[depth - 1] - k - 1 if depth > 0 else size - 1 - k
        reach[k] = min(reach[k], right)
        larger[depth] = k
        depth += 1
    for row in range(supports.size):
        support, peaks = supports[row], 0
        for k in range(support, window - support):
            peaks += reach[k] >= support
        out[row, 0] = peaks
        for i in range(1, out.shape[1]):
            if window > 2 * support:
                peaks += reach[i + window - support - 1] >= support
                peaks -= reach[i + support - 1] >= support
            out[row, i] = peaks


KERNELS = (
    Kernel(calculators=(*_CHANGES, "cid_ce"), prepare=_prepare_changes, run=_run_changes),
    Kernel(calculators=("c3",), prepare=_prepare_lags, run=_run_c3),
    Kernel(calculators=("time_reversal_asymmetry_statistic",), prepare=_prepare_lags, run=_run_reversal),
    Kernel(calculators=("number_crossing_m",), prepare=_prepare_crossings, run=_run_crossings),
    Kernel(calculators=("number_peaks",), prepare=_prepare_peaks, run=_run_peaks),
)
