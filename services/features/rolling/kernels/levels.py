"""Where a window's values lie and how they spread: sums, moments, extremes.

Skewness and kurtosis are pandas', NaN where nothing moves. What divides by zero is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel
from services.features.rolling.sums import pairwise_sum

_NAMES = (
    "mean",
    "variance",
    "standard_deviation",
    "minimum",
    "maximum",
    "sum_values",
    "abs_energy",
    "root_mean_square",
    "variation_coefficient",
    "variance_larger_than_standard_deviation",
    "absolute_maximum",
    "length",
    "skewness",
    "kurtosis",
)
_SHARED = 5  # the first ones are the block's own


def _prepare(window: int, items: Sequence[Item]) -> npt.NDArray[np.intp]:
    return np.array([_NAMES.index(item.calculator) for item in items], np.intp)


def _run(block: Block, rows: npt.NDArray[np.intp], out: Floats) -> None:
    table = np.empty((len(_NAMES), block.count))
    shared = (block.mean, block.variance, block.deviation, block.minimum, block.maximum)
    for row, values in enumerate(shared):
        table[row] = values
    if (rows >= _SHARED).any():
        _fill(block.values, block.window, table)
    out[:] = table[rows]


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(values: Floats, window: int, table: Floats) -> None:
    n = float(window)
    for i in range(table.shape[1]):
        mean, variance, deviation = table[0, i], table[1, i], table[2, i]
        energy = second = third = fourth = left = 0.0
        for k in range(i, i + window):
            energy += values[k] * values[k]
            left += values[k] - mean
        left /= n  # what the mean was rounded by, which tiny moves on a large level feel
        for k in range(i, i + window):
            d = (values[k] - mean) - left
            square = d * d
            second += square
            third += square * d
            fourth += square * square
        table[5, i] = pairwise_sum(values, i, window)
        table[6, i] = energy
        table[7, i] = np.sqrt(energy / n)
        table[8, i] = deviation / mean if mean != 0.0 else np.nan
        table[9, i] = 1.0 if variance > deviation else 0.0
        table[10, i] = max(abs(table[3, i]), abs(table[4, i]))
        table[11, i] = n
        if table[3, i] == table[4, i] or second * second == 0.0:
            table[12, i] = table[13, i] = np.nan
            continue
        table[12, i] = n * np.sqrt(n - 1.0) / (n - 2.0) * (third / second**1.5)
        scaled = n * (n + 1.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0)) * (fourth / (second * second))
        table[13, i] = scaled - 3.0 * (n - 1.0) ** 2 / ((n - 2.0) * (n - 3.0))


KERNELS = (Kernel(calculators=_NAMES, prepare=_prepare, run=_run),)
