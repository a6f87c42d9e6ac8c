"""Calibrators: probabilities that come true as often as they say; the order of a class never turns around."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from marketml.bundle.graph import Calibration
from marketml.bundle.parameters import KNOT_GAP
from services.training.models.calibrators import (
    IsotonicCalibrator,
    SigmoidCalibrator,
    fit_calibrator,
    log_odds,
)

EVERY = [Calibration.SIGMOID, Calibration.ISOTONIC]


def overconfident(rows: int, classes: int, seed: int = 0):
    """Probabilities thrice as sure as they ought to be, and what came."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(rows, classes))
    true = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    said = np.exp(3 * scores) / np.exp(3 * scores).sum(axis=1, keepdims=True)
    came = (generator.random(rows)[:, None] > true.cumsum(axis=1)).sum(axis=1)
    return said, true, np.minimum(came, classes - 1).astype(np.int8)


def loss(probabilities, came):
    return -np.log(np.maximum(probabilities[np.arange(came.size), came], 1e-15)).mean()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("method", EVERY)
def test_probabilities_that_are_too_sure_are_drawn_in(method, classes):
    said, _, came = overconfident(4_000, classes)
    fresh, true, truth = overconfident(4_000, classes, seed=1)
    found = fit_calibrator(method, said, came, np.ones(4_000)).correct(fresh)
    assert found.sum(axis=1) == pytest.approx(np.ones(4_000))
    assert loss(found, truth) < loss(fresh, truth) - 0.1
    assert np.abs(found - true).mean() < 0.25 * np.abs(fresh - true).mean()


def test_a_sigmoid_of_probabilities_that_are_right_leaves_them_as_they_are():
    _, true, came = overconfident(20_000, 2)
    found = fit_calibrator(Calibration.SIGMOID, true, came, np.ones(20_000))
    assert isinstance(found, SigmoidCalibrator)
    assert found.slopes == pytest.approx([1, 1], abs=0.05)
    assert found.intercepts == pytest.approx([0, 0], abs=0.05)


def test_a_sigmoid_is_the_line_that_loses_least_against_platts_targets():
    said, _, came = overconfident(500, 3)
    weights = np.random.default_rng(2).uniform(0.5, 2, 500)
    found = fit_calibrator(Calibration.SIGMOID, said, came, weights)
    odds = log_odds(said)[:, 1]
    often, seldom = weights @ (came == 1), weights @ (came != 1)
    targets = np.where(came == 1, (often + 1) / (often + 2), 1 / (seldom + 2))
    expected = 1 / (1 + np.exp(-(found.slopes[1] * odds + found.intercepts[1])))
    assert weights @ (expected - targets) == pytest.approx(0, abs=1e-4)
    assert (weights * odds) @ (expected - targets) == pytest.approx(0, abs=1e-4)


def test_an_isotonic_curve_is_the_librarys():
    said, _, came = overconfident(800, 3)
    weights = np.random.default_rng(2).uniform(0.5, 2, 800)
    found = fit_calibrator(Calibration.ISOTONIC, said, came, weights)
    fresh, _, _ = overconfident(300, 3, seed=1)
    columns = [
        IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        .fit(said[:, column], came == column, sample_weight=weights)
        .predict(fresh[:, column])
        for column in range(3)
    ]
    least = 1 / (weights.sum() + 2)
    expected = np.clip(np.stack(columns, axis=1), least, 1 - least)
    apart = np.abs(found.correct(fresh) - expected / expected.sum(axis=1, keepdims=True))
    assert np.median(apart) < 1e-5
    assert apart.max() < 0.01  # where a curve is steep: knots stand on a grid


@settings(max_examples=80, deadline=None)
@given(data=st.data(), method=st.sampled_from(EVERY), classes=st.integers(2, 4))
def test_any_probabilities_leave_numbers_that_a_bundle_holds(data, method, classes):
    rows = data.draw(st.integers(1, 40))
    value = st.sampled_from([0.0, 1.0, 0.3, 0.30000000000000004, 1e-12]) | st.floats(0, 1)
    said = np.array(data.draw(st.lists(value, min_size=rows * classes, max_size=rows * classes)))
    said = said.reshape(rows, classes)
    came = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows)), np.int8)
    found = fit_calibrator(method, said, came, np.ones(rows))
    answers = found.correct(said)
    assert np.all((answers >= 0) & (answers <= 1))
    assert np.abs(answers.sum(axis=1) - 1).max() < 1e-9
    if isinstance(found, IsotonicCalibrator):
        for column in range(classes):
            part = slice(found.offsets[column], found.offsets[column + 1])
            assert found.knots[part].size
            assert np.all(np.diff(found.knots[part]) >= KNOT_GAP)
            assert np.all(np.diff(found.values[part]) >= 0)
    else:
        assert np.all(found.slopes >= 0)
        assert np.isfinite(found.intercepts).all()


def test_a_class_that_comes_the_rarer_the_likelier_it_was_called_keeps_no_order():
    said, _, came = overconfident(1_000, 2)
    found = fit_calibrator(Calibration.SIGMOID, said, (1 - came).astype(np.int8), np.ones(1_000))
    assert found.slopes.tolist() == [0, 0]
    share = (came == 0).mean()
    assert found.correct(said)[:, 1] == pytest.approx(np.full(1_000, share), abs=0.01)
