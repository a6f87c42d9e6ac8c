"""What a filled config means: the plan of a run, its label rule, its bounds."""

from __future__ import annotations

from dataclasses import dataclass

from marketml.rpc.refusals import InvalidArgument
from services.training import labels
from services.training.config import fill_config
from services.training.config.decision_config import read_calibration, read_decision
from services.training.config.label_config import read_events, read_label
from services.training.config.model_config import read_model
from services.training.config.search_config import read_search
from services.training.jobs import Tree
from services.training.plan import ClassWeight, EarlyStopping, SplitPlan, TrainingPlan
from services.training.splits import CombinatorialPurged, Embargo, KFold, Method, WalkForward
from services.training.weights import SampleWeights


@dataclass(frozen=True)
class JobPlan:
    """A filled config as the pipeline takes it."""

    label: labels.LabelRule
    label_events: labels.CusumEvents | None
    is_binary: bool
    training: TrainingPlan
    seed: int
    max_duration_seconds: float
    max_memory_bytes: int | None


def read_plan(filled: Tree, threads: int = 1) -> JobPlan:
    """What a config that `fill_config` filled without a violation means.

    Raises
    ------
    InvalidArgument
        A config that this version would not have accepted (a job that waited through an update).
    """
    filled, violations = fill_config(filled, {})  # one that an earlier version filled lacks newer fields
    if violations:
        raise InvalidArgument(violations)
    stops, evaluation, budget = filled["early_stopping"], filled["evaluation"], filled["budget"]
    split = filled["split"]
    return JobPlan(
        label=read_label(filled["label"]),
        label_events=read_events(filled["label"]),
        is_binary=filled["label"]["binary"],
        training=TrainingPlan(
            model=read_model(filled["model"]),
            split=SplitPlan(
                test_fraction=split["test_fraction"],
                method=_method(split),
                embargo=Embargo(split.get("embargo_bars", 0), int(split.get("embargo_duration", 0))),
            ),
            early_stopping=(
                EarlyStopping(stops["patience_rounds"], stops["fraction"]) if stops["enabled"] else None
            ),
            class_weight=(
                ClassWeight.BALANCED
                if filled["class_weight"] == "CLASS_WEIGHT_BALANCED"
                else ClassWeight.NONE
            ),
            sample_weights=SampleWeights(**filled["sample_weights"]),
            search=read_search(filled["search"], filled["model"]),
            calibration=read_calibration(filled["calibration"]),
            decision_thresholds=read_decision(filled["decision_thresholds"]),
            interval_level=evaluation["interval_level"],
            interval_draws=evaluation["interval_draws"],
            threads=threads,
        ),
        seed=filled["seed"],
        max_duration_seconds=budget["max_duration"],
        max_memory_bytes=budget.get("max_memory_bytes"),
    )


def _method(split: Tree) -> Method:
    if "walk_forward" in split:
        return WalkForward(**split["walk_forward"])
    if "combinatorial_purged" in split:
        return CombinatorialPurged(**split["combinatorial_purged"])
    return KFold(split["folds"])
