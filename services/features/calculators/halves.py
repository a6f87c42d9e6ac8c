"""Statistics of windows put together from those of their halves: a step per binary digit of the length.

What holds of the last k bars at t and at t - k gives what holds of the last 2 k, and one bar before them that
of one more. So a value follows from the bars of its window alone, by the same operations wherever the window
lies, and no sum runs along: a missing or a huge value is forgotten with the window that held it. Means are
kept from the newest value on, so that a constant window has no deviation at all and tiny moves of a high
price keep their digits.

A pass works on bars that stay in the cache; rows take turns in holding the last step and the next. What a
step asks of its length is asked once: the compiler makes a loop for either answer.
"""

from __future__ import annotations

import numba
import numpy as np

from services.features.calculators.compiling import INPUT, OUTPUT, compiled, inlined

_COUNT = numba.int64
_BLOCK = 1024  # bars a pass works on at a time, or twice the window


@inlined
def _ended(x, back, size):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The `size` items that end `back` before the end."""
    return x[x.size - back - size : x.size - back]


@inlined
def _halvings(count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """How often a count is halved, rounded down, until it is one."""
    times = 0
    while count >> times > 1:
        times += 1
    return times


@inlined
def _one_more(count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Whether windows of so many values are one longer than two of half of them."""
    return count % 2 == 1


@inlined
def _room(bars):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """How long rows of so many bars are: those whole pages apart, or nearly, wait for each other's writes."""
    return (bars // 512 + 1) * 512 + 40


@inlined
def _weighted(x, sums, out, count, weight, total, is_mean):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Sums of the last `count` values from those of half as many, the one before which has this `weight`; for
    a mean of their differences from the newest value, `total` the weights of the half."""
    size, have, of_one, is_odd, is_first = out.size, count // 2, weight * weight, _one_more(count), count < 4
    now, then, oldest = _ended(x, 0, size), _ended(x, have, size), _ended(x, count - 1, size)
    late, early = _ended(sums, 0, size), _ended(sums, have, size)
    for k in range(size):
        if is_mean:
            away = total * (then[k] - now[k])
            both = weight * away if is_first else late[k] + weight * (early[k] + away)
            if is_odd:
                both += of_one * (oldest[k] - now[k])
        else:
            both = late[k] + weight * early[k]
            if is_odd:
                both += of_one * oldest[k]
        out[k] = both


@compiled(OUTPUT(INPUT, numba.float64, numba.float64, _COUNT, numba.boolean))
def geometric(x, ratio, scale, count, is_mean):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The last `count` values, that of i bars ago weighted by ratio^i: `scale` times the sum, or the mean.

    Sums are of values that lie around zero or on one side of it: nothing large cancels, and no mean has to be
    held from the newest on.
    """
    result = np.empty(x.size)
    result[: count - 1] = np.nan
    if count > x.size:
        return result
    block = min(max(_BLOCK, 8 * count), x.size)
    kept = np.empty((2, _room(block + count)))
    for start in range(count - 1, x.size, block):
        stop = min(start + block, x.size)
        part, done = x[start - count + 1 : stop], result[start:stop]
        sums, weight, total, to = part, ratio, 1.0, 0
        if count == 1:
            for k in range(done.size):
                done[k] = 0.0 if is_mean else part[k]
        for left in range(_halvings(count) - 1, -1, -1):
            have = count >> left
            out = kept[to, have - 1 : part.size] if left > 0 else done
            _weighted(part, sums, out, have, weight, total, is_mean)
            sums, to = kept[to, : part.size], 1 - to
            total += weight * total
            weight *= weight
            if _one_more(have):
                total += weight
                weight *= ratio
        if is_mean:
            now, share = part[count - 1 :], 1.0 / total
            for k in range(done.size):
                done[k] = now[k] + share * done[k]
        else:
            for k in range(done.size):
                done[k] *= scale
    return result


@inlined
def _halves(kept, at, to, have, window, bars):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Of the row `at` the late and the early half of each window that ends at one of the `bars`, and of the
    row `to` the window itself."""
    early = kept[at, window - 1 - have : bars - have]
    return kept[at, window - 1 : bars], early, kept[to, window - 1 : bars]


@inlined
def _gathered(x, kept, at, to, window, powers):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The moments of the last `window` values from those of half as many, which are in the rows `kept` from
    `at` on: the mean's difference from the newest value, and sums of powers of the deviations."""
    bars, have, is_odd = x.size, window // 2, _one_more(window)
    size = bars - window + 1
    now, then, oldest = _ended(x, 0, size), _ended(x, have, size), _ended(x, window - 1, size)
    late, early, out = _halves(kept, at, to, have, window, bars)
    late2, early2, out2 = _halves(kept, at + 1, to + 1, have, window, bars)
    late3, early3, out3 = _halves(kept, at + 2, to + 2, have, window, bars)
    late4, early4, out4 = _halves(kept, at + 3, to + 3, have, window, bars)
    scale, scale4 = 0.5 * have, 0.125 * have
    held, count = 2.0 * have, 2.0 * have + 1.0
    part, one2, one3 = 1.0 / count, held / count, held * (held - 1.0) / (count * count)
    one4 = held * (held * held - held + 1.0) / (count * count * count)
    two4, less3, less4 = 6.0 / (count * count), 3.0 / count, 4.0 / count
    for k in range(size):
        between = early[k] + (then[k] - now[k]) - late[k]
        middle = late[k] + 0.5 * between
        squares = early2[k] + late2[k] + scale * between * between
        cubes = fourths = 0.0
        if powers > 2:
            cubes = early3[k] + late3[k] + 1.5 * between * (early2[k] - late2[k])
        if powers > 3:
            both = 1.5 * (early2[k] + late2[k]) + scale4 * between * between
            fourths = early4[k] + late4[k] + between * (2.0 * (early3[k] - late3[k]) + between * both)
        if is_odd:
            away = (oldest[k] - now[k]) - middle
            middle += part * away
            if powers > 3:
                fourths += away * (away * (two4 * squares + one4 * away * away) - less4 * cubes)
            if powers > 2:
                cubes += away * (one3 * away * away - less3 * squares)
            squares += one2 * away * away
        out[k] = middle
        out2[k] = squares
        if powers > 2:
            out3[k] = cubes
        if powers > 3:
            out4[k] = fourths


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
    kept = np.empty((8, _room(block + window)))
    n = float(window)
    skewed = n * np.sqrt(n - 1.0) / (n - 2.0)
    curved = n * (n + 1.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0))
    normal = 3.0 * (n - 1.0) ** 2 / ((n - 2.0) * (n - 3.0))
    for start in range(window - 1, x.size, block):
        stop = min(start + block, x.size)
        part, size, at, to = x[start - window + 1 : stop], stop - start, 0, 4
        kept[:powers, : part.size] = 0.0
        for left in range(_halvings(window) - 1, -1, -1):
            _gathered(part, kept, at, to, window >> left, powers)
            at, to = to, at
        now, away, out = part[window - 1 :], kept[at, window - 1 : part.size], result[0, start:stop]
        for k in range(size):
            out[k] = now[k] + away[k]
        squares = kept[at + 1, window - 1 : part.size]
        for row in range(1, powers):
            done, out = kept[at + row, window - 1 : part.size], result[row, start:stop]
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
def _both_gathered(x, y, kept, at, to, window):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """As `_gathered`, of two series and what they have to do with each other: rows of their means, of their
    squares, and of their products."""
    bars, have, is_odd = x.size, window // 2, _one_more(window)
    size = bars - window + 1
    x_now, x_then, x_oldest = _ended(x, 0, size), _ended(x, have, size), _ended(x, window - 1, size)
    y_now, y_then, y_oldest = _ended(y, 0, size), _ended(y, have, size), _ended(y, window - 1, size)
    late_x, early_x, out_x = _halves(kept, at, to, have, window, bars)
    late_y, early_y, out_y = _halves(kept, at + 1, to + 1, have, window, bars)
    late_xx, early_xx, out_xx = _halves(kept, at + 2, to + 2, have, window, bars)
    late_yy, early_yy, out_yy = _halves(kept, at + 3, to + 3, have, window, bars)
    late_xy, early_xy, out_xy = _halves(kept, at + 4, to + 4, have, window, bars)
    scale, held = 0.5 * have, 2.0 * have
    part, one_more, is_first = 1.0 / (held + 1.0), held / (held + 1.0), have == 1
    for k in range(size):
        x_apart, y_apart = x_then[k] - x_now[k], y_then[k] - y_now[k]
        if is_first:
            x_mean, y_mean = 0.5 * x_apart, 0.5 * y_apart
            xx, yy = scale * x_apart * x_apart, scale * y_apart * y_apart
            xy = 0.0 + scale * x_apart * y_apart  # no zero with a sign
        else:
            x_apart = early_x[k] + x_apart - late_x[k]
            y_apart = early_y[k] + y_apart - late_y[k]
            x_mean = late_x[k] + 0.5 * x_apart
            y_mean = late_y[k] + 0.5 * y_apart
            xx = early_xx[k] + late_xx[k] + scale * x_apart * x_apart
            yy = early_yy[k] + late_yy[k] + scale * y_apart * y_apart
            xy = early_xy[k] + late_xy[k] + scale * x_apart * y_apart
        if is_odd:
            x_away, y_away = (x_oldest[k] - x_now[k]) - x_mean, (y_oldest[k] - y_now[k]) - y_mean
            x_mean += part * x_away
            y_mean += part * y_away
            xx += one_more * x_away * x_away
            yy += one_more * y_away * y_away
            xy += one_more * x_away * y_away
        out_x[k] = x_mean
        out_y[k] = y_mean
        out_xx[k] = xx
        out_yy[k] = yy
        out_xy[k] = xy


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
    kept = np.empty((10, _room(block + window)))
    for start in range(window - 1, x.size, block):
        stop = min(start + block, x.size)
        x_part, y_part = x[start - window + 1 : stop], y[start - window + 1 : stop]
        bars, size, at, to = x_part.size, stop - start, 0, 5
        for left in range(_halvings(window) - 1, -1, -1):
            _both_gathered(x_part, y_part, kept, at, to, window >> left)
            at, to = to, at
        of_x, of_y = kept[at + 2, window - 1 : bars], kept[at + 3, window - 1 : bars]
        both, out = kept[at + 4, window - 1 : bars], result[0, start:stop]
        if is_correlation:
            for k in range(size):
                scale = np.sqrt(of_x[k]) * np.sqrt(of_y[k])
                out[k] = both[k] / scale if scale != 0.0 else np.nan
            for k in range(size):
                out[k] = 1.0 if out[k] > 1.0 else -1.0 if out[k] < -1.0 else out[k]
            continue
        for row, done in ((0, both), (1, of_x), (2, of_y)):
            result[row, start:stop] = done
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
