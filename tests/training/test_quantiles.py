"""Thresholds that are quantiles: every model sees the classes of its own rows, decided by nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as some

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument
from services.training import splits
from services.training.labels import (
    UNDECIDED,
    Fixed,
    FixedHorizon,
    QuantileThreshold,
    ReturnThresholds,
    label,
    thresholds_of,
)
from services.training.learners.lightgbm import LightgbmParameters
from services.training.pipeline import evaluate_and_fit
from services.training.plan import ClassWeight, EarlyStopping, SplitPlan, TrainingPlan
from services.training.samples import Chosen, join_samples
from tests.training.cases import made_samples, native_file

HOUR = timedelta(hours=1)
TAIL = QuantileThreshold(0.2)
COMBINED = splits.CombinatorialPurged(4, 2)
PLAN = TrainingPlan(
    LightgbmParameters(rounds=3, min_child_samples=5),
    split=SplitPlan(0.2, splits.KFold(3), splits.Embargo(bars=2)),
    early_stopping=EarlyStopping(2, 0.2),
    class_weight=ClassWeight.BALANCED,
    interval_draws=100,
)


def returning_samples(rows=600, seed=0):
    """Samples whose returns follow their first feature, the later the wilder: thresholds move with them."""
    samples = made_samples(rows, seed=seed, missing=0.0)
    noise = np.random.default_rng(seed + 1).normal(size=rows)
    returns = (samples.features[:, 0] + noise) * np.linspace(0.01, 0.05, rows)
    return replace(samples, classes=np.full(rows, UNDECIDED, np.int8), returns=returns, quantile=TAIL)


def run(samples, plan=PLAN, choose=None):
    return evaluate_and_fit(samples, plan, 5, events=lambda event: None, choose=choose)


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    some.lists(some.floats(-0.5, 0.5), min_size=1, max_size=80),
    some.floats(0.01, 0.49),
)
def test_a_share_of_the_rows_is_on_either_side_and_no_more(returns, tail):
    found = thresholds_of(np.array(returns), QuantileThreshold(tail))
    assert found.lower <= found.upper
    counts = np.bincount(found.classes(np.array(returns)), minlength=3)
    assert max(counts[0], counts[2]) <= tail * (len(returns) - 1) + 1


def test_a_return_on_a_threshold_is_in_the_range():
    thresholds = ReturnThresholds(-0.1, 0.2)
    assert thresholds.classes(np.array([-0.11, -0.1, 0.0, 0.2, 0.21])).tolist() == [0, 1, 1, 1, 2]


def test_labels_by_quantiles_have_returns_and_no_class_yet():
    close = np.exp(np.random.default_rng(0).normal(0, 0.01, 50).cumsum())
    index = pd.date_range("2024-01-01", periods=50, freq="h", tz="UTC", name="open_time")
    frame = pd.DataFrame({"high": close, "low": close, "close": close}, index=index)
    found = label(frame, HOUR, FixedHorizon(4, TAIL))
    fixed = label(frame, HOUR, FixedHorizon(4, Fixed(0.01)))
    assert found.returns.tolist() == fixed.returns.tolist()
    assert (found.t0.tolist(), found.t1.tolist()) == (fixed.t0.tolist(), fixed.t1.tolist())
    assert found.class_names == ("down", "range", "up")
    assert set(found.values) == {UNDECIDED}
    samples = join_samples(pd.DataFrame({"one": 0.0}, index=index), HOUR, found)
    rows = np.arange(10, 30)
    expected = np.quantile(found.returns[rows], (0.2, 0.8))
    decided = samples.decided_by(rows)
    assert (
        decided.classes.tolist()
        == (1 + (found.returns > expected[1]).astype(int) - (found.returns < expected[0])).tolist()
    )


@pytest.mark.parametrize("tail", [0.0, 0.5, -0.1, float("nan")])
def test_a_tail_that_is_no_tail_is_refused(tail):
    with pytest.raises(InvalidArgument, match=r"above 0 and below 0\.5"):
        label(pd.DataFrame(), HOUR, FixedHorizon(4, QuantileThreshold(tail)))


def test_quantiles_are_refused_for_binary_labels():
    with pytest.raises(InvalidArgument, match="must be unset for binary labels"):
        label(pd.DataFrame(), HOUR, FixedHorizon(4, TAIL), binary=True)


@pytest.mark.parametrize("method", [splits.KFold(3), COMBINED], ids=["k_fold", "combined"])
def test_every_model_is_fitted_chosen_for_and_scored_by_the_thresholds_of_its_own_rows(method):
    samples, asked = returning_samples(), {}

    def choose(consumer, rows, classes, weights, seed):
        asked[consumer.removesuffix(".selection")] = (rows, classes, weights)
        return Chosen(samples.features, samples.feature_names)

    plan = replace(PLAN, split=replace(PLAN.split, method=method))
    result = run(samples, plan, choose)
    train, test, _ = splits.final_test_split(samples.t0, samples.t1, 0.2, plan.split.embargo)
    folds = splits.split_folds(samples.t0, samples.t1, method, plan.split.embargo, train)
    of = {f"fold_{fold.number}": fold.return_thresholds for fold in result.folds}
    of["final_model"] = result.learned.return_thresholds
    for consumer, (rows, classes, weights) in asked.items():
        assert of[consumer] == thresholds_of(samples.returns[rows], TAIL)
        assert classes.tolist() == of[consumer].classes(samples.returns[rows]).tolist()
        masses = np.bincount(classes, weights)  # each class weighs the same, as this model tells them apart
        assert masses == pytest.approx(np.full(3, masses.sum() / 3))
    assert len(set(of.values())) == len(folds) + 1

    def counts(consumer, rows):
        return tuple(np.bincount(of[consumer].classes(samples.returns[rows]), minlength=3))

    for number, fold in enumerate(folds, start=1):
        scored = result.folds[number - 1]
        assert scored.scores.class_counts == counts(f"fold_{number}", fold.test)
        assert scored.baselines["majority"].class_counts == scored.scores.class_counts
    assert result.test_scores.class_counts == counts("final_model", test)
    assert result.test_baselines["majority"].class_counts == result.test_scores.class_counts
    paths = splits.backtest_paths(train, samples.t0, method) if method is COMBINED else []
    assert len(result.paths) == len(paths)
    for found, path in zip(result.paths, paths, strict=True):
        expected = sum(np.array(counts(f"fold_{fold}", rows)) for fold, rows in path.parts)
        assert found.scores.class_counts == tuple(expected)
        assert found.baselines["majority"].class_counts == tuple(expected)


def test_the_rows_of_the_thresholds_have_a_proof():
    result = run(returning_samples())
    proofs = {proof.consumer: proof for proof in result.proofs}
    for consumer in ("fold_1", "fold_2", "fold_3", "final_model"):
        of_thresholds = proofs[f"{consumer}.return_thresholds"]
        assert of_thresholds.train_rows == proofs[f"{consumer}.early_stopping"].train_rows
        assert of_thresholds.gap_microseconds > 0
    slice_rows = proofs["final_model.early_stopping"].held_out_rows
    assert proofs["final_model.return_thresholds"].held_out_rows == result.test_scores.row_count + slice_rows


def test_what_becomes_of_held_out_rows_moves_no_threshold_and_no_model():
    """Of the final test span, of the slice to stop on and of a fold's block, one after the other."""
    samples = returning_samples()
    result = run(samples)
    train, test, _ = splits.final_test_split(samples.t0, samples.t1, 0.2, PLAN.split.embargo)
    _, stopping, _ = splits.newest_slice(train, samples.t0, samples.t1, 0.2, PLAN.split.embargo)
    block = splits.split_folds(samples.t0, samples.t1, PLAN.split.method, PLAN.split.embargo, train)[1].test

    def changed(rows):
        returns = samples.returns.copy()
        returns[rows] *= -9.0
        return run(replace(samples, returns=returns))

    assert changed(test).learned.return_thresholds == result.learned.return_thresholds
    assert native_file(changed(test)) == native_file(result)
    assert changed(stopping).learned.return_thresholds == result.learned.return_thresholds
    assert changed(block).folds[1].return_thresholds == result.folds[1].return_thresholds
    assert changed(block).learned.return_thresholds != result.learned.return_thresholds


def test_returns_that_are_all_alike_leave_classes_without_a_row():
    samples = replace(returning_samples(), returns=np.full(600, 0.01))
    with pytest.raises(FailedPrecondition, match="'down' has none"):
        run(samples)
