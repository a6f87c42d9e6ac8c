"""Sums in NumPy's order, so that what compares values with their mean decides as tsfresh does, to the bit."""

from __future__ import annotations

from numba import njit

from services.features.columns import Floats

_UNROLLED = 8  # NumPy adds eight numbers at a time, side by side…
_AT_ONCE = 128  # …over at most so many, and halves what is longer


@njit(cache=True, nogil=True, error_model="numpy")
def pairwise_sum(values: Floats, start: int, count: int) -> float:
    """The sum of `values[start : start + count]` as `np.sum` adds a contiguous array."""
    if count < _UNROLLED:
        total = -0.0
        for k in range(start, start + count):
            total += values[k]
        return total
    if count > _AT_ONCE:
        half = count // 2
        half -= half % _UNROLLED
        first: float = pairwise_sum(values, start, half)
        second: float = pairwise_sum(values, start + half, count - half)
        return first + second
    a, b, c, d = values[start], values[start + 1], values[start + 2], values[start + 3]
    e, f, g, h = values[start + 4], values[start + 5], values[start + 6], values[start + 7]
    k = _UNROLLED
    while k < count - count % _UNROLLED:
        at = start + k
        a, b, c, d = a + values[at], b + values[at + 1], c + values[at + 2], d + values[at + 3]
        e, f, g, h = e + values[at + 4], f + values[at + 5], g + values[at + 6], h + values[at + 7]
        k += _UNROLLED
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    while k < count:
        total += values[start + k]
        k += 1
    return total
