"""A window's shape: `symmetry_looking`, `large_standard_deviation`, `mean_n_absolute_max`.

Source: tsfresh 0.21.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from services.features.columns import Floats, Integers
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel


def _prepare_shares(window: int, items: Sequence[Item]) -> Floats:
    return np.array([item.number("r") for item in items])


def _run_symmetry(block: Block, shares: Floats, out: Floats) -> None:
    _symmetry(block.ordered, block.mean, shares, out)


def _run_deviation(block: Block, shares: Floats, out: Floats) -> None:
    _deviation(block.ordered, block.deviation, shares, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _symmetry(ordered: Floats, mean: Floats, shares: Floats, out: Floats) -> None:
    last = ordered.shape[1] - 1
    for i in range(out.shape[1]):
        median = ordered[i, (last + 1) // 2]
        if last % 2 == 1:
            median = (ordered[i, last // 2] + median) / 2.0
        lean, spread = abs(mean[i] - median), ordered[i, last] - ordered[i, 0]
        for row in range(shares.size):
            out[row, i] = lean < shares[row] * spread


@njit(cache=True, nogil=True, error_model="numpy")
def _deviation(ordered: Floats, deviation: Floats, shares: Floats, out: Floats) -> None:
    last = ordered.shape[1] - 1
    for row in range(shares.size):
        for i in range(out.shape[1]):
            out[row, i] = deviation[i] > shares[row] * (ordered[i, last] - ordered[i, 0])


@njit(cache=True, nogil=True, error_model="numpy")
def _largest(ordered: Floats, numbers: Integers, out: Floats) -> None:
    """Mean of the greatest absolute values, taken from the two ends of the ascending ones."""
    count, window = ordered.shape
    for row in range(numbers.shape[0]):
        wanted = numbers[row]
        if wanted >= window:
            out[row, :] = np.nan
            continue
        for index in range(count):
            low = 0
            high = window - 1
            total = 0.0
            for _ in range(wanted):
                if -ordered[index, low] > ordered[index, high]:
                    total -= ordered[index, low]
                    low += 1
                else:
                    total += abs(ordered[index, high])
                    high -= 1
            out[row, index] = total / wanted


def _prepare_largest(window: int, items: Sequence[Item]) -> Integers:
    return np.array([item.whole("number_of_maxima") for item in items], dtype=np.int64)


def _run_largest(block: Block, numbers: Integers, out: Floats) -> None:
    _largest(block.ordered, numbers, out)


KERNELS = (
    Kernel(calculators=("symmetry_looking",), prepare=_prepare_shares, run=_run_symmetry),
    Kernel(calculators=("large_standard_deviation",), prepare=_prepare_shares, run=_run_deviation),
    Kernel(calculators=("mean_n_absolute_max",), prepare=_prepare_largest, run=_run_largest),
)
