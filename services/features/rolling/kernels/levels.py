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
from services.features.rolling.sums import rolling_pairwise_sums, rolling_sums

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
    n, count = float(window), table.shape[1]
    rolling_pairwise_sums(values, window, table[5])
    rolling_sums(values * values, window, table[6])
    means, gap = table[0], np.empty(count)
    left, seconds, thirds, fourths = np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(count)
    for k in range(window):
        now = values[k : k + count]
        for i in range(count):
            left[i] += now[i] - means[i]
    left /= n  # what the mean was rounded by, which tiny moves on a large level feel
    for k in range(window):
        now = values[k : k + count]
        for i in range(count):
            gap[i] = (now[i] - means[i]) - left[i]
        for i in range(count):
            seconds[i] += gap[i] * gap[i]
        for i in range(count):
            thirds[i] += gap[i] * gap[i] * gap[i]
        for i in range(count):
            fourths[i] += (gap[i] * gap[i]) * (gap[i] * gap[i])
    for i in range(count):
        mean, variance, deviation = table[0, i], table[1, i], table[2, i]
        second, third, fourth = seconds[i], thirds[i], fourths[i]
        table[7, i] = np.sqrt(table[6, i] / n)
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
