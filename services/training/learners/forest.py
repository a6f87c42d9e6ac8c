"""Random forest of scikit-learn, and what it shares with extra trees: growing in batches, so that it can be
watched and stopped, and its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marketml.rpc.refusals import InvalidArgument, Violation
from services.training.learners.fitting import FitRequest, Fitted, Matrix, Probabilities, require_fittable
from services.training.learners.parameters import range_violations, ranged

if TYPE_CHECKING:
    from services.training.learners.extra_trees import ExtraTreesParameters

KIND = "random_forest"


@dataclass(frozen=True)
class ForestParameters:
    """Allowed parameters, with the library's names; fractions are of rows or of features."""

    trees: int = ranged(300, 1, 5_000)
    max_depth: int = ranged(12, 0, 64)  # 0: unlimited
    min_samples_leaf: int = ranged(5, 1, 1_000_000)
    min_samples_split: int = ranged(2, 2, 1_000_000)
    max_features: float | str = ranged("sqrt", 0.01, 1.0, choices=("sqrt", "log2"))
    max_samples: float = ranged(1.0, 0.05, 1.0)  # rows drawn per tree, with replacement


def validate(parameters: ForestParameters, path: str = "model.random_forest") -> list[Violation]:
    """Every parameter that leaves its range."""
    return range_violations(parameters, path)


def fit(parameters: ForestParameters, request: FitRequest) -> Fitted:
    """Fit a classifier on `request.train`; a forest does not stop early: `request.validation` must be None.

    Growing in batches draws the same trees as growing at once: each tree has its own seed from one stream.

    Raises
    ------
    InvalidArgument, FailedPrecondition
        See `require_fittable`; also a validation slice, which nothing would use.
    """
    # Here, not above: the server knows the parameters and fits nothing.
    from sklearn.ensemble import RandomForestClassifier

    return grow(KIND, RandomForestClassifier, parameters, request)


def grow(
    kind: str,
    classifier: Callable[..., Any],
    parameters: ForestParameters | ExtraTreesParameters,
    request: FitRequest,
    **more: Any,
) -> Fitted:
    """Grow a forest of scikit-learn's `classifier`, which takes `more` beside what all forests take; see
    `fit`."""
    require_fittable(request, narrow=True)
    if request.validation is not None:
        raise InvalidArgument.of("early_stopping", "unused", "must be unset: a forest has no early stopping.")
    model = classifier(
        n_estimators=0,
        max_depth=parameters.max_depth or None,
        min_samples_leaf=parameters.min_samples_leaf,
        min_samples_split=parameters.min_samples_split,
        max_features=parameters.max_features,
        max_samples=parameters.max_samples if parameters.max_samples < 1 else None,
        random_state=request.seed,
        n_jobs=request.threads,
        warm_start=True,
        **more,
    )
    features = np.ascontiguousarray(request.train.features, dtype=np.float32)  # what the trees compare
    grown, batch, trees = 0, 2 * request.threads, parameters.trees
    while grown < trees and not (request.check() and grown):
        grown = min(grown + batch, trees)
        model.set_params(n_estimators=grown)
        model.fit(features, request.train.classes, sample_weight=request.train.weights)
        request.on_round(grown, None)
    # Summing trees from several threads changes the last bit of a probability from call to call.
    model.set_params(n_jobs=1)
    return Fitted(
        kind=kind,
        model=model,
        class_count=request.class_count,
        feature_count=features.shape[1],
        rounds=grown,
        trained_rounds=grown,
        validation_losses=(),
        threads=request.threads,
    )


def predict_probabilities(fitted: Fitted, features: Matrix) -> Probabilities:
    """Class probabilities, float64 (rows, classes); a class without a training row has probability 0."""
    found = np.zeros((features.shape[0], fitted.class_count))
    found[:, fitted.model.classes_] = fitted.model.predict_proba(features)
    return found


def raw_scores(fitted: Fitted, features: Matrix) -> npt.NDArray[np.float64]:
    """The probabilities: a forest has no link function."""
    return predict_probabilities(fitted, features)


def gains(fitted: Fitted) -> npt.NDArray[np.float64]:
    """Mean impurity decrease of the splits on each feature, float64 (features,)."""
    return np.asarray(fitted.model.feature_importances_, dtype=np.float64)
