"""Logistic regression: scikit-learn's numbers, from standardised columns whose holes are their means."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from services.training.learners import logistic
from services.training.learners.fitting import Table
from services.training.learners.logistic import LogisticParameters
from tests.training.cases import BINARY, THREE_WAY, made_samples


def table_of(samples, weights=None) -> Table:
    return Table(samples.features, samples.classes, samples.weights if weights is None else weights)


@pytest.mark.parametrize("names", [BINARY, THREE_WAY], ids=len)
@pytest.mark.parametrize("c", [0.01, 1.0, 100.0])
def test_it_answers_as_the_library_does_after_its_own_scaler(names, c):
    samples = made_samples(class_names=names, missing=0.0)
    found = logistic.fit(LogisticParameters(c), table_of(samples), len(names))
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=c, solver="newton-cholesky", tol=1e-8))
    theirs.fit(samples.features, samples.classes)
    rows = made_samples(300, seed=3, missing=0.0).features
    assert np.abs(logistic.probabilities(found, rows) - theirs.predict_proba(rows)).max() < 1e-12


def test_a_missing_value_counts_as_the_columns_mean_by_weight():
    samples = made_samples(missing=0.3)
    weights = np.random.default_rng(0).uniform(0.5, 2, samples.classes.size)
    found = logistic.fit(LogisticParameters(), table_of(samples, weights), 3)
    known = np.where(np.isnan(samples.features), 0.0, samples.features)
    means = (known * weights[:, None]).sum(0) / (~np.isnan(samples.features) * weights[:, None]).sum(0)
    assert found.fill == pytest.approx(means, rel=1e-12)
    holes = np.full((1, 5), np.nan)
    expected = logistic.probabilities(found, means[None])
    assert logistic.probabilities(found, holes) == pytest.approx(expected, abs=1e-12)


def test_columns_of_one_value_or_of_none_tell_nothing():
    samples = made_samples(missing=0.0)
    samples.features[:, 1] = 0.1
    samples.features[:, 2] = np.nan
    found = logistic.fit(LogisticParameters(), table_of(samples), 3)
    assert not found.coefficients[:, 1:3].any()
    assert found.coefficients[:, 0].any()
    assert (found.scale > 0).all()


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_a_class_without_a_training_row_is_impossible(left_out):
    samples = made_samples(missing=0.0)
    kept = samples.classes != left_out
    table = Table(samples.features[kept], samples.classes[kept], samples.weights[kept])
    found = logistic.probabilities(logistic.fit(LogisticParameters(), table, 3), samples.features)
    assert not found[:, left_out].any()
    assert found.sum(axis=1) == pytest.approx(np.ones(600))
    others = [each for each in range(3) if each != left_out]
    theirs = LogisticRegression(solver="newton-cholesky", tol=1e-8)
    scaled = StandardScaler().fit(table.features)
    theirs.fit(scaled.transform(table.features), table.classes)
    assert found[:, others] == pytest.approx(
        theirs.predict_proba(scaled.transform(samples.features)), abs=1e-12
    )


def test_many_columns_are_fitted_without_a_matrix_of_all_coefficients(monkeypatch):
    samples = made_samples(missing=0.0)
    exact = logistic.fit(LogisticParameters(), table_of(samples), 3)
    monkeypatch.setattr(logistic, "MOST_OF_NEWTON", 10)
    found = logistic.fit(LogisticParameters(), table_of(samples), 3)
    apart = logistic.probabilities(exact, samples.features) - logistic.probabilities(found, samples.features)
    assert 0 < np.abs(apart).max() < 0.01


def test_it_is_the_same_to_the_last_bit_every_time():
    samples = made_samples(1_000)
    one, two = (logistic.fit(LogisticParameters(), table_of(samples), 3) for _ in range(2))
    assert one.coefficients.tobytes() == two.coefficients.tobytes()
