"""Regressions of a window's changes on the changes and the level before them, for 32 windows at once.

Products of all regressors are summed side by side, which the compiler does several at a time, and factored by
Cholesky. That loses as many digits as the regressors' dependence squared: a window of which little is left
when one regressor is explained by those before it, or the change by all, is not `plain` and is fitted anew by
`orthogonal.fit_orthogonally`, on its rows instead of their products. Both depend on their window alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats
from services.features.rolling.orthogonal import MOST_LEFT, place_of

LANES = 32
_PLAIN = 1e-4  # the share of a sum of squares that has to be left for products to keep eleven digits
_TERMS = 8

Wholes = npt.NDArray[np.int64]


class Lanes(NamedTuple):
    """Space for `LANES` windows; the last axis is the window.

    Attributes
    ----------
    level, change : (window, LANES)
        From the window's mean, and from its mean change `drift`.
    means : (lags + 2, LANES)
        Of the change, those 1, 2, … bars before it, and last the level, over the rows of the regression.
    products : (lags + 2, lags + 2, LANES)
        Of their deviations from these, in the same order, above the diagonal.
    lower, inverse, solved : (lags + 1, lags + 1, LANES), (lags + 1, LANES), (lags + 1, LANES)
        Cholesky's factor of the regressors, one over its diagonal, and what each adds to the fit.
    plain : (LANES,)
        Whether products are precise enough.
    least : (LANES,)
        Sum of squares of which the plain share is more than rounding.
    """

    level: Floats
    change: Floats
    drift: Floats
    means: Floats
    products: Floats
    lower: Floats
    inverse: Floats
    solved: Floats
    plain: npt.NDArray[np.bool_]
    least: Floats


def lanes(window: int, lags: int) -> Lanes:
    return Lanes(
        level=np.zeros((window, LANES)),
        change=np.zeros((window, LANES)),
        drift=np.zeros(LANES),
        means=np.zeros((lags + 2, LANES)),
        products=np.zeros((lags + 2, lags + 2, LANES)),
        lower=np.zeros((lags + 1, lags + 1, LANES)),
        inverse=np.zeros((lags + 1, LANES)),
        solved=np.zeros((lags + 1, LANES)),
        plain=np.zeros(LANES, np.bool_),
        least=np.zeros(LANES),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(
    values: Floats, mean: Floats, largest: Floats, starts: Wholes, window: int, lags: int, space: Lanes
) -> None:
    """Products of the windows that begin at these values; `largest` is a window's largest absolute value."""
    level, change, drift, means = space.level, space.change, space.drift, space.means
    products, plain, least = space.products, space.plain, space.least
    _load(values, mean, starts, window, space)
    last, count = window - 1, window - 1 - lags
    # The products of changes `apart` bars apart are the same terms for each pair but at both ends.
    for apart in range(lags + 1):
        _add_products(change, 0, change, apart, lags, last - lags + apart, products[0, apart])
        for i in range(lags - apart):
            t = lags - i - 1
            for b in range(LANES):
                products[i + 1, i + 1 + apart, b] = (
                    products[i, i + apart, b] + change[t, b] * change[t - apart, b]
                )
        for b in range(LANES):
            means[0, b] = 0.0  # what the end adds, from the pair furthest back on
        for i in range(lags - apart - 1, -1, -1):
            t = last - 1 - i
            for b in range(LANES):
                means[0, b] += change[t, b] * change[t - apart, b]
                products[i, i + apart, b] += means[0, b]
    for j in range(lags + 1):
        _add_products(level, 0, change, j, lags, last, products[j, lags + 1])
        for b in range(LANES):
            means[j, b] = (level[last - j, b] - level[lags - j, b]) / count - drift[b]
    _add_products(level, 0, level, 0, lags, last, products[lags + 1, lags + 1])
    for b in range(LANES):
        means[lags + 1, b] = 0.0
    for t in range(lags, last):
        for b in range(LANES):
            means[lags + 1, b] += level[t, b]
    for b in range(LANES):
        means[lags + 1, b] /= count
        plain[b] = True
        least[b] = count * (MOST_LEFT[1] * largest[starts[b]]) ** 2 / _PLAIN
    for i in range(lags + 2):
        for b in range(LANES):
            square = products[i, i, b]
            deviations = square - count * means[i, b] * means[i, b]
            plain[b] &= deviations > max(_PLAIN * square, least[b])
        for j in range(i, lags + 2):
            for b in range(LANES):
                products[i, j, b] -= count * means[i, b] * means[j, b]


@njit(cache=True, nogil=True, error_model="numpy")
def _load(values: Floats, mean: Floats, starts: Wholes, window: int, space: Lanes) -> None:
    level, change, drift, means = space.level, space.change, space.drift, space.means
    first, last = starts[0], window - 1
    are_neighbours = True
    for b in range(LANES):
        are_neighbours &= starts[b] == first + b
        means[0, b] = mean[starts[b]]
        drift[b] = (values[starts[b] + last] - values[starts[b]]) / last
    if are_neighbours:
        for t in range(window):
            now = values[first + t : first + t + LANES]
            for b in range(LANES):
                level[t, b] = now[b] - means[0, b]
        for t in range(last):
            now, after = values[first + t : first + t + LANES], values[first + t + 1 : first + t + 1 + LANES]
            for b in range(LANES):
                change[t, b] = after[b] - now[b] - drift[b]
    else:
        for b in range(LANES):
            own = values[starts[b] : starts[b] + window]
            for t in range(last):
                level[t, b] = own[t] - means[0, b]
                change[t, b] = own[t + 1] - own[t] - drift[b]
            level[last, b] = own[last] - means[0, b]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_products(
    one: Floats, lag: int, other: Floats, other_lag: int, start: int, stop: int, sums: Floats
) -> None:
    for b in range(LANES):
        sums[b] = 0.0
    t = start
    while t + _TERMS <= stop:
        i, j = t - lag, t - other_lag
        for b in range(LANES):
            sums[b] += (
                (one[i, b] * other[j, b] + one[i + 1, b] * other[j + 1, b])
                + (one[i + 2, b] * other[j + 2, b] + one[i + 3, b] * other[j + 3, b])
                + (
                    (one[i + 4, b] * other[j + 4, b] + one[i + 5, b] * other[j + 5, b])
                    + (one[i + 6, b] * other[j + 6, b] + one[i + 7, b] * other[j + 7, b])
                )
            )
        t += _TERMS
    while t < stop:
        for b in range(LANES):
            sums[b] += one[t - lag, b] * other[t - other_lag, b]
        t += 1


@njit(cache=True, nogil=True, error_model="numpy")
def factor(lags: int, is_level_first: bool, space: Lanes) -> None:
    """Factor the products, with the level before or after the changes."""
    products, lower, solved, plain = space.products, space.lower, space.solved, space.plain
    inverse = space.inverse
    size = lags + 1
    for i in range(size):
        row = place_of(i, lags, is_level_first)
        for b in range(LANES):
            solved[i, b] = products[0, row, b]
        for j in range(i + 1):
            column = place_of(j, lags, is_level_first)
            low, high = min(row, column), max(row, column)
            for b in range(LANES):
                lower[i, j, b] = products[low, high, b]
            for k in range(0, j - 1, 2):
                for b in range(LANES):
                    lower[i, j, b] -= (
                        lower[i, k, b] * lower[j, k, b] + lower[i, k + 1, b] * lower[j, k + 1, b]
                    )
            if j % 2 == 1:
                for b in range(LANES):
                    lower[i, j, b] -= lower[i, j - 1, b] * lower[j, j - 1, b]
            if j < i:
                for b in range(LANES):
                    lower[i, j, b] *= inverse[j, b]
        for k in range(i):
            for b in range(LANES):
                solved[i, b] -= lower[i, k, b] * solved[k, b]
        for b in range(LANES):
            plain[b] &= lower[i, i, b] > _PLAIN * products[row, row, b]
            lower[i, i, b] = np.sqrt(lower[i, i, b])
            inverse[i, b] = 1.0 / lower[i, i, b]
            solved[i, b] *= inverse[i, b]
    for b in range(LANES):
        left = products[0, 0, b]
        for i in range(size):
            left -= solved[i, b] * solved[i, b]
        plain[b] &= left > _PLAIN * products[0, 0, b]
