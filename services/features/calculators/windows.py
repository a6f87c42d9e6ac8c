"""Statistics of the last bars, each from the bars of its own window and nothing else.

No running sums: every value is computed afresh from its window, so it does not depend on where the history
starts, not in the last bit, and a missing value or a huge one is forgotten the moment it leaves the window.
A window that reaches before the first bar, or holds a missing value, gives NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from services.features.columns import Floats

_BLOCK = 512  # bars a pass works on at a time: they stay in the first-level cache
INPUT = numba.types.Array(numba.float64, 1, "C", readonly=True)
OUTPUT = numba.float64[::1]

FORGOTTEN = 1e-12


def compiled(signature: Any) -> Callable[[Callable[..., Any]], Callable[..., Floats]]:
    """Compile a function of arrays, which lets other threads run, before it is called."""
    compile_one: Callable[[Callable[..., Any]], Callable[..., Floats]] = numba.njit(
        signature, nogil=True, cache=True, error_model="numpy"
    )
    return compile_one


def exponential_bars(alpha: float) -> int:
    """How many bars back an exponential mean looks: what lies further would weigh under `FORGOTTEN`."""
    return math.ceil(math.log(FORGOTTEN) / math.log1p(-alpha))


def ema_bars(span: int) -> int:
    return exponential_bars(2.0 / (span + 1.0))


def wilder_bars(period: int) -> int:
    return exponential_bars(1.0 / period)


@compiled(OUTPUT(INPUT, INPUT))
def _weighted_differences(x, weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Sum of weights[i] * (x[t - i] - x[t]): exactly zero over a constant window, and no cancellation."""
    back = weights.size - 1
    result = np.full(x.size, np.nan)
    for start in range(back, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        now, out = x[start:stop], result[start:stop]
        out[:] = 0.0
        for i in range(back, -1, -1):
            weight = weights[i]
            then = x[start - i : stop - i]
            for k in range(stop - start):
                out[k] += weight * (then[k] - now[k])
    return result


@compiled(numba.float64[:, ::1](INPUT, INPUT, numba.int64))
def _central_sums(x, means, window):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows: sums of squared, cubed and fourth powers of the deviations from the window's mean."""
    result = np.full((3, x.size), np.nan)
    for start in range(window - 1, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        mean = means[start:stop]
        second, third, fourth = result[0, start:stop], result[1, start:stop], result[2, start:stop]
        second[:] = 0.0
        third[:] = 0.0
        fourth[:] = 0.0
        for i in range(window - 1, -1, -1):
            then = x[start - i : stop - i]
            for k in range(stop - start):
                deviation = then[k] - mean[k]
                square = deviation * deviation
                second[k] += square
                third[k] += square * deviation
                fourth[k] += square * square
    return result


@compiled(numba.float64[:, ::1](INPUT, INPUT, INPUT, INPUT, numba.int64))
def _co_moments(x, x_means, y, y_means, window):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows: sums of the products of deviations, x with y, x with itself, y with itself."""
    result = np.full((3, x.size), np.nan)
    x_moved, y_moved = np.empty(_BLOCK), np.empty(_BLOCK)
    for start in range(window - 1, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        x_mean, y_mean = x_means[start:stop], y_means[start:stop]
        both, x_square, y_square = result[0, start:stop], result[1, start:stop], result[2, start:stop]
        both[:] = 0.0
        x_square[:] = 0.0
        y_square[:] = 0.0
        for i in range(window - 1, -1, -1):
            x_then, y_then = x[start - i : stop - i], y[start - i : stop - i]
            for k in range(stop - start):
                x_moved[k] = x_then[k] - x_mean[k]
                x_square[k] += x_moved[k] * x_moved[k]
            for k in range(stop - start):
                y_moved[k] = y_then[k] - y_mean[k]
                y_square[k] += y_moved[k] * y_moved[k]
            for k in range(stop - start):
                both[k] += x_moved[k] * y_moved[k]
    return result


@compiled(OUTPUT(INPUT, numba.int64))
def _ranks(x, window):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    result = np.full(x.size, np.nan)
    for start in range(window - 1, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        now, twice = x[start:stop], result[start:stop]
        twice[:] = 0.0
        for i in range(1, window):
            then = x[start - i : stop - i]
            for k in range(stop - start):
                lower = 2.0 if then[k] < now[k] else 1.0 if then[k] == now[k] else 0.0
                twice[k] += lower if then[k] == then[k] else np.nan
        for k in range(stop - start):
            twice[k] = twice[k] / (2.0 * (window - 1)) if now[k] == now[k] else np.nan
    return result


@compiled(OUTPUT(INPUT, INPUT, numba.int64))
def _absolute_deviations(x, means, window):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    result = np.full(x.size, np.nan)
    for start in range(window - 1, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        mean, out = means[start:stop], result[start:stop]
        out[:] = 0.0
        for i in range(window - 1, -1, -1):
            then = x[start - i : stop - i]
            for k in range(stop - start):
                out[k] += abs(then[k] - mean[k])
        for k in range(stop - start):
            out[k] /= window
    return result


@compiled(OUTPUT(INPUT, INPUT, INPUT, numba.int64))
def _shares_beyond(x, means, limits, window):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    result = np.full(x.size, np.nan)
    for start in range(window - 1, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        mean, limit, out = means[start:stop], limits[start:stop], result[start:stop]
        out[:] = 0.0
        for i in range(window):
            then = x[start - i : stop - i]
            for k in range(stop - start):
                out[k] += 1.0 if abs(then[k] - mean[k]) > limit[k] else 0.0
        for k in range(stop - start):
            known = mean[k] == mean[k] and limit[k] == limit[k]
            out[k] = out[k] / window if known else np.nan
    return result


@compiled(OUTPUT(INPUT, INPUT, numba.int64))
def _weighted_skewness(x, weights, window):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    result = np.full(x.size, np.nan)
    totals, means, seconds, thirds = np.empty((4, _BLOCK))
    for start in range(window - 1, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        now, out = x[start:stop], result[start:stop]
        totals[:] = 0.0
        means[:] = 0.0
        seconds[:] = 0.0
        thirds[:] = 0.0
        for i in range(window - 1, -1, -1):
            then, weight = x[start - i : stop - i], weights[start - i : stop - i]
            for k in range(stop - start):
                totals[k] += weight[k]
                means[k] += weight[k] * (then[k] - now[k])
        for k in range(stop - start):
            means[k] /= totals[k]  # from x[t] on
        for i in range(window - 1, -1, -1):
            then, weight = x[start - i : stop - i], weights[start - i : stop - i]
            for k in range(stop - start):
                deviation, share = then[k] - now[k] - means[k], weight[k] / totals[k]
                seconds[k] += share * deviation * deviation
                thirds[k] += share * deviation * deviation * deviation
        for k in range(stop - start):
            if totals[k] > 0.0 and seconds[k] > 0.0:
                out[k] = thirds[k] / (seconds[k] * np.sqrt(seconds[k]))
    return result


@compiled(numba.float64[:, ::1](INPUT, numba.int64))
def _extremes(x, window):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows: lowest, highest, bars since the newest lowest, bars since the newest highest.

    Held are the bars that nothing after them undercuts (or exceeds), the oldest of which is the extreme."""
    result = np.full((4, x.size), np.nan)
    lows, highs = np.empty(x.size, np.int64), np.empty(x.size, np.int64)
    low_from = low_to = high_from = high_to = 0
    missing = -1
    for t in range(x.size):
        value = x[t]
        if np.isnan(value):
            missing = t
            continue
        while low_to > low_from and x[lows[low_to - 1]] >= value:
            low_to -= 1
        while high_to > high_from and x[highs[high_to - 1]] <= value:
            high_to -= 1
        lows[low_to], highs[high_to] = t, t
        low_to, high_to = low_to + 1, high_to + 1
        while lows[low_from] <= t - window:
            low_from += 1
        while highs[high_from] <= t - window:
            high_from += 1
        if t >= window - 1 and missing <= t - window:
            result[0, t], result[1, t] = x[lows[low_from]], x[highs[high_from]]
            result[2, t], result[3, t] = t - lows[low_from], t - highs[high_from]
    return result


@compiled(numba.float64[:, ::1](INPUT, numba.int64, INPUT))
def _quantiles(x, window, probabilities):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """One row per probability; the window is kept sorted, so a step costs one removal and one insertion."""
    result = np.full((probabilities.size, x.size), np.nan)
    ordered = np.empty(window + 1)
    held = 0
    for t in range(x.size):
        if t >= window and not np.isnan(x[t - window]):
            oldest, at = x[t - window], 0
            for i in range(held):
                at += ordered[i] < oldest
            held -= 1
            for i in range(at, held):
                ordered[i] = ordered[i + 1]
        newest = x[t]
        if not np.isnan(newest):
            at = held
            while at > 0 and ordered[at - 1] > newest:
                ordered[at] = ordered[at - 1]
                at -= 1
            ordered[at] = newest
            held += 1
        if held == window:
            for row in range(probabilities.size):
                position = probabilities[row] * (window - 1)
                below = min(int(position), window - 1)
                above = min(below + 1, window - 1)
                step = ordered[above] - ordered[below]
                result[row, t] = ordered[below] + (position - below) * step
    return result


def lag(x: Floats, bars: int) -> Floats:
    """The value `bars` earlier."""
    result = np.full(x.size, np.nan)
    result[bars:] = x[: max(x.size - bars, 0)]
    return result


def means(x: Floats, window: int) -> Floats:
    return x + _weighted_differences(x, np.full(window, 1.0 / window))


def sums(x: Floats, window: int) -> Floats:
    return means(x, window) * window


def weighted_sums(x: Floats, weights: Floats) -> Floats:
    """Sum of weights[i] times the value i bars ago."""
    sums: Floats = x * weights.sum() + _weighted_differences(x, weights)
    return sums


def exponential_means(x: Floats, alpha: float) -> Floats:
    """Weights (1 - alpha)^i over `exponential_bars(alpha)` bars back, scaled to sum to one.

    What TA-Lib's recursion tends to, whatever it was started with; here without a start.
    """
    weights = (1.0 - alpha) ** np.arange(exponential_bars(alpha) + 1.0)
    return x + _weighted_differences(x, weights / weights.sum())


def emas(x: Floats, span: int) -> Floats:
    """Exponential means with alpha = 2 / (span + 1)."""
    return exponential_means(x, 2.0 / (span + 1.0))


def wilder_means(x: Floats, period: int) -> Floats:
    """Wilder's smoothing: exponential means with alpha = 1 / period (Wilder 1978)."""
    return exponential_means(x, 1.0 / period)


def slopes(x: Floats, window: int) -> Floats:
    """Least-squares slope against time, per bar."""
    time = np.arange(window - 1, -1, -1.0)  # of the weight at i bars back
    centred = time - time.mean()
    return _weighted_differences(x, centred / (centred @ centred))


def central_sums(x: Floats, window: int) -> tuple[Floats, Floats, Floats, Floats]:
    """The window's mean, and the sums of powers two to four of the deviations from it."""
    mean = means(x, window)
    second, third, fourth = _central_sums(x, mean, window)
    return mean, second, third, fourth


def deviations(x: Floats, window: int) -> Floats:
    """Sample standard deviation (divisor window - 1)."""
    return np.sqrt(central_sums(x, window)[1] / (window - 1))


def mean_absolute_deviations(x: Floats, window: int) -> Floats:
    return _absolute_deviations(x, means(x, window), window)


def correlations(x: Floats, y: Floats, window: int) -> Floats:
    """Pearson's correlation; NaN where either is constant over the window."""
    return correlation_of(*co_moments(x, y, window))


def correlation_of(products: Floats, x_squares: Floats, y_squares: Floats) -> Floats:
    """Pearson's correlation from `co_moments`."""
    return np.clip(ratio(products, np.sqrt(x_squares) * np.sqrt(y_squares)), -1.0, 1.0)


def co_moments(x: Floats, y: Floats, window: int) -> tuple[Floats, Floats, Floats]:
    """Sums of the products of the deviations from the window's means: of x with y, of each with itself."""
    both, x_squares, y_squares = _co_moments(x, means(x, window), y, means(y, window), window)
    return both, x_squares, y_squares


def covariances(x: Floats, y: Floats, window: int) -> Floats:
    """Sample covariance (divisor window - 1)."""
    covariances: Floats = co_moments(x, y, window)[0] / (window - 1)
    return covariances


def betas(x: Floats, y: Floats, window: int) -> Floats:
    """Least-squares slope of x against y; NaN where y is constant over the window."""
    products, _, y_squares = co_moments(x, y, window)
    return ratio(products, y_squares)


def shares_beyond(x: Floats, window: int, count: float) -> Floats:
    """Share of the window's values more than `count` of its sample deviations away from its mean."""
    mean, squares, _, _ = central_sums(x, window)
    return _shares_beyond(x, mean, count * np.sqrt(squares / (window - 1)), window)


def weighted_skewness(x: Floats, weights: Floats, window: int) -> Floats:
    """Third over the root of the cubed second central moment, each value counted as its weight says; NaN
    where the weights sum to nothing or nothing differs."""
    return _weighted_skewness(x, weights, window)


def ranks(x: Floats, window: int) -> Floats:
    """Share of the window's earlier values that are lower, equal ones counted half."""
    return _ranks(x, window)


def extremes(x: Floats, window: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Lowest and highest value, and how many bars ago each was (the newest one of several)."""
    lowest, highest, since_lowest, since_highest = _extremes(x, window)
    return lowest, highest, since_lowest, since_highest


def quantiles(x: Floats, window: int, probabilities: tuple[float, ...]) -> tuple[Floats, ...]:
    """Quantiles of the window, linear between order statistics."""
    return tuple(_quantiles(x, window, np.array(probabilities)))


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """The quotient; NaN where the denominator is zero."""
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0.0)
    return quotient


def relative(x: Floats, reference: Floats) -> Floats:
    """x / reference - 1, with the digits of a small difference kept; NaN where the reference is zero."""
    return ratio(x - reference, reference)


def log_relative(x: Floats, reference: Floats) -> Floats:
    """ln(x / reference), its small differences with all their digits; NaN where not positive."""
    away = relative(x, reference)
    return np.log1p(away, out=np.full(x.shape, np.nan), where=away > -1.0)


def flag(condition: Any, *known: Floats) -> Floats:
    """1 where the condition holds, 0 where not, NaN where one of `known` is missing."""
    missing = np.isnan(known).any(axis=0)
    return np.where(missing, np.nan, np.asarray(condition, dtype=np.float64))
