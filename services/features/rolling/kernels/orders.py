"""What the values of a window are in order: quantiles, and values that are there more than once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel

_REPEATS = (
    "has_duplicate",
    "has_duplicate_max",
    "has_duplicate_min",
    "percentage_of_reoccurring_values_to_all_values",
    "percentage_of_reoccurring_datapoints_to_all_datapoints",
    "sum_of_reoccurring_values",
    "sum_of_reoccurring_data_points",
    "ratio_value_number_to_time_series_length",
)


class _Quantiles(NamedTuple):
    """Of each item the value below it and its share of the way to the one above."""

    below: npt.NDArray[np.int64]
    share: Floats
    is_median: npt.NDArray[np.bool_]


def _prepare_quantiles(window: int, items: Sequence[Item]) -> _Quantiles:
    levels = np.array([float(item.parameters.get("q", 0.5)) for item in items])  # type: ignore[arg-type]
    position = (window - 1) * levels
    below = np.minimum(position.astype(np.int64), window - 2)
    is_median = np.array([item.calculator == "median" for item in items])
    return _Quantiles(below, position - below, is_median)


def _run_quantiles(block: Block, tables: _Quantiles, out: Floats) -> None:
    _quantiles(block.ordered, tables.below, tables.share, tables.is_median, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _quantiles(
    ordered: Floats,
    below: npt.NDArray[np.int64],
    share: Floats,
    is_median: npt.NDArray[np.bool_],
    out: Floats,
) -> None:
    """NumPy's: the median is a mean, a quantile is reached from the nearer of its two neighbours."""
    for row in range(out.shape[0]):
        part = share[row]
        for i in range(out.shape[1]):
            low, high = ordered[i, below[row]], ordered[i, below[row] + 1]
            if is_median[row]:
                out[row, i] = low if part == 0.0 else high if part == 1.0 else (low + high) / 2.0
            elif part >= 0.5:
                out[row, i] = high - (high - low) * (1.0 - part)
            else:
                out[row, i] = low + (high - low) * part


def _prepare_repeats(window: int, items: Sequence[Item]) -> npt.NDArray[np.intp]:
    return np.array([_REPEATS.index(item.calculator) for item in items], np.intp)


def _run_repeats(block: Block, rows: npt.NDArray[np.intp], out: Floats) -> None:
    table = np.empty((len(_REPEATS), block.count))
    _repeats(block.ordered, table)
    out[:] = table[rows]


@njit(cache=True, nogil=True, error_model="numpy")
def _repeats(ordered: Floats, table: Floats) -> None:
    window = ordered.shape[1]
    for i in range(ordered.shape[0]):
        different = again = bars = 0
        of_values = of_bars = 0.0
        start = 0
        while start < window:
            x, stop = ordered[i, start], start + 1
            while stop < window and ordered[i, stop] == x:
                stop += 1
            different += 1
            if stop - start > 1:
                again += 1
                bars += stop - start
                of_values += x
                of_bars += x * (stop - start)
            start = stop
        table[0, i] = 1.0 if different < window else 0.0
        table[1, i] = 1.0 if ordered[i, window - 1] == ordered[i, window - 2] else 0.0
        table[2, i] = 1.0 if ordered[i, 0] == ordered[i, 1] else 0.0
        table[3, i] = again / different
        table[4, i] = bars / window
        table[5, i] = of_values
        table[6, i] = of_bars
        table[7, i] = different / window


KERNELS = (
    Kernel(calculators=("median", "quantile"), prepare=_prepare_quantiles, run=_run_quantiles),
    Kernel(calculators=_REPEATS, prepare=_prepare_repeats, run=_run_repeats),
)
