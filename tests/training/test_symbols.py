"""Several symbols in one run: rows of one time, each with labels, weights and baselines of its own symbol."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.training import splits
from services.training.baselines import persist
from services.training.labels import Path, QuantileThreshold
from services.training.learners.lightgbm import LightgbmParameters
from services.training.pipeline import evaluate_and_fit
from services.training.plan import EarlyStopping, SplitPlan, TrainingPlan
from services.training.samples import pool_samples
from services.training.weights import SampleWeights, weigh, weigh_each
from tests.training.cases import SECOND, made_samples, native_file

EVERY_FACTOR = SampleWeights(uniqueness=True, return_attribution=True, oldest_weight=0.5)
PLAN = TrainingPlan(
    LightgbmParameters(rounds=4, min_child_samples=5),
    split=SplitPlan(0.2, splits.KFold(3), splits.Embargo(bars=2)),
    early_stopping=EarlyStopping(2, 0.2),
    interval_draws=100,
)


def of_symbol(seed, rows=300, first=0, label_bars=3):
    """Samples of one symbol that begin at second `first`, and the path that their labels were read from."""
    samples = made_samples(rows, seed=seed, label_bars=label_bars)
    generator = np.random.default_rng(seed)
    path = Path(
        (np.arange(rows + label_bars + 1) + first) * SECOND, generator.normal(0, 0.01, rows + label_bars + 1)
    )
    shift = first * SECOND
    return replace(
        samples,
        t0=samples.t0 + shift,
        t1=samples.t1 + shift,
        paths=(path,),
        returns=generator.normal(size=rows),
    )


def pooled():
    return pool_samples([of_symbol(1), of_symbol(2, rows=250, first=40, label_bars=5), of_symbol(3)])


def run(samples, plan=PLAN):
    return evaluate_and_fit(samples, plan, 5, events=lambda event: None)


def test_rows_are_in_order_of_decision_and_at_one_moment_in_that_of_the_symbols():
    parts = [of_symbol(1, rows=30), of_symbol(2, rows=20, first=10)]
    found = pool_samples(parts)
    assert found.t0.size == 50
    assert sorted(zip(found.t0, found.symbols, strict=True)) == list(
        zip(found.t0, found.symbols, strict=True)
    )
    for symbol, part in enumerate(parts):
        mine = found.symbols == symbol
        for name in ("features", "classes", "t0", "t1", "weights", "returns"):
            assert np.array_equal(getattr(found, name)[mine], getattr(part, name), equal_nan=True), name
    assert found.paths == (*parts[0].paths, *parts[1].paths)
    assert pool_samples(parts[:1]) is parts[0]


def test_features_that_one_symbol_lacks_are_left_out():
    first, second = of_symbol(1, rows=30), of_symbol(2, rows=30)
    second = replace(
        second, features=second.features[:, [3, 0, 4]], feature_names=("feature_3", "feature_0", "feature_4")
    )
    found = pool_samples([first, second])
    assert found.feature_names == ("feature_0", "feature_3", "feature_4")
    mine = found.symbols == 1
    assert np.array_equal(found.features[mine], second.features[:, [1, 0, 2]], equal_nan=True)


def test_labels_of_another_symbol_change_no_weight():
    samples, rows = pooled(), np.arange(100, 700)
    weights = weigh_each(
        EVERY_FACTOR, samples.paths, samples.symbols[rows], samples.t0[rows], samples.t1[rows]
    )
    assert weights.mean() == pytest.approx(1.0)
    for symbol, path in enumerate(samples.paths):
        mine = rows[samples.symbols[rows] == symbol]
        alone = weigh(EVERY_FACTOR, path, samples.t0[mine], samples.t1[mine])
        assert weights[samples.symbols[rows] == symbol].tolist() == alone.tolist()


def test_a_row_is_persisted_by_the_labels_of_its_own_symbol():
    samples = pooled()
    rows = np.arange(400, 800)
    persisted, known = persist(samples.classes, samples.t0, samples.t1, rows, samples.symbols)
    assert known.all()
    for row, found in zip(rows, persisted, strict=True):
        before = np.flatnonzero((samples.symbols == samples.symbols[row]) & (samples.t1 <= samples.t0[row]))
        assert found == samples.classes[before[np.argmax(samples.t1[before])]]
    first = np.flatnonzero(samples.symbols == 1)[:1]
    assert not persist(samples.classes, samples.t0, samples.t1, first, samples.symbols)[1].any()


@pytest.mark.parametrize("method", [splits.KFold(3), splits.WalkForward(2), splits.CombinatorialPurged(4, 2)])
def test_no_symbol_trains_on_what_overlaps_a_held_out_row_of_another(method):
    samples = pooled()
    result = run(
        samples, replace(PLAN, split=replace(PLAN.split, method=method), sample_weights=EVERY_FACTOR)
    )
    assert all(proof.gap_microseconds > 0 for proof in result.proofs)
    train, test, _ = splits.final_test_split(samples.t0, samples.t1, 0.2, PLAN.split.embargo)
    assert samples.t1[train].max() < samples.t0[test].min()
    assert not set(samples.t0[train]) & set(samples.t0[test])
    assert result.test_scores.row_count == test.size


def test_the_test_span_is_scored_together_and_symbol_by_symbol():
    result = run(pooled())
    assert sorted(result.test_symbols) == [0, 1, 2]
    together = sum(scores.confusion for scores in result.test_symbols.values())
    assert together.tolist() == result.test_scores.confusion.tolist()
    assert run(of_symbol(1)).test_symbols == {}


def test_quantile_thresholds_are_those_of_all_symbols_rows_together():
    samples = pooled()
    samples = replace(samples, quantile=QuantileThreshold(0.3))
    result = run(samples)
    train, _, _ = splits.final_test_split(samples.t0, samples.t1, 0.2, PLAN.split.embargo)
    rows, _, _ = splits.newest_slice(train, samples.t0, samples.t1, 0.2, PLAN.split.embargo)
    assert result.learned.return_thresholds == samples.thresholds_of(rows)
    assert len(set(samples.symbols[rows])) == 3


def test_what_the_test_span_of_one_symbol_holds_changes_no_model():
    samples = pooled()
    result = run(samples)
    test = np.arange(samples.t0.size)[-result.test_scores.row_count :]
    other = samples.classes.copy()
    other[test[samples.symbols[test] == 1]] = 0
    assert native_file(run(replace(samples, classes=other))) == native_file(result)
