"""How many patterns a window holds: `lempel_ziv_complexity`, `permutation_entropy`.

Source: tsfresh 0.21.2. In `permutation_entropy` equal values rank in the order of time. tsfresh leaves their
order to NumPy's unstable sort, which differs from machine to machine: windows with ties in a pattern differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats, Integers
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel

Symbols = npt.NDArray[np.int32]

_FINEST = 1e-9  # a bin, as a share of the values, that rounding is small beside


@njit(cache=True, nogil=True, error_model="numpy")
def _symbols(values: Floats, lowest: float, highest: float, bins: int, symbols: Symbols) -> None:
    """The bin of each value: the number of inner edges below it, edge j being `j * step + minimum` as in
    numpy.linspace. A quotient tells it but for one, and the edges themselves decide."""
    step = (highest - lowest) / bins
    if not step > _FINEST * max(abs(lowest), abs(highest)):  # edges are rounded by more than one bin
        for bar in range(values.size):
            below = 0
            while below < bins - 1 and (below + 1) * step + lowest < values[bar]:
                below += 1
            symbols[bar] = below
        return
    per = 1.0 / step
    for bar in range(values.size):
        value = values[bar]
        near = max(np.int32(0), min(np.int32((value - lowest) * per), np.int32(bins - 1)))
        is_less = (near > 0) & (near * step + lowest >= value)
        is_more = (near < bins - 1) & ((near + 1) * step + lowest < value)
        symbols[bar] = near - is_less + is_more


@njit(cache=True, nogil=True, error_model="numpy")
def _lempel_ziv(
    values: Floats, window: int, minimum: Floats, maximum: Floats, bins: Integers, out: Floats
) -> None:
    """Walk a trie of the phrases met, four windows side by side, as each step waits for the one before.

    A branch holds `stamp << 32 | node`, and is absent where the stamp is another window's: no trie is
    cleared. A node is the place of its first branch. All is without a jump, which would be guessed wrong half
    the time.
    """
    rows, count = out.shape
    symbols = np.zeros((4, window), np.int32)
    most = bins.max()
    tries = np.zeros((4, most * (window + 1)), np.int64)
    one, two, three, four = tries[0], tries[1], tries[2], tries[3]
    stamp = 0
    for row in range(rows):
        width = bins[row]
        for first in range(0, count, 4):
            for lane in range(4):
                i = min(first + lane, count - 1)
                _symbols(values[i : i + window], minimum[i], maximum[i], width, symbols[lane])
            stamp += 1
            mark = stamp << 32
            a = b = c = d = 0  # the node where each window is
            next_a = next_b = next_c = next_d = 0  # the newest node of each
            for bar in range(window):
                at_a, at_b = a + symbols[0, bar], b + symbols[1, bar]
                at_c, at_d = c + symbols[2, bar], d + symbols[3, bar]
                branch_a, branch_b, branch_c, branch_d = one[at_a], two[at_b], three[at_c], four[at_d]
                is_a, is_b = (branch_a >> 32) == stamp, (branch_b >> 32) == stamp
                is_c, is_d = (branch_c >> 32) == stamp, (branch_d >> 32) == stamp
                next_a += 0 if is_a else width
                next_b += 0 if is_b else width
                next_c += 0 if is_c else width
                next_d += 0 if is_d else width
                one[at_a] = branch_a if is_a else mark | next_a
                two[at_b] = branch_b if is_b else mark | next_b
                three[at_c] = branch_c if is_c else mark | next_c
                four[at_d] = branch_d if is_d else mark | next_d
                a = branch_a & 0xFFFFFFFF if is_a else 0
                b = branch_b & 0xFFFFFFFF if is_b else 0
                c = branch_c & 0xFFFFFFFF if is_c else 0
                d = branch_d & 0xFFFFFFFF if is_d else 0
            ends = (next_a, next_b, next_c, next_d)
            for lane in range(min(4, count - first)):
                out[row, first + lane] = ends[lane] // width / window


def _prepare_lempel_ziv(window: int, items: Sequence[Item]) -> Integers:
    return np.array([item.whole("bins") for item in items], dtype=np.int64)


def _run_lempel_ziv(block: Block, bins: Integers, out: Floats) -> None:
    _lempel_ziv(block.values, block.window, block.minimum, block.maximum, bins, out)


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
