"""The choice: verdicts step by step, the least that is kept, correlation, stability, importance."""

from __future__ import annotations

import time

import lightgbm  # noqa: F401  # loading it is no part of a fit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from marketml.rpc.refusals import Cancelled, FailedPrecondition
from services.features.columns import Floats
from services.features.config import FeatureConfig, SelectionChoice, TsfreshChoice
from services.features.selection.choose import SelectionStep, Verdict
from services.features.selection.correlation import companions
from services.features.selection.fitting import fit
from services.features.selection.importance import gain_shares
from services.features.selection.stability import stability
from services.features.selection.target import Target, TargetKind
from tests.features.selection.matrices import nobody, targets

ROWS = 2000
PLAIN = SelectionChoice(enabled=True, model_importance=False, feature_count_min=0)


def planted(seed: int = 0) -> tuple[list[str], Floats, Target]:
    """Two that know the target, a copy of the better one, one that knew it in the first third only, noise,
    a constant and one that is known nowhere."""
    generator = np.random.default_rng(seed)
    target = Target(TargetKind.BINARY, generator.integers(0, 2, ROWS).astype(float))
    noise = generator.normal(size=(8, ROWS))
    early = noise[3].copy()
    early[: ROWS // 3] += 2 * target.values[: ROWS // 3]
    rows = {
        "weak": noise[0] + 0.3 * target.values,
        "strong": noise[1] + target.values,
        "copy": np.exp(noise[1] + target.values) + 1e-9 * noise[2],
        "early": early,
        **{f"noise_{place}": noise[place] for place in range(4, 8)},
        "still": np.full(ROWS, 7.0),
        "unknown": np.full(ROWS, np.nan),
    }
    return list(rows), np.stack(list(rows.values())), target


def chosen(choice: SelectionChoice, seed: int = 0, rolling: tuple[str, ...] = ()) -> dict[str, Verdict]:
    names, values, target = planted()
    fitted = fit(names, rolling, values, target, FeatureConfig(selection=choice), seed, nobody)
    listed = {verdict.name: verdict for verdict in fitted.verdicts}
    assert len(listed) == len(names)
    kept = tuple(name for name, verdict in listed.items() if verdict.dropped_at is None)
    assert fitted.config.only == kept == tuple(listed)[: len(kept)]
    assert not fitted.config.selection.enabled
    return listed


def test_every_feature_has_the_verdict_of_the_step_it_did_not_pass():
    verdicts = chosen(PLAIN)
    assert {name: each.dropped_at for name, each in verdicts.items()} == {
        "strong": None,
        "early": None,
        "weak": None,
        "copy": SelectionStep.CORRELATION,
        **{f"noise_{place}": SelectionStep.RELEVANCE for place in range(4, 8)},
        "still": SelectionStep.CONSTANT,
        "unknown": SelectionStep.CONSTANT,
    }
    assert verdicts["copy"].correlated_with == "strong"
    assert verdicts["still"].p_value is None
    assert next(iter(verdicts)) == "strong"
    assert all(each.importance is None and each.stability is None for each in verdicts.values())


def test_what_was_relevant_for_a_while_only_is_not_stable():
    verdicts = chosen(
        SelectionChoice(enabled=True, model_importance=False, stability_blocks=3, feature_count_min=1)
    )
    assert verdicts["early"].dropped_at is SelectionStep.STABILITY
    assert verdicts["early"].stability == pytest.approx(1 / 3)
    assert verdicts["strong"].stability == 1.0


def test_the_most_relevant_are_kept_though_they_do_not_pass():
    verdicts = chosen(SelectionChoice(enabled=True, model_importance=False, feature_count_min=5))
    kept = [name for name, each in verdicts.items() if each.dropped_at is None]
    assert len(kept) == 5
    assert kept[:3] == ["strong", "early", "weak"]
    assert "copy" not in kept
    everything = chosen(SelectionChoice(enabled=True, model_importance=False, feature_count_min=1000))
    assert sum(each.dropped_at is None for each in everything.values()) == 7


def test_without_a_least_count_a_choice_of_none_is_refused():
    generator = np.random.default_rng(2)
    values = generator.normal(size=(5, 500))
    target = Target(TargetKind.REAL, generator.normal(size=500))
    with pytest.raises(FailedPrecondition, match=r"None of 5 features is relevant.*fdr_level of 0\.05"):
        fit(list("abcde"), (), values, target, FeatureConfig(selection=PLAIN), 0, nobody)


def test_the_count_keeps_those_that_the_model_uses_most():
    verdicts = chosen(SelectionChoice(enabled=True, feature_count_limit=1))
    assert [name for name, each in verdicts.items() if each.dropped_at is None] == ["strong"]
    assert verdicts["weak"].dropped_at is SelectionStep.COUNT
    shares = [each.importance for each in verdicts.values() if each.importance is not None]
    assert sum(shares) == pytest.approx(1.0)


def test_level_one_skips_the_tests_and_correlation_one_the_pruning():
    verdicts = chosen(
        SelectionChoice(enabled=True, fdr_level=1.0, correlation_max=1.0, model_importance=False)
    )
    assert {name for name, each in verdicts.items() if each.dropped_at is not None} == {"still", "unknown"}


def test_the_tests_of_tsfresh_concern_its_features_alone():
    names, values, target = planted()
    config = FeatureConfig(tsfresh=TsfreshChoice(enabled=True, feature_selection=True, feature_count_limit=1))
    rolling = ("weak", "strong", "noise_4", "still")
    fitted = fit(names, rolling, values, target, config, 0, nobody)
    dropped = {each.name: each.dropped_at for each in fitted.verdicts if each.dropped_at is not None}
    assert dropped == {
        "weak": SelectionStep.COUNT,
        "noise_4": SelectionStep.RELEVANCE,
        "still": SelectionStep.CONSTANT,
        "unknown": SelectionStep.CONSTANT,
    }
    assert not fitted.config.tsfresh.feature_selection


@given(st.integers(0, 10**6), st.floats(0.5, 0.99))
@settings(max_examples=30, deadline=None)
def test_of_those_kept_none_goes_with_another_and_each_gone_goes_with_a_better_one(seed: int, bound: float):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(5, 300))[generator.integers(0, 5, 90)]
    values = values + generator.uniform(0, 2, (90, 1)) * generator.normal(size=values.shape)
    order = [int(at) for at in generator.permutation(90)]
    gone = companions(values, order, bound, nobody)
    correlation = np.abs(stats.spearmanr(values.T).statistic)
    kept = [at for at in order if at not in gone]
    among = correlation[np.ix_(kept, kept)] - np.eye(len(kept))
    assert among.max(initial=0.0) <= bound + 1e-5
    for at, other in gone.items():
        assert other in kept
        assert order.index(other) < order.index(at)
        assert correlation[at, other] > bound - 1e-5


def test_a_block_of_time_without_both_classes_finds_nothing():
    values = np.random.default_rng(0).normal(size=(2, 300))
    target = Target(TargetKind.BINARY, np.repeat([0.0, 1.0], [200, 100]))
    assert stability(values, range(2), target, 3, 0.05, nobody).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("sort", ["binary", "three", "real"])
def test_gain_is_the_same_each_time_and_follows_the_weights(sort: str):
    generator = np.random.default_rng(2)
    target = targets(generator, 1000)[sort]
    values = generator.normal(size=(4, 1000))
    values[0, :500] += 2 * target.values[:500]
    values[1, 500:] += 2 * target.values[500:]
    values[2, ::7] = np.nan
    first = gain_shares(values, range(len(values)), target, 3, nobody)
    np.testing.assert_array_equal(first, gain_shares(values, range(len(values)), target, 3, nobody))
    early = Target(target.kind, target.values, np.repeat([1.0, 0.0], 500))
    late = Target(target.kind, target.values, np.repeat([0.0, 1.0], 500))
    assert gain_shares(values, range(len(values)), early, 3, nobody).argmax() == 0
    assert gain_shares(values, range(len(values)), late, 3, nobody).argmax() == 1


@pytest.mark.parametrize("kind", [TargetKind.BINARY, TargetKind.MULTICLASS])
def test_a_fit_looks_whether_it_is_still_wanted_again_and_again(kind: TargetKind):
    """In less than a second of processor time each, at sizes where the bins of the model's data, or the
    exact tests of many small classes, take several."""
    features, rows, classes = (1_100, 9_000, 2) if kind is TargetKind.BINARY else (400, 900, 100)
    generator = np.random.default_rng(0)
    target = Target(kind, np.resize(np.arange(classes), rows).astype(float))
    values = generator.normal(size=(features, rows))
    choice = SelectionChoice(enabled=True, fdr_level=1.0, correlation_max=1.0)
    stretches: list[float] = []
    before = started = time.thread_time()

    def look() -> None:
        nonlocal before
        now = time.thread_time()
        stretches.append(now - before)
        if now - started > 3.0:
            raise Cancelled("gone")
        before = now

    names = [f"noise_{place}" for place in range(features)]
    with pytest.raises(Cancelled):
        fit(names, (), values, target, FeatureConfig(selection=choice), 0, look)
    assert max(stretches) < 1.0
