"""Decisions: thresholds by which a metric is large, found on rows and no better than they must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef

from services.training.models.decisions import DecisionMetric, choose_thresholds, decide

METRICS = {
    DecisionMetric.BALANCED_ACCURACY: balanced_accuracy_score,
    DecisionMetric.MACRO_F1: lambda truth, said: f1_score(truth, said, average="macro", zero_division=0),
    DecisionMetric.MCC: matthews_corrcoef,
}


def rare_class(rows: int, seed: int = 0, classes: int = 2):
    """A class that comes once in ten times and is never the likeliest."""
    generator = np.random.default_rng(seed)
    signal = generator.normal(size=rows)
    rare = 0.45 / (1 + np.exp(-2 * (signal - 1.5)))
    others = np.repeat(((1 - rare) / (classes - 1))[:, None], classes - 1, axis=1)
    probabilities = np.column_stack((others, rare))
    came = (generator.random(rows)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    return probabilities, np.minimum(came, classes - 1).astype(np.int8)


@pytest.mark.parametrize("metric", METRICS)
def test_thresholds_make_the_metric_larger_on_fresh_rows(metric):
    said, came = rare_class(4_000)
    found = choose_thresholds(metric, said, came)
    fresh, truth = rare_class(4_000, seed=1)
    before = METRICS[metric](truth, decide(fresh, None))
    assert METRICS[metric](truth, decide(fresh, found)) > before + 0.05
    assert found.sum() == pytest.approx(1)
    assert found[1] < found[0]


@pytest.mark.parametrize("metric", METRICS)
def test_of_two_classes_they_are_as_good_as_any_threshold_tried_one_by_one(metric):
    said, came = rare_class(300)
    found = METRICS[metric](came, decide(said, choose_thresholds(metric, said, came)))
    best = max(METRICS[metric](came, said[:, 1] > each) for each in np.unique(said[:, 1]))
    assert found >= best - 0.01


def test_without_thresholds_the_likeliest_class_is_said_and_equal_ones_change_nothing():
    said = np.array([[0.4, 0.6], [0.5, 0.5], [0.9, 0.1]])
    assert decide(said, None).tolist() == decide(said, np.array([0.5, 0.5])).tolist() == [1, 0, 0]
    assert decide(said, np.array([0.85, 0.15])).tolist() == [1, 1, 0]


@pytest.mark.parametrize("metric", METRICS)
def test_where_nothing_is_better_the_thresholds_are_equal(metric):
    said = np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]])
    assert choose_thresholds(metric, said, np.array([0, 1, 2], np.int8)) == pytest.approx([1 / 3] * 3)
    assert choose_thresholds(metric, said, np.array([1, 1, 1], np.int8)).sum() == pytest.approx(1)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")  # the library's own scorer
@settings(max_examples=80, deadline=None)
@given(data=st.data(), metric=st.sampled_from(list(METRICS)), classes=st.integers(2, 4))
def test_any_probabilities_have_thresholds_that_a_bundle_holds_and_that_lose_nothing(data, metric, classes):
    rows = data.draw(st.integers(1, 30))
    value = st.sampled_from([0.0, 1.0, 0.5, 1e-300]) | st.floats(0, 1)
    said = np.array(data.draw(st.lists(value, min_size=rows * classes, max_size=rows * classes)))
    said = said.reshape(rows, classes)
    came = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows)), np.int8)
    found = choose_thresholds(metric, said, came)
    assert np.all((found > 1e-6) & (found <= 1))
    if np.unique(came).size > 1:
        before, after = (METRICS[metric](came, decide(said, each)) for each in (None, found))
        assert after >= before - 1e-9
