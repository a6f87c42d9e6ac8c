"""A block of windows of one column, with what several kernels need of it computed once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats
from services.features.rolling.sums import pairwise_sum


class Block:
    """Windows that end at neighbouring bars: window i is `values[i : i + window]`.

    Every number here is reduced from its own window alone, so that it depends neither on the windows before
    nor on those after.

    Parameters
    ----------
    values : float64 (count + window - 1,)
        Contiguous and finite.
    window : int
        Bars of a window.
    """

    def __init__(self, values: Floats, window: int) -> None:
        self.values = values
        self.window = window
        self.count = values.size - window + 1

    @cached_property
    def _moments(self) -> Floats:
        moments = np.empty((5, self.count))
        _fill_moments(self.values, self.window, moments)
        return moments

    @property
    def mean(self) -> Floats:
        """(count,), with the bits of `np.mean`."""
        mean: Floats = self._moments[0]
        return mean

    @property
    def variance(self) -> Floats:
        """(count,), divisor n, with the bits of `np.var`: of a constant window what rounding left."""
        variance: Floats = self._moments[1]
        return variance

    @property
    def deviation(self) -> Floats:
        """(count,), root of the variance."""
        deviation: Floats = self._moments[2]
        return deviation

    @property
    def minimum(self) -> Floats:
        """(count,)"""
        minimum: Floats = self._moments[3]
        return minimum

    @property
    def maximum(self) -> Floats:
        """(count,)"""
        maximum: Floats = self._moments[4]
        return maximum

    @cached_property
    def _sorted(self) -> tuple[Floats, npt.NDArray[np.int64]]:
        ordered = np.empty((self.count, self.window))
        order = np.empty((self.count, self.window), np.int64)
        _sort_windows(self.values, self.window, ordered, order)
        return ordered, order

    @property
    def ordered(self) -> Floats:
        """(count, window), each window ascending."""
        return self._sorted[0]

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """(count, window), where in its window a value of `ordered` stands, the earlier of equals first."""
        return self._sorted[1]


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_moments(values: Floats, window: int, moments: Floats) -> None:
    squares = np.empty(window)
    for i in range(moments.shape[1]):
        low = high = values[i]
        for k in range(i, i + window):
            low = min(low, values[k])
            high = max(high, values[k])
        mean = pairwise_sum(values, i, window) / window
        for k in range(window):
            deviation = values[i + k] - mean
            squares[k] = deviation * deviation
        variance = pairwise_sum(squares, 0, window) / window
        moments[0, i], moments[1, i], moments[2, i] = mean, variance, np.sqrt(variance)
        moments[3, i], moments[4, i] = low, high


@njit(cache=True, nogil=True, error_model="numpy")
def _sort_windows(values: Floats, window: int, ordered: Floats, order: npt.NDArray[np.int64]) -> None:
    """The first window by insertion, a later one from the one before: the oldest goes, the newest comes."""
    for k in range(window):
        x, at = values[k], k
        while at > 0 and ordered[0, at - 1] > x:
            ordered[0, at], order[0, at] = ordered[0, at - 1], order[0, at - 1]
            at -= 1
        ordered[0, at], order[0, at] = x, k
    for i in range(1, ordered.shape[0]):
        newest, at, placed = values[i + window - 1], 0, False
        for k in range(window):
            if order[i - 1, k] == 0:  # the oldest bar of the window before
                continue
            x = ordered[i - 1, k]
            if not placed and x > newest:
                ordered[i, at], order[i, at] = newest, window - 1
                at += 1
                placed = True
            ordered[i, at], order[i, at] = x, order[i - 1, k] - 1
            at += 1
        if not placed:
            ordered[i, at], order[i, at] = newest, window - 1
