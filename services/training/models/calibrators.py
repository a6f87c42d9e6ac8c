"""Calibrators: what corrects a model's probabilities, class by class, by rows that it was not fitted on.

`marketml.bundle.parameters` describes their numbers; whoever reads a bundle corrects by the same formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.bundle.graph import Calibration
from marketml.bundle.parameters import CLIP, KNOT_GAP
from services.training.learners.fitting import Classes, Probabilities, Weights

Floats: TypeAlias = npt.NDArray[np.float64]

MOST_STEPS = 100
_RIDGE = 1e-9  # keeps a step finite where one parameter says nothing


@dataclass(frozen=True, eq=False)
class SigmoidCalibrator:
    """A sigmoid of each class's log-odds: `slopes` (classes,), 0 or more, and `intercepts` (classes,)."""

    slopes: Floats
    intercepts: Floats

    def correct(self, probabilities: Probabilities) -> Probabilities:
        """Calibrated probabilities (rows, classes)."""
        return _add_up_to_one(_sigmoid(self.slopes * log_odds(probabilities) + self.intercepts))


@dataclass(frozen=True, eq=False)
class IsotonicCalibrator:
    """Lines between each class's knots: those of class k are `offsets[k]` to `offsets[k + 1]`."""

    offsets: npt.NDArray[np.int64]
    knots: Floats
    values: Floats

    def correct(self, probabilities: Probabilities) -> Probabilities:
        """Calibrated probabilities (rows, classes)."""
        found = np.empty_like(probabilities)
        for column in range(probabilities.shape[1]):
            part = slice(self.offsets[column], self.offsets[column + 1])
            found[:, column] = np.interp(probabilities[:, column], self.knots[part], self.values[part])
        return _add_up_to_one(found)


Calibrator: TypeAlias = SigmoidCalibrator | IsotonicCalibrator


def fit_calibrator(
    method: Calibration, probabilities: Probabilities, classes: Classes, weights: Weights
) -> Calibrator:
    """Learn from rows that the model was not fitted on how often each class came of its probabilities.

    Parameters
    ----------
    method : Calibration
    probabilities : float64 (rows, classes)
    classes : int8 (rows,)
        What came.
    weights : float64 (rows,)

    References
    ----------
    Platt (1999), *Probabilistic Outputs for Support Vector Machines*; Zadrozny and Elkan (2002),
    *Transforming Classifier Scores into Accurate Multiclass Probability Estimates*.
    """
    columns = [(classes == column).astype(np.float64) for column in range(probabilities.shape[1])]
    if method is Calibration.SIGMOID:
        odds = log_odds(probabilities)
        lines = [_fit_sigmoid(odds[:, column], came, weights) for column, came in enumerate(columns)]
        return SigmoidCalibrator(*(np.array(each) for each in zip(*lines, strict=True)))
    curves = [_fit_knots(probabilities[:, column], came, weights) for column, came in enumerate(columns)]
    return IsotonicCalibrator(
        np.cumsum([0, *(knots.size for knots, _ in curves)], dtype=np.int64),
        np.concatenate([knots for knots, _ in curves]),
        np.concatenate([values for _, values in curves]),
    )


def log_odds(probabilities: Probabilities) -> Floats:
    """Of probabilities within [`CLIP`, 1 - `CLIP`]."""
    clipped = np.clip(probabilities, CLIP, 1.0 - CLIP)
    return np.asarray(np.log(clipped / (1.0 - clipped)), dtype=np.float64)


def _fit_sigmoid(odds: Floats, came: Floats, weights: Weights) -> tuple[float, float]:
    """Slope and intercept by Newton's method, from targets that Platt draws in from 0 and 1."""
    often, seldom = float(weights @ came), float(weights @ (1.0 - came))
    targets = np.where(came > 0, (often + 1.0) / (often + 2.0), 1.0 / (seldom + 2.0))
    terms = np.column_stack((odds, np.ones(odds.size)))

    def loss(line: Floats) -> float:
        scores = terms @ line
        return float(weights @ (np.logaddexp(0.0, scores) - targets * scores))

    line = np.array([1.0, 0.0])
    found = loss(line)
    for _ in range(MOST_STEPS):
        expected = _sigmoid(terms @ line)
        gradient = terms.T @ (weights * (expected - targets))
        curvature = (terms.T * (weights * expected * (1.0 - expected))) @ terms
        step = np.linalg.solve(curvature + _RIDGE * np.eye(2), gradient)
        size = 1.0
        while size > 1e-6 and loss(line - size * step) > found:
            size /= 2.0
        better = loss(line - size * step)
        if found - better <= 1e-12 * max(1.0, abs(found)):
            break
        line, found = line - size * step, better
    if line[0] >= 0:
        return float(line[0]), float(line[1])
    share = float(weights @ targets / weights.sum())  # the likelier, the rarer: no order is worth keeping
    return 0.0, float(np.log(share / (1.0 - share)))


def _fit_knots(probabilities: Floats, came: Floats, weights: Weights) -> tuple[Floats, Floats]:
    """Knots and values that never fall, nor are surer than the rows allow: a 0 that comes true all the same
    costs more than anything else can win. What is closer than two gaps is one probability."""
    from sklearn.isotonic import IsotonicRegression  # here, not above: the server corrects nothing

    grid = 2.0 * KNOT_GAP
    rounded = np.clip(np.round(probabilities / grid) * grid, 0.0, 1.0)
    model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    model.fit(rounded, came, sample_weight=weights)
    knots, values = (np.asarray(each, np.float64) for each in (model.X_thresholds_, model.y_thresholds_))
    least = 1.0 / (float(weights.sum()) + 2.0)  # so few rows make nobody surer
    return knots, np.maximum.accumulate(np.clip(values, least, 1.0 - least))


def _sigmoid(scores: Floats) -> Floats:
    with np.errstate(over="ignore"):  # of a probability of 0
        return np.asarray(1.0 / (1.0 + np.exp(-scores)), dtype=np.float64)


def _add_up_to_one(found: Floats) -> Probabilities:
    """Rows that add up to 1; one of nothing but 0 has equal probabilities."""
    totals = np.zeros((found.shape[0], 1))
    for column in range(found.shape[1]):
        totals[:, 0] += found[:, column]
    even = np.full_like(found, 1.0 / found.shape[1])
    return np.divide(found, totals, out=even, where=totals > 0)
