"""How the values of a window go with those some bars before: autocorrelations, plain and partial.

Sources: tsfresh 0.21.2, statsmodels' `acf` and `pacf`. In a window without movement there is nothing to
correlate: partial autocorrelations are NaN there, where statsmodels gives what rounding left of 0 / 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel

_AGGREGATES = ("mean", "median", "var", "std")
_NEGLIGIBLE = 1e-8  # tsfresh asks np.isclose(variance, 0) before one, and for less before an aggregate
_NEGLIGIBLE_AGGREGATED = 1e-10
_LAGS_AT_ONCE = 8

Wholes = npt.NDArray[np.int64]


class _Tables(NamedTuple):
    """Of each item its calculator (0 plain, 1 aggregated, 2 partial), lag and aggregate; the largest lag, and
    the largest of a partial one, 0 where there is none."""

    calculator: Wholes
    lag: Wholes
    aggregate: Wholes
    largest: int
    largest_partial: int


_CALCULATORS = ("autocorrelation", "agg_autocorrelation", "partial_autocorrelation")


def _prepare(window: int, items: Sequence[Item]) -> _Tables:
    lags = [item.whole("maxlag" if item.calculator == "agg_autocorrelation" else "lag") for item in items]
    aggregates = [_AGGREGATES.index(str(item.parameters.get("f_agg", "mean"))) for item in items]
    partial = [item.whole("lag") for item in items if item.calculator == "partial_autocorrelation"]
    return _Tables(
        calculator=np.array([_CALCULATORS.index(item.calculator) for item in items], np.int64),
        lag=np.array(lags, np.int64),
        aggregate=np.array(aggregates, np.int64),
        largest=min(max(lags), window - 1),
        largest_partial=min(max(partial, default=0), window // 2 - 1),
    )


def _run(block: Block, tables: _Tables, out: Floats) -> None:
    is_still = block.minimum == block.maximum
    _correlate(block.values, block.window, block.mean, block.variance, is_still, *tables, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _correlate(
    values: Floats,
    window: int,
    mean: Floats,
    variance: Floats,
    is_still: npt.NDArray[np.bool_],
    calculator: Wholes,
    lag: Wholes,
    aggregate: Wholes,
    largest: int,
    largest_partial: int,
    out: Floats,
) -> None:
    groups = largest // _LAGS_AT_ONCE + 1
    centred = np.zeros(window + (groups + 1) * _LAGS_AT_ONCE)  # zeros behind the window end every sum
    sums = np.empty(groups * _LAGS_AT_ONCE)
    covariance = np.empty(largest + 1)
    partial = np.empty(largest + 1)
    some = np.empty(window)
    for i in range(out.shape[1]):
        for k in range(window):
            centred[k] = values[i + k] - mean[i]
        for group in range(groups):
            _sum_products(centred, window, group * _LAGS_AT_ONCE, sums)
        for k in range(largest + 1):
            covariance[k] = sums[k] / (window - k)
        if largest_partial > 0:
            _partial(covariance, largest_partial, partial)
        for row in range(out.shape[0]):
            at = lag[row]
            if calculator[row] == 0:
                is_known = at < window and variance[i] > _NEGLIGIBLE
                out[row, i] = covariance[at] / variance[i] if is_known else np.nan
            elif calculator[row] == 2:
                # tsfresh has none where lag 0 alone is asked for.
                is_known = at <= largest_partial > 0 and (at == 0 or not is_still[i])
                out[row, i] = partial[at] if is_known else np.nan
            elif variance[i] < _NEGLIGIBLE_AGGREGATED:
                out[row, i] = 0.0
            else:
                count = min(at, window - 1)
                for k in range(count):
                    some[k] = covariance[k + 1] / covariance[0]
                out[row, i] = _aggregated(some[:count], aggregate[row])


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_products(centred: Floats, window: int, first: int, sums: Floats) -> None:
    """Eight lags side by side, each added up in the order of the bars."""
    a = b = c = d = e = f = g = h = 0.0
    for k in range(window):
        x, at = centred[k], k + first
        a += x * centred[at]
        b += x * centred[at + 1]
        c += x * centred[at + 2]
        d += x * centred[at + 3]
        e += x * centred[at + 4]
        f += x * centred[at + 5]
        g += x * centred[at + 6]
        h += x * centred[at + 7]
    sums[first], sums[first + 1], sums[first + 2], sums[first + 3] = a, b, c, d
    sums[first + 4], sums[first + 5], sums[first + 6], sums[first + 7] = e, f, g, h


@njit(cache=True, nogil=True, error_model="numpy")
def _partial(covariance: Floats, order: int, partial: Floats) -> None:
    """By Levinson's and Durbin's recursion."""
    partial[0] = 1.0
    if order < 1:
        return
    now, before = np.empty(order + 1), np.empty(order + 1)
    before[1] = partial[1] = covariance[1] / covariance[0]
    error = covariance[0] - before[1] * covariance[1]
    for k in range(2, order + 1):
        explained = 0.0
        for j in range(1, k):
            explained += before[j] * covariance[k - j]
        last = (covariance[k] - explained) / error
        for j in range(1, k):
            now[j] = before[j] - last * before[k - j]
        now[k] = partial[k] = last
        error *= 1.0 - last * last
        now, before = before, now


@njit(cache=True, nogil=True, error_model="numpy")
def _aggregated(values: Floats, aggregate: int) -> float:
    if aggregate == 0:
        return float(values.mean())
    if aggregate == 1:
        return float(np.median(values))
    deviation = values - values.mean()
    variance = (deviation * deviation).mean()
    return float(variance if aggregate == 2 else np.sqrt(variance))


KERNELS = (Kernel(calculators=_CALCULATORS, prepare=_prepare, run=_run),)
