"""How a window's next value follows from the ones before: autoregression, and the test of a unit root.

Both are regressions of a change on the level before it and on earlier changes, which for an autoregression is
the same fit in coordinates that are nearly independent where values are nearly a random walk. Sources:
tsfresh 0.21.2, statsmodels' `AutoReg` and `adfuller` (lag by AIC), MacKinnon (1994, 2010) for the p-value.

What follows from what, and which fit is perfect but for rounding, is `orthogonal.MOST_LEFT`. By it values are
NaN where statsmodels answers with one of many fits, or with what rounding left:

- coefficients of an autoregression where a regressor follows from those before it (nothing moves, a straight
  line, long steps);
- the three of the test together where nothing moves, where the change is fitted perfectly with the most lags
  or with those chosen, and where the level follows from the changes chosen or never moves.

Of lags that leave the same the smallest is chosen, so that it is 0 where nothing moves on the rows on which
lags are compared; the test itself is of all rows, and is as statsmodels' there.
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
from services.features.rolling.fits import LANES, Lanes, factor, lanes, multiply
from services.features.rolling.kernel import Item, Kernel
from services.features.rolling.orthogonal import Columns, columns, fit_orthogonally

_TESTED = ("teststat", "pvalue", "usedlag")

# Of the statistic with a constant: from where on each polynomial holds, and its coefficients.
_LOWEST, _MIDDLE, _HIGHEST = -18.83, -1.61, 2.74
_SMALL = (2.1659, 1.4412, 3.8269e-2)
_LARGE = (1.7339, 9.3202e-1, -1.2745e-1, -1.0368e-2)

Wholes = npt.NDArray[np.int64]


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
    largest = np.maximum(np.abs(block.minimum), np.abs(block.maximum))
    lags = max(int(tables.orders.max()) - 1, 0)
    space, alone = lanes(block.window, lags), columns(block.window, lags)
    for number, order in enumerate(tables.orders):
        params = np.full((int(order) + 1, block.count), np.nan)
        if order == 0:
            params[0] = block.mean
        elif block.window - order < order + 1:
            params[order] = 0.0  # tsfresh fills in one value less than it asks for
        else:
            _autoregress(block.values, block.window, block.mean, largest, order - 1, space, alone, params)
        for row in np.flatnonzero(tables.which == number):
            at = tables.coefficient[row]
            out[row] = params[at] if at <= order else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _autoregress(
    values: Floats,
    window: int,
    mean: Floats,
    largest: Floats,
    lags: int,
    space: Lanes,
    alone: Columns,
    params: Floats,
) -> None:
    """Coefficients (lags + 2, windows) of one order, the constant first."""
    count, size = params.shape[1], lags + 1
    starts, fitted, one = np.empty(LANES, np.int64), np.empty((size, LANES)), np.empty(size)
    for first in range(0, count, LANES):
        for b in range(LANES):
            starts[b] = min(first + b, count - 1)
        multiply(values, mean, largest, starts, window, lags, space)
        factor(lags, False, space)
        for j in range(size - 1, -1, -1):
            for b in range(LANES):
                fitted[j, b] = space.solved[j, b]
            for k in range(j + 1, size):
                for b in range(LANES):
                    fitted[j, b] -= space.lower[k, j, b] * fitted[k, b]
            for b in range(LANES):
                fitted[j, b] /= space.lower[j, j, b]
        for b in range(min(LANES, count - first)):
            i = first + b
            if space.plain[b]:
                constant = space.means[0, b] + space.drift[b]
                for j in range(lags):
                    constant -= fitted[j, b] * (space.means[j + 1, b] + space.drift[b])
                for j in range(size):
                    one[j] = fitted[j, b]
                level = space.means[lags + 1, b] + mean[i]
            else:
                fit_orthogonally(values, i, window, lags, False, largest[i], alone)
                if not _back(alone.upper, alone.solved, size, one):
                    continue
                constant = alone.means[0]
                for j in range(lags):
                    constant -= one[j] * alone.means[j + 1]
                level = alone.means[size] + values[i]
            pull = one[lags]
            params[0, i] = constant - pull * level
            for j in range(1, lags + 2):
                params[j, i] = (one[j - 1] if j <= lags else 0.0) - (one[j - 2] if j > 1 else 0.0)
            params[1, i] += 1.0 + pull


@njit(cache=True, nogil=True, error_model="numpy")
def _back(upper: Floats, solved: Floats, size: int, fitted: Floats) -> bool:
    """The coefficients of an orthogonal fit; False where there is more than one fit."""
    for j in range(size - 1, -1, -1):
        if upper[j, j] == 0.0:
            return False
        total = solved[j]
        for k in range(j + 1, size):
            total -= upper[j, k] * fitted[k]
        fitted[j] = total / upper[j, j]
    return True


def _prepare_unit_root(window: int, items: Sequence[Item]) -> tuple[int, Wholes]:
    lags = min(window // 2 - 2, math.ceil(12.0 * (window / 100.0) ** 0.25))
    return lags, np.array([_TESTED.index(str(item.parameters["attr"])) for item in items], np.int64)


def _run_unit_root(block: Block, tables: tuple[int, Wholes], out: Floats) -> None:
    largest = np.maximum(np.abs(block.minimum), np.abs(block.maximum))
    space, alone = lanes(block.window, tables[0]), columns(block.window, tables[0])
    table, lags = np.full((len(_TESTED), block.count), np.nan), np.empty(block.count, np.int64)
    _choose_lags(block.values, block.window, block.mean, largest, tables[0], space, alone, lags)
    _test(block.values, block.window, block.mean, largest, tables[0], lags, space, alone, table)
    out[:] = table[tables[1]]


@njit(cache=True, nogil=True, error_model="numpy")
def _choose_lags(
    values: Floats,
    window: int,
    mean: Floats,
    largest: Floats,
    most: int,
    space: Lanes,
    alone: Columns,
    lags: Wholes,
) -> None:
    """The lag of each window by AIC among those up to `most`, on the same rows; -1 where the largest model
    fits perfectly."""
    count, rows, size = lags.size, window - 1 - most, most + 1
    starts, left = np.empty(LANES, np.int64), np.empty(size + 1)
    each_costs = np.exp(2.0 / rows)  # the criterion's exponential has its minimum at the same lag
    for first in range(0, count, LANES):
        for b in range(LANES):
            starts[b] = min(first + b, count - 1)
        multiply(values, mean, largest, starts, window, most, space)
        factor(most, True, space)
        for b in range(min(LANES, count - first)):
            i = first + b
            if space.plain[b]:
                left[0] = space.products[0, 0, b]
                for j in range(size):
                    left[j + 1] = left[j] - space.solved[j, b] * space.solved[j, b]
            elif _is_still(values, i + most, rows + 1):
                lags[i] = 0 if largest[i] > 0.0 and not _is_still(values, i, window) else -1
                continue
            elif fit_orthogonally(values, i, window, most, True, largest[i], alone) < 0:
                lags[i] = -1
                continue
            else:
                for j in range(size + 1):
                    left[j] = alone.left[j]
            best, cost = np.inf, 1.0
            for j in range(size):
                if space.plain[b] or alone.upper[j, j] > 0.0:
                    cost *= each_costs
                if left[j + 1] * cost < best:
                    lags[i], best = j, left[j + 1] * cost


@njit(cache=True, nogil=True, error_model="numpy")
def _is_still(values: Floats, start: int, count: int) -> bool:
    is_still = True
    for k in range(start + 1, start + count):
        is_still = is_still and values[k] == values[start]
    return is_still


@njit(cache=True, nogil=True, error_model="numpy")
def _test(
    values: Floats,
    window: int,
    mean: Floats,
    largest: Floats,
    most: int,
    lags: Wholes,
    space: Lanes,
    alone: Columns,
    table: Floats,
) -> None:
    """Statistic, p-value and lag of each window, fitted anew on all the rows that its lag leaves; windows of
    the same lag side by side."""
    starts, chosen = np.empty(LANES, np.int64), np.empty(lags.size, np.int64)
    for lag in range(most + 1):
        count = 0
        for i in range(lags.size):
            if lags[i] == lag:
                chosen[count] = i
                count += 1
        for first in range(0, count, LANES):
            for b in range(LANES):
                starts[b] = chosen[min(first + b, count - 1)]
            multiply(values, mean, largest, starts, window, lag, space)
            factor(lag, False, space)
            for b in range(min(LANES, count - first)):
                i, rank = starts[b], lag + 1
                if space.plain[b]:
                    left, added = space.products[0, 0, b], space.solved[lag, b]
                    for j in range(lag + 1):
                        left -= space.solved[j, b] * space.solved[j, b]
                else:
                    rank = fit_orthogonally(values, i, window, lag, False, largest[i], alone)
                    if rank < 0 or alone.upper[lag, lag] == 0.0:
                        continue
                    left, added = alone.left[lag + 1], alone.solved[lag]
                statistic = added / np.sqrt(left / (window - 1 - lag - (rank + 1)))
                table[0, i], table[1, i], table[2, i] = statistic, _p_value(statistic), lag


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
