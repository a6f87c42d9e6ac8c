"""Where and how wide a window's bumps are: coefficients of its wavelet transform, and peaks that stand out.

Sources: tsfresh 0.21.2; `pywt.cwt` by the Mexican hat; `scipy.signal.find_peaks_cwt` (Du, Kibbe and Lin
2006). Where neighbours of a transform are equal but for rounding (nothing moves, a straight line) either may
be the peak here and neither or the other in scipy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel
from services.features.rolling.sums import weighed_sums

_POINTS, _EDGE = 4096, 8.0  # how finely PyWavelets samples the hat, and from where to where

_LANES = 128  # windows at a time, next to each other in memory
_GAP = 1  # widths in a row that a line of maxima may miss
_FEW = 10  # bars whose tenth percentile lies between the two lowest

Wholes = npt.NDArray[np.int64]


def _hat(width: int) -> Floats:
    """The integrated Mexican hat at this width, as PyWavelets samples it, reversed."""
    x = np.linspace(-_EDGE, _EDGE, _POINTS)
    hat = 2.0 / (np.sqrt(3.0) * np.pi**0.25) * (1.0 - x * x) * np.exp(-x * x / 2.0)
    step = x[1] - x[0]
    places = (np.arange(width * (x[-1] - x[0]) + 1) / (width * step)).astype(np.int64)
    integrated: Floats = (np.cumsum(hat) * step)[places[places < _POINTS]]
    return integrated[::-1]


def _weights(window: int, width: int, position: int) -> Floats:
    """What each bar of the window adds to the coefficient at a position."""
    hat = _hat(width)
    at = position + (hat.size - 2) // 2 - np.arange(window)
    padded = np.concatenate([[0.0], hat, [0.0]])
    before, after = (np.clip(at + shift, 0, hat.size + 1) for shift in (1, 2))
    weights: Floats = -np.sqrt(width) * (padded[after] - padded[before])
    return weights


def _prepare_coefficients(window: int, items: Sequence[Item]) -> Floats:
    """(items, bars); NaN for a position that the window has not."""
    table = np.full((len(items), window), np.nan)
    for row, item in enumerate(items):
        widths, position, width = item.parameters["widths"], item.whole("coeff"), item.whole("w")
        if position < window and isinstance(widths, tuple) and width in widths:
            table[row] = _weights(window, width, position)
    return table


def _run_coefficients(block: Block, table: Floats, out: Floats) -> None:
    _weigh(block.values, table, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh(values: Floats, table: Floats, out: Floats) -> None:
    """Bars outside a wavelet weigh nothing and are passed over."""
    items, window = table.shape
    for item in range(items):
        row, start, stop = out[item], 0, window
        while start < window and table[item, start] == 0.0:
            start += 1
        while stop > start and table[item, stop - 1] == 0.0:
            stop -= 1
        row[:] = 0.0
        weighed_sums(values, start, 1, table[item, start:stop], row)


def _prepare_peaks(window: int, items: Sequence[Item]) -> tuple[Floats, Wholes, Wholes]:
    """Ricker wavelets (widths, bars), how many bars each has, and of each item the largest width."""
    most = np.array([item.whole("n") for item in items], np.int64)
    widths = np.arange(1, most.max() + 1)
    sizes = np.minimum(10 * widths, window).astype(np.int64)
    wavelets = np.zeros((widths.size, window))
    for row, (width, size) in enumerate(zip(widths, sizes, strict=True)):
        squares = (np.arange(size) - (size - 1.0) / 2.0) ** 2
        scale = 2.0 / (np.sqrt(3.0 * width) * np.pi**0.25)
        wavelets[row, :size] = scale * (1.0 - squares / width**2) * np.exp(-squares / (2.0 * width**2))
    return wavelets, sizes, most


def _run_peaks(block: Block, tables: tuple[Floats, Wholes, Wholes], out: Floats) -> None:
    _peaks(block.values, block.window, *tables, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _peaks(values: Floats, window: int, wavelets: Floats, sizes: Wholes, most: Wholes, out: Floats) -> None:
    widths = sizes.size
    transform = np.empty((widths, window, _LANES))
    maxima = np.empty((_LANES, widths, window // 2 + 1), np.int64)
    counts = np.empty((_LANES, widths), np.int64)
    half, odd = divmod(-(-window // 20), 2)
    near = np.empty(2 * half + odd)
    lines = np.empty((6, widths * (window // 2 + 1)), np.int64)
    at, finest = np.full(window, -1), np.empty(window)
    noise = np.full((window, _LANES), np.nan)
    noises = np.full(window, np.nan)
    for first in range(0, out.shape[1], _LANES):
        lanes = min(_LANES, out.shape[1] - first)
        for width in range(widths):
            _convolve(values, first, lanes, window, wavelets[width], sizes[width], transform[width])
            _find_maxima(transform[width], lanes, maxima[:, width], counts[:, width])
        if near.size <= _FEW:
            _fill_noise(transform[0], lanes, near.size, noise)
        for lane in range(lanes):
            finest[:] = transform[0, :, lane]
            noises[:] = noise[:, lane]
            for row in range(most.size):
                out[row, first + lane] = _ridges(
                    transform[:, :, lane],
                    finest,
                    noises,
                    maxima[lane],
                    counts[lane],
                    most[row],
                    lines,
                    at,
                    near,
                )


@njit(cache=True, nogil=True, error_model="numpy")
def _convolve(
    values: Floats, first: int, lanes: int, window: int, wavelet: Floats, size: int, out: Floats
) -> None:
    """The middle of each window's convolution, as long as the window, into `out` (bars, windows).

    The wavelet is symmetric. Where it lies within the window, the sum is the same in every window that holds
    these bars: it is taken once. A sum runs over the points in their order, either way."""
    shift = (size - 1) // 2
    start, stop = size - 1 - shift, window - shift  # where it lies within
    shared = np.zeros(stop - start + lanes - 1)
    weighed_sums(values, first + start + shift, -1, wavelet[:size], shared)
    for t in range(window):
        row = out[t]
        if start <= t < stop:
            row[:lanes] = shared[t - start : t - start + lanes]
            continue
        row[:lanes] = 0.0
        low, high = max(0, t + shift - window + 1), min(size, t + shift + 1)
        weighed_sums(values, first + t + shift - low, -1, wavelet[low:high], row[:lanes])


@njit(cache=True, nogil=True, error_model="numpy")
def _find_maxima(transform: Floats, lanes: int, maxima: Wholes, counts: Wholes) -> None:
    """Bars above both their neighbours, per window, the first of them first."""
    counts[:] = 0
    for t in range(1, transform.shape[0] - 1):
        for lane in range(lanes):
            x = transform[t, lane]
            maxima[lane, counts[lane]] = t
            counts[lane] += (x > transform[t - 1, lane]) & (x > transform[t + 1, lane])


@njit(cache=True, nogil=True, error_model="numpy")
def _ridges(
    transform: Floats,
    finest: Floats,
    noises: Floats,
    maxima: Wholes,
    counts: Wholes,
    widths: int,
    lines: Wholes,
    at: Wholes,
    near: Floats,
) -> int:
    """How many lines of maxima over the widths are long enough and stand out of the noise, which is that of
    the transform's `finest` width, in `noises` if it is few bars.

    `at` says which line stands at a bar, -1 for none: so before and after."""
    last, first, lowest, length, gap = lines[0], lines[1], lines[2], lines[3], lines[4]
    window, count = at.size, 0
    for row in range(widths - 1, -1, -1):
        known = count
        for line in range(known - 1, -1, -1):  # of two lines at a bar the older is taken
            if gap[line] <= _GAP:
                at[last[line]] = line
        for line in range(known):
            lines[5, line] = last[line]
            gap[line] += 1
        reach = (row + 1) // 4
        for place in range(counts[row]):
            t = maxima[row, place]
            line = at[t]
            for away in range(1, reach + 1):
                if line >= 0:
                    break
                line = at[t - away] if t >= away else -1
                other = at[t + away] if t + away < window else -1
                if line < 0 or 0 <= other < line:
                    line = other
            if line < 0:
                line, count = count, count + 1
                first[line], lowest[line], length[line] = t, row, 0
            elif lowest[line] != row:
                lowest[line], first[line] = row, t
            last[line], gap[line] = t, 0
            length[line] += 1
        for line in range(known):
            at[lines[5, line]] = -1
    shortest, peaks = -(-widths // 4), 0
    for line in range(count):
        if length[line] >= shortest:
            noise = noises[first[line]] if near.size <= _FEW else _noise(finest, first[line], near)
            peaks += not abs(transform[lowest[line], first[line]] / noise) < 1.0
    return peaks


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_noise(transform: Floats, lanes: int, bars: int, noise: Floats) -> None:
    """`_noise` at every bar (row) of windows side by side: of at most `_FEW` bars the two lowest tell it."""
    half, odd = divmod(bars, 2)
    lowest, second = np.empty(lanes), np.empty(lanes)
    for t in range(transform.shape[0]):
        start, stop = max(t - half, 0), min(t + half + odd, transform.shape[0])
        lowest[:] = transform[start, :lanes]
        second[:] = np.inf
        for k in range(start + 1, stop):
            row = transform[k]
            for lane in range(lanes):
                x, low = row[lane], lowest[lane]
                other = x if x > low else low
                second[lane] = other if other < second[lane] else second[lane]
                lowest[lane] = x if x < low else low
        share, row = 0.1 * (stop - start - 1), noise[t]
        for lane in range(lanes):
            upper = second[lane] * share if share > 0.0 else 0.0
            row[lane] = lowest[lane] * (1.0 - share) + upper


@njit(cache=True, nogil=True, error_model="numpy")
def _noise(transform: Floats, t: int, near: Floats) -> float:
    """The tenth percentile of the transform around a bar."""
    half, odd = divmod(near.size, 2)
    start, stop = max(t - half, 0), min(t + half + odd, transform.size)
    place = 0.1 * (stop - start - 1)
    below = int(place)
    share = place - below
    lowest = min(below + 2, stop - start)  # no more of them have to be in order
    count = 0
    for k in range(start, stop):
        x = transform[k]
        if count < lowest:
            at, count = count, count + 1
        elif x < near[lowest - 1]:
            at = lowest - 1
        else:
            continue
        while at > 0 and near[at - 1] > x:
            near[at] = near[at - 1]
            at -= 1
        near[at] = x
    if share == 0.0:
        return float(near[below])
    return float(near[below] * (1.0 - share) + near[below + 1] * share)


KERNELS = (
    Kernel(calculators=("cwt_coefficients",), prepare=_prepare_coefficients, run=_run_coefficients),
    Kernel(calculators=("number_cwt_peaks",), prepare=_prepare_peaks, run=_run_peaks),
)
