"""What waves a window is made of: Fourier coefficients, Welch's density, energy by chunks.

Sources: tsfresh 0.21.2, `scipy.signal.welch` (Hann windows of at most 256 bars that overlap by half). The
transform is taken of the deviations from the window's first value, which leaves less rounding in the waves
that are small beside the level; a coefficient of no size has the angle 0, where tsfresh's is rounding noise.
In a window without movement the entropy of its waves is NaN, where tsfresh's is that of rounding noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel

_PARTS = ("real", "imag", "abs", "angle")
_MOMENTS = ("centroid", "variance", "skew", "kurtosis")
_SEGMENT = 256

Wholes = npt.NDArray[np.int64]


class _Fourier(NamedTuple):
    """Cosines and sines (bars, coefficients); of each item its coefficient, or -1, and its part or moment."""

    cosines: Floats
    sines: Floats
    coefficient: Wholes
    what: Wholes


def _waves(bars: int) -> tuple[Floats, Floats]:
    """Cosines and minus sines (bars, bars // 2 + 1), zero where they are zero."""
    turns = np.outer(np.arange(bars), np.arange(bars // 2 + 1)) % bars
    angles = 2.0 * np.pi * np.arange(bars) / bars
    cosines, sines = np.cos(angles), -np.sin(angles)
    sines[0] = 0.0
    if bars % 2 == 0:
        sines[bars // 2] = 0.0
    if bars % 4 == 0:
        cosines[bars // 4] = cosines[3 * bars // 4] = 0.0
    return np.ascontiguousarray(cosines[turns]), np.ascontiguousarray(sines[turns])


def _prepare_fourier(window: int, items: Sequence[Item]) -> _Fourier:
    cosines, sines = _waves(window)
    is_moment = [item.calculator == "fft_aggregated" for item in items]
    coefficient = [
        -1 if moment else item.whole("coeff") for item, moment in zip(items, is_moment, strict=True)
    ]
    what = [
        _MOMENTS.index(str(item.parameters["aggtype"]))
        if moment
        else _PARTS.index(str(item.parameters["attr"]))
        for item, moment in zip(items, is_moment, strict=True)
    ]
    return _Fourier(cosines, sines, np.array(coefficient, np.int64), np.array(what, np.int64))


def _run_fourier(block: Block, tables: _Fourier, out: Floats) -> None:
    _fourier(block.values, block.window, *tables, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _fourier(
    values: Floats,
    window: int,
    cosines: Floats,
    sines: Floats,
    coefficient: Wholes,
    what: Wholes,
    out: Floats,
) -> None:
    count = cosines.shape[1]
    real, imaginary, size = np.empty(count), np.empty(count), np.empty(count)
    moments = np.empty(4)
    has_moments = (coefficient < 0).any()
    for i in range(out.shape[1]):
        _transform(values, i, window, cosines, sines, real, imaginary)
        for k in range(count):
            size[k] = np.sqrt(real[k] * real[k] + imaginary[k] * imaginary[k])
        if has_moments:
            _spread(size, moments)
        for row in range(out.shape[0]):
            k, part = coefficient[row], what[row]
            if k < 0:
                out[row, i] = moments[part]
            elif k >= count:
                out[row, i] = np.nan
            elif part == 0:
                out[row, i] = real[k]
            elif part == 1:
                out[row, i] = imaginary[k]
            elif part == 2:
                out[row, i] = size[k]
            else:
                out[row, i] = np.arctan2(imaginary[k], real[k]) * (180.0 / np.pi)


@njit(cache=True, nogil=True, error_model="numpy")
def _transform(
    values: Floats,
    start: int,
    bars: int,
    cosines: Floats,
    sines: Floats,
    real: Floats,
    imaginary: Floats,
) -> None:
    level = values[start]
    real[:] = 0.0
    imaginary[:] = 0.0
    for t in range(bars):
        x = values[start + t] - level
        for k in range(real.size):
            real[k] += x * cosines[t, k]
            imaginary[k] += x * sines[t, k]
    real[0] += level * bars


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(size: Floats, moments: Floats) -> None:
    """tsfresh's centroid, variance, skew and kurtosis of the sizes over the coefficients."""
    total = first = second = third = fourth = 0.0
    for k in range(size.size):
        x, at = size[k], float(k)
        total += x
        first += x * at
        second += x * at * at
        third += x * at * at * at
        fourth += x * at * at * at * at
    centroid = first / total
    variance = second / total - centroid * centroid
    moments[0], moments[1] = centroid, variance
    if variance >= 0.5:
        moments[2] = (third / total - 3.0 * centroid * variance - centroid**3) / variance**1.5
        moments[3] = (
            fourth / total
            - 4.0 * centroid * (third / total)
            + 6.0 * (second / total) * centroid**2
            - 3.0 * centroid
        ) / variance**2
    else:
        moments[2] = moments[3] = np.nan


class _Welch(NamedTuple):
    """Waves of a segment, its Hann window, how the density scales; of each item a coefficient or -bins."""

    cosines: Floats
    sines: Floats
    hann: Floats
    scale: Floats
    what: Wholes


def _prepare_welch(window: int, items: Sequence[Item]) -> _Welch:
    segment = min(window, _SEGMENT)
    cosines, sines = _waves(segment)
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(segment) / segment)
    scale = np.full(cosines.shape[1], 2.0 / (hann * hann).sum())
    scale[0] /= 2.0
    if segment % 2 == 0:
        scale[-1] /= 2.0
    what = [-item.whole("bins") if "bins" in item.parameters else item.whole("coeff") for item in items]
    return _Welch(cosines, sines, hann, scale, np.array(what, np.int64))


def _run_welch(block: Block, tables: _Welch, out: Floats) -> None:
    is_still = block.minimum == block.maximum
    _welch(block.values, block.window, is_still, *tables, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _welch(
    values: Floats,
    window: int,
    is_still: npt.NDArray[np.bool_],
    cosines: Floats,
    sines: Floats,
    hann: Floats,
    scale: Floats,
    what: Wholes,
    out: Floats,
) -> None:
    segment, count = cosines.shape
    real, imaginary, density = np.empty(count), np.empty(count), np.empty(count)
    piece = np.empty(segment)
    step = segment - segment // 2
    pieces = (window - segment // 2) // step
    for i in range(out.shape[1]):
        density[:] = 0.0
        for number in range(pieces):
            start, level = i + number * step, 0.0
            for t in range(segment):
                level += values[start + t] - values[start]
            level /= segment
            for t in range(segment):
                piece[t] = ((values[start + t] - values[start]) - level) * hann[t]
            real[:] = 0.0
            imaginary[:] = 0.0
            for t in range(segment):
                for k in range(count):
                    real[k] += piece[t] * cosines[t, k]
                    imaginary[k] += piece[t] * sines[t, k]
            for k in range(count):
                density[k] += (real[k] * real[k] + imaginary[k] * imaginary[k]) * scale[k] / pieces
        for row in range(out.shape[0]):
            if what[row] >= count:
                out[row, i] = np.nan
            elif what[row] >= 0:
                out[row, i] = density[what[row]]
            else:
                out[row, i] = np.nan if is_still[i] else _entropy(density, -what[row])


@njit(cache=True, nogil=True, error_model="numpy")
def _entropy(density: Floats, bins: int) -> float:
    """Entropy of `numpy.histogram`'s counts of the density over its largest value."""
    largest = density.max()
    first, last = density.min() / largest, 1.0
    if first == last:
        first, last = first - 0.5, last + 0.5
    width = (last - first) / bins
    counts = np.zeros(bins, np.int64)
    for k in range(density.size):
        x = density[k] / largest
        at = min(int((x - first) * (bins / (last - first))), bins - 1)
        if at > 0 and x < first + at * width:
            at -= 1
        elif at < bins - 1 and x >= first + (at + 1) * width:
            at += 1
        counts[at] += 1
    entropy = 0.0
    for at in range(bins):
        if counts[at] > 0:
            share = counts[at] / density.size
            entropy -= share * np.log(share)
    return entropy


class _Chunks(NamedTuple):
    """Of each item where its chunk begins and ends in the window; a chunk that is not there ends before it
    begins."""

    start: Wholes
    stop: Wholes


def _prepare_energy(window: int, items: Sequence[Item]) -> _Chunks:
    starts, stops = [], []
    for item in items:
        segments, focus = item.whole("num_segments"), item.whole("segment_focus")
        size, longer = divmod(window, segments)
        start = focus * size + min(focus, longer)
        starts.append(start)
        stops.append(start + size + (focus < longer) if focus < segments else -1)
    return _Chunks(np.array(starts, np.int64), np.array(stops, np.int64))


def _run_energy(block: Block, tables: _Chunks, out: Floats) -> None:
    _energy(block.values, block.window, *tables, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _energy(values: Floats, window: int, start: Wholes, stop: Wholes, out: Floats) -> None:
    for i in range(out.shape[1]):
        total = 0.0
        for k in range(i, i + window):
            total += values[k] * values[k]
        for row in range(out.shape[0]):
            part = 0.0
            for k in range(i + start[row], i + stop[row]):
                part += values[k] * values[k]
            out[row, i] = part / total if total > 0.0 and stop[row] >= 0 else np.nan


KERNELS = (
    Kernel(calculators=("fft_coefficient", "fft_aggregated"), prepare=_prepare_fourier, run=_run_fourier),
    Kernel(calculators=("spkt_welch_density", "fourier_entropy"), prepare=_prepare_welch, run=_run_welch),
    Kernel(calculators=("energy_ratio_by_chunks",), prepare=_prepare_energy, run=_run_energy),
)
