"""A regression of one window's changes on the changes and the level before them, by orthogonal bases.

Numerically, a regressor follows from those before it, and a fit of the change is perfect, where the root mean
square of what is left is at most 1e-10 of the deviation of the regressor or of the change, or at most 16
roundings of the window's largest absolute value: `MOST_LEFT`. Rounding leaves far less of what is exactly
dependent, and of real prices, volumes, interest and rates far more is left.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from services.features.columns import Floats

MOST_LEFT = (1e-10, 16.0 * 2.0**-52)


class Columns(NamedTuple):
    """Space for one window's regression on its rows.

    Attributes
    ----------
    bases : (regressors, rows)
        Orthonormal; a row of zeros for a regressor that follows from those before it.
    upper, solved : (regressors, regressors), (regressors,)
        The regressors in these bases, and the change.
    left : (regressors + 1,)
        Sum of squares that the first so many regressors leave of the change.
    means : (regressors + 1,)
        Of the change and of the regressors, in their order; of the level from the window's first value.
    """

    bases: Floats
    upper: Floats
    solved: Floats
    left: Floats
    means: Floats
    own: Floats
    column: Floats


def columns(window: int, lags: int) -> Columns:
    size = lags + 1
    return Columns(
        bases=np.zeros((size, window)),
        upper=np.zeros((size, size)),
        solved=np.zeros(size),
        left=np.zeros(size + 1),
        means=np.zeros(size + 1),
        own=np.zeros(window),
        column=np.zeros(window),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def place_of(i: int, lags: int, is_level_first: bool) -> int:
    if not is_level_first:
        return i + 1
    return lags + 1 if i == 0 else i


@njit(cache=True, nogil=True, error_model="numpy")
def fit_orthogonally(
    values: Floats,
    start: int,
    window: int,
    lags: int,
    is_level_first: bool,
    largest: float,
    space: Columns,
) -> int:
    """Fit one window by orthogonal bases (Gram and Schmidt, twice); returns how many regressors do not follow
    from those before them, -1 where the fit is perfect. `largest` is the largest absolute value."""
    bases, upper, solved, left, means, own, column = space
    size, count = lags + 1, window - 1 - lags
    for t in range(count):
        at = start + lags + t
        own[t] = values[at + 1] - values[at]
    means[0], left[0] = _centre(own, count)
    whole = left[0]
    is_perfect = not _is_left(whole, whole, count, largest)
    rank = 0
    for i in range(size):
        place = place_of(i, lags, is_level_first)
        for t in range(count):
            at = start + lags + t
            if place == lags + 1:
                column[t] = values[at] - values[start]
            else:
                column[t] = values[at - place + 1] - values[at - place]
        means[i + 1], square = _centre(column, count)
        upper[:, i] = 0.0
        for _ in range(2):
            for k in range(i):
                part = _dot(bases[k], column, count)
                upper[k, i] += part
                for t in range(count):
                    column[t] -= part * bases[k, t]
        rest = _dot(column, column, count)
        bases[i], solved[i] = 0.0, 0.0
        if _is_left(rest, square, count, largest):
            rank += 1
            upper[i, i] = np.sqrt(rest)
            for t in range(count):
                bases[i, t] = column[t] / upper[i, i]
            solved[i] = _dot(bases[i], own, count)
            for t in range(count):
                own[t] -= solved[i] * bases[i, t]
        left[i + 1] = _dot(own, own, count)
    is_perfect = is_perfect or not _is_left(left[size], whole, count, largest)
    return -1 if is_perfect else rank


@njit(cache=True, nogil=True, error_model="numpy")
def _centre(column: Floats, count: int) -> tuple[float, float]:
    """Take the mean off in two steps; returns it and the sum of squares left."""
    mean = 0.0
    for _ in range(2):
        part = column[:count].sum() / count
        for t in range(count):
            column[t] -= part
        mean += part
    return mean, _dot(column, column, count)


@njit(cache=True, nogil=True, error_model="numpy")
def _dot(one: Floats, other: Floats, count: int) -> float:
    """Eight sums side by side, which the compiler does at once."""
    a = b = c = d = e = f = g = h = 0.0
    t = 0
    while t + 8 <= count:
        a += one[t] * other[t]
        b += one[t + 1] * other[t + 1]
        c += one[t + 2] * other[t + 2]
        d += one[t + 3] * other[t + 3]
        e += one[t + 4] * other[t + 4]
        f += one[t + 5] * other[t + 5]
        g += one[t + 6] * other[t + 6]
        h += one[t + 7] * other[t + 7]
        t += 8
    while t < count:
        a += one[t] * other[t]
        t += 1
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@njit(cache=True, nogil=True, error_model="numpy")
def _is_left(rest: float, square: float, count: int, largest: float) -> bool:
    relative, absolute = MOST_LEFT
    most = max(relative * np.sqrt(square), absolute * largest * np.sqrt(count))
    return bool(np.sqrt(rest) > most)
