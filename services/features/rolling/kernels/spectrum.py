"""What waves a window is made of: Fourier coefficients and Welch's density.

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
_LANES = 64  # windows at a time, next to each other in memory
_EIGHTH = 0.41421356237309503  # the tangent of an eighth of half a turn
_UPPER = (
    -8.750608600031904122785e-1,
    -1.615753718733365076637e1,
    -7.500855792314704667340e1,
    -1.228866684490136173410e2,
    -6.485021904942025371773e1,
)
_LOWER = (
    2.485846490142306297962e1,
    1.650270098316988542046e2,
    4.328810604912902668951e2,
    4.853903996359136964868e2,
    1.945506571482613964425e2,
)

Wholes = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]


class _Fourier(NamedTuple):
    """Cosines and sines (coefficients, bars); of each item its coefficient, or -1, and its part or moment."""

    cosines: Floats
    sines: Floats
    coefficient: Wholes
    what: Wholes


def _waves(bars: int) -> tuple[Floats, Floats]:
    """Cosines and minus sines (bars // 2 + 1, bars), zero where they are zero."""
    turns = np.outer(np.arange(bars // 2 + 1), np.arange(bars)) % bars
    angles = 2.0 * np.pi * np.arange(bars) / bars
    cosines, sines = np.cos(angles), -np.sin(angles)
    sines[0] = 0.0
    if bars % 2 == 0:
        sines[bars // 2] = 0.0
    if bars % 4 == 0:
        cosines[bars // 4] = cosines[3 * bars // 4] = 0.0
    return cosines[turns], sines[turns]


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
    count = cosines.shape[0]
    moved, moments = np.empty((window, _LANES)), np.empty((4, _LANES))
    even, odd = np.empty((count, _LANES)), np.empty((count, _LANES))
    real, imaginary = np.empty((count, _LANES)), np.empty((count, _LANES))
    size = np.empty((count, _LANES))
    has_moments = (coefficient < 0).any()
    for item in range(out.shape[0]):
        if coefficient[item] >= count:
            out[item] = np.nan
    for first in range(0, out.shape[1], _LANES):
        lanes = min(_LANES, out.shape[1] - first)
        _move(values[first:], lanes, moved)
        _fold(moved, lanes, even, odd)
        _transform(even, odd, lanes, cosines, sines, real, imaginary)
        for lane in range(lanes):
            real[0, lane] += values[first + lane] * window
        _measure(real, imaginary, lanes, size)
        if has_moments:
            _spread(size, lanes, moments)
        for item in range(out.shape[0]):
            k, part, row = coefficient[item], what[item], out[item, first : first + lanes]
            if k < 0:
                row[:] = moments[part, :lanes]
            elif k >= count:
                continue
            elif part == 0:
                row[:] = real[k, :lanes]
            elif part == 1:
                row[:] = imaginary[k, :lanes]
            elif part == 2:
                row[:] = size[k, :lanes]
            else:
                _turn(real[k], imaginary[k], row)


@njit(cache=True, nogil=True, error_model="numpy")
def _fold(moved: Floats, lanes: int, even: Floats, odd: Floats) -> None:
    """Sums and differences, (bars // 2 + 1, windows), of the bars that lie as far from the first as from the
    end: a cosine has one value at both, a sine opposite ones."""
    bars = moved.shape[0]
    even[0] = moved[0]
    odd[0] = 0.0
    for t in range(1, even.shape[0]):
        near, far, both, between = moved[t], moved[bars - t], even[t], odd[t]
        if 2 * t == bars:
            both[:] = near
            between[:] = 0.0
        else:
            for lane in range(lanes):
                both[lane], between[lane] = near[lane] + far[lane], near[lane] - far[lane]


@njit(cache=True, nogil=True, error_model="numpy")
def _move(values: Floats, lanes: int, moved: Floats) -> None:
    """Deviations of windows from their first values: (bars, windows)."""
    levels = values[:lanes]
    for t in range(moved.shape[0]):
        ahead, row = values[t : t + lanes], moved[t]
        for lane in range(lanes):
            row[lane] = ahead[lane] - levels[lane]


@njit(cache=True, nogil=True, error_model="numpy")
def _transform(
    even: Floats, odd: Floats, lanes: int, cosines: Floats, sines: Floats, real: Floats, imaginary: Floats
) -> None:
    """Real and imaginary parts (coefficients, windows) of windows that are folded.

    Of evenly many bars the waves k and bars / 2 - k differ in the signs of every other bar only.
    """
    count, bars = cosines.shape
    odd_x, odd_y = np.empty(lanes), np.empty(lanes)
    for k in range(count if bars % 2 else (count + 1) // 2):
        x, y = real[k], imaginary[k]
        x[:] = even[0]
        y[:] = 0.0
        odd_x[:] = 0.0
        odd_y[:] = 0.0
        for t in range(2, count, 2):
            cosine, sine, both, between = cosines[k, t], sines[k, t], even[t], odd[t]
            for lane in range(lanes):
                x[lane] += both[lane] * cosine
                y[lane] += between[lane] * sine
        for t in range(1, count, 2):
            cosine, sine, both, between = cosines[k, t], sines[k, t], even[t], odd[t]
            for lane in range(lanes):
                odd_x[lane] += both[lane] * cosine
                odd_y[lane] += between[lane] * sine
        other_x, other_y = real[count - 1 - k], imaginary[count - 1 - k]
        if bars % 2 == 0 and 2 * k != count - 1:
            for lane in range(lanes):
                other_x[lane], other_y[lane] = x[lane] - odd_x[lane], odd_y[lane] - y[lane]
        for lane in range(lanes):
            x[lane] += odd_x[lane]
            y[lane] += odd_y[lane]


@njit(cache=True, nogil=True, error_model="numpy")
def _measure(real: Floats, imaginary: Floats, lanes: int, size: Floats) -> None:
    for k in range(size.shape[0]):
        x, y, row = real[k], imaginary[k], size[k]
        for lane in range(lanes):
            row[lane] = np.sqrt(x[lane] * x[lane] + y[lane] * y[lane])


@njit(cache=True, nogil=True, error_model="numpy")
def _turn(real: Floats, imaginary: Floats, row: Floats) -> None:
    """Angles in degrees, several at once, which a library's arctangent is not: by a quotient of polynomials
    (Moshier, Cephes) of the tangent's distance from 0 or 1, to the last digit or two."""
    for lane in range(row.size):
        x, y = abs(real[lane]), abs(imaginary[lane])
        low, high = min(x, y), max(x, y)
        is_far = low > _EIGHTH * high
        above = low - high if is_far else low
        below = low + high if is_far else high
        t = above / below if below > 0.0 else 0.0
        z = t * t
        upper = (((_UPPER[0] * z + _UPPER[1]) * z + _UPPER[2]) * z + _UPPER[3]) * z + _UPPER[4]
        lower = ((((z + _LOWER[0]) * z + _LOWER[1]) * z + _LOWER[2]) * z + _LOWER[3]) * z + _LOWER[4]
        angle = t + t * z * upper / lower
        angle = angle + 0.25 * np.pi if is_far else angle
        angle = 0.5 * np.pi - angle if y > x else angle
        angle = np.pi - angle if real[lane] < 0.0 else angle
        row[lane] = (-angle if imaginary[lane] < 0.0 else angle) * (180.0 / np.pi)


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(size: Floats, lanes: int, moments: Floats) -> None:
    """tsfresh's centroid, variance, skew and kurtosis of the sizes over the coefficients."""
    for lane in range(lanes):
        total = first = second = third = fourth = 0.0
        for k in range(size.shape[0]):
            x, at = size[k, lane], float(k)
            total += x
            first += x * at
            second += x * at * at
            third += x * at * at * at
            fourth += x * at * at * at * at
        centroid = first / total
        variance = second / total - centroid * centroid
        moments[0, lane], moments[1, lane] = centroid, variance
        if variance >= 0.5:
            moments[2, lane] = (third / total - 3.0 * centroid * variance - centroid**3) / variance**1.5
            moments[3, lane] = (
                fourth / total
                - 4.0 * centroid * (third / total)
                + 6.0 * (second / total) * centroid**2
                - 3.0 * centroid
            ) / variance**2
        else:
            moments[2, lane] = moments[3, lane] = np.nan


class _Welch(NamedTuple):
    """Waves of a segment, its Hann window, how the density scales, p log p of the share p that so many
    coefficients are; of each item a coefficient or -bins."""

    cosines: Floats
    sines: Floats
    hann: Floats
    scale: Floats
    terms: Floats
    what: Wholes


def _prepare_welch(window: int, items: Sequence[Item]) -> _Welch:
    segment = min(window, _SEGMENT)
    cosines, sines = _waves(segment)
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(segment) / segment)
    scale = np.full(cosines.shape[0], 2.0 / (hann * hann).sum())
    scale[0] /= 2.0
    if segment % 2 == 0:
        scale[-1] /= 2.0
    what = [-item.whole("bins") if "bins" in item.parameters else item.whole("coeff") for item in items]
    shares = np.arange(1, scale.size + 1) / scale.size
    terms = np.concatenate([[0.0], shares * np.log(shares)])
    return _Welch(cosines, sines, hann, scale, terms, np.array(what, np.int64))


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
    terms: Floats,
    what: Wholes,
    out: Floats,
) -> None:
    count, segment = cosines.shape
    moved, means = np.empty((segment, _LANES)), np.empty(_LANES)
    even, odd = np.empty((count, _LANES)), np.empty((count, _LANES))
    real, imaginary = np.empty((count, _LANES)), np.empty((count, _LANES))
    density, shares = np.empty((count, _LANES)), np.empty(count)
    counts = np.empty(max(0, -what.min()), np.int64)
    places = np.empty(count, np.int32)
    step = segment - segment // 2
    pieces = (window - segment // 2) // step
    for first in range(0, out.shape[1], _LANES):
        lanes = min(_LANES, out.shape[1] - first)
        density[:] = 0.0
        for number in range(pieces):
            _move(values[first + number * step :], lanes, moved)
            _taper(moved, lanes, hann, means)
            _fold(moved, lanes, even, odd)
            _transform(even, odd, lanes, cosines, sines, real, imaginary)
            for k in range(count):
                x, y, row, share = real[k], imaginary[k], density[k], scale[k] / pieces
                for lane in range(lanes):
                    row[lane] += (x[lane] * x[lane] + y[lane] * y[lane]) * share
        for item in range(out.shape[0]):
            if what[item] >= count:
                out[item, first : first + lanes] = np.nan
            elif what[item] >= 0:
                out[item, first : first + lanes] = density[what[item], :lanes]
        for lane in range(lanes if what.min() < 0 else 0):
            shares[:] = density[:, lane]
            highest = shares.max()
            for k in range(count):
                shares[k] /= highest
            lowest = shares.min()
            for item in range(out.shape[0]):
                if what[item] < 0:
                    out[item, first + lane] = (
                        np.nan
                        if is_still[first + lane]
                        else _entropy(shares, lowest, counts[: -what[item]], places, terms)
                    )


@njit(cache=True, nogil=True, error_model="numpy")
def _taper(moved: Floats, lanes: int, hann: Floats, means: Floats) -> None:
    """Takes the mean away and fades the ends."""
    means[:] = 0.0
    for t in range(moved.shape[0]):
        row = moved[t]
        for lane in range(lanes):
            means[lane] += row[lane]
    for t in range(moved.shape[0]):
        row, weight = moved[t], hann[t]
        for lane in range(lanes):
            row[lane] = (row[lane] - means[lane] / hann.size) * weight


@njit(cache=True, nogil=True, error_model="numpy")
def _entropy(shares: Floats, lowest: float, counts: Wholes, places: Places, terms: Floats) -> float:
    """Entropy of `numpy.histogram`'s counts of the densities as shares of the largest."""
    bins = counts.size
    first, last = lowest, 1.0
    if first == last:
        first, last = first - 0.5, last + 0.5
    width, per = (last - first) / bins, bins / (last - first)
    counts[:] = 0
    for k in range(shares.size):
        x = shares[k]
        near = max(np.int32(0), min(np.int32((x - first) * per), np.int32(bins - 1)))
        is_less = (near > 0) & (x < first + near * width)
        is_more = (near < bins - 1) & (x >= first + (near + 1) * width)
        places[k] = near - is_less + is_more
    for k in range(shares.size):
        counts[places[k]] += 1
    entropy = rest = 0.0
    for at in range(0, bins - 1, 2):
        entropy -= terms[counts[at]]
        rest -= terms[counts[at + 1]]
    return entropy + rest - (terms[counts[bins - 1]] if bins % 2 else 0.0)


KERNELS = (
    Kernel(calculators=("fft_coefficient", "fft_aggregated"), prepare=_prepare_fourier, run=_run_fourier),
    Kernel(calculators=("spkt_welch_density", "fourier_entropy"), prepare=_prepare_welch, run=_run_welch),
)
