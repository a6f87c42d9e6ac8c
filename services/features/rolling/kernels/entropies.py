"""Entropies of values and of their repetition: `binned_entropy`, `sample_entropy`, `approximate_entropy`.

Sources: tsfresh 0.21.2; Richman and Moorman (2000), Pincus (1991). An infinite entropy is NaN. A difference
that equals the tolerance but for rounding may count there and not here, or the other way round.
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

Bits = npt.NDArray[np.uint64]


@njit(cache=True, nogil=True, error_model="numpy")
def _binned(ordered: Floats, bins: int, logarithms: Floats, out: Floats) -> None:
    """Entropy of numpy.histogram's counts: bins between numpy.linspace's edges, the last closed.

    NaN where the edges are no longer apart, which NumPy refuses.
    """
    count, window = ordered.shape
    for index in range(count):
        values = ordered[index]
        first = values[0]
        last = values[window - 1]
        if first == last:
            first -= 0.5
            last += 0.5
        step = (last - first) / bins
        entropy = 0.0
        before = 0
        place = 0
        edge = first
        apart = True
        for number in range(1, bins + 1):
            above = number * step + first if number < bins else last
            apart = apart and above > edge
            edge = above
            if number == bins:
                place = window
            else:
                while place < window and values[place] < edge:
                    place += 1
            inside = place - before
            if inside > 0:
                share = inside / window
                entropy -= share * (logarithms[inside] - logarithms[window])
            before = place
        out[index] = entropy if apart else np.nan


def _logarithms(window: int) -> Floats:
    return np.log(np.maximum(np.arange(window + 1, dtype=np.float64), 1.0))


def _prepare_binned(window: int, items: Sequence[Item]) -> tuple[tuple[int, ...], Floats]:
    return tuple(item.whole("max_bins") for item in items), _logarithms(window)


def _run_binned(block: Block, tables: tuple[tuple[int, ...], Floats], out: Floats) -> None:
    bins, logarithms = tables
    for row, number in enumerate(bins):
        _binned(block.ordered, number, logarithms, out[row])


@njit(cache=True, nogil=True, error_model="numpy")
def _ones(bits: np.uint64) -> np.int64:
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True, error_model="numpy")
def _sets_by_value(order: Integers, upto: Bits) -> None:
    """`upto[p]`: the bars of the `p` lowest values, a bit each."""
    for place in range(order.shape[0]):
        for word in range(upto.shape[1]):
            upto[place + 1, word] = upto[place, word]
        bar = order[place]
        upto[place + 1, bar >> 6] |= np.uint64(1) << np.uint64(bar & 63)


@njit(cache=True, nogil=True, error_model="numpy")
def _near(ordered: Floats, order: Integers, upto: Bits, tolerance: float, near: Bits) -> None:
    """`near[i]`: the bars within `tolerance` of bar i in value, one stretch in the order of values."""
    window = ordered.shape[0]
    low = 0
    high = 0
    for place in range(window):
        value = ordered[place]
        while value - ordered[low] > tolerance:
            low += 1
        high = max(high, place)
        while high < window and ordered[high] - value <= tolerance:
            high += 1
        bar = order[place]
        for word in range(near.shape[1]):
            near[bar, word] = upto[high, word] ^ upto[low, word]


@njit(cache=True, nogil=True, error_model="numpy")
def _lengthened(near: Bits, length: int, alike: Bits) -> None:
    """Of bars alike over `length` bars keep those alike over one more: i + length is near j + length."""
    words = near.shape[1]
    jump = length >> 6
    shift = np.uint64(length & 63)
    back = np.uint64(64) - shift
    for bar in range(near.shape[0] - length):
        for word in range(words):
            moved = np.uint64(0)
            if word + jump < words:
                moved = near[bar + length, word + jump] >> shift
                if shift > np.uint64(0) and word + jump + 1 < words:
                    moved |= near[bar + length, word + jump + 1] << back
            alike[bar, word] &= moved


@njit(cache=True, nogil=True, error_model="numpy")
def _number_alike(alike: Bits, templates: int, numbers: Integers) -> None:
    for bar in range(templates):
        number = np.int64(0)
        for word in range(alike.shape[1]):
            number += _ones(alike[bar, word])
        numbers[bar] = number


@njit(cache=True, nogil=True, error_model="numpy")
def _repetition(
    ordered: Floats,
    order: Integers,
    deviation: Floats,
    lengths: Integers,
    tolerances: Floats,
    logarithms: Floats,
    out: Floats,
) -> None:
    """Sample entropy where the length is 0, else approximate entropy.

    Sets of bars are bits, so all pairs of templates are compared sixty-four at a time.
    """
    count, window = ordered.shape
    rows = lengths.shape[0]
    words = (window + 63) // 64
    upto = np.zeros((window + 1, words), np.uint64)
    near = np.empty((window, words), np.uint64)
    alike = np.empty((window, words), np.uint64)
    numbers = np.empty(window, np.int64)
    for index in range(count):
        _sets_by_value(order[index], upto)
        for row in range(rows):
            sample = lengths[row] == 0
            length = 2 if sample else lengths[row]
            if window <= length + 1:
                # No two longer templates: infinite, or not even that.
                out[row, index] = np.nan if sample else 0.0
                continue
            tolerance = tolerances[row] * deviation[index]
            _near(ordered[index], order[index], upto, tolerance, near)
            alike[:] = near
            for reached in range(1, length):
                _lengthened(near, reached, alike)
            shorter = window - length + 1
            _number_alike(alike, shorter, numbers)
            pairs = 0
            entropy = 0.0
            for bar in range(shorter):
                pairs += numbers[bar] - 1
                entropy += logarithms[numbers[bar]] - logarithms[shorter]
            entropy /= shorter
            _lengthened(near, length, alike)
            longer = shorter - 1
            _number_alike(alike, longer, numbers)
            longer_pairs = 0
            longer_entropy = 0.0
            for bar in range(longer):
                longer_pairs += numbers[bar] - 1
                longer_entropy += logarithms[numbers[bar]] - logarithms[longer]
            longer_entropy /= longer
            if not sample:
                out[row, index] = abs(entropy - longer_entropy)
            elif longer_pairs == 0:
                out[row, index] = np.nan
            else:
                out[row, index] = -np.log(longer_pairs / pairs)


class _Templates(NamedTuple):
    """Of each item its templates' length (0: sample entropy) and its tolerance in deviations."""

    lengths: Integers
    tolerances: Floats
    logarithms: Floats


def _prepare_sample(window: int, items: Sequence[Item]) -> _Templates:
    return _Templates(np.zeros(len(items), dtype=np.int64), np.full(len(items), 0.2), _logarithms(window))


def _prepare_approximate(window: int, items: Sequence[Item]) -> _Templates:
    lengths = np.array([item.whole("m") for item in items], dtype=np.int64)
    tolerances = np.array([item.number("r") for item in items])
    return _Templates(lengths, tolerances, _logarithms(window))


def _run_repetition(block: Block, tables: _Templates, out: Floats) -> None:
    _repetition(block.ordered, block.order, block.deviation, *tables, out)


KERNELS = (
    Kernel(calculators=("binned_entropy",), prepare=_prepare_binned, run=_run_binned),
    Kernel(calculators=("sample_entropy",), prepare=_prepare_sample, run=_run_repetition),
    Kernel(calculators=("approximate_entropy",), prepare=_prepare_approximate, run=_run_repetition),
)
