"""Statistics of windows put together from those of their halves: a step per binary digit of the length.

What holds of the last k bars at t and at t - k gives what holds of the last 2 k, and one bar before them that
of one more. So a value follows from the bars of its window alone, by the same operations wherever the window
lies, and no sum runs along: a missing or a huge value is forgotten with the window that held it. Means are
kept from the newest value on, so that a constant window has no deviation at all and tiny moves of a high
price keep their digits.

A pass works on bars that stay in the cache; the halves of an array take turns in holding the last step and
the next.
"""

from __future__ import annotations

import numba
import numpy as np

from services.features.calculators.compiling import INPUT, OUTPUT, compiled, inlined

_COUNT = numba.int64
_BLOCK = 1024  # bars a pass works on at a time, or twice the window


@inlined
def _greatest_power(count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The greatest power of two that is not above `count`."""
    power = 1
    while 2 * power <= count:
        power *= 2
    return power


@compiled(OUTPUT(INPUT, numba.float64, _COUNT))
def geometric_means(x, ratio, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Means of the last `count` values, that of i bars ago weighted by ratio^i."""
    result = np.empty(x.size)
    result[: count - 1] = np.nan
    if count > x.size:
        return result
    block = min(max(_BLOCK, 8 * count), x.size)
    room = block + count
    kept = np.empty(2 * room)  # of each last value: the weighted sum of the differences from it
    for start in range(count - 1, x.size, block):
        stop = min(start + block, x.size)
        part = x[start - count + 1 : stop]
        size = part.size
        kept[:size] = 0.0
        have, weight, total, at, to, bit = 1, ratio, 1.0, 0, room, _greatest_power(count) // 2
        while bit > 0:
            now, then = part[have:], part[: size - have]
            late, early, out = (
                kept[at + have : at + size],
                kept[at : at + size - have],
                kept[to + have : to + size],
            )
            for k in range(size - have):
                out[k] = late[k] + weight * (early[k] + total * (then[k] - now[k]))
            total += weight * total
            weight *= weight
            have *= 2
            at, to = to, at
            if count & bit:
                now, then, out = part[have:], part[: size - have], kept[at + have : at + size]
                for k in range(size - have):
                    out[k] += weight * (then[k] - now[k])
                total += weight
                weight *= ratio
                have += 1
            bit //= 2
        share = 1.0 / total
        now, away, out = part[count - 1 :], kept[at + count - 1 : at + size], result[start:stop]
        for k in range(stop - start):
            out[k] = now[k] + share * away[k]
    return result


@compiled(OUTPUT(INPUT, numba.float64, numba.float64, _COUNT))
def geometric_sums(x, ratio, scale, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """`scale` times the sum of the last `count` values, that of i bars ago weighted by ratio^i.

    Of values that lie around zero or on one side of it: nothing large cancels, and no mean has to be held
    from the newest on."""
    result = np.empty(x.size)
    result[: count - 1] = np.nan
    if count > x.size:
        return result
    block = min(max(_BLOCK, 8 * count), x.size)
    room = block + count
    kept = np.empty(2 * room)
    for start in range(count - 1, x.size, block):
        stop = min(start + block, x.size)
        part = x[start - count + 1 : stop]
        size = part.size
        kept[:size] = part
        have, weight, at, to, bit = 1, ratio, 0, room, _greatest_power(count) // 2
        while bit > 0:
            late, early = kept[at + have : at + size], kept[at : at + size - have]
            out = kept[to + have : to + size]
            for k in range(size - have):
                out[k] = late[k] + weight * early[k]
            weight *= weight
            have *= 2
            at, to = to, at
            if count & bit:
                then, out = part[: size - have], kept[at + have : at + size]
                for k in range(size - have):
                    out[k] += weight * then[k]
                weight *= ratio
                have += 1
            bit //= 2
        done, out = kept[at + count - 1 : at + size], result[start:stop]
        for k in range(stop - start):
            out[k] = scale * done[k]
    return result


@inlined
def _doubled(x, apart, mean, second, third, fourth, powers, have, at, to):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Twice as many values: those of the last `have` lie from `at` on, these from `to` on."""
    size = x.size - have
    lates, earlies, outs = (at + have, at + x.size), (at, at + size), (to + have, to + x.size)
    now, then, away = x[have:], x[:size], apart[:size]
    late, early, out = mean[lates[0] : lates[1]], mean[earlies[0] : earlies[1]], mean[outs[0] : outs[1]]
    late2, early2 = second[lates[0] : lates[1]], second[earlies[0] : earlies[1]]
    out2, scale = second[outs[0] : outs[1]], 0.5 * have
    for k in range(size):
        between = early[k] + (then[k] - now[k]) - late[k]
        away[k] = between
        out[k] = late[k] + 0.5 * between
        out2[k] = early2[k] + late2[k] + scale * between * between
    if powers < 3:
        return
    late3, early3 = third[lates[0] : lates[1]], third[earlies[0] : earlies[1]]
    out = third[outs[0] : outs[1]]
    for k in range(size):
        out[k] = early3[k] + late3[k] + 1.5 * away[k] * (early2[k] - late2[k])
    if powers < 4:
        return
    late4, early4 = fourth[lates[0] : lates[1]], fourth[earlies[0] : earlies[1]]
    out, scale = fourth[outs[0] : outs[1]], 0.125 * have
    for k in range(size):
        squares = 1.5 * (early2[k] + late2[k]) + scale * away[k] * away[k]
        out[k] = early4[k] + late4[k] + away[k] * (2.0 * (early3[k] - late3[k]) + away[k] * squares)


@inlined
def _lengthened(x, apart, mean, second, third, fourth, powers, have, at):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """One value more before the last `have`, in place."""
    size, first, last = x.size - have, at + have, at + x.size
    now, then, away, out = x[have:], x[:size], apart[:size], mean[first:last]
    squares = second[first:last]
    held, count = float(have), have + 1.0
    part, scale = 1.0 / count, held / count
    if powers < 3:
        for k in range(size):
            between = (then[k] - now[k]) - out[k]
            out[k] += part * between
            squares[k] += scale * between * between
        return
    for k in range(size):
        between = (then[k] - now[k]) - out[k]
        away[k] = between
        out[k] += part * between
    cubes = third[first:last]
    if powers > 3:
        out, of_four = fourth[first:last], held * (held * held - held + 1.0) / (count * count * count)
        of_two, of_one = 6.0 / (count * count), 4.0 / count
        for k in range(size):
            high = of_two * squares[k] + of_four * away[k] * away[k]
            out[k] += away[k] * (away[k] * high - of_one * cubes[k])
    of_three, of_one = held * (held - 1.0) / (count * count), 3.0 / count
    for k in range(size):
        cubes[k] += away[k] * (of_three * away[k] * away[k] - of_one * squares[k])
        squares[k] += scale * away[k] * away[k]


@inlined
def _gathered(x, apart, mean, second, third, fourth, window, powers):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The moments of the windows that end at each bar; they lie in that half which begins where it says."""
    mean[: x.size] = 0.0
    for sums in (second, third, fourth):
        sums[: x.size] = 0.0
    have, at, to, bit = 1, 0, apart.size, _greatest_power(window) // 2
    while bit > 0:
        _doubled(x, apart, mean, second, third, fourth, powers, have, at, to)
        have *= 2
        at, to = to, at
        if window & bit:
            _lengthened(x, apart, mean, second, third, fourth, powers, have, at)
            have += 1
        bit //= 2
    return at


@compiled(numba.float64[:, ::1](INPUT, _COUNT, _COUNT, numba.boolean))
def moments(x, window, powers, is_shaped):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Rows, as many as `powers`, two to four: the window's mean, and the sums of squared, cubed and fourth
    powers of the deviations from it (Chan, Golub & LeVeque 1979; Pébay 2008).

    If `is_shaped`, instead of the sums: the sample standard deviation (divisor n - 1), the adjusted skewness
    and the adjusted excess kurtosis (Joanes & Gill 1998, G1 and G2), NaN where there is no deviation.
    """
    result = np.empty((powers, x.size))
    result[:, : window - 1] = np.nan
    if window > x.size:
        return result
    block = min(max(_BLOCK, 2 * window), x.size)
    room = block + window
    apart, mean = np.empty(room), np.empty(2 * room)
    second = np.empty(2 * room)
    third = np.empty(2 * room if powers > 2 else 0)
    fourth = np.empty(2 * room if powers > 3 else 0)
    n = float(window)
    skewed = n * np.sqrt(n - 1.0) / (n - 2.0)
    curved = n * (n + 1.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0))
    normal = 3.0 * (n - 1.0) ** 2 / ((n - 2.0) * (n - 3.0))
    for start in range(window - 1, x.size, block):
        stop = min(start + block, x.size)
        part, size = x[start - window + 1 : stop], stop - start
        first = _gathered(part, apart, mean, second, third, fourth, window, powers) + window - 1
        now, away, out = part[window - 1 :], mean[first : first + size], result[0, start:stop]
        for k in range(size):
            out[k] = now[k] + away[k]
        for row, sums in ((1, second), (2, third), (3, fourth)):
            if row >= powers:
                continue
            squares, done = second[first : first + size], sums[first : first + size]
            out = result[row, start:stop]
            if not is_shaped:
                for k in range(size):
                    out[k] = done[k]
            elif row == 1:
                for k in range(size):
                    out[k] = np.sqrt(done[k] / (n - 1.0))
            elif row == 2:
                for k in range(size):
                    scale = squares[k] * np.sqrt(squares[k])
                    out[k] = skewed * (done[k] / scale) if scale != 0.0 else np.nan
            else:
                for k in range(size):
                    scale = squares[k] * squares[k]
                    out[k] = curved * (done[k] / scale) - normal if scale != 0.0 else np.nan
    return result


@inlined
def _both_doubled(x, y, x_mean, x_squares, y_mean, y_squares, products, have, at, to):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """As `_doubled`, of two series and what they have to do with each other."""
    size, scale = x.size - have, 0.5 * have
    first, last, out, end = at + have, at + x.size, to + have, to + x.size
    x_now, x_then, y_now, y_then = x[have:], x[:size], y[have:], y[:size]
    late_x, early_x, out_x = x_mean[first:last], x_mean[at : at + size], x_mean[out:end]
    late_y, early_y, out_y = y_mean[first:last], y_mean[at : at + size], y_mean[out:end]
    late_xx, early_xx, out_xx = x_squares[first:last], x_squares[at : at + size], x_squares[out:end]
    late_yy, early_yy, out_yy = y_squares[first:last], y_squares[at : at + size], y_squares[out:end]
    late_xy, early_xy, out_xy = products[first:last], products[at : at + size], products[out:end]
    for k in range(size):
        x_apart = early_x[k] + (x_then[k] - x_now[k]) - late_x[k]
        y_apart = early_y[k] + (y_then[k] - y_now[k]) - late_y[k]
        out_x[k] = late_x[k] + 0.5 * x_apart
        out_y[k] = late_y[k] + 0.5 * y_apart
        out_xx[k] = early_xx[k] + late_xx[k] + scale * x_apart * x_apart
        out_yy[k] = early_yy[k] + late_yy[k] + scale * y_apart * y_apart
        out_xy[k] = early_xy[k] + late_xy[k] + scale * x_apart * y_apart


@inlined
def _both_lengthened(x, y, x_mean, x_squares, y_mean, y_squares, products, have, at):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """As `_lengthened`."""
    size, first, last = x.size - have, at + have, at + x.size
    part, scale = 1.0 / (have + 1.0), have / (have + 1.0)
    x_now, x_then, y_now, y_then = x[have:], x[:size], y[have:], y[:size]
    of_x, of_y, of_xx = x_mean[first:last], y_mean[first:last], x_squares[first:last]
    of_yy, of_xy = y_squares[first:last], products[first:last]
    for k in range(size):
        x_apart, y_apart = (x_then[k] - x_now[k]) - of_x[k], (y_then[k] - y_now[k]) - of_y[k]
        of_x[k] += part * x_apart
        of_y[k] += part * y_apart
        of_xx[k] += scale * x_apart * x_apart
        of_yy[k] += scale * y_apart * y_apart
        of_xy[k] += scale * x_apart * y_apart


@compiled(numba.float64[:, ::1](INPUT, INPUT, _COUNT, numba.boolean))
def co_moments(x, y, window, is_correlation):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Rows: sums of the products of deviations, x with y, x with itself, y with itself.

    If it `is_correlation`, one row: Pearson's, NaN where either does not deviate.
    """
    result = np.empty((1 if is_correlation else 3, x.size))
    result[:, : window - 1] = np.nan
    if window > x.size:
        return result
    block = min(max(_BLOCK, 2 * window), x.size)
    room = block + window
    x_mean, x_squares, products = np.empty(2 * room), np.empty(2 * room), np.empty(2 * room)
    y_mean, y_squares = np.empty(2 * room), np.empty(2 * room)
    for start in range(window - 1, x.size, block):
        stop = min(start + block, x.size)
        x_part, y_part = x[start - window + 1 : stop], y[start - window + 1 : stop]
        size = x_part.size
        for sums in (x_mean, x_squares, y_mean, y_squares, products):
            sums[:size] = 0.0
        have, at, to, bit = 1, 0, room, _greatest_power(window) // 2
        while bit > 0:
            _both_doubled(x_part, y_part, x_mean, x_squares, y_mean, y_squares, products, have, at, to)
            have *= 2
            at, to = to, at
            if window & bit:
                _both_lengthened(x_part, y_part, x_mean, x_squares, y_mean, y_squares, products, have, at)
                have += 1
            bit //= 2
        first, last, out = at + window - 1, at + size, result[0, start:stop]
        both, of_x, of_y = products[first:last], x_squares[first:last], y_squares[first:last]
        if is_correlation:
            for k in range(stop - start):
                scale = np.sqrt(of_x[k]) * np.sqrt(of_y[k])
                out[k] = both[k] / scale if scale != 0.0 else np.nan
            for k in range(stop - start):
                out[k] = 1.0 if out[k] > 1.0 else -1.0 if out[k] < -1.0 else out[k]
            continue
        for row, sums in ((0, both), (1, of_x), (2, of_y)):
            out = result[row, start:stop]
            for k in range(stop - start):
                out[k] = sums[k]
    return result


@compiled(numba.float64[:, ::1](INPUT, _COUNT, numba.float64, numba.boolean))
def extremes(x, window, sign, is_dated):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Rows: the lowest value (the highest if `sign` is -1) and, if it `is_dated`, how many bars ago the
    newest of several was."""
    result = np.empty((2 if is_dated else 1, x.size))
    result[:, : window - 1] = np.nan
    if window > x.size:
        return result
    block = min(max(_BLOCK, 2 * window), x.size)
    room = block + window
    values, ages = np.empty(2 * room), np.empty(2 * room if is_dated else 0)
    for start in range(window - 1, x.size, block):
        stop = min(start + block, x.size)
        size = stop - start + window - 1
        part, lane = x[start - window + 1 : stop], values[:size]
        for k in range(size):
            lane[k] = sign * part[k]
        ages[:size] = 0.0
        have, at, to = 1, 0, room
        while have < window:
            apart = min(have, window - have)  # the last two halves overlap
            n = size - apart
            late, early, out = (
                values[at + apart : at + size],
                values[at : at + n],
                values[to + apart : to + size],
            )
            for k in range(n):
                out[k] = late[k] if late[k] <= early[k] or late[k] != late[k] else early[k]
            if is_dated:
                after, before, age = (
                    ages[at + apart : at + size],
                    ages[at : at + n],
                    ages[to + apart : to + size],
                )
                for k in range(n):
                    age[k] = after[k] if late[k] <= early[k] else before[k] + apart
            have += apart
            at, to = to, at
        first = at + window - 1
        done, out = values[first : at + size], result[0, start:stop]
        for k in range(stop - start):
            out[k] = sign * done[k]
        if is_dated:
            age, since = ages[first : at + size], result[1, start:stop]
            for k in range(stop - start):
                since[k] = age[k] if done[k] == done[k] else np.nan
    return result
