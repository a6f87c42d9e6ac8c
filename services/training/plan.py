"""The plan of a run: everything that decides its result beside the rows and the seed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from marketml.bundle.graph import Calibration
from marketml.rpc.refusals import Violation
from services.training import splits, weights
from services.training.models import ensembles
from services.training.models.decisions import DecisionMetric
from services.training.models.ensembles import Bagging, Model, Stacking
from services.training.search import SearchPlan
from services.training.search import violations as search_violations
from services.training.splits import Embargo, Method
from services.training.weights import NO_WEIGHTS, SampleWeights

MAX_THREADS = 256


class ClassWeight(StrEnum):
    """`BALANCED`: every class weighs the same in the fit, whatever its frequency among the rows fitted."""

    NONE = "none"
    BALANCED = "balanced"


@dataclass(frozen=True)
class SplitPlan:
    """The untouched final span (a fraction of the rows), and the folds of the rows before it."""

    test_fraction: float = 0.2
    method: Method = splits.FIVE_FOLDS
    embargo: Embargo = splits.NO_EMBARGO


@dataclass(frozen=True)
class EarlyStopping:
    """Stop after `patience_rounds` without a lower log loss on the last `fraction` of the rows to fit."""

    patience_rounds: int = 50
    fraction: float = 0.15


@dataclass(frozen=True)
class CalibrationPlan:
    """Correct the probabilities by the last `fraction` of a consumer's rows, on which nothing is fitted."""

    method: Calibration = Calibration.SIGMOID
    fraction: float = 0.15


@dataclass(frozen=True)
class DecisionPlan:
    """Choose thresholds that make `metric` large on the last `fraction` of a consumer's rows, on which
    nothing is fitted; on those that calibrate, if there are any."""

    metric: DecisionMetric = DecisionMetric.BALANCED_ACCURACY
    fraction: float = 0.15


@dataclass(frozen=True)
class TrainingPlan:
    """All that decides a result beside the rows and the seed (`threads` does not change it)."""

    model: Model
    split: SplitPlan = SplitPlan()
    early_stopping: EarlyStopping | None = None
    class_weight: ClassWeight = ClassWeight.NONE
    sample_weights: SampleWeights = NO_WEIGHTS
    search: SearchPlan | None = None
    calibration: CalibrationPlan | None = None
    decision_thresholds: DecisionPlan | None = None
    interval_level: float = 0.95
    interval_draws: int = 1_000
    threads: int = 1


def violations(plan: TrainingPlan) -> list[Violation]:
    """Every rule that `plan` breaks, with the full field path."""
    found = ensembles.validate(plan.model) + splits.violations(plan.split.embargo, plan.split.method)

    def require(field: str, holds: bool, rule: str, description: str) -> None:
        if not holds:
            found.append(Violation(field, rule, description))

    def share(field: str, value: float) -> None:
        require(field, 0 < value <= 0.5, "range", f"must be above 0 and at most 0.5, is {value}.")

    def count(field: str, value: int, low: int, high: int) -> None:
        require(field, low <= value <= high, "range", f"must be from {low} to {high}, is {value}.")

    found += weights.violations(plan.sample_weights)
    if isinstance(plan.model, Bagging | Stacking):
        words = "must be unset: an ensemble has no parameters of its own to try."
        require("search", plan.search is None, "unused", words)
    elif plan.search is not None:
        found += search_violations(plan.search, plan.model)
    if plan.calibration is not None:
        share("calibration.fraction", plan.calibration.fraction)
    if plan.decision_thresholds is not None:
        share("decision_thresholds.fraction", plan.decision_thresholds.fraction)
    share("split.test_fraction", plan.split.test_fraction)
    count("threads", plan.threads, 1, MAX_THREADS)
    count("interval_draws", plan.interval_draws, 100, 100_000)
    level = plan.interval_level
    require("interval_level", 0.5 <= level < 1, "range", f"must be in [0.5, 1), is {level}.")
    if plan.early_stopping is not None:
        stops = ensembles.stops_early(plan.model)
        require("early_stopping", stops, "unused", "must be unset: a forest does not stop early.")
        count("early_stopping.patience_rounds", plan.early_stopping.patience_rounds, 1, 10_000)
        share("early_stopping.fraction", plan.early_stopping.fraction)
    return found
