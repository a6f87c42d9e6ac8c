"""Drift polynomials against tsfresh's own, and, where polyfit loses digits, against exact arithmetic."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from services.features.rolling.kernel import Item
from tests.features.rolling.parity import KINDS, WINDOWS, items_of, ours, series, theirs

FITS = ((3, 30), (1, 5), (2, 10), (4, 20))
LANGEVIN = items_of("max_langevin_fixed_point") + [
    Item("max_langevin_fixed_point", {"m": m, "r": r}) for m, r in ((1, 5), (2, 10), (4, 20))
]
# The drift of a line is the same everywhere: its other coefficients and fixed points are rounding in both.
KINDS_WITH_DRIFT = [kind for kind in KINDS if kind != "line"]


@pytest.mark.parametrize("kind", KINDS_WITH_DRIFT)
@pytest.mark.parametrize(("degree", "groups"), FITS)
def test_coefficients_are_those_of_tsfresh_as_far_as_polyfit_has_digits(kind, degree, groups):
    x = series(kind)
    items = coefficients(degree, groups)
    for window in WINDOWS:
        values = ours(items, x, window)
        for at in range(0, values.shape[1], 131):
            bars = x[at : at + window]
            expected = theirs(items, bars)
            np.testing.assert_array_equal(np.isnan(values[:, at]), np.isnan(expected))
            if not np.isnan(expected[:-1]).any():
                wrong = np.abs(values[:, at] - expected) > tolerance(bars, degree) * scales(expected, bars)
                assert not wrong.any(), (window, at, values[:, at], expected)


def coefficients(degree: int, groups: int) -> list[Item]:
    """Those of one polynomial, and one beyond it."""
    return [
        Item("friedrich_coefficients", {"coeff": coeff, "m": degree, "r": groups})
        for coeff in range(degree + 2)
    ]


def scales(found: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """How large coefficients are: changes over powers of the deviation, in powers of the value."""
    degree, centre = found.size - 2, abs(bars.mean())
    change, deviation = np.abs(np.diff(bars)).max(), max(bars.std(), 1e-15 * centre, 1e-300)
    sizes = [max(abs(found[degree - power]), change / deviation**power) for power in range(degree + 1)]
    return np.array(
        [
            sum(
                sizes[power] * math.comb(power, own) * centre ** (power - own)
                for power in range(own, degree + 1)
            )
            for own in (*range(degree, -1, -1), 0)
        ]
    )


@pytest.mark.parametrize("kind", KINDS_WITH_DRIFT)
def test_fixed_points_are_those_of_tsfresh_as_far_as_polyfit_has_digits(kind):
    x = series(kind)
    for window in WINDOWS:
        values = ours(LANGEVIN, x, window)
        for at in range(0, values.shape[1], 131):
            bars = x[at : at + window]
            expected = theirs(LANGEVIN, bars)
            for item, mine, true in zip(LANGEVIN, values[:, at], expected, strict=True):
                # Where two roots nearly meet, they have half the digits.
                within = tolerance(bars, item.whole("m")) ** 0.5
                assert mine == pytest.approx(true, rel=within, abs=1e-12 * np.abs(bars).max(), nan_ok=True), (
                    window,
                    at,
                    item,
                )


def tolerance(bars: np.ndarray, degree: int) -> float:
    """1e-8, or what polyfit's powers lose of sixteen digits far from zero."""
    away = 1.0 + abs(bars.mean()) / max(bars.std(), 1e-15 * abs(bars.mean()), 1e-300)
    return max(1e-8, min(1e-1, 1e-13 * away**degree))


@pytest.mark.parametrize("kind", ["price", "real close", "real open_interest"])
def test_far_from_zero_the_coefficients_are_the_exact_ones(kind):
    x = series(kind)
    items = items_of("friedrich_coefficients")
    for window in (25, 72, 168):
        values = ours(items, x, window)
        for at in range(0, values.shape[1], 109):
            exact = exact_fit(x[at : at + window], 3, 30)
            np.testing.assert_allclose(values[:, at], exact, rtol=1e-8)


def exact_fit(bars: np.ndarray, degree: int, groups: int) -> list[float]:
    """Least squares through pandas' group means, by fractions."""
    frame = pd.DataFrame({"signal": bars[:-1], "delta": np.diff(bars)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        means = frame.groupby(pd.qcut(frame.signal, groups), observed=True).mean()
    x = [Fraction(float(value)) for value in means.signal]
    y = [Fraction(float(value)) for value in means.delta]
    powers = range(degree, -1, -1)
    rows = [
        [sum((each ** (i + j) for each in x), Fraction()) for j in powers]
        + [sum((u * v**i for u, v in zip(y, x, strict=True)), Fraction())]
        for i in powers
    ]
    for pivot in range(degree + 1):
        rows[pivot] = [each / rows[pivot][pivot] for each in rows[pivot]]
        for other in range(degree + 1):
            if other != pivot:
                by = rows[other][pivot]
                rows[other] = [a - by * b for a, b in zip(rows[other], rows[pivot], strict=True)]
    return [float(row[-1]) for row in rows]


def test_windows_with_equal_quantiles_have_no_drift():
    for kind in ("constant", "zeros", "ties"):
        assert np.isnan(ours(coefficients(3, 30) + LANGEVIN[:1], series(kind), 72)).all()
