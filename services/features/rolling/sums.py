"""Sums in NumPy's order, so that what compares values with their mean decides as tsfresh does, to the bit."""

from __future__ import annotations

import numpy as np
from numba import njit

from services.features.columns import Floats

_UNROLLED = 8  # NumPy adds eight numbers at a time, side by side…
_AT_ONCE = 128  # …over at most so many, and halves what is longer


@njit(cache=True, nogil=True, error_model="numpy")
def pairwise_sum(values: Floats, start: int, count: int) -> float:
    """The sum of `values[start : start + count]`, at most 1,024 of them, as `np.sum` adds an array of them.

    Numba's cache does not take functions that call themselves, so that each halving is a function.
    """
    if count <= _AT_ONCE:
        return _eight_at_a_time(values, start, count)
    half = _half(count)
    return _halved_twice(values, start, half) + _halved_twice(values, start + half, count - half)


@njit(cache=True, nogil=True, error_model="numpy")
def rolling_sums(terms: Floats, count: int, sums: Floats) -> None:
    """`sums[i]`: the terms from i up to i + count, added in their order."""
    size, k = sums.size, 0
    sums[:] = 0.0
    while k + 4 <= count:  # four at a time, so that the sums are read and written less often
        a, b = terms[k : k + size], terms[k + 1 : k + 1 + size]
        c, d = terms[k + 2 : k + 2 + size], terms[k + 3 : k + 3 + size]
        for i in range(size):
            sums[i] = (((sums[i] + a[i]) + b[i]) + c[i]) + d[i]
        k += 4
    while k < count:
        ahead = terms[k : k + size]
        for i in range(size):
            sums[i] += ahead[i]
        k += 1


@njit(cache=True, nogil=True, error_model="numpy")
def weighed_sums(values: Floats, start: int, step: int, weights: Floats, sums: Floats) -> None:
    """Add to `sums[i]` the products of the weights and of the values from start + i on, `step` (1 or -1)
    apart, in their order."""
    size, k = sums.size, 0
    while k + 4 <= weights.size:
        at = start + k * step
        a, b = values[at : at + size], values[at + step : at + step + size]
        at += 2 * step
        c, d = values[at : at + size], values[at + step : at + step + size]
        one, two, three, four = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        for i in range(size):
            sums[i] = (((sums[i] + a[i] * one) + b[i] * two) + c[i] * three) + d[i] * four
        k += 4
    while k < weights.size:
        ahead, weight = values[start + k * step : start + k * step + size], weights[k]
        for i in range(size):
            sums[i] += ahead[i] * weight
        k += 1


@njit(cache=True, nogil=True, error_model="numpy")
def rolling_pairwise_sums(values: Floats, count: int, sums: Floats) -> None:
    """`sums[i]`: `pairwise_sum(values, i, count)`, to the bit.

    The eight sums side by side of one start are those of the next start, moved by one.
    """
    if count < _UNROLLED or count > _AT_ONCE:
        for i in range(sums.size):
            sums[i] = pairwise_sum(values, i, count)
        return
    groups, size = count // _UNROLLED, sums.size
    every = np.empty(size + _UNROLLED - 1)
    every[:] = values[: every.size]
    for group in range(1, groups):
        ahead = values[_UNROLLED * group : _UNROLLED * group + every.size]
        for i in range(every.size):
            every[i] += ahead[i]
    for i in range(size):
        sums[i] = ((every[i] + every[i + 1]) + (every[i + 2] + every[i + 3])) + (
            (every[i + 4] + every[i + 5]) + (every[i + 6] + every[i + 7])
        )
    for k in range(_UNROLLED * groups, count):
        ahead = values[k : k + size]
        for i in range(size):
            sums[i] += ahead[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _halved_twice(values: Floats, start: int, count: int) -> float:
    if count <= _AT_ONCE:
        return _eight_at_a_time(values, start, count)
    half = _half(count)
    return _halved_once(values, start, half) + _halved_once(values, start + half, count - half)


@njit(cache=True, nogil=True, error_model="numpy")
def _halved_once(values: Floats, start: int, count: int) -> float:
    if count <= _AT_ONCE:
        return _eight_at_a_time(values, start, count)
    half = _half(count)
    return _eight_at_a_time(values, start, half) + _eight_at_a_time(values, start + half, count - half)


@njit(cache=True, nogil=True, error_model="numpy")
def _half(count: int) -> int:
    half = count // 2
    return half - half % _UNROLLED


@njit(cache=True, nogil=True, error_model="numpy")
def _eight_at_a_time(values: Floats, start: int, count: int) -> float:
    if count < _UNROLLED:
        total = -0.0
        for k in range(start, start + count):
            total += values[k]
        return total
    a, b, c, d = values[start], values[start + 1], values[start + 2], values[start + 3]
    e, f, g, h = values[start + 4], values[start + 5], values[start + 6], values[start + 7]
    whole = count - count % _UNROLLED
    for at in range(start + _UNROLLED, start + whole, _UNROLLED):
        a, b, c, d = a + values[at], b + values[at + 1], c + values[at + 2], d + values[at + 3]
        e, f, g, h = e + values[at + 4], f + values[at + 5], g + values[at + 6], h + values[at + 7]
    lanes: float = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for k in range(start + whole, start + count):
        lanes += values[k]
    return lanes
