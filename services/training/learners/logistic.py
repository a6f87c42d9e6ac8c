"""Logistic regression of scikit-learn: the meta model of stacking. Its numbers are all there is of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.training.learners.fitting import Matrix, Probabilities, Table
from services.training.learners.parameters import ranged

KIND = "logistic_regression"
MOST_STEPS = 500
MOST_OF_NEWTON = 1_000  # coefficients
IMPOSSIBLE_SCORE = -1e4  # of a class without a training row: its probability is 0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LogisticParameters:
    """Allowed parameters, with the library's names; `c` is the inverse of the strength of L2."""

    c: float = ranged(1.0, 1e-6, 1e6)


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Scores `coefficients @ (filled - center) / scale + intercepts`; see `marketml.bundle.parameters`.

    Attributes
    ----------
    fill, center, scale : float64 (inputs,)
    coefficients : float64 (outputs, inputs)
        One output, of the second class, for two classes; else one per class.
    intercepts : float64 (outputs,)
    """

    fill: Floats
    center: Floats
    scale: Floats
    coefficients: Floats
    intercepts: Floats


def fit(parameters: LogisticParameters, train: Table, class_count: int) -> LinearModel:
    """Fit a multinomial regression with an L2 penalty of standardised columns.

    A missing value counts as its column's mean. Mean and deviation are the training rows' by their weights.
    A column of one value tells nothing and has no coefficient.

    Parameters
    ----------
    parameters : LogisticParameters
    train : Table
        At least two classes.
    class_count : int
    """
    # Here, not above: the server knows the parameters and fits nothing.
    from scipy.linalg import LinAlgWarning
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):  # the last bits of a sum depend on how many threads take part
        features = train.features.astype(np.float64)
        known = ~np.isnan(features)
        masses = known.T @ train.weights
        fill = np.divide(
            np.where(known, features, 0.0).T @ train.weights,
            masses,
            out=np.zeros(masses.size),
            where=masses > 0,
        )
        filled = np.where(known, features, fill)
        variance = ((filled - fill) ** 2).T @ train.weights / train.weights.sum()
        deviation = np.sqrt(variance)
        # What is left of one value after rounding would be blown up to a deviation of 1.
        is_constant = deviation <= 1e-12 * np.maximum(1.0, np.abs(fill))
        scale = np.where(is_constant, 1.0, deviation)
        standardised = np.where(is_constant, 0.0, (filled - fill) / scale)
        # Newton's steps are few and exact, and each takes a matrix of all coefficients by all coefficients.
        is_narrow = class_count * features.shape[1] <= MOST_OF_NEWTON
        solver, precision = ("newton-cholesky", 1e-8) if is_narrow else ("lbfgs", 1e-4)
        model = LogisticRegression(C=parameters.c, solver=solver, max_iter=MOST_STEPS, tol=precision)
        with warnings.catch_warnings():
            for each in (ConvergenceWarning, LinAlgWarning):  # so many steps are near enough
                warnings.simplefilter("ignore", each)
            model.fit(standardised, train.classes, sample_weight=train.weights)
    coefficients, intercepts = _of_every_class(model.coef_, model.intercept_, model.classes_, class_count)
    coefficients[:, is_constant] = 0.0
    return LinearModel(fill, fill.copy(), scale, coefficients, intercepts)


def scores(model: LinearModel, features: Matrix) -> Floats:
    """Scores before the link function, float64 (rows, outputs)."""
    filled = np.where(np.isnan(features), model.fill, features)
    standardised = (filled - model.center) / model.scale
    found = np.repeat(model.intercepts[np.newaxis], features.shape[0], axis=0)
    for column in range(features.shape[1]):  # in the order in which a bundle's reader adds them
        found += standardised[:, column, np.newaxis] * model.coefficients[:, column]
    return found


def probabilities(model: LinearModel, features: Matrix) -> Probabilities:
    """Class probabilities, float64 (rows, classes)."""
    found = scores(model, features)
    if found.shape[1] == 1:
        with np.errstate(over="ignore"):  # of a probability of 0
            second = 1.0 / (1.0 + np.exp(-found[:, 0]))
        return np.column_stack((1.0 - second, second))
    exponentials = np.exp(found - found.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), dtype=np.float64)


def _of_every_class(
    coefficients: Floats, intercepts: Floats, found: npt.NDArray[np.int8], class_count: int
) -> tuple[Floats, Floats]:
    """As many outputs as a bundle wants; a class without a training row is impossible."""
    if class_count == 2:
        return coefficients.copy(), intercepts.copy()
    if found.size == 2:  # one output, the second's advantage over the first
        coefficients = np.concatenate((np.zeros_like(coefficients), coefficients))
        intercepts = np.concatenate((np.zeros(1), intercepts))
    every = np.zeros((class_count, coefficients.shape[1]))
    at = np.full(class_count, IMPOSSIBLE_SCORE)
    every[found], at[found] = coefficients, intercepts
    return every, at
