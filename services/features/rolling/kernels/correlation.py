"""How the values of a window go with those some bars before: autocorrelations, plain and partial.

Sources: tsfresh 0.21.2, statsmodels' `acf` and `pacf`. In a window without movement there is nothing to
correlate: partial autocorrelations are NaN there, where statsmodels gives what rounding left of 0 / 0. That
of lag 0 is 1 whatever else is asked for, where tsfresh has none when asked for nothing else.
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
_LANES = 64  # windows at a time, next to each other in memory

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
    centred, sums = np.empty((window, _LANES)), np.empty((largest + 1, _LANES))
    covariance, some = np.empty(largest + 1), np.empty(window)
    partial, before, now = np.empty(largest + 1), np.empty(largest + 1), np.empty(largest + 1)
    for first in range(0, out.shape[1], _LANES):
        lanes = min(_LANES, out.shape[1] - first)
        _centre(values[first:], mean[first:], lanes, centred)
        _sum_products(centred, lanes, sums)
        for lane in range(lanes):
            i = first + lane
            for k in range(largest + 1):
                covariance[k] = sums[k, lane] / (window - k)
            partial[0] = 1.0
            if largest_partial > 0:
                _partial(covariance, largest_partial, partial, before, now)
            filled = 0
            for row in range(out.shape[0]):
                at = lag[row]
                if calculator[row] == 0:
                    is_known = at < window and variance[i] > _NEGLIGIBLE
                    out[row, i] = covariance[at] / variance[i] if is_known else np.nan
                elif calculator[row] == 2:
                    is_known = at == 0 or (at <= largest_partial and not is_still[i])
                    out[row, i] = partial[at] if is_known else np.nan
                elif variance[i] < _NEGLIGIBLE_AGGREGATED:
                    out[row, i] = 0.0
                else:
                    count = min(at, window - 1)
                    for k in range(filled, count):
                        some[k] = covariance[k + 1] / covariance[0]
                    filled = max(filled, count)
                    out[row, i] = _aggregated(some[:count], aggregate[row])


@njit(cache=True, nogil=True, error_model="numpy")
def _centre(values: Floats, mean: Floats, lanes: int, centred: Floats) -> None:
    for k in range(centred.shape[0]):
        bar, row = values[k : k + lanes], centred[k]
        for lane in range(lanes):
            row[lane] = bar[lane] - mean[lane]


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_products(centred: Floats, lanes: int, sums: Floats) -> None:
    """Per lag (row) the products with the bars so many later, each sum in the order of the bars."""
    for lag in range(sums.shape[0]):
        count, k = centred.shape[0] - lag, 0
        sums[lag] = 0.0
        while k + 4 <= count:  # four at a time, so that the sums are read and written less often
            j = k + lag
            for lane in range(lanes):
                sums[lag, lane] = (
                    (
                        (sums[lag, lane] + centred[k, lane] * centred[j, lane])
                        + centred[k + 1, lane] * centred[j + 1, lane]
                    )
                    + centred[k + 2, lane] * centred[j + 2, lane]
                ) + centred[k + 3, lane] * centred[j + 3, lane]
            k += 4
        while k < count:
            for lane in range(lanes):
                sums[lag, lane] += centred[k, lane] * centred[k + lag, lane]
            k += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _partial(covariance: Floats, order: int, partial: Floats, before: Floats, now: Floats) -> None:
    """By Levinson's and Durbin's recursion; `before` and `now` are work space."""
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
