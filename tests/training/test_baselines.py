"""Baselines: they know what a model may know at the decision, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.training.baselines import Sight, persist, score_baselines

SECOND = 1_000_000
NAMES = ("down", "range", "up")


@st.composite
def labelled(draw):
    """Rows in order of decision with labels of any length, and their classes."""
    steps = draw(st.lists(st.integers(0, 3), min_size=4, max_size=60))
    lengths = draw(st.lists(st.integers(0, 20), min_size=len(steps), max_size=len(steps)))
    classes = draw(st.lists(st.integers(0, 2), min_size=len(steps), max_size=len(steps)))
    t0 = np.cumsum(steps).astype(np.int64) * SECOND
    return np.array(classes, dtype=np.int8), t0, t0 + np.array(lengths, dtype=np.int64) * SECOND


@settings(deadline=None, max_examples=150)
@given(case=labelled())
def test_persistence_repeats_the_newest_label_known_at_the_decision(case):
    classes, t0, t1 = case
    rows = np.arange(t0.size)
    persisted, known = persist(classes, t0, t1, rows)
    for row in rows:
        candidates = [other for other in rows if t1[other] <= t0[row]]
        assert known[row] == bool(candidates)
        if candidates:
            # Of labels that became known at one time, that of the latest decision counts.
            newest = max((t1[other], t0[other]) for other in candidates)
            ties = [other for other in candidates if (t1[other], t0[other]) == newest]
            assert persisted[row] in classes[ties]


def test_a_label_that_is_still_open_is_not_persisted():
    classes = np.array([0, 1, 0, 1], dtype=np.int8)
    t0 = np.arange(4, dtype=np.int64) * SECOND
    persisted, known = persist(classes, t0, t0 + 2 * SECOND, np.arange(4))
    assert known.tolist() == [False, False, True, True]
    assert persisted[2:].tolist() == [0, 1]


def test_the_majority_is_that_of_the_training_rows_and_its_probabilities_are_their_frequencies():
    classes = np.array([0, 0, 0, 1, 2, 1, 1, 1], dtype=np.int8)
    t0 = np.arange(8, dtype=np.int64) * SECOND
    sight = Sight(classes, np.arange(5), np.arange(5, 8))
    found = score_baselines(t0, t0 + SECOND, [sight], NAMES)
    assert found["majority"].confusion.tolist() == [[0, 0, 0], [3, 0, 0], [0, 0, 0]]
    assert found["majority"].metrics["log_loss"].value == pytest.approx(-np.log(1 / 5))
    assert found["persistence"].confusion[1].tolist() == [0, 2, 1]  # the row before each: 2, 1, 1
    assert found["persistence"].metrics["log_loss"].value is None


def test_each_model_is_measured_by_the_majority_of_its_own_training_rows():
    classes = np.array([0, 0, 1, 1, 0, 1], dtype=np.int8)
    t0 = np.arange(6, dtype=np.int64) * SECOND
    sights = [Sight(classes, np.arange(2), np.array([4])), Sight(classes, np.array([2, 3]), np.array([5]))]
    found = score_baselines(t0, t0 + SECOND, sights, ("down", "up"))
    assert found["majority"].metrics["accuracy"].value == 1.0


def test_each_model_is_measured_by_classes_as_it_sees_them():
    t0 = np.arange(6, dtype=np.int64) * SECOND
    first, second = np.array([0, 0, 1, 1, 0, 1], dtype=np.int8), np.array([1, 1, 0, 0, 1, 1], dtype=np.int8)
    sights = [Sight(first, np.arange(2), np.array([3])), Sight(second, np.arange(2), np.array([5]))]
    found = score_baselines(t0, t0 + SECOND, sights, ("down", "up"))
    assert found["majority"].confusion.tolist() == [[0, 0], [1, 1]]  # down for the first, up for the second
    assert found["persistence"].confusion.tolist() == [[0, 0], [0, 2]]


def test_a_baseline_without_a_row_is_left_out():
    classes = np.array([0, 1, 0, 1], dtype=np.int8)
    t0 = np.arange(4, dtype=np.int64) * SECOND
    sight = Sight(classes, np.arange(2), np.arange(2, 4))
    found = score_baselines(t0, t0 + 99 * SECOND, [sight], ("down", "up"))
    assert list(found) == ["majority"]


def test_persistence_on_independent_labels_is_right_half_of_the_time():
    generator = np.random.default_rng(0)
    classes = generator.integers(0, 2, 4_000).astype(np.int8)
    t0 = np.arange(4_000, dtype=np.int64) * SECOND
    sight = Sight(classes, np.arange(2_000), np.arange(2_000, 4_000))
    found = score_baselines(t0, t0 + SECOND, [sight], ("down", "up"))
    assert found["persistence"].metrics["balanced_accuracy"].value == pytest.approx(0.5, abs=0.035)
    assert found["majority"].metrics["balanced_accuracy"].value == 0.5
