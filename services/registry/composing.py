"""Compiled steps of an ensemble: linear scores and calibrated probabilities, a row at a time.

A row's answer does not depend on the rows beside it, not in its last bit either.
"""

from __future__ import annotations

import numba
import numpy as np

from marketml.bundle.parameters import CLIP

_ROWS = numba.types.Array(numba.float64, 2, "C", readonly=True)
_NUMBERS = numba.types.Array(numba.float64, 1, "C", readonly=True)
_OFFSETS = numba.types.Array(numba.int64, 1, "C", readonly=True)
_FOUND = numba.float64[:, ::1]


@numba.njit(_FOUND(_ROWS, _NUMBERS, _NUMBERS, _NUMBERS, _ROWS, _NUMBERS), nogil=True, cache=True)
def linear(values, fill, center, scale, coefficients, intercepts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Scores (rows, outputs) of columns (rows, inputs), NaN for missing."""
    found = np.empty((values.shape[0], intercepts.size))
    standardised = np.empty(values.shape[1])
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            value = values[row, column]
            if np.isnan(value):
                value = fill[column]
            standardised[column] = (value - center[column]) / scale[column]
        for output in range(intercepts.size):
            score = intercepts[output]
            for column in range(values.shape[1]):
                score += coefficients[output, column] * standardised[column]
            found[row, output] = score
    return found


@numba.njit(forceinline=True)
def _add_up_to_one(found, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    total = 0.0
    for column in range(found.shape[1]):
        total += found[row, column]
    for column in range(found.shape[1]):
        found[row, column] = found[row, column] / total if total > 0 else 1.0 / found.shape[1]


@numba.njit(_FOUND(_ROWS, _NUMBERS, _NUMBERS), nogil=True, cache=True)
def calibrate_by_sigmoid(probabilities, slopes, intercepts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Probabilities (rows, classes), corrected by a sigmoid of their log-odds."""
    found = np.empty_like(probabilities)
    for row in range(probabilities.shape[0]):
        for column in range(probabilities.shape[1]):
            clipped = min(max(probabilities[row, column], CLIP), 1.0 - CLIP)
            score = slopes[column] * np.log(clipped / (1.0 - clipped)) + intercepts[column]
            found[row, column] = 1.0 / (1.0 + np.exp(-score))
        _add_up_to_one(found, row)
    return found


@numba.njit(_FOUND(_ROWS, _OFFSETS, _NUMBERS, _NUMBERS), nogil=True, cache=True)
def calibrate_by_knots(probabilities, offsets, knots, values):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Probabilities (rows, classes), corrected by the lines between their class's knots."""
    found = np.empty_like(probabilities)
    for row in range(probabilities.shape[0]):
        for column in range(probabilities.shape[1]):
            first, last = offsets[column], offsets[column + 1] - 1
            value = probabilities[row, column]
            after = first + np.searchsorted(knots[first : last + 1], value, side="right")
            if after == first:
                found[row, column] = values[first]
            elif after > last:
                found[row, column] = values[last]
            else:
                slope = (values[after] - values[after - 1]) / (knots[after] - knots[after - 1])
                found[row, column] = slope * (value - knots[after - 1]) + values[after - 1]
        _add_up_to_one(found, row)
    return found
