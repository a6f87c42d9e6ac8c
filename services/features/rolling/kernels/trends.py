"""Straight lines through windows and through the chunks of windows: `linear_trend`, `agg_linear_trend`.

Source: scipy.stats.linregress, which tsfresh calls. Means and variances have the bits of NumPy's, so that
values which are equal give the line that rounding gives tsfresh. The sums with time are added in another
order: where the correlation is all but zero or one, what is left of it differs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from scipy.special import stdtr

from services.features.columns import Floats, Integers
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel
from services.features.rolling.sums import pairwise_sum, rolling_pairwise_sums

# What SciPy adds so that a perfect correlation has a finite t.
_TINY = 1.0e-20

_ATTRIBUTES = ("slope", "intercept", "rvalue", "pvalue", "stderr")
_SLOPE, _INTERCEPT, _RVALUE, _PVALUE, _STDERR = range(5)

_AGGREGATES = ("max", "min", "mean", "var", "std", "sum")


@njit(cache=True, nogil=True, error_model="numpy")
def _with_time(values: Floats, window: int, mean: Floats, covariance: Floats) -> None:
    """Covariance of each window with time, divisor n.

    The bar is the outer loop: windows side by side are one vector instruction, and each still adds its own
    bars in order.
    """
    count = mean.shape[0]
    middle = 0.5 * (window - 1)
    covariance[:] = 0.0
    for bar in range(window):
        time = bar - middle
        for index in range(count):
            covariance[index] += time * (values[index + bar] - mean[index])
    for index in range(count):
        covariance[index] /= window


@njit(cache=True, nogil=True, error_model="numpy")
def _aggregate(values: Floats, length: int, codes: Integers, found: Floats) -> None:
    """Each wanted aggregate (row) of the `length` bars from each bar on (column)."""
    starts = found.shape[1]
    squares = np.empty(length)
    for row in range(codes.shape[0]):
        code = codes[row]
        result = found[row]
        if code <= 1:
            result[:] = values[:starts]
            for bar in range(1, length):
                for start in range(starts):
                    value = values[start + bar]
                    better = value > result[start] if code == 0 else value < result[start]
                    result[start] = value if better else result[start]
        elif code == 2:
            rolling_pairwise_sums(values, length, result)
            result /= length
        elif code <= 4:
            for start in range(starts):
                mean = pairwise_sum(values, start, length) / length
                for bar in range(length):
                    squares[bar] = (values[start + bar] - mean) ** 2
                variance = pairwise_sum(squares, 0, length) / length
                result[start] = variance if code == 3 else np.sqrt(variance)
        else:
            rolling_pairwise_sums(values, length, result)


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_of_rows(values: Floats, mean: Floats) -> None:
    """The mean over the rows of each column, with the bits of `pairwise_sum`'s."""
    rows, count = values.shape
    if rows < 8 or rows > 128:
        column = np.empty(rows)
        for index in range(count):
            column[:] = values[:, index]
            mean[index] = pairwise_sum(column, 0, rows) / rows
        return
    sums = values[:8].copy()
    whole = rows - rows % 8
    for row in range(8, whole):
        into, added = sums[row % 8], values[row]
        for index in range(count):
            into[index] += added[index]
    for index in range(count):
        mean[index] = ((sums[0, index] + sums[1, index]) + (sums[2, index] + sums[3, index])) + (
            (sums[4, index] + sums[5, index]) + (sums[6, index] + sums[7, index])
        )
    for row in range(whole, rows):
        added = values[row]
        for index in range(count):
            mean[index] += added[index]
    for index in range(count):
        mean[index] /= rows


@njit(cache=True, nogil=True, error_model="numpy")
def _chunk_lines(
    whole: Floats, rest: Floats, length: int, full: int, mean: Floats, covariance: Floats, spread: Floats
) -> None:
    """Mean of a window's aggregates, covariance with time and variance.

    A window has `full` whole chunks, and a shorter last one where `rest` has columns.
    """
    rows, count = mean.shape
    chunks = full + (1 if rest.shape[1] > 0 else 0)
    middle = 0.5 * (chunks - 1)
    values, deviation = np.empty((chunks, count)), np.empty(count)
    covariance[:] = 0.0
    spread[:] = 0.0
    for row in range(rows):
        centre, together, squares = mean[row], covariance[row], spread[row]
        for chunk in range(full):
            values[chunk] = whole[row, chunk * length : chunk * length + count]
        if chunks > full:
            values[full] = rest[row]
        _mean_of_rows(values, centre)
        for chunk in range(chunks):
            now, time = values[chunk], chunk - middle
            for index in range(count):
                deviation[index] = now[index] - centre[index]
            for index in range(count):
                together[index] += time * deviation[index]
            for index in range(count):
                squares[index] += deviation[index] * deviation[index]
        for index in range(count):
            together[index] /= chunks
            squares[index] /= chunks


@njit(cache=True, nogil=True, error_model="numpy")
def _fit(points: int, attr: int, mean: Floats, covariance: Floats, spread: Floats, out: Floats) -> None:
    """One attribute of linregress's result for `points` points at 0, 1, …, from its sums; the correlation in
    place of its p-value."""
    of_time = (points * points - 1.0) / 12.0
    middle = 0.5 * (points - 1)
    for index in range(out.size):
        if attr == _SLOPE:
            out[index] = covariance[index] / of_time
        elif attr == _INTERCEPT:
            out[index] = mean[index] - covariance[index] / of_time * middle
        else:
            correlation = covariance[index] / np.sqrt(of_time * spread[index])
            correlation = min(max(correlation, -1.0), 1.0) if correlation == correlation else correlation
            if attr != _STDERR:
                out[index] = correlation
            elif points > 2:
                left = (1.0 - correlation * correlation) * spread[index] / of_time
                out[index] = np.sqrt(left / (points - 2))
            else:
                out[index] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_all(
    points: int, wanted: Integers, mean: Floats, covariance: Floats, spread: Floats, out: Floats
) -> None:
    for place in range(wanted.shape[0]):
        row, of, attr = wanted[place]
        _fit(points, attr, mean[of], covariance[of], spread[of], out[row])


def _attributes(
    points: int, wanted: Integers, mean: Floats, covariance: Floats, spread: Floats, out: Floats
) -> None:
    """The wanted attributes of linregress's results, each the row of `out`, the line and which it is."""
    _fit_all(points, wanted, mean, covariance, spread, out)
    freedom = points - 2
    for row, of, _ in wanted[wanted[:, 2] == _PVALUE]:
        if freedom == 0:
            out[row] = np.where(spread[of] > 0.0, 0.0, 1.0)
            continue
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            statistic = out[row] * np.sqrt(freedom / ((1.0 - out[row] + _TINY) * (1.0 + out[row] + _TINY)))
            out[row] = 2.0 * stdtr(freedom, -np.abs(statistic))


def _prepare_line(window: int, items: Sequence[Item]) -> Integers:
    wanted = [(row, 0, _ATTRIBUTES.index(str(item.parameters["attr"]))) for row, item in enumerate(items)]
    return np.array(wanted, np.int64)


def _run_line(block: Block, wanted: Integers, out: Floats) -> None:
    covariance = np.empty((1, block.count))
    _with_time(block.values, block.window, block.mean, covariance[0])
    _attributes(block.window, wanted, block.mean[None], covariance, block.variance[None], out)


# Per chunk length: its aggregates; for each item of that length its row of `out`, that of the aggregates,
# and the attribute.
_Chunks = tuple[int, Integers, Integers]


def _prepare_chunks(window: int, items: Sequence[Item]) -> tuple[_Chunks, ...]:
    lengths: dict[int, tuple[list[int], list[tuple[int, int, int]]]] = {}
    for row, item in enumerate(items):
        codes, wanted = lengths.setdefault(item.whole("chunk_len"), ([], []))
        code = _AGGREGATES.index(str(item.parameters["f_agg"]))
        if code not in codes:
            codes.append(code)
        wanted.append((row, codes.index(code), _ATTRIBUTES.index(str(item.parameters["attr"]))))
    return tuple(
        (length, np.array(codes), np.array(wanted, np.int64)) for length, (codes, wanted) in lengths.items()
    )


def _run_chunks(block: Block, tables: tuple[_Chunks, ...], out: Floats) -> None:
    for length, codes, wanted in tables:
        if length >= block.window:
            out[wanted[:, 0]] = np.nan
            continue
        full, left = divmod(block.window, length)
        total = block.values.size
        chunks = np.empty((codes.size, total - length + 1))
        _aggregate(block.values, length, codes, chunks)
        rest = np.empty((codes.size, block.count if left else 0))
        if left:
            _aggregate(block.values[full * length :], left, codes, rest)
        mean, covariance, spread = (np.empty((codes.size, block.count)) for _ in range(3))
        _chunk_lines(chunks, rest, length, full, mean, covariance, spread)
        _attributes(full + (1 if left else 0), wanted, mean, covariance, spread, out)


KERNELS = (
    Kernel(calculators=("linear_trend",), prepare=_prepare_line, run=_run_line),
    Kernel(calculators=("agg_linear_trend",), prepare=_prepare_chunks, run=_run_chunks),
)
