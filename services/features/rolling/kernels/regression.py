"""How a window's next value follows from the ones before: autoregression, and the test of a unit root.

Both are regressions of a change on the level before it and on earlier changes, which for an autoregression is
the same fit in coordinates that are nearly independent where values are nearly a random walk. Sources:
tsfresh 0.21.2, statsmodels' `AutoReg` and `adfuller` (lag by AIC), MacKinnon (1994, 2010) for the p-value.

Where the regressors of a window are collinear (nothing moves, a straight line, long steps) the values are
NaN: statsmodels answers there with one of many solutions that fit alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel

_TESTED = ("teststat", "pvalue", "usedlag")
_COLLINEAR = 1e-11  # share of a regressor left by those before it

# Of the statistic with a constant: from where on each polynomial holds, and its coefficients.
_LOWEST, _MIDDLE, _HIGHEST = -18.83, -1.61, 2.74
_SMALL = (2.1659, 1.4412, 3.8269e-2)
_LARGE = (1.7339, 9.3202e-1, -1.2745e-1, -1.0368e-2)

Wholes = npt.NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def _gram(
    level: Floats, change: Floats, bars: int, lags: int, gram: Floats, with_change: Floats, means: Floats
) -> float:
    """Centred products of the regressors, `lags` earlier changes and last the level, over the changes from
    the `lags`-th on; returns the change's own."""
    count = bars - 1 - lags
    for j in range(lags + 2):  # the changes j bars before, then the level
        total = 0.0
        for t in range(lags, bars - 1):
            total += change[t - j] if j <= lags else level[t]
        means[j] = total / count
    size, own = lags + 1, 0.0
    row = np.empty(size)
    gram[:size, :size] = 0.0
    with_change[:size] = 0.0
    for t in range(lags, bars - 1):  # bar by bar, so that the compiler does several products at a time
        for j in range(lags):
            row[j] = change[t - j - 1] - means[j + 1]
        row[lags] = level[t] - means[lags + 1]
        moved = change[t] - means[0]
        own += moved * moved
        for i in range(size):
            x = row[i]
            with_change[i] += x * moved
            for j in range(size):
                gram[i, j] += x * row[j]
    return own


@njit(cache=True, nogil=True, error_model="numpy")
def _factor(
    gram: Floats, with_change: Floats, order: Wholes, size: int, lower: Floats, solved: Floats
) -> int:
    """Cholesky's factor of the first `size` regressors in this order, and what each adds to the fit: nothing
    where it follows from those before it. Returns how many do not."""
    rank = 0
    for i in range(size):
        at = order[i]
        for j in range(i + 1):
            total = gram[at, order[j]]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i > j:
                lower[i, j] = total / lower[j, j] if lower[j, j] > 0.0 else 0.0
            else:
                lower[i, i] = np.sqrt(total) if total > _COLLINEAR * gram[at, at] else 0.0
        total = with_change[at]
        for k in range(i):
            total -= lower[i, k] * solved[k]
        solved[i] = total / lower[i, i] if lower[i, i] > 0.0 else 0.0
        rank += lower[i, i] > 0.0
    return rank


class _Autoregression(NamedTuple):
    """The orders asked for, and of each item which of them and which coefficient."""

    orders: Wholes
    which: Wholes
    coefficient: Wholes


def _prepare_autoregression(window: int, items: Sequence[Item]) -> _Autoregression:
    orders = sorted({item.whole("k") for item in items})
    return _Autoregression(
        np.array(orders, np.int64),
        np.array([orders.index(item.whole("k")) for item in items], np.int64),
        np.array([item.whole("coeff") for item in items], np.int64),
    )


def _run_autoregression(block: Block, tables: _Autoregression, out: Floats) -> None:
    _autoregressions(block.values, block.window, block.mean, *tables, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _autoregressions(
    values: Floats,
    window: int,
    mean: Floats,
    orders: Wholes,
    which: Wholes,
    coefficient: Wholes,
    out: Floats,
) -> None:
    most = orders.max() + 1
    found = np.empty((orders.size, most))
    level, change = np.empty(window), np.empty(window)
    gram, with_change, means = np.empty((most, most)), np.empty(most), np.empty(most + 1)
    lower, solved, fitted = np.empty((most, most)), np.empty(most), np.empty(most)
    as_they_come = np.arange(most)
    for i in range(out.shape[1]):
        for t in range(window):
            level[t] = values[i + t] - values[i]
        for t in range(window - 1):
            change[t] = values[i + t + 1] - values[i + t]
        for number in range(orders.size):
            order = orders[number]
            params = found[number]
            params[:] = np.nan
            if order == 0:
                params[0] = mean[i]
                continue
            if window - order < order + 1:
                params[order] = 0.0  # tsfresh fills in one value less than it asks for
                continue
            lags = order - 1
            _gram(level, change, window, lags, gram, with_change, means)
            if _factor(gram, with_change, as_they_come, order, lower, solved) < order:
                continue
            for j in range(order - 1, -1, -1):
                total = solved[j]
                for k in range(j + 1, order):
                    total -= lower[k, j] * fitted[k]
                fitted[j] = total / lower[j, j]
            pull = fitted[lags]  # of the level
            constant = means[0] - pull * means[lags + 1] - pull * values[i]
            for j in range(lags):
                constant -= fitted[j] * means[j + 1]
            params[0] = constant
            for j in range(1, order + 1):
                params[j] = (fitted[j - 1] if j <= lags else 0.0) - (fitted[j - 2] if j > 1 else 0.0)
            params[1] += 1.0 + pull
        for row in range(out.shape[0]):
            order, at = orders[which[row]], coefficient[row]
            out[row, i] = found[which[row], at] if at <= order else np.nan


def _prepare_unit_root(window: int, items: Sequence[Item]) -> tuple[int, Wholes]:
    lags = min(window // 2 - 2, math.ceil(12.0 * (window / 100.0) ** 0.25))
    return lags, np.array([_TESTED.index(str(item.parameters["attr"])) for item in items], np.int64)


def _run_unit_root(block: Block, tables: tuple[int, Wholes], out: Floats) -> None:
    table = np.empty((len(_TESTED), block.count))
    _unit_roots(block.values, block.window, tables[0], table)
    out[:] = table[tables[1]]


@njit(cache=True, nogil=True, error_model="numpy")
def _unit_roots(values: Floats, window: int, most_lags: int, table: Floats) -> None:
    most = most_lags + 1
    level, change = np.empty(window), np.empty(window)
    gram, with_change, means = np.empty((most, most)), np.empty(most), np.empty(most + 1)
    lower, solved = np.empty((most, most)), np.empty(most)
    level_first, level_last = np.empty(most, np.int64), np.arange(most)
    level_first[0] = most_lags
    level_first[1:] = np.arange(most_lags)
    for i in range(table.shape[1]):
        table[:, i] = np.nan
        for t in range(window):
            level[t] = values[i + t] - values[i]
        for t in range(window - 1):
            change[t] = values[i + t + 1] - values[i + t]
        own = _gram(level, change, window, most_lags, gram, with_change, means)
        _factor(gram, with_change, level_first, most, lower, solved)
        count = window - 1 - most_lags
        lags, best, left, rank = 0, np.inf, own, 0
        for j in range(most):
            left -= solved[j] * solved[j]
            rank += lower[j, j] > 0.0
            criterion = count * np.log(left / count) + 2.0 * rank
            if criterion < best:
                lags, best = j, criterion
        if not np.isfinite(best):
            continue
        own = _gram(level, change, window, lags, gram, with_change, means)
        rank = _factor(gram, with_change, level_last, lags + 1, lower, solved)
        if lower[lags, lags] == 0.0:
            continue
        left = own
        for j in range(lags + 1):
            left -= solved[j] * solved[j]
        freedom = window - 1 - lags - (rank + 1)
        statistic = solved[lags] / np.sqrt(left / freedom)
        table[0, i], table[1, i], table[2, i] = statistic, _p_value(statistic), lags


@njit(cache=True, nogil=True, error_model="numpy")
def _p_value(statistic: float) -> float:
    if statistic > _HIGHEST:
        return 1.0
    if statistic < _LOWEST:
        return 0.0
    if statistic <= _MIDDLE:
        z = _SMALL[0] + statistic * (_SMALL[1] + statistic * _SMALL[2])
    else:
        z = _LARGE[0] + statistic * (_LARGE[1] + statistic * (_LARGE[2] + statistic * _LARGE[3]))
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


KERNELS = (
    Kernel(calculators=("ar_coefficient",), prepare=_prepare_autoregression, run=_run_autoregression),
    Kernel(calculators=("augmented_dickey_fuller",), prepare=_prepare_unit_root, run=_run_unit_root),
)
