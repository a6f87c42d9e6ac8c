"""How many patterns a window holds: `lempel_ziv_complexity`, `permutation_entropy`.

Source: tsfresh 0.21.2. In `permutation_entropy` equal values rank in the order of time. tsfresh leaves their
order to NumPy's unstable sort, which differs from machine to machine: windows with ties in a pattern differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from services.features.columns import Floats, Integers
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel


@njit(cache=True, nogil=True, error_model="numpy")
def _symbols(ordered: Floats, order: Integers, bins: int, symbols: Integers) -> None:
    """Number the bins that a window's values fall into, only those met, from the lowest.

    The bin of a value is the number of inner edges below it, edge j being `j * step + minimum` as in
    numpy.linspace; from one value to the next it only grows. How many phrases there are does not depend on
    the numbering.
    """
    window = ordered.shape[0]
    lowest = ordered[0]
    step = (ordered[window - 1] - lowest) / bins
    edge = step + lowest
    below = number = 0
    for place in range(window):
        value = ordered[place]
        if below < bins - 1 and edge < value:
            number += place > 0
            while below < bins - 1 and edge < value:
                below += 1
                edge = (below + 1) * step + lowest
        symbols[order[place]] = number


@njit(cache=True, nogil=True, error_model="numpy")
def _lempel_ziv(ordered: Floats, order: Integers, bins: Integers, out: Floats) -> None:
    """Walk a trie of the phrases met, one an item; all side by side, as each step waits for the one before.

    A branch holds `stamp << 32 | node`, and is absent where the stamp is another window's: no trie is
    cleared.
    """
    count, window = ordered.shape
    rows = bins.shape[0]
    widths = np.empty(rows, np.int64)
    starts = np.empty(rows, np.int64)
    size = 0
    for row in range(rows):
        widths[row] = min(bins[row], window)
        starts[row] = size
        size += widths[row] * (window + 1)
    branches = np.zeros(size, np.int64)
    symbols = np.empty((rows, window), np.int64)
    node = np.empty(rows, np.int64)
    phrases = np.empty(rows, np.int64)
    for index in range(count):
        stamp = index + 1
        for row in range(rows):
            _symbols(ordered[index], order[index], bins[row], symbols[row])
            node[row] = 0
            phrases[row] = 0
        for bar in range(window):
            for row in range(rows):
                place = starts[row] + node[row] * widths[row] + symbols[row, bar]
                branch = branches[place]
                is_known = (
                    branch >> 32
                ) == stamp  # without a jump, which would be guessed wrong half the time
                phrases[row] += not is_known
                branches[place] = branch if is_known else (stamp << 32) | phrases[row]
                node[row] = branch & 0xFFFFFFFF if is_known else 0
        for row in range(rows):
            out[row, index] = phrases[row] / window


def _prepare_lempel_ziv(window: int, items: Sequence[Item]) -> Integers:
    return np.array([item.whole("bins") for item in items], dtype=np.int64)


def _run_lempel_ziv(block: Block, bins: Integers, out: Floats) -> None:
    _lempel_ziv(block.ordered, block.order, bins, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _renumbered(codes: Integers) -> int:
    """Replace codes with their rank among those present; how many there are."""
    order = np.argsort(codes)
    rank = -1
    before = np.int64(-1)
    for place in range(order.shape[0]):
        code = codes[order[place]]
        if code != before:
            before = code
            rank += 1
        codes[order[place]] = rank
    return rank + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _permutations(
    values: Floats, window: int, dimensions: Integers, steps: Integers, weights: Floats, out: Floats
) -> None:
    """Entropy of the orders of values, counted from window to window.

    The code of a pattern grows value by value by the number of earlier values that are greater (a Lehmer
    code); `dimensions` ascends, so all share one walk. tsfresh's `tau` is the distance of patterns, not of
    their values: windows `step` apart share all patterns but one. `weights[n]` is n log n.
    """
    rows, count = out.shape
    total = values.shape[0]
    codes = np.zeros(total, np.int64)
    present = 1
    reached = 1
    tallies = np.zeros(total + 1, np.int64)
    for row in range(rows):
        dimension = dimensions[row]
        if dimension > window:
            out[row, :] = np.nan
            continue
        while reached < dimension:
            if present > 2**40 // (reached + 1):
                present = _renumbered(codes[: total - reached + 1])
            for start in range(total - reached):
                greater = 0
                value = values[start + reached]
                for other in range(reached):
                    greater += values[start + other] > value
                codes[start] = codes[start] * (reached + 1) + greater
            present *= reached + 1
            reached += 1
        patterns = codes[: total - dimension + 1].copy()
        _renumbered(patterns)
        step = steps[row]
        number = (window - dimension) // step + 1
        for remainder in range(min(step, count)):
            tallies[:] = 0
            weight = 0.0
            for turn in range(number):
                code = patterns[remainder + turn * step]
                weight += weights[tallies[code] + 1] - weights[tallies[code]]
                tallies[code] += 1
            one = tallies[patterns[remainder]] == number
            out[row, remainder] = 0.0 if one else np.log(number) - weight / number
            for index in range(remainder + step, count, step):
                code = patterns[index - step]
                weight += weights[tallies[code] - 1] - weights[tallies[code]]
                tallies[code] -= 1
                code = patterns[index + (number - 1) * step]
                weight += weights[tallies[code] + 1] - weights[tallies[code]]
                tallies[code] += 1
                one = tallies[code] == number
                out[row, index] = 0.0 if one else np.log(number) - weight / number


class _Orders(NamedTuple):
    """Dimensions, ascending, their steps and the rows of `out` they belong to; n log n up to the window."""

    dimensions: Integers
    steps: Integers
    rows: Integers
    weights: Floats


def _prepare_permutations(window: int, items: Sequence[Item]) -> _Orders:
    dimensions = np.array([item.whole("dimension") for item in items], dtype=np.int64)
    steps = np.array([item.whole("tau") for item in items], dtype=np.int64)
    rows = np.argsort(dimensions, kind="stable")
    numbers = np.arange(window + 2, dtype=np.float64)
    weights = numbers * np.log(np.maximum(numbers, 1.0))
    return _Orders(dimensions[rows], steps[rows], rows, weights)


def _run_permutations(block: Block, tables: _Orders, out: Floats) -> None:
    found = np.empty_like(out)
    _permutations(block.values, block.window, tables.dimensions, tables.steps, tables.weights, found)
    out[tables.rows] = found


KERNELS = (
    Kernel(calculators=("lempel_ziv_complexity",), prepare=_prepare_lempel_ziv, run=_run_lempel_ziv),
    Kernel(calculators=("permutation_entropy",), prepare=_prepare_permutations, run=_run_permutations),
)
