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

_POINTS, _EDGE = 4096, 8.0  # how finely PyWavelets samples the hat, and from where to where

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
    """(bars, items); NaN for a position that the window has not."""
    table = np.full((window, len(items)), np.nan)
    for row, item in enumerate(items):
        widths, position, width = item.parameters["widths"], item.whole("coeff"), item.whole("w")
        if position < window and isinstance(widths, tuple) and width in widths:
            table[:, row] = _weights(window, width, position)
    return table


def _run_coefficients(block: Block, table: Floats, out: Floats) -> None:
    _weigh(block.values, table, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh(values: Floats, table: Floats, out: Floats) -> None:
    window, count = table.shape
    sums = np.empty(count)
    for i in range(out.shape[1]):
        sums[:] = 0.0
        for t in range(window):
            x = values[i + t]
            for row in range(count):
                sums[row] += x * table[t, row]
        out[:, i] = sums


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
    transform = np.empty((sizes.size, window))
    noise = np.empty(window)
    for i in range(out.shape[1]):
        for row in range(sizes.size):
            _convolve(values, i, window, wavelets[row], sizes[row], transform[row])
        _noise(transform[0], noise)
        for row in range(most.size):
            out[row, i] = _ridges(transform[: most[row]], noise)


@njit(cache=True, nogil=True, error_model="numpy")
def _convolve(values: Floats, start: int, window: int, wavelet: Floats, size: int, out: Floats) -> None:
    """The middle of the convolution, as long as the window; the wavelet is symmetric. One of its points after
    the other over all bars, which the compiler does several at a time."""
    shift = (size - 1) // 2
    out[:] = 0.0
    for point in range(size):
        weight, ahead = wavelet[point], shift - point
        for t in range(max(0, -ahead), min(window, window - ahead)):
            out[t] += values[start + t + ahead] * weight


@njit(cache=True, nogil=True, error_model="numpy")
def _noise(transform: Floats, noise: Floats) -> None:
    """The tenth percentile of the transform around each bar."""
    window = transform.size
    half, odd = divmod(-(-window // 20), 2)
    near = np.empty(2 * half + odd)
    for t in range(window):
        count = 0
        for k in range(max(t - half, 0), min(t + half + odd, window)):
            x, at = transform[k], count
            while at > 0 and near[at - 1] > x:
                near[at] = near[at - 1]
                at -= 1
            near[at] = x
            count += 1
        place = 0.1 * (count - 1)
        below = int(place)
        share = place - below
        noise[t] = near[below] if share == 0.0 else near[below] * (1.0 - share) + near[below + 1] * share


@njit(cache=True, nogil=True, error_model="numpy")
def _ridges(transform: Floats, noise: Floats) -> int:
    """How many lines of maxima over the widths are long enough and stand out of the noise."""
    widths, window = transform.shape
    start = widths - 1
    while start >= 0 and not _has_maximum(transform[start]):
        start -= 1
    if start < 0:
        return 0
    lines = widths * (window // 2 + 1)  # of two neighbours one at most is a maximum
    last, first, lowest = np.zeros(lines, np.int64), np.zeros(lines, np.int64), np.zeros(lines, np.int64)
    length, gap, before = np.zeros(lines, np.int64), np.zeros(lines, np.int64), np.zeros(lines, np.int64)
    is_open = np.zeros(lines, np.bool_)
    count = 0
    for t in range(1, window - 1):
        if _is_maximum(transform[start], t):
            last[count], first[count], lowest[count], length[count] = t, t, start, 1
            is_open[count] = True
            count += 1
    for row in range(start - 1, -1, -1):
        known = count
        for line in range(known):
            gap[line] += 1
            before[line] = last[line]
        reach = (row + 1) / 4.0
        for t in range(1, window - 1):
            if not _is_maximum(transform[row], t):
                continue
            nearest, distance = -1, np.inf
            for line in range(known):
                if is_open[line] and abs(t - before[line]) < distance:
                    nearest, distance = line, float(abs(t - before[line]))
            if nearest >= 0 and distance <= reach:
                if lowest[nearest] != row:
                    lowest[nearest], first[nearest] = row, t
                last[nearest] = t
                length[nearest] += 1
                gap[nearest] = 0
            else:
                last[count], first[count], lowest[count], length[count] = t, t, row, 1
                gap[count], is_open[count] = 0, True
                count += 1
        for line in range(count):
            if gap[line] > 1:
                is_open[line] = False
    shortest = -(-widths // 4)
    peaks = 0
    for line in range(count):
        ratio = abs(transform[lowest[line], first[line]] / noise[first[line]])
        if length[line] >= shortest and not ratio < 1.0:
            peaks += 1
    return peaks


@njit(cache=True, nogil=True, error_model="numpy")
def _is_maximum(transform: Floats, t: int) -> bool:
    return bool(transform[t] > transform[t - 1] and transform[t] > transform[t + 1])


@njit(cache=True, nogil=True, error_model="numpy")
def _has_maximum(transform: Floats) -> bool:
    found = False
    for t in range(1, transform.size - 1):
        found = found or _is_maximum(transform, t)
    return found


KERNELS = (
    Kernel(calculators=("cwt_coefficients",), prepare=_prepare_coefficients, run=_run_coefficients),
    Kernel(calculators=("number_cwt_peaks",), prepare=_prepare_peaks, run=_run_peaks),
)
