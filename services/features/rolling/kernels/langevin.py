"""A polynomial for the drift of a Langevin model: `friedrich_coefficients`, `max_langevin_fixed_point`.

Sources: tsfresh 0.21.2; Friedrich et al. (2000); Gottschall (2009). tsfresh cuts the values into quantiles
by pandas.qcut, averages value and next change in each, and calls numpy.polyfit, on powers of the values
themselves: far from zero these are nearly the same column. Here orthogonal polynomials of the standardized
values are fitted (Forsythe, 1957) and only then written in powers. With z the mean over the deviation,
polyfit loses about m log10 z digits and this none, so that is how far they differ. Where polyfit comes near
its cut of small singular values, or the groups are fewer than the coefficients, this solves polyfit's own
system by its own routine. The fixed point has the digits of the coefficients, half as many where two roots
nearly meet, and none where the drift is the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from services.features.columns import Floats, Integers
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel
from services.features.rolling.kernels.corridors import interpolated_quantile

# As a share of the largest singular value; the cut itself is at some 1e-14.
_NEAR_CUT = 1.0e-11


@njit(cache=True, nogil=True, error_model="numpy")
def _drift(
    values: Floats,
    window: int,
    ordered: Floats,
    order: Integers,
    levels: Floats,
    means: Floats,
    drifts: Floats,
    groups: Integers,
) -> None:
    """Mean value and mean next change between quantiles; no groups where two quantiles are equal.

    The last bar has no next change and belongs to no group. Sums are compensated, as pandas's are.
    """
    before = np.empty(window - 1)
    change = np.empty(window - 1)
    for index in range(groups.shape[0]):
        number = 0
        for place in range(window):
            bar = order[index, place]
            if bar != window - 1:
                before[number] = ordered[index, place]
                change[number] = values[index + bar + 1] - values[index + bar]
                number += 1
        edge = before[0]
        place = 0
        found = 0
        for level in range(1, levels.shape[0]):
            above = interpolated_quantile(before, levels[level])
            if above == edge and levels.shape[0] > 2:
                found = 0
                break
            edge = above
            start = place
            value = 0.0
            value_lost = 0.0
            drift = 0.0
            drift_lost = 0.0
            while place < number and before[place] <= above:
                term = before[place] - value_lost
                total = value + term
                value_lost = (total - value) - term
                value = total
                term = change[place] - drift_lost
                total = drift + term
                drift_lost = (total - drift) - term
                drift = total
                place += 1
            if place > start:
                means[index, found] = value / (place - start)
                drifts[index, found] = drift / (place - start)
                found += 1
        groups[index] = found


@njit(cache=True, nogil=True, error_model="numpy")
def _largest_real_part(polynomial: Floats) -> float:
    """Largest real part of the roots of a polynomial of degree 3 at most, highest power first."""
    first = 0
    while first < polynomial.shape[0] and polynomial[first] == 0.0:
        first += 1
    degree = polynomial.shape[0] - 1 - first
    if degree < 1:
        return np.nan
    a: float = polynomial[first]
    p: float = polynomial[first + 1] / a
    if degree == 1:
        return -p
    q: float = polynomial[first + 2] / a
    if degree == 2:
        discriminant = p * p - 4.0 * q
        if discriminant < 0.0:
            return -0.5 * p
        larger = -0.5 * (p + math.copysign(math.sqrt(discriminant), p))
        return max(larger, q / larger) if larger != 0.0 else 0.0
    r: float = polynomial[first + 3] / a
    cap = (p * p - 3.0 * q) / 9.0
    bend = (2.0 * p * p * p - 9.0 * p * q + 27.0 * r) / 54.0
    if bend * bend < cap * cap * cap:
        angle = math.acos(max(-1.0, min(1.0, bend / math.sqrt(cap * cap * cap))))
        scale = -2.0 * math.sqrt(cap)
        root = -np.inf
        for turn in range(3):
            root = max(root, scale * math.cos((angle + 2.0 * math.pi * turn) / 3.0) - p / 3.0)
        return _refined(root, p, q, r)
    size = (abs(bend) + math.sqrt(max(0.0, bend * bend - cap * cap * cap))) ** (1.0 / 3.0)
    one = -math.copysign(size, bend)
    other = cap / one if one != 0.0 else 0.0
    root = _refined(one + other - p / 3.0, p, q, r)
    # The three roots sum to -p, and the other two are a conjugate pair.
    return max(root, -0.5 * (p + root))


@njit(cache=True, nogil=True, error_model="numpy")
def _refined(root: float, p: float, q: float, r: float) -> float:
    for _ in range(2):
        slope = (3.0 * root + 2.0 * p) * root + q
        if slope != 0.0:
            root -= (((root + p) * root + q) * root + r) / slope
    return root


@njit(cache=True, nogil=True, error_model="numpy")
def _fit(
    means: Floats,
    drifts: Floats,
    groups: Integers,
    degree: int,
    fits: Floats,
    places: Floats,
    known: Integers,
) -> None:
    """Coefficients in powers of the standardized value, highest first, and its mean and deviation.

    `known` is 0 where there is nothing to fit, 2 where polyfit's own system decides, else 1. Each orthogonal
    polynomial is kept as its values and as its coefficients: p[j+1] = (u - a[j]) p[j] - b[j] p[j-1].
    """
    most = means.shape[1]
    scaled = np.empty(most)
    current = np.empty(most)
    previous = np.empty(most)
    power = np.empty(degree + 1)
    earlier = np.empty(degree + 1)
    for index in range(groups.shape[0]):
        number = groups[index]
        if number == 0:
            known[index] = 0
            continue
        origin = means[index, 0]
        centre = 0.0
        for group in range(number):
            centre += means[index, group] - origin
        centre = origin + centre / number
        spread = 0.0
        for group in range(number):
            spread += (means[index, group] - centre) ** 2
        spread = math.sqrt(spread / number)
        places[index, 0] = centre
        places[index, 1] = spread
        if number <= degree or not (spread / math.hypot(centre, spread)) ** degree > _NEAR_CUT:
            # Polyfit cuts singular values below the number of points times 2e-16.
            known[index] = 2
            continue
        known[index] = 1
        for group in range(number):
            scaled[group] = (means[index, group] - centre) / spread
            current[group] = 1.0
            previous[group] = 0.0
        power[:] = 0.0
        earlier[:] = 0.0
        power[0] = 1.0
        fits[index, :] = 0.0
        norm_before = 1.0
        for reached in range(degree + 1):
            norm = 0.0
            along = 0.0
            shift = 0.0
            for group in range(number):
                square = current[group] * current[group]
                norm += square
                shift += scaled[group] * square
                along += current[group] * drifts[index, group]
            for exponent in range(reached + 1):
                fits[index, degree - exponent] += along / norm * power[exponent]
            if reached == degree:
                break
            shift /= norm
            ratio = norm / norm_before if reached > 0 else 0.0
            norm_before = norm
            for group in range(number):
                following = (scaled[group] - shift) * current[group] - ratio * previous[group]
                previous[group] = current[group]
                current[group] = following
            for exponent in range(reached + 1, -1, -1):
                lower = power[exponent - 1] if exponent > 0 else 0.0
                following = lower - shift * power[exponent] - ratio * earlier[exponent]
                earlier[exponent] = power[exponent]
                power[exponent] = following


@njit(cache=True, nogil=True, error_model="numpy")
def _in_values(fits: Floats, places: Floats, known: Integers, coefficients: Floats) -> None:
    """The same polynomials in powers of the value: shifted by Horner's scheme, scaled power by power."""
    terms = fits.shape[1]
    shifted = np.empty(terms)
    for index in range(known.shape[0]):
        if known[index] != 1:
            coefficients[index, :] = np.nan
            continue
        by = places[index, 0] / places[index, 1]
        shifted[:] = fits[index]
        for end in range(terms, 1, -1):
            for term in range(1, end):
                shifted[term] -= by * shifted[term - 1]
        scale = 1.0
        for term in range(terms - 1, -1, -1):
            coefficients[index, term] = shifted[term] / scale
            scale *= places[index, 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _fixed_points(fits: Floats, places: Floats, known: Integers, found: Floats) -> None:
    for index in range(known.shape[0]):
        if known[index] == 1:
            found[index] = places[index, 0] + places[index, 1] * _largest_real_part(fits[index])


def _as_polyfit(means: Floats, drifts: Floats, degree: int) -> Floats:
    """numpy.polyfit without its warning about the rank, which here is expected."""
    powers = np.vander(means, degree + 1)
    scale = np.sqrt((powers * powers).sum(axis=0))
    solution = np.linalg.lstsq(powers / scale, drifts, means.size * np.finfo(np.float64).eps)[0]
    coefficients: Floats = solution / scale
    return coefficients


def _largest_root(coefficients: Floats) -> float:
    if not np.isfinite(coefficients).all():
        return math.nan
    roots = np.roots(coefficients)
    return float(roots.real.max()) if roots.size else math.nan


class _Fit(NamedTuple):
    """One polynomial: its degree and quantile levels; rows of `out` of coefficients and fixed points."""

    degree: int
    levels: Floats
    coefficients: tuple[tuple[int, int], ...]
    fixed_points: tuple[int, ...]


def _levels(groups: int) -> Floats:
    """pandas.qcut's levels: rounded up where they are not exact."""
    levels = np.linspace(0.0, 1.0, groups + 1)
    inexact = groups * levels != np.arange(groups + 1)
    return np.where(inexact, np.nextafter(levels, 1.0), levels)


def _prepare(window: int, items: Sequence[Item]) -> tuple[_Fit, ...]:
    fits: dict[tuple[int, int], tuple[list[tuple[int, int]], list[int]]] = {}
    for row, item in enumerate(items):
        of_drift = item.calculator == "friedrich_coefficients"
        key = (item.whole("m"), item.whole("r"))
        coefficients, fixed_points = fits.setdefault(key, ([], []))
        if of_drift:
            coefficients.append((row, item.whole("coeff")))
        else:
            fixed_points.append(row)
    return tuple(
        _Fit(degree, _levels(groups), tuple(coefficients), tuple(fixed_points))
        for (degree, groups), (coefficients, fixed_points) in fits.items()
    )


def _run(block: Block, tables: tuple[_Fit, ...], out: Floats) -> None:
    out[:] = np.nan
    if block.window < 2:
        return
    for table in tables:
        most = min(table.levels.size - 1, block.window - 1)
        means, drifts = np.empty((block.count, most)), np.empty((block.count, most))
        groups, known = np.empty(block.count, dtype=np.int64), np.empty(block.count, dtype=np.int64)
        _drift(block.values, block.window, block.ordered, block.order, table.levels, means, drifts, groups)
        fits, places = np.empty((block.count, table.degree + 1)), np.empty((block.count, 2))
        _fit(means, drifts, groups, table.degree, fits, places, known)
        coefficients = np.empty_like(fits)
        _in_values(fits, places, known, coefficients)
        found = np.full(block.count, np.nan)
        if table.degree <= 3:
            _fixed_points(fits, places, known, found)
        elif table.fixed_points:
            for index in np.flatnonzero(known == 1):
                found[index] = places[index, 0] + places[index, 1] * _largest_root(fits[index])
        for index in np.flatnonzero(known == 2):
            number = groups[index]
            coefficients[index] = _as_polyfit(means[index, :number], drifts[index, :number], table.degree)
            found[index] = _largest_root(coefficients[index])
        for row, term in table.coefficients:
            if term <= table.degree:
                out[row] = coefficients[:, term]
        for row in table.fixed_points:
            out[row] = found
    out[~np.isfinite(out)] = np.nan


KERNELS = (
    Kernel(calculators=("friedrich_coefficients", "max_langevin_fixed_point"), prepare=_prepare, run=_run),
)
