"""Bootstraps: rows drawn with replacement for a member of an ensemble, though neighbouring labels overlap."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from services.training.splits import Microseconds, Rows


def draw_blocks(
    row_count: int, draw_count: int, block_rows: int, generator: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Runs of `block_rows` neighbours (all rows, if there are fewer), until `draw_count` are drawn.

    Returns
    -------
    intp (draw_count,)
        Positions from 0, ascending; some repeat.

    References
    ----------
    Künsch (1989), *The Jackknife and the Bootstrap for General Stationary Observations*.
    """
    size = min(block_rows, row_count)
    starts = generator.integers(0, row_count - size + 1, -(-draw_count // size))
    return np.sort((starts[:, np.newaxis] + np.arange(size)).reshape(-1)[:draw_count])


def draw_sequentially(
    t0: Microseconds,
    t1: Microseconds,
    draw_count: int,
    generator: np.random.Generator,
    symbols: npt.NDArray[np.intp] | None = None,
) -> npt.NDArray[np.intp]:
    """Row by row, each in proportion to its average uniqueness among those drawn before.

    The uniqueness of a row is the mean, over the moments of its label, of one by the labels that would be
    open there with it.

    Parameters
    ----------
    t0, t1 : int64 (rows,)
        Decision and outcome known; `t0` ascending; microseconds since the epoch.
    draw_count : int
    generator : numpy.random.Generator
    symbols : intp (rows,), optional
        Which symbol each row is of: labels of different symbols do not overlap.

    Returns
    -------
    intp (draw_count,)
        Positions from 0, ascending; some repeat.

    References
    ----------
    López de Prado (2018), *Advances in Financial Machine Learning*, section 4.5.
    """
    if symbols is not None:  # one symbol after the other, in a time of its own
        order = np.lexsort((t0, symbols))
        own = symbols * (t1.max() - t0.min() + 1) - t0.min()
        return np.sort(order[draw_sequentially((t0 + own)[order], (t1 + own)[order], draw_count, generator)])
    moments = np.unique(np.concatenate((t0, t1)))
    first = np.searchsorted(moments, t0, side="right")
    last = np.searchsorted(moments, t1, side="right")
    found: Rows = np.sort(_draw(first, last, moments.size, generator.random(draw_count)))
    return found


@numba.njit(
    numba.int64[::1](numba.int64[::1], numba.int64[::1], numba.int64, numba.float64[::1]),
    nogil=True,
    cache=True,
)
def _draw(first: Any, last: Any, moment_count: Any, chances: Any) -> Any:
    """A draw changes the uniqueness of the rows whose label overlaps the drawn one's, and of no other.

    A tree of partial sums (Fenwick 1994) finds the row of a chance, and takes such changes, in log(rows).
    """
    rows = first.size
    drawn = np.empty(chances.size, np.int64)
    open_labels = np.zeros(moment_count, np.int64)
    uniqueness = np.ones(rows)
    longest = 0
    for row in range(rows):
        longest = max(longest, last[row] - first[row])
    sums = np.zeros(rows + 1)
    for node in range(1, rows + 1):
        sums[node] += 1.0
        above = node + (node & -node)
        if above <= rows:
            sums[above] += sums[node]
    top = 1
    while 2 * top <= rows:
        top *= 2
    shares = np.zeros(3 * longest + 2)
    for draw in range(chances.size):
        total, node = 0.0, rows
        while node > 0:
            total += sums[node]
            node -= node & -node
        left, row, step = chances[draw] * total, 0, top
        while step > 0:
            if row + step <= rows and sums[row + step] <= left:
                row += step
                left -= sums[row]
            step //= 2
        row = min(row, rows - 1)
        drawn[draw] = row
        begin, end = first[row], last[row]
        if begin >= end:
            continue
        for moment in range(begin, end):
            open_labels[moment] += 1
        low = np.searchsorted(first, begin - longest, side="left")
        high = np.searchsorted(first, end, side="left")
        start = first[low]
        stop = min(moment_count, end + longest)
        for moment in range(start, stop):  # running sums of one by the labels that would be open
            shares[moment - start + 1] = shares[moment - start] + 1.0 / (1 + open_labels[moment])
        for other in range(low, high):
            if last[other] <= begin or last[other] <= first[other]:
                continue
            length = last[other] - first[other]
            value = (shares[last[other] - start] - shares[first[other] - start]) / length
            change = value - uniqueness[other]
            uniqueness[other] = value
            node = other + 1
            while node <= rows:
                sums[node] += change
                node += node & -node
    return drawn
