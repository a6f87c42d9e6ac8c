"""Tests of relevance: tsfresh's p-values and choices, missing values, equal values, order of strength."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from tsfresh.feature_selection.relevance import calculate_relevance_table

from services.features.columns import Floats
from services.features.selection.compiled import unit_ranks
from services.features.selection.contingency import fisher_exact
from services.features.selection.relevance import KNOWN_ROWS_MIN, rejected, relevance
from services.features.selection.target import Target, TargetKind
from tests.features.selection.matrices import features, nobody, targets

SORTS = ("binary", "rare", "three", "real", "tied")


def tsfresh_table(values: Floats, target: Target, fdr_level: float) -> tuple[Floats, np.ndarray]:
    """tsfresh's smallest p-value of each feature and whether it calls it relevant."""
    is_three = target.kind is TargetKind.MULTICLASS
    frame = pd.DataFrame(values.T, columns=[str(i) for i in range(len(values))])
    y = pd.Series(target.values if target.kind is TargetKind.REAL else target.values.astype(int))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = calculate_relevance_table(
            frame,
            y,
            ml_task="regression" if target.kind is TargetKind.REAL else "classification",
            multiclass=is_three,
            n_jobs=0,
            fdr_level=fdr_level,
        ).loc[frame.columns]
    found = table.filter(regex="^p_value").astype(float).min(axis=1)
    return found.to_numpy(), table.relevant.to_numpy(bool)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("rows", [30, 120, 1500])
def test_p_values_and_choice_are_those_of_tsfresh(sort: str, rows: int):
    generator = np.random.default_rng(rows)
    target = targets(generator, rows)[sort]
    values = features(generator, target)
    found = relevance(values, target, nobody)
    for fdr_level in (0.01, 0.05, 0.3):
        p_values, is_relevant = tsfresh_table(values, target, fdr_level)
        np.testing.assert_allclose(found.smallest, p_values, rtol=1e-9)
        np.testing.assert_array_equal(found.is_relevant(fdr_level), is_relevant)


@pytest.mark.parametrize("sort", SORTS)
def test_each_feature_is_tested_on_the_rows_where_it_is_known(sort: str):
    generator = np.random.default_rng(7)
    target = targets(generator, 300)[sort]
    values = features(generator, target)
    values[generator.random(values.shape) < 0.2] = np.nan
    found = relevance(values, target, nobody)
    for feature in range(len(values)):
        known = ~np.isnan(values[feature])
        alone = relevance(
            np.ascontiguousarray(values[[feature]][:, known]),
            Target(target.kind, target.values[known]),
            nobody,
        )
        np.testing.assert_array_equal(alone.p_values[0], found.p_values[feature])


def test_a_feature_that_is_constant_or_hardly_known_is_not_tested():
    target = Target(TargetKind.BINARY, np.arange(100.0) % 2)
    values = np.random.default_rng(0).normal(size=(4, 100))
    values[0] = 3.0
    values[1] = np.nan
    values[2, KNOWN_ROWS_MIN - 1 :] = np.nan
    values[3, KNOWN_ROWS_MIN:] = np.nan
    found = relevance(values, target, nobody)
    assert found.is_tested.tolist() == [False, False, False, True]
    assert np.isnan(found.smallest[:3]).all()
    assert not found.is_relevant(0.05)[:3].any()
    assert found.is_relevant(1.0).tolist() == [False, False, False, True]


def test_a_class_that_is_absent_where_the_feature_is_known_is_not_tested_for():
    target = Target(TargetKind.MULTICLASS, np.repeat([0.0, 1.0, 2.0], 50))
    values = np.random.default_rng(0).normal(size=(1, 150))
    values[0, 100:] = np.nan
    assert np.isnan(relevance(values, target, nobody).p_values[0]).tolist() == [False, False, True]


@pytest.mark.parametrize("kind", [TargetKind.BINARY, TargetKind.REAL])
def test_features_whose_p_value_is_zero_are_still_told_apart(kind: TargetKind):
    generator = np.random.default_rng(0)
    values = np.repeat([0.0, 1.0], 5000) if kind is TargetKind.BINARY else generator.normal(size=10_000)
    noise = generator.normal(size=10_000) * (0.1 if kind is TargetKind.REAL else 0.4)
    found = relevance(np.stack([values + noise, values + noise / 4]), Target(kind, values), nobody)
    assert found.smallest.tolist() == [0.0, 0.0]
    assert found.order.tolist() == [1, 0]


@given(
    st.lists(
        st.one_of(
            st.sampled_from([0.0, -0.0, 1.0, np.nan, 5e-324, 1e308, -1e308]),
            st.integers(0, 30).map(lambda steps: 1.0 + steps * 2.0**-52),
            st.floats(allow_infinity=False),
        ),
        min_size=1,
        max_size=200,
    )
)
@settings(max_examples=200, deadline=None)
def test_ranks_are_those_of_scipy_whatever_the_values(listed: list[float]):
    values = np.array([listed])
    known = ~np.isnan(values[0])
    expected = np.zeros(values.shape[1])
    if known.any():
        ranks = stats.rankdata(values[0, known])
        centred = ranks - ranks.mean()
        size = np.sqrt((centred**2).sum())
        expected[known] = centred / size if size else 0.0
    np.testing.assert_allclose(unit_ranks(values)[0], expected, atol=1e-6)


def test_many_values_that_differ_in_their_last_bits_alone_are_put_in_order():
    generator = np.random.default_rng(0)
    values = 1.0 + generator.integers(0, 10**6, (1, 20_000)) * 2.0**-52
    values[0, 0] = -1e300  # the first digits tell this one from the others and nothing else
    ranks = stats.rankdata(values[0]) - 10_000.5
    np.testing.assert_allclose(unit_ranks(values)[0], ranks / np.sqrt((ranks**2).sum()), atol=1e-6)


@given(st.lists(st.tuples(*[st.integers(0, 60)] * 4), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_exact_p_values_of_tables_are_those_of_scipy(tables: list[tuple[int, int, int, int]]):
    found = fisher_exact(*np.array(tables, dtype=float).T)
    expected = [stats.fisher_exact([[a, b], [c, d]])[1] for a, b, c, d in tables]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_exact_p_values_of_large_tables_are_those_of_scipy():
    generator = np.random.default_rng(0)
    tables = [
        (9_000, 100, 80, 9_100),
        (5_000, 5_000, 5_000, 5_000),
        (50_000, 1, 1, 50_000),
        (7, 9_993, 0, 10_000),
    ]
    tables += [
        (5_000 - shift, 5_000 + shift, 5_000 + shift, 5_000 - shift) for shift in (1, 50, 90, 400, 2_000)
    ]
    tables += [tuple(generator.multinomial(20_000, generator.dirichlet([5] * 4))) for _ in range(20)]
    found = fisher_exact(*np.array(tables, dtype=float).T)
    expected = [stats.fisher_exact([[a, b], [c, d]])[1] for a, b, c, d in tables]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.001, 0.5))
@settings(max_examples=200, deadline=None)
def test_rejections_are_those_of_statsmodels(p_values: list[float], fdr_level: float):
    given_values = np.array(p_values)
    expected = multipletests(given_values, fdr_level, "fdr_by")[0]
    np.testing.assert_array_equal(rejected(given_values, fdr_level), expected)
    padded = np.append(given_values, np.nan)
    np.testing.assert_array_equal(rejected(padded, fdr_level), np.append(expected, False))
