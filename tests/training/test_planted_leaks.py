"""A leak planted in each consumer of rows in turn is caught: by a proof where rows are taken that should not
be, by a truth where a fit looks past the rows it was given.

Early stopping, stacking, search, selection, calibration, thresholds, and the one thing that fills in missing
values: the logistic regression of a stack, by means of its training rows. Trees take them as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from marketml.bundle.files import TENSORS
from marketml.bundle.graph import Calibration
from marketml.rpc.refusals import FailedPrecondition, Reason
from services.training import splits
from services.training.export.bundle import export_bundle
from services.training.learners import ForestParameters, LightgbmParameters, logistic
from services.training.models import compositions, recipes
from services.training.models.decisions import DecisionMetric
from services.training.models.ensembles import Stacking
from services.training.pipeline import evaluate_and_fit
from services.training.plan import CalibrationPlan, DecisionPlan, EarlyStopping, SplitPlan, TrainingPlan
from services.training.results import TrainedResult
from services.training.samples import Chosen, Samples
from services.training.search import Integer, Searched, SearchPlan
from services.training.splits import Embargo, KFold
from tests.training.cases import made_samples

LIGHTGBM = LightgbmParameters(rounds=8, num_leaves=5, min_child_samples=5)
PLAN = TrainingPlan(LIGHTGBM, split=SplitPlan(method=KFold(2), embargo=Embargo(bars=2)), interval_draws=100)
STOPS = EarlyStopping(3, 0.2)
STACK = Stacking(folds=2, base_models=(LIGHTGBM, ForestParameters(trees=4, max_depth=4)), passthrough=True)
CALIBRATION = CalibrationPlan(Calibration.SIGMOID, 0.2)
SAMPLES = made_samples(300)

PLANS = {
    "early_stopping": replace(PLAN, early_stopping=STOPS),
    "calibration": replace(PLAN, calibration=CALIBRATION),
    "decision_thresholds": replace(PLAN, decision_thresholds=DecisionPlan(DecisionMetric.MCC, 0.2)),
    "stacking_1": replace(PLAN, model=STACK),
    "meta.early_stopping": replace(PLAN, model=replace(STACK, meta_model=LIGHTGBM), early_stopping=STOPS),
}


def run(plan: TrainingPlan, samples: Samples = SAMPLES, **more: Any) -> TrainedResult:
    return evaluate_and_fit(samples, plan, 7, events=lambda event: None, **more)


def require_leak_detected(plan: TrainingPlan, **more: Any) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        run(plan, **more)
    assert caught.value.reason is Reason.LEAK_DETECTED


@pytest.mark.parametrize("consumer", PLANS)
def test_without_a_leak_the_consumer_has_a_proof_for_each_of_its_fits(consumer: str) -> None:
    told = {proof.consumer for proof in run(PLANS[consumer]).proofs}
    assert {f"{fit}.{consumer}" for fit in ("fold_1", "fold_2", "final_model")} <= told


@pytest.mark.parametrize("source", ["its own training rows", "the rows that are scored", "the final test"])
@pytest.mark.parametrize("consumer", [name for name in PLANS if name != "stacking_1"])
def test_a_slice_that_is_not_apart_from_all_else_is_caught(
    consumer: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classic ones: stopping, calibrating or deciding by the rows of the test."""
    sound, given = splits.newest_slice, []

    def leaking(rows: Any, t0: Any, t1: Any, fraction: float, embargo: Embargo) -> Any:
        kept, held_out, dropped = sound(rows, t0, t1, fraction, embargo)
        given.append(rows)
        match source:
            case "its own training rows":
                return kept, kept[-held_out.size :], dropped
            case "the final test":
                return kept, np.arange(t0.size)[-held_out.size :], dropped
        others = np.setdiff1d(np.arange(t0.size - 60), rows)  # of a fold: those that it holds out
        apart = others[(others > rows[-1] + 5) | (others < rows[0] - 5)]
        return kept, apart[: held_out.size], dropped

    monkeypatch.setattr(splits, "newest_slice", leaking)
    require_leak_detected(PLANS[consumer])
    assert given


@pytest.mark.parametrize("model", [LIGHTGBM, STACK], ids=["folds", "folds of a stack"])
def test_folds_that_reach_into_the_final_test_are_caught(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = splits.split_folds

    def leaking(t0: Any, t1: Any, method: Any, embargo: Embargo, rows: Any) -> Any:
        folds = sound(t0, t1, method, embargo, rows)
        is_outer = rows.size > 200
        if is_outer == (model is STACK):
            return folds
        return [replace(fold, test=np.append(fold.test, [t0.size - 1])) for fold in folds]

    monkeypatch.setattr(splits, "split_folds", leaking)
    require_leak_detected(replace(PLAN, model=model))


def test_folds_of_a_search_that_are_not_purged_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = splits.split_folds

    def leaking(t0: Any, t1: Any, method: Any, embargo: Embargo, rows: Any) -> Any:
        folds = sound(t0, t1, method, embargo, rows)
        return [replace(fold, train=np.setdiff1d(rows, fold.test)) for fold in folds]

    plan = replace(PLAN, search=SearchPlan({"num_leaves": Searched(Integer(3, 6))}, trials=2))
    assert run(plan).search is not None
    monkeypatch.setattr(splits, "split_folds", leaking)
    require_leak_detected(plan)


def test_a_choice_of_features_by_rows_that_the_fit_holds_out_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = recipes._choose

    def leaking(ground: Any, consumer: str, rows: Any, weights: Any, held_out: Any) -> Chosen:
        rows = np.append(rows, held_out[:5])
        return sound(ground, consumer, rows, np.ones(rows.size), held_out)

    def choose(consumer: str, rows: Any, *_: Any) -> Chosen:
        return Chosen(SAMPLES.features, SAMPLES.feature_names)

    run(PLAN, choose=choose)
    monkeypatch.setattr(recipes, "_choose", leaking)
    require_leak_detected(PLAN, choose=choose)


def tensors(result: TrainedResult) -> dict[str, np.ndarray]:
    return load(export_bundle(result, seed=7, sections={}).contents[TENSORS])


def require_calibrators_of_training_rows(plan: TrainingPlan) -> None:
    """What the rows of the final test came to decides no calibrator; what the training rows came to does."""
    test, fit = np.arange(240, 300), np.arange(180, 230)
    found = []
    for changed in (test[:0], test, fit):
        classes = SAMPLES.classes.copy()
        classes[changed] = 2 - classes[changed]
        told = tensors(run(plan, replace(SAMPLES, classes=classes)))
        found.append(np.concatenate([told["calibrated.slopes"], told["calibrated.intercepts"]]).tolist())
    assert found[0] == found[1], "the calibrator has seen the final test"
    assert found[0] != found[2]


def test_a_calibrator_is_of_training_rows_and_one_that_is_not_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = PLANS["calibration"]
    require_calibrators_of_training_rows(plan)
    sound, told = recipes.fit_calibrator, recipes.weights_of

    def leaking(method: Any, probabilities: Any, classes: Any, weights: Any) -> Any:
        return sound(method, probabilities, seen[0].classes[-classes.size :], weights)

    def noting(samples: Samples, rows: Any, plan: Any) -> Any:
        seen[:] = [samples]
        return told(samples, rows, plan)

    seen: list[Samples] = []
    monkeypatch.setattr(recipes, "weights_of", noting)
    require_calibrators_of_training_rows(plan)
    monkeypatch.setattr(recipes, "fit_calibrator", leaking)
    with pytest.raises(AssertionError, match="the calibrator has seen the final test"):
        require_calibrators_of_training_rows(plan)


def require_fill_of_training_rows() -> None:
    """What fills in a missing value is the mean of the rows that the model learns from, whatever the values
    of the others are; and where nothing is missing in them, nothing is learnt of it."""
    train, test, _ = splits.final_test_split(SAMPLES.t0, SAMPLES.t1, 0.2, PLAN.split.embargo)
    plan, width = replace(PLAN, model=STACK), SAMPLES.features.shape[1]
    others = SAMPLES.features.copy()
    others[test] = 1e3
    for features in (SAMPLES.features, others):
        fill = tensors(run(plan, replace(SAMPLES, features=features)))["meta.fill"][-width:]
        expected = np.nanmean(SAMPLES.features[train], axis=0)
        assert fill == pytest.approx(expected, abs=1e-12), "what fills in has seen other rows"


def test_what_fills_in_missing_values_is_of_training_rows_and_a_fill_of_all_rows_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert np.isnan(SAMPLES.features).any()
    require_fill_of_training_rows()
    sound = logistic.fit

    def leaking(parameters: Any, train: Any, class_count: int) -> Any:
        model, width = sound(parameters, train, class_count), SAMPLES.features.shape[1]
        fill = np.append(model.fill[:-width], np.nanmean(SAMPLES.features, axis=0))
        return replace(model, fill=fill)

    monkeypatch.setattr(compositions.logistic, "fit", leaking)
    with pytest.raises(AssertionError, match="what fills in has seen other rows"):
        require_fill_of_training_rows()


@pytest.mark.parametrize("model", [LIGHTGBM, ForestParameters(trees=4, max_depth=4)])
def test_trees_fill_in_nothing(model: Any) -> None:
    """A value that is missing and one that any rule would have put there are told apart."""
    features = SAMPLES.features.copy()
    features[:, 1] = np.where(SAMPLES.classes == 1, np.nan, np.nanmedian(features[:, 1]))
    result = run(replace(PLAN, model=model), replace(SAMPLES, features=features))
    assert result.test_scores.confusion[1, 1] == (SAMPLES.classes[-60:] == 1).sum()
