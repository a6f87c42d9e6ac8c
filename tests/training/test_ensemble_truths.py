"""Known truths of ensembles: chance on a random walk, a planted signal found; calibration and thresholds do
what they are for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from marketml.bundle.graph import Calibration
from services.training.labels import FixedHorizon, FractionBarriers, TripleBarrier
from services.training.learners import (
    ExtraTreesParameters,
    ForestParameters,
    LightgbmParameters,
    XgboostParameters,
)
from services.training.models.decisions import DecisionMetric
from services.training.models.ensembles import Bagging, Bootstrap, Stacking, kind_of
from services.training.plan import CalibrationPlan, DecisionPlan, SplitPlan
from services.training.splits import Embargo, KFold
from tests.training.test_truths import PLAN, bars_of, momentum, random_walk, run, samples_of

LIGHTGBM = LightgbmParameters(rounds=25, num_leaves=7, learning_rate=0.1)
XGBOOST = XgboostParameters(rounds=25, max_depth=3, learning_rate=0.1)
FOREST, EXTRA = ForestParameters(trees=20, max_depth=6), ExtraTreesParameters(trees=20, max_depth=6)
TWO_FOLDS = replace(PLAN, split=SplitPlan(method=KFold(2), embargo=Embargo(bars=12)))
ENSEMBLES = [
    Bagging(members=3, models=(LIGHTGBM, XGBOOST, FOREST), bootstrap=Bootstrap.SEQUENTIAL),
    Stacking(folds=3, base_models=(LIGHTGBM, EXTRA)),
    Stacking(
        folds=2,
        base_models=(FOREST, XGBOOST),
        meta_model=LightgbmParameters(rounds=15, num_leaves=3),
        passthrough=True,
    ),
]
each_ensemble = pytest.mark.parametrize("model", ENSEMBLES, ids=kind_of)


@each_ensemble
def test_a_random_walk_scores_chance_with_every_ensemble(model):
    found = run(
        samples_of(random_walk(11, 4_000), FixedHorizon(4), binary=True), replace(TWO_FOLDS, model=model)
    )
    interval = found.test_intervals["balanced_accuracy"]
    assert interval.low <= 0.5 <= interval.high
    assert found.fold_table["balanced_accuracy"].mean == pytest.approx(0.5, abs=0.03)
    majority = found.baseline_tables["majority"]["log_loss"].mean
    assert found.fold_table["log_loss"].mean >= majority - 0.005


@each_ensemble
def test_a_planted_signal_is_found_by_every_ensemble_and_beats_the_baselines(model):
    """Of two jointly normal returns with correlation 0.4, the signs agree with probability 0.631."""
    found = run(
        samples_of(momentum(5, 4_000, 0.4), FixedHorizon(1), binary=True), replace(TWO_FOLDS, model=model)
    )
    agreement = 0.5 + np.arcsin(0.4) / np.pi
    assert agreement - 0.06 < found.fold_table["balanced_accuracy"].mean < agreement + 0.03
    assert found.test_intervals["balanced_accuracy"].low > 0.53
    assert found.learned.feature_names[found.learned.importances.argmax()] == "return_1"
    for table in found.baseline_tables.values():
        assert found.fold_table["log_loss"].mean < (table["log_loss"].mean or np.inf)
    majority = found.test_baselines["majority"].metrics["balanced_accuracy"].value
    assert found.test_scores.metrics["balanced_accuracy"].value > majority + 0.05


@pytest.mark.parametrize("method", list(Calibration))
def test_a_model_that_is_too_sure_of_itself_loses_less_when_it_is_calibrated(method):
    samples = samples_of(momentum(5, 4_000, 0.4), FixedHorizon(1), binary=True)
    sure = replace(TWO_FOLDS, model=LightgbmParameters(rounds=150, num_leaves=31, learning_rate=0.2))
    before = run(samples, sure)
    after = run(samples, replace(sure, calibration=CalibrationPlan(method, 0.2)))
    assert before.fold_table["log_loss"].mean > 0.8
    assert after.fold_table["log_loss"].mean < 0.71
    assert after.test_scores.metrics["log_loss"].value < before.test_scores.metrics["log_loss"].value - 0.1
    assert after.fold_table["roc_auc"].mean == pytest.approx(before.fold_table["roc_auc"].mean, abs=0.02)


def test_thresholds_say_a_rare_class_that_the_likeliest_never_is():
    drift = momentum(6, 4_000, 0.5)["close"].pct_change().fillna(0.0).to_numpy() + 0.004
    samples = samples_of(bars_of(drift), TripleBarrier(FractionBarriers(0.03, 0.03), 24), binary=True)
    plan = replace(TWO_FOLDS, model=replace(LIGHTGBM, rounds=15))
    rare = np.bincount(samples.classes).argmin()
    before = run(samples, plan)
    after = run(
        samples, replace(plan, decision_thresholds=DecisionPlan(DecisionMetric.BALANCED_ACCURACY, 0.2))
    )
    assert samples.classes.size > 4 * np.bincount(samples.classes)[rare]
    said = [each.test_scores.confusion[:, rare].sum() for each in (before, after)]
    assert said[1] > said[0]
    gained = [each.fold_table["balanced_accuracy"].mean for each in (before, after)]
    assert gained[1] > gained[0]
