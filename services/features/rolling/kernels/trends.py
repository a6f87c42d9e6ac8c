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
from services.features.rolling.sums import pairwise_sum

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
            for start in range(starts):
                result[start] = pairwise_sum(values, start, length) / length
        elif code <= 4:
            for start in range(starts):
                mean = pairwise_sum(values, start, length) / length
                for bar in range(length):
                    squares[bar] = (values[start + bar] - mean) ** 2
                variance = pairwise_sum(squares, 0, length) / length
                result[start] = variance if code == 3 else np.sqrt(variance)
        else:
            for start in range(starts):
                result[start] = pairwise_sum(values, start, length)


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
    values = np.empty(chunks)
    for row in range(rows):
        for index in range(count):
            for chunk in range(full):
                values[chunk] = whole[row, index + chunk * length]
            if chunks > full:
                values[full] = rest[row, index]
            centre = pairwise_sum(values, 0, chunks) / chunks
            together = 0.0
            squares = 0.0
            for chunk in range(chunks):
                deviation = values[chunk] - centre
                together += (chunk - middle) * deviation
                squares += deviation * deviation
            mean[row, index] = centre
            covariance[row, index] = together / chunks
            spread[row, index] = squares / chunks


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


def _attribute(points: int, attr: int, mean: Floats, covariance: Floats, spread: Floats, out: Floats) -> None:
    """One attribute of linregress's result, as `_fit`, its p-value, too."""
    _fit(points, attr, mean, covariance, spread, out)
    freedom = points - 2
    if attr == _PVALUE and freedom == 0:
        out[:] = np.where(spread > 0.0, 0.0, 1.0)
    elif attr == _PVALUE:
        statistic = out * np.sqrt(freedom / ((1.0 - out + _TINY) * (1.0 + out + _TINY)))
        out[:] = 2.0 * stdtr(freedom, -np.abs(statistic))


def _prepare_line(window: int, items: Sequence[Item]) -> tuple[int, ...]:
    return tuple(_ATTRIBUTES.index(str(item.parameters["attr"])) for item in items)


def _run_line(block: Block, attributes: tuple[int, ...], out: Floats) -> None:
    covariance = np.empty(block.count)
    _with_time(block.values, block.window, block.mean, covariance)
    with np.errstate(invalid="ignore", divide="ignore"):
        for row, attr in enumerate(attributes):
            _attribute(block.window, attr, block.mean, covariance, block.variance, out[row])


# Per chunk length: its aggregates; for each item of that length its row of `out`, that of the aggregates,
# and the attribute.
_Chunks = tuple[int, Integers, tuple[tuple[int, int, int], ...]]


def _prepare_chunks(window: int, items: Sequence[Item]) -> tuple[_Chunks, ...]:
    lengths: dict[int, tuple[list[int], list[tuple[int, int, int]]]] = {}
    for row, item in enumerate(items):
        codes, wanted = lengths.setdefault(item.whole("chunk_len"), ([], []))
        code = _AGGREGATES.index(str(item.parameters["f_agg"]))
        if code not in codes:
            codes.append(code)
        wanted.append((row, codes.index(code), _ATTRIBUTES.index(str(item.parameters["attr"]))))
    return tuple((length, np.array(codes), tuple(wanted)) for length, (codes, wanted) in lengths.items())


def _run_chunks(block: Block, tables: tuple[_Chunks, ...], out: Floats) -> None:
    for length, codes, wanted in tables:
        if length >= block.window:
            for row, _, _ in wanted:
                out[row] = np.nan
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
        points = full + (1 if left else 0)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for row, of, attr in wanted:
                _attribute(points, attr, mean[of], covariance[of], spread[of], out[row])


KERNELS = (
    Kernel(calculators=("linear_trend",), prepare=_prepare_line, run=_run_line),
    Kernel(calculators=("agg_linear_trend",), prepare=_prepare_chunks, run=_run_chunks),
)
