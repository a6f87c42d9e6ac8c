"""Regressions of one window in extended precision, and by how much rounding may move what tsfresh gives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.signal import welch
from tsfresh.feature_extraction.feature_calculators import _ricker

from services.features.rolling.orthogonal import MOST_LEFT

EPSILON = 2.0**-52
LEFT, LAST_DIGITS = MOST_LEFT


def rounding(bars: np.ndarray) -> float:
    """Of a sum over the window, generously."""
    return float(1e-14 * np.abs(bars).sum())


class Fit(NamedTuple):
    """A regression of a window's changes on regressors in their order, each of what the ones before leave.

    `new` tells which do not follow from those before them, `left` what the first so many leave of the change
    (sums of squares, of the change itself first), `rest` the least root mean square that a new one keeps.
    """

    coefficients: np.ndarray
    statistic: float
    new: list[bool]
    left: list[float]
    rest: float
    is_perfect: bool


def fit(bars: np.ndarray, lags: int, is_level_first: bool = False) -> Fit:
    """On the level and on so many changes, with the constant; coefficients constant first, then as the order.

    The statistic is that of the last regressor.
    """
    changes, rows = np.diff(bars), np.arange(lags, bars.size - 1)
    regressors = [changes[rows - j] for j in range(1, lags + 1)]
    regressors.insert(0 if is_level_first else lags, bars[rows])
    own, mean_own = _centred(changes[rows])
    largest = np.abs(bars).max()
    whole = own @ own
    left, new, bases, means = [float(whole)], [], [], []
    upper = np.zeros((lags + 1, lags + 1), np.longdouble)
    solved = np.zeros(lags + 1, np.longdouble)
    rest = np.inf
    for i, regressor in enumerate(regressors):
        column, mean = _centred(regressor)
        means.append(mean)
        square = column @ column
        for _ in range(2):
            for k, base in enumerate(bases):
                part = base @ column
                upper[k, i] += part
                column = column - part * base
        new.append(_is_left(column @ column, square, rows.size, largest))
        if new[-1]:
            rest = min(rest, float(np.sqrt(column @ column / rows.size)))
            upper[i, i] = np.sqrt(column @ column)
            column = column / upper[i, i]
            solved[i] = column @ own
            own = own - solved[i] * column
        bases.append(column if new[-1] else np.zeros_like(column))
        left.append(float(own @ own))
    perfect = not (
        _is_left(left[-1], whole, rows.size, largest) and _is_left(whole, whole, rows.size, largest)
    )
    coefficients = np.full(lags + 2, np.nan, np.longdouble)
    if all(new):
        for i in range(lags, -1, -1):
            known = upper[i, i + 1 :] @ coefficients[i + 2 :]
            coefficients[i + 1] = (solved[i] - known) / upper[i, i]
        coefficients[0] = mean_own - coefficients[1:] @ np.array(means)
    freedom = rows.size - sum(new) - 1
    with np.errstate(all="ignore"):
        statistic = solved[-1] / np.sqrt(own @ own / freedom) if freedom > 0 and new[-1] else np.nan
    return Fit(coefficients.astype(np.float64), float(statistic), new, left, rest, perfect)


def _centred(column: np.ndarray) -> tuple[np.ndarray, np.longdouble]:
    wide = column.astype(np.longdouble)
    return wide - wide.mean(), wide.mean()


def _is_left(rest: float, square: float, rows: int, largest: float) -> bool:
    return bool(np.sqrt(rest) > max(LEFT * np.sqrt(square), LAST_DIGITS * largest * np.sqrt(rows)))


def criteria(found: Fit, rows: int) -> np.ndarray:
    """Akaike's criterion of the fit on the level and the first 0, 1, 2, … changes."""
    models = np.cumsum(found.new)
    with np.errstate(all="ignore"):
        return rows * np.log(np.array(found.left[1:]) / rows) + 2.0 * models


def is_on_an_edge(bars: np.ndarray, bins: int) -> bool:
    """Whether rounding may move a density of the window into the next of so many bins."""
    density = welch(bars, nperseg=min(bars.size, 256))[1]
    largest, noise = density.max(), rounding(bars)
    within = 2.0 * np.sqrt(density) * noise + noise * noise
    if largest <= within.max():
        return True
    shares, edges = density / largest, np.linspace(density.min() / largest, 1.0, bins + 1)[1:-1]
    near = np.abs(shares[:, None] - edges) <= (within[:, None] + within.max()) / largest
    return bool(near.any())


def has_equal_neighbours(bars: np.ndarray, widths: int) -> bool:
    """Whether rounding decides which of two neighbours in the window's wavelet transform is the larger."""
    rows = []
    for width in range(1, widths + 1):
        wavelet = _ricker(min(10 * width, bars.size), width)
        rows.append(np.convolve(bars, wavelet[::-1], mode="same"))
    noise = rounding(bars)
    return bool(any((np.abs(np.diff(row)) <= noise).any() for row in rows))
