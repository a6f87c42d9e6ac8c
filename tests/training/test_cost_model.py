"""The cost model: what it fits, how its terms grow, and that real fits can be measured by it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training import learners
from services.training.forecasting.cost_measurements import KINDS, TRIALS, Trial, measure
from services.training.forecasting.cost_model import (
    SCORING,
    FitShape,
    Measured,
    Seconds,
    fit_coefficients,
    fit_costs,
    fit_seconds,
    leaf_count,
    predict_terms,
    prepare_terms,
    read_costs,
    round_terms,
    score_terms,
    write_costs,
)
from services.training.learners.forest import ForestParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.xgboost import XgboostParameters
from tests.training.costs import made_costs, shape_of

shapes = st.builds(
    FitShape,
    parameters=st.sampled_from([trial.parameters for trial in TRIALS]),
    train_rows=st.integers(100, 100_000),
    stopping_rows=st.integers(0, 10_000),
    predicted_rows=st.integers(0, 10_000),
    feature_count=st.integers(1, 500),
    class_count=st.integers(2, 3),
    rounds=st.integers(1, 1_000),
)


@given(
    st.lists(st.floats(1e-9, 1e-3), min_size=3, max_size=3),
    st.integers(0, 1_000),
)
def test_costs_that_follow_the_terms_are_found(wanted: list[float], seed: int) -> None:
    terms = np.random.default_rng(seed).uniform(1.0, 1e6, (12, 3)) ** np.array([0.1, 1.0, 1.0])
    found = fit_coefficients(terms, terms @ np.array(wanted))
    np.testing.assert_allclose(terms @ np.array(found), terms @ np.array(wanted), rtol=1e-6)


def test_no_coefficient_is_below_zero_though_the_measurements_fall() -> None:
    terms = np.column_stack((np.ones(6), np.arange(1.0, 7.0)))
    found = fit_coefficients(terms, np.array([6.0, 5.0, 4.0, 3.0, 2.0, 1.0]))
    assert min(found) >= 0.0
    assert found[1] == 0.0


def test_every_kind_and_phase_has_costs_of_its_own() -> None:
    measured = [
        Measured(kind, "round", terms, Seconds(factor * terms[0], 2 * factor * terms[0]))
        for kind, factor in (("lightgbm", 1.0), ("xgboost", 3.0))
        for terms in ((1.0, 0.0), (2.0, 0.0), (3.0, 0.0))
    ]
    costs = replace(made_costs(), coefficients=fit_costs(measured))
    assert costs.seconds("lightgbm", "round", (10.0, 5.0)) == Seconds(
        pytest.approx(10.0), pytest.approx(20.0)
    )
    assert costs.seconds("xgboost", "round", (10.0, 5.0)) == Seconds(pytest.approx(30.0), pytest.approx(60.0))


@given(shapes)
def test_more_rows_features_or_rounds_never_cost_less(shape: FitShape) -> None:
    costs = made_costs()
    seconds = fit_seconds(costs, shape, 1).cpu
    assert seconds > 0
    for more in (
        {"train_rows": shape.train_rows * 2},
        {"feature_count": shape.feature_count * 2},
        {"rounds": shape.rounds * 2},
        {"predicted_rows": shape.predicted_rows * 2},
    ):
        assert fit_seconds(costs, replace(shape, **more), 1).cpu >= seconds


@given(shapes)
def test_a_tree_has_no_more_leaves_than_its_bounds(shape: FitShape) -> None:
    leaves = leaf_count(shape)
    assert leaves >= 2
    match shape.parameters:
        case LightgbmParameters(num_leaves=most):
            assert leaves <= most
        case XgboostParameters(max_depth=depth):
            assert leaves <= 2**depth
        case ForestParameters(max_depth=depth):
            assert leaves <= max(2.0, min(2.0**depth, shape.train_rows))


def test_measured_costs_come_back_from_their_text() -> None:
    costs = made_costs()
    assert read_costs(json.loads(json.dumps(write_costs(costs)))) == costs


def test_real_fits_are_measured_in_every_phase() -> None:
    trials = tuple(
        replace(next(each for each in TRIALS if learners.kind_of(each.parameters) == kind), train_rows=400)
        for kind in KINDS
    )
    measured = list(measure(trials, threads=1, seconds=0.01))
    assert {(one.kind, one.phase) for one in measured} == {
        *((kind, phase) for kind in KINDS for phase in ("prepare", "round", "predict", "keep")),
        (SCORING, "score"),
    }
    assert all(one.seconds.cpu > 0 and one.seconds.wall > 0 for one in measured)
    for one in measured:
        assert all(term >= 0 for term in one.terms)


def test_the_terms_measured_are_those_that_are_priced() -> None:
    shape = shape_of(Trial(LightgbmParameters(rounds=7), 1_000, 10, 3, 100), rounds=7)
    costs = made_costs()
    parts = [
        sum(prepare_terms(shape)),
        7 * sum(round_terms(shape, 1)),
        sum(predict_terms(shape)),
    ]
    assert fit_seconds(costs, shape, 1).cpu == pytest.approx(sum(parts) * 1e-9)
    assert len(score_terms(10, 3)) == len(score_terms(10, 2, 100, 5))
