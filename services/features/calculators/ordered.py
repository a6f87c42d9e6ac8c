"""Quantiles of windows: short ones sorted side by side, longer ones kept sorted from bar to bar.

Either way a value follows from the values of its window alone: those that are held sorted are these and no
others, and equal numbers are equal wherever they stand.
"""

from __future__ import annotations

from functools import cache

import numba
import numpy as np
import numpy.typing as npt

from services.features.calculators.compiling import INPUT, compiled
from services.features.columns import Floats

_BLOCK = 512  # bars that are sorted side by side
_SIDE_BY_SIDE_BARS = 12  # up to here sorting anew costs less than keeping sorted
_VALUES_AT_ONCE = 8  # of one instruction

_PAIRS = numba.types.Array(numba.int64, 2, "C", readonly=True)


@compiled(numba.float64[:, ::1](INPUT, numba.int64, INPUT, _PAIRS))
def _sorted_side_by_side(x, window, probabilities, pairs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """One row per probability; `pairs` say which values of a window to put in order, one after the other."""
    result = np.full((probabilities.size, x.size), np.nan)
    held, known = np.empty(window * _BLOCK), np.empty(_BLOCK)
    for start in range(window - 1, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        size = stop - start
        known[:] = 0.0
        for i in range(window):
            then, lane = x[start - i : stop - i], held[i * _BLOCK : i * _BLOCK + size]
            for k in range(size):
                lane[k] = then[k]
            for k in range(size):
                known[k] += 0.0 if then[k] == then[k] else np.nan
        for i in range(pairs.shape[0]):
            first, second = pairs[i, 0] * _BLOCK, pairs[i, 1] * _BLOCK
            low, high = held[first : first + size], held[second : second + size]
            for k in range(size):
                one, other = low[k], high[k]
                low[k] = one if one < other else other
                high[k] = other if one < other else one
        for row in range(probabilities.size):
            position = probabilities[row] * (window - 1)
            below = min(int(position), window - 1)
            above, part = min(below + 1, window - 1) * _BLOCK, position - below
            low, high = held[below * _BLOCK : below * _BLOCK + size], held[above : above + size]
            out = result[row, start:stop]
            for k in range(size):
                out[k] = low[k] + part * (high[k] - low[k]) + known[k]
    return result


@compiled(numba.float64[:, ::1](INPUT, numba.int64, INPUT))
def _kept_sorted(x, window, probabilities):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """One row per probability. A step moves what lies between the value that leaves and the one that comes by
    one place; an infinite value stands for a missing one, and lies around those of the window.

    The halves of an array take turns in holding the last window and the next."""
    rows = probabilities.size
    result = np.full((rows, x.size), np.nan)
    room = -(-window // _VALUES_AT_ONCE) * _VALUES_AT_ONCE
    at, to = 0, room + 2
    held = np.full(2 * to, np.inf)
    held[at] = held[to] = -np.inf
    belows, aboves, parts = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows)
    for row in range(rows):
        position = probabilities[row] * (window - 1)
        below = min(int(position), window - 1)
        belows[row], aboves[row], parts[row] = below + 1, min(below + 1, window - 1) + 1, position - below
    missing = window
    for t in range(x.size):
        newest, oldest = x[t], x[t - window] if t >= window else np.nan
        if oldest != oldest:
            oldest = np.inf
            missing -= 1
        if newest != newest:
            newest = np.inf
            missing += 1
        now, lower, higher = held[at + 1 : at + room + 1], held[at : at + room], held[at + 2 : at + room + 2]
        out = held[to + 1 : to + room + 1]
        if newest >= oldest:
            for k in range(room):
                moved = higher[k] if higher[k] < newest else newest
                moved = moved if moved > now[k] else now[k]
                out[k] = now[k] if higher[k] <= oldest else moved
        else:
            for k in range(room):
                moved = lower[k] if lower[k] > newest else newest
                moved = moved if moved < now[k] else now[k]
                out[k] = now[k] if lower[k] >= oldest else moved
        at, to = to, at
        if missing == 0:
            for row in range(rows):
                low, high = held[at + belows[row]], held[at + aboves[row]]
                result[row, t] = low + parts[row] * (high - low)
    return result


@cache
def _pairs(count: int) -> npt.NDArray[np.int64]:
    """What sorts so many values: Batcher's odd-even merge exchange (Knuth, The Art of Computer Programming 3,
    5.2.2, algorithm M)."""
    found, top = [], 1 << max(0, (count - 1).bit_length() - 1)
    step = top
    while step > 0:
        reach, rest, apart = top, 0, step
        while True:
            found += [(i, i + apart) for i in range(count - apart) if i & step == rest]
            if reach == step:
                break
            apart, reach, rest = reach - step, reach // 2, step
        step //= 2
    pairs = np.array(found, np.int64).reshape(-1, 2)
    pairs.flags.writeable = False
    return pairs


def quantiles(x: Floats, window: int, probabilities: tuple[float, ...]) -> tuple[Floats, ...]:
    """Quantiles of the window, linear between order statistics."""
    wanted = np.array(probabilities)
    if window <= _SIDE_BY_SIDE_BARS:
        return tuple(_sorted_side_by_side(x, window, wanted, _pairs(window)))
    return tuple(_kept_sorted(x, window, wanted))
