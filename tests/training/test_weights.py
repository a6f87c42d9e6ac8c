"""Sample weights: uniqueness, return attribution and time decay, against a loop over rows and bars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.training import learners
from services.training.labels import CusumEvents, Fixed, FractionBarriers, Path, TripleBarrier, label
from services.training.learners import ForestParameters, LightgbmParameters, XgboostParameters
from services.training.pipeline import evaluate_and_fit
from services.training.plan import ClassWeight, EarlyStopping, TrainingPlan
from services.training.samples import Chosen
from services.training.weights import SampleWeights, violations, weigh
from tests.training.cases import SECOND, answers, made_samples, native_file
from tests.training.test_labels import HOUR, random_bars

plans = st.builds(SampleWeights, st.booleans(), st.booleans(), st.sampled_from([0.0, 0.3, 1.0]))
EVERY_FACTOR = SampleWeights(uniqueness=True, return_attribution=True, oldest_weight=0.5)


def by_words(plan: SampleWeights, path: Path, t0: np.ndarray, t1: np.ndarray) -> np.ndarray:
    """One row after the other, one bar after the other."""
    bars_of_path = range(path.closes_at.size)
    opened = [
        [at for at in bars_of_path if begin < path.closes_at[at] <= end]
        for begin, end in zip(t0, t1, strict=True)
    ]
    crowd = {at: sum(at in bars for bars in opened) for bars in opened for at in bars}
    uniqueness = [sum(1 / crowd[at] for at in bars) / len(bars) for bars in opened]
    found = []
    for row, bars in enumerate(opened):
        weight = 1.0
        if plan.uniqueness:
            weight *= uniqueness[row]
        if plan.return_attribution:
            weight *= abs(sum(path.log_returns[at] / crowd[at] for at in bars))
        age = sum(uniqueness[: row + 1]) / sum(uniqueness)
        found.append(weight * (plan.oldest_weight + (1 - plan.oldest_weight) * age))
    return np.array(found) / np.mean(found)


@settings(deadline=None, max_examples=40)
@given(plan=plans, seed=st.integers(0, 10_000), missing=st.sampled_from([0.0, 0.02]), share=st.floats(0.2, 1))
def test_weights_equal_the_words_of_their_factors(plan, seed, missing, share):
    rule = TripleBarrier(FractionBarriers(0.02, 0.02), 8)
    found = label(random_bars(seed, 70, missing), HOUR, rule)
    rows = np.flatnonzero(np.random.default_rng(seed).random(found.t0.size) < share)
    if not rows.size:
        return
    weights = weigh(plan, found.path, found.t0[rows], found.t1[rows])
    assert weights == pytest.approx(by_words(plan, found.path, found.t0[rows], found.t1[rows]), rel=1e-9)
    assert weights.mean() == pytest.approx(1.0)


def test_labels_that_do_not_overlap_are_unique_and_weigh_the_same():
    path = Path(np.arange(9) * SECOND, np.full(9, 0.01))
    t0 = np.array([0, 2, 4]) * SECOND
    assert weigh(SampleWeights(uniqueness=True), path, t0, t0 + 2 * SECOND).tolist() == [1, 1, 1]
    overlapping = weigh(SampleWeights(uniqueness=True), path, t0, np.array([4, 4, 6]) * SECOND)
    assert overlapping == pytest.approx(np.array([0.75, 0.5, 1.0]) / 0.75)


def test_a_market_that_did_not_move_leaves_every_row_the_same_weight():
    path = Path(np.arange(9) * SECOND, np.zeros(9))
    t0 = np.arange(3) * SECOND
    assert weigh(SampleWeights(return_attribution=True), path, t0, t0 + SECOND).tolist() == [1, 1, 1]
    assert weigh(EVERY_FACTOR, path, t0[:0], t0[:0]).size == 0


def test_rows_that_are_not_in_a_fit_change_no_weight_of_it():
    found = label(random_bars(2, 200), HOUR, TripleBarrier(FractionBarriers(0.02, 0.02), 12))
    early = slice(0, 80)
    known = found.t1[early].max()
    later = replace(
        found.path, log_returns=np.where(found.path.closes_at > known, 9.0, found.path.log_returns)
    )
    before, after = (
        weigh(EVERY_FACTOR, path, found.t0[early], found.t1[early]) for path in (found.path, later)
    )
    assert before.tolist() == after.tolist()


@pytest.mark.parametrize("oldest", [-0.1, 1.1, float("nan")])
def test_a_decay_beyond_its_range_is_refused(oldest):
    found = violations(SampleWeights(oldest_weight=oldest))
    assert [(each.field, each.rule) for each in found] == [("sample_weights.oldest_weight", "range")]


def with_path(samples):
    """The samples on a path whose last third moves a hundred times as much."""
    returns = np.random.default_rng(3).normal(0, 0.01, samples.t0.size + 9)
    returns[400:] *= 100
    return replace(samples, paths=(Path(np.arange(returns.size) * SECOND, returns),))


@pytest.mark.parametrize(
    "model",
    [LightgbmParameters(rounds=5), XgboostParameters(rounds=5), ForestParameters(trees=5)],
    ids=learners.kind_of,
)
def test_every_learner_takes_the_weights_and_so_does_the_choice_of_features(model):
    samples, taken = with_path(made_samples()), {}

    def choose(consumer, rows, classes, weights, seed):
        taken[consumer] = (rows, weights)
        return Chosen(samples.features, samples.feature_names)

    def fitted(plan):
        result = evaluate_and_fit(samples, plan, 3, events=lambda event: None, choose=choose)
        return answers(result, samples.features)

    plain = TrainingPlan(model, interval_draws=100)
    if learners.stops_early(model):
        plain = replace(plain, early_stopping=EarlyStopping(3, 0.2))
    unweighted = fitted(plain)
    assert all((weights == 1).all() for _, weights in taken.values())
    assert np.abs(fitted(replace(plain, sample_weights=EVERY_FACTOR)) - unweighted).max() > 1e-3
    for rows, weights in taken.values():
        expected = weigh(EVERY_FACTOR, samples.paths[0], samples.t0[rows], samples.t1[rows])
        assert weights.tolist() == expected.tolist()
    fitted(replace(plain, sample_weights=EVERY_FACTOR, class_weight=ClassWeight.BALANCED))
    for rows, weights in taken.values():
        masses = np.bincount(samples.classes[rows], weights)
        assert masses == pytest.approx(np.full(3, masses.sum() / 3))
        assert weights.mean() == pytest.approx(1.0)


def test_what_the_test_span_holds_changes_no_weighted_model():
    samples = with_path(made_samples())
    plan = TrainingPlan(LightgbmParameters(rounds=5), sample_weights=EVERY_FACTOR, interval_draws=100)
    result = evaluate_and_fit(samples, plan, 3, events=lambda event: None)
    first = samples.t0[-result.test_scores.row_count]
    (path,) = samples.paths
    returns = np.where(path.closes_at > first, 5.0, path.log_returns)
    changed = replace(samples, paths=(replace(path, log_returns=returns),))
    other = evaluate_and_fit(changed, plan, 3, events=lambda event: None)
    assert native_file(other) == native_file(result)


def test_events_are_less_crowded_than_bars():
    rule, plan = TripleBarrier(FractionBarriers(0.05, 0.05), 24), SampleWeights(uniqueness=True)
    frame = random_bars(4, 2_000)
    crowds = []
    for events in (None, CusumEvents(Fixed(0.04))):
        found = label(frame, HOUR, rule, events=events)
        crowds.append((found.t1 - found.t0).sum() / (found.t1[-1] - found.t0[0]))
        assert weigh(plan, found.path, found.t0, found.t1).min() > 0
    assert crowds[1] < crowds[0] / 4
