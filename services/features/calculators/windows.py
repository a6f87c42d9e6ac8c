"""Statistics of the last bars, each from the bars of its own window and nothing else.

No running sums: every value is computed afresh from its window, so it does not depend on where the history
starts, not in the last bit, and a missing value or a huge one is forgotten the moment it leaves the window.
A window that reaches before the first bar, or holds a missing value, gives NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from services.features.calculators import halves, ordered
from services.features.calculators.compiling import INPUT, OUTPUT, compiled, inlined
from services.features.columns import Floats

_BLOCK = 512  # bars a pass works on at a time: they stay in the first-level cache
_AT_ONCE = 8  # earlier values that a pass takes together: so many loads for one of what it sums up
FORGOTTEN = 1e-12


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


@inlined
def _forget(x, window, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """NaN where the window holds a missing value."""
    missing = 0
    for t in range(x.size):
        missing += x[t] != x[t]
    known = window
    for t in range(x.size if missing else 0):
        known = known + 1 if x[t] == x[t] else 0
        if known < window:
            result[t] = np.nan


@compiled(OUTPUT(INPUT, numba.int64))
def _lower_counts(x, window):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """How many of the window's earlier values are lower."""
    result, counts = np.full(x.size, np.nan), np.empty(_BLOCK, np.int64)
    for start in range(window - 1, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        size, now, out = stop - start, x[start:stop], result[start:stop]
        counts[:] = 0
        done = 0
        while done + _AT_ONCE < window:
            then = x[start - done - _AT_ONCE : stop - done]
            for k in range(size):
                found = 0
                for i in range(_AT_ONCE):
                    found += 1 if then[k + i] < now[k] else 0
                counts[k] += found
            done += _AT_ONCE
        for i in range(done + 1, window):
            then = x[start - i : stop - i]
            for k in range(size):
                counts[k] += 1 if then[k] < now[k] else 0
        for k in range(size):
            out[k] = counts[k]
    _forget(x, window, result)
    return result


@inlined
def _levels(x, levels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Put the level of each value, of 65,535 between the lowest and the highest, into `levels`: what is lower
    is on no higher one. They are told apart if the spread, which is returned, is not 0 and not too wide."""
    lowest, highest = np.inf, -np.inf
    for k in range(x.size):
        lowest = x[k] if x[k] < lowest else lowest
        highest = x[k] if x[k] > highest else highest
    spread = max(highest - lowest, 0.0)
    scale = 65_534.0 / spread
    for k in range(x.size):
        levels[k] = np.int16(np.int32((x[k] - lowest) * scale - 32_767.0))
    return spread


@compiled(OUTPUT(INPUT, numba.int64, numba.int64))
def _are_above(x, window, least):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """1 where at least `least` of the window's earlier values are lower, else 0.

    Levels of two bytes are compared first, many at once: most values have too few that are on no higher one,
    and only of the others is it counted which are lower.
    """
    result = np.full(x.size, np.nan)
    levels, counts, earlier = np.empty(_BLOCK + window, np.int16), np.empty(_BLOCK, np.int16), window - 1
    for start in range(earlier, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        size, part, out = stop - start, x[start - earlier : stop], result[start:stop]
        spread = _levels(part, levels[: part.size])
        is_told = 1e-300 < spread < 1e300
        counts[:] = least if spread > 0.0 and not is_told else 0
        now, done = levels[earlier : part.size], 0
        while is_told and done < earlier:
            then, left = levels[done : part.size], earlier - done
            if left >= _AT_ONCE:
                for k in range(size):
                    found = np.int16(0)
                    for i in range(_AT_ONCE):
                        found = np.int16(found + np.int16(then[k + i] <= now[k]))
                    counts[k] = np.int16(counts[k] + found)
            else:
                for k in range(size):
                    counts[k] = np.int16(counts[k] + np.int16(then[k] <= now[k]))
            done += _AT_ONCE if left >= _AT_ONCE else 1
        for k in range(size):
            lower, newest = 0, part[k + earlier]
            if counts[k] >= least and newest == newest:
                for i in range(earlier):
                    lower += 1 if part[k + i] < newest else 0
            out[k] = 1.0 if lower >= least else 0.0
    _forget(x, window, result)
    return result


@compiled(OUTPUT(INPUT, INPUT))
def _limits_passed(x, limits):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """How many of the limits each value is above."""
    result = np.empty(x.size)
    for start in range(0, x.size, _BLOCK):
        values, out = x[start : start + _BLOCK], result[start : start + _BLOCK]
        out[:] = 0.0
        for limit in limits:
            for k in range(values.size):
                out[k] += 1.0 if values[k] > limit else 0.0
        for k in range(values.size):
            out[k] = out[k] if values[k] == values[k] else np.nan
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


@compiled(OUTPUT(INPUT))
def roots(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Square roots, several at once where NumPy takes one after the other."""
    result = np.empty(x.size)
    for k in range(x.size):
        result[k] = np.sqrt(x[k])
    return result


@compiled(OUTPUT(INPUT, INPUT, numba.int64, numba.float64))
def _ratios(numerator, denominator, back, times):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    result = np.empty(numerator.size)
    result[:back] = np.nan
    now, out = numerator[back:], result[back:]
    for k in range(now.size):
        out[k] = times * (now[k] / denominator[k]) if denominator[k] != 0.0 else np.nan
    return result


@compiled(OUTPUT(INPUT, INPUT, numba.int64))
def _relatives(x, reference, back):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    result = np.empty(x.size)
    result[:back] = np.nan
    now, out = x[back:], result[back:]
    for k in range(now.size):
        out[k] = (now[k] - reference[k]) / reference[k] if reference[k] != 0.0 else np.nan
    return result


@compiled(OUTPUT(INPUT, INPUT, numba.int64))
def _log_relatives(x, reference, back):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Where both are near: 2 artanh(a / 2), as a series of a, their difference over their middle."""
    result = np.empty(x.size)
    result[:back] = np.nan
    for start in range(back, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        now, then, out = x[start:stop], reference[start - back : stop - back], result[start:stop]
        far = 0
        for k in range(stop - start):
            away = (now[k] - then[k]) / (0.5 * now[k] + 0.5 * then[k])
            square = away * away
            rest = 1.0 / 448.0 + square * (1.0 / 2304.0 + square * (1.0 / 11264.0))
            out[k] = away + away * square * (1.0 / 12.0 + square * (1.0 / 80.0 + square * rest))
            far += 0 if abs(away) <= 0.1 else 1
        for k in range(stop - start if far else 0):
            if not abs((now[k] - then[k]) / (0.5 * now[k] + 0.5 * then[k])) <= 0.1:
                away = (now[k] - then[k]) / then[k] if then[k] != 0.0 else np.nan
                out[k] = np.log1p(away) if away > -1.0 else np.nan
    return result


def lag(x: Floats, bars: int) -> Floats:
    """The value `bars` earlier."""
    result = np.empty(x.size)
    result[:bars] = np.nan
    result[bars:] = x[: max(x.size - bars, 0)]
    return result


def means(x: Floats, window: int) -> Floats:
    return halves.geometric(x, 1.0, 1.0, window, True)


def sums(x: Floats, window: int) -> Floats:
    return halves.geometric(x, 1.0, 1.0, window, False)


def weighted_sums(x: Floats, weights: Floats) -> Floats:
    """Sum of weights[i] times the value i bars ago."""
    sums: Floats = x * weights.sum() + _weighted_differences(x, weights)
    return sums


def exponential_means(x: Floats, alpha: float) -> Floats:
    """Weights (1 - alpha)^i over `exponential_bars(alpha)` bars back, scaled to sum to one.

    What TA-Lib's recursion tends to, whatever it was started with; here without a start.
    """
    return halves.geometric(x, 1.0 - alpha, 1.0, exponential_bars(alpha) + 1, True)


def emas(x: Floats, span: int) -> Floats:
    """Exponential means with alpha = 2 / (span + 1)."""
    return exponential_means(x, 2.0 / (span + 1.0))


def exponential_sizes(x: Floats, alpha: float) -> Floats:
    """Exponential means of sizes or flows, which need no digits beyond their own: in half the time."""
    count, ratio = exponential_bars(alpha) + 1, 1.0 - alpha
    return halves.geometric(x, ratio, alpha / (1.0 - ratio**count), count, False)


def wilder_means(sizes: Floats, period: int) -> Floats:
    """Wilder's smoothing of ranges, gains or losses: alpha = 1 / period (Wilder 1978)."""
    return exponential_sizes(sizes, 1.0 / period)


def slopes(x: Floats, window: int) -> Floats:
    """Least-squares slope against time, per bar."""
    time = np.arange(window - 1, -1, -1.0)  # of the weight at i bars back
    centred = time - time.mean()
    return _weighted_differences(x, centred / (centred @ centred))


def moments(x: Floats, window: int, powers: int) -> tuple[Floats, ...]:
    """The window's mean, and the sums of the powers of the deviations from it, two up to `powers` (four)."""
    return tuple(halves.moments(x, window, powers, False))


def shapes(x: Floats, window: int, powers: int) -> tuple[Floats, ...]:
    """The window's mean, sample standard deviation, skewness and excess kurtosis, as many as `powers`.

    The last two are adjusted for bias (Joanes & Gill 1998), as pandas and SciPy with bias=False.
    """
    return tuple(halves.moments(x, window, powers, True))


def deviations(x: Floats, window: int) -> Floats:
    """Sample standard deviation (divisor window - 1)."""
    return shapes(x, window, 2)[1]


def mean_absolute_deviations(x: Floats, window: int) -> Floats:
    return _absolute_deviations(x, means(x, window), window)


def correlations(x: Floats, y: Floats, window: int) -> Floats:
    """Pearson's correlation; NaN where either is constant over the window."""
    found: Floats = halves.co_moments(x, y, window, True)[0]
    return found


def correlation_of(products: Floats, x_squares: Floats, y_squares: Floats) -> Floats:
    """Pearson's correlation from `co_moments`."""
    return np.clip(ratio(products, roots(x_squares) * roots(y_squares)), -1.0, 1.0)


def co_moments(x: Floats, y: Floats, window: int) -> tuple[Floats, Floats, Floats]:
    """Sums of the products of the deviations from the window's means: of x with y, of each with itself."""
    both, x_squares, y_squares = halves.co_moments(x, y, window, False)
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
    mean, deviation = shapes(x, window, 2)
    return _shares_beyond(x, mean, count * deviation, window)


def weighted_skewness(x: Floats, weights: Floats, window: int) -> Floats:
    """Third over the root of the cubed second central moment, each value counted as its weight says; NaN
    where the weights sum to nothing or nothing differs."""
    return _weighted_skewness(x, weights, window)


def ranks(x: Floats, window: int) -> Floats:
    """Share of the window's earlier values that are lower, equal ones counted half."""
    earlier = window - 1
    return (earlier + _lower_counts(x, window) - _lower_counts(-x, window)) / (2 * earlier)


def passed(x: Floats, window: int, probabilities: tuple[float, ...]) -> Floats:
    """How many of these quantiles of the window the newest value is above.

    Above a quantile (linear between order statistics) is what has more than that share of the earlier values
    below it, so that none has to be found.
    """
    limits = np.array(probabilities) * (window - 1)
    return _limits_passed(_lower_counts(x, window), limits)


def above(x: Floats, window: int, probability: float) -> Floats:
    """1 where the newest value is above this quantile of the window, else 0; as in `passed`."""
    return _are_above(x, window, math.floor(probability * (window - 1)) + 1)


def below(x: Floats, window: int, probability: float) -> Floats:
    """1 where the newest value is below this quantile of the window, else 0."""
    return _are_above(-x, window, window - math.ceil(probability * (window - 1)))


def lowest(x: Floats, window: int) -> Floats:
    values: Floats = halves.extremes(x, window, 1.0, False)[0]
    return values


def highest(x: Floats, window: int) -> Floats:
    values: Floats = halves.extremes(x, window, -1.0, False)[0]
    return values


def since_lowest(x: Floats, window: int) -> Floats:
    """How many bars ago the lowest value was, the newest one of several."""
    since: Floats = halves.extremes(x, window, 1.0, True)[1]
    return since


def since_highest(x: Floats, window: int) -> Floats:
    since: Floats = halves.extremes(x, window, -1.0, True)[1]
    return since


def quantiles(x: Floats, window: int, probabilities: tuple[float, ...]) -> tuple[Floats, ...]:
    """Quantiles of the window, linear between order statistics."""
    return ordered.quantiles(x, window, probabilities)


def ratio(numerator: Floats, denominator: Floats, back: int = 0, times: float = 1.0) -> Floats:
    """`times` the quotient, the denominator that of `back` bars ago; NaN where that is zero."""
    return _ratios(np.ascontiguousarray(numerator), np.ascontiguousarray(denominator), back, times)


def relative(x: Floats, reference: Floats, back: int = 0) -> Floats:
    """x / reference - 1, with the digits of a small difference kept; NaN where the reference is zero."""
    return _relatives(np.ascontiguousarray(x), np.ascontiguousarray(reference), back)


def log_relative(x: Floats, reference: Floats, back: int = 0) -> Floats:
    """ln(x / reference), its small differences with all their digits; NaN where not positive."""
    return _log_relatives(np.ascontiguousarray(x), np.ascontiguousarray(reference), back)


def flag(condition: Any, *known: Floats) -> Floats:
    """1 where the condition holds, 0 where not, NaN where one of `known` is missing."""
    flags = np.array(condition, dtype=np.float64)
    for each in known:
        flags[np.isnan(each)] = np.nan
    return flags
