"""Extra trees of scikit-learn: a forest whose thresholds are drawn at random, by default from all rows."""

from __future__ import annotations

from dataclasses import dataclass

from marketml.rpc.refusals import Violation
from services.training.learners import forest
from services.training.learners.fitting import FitRequest, Fitted
from services.training.learners.forest import gains, predict_probabilities, raw_scores
from services.training.learners.parameters import flag, range_violations, ranged

KIND = "extra_trees"


@dataclass(frozen=True)
class ExtraTreesParameters:
    """Allowed parameters, with the library's names; fractions are of rows or of features."""

    trees: int = ranged(300, 1, 5_000)
    max_depth: int = ranged(12, 0, 64)  # 0: unlimited
    min_samples_leaf: int = ranged(5, 1, 1_000_000)
    min_samples_split: int = ranged(2, 2, 1_000_000)
    max_features: float | str = ranged("sqrt", 0.01, 1.0, choices=("sqrt", "log2"))
    bootstrap: bool = flag(False)
    max_samples: float = ranged(1.0, 0.05, 1.0)  # rows drawn per tree, with replacement, if at all


def validate(parameters: ExtraTreesParameters, path: str = "model.extra_trees") -> list[Violation]:
    """Every parameter that leaves its range."""
    found = range_violations(parameters, path)
    if not parameters.bootstrap and parameters.max_samples != 1:
        words = "must be unset: no rows are drawn without bootstrap."
        found.append(Violation(f"{path}.max_samples", "unused", words))
    return found


def fit(parameters: ExtraTreesParameters, request: FitRequest) -> Fitted:
    """Fit a classifier on `request.train`; see `forest.fit`."""
    # Here, not above: the server knows the parameters and fits nothing.
    from sklearn.ensemble import ExtraTreesClassifier

    return forest.grow(KIND, ExtraTreesClassifier, parameters, request, bootstrap=parameters.bootstrap)


__all__ = ["KIND", "ExtraTreesParameters", "fit", "gains", "predict_probabilities", "raw_scores", "validate"]
