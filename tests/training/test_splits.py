"""Splits: no training interval ever touches a held-out one, whatever the intervals are."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import cross_val_score

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Reason
from services.training.splits import (
    NO_EMBARGO,
    Dropped,
    Embargo,
    PurgedKFold,
    early_stopping_slice,
    final_test_split,
    prove,
    purged_k_fold,
    verify_no_overlap,
    violations,
)

SECOND = 1_000_000


@st.composite
def intervals(draw):
    """Random intervals in order of decision: repeated decisions, empty and very long intervals among them."""
    steps = draw(st.lists(st.integers(0, 5), min_size=12, max_size=80))
    lengths = draw(st.lists(st.integers(0, 12), min_size=len(steps), max_size=len(steps)))
    t0 = np.cumsum(steps).astype(np.int64) * SECOND
    return t0, t0 + np.array(lengths, dtype=np.int64) * SECOND


embargoes = st.one_of(
    st.just(NO_EMBARGO),
    st.builds(Embargo, bars=st.integers(1, 6)),
    st.builds(Embargo, seconds=st.integers(1, 12)),
)


def regular(rows: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """One decision a second, each label `length` seconds long."""
    t0 = np.arange(rows, dtype=np.int64) * SECOND
    return t0, t0 + length * SECOND


def touches(t0, t1, train, held_out) -> bool:
    return any(t0[a] <= t1[b] and t0[b] <= t1[a] for a in train for b in held_out)


def unless_too_little(split):
    """What `split` returns, or None where it refuses for too little data: any other refusal is a failure."""
    try:
        return split()
    except FailedPrecondition as refused:
        if refused.reason is not Reason.TOO_LITTLE_DATA:
            raise
        return None


@settings(deadline=None, max_examples=100)
@given(times=intervals(), folds=st.integers(2, 6))
def test_the_purge_drops_exactly_the_rows_whose_label_touches_the_span_of_the_block(times, folds):
    t0, t1 = times
    for fold in unless_too_little(lambda: purged_k_fold(t0, t1, folds)) or []:
        begin, end = min(t0[row] for row in fold.test), max(t1[row] for row in fold.test)
        clear = [
            row
            for row in range(t0.size)
            if row not in fold.test and not (t0[row] <= end and t1[row] >= begin)
        ]
        assert fold.train.tolist() == clear


@settings(deadline=None, max_examples=150)
@given(times=intervals(), folds=st.integers(2, 6), embargo=embargoes)
def test_no_training_label_of_any_fold_overlaps_its_test_block(times, folds, embargo):
    t0, t1 = times
    found = unless_too_little(lambda: purged_k_fold(t0, t1, folds, embargo)) or []
    if found:
        assert np.concatenate([fold.test for fold in found]).tolist() == list(range(t0.size))
    for fold in found:
        assert not touches(t0, t1, fold.train, fold.test)
        assert fold.train.size + fold.test.size + fold.purged_count + fold.embargoed_count == t0.size
        assert np.all(np.diff(fold.train) > 0)
        end = t1[fold.test].max()
        later = fold.train[fold.train > fold.test[-1]]
        assert np.all(t0[later] > end + embargo.seconds * SECOND)
        if later.size and embargo.bars:
            assert np.count_nonzero(t0[: later[0]] > end) >= embargo.bars


@settings(deadline=None, max_examples=150)
@given(times=intervals(), fraction=st.floats(0.05, 0.6), embargo=embargoes)
def test_the_final_test_span_is_last_and_no_training_label_reaches_it(times, fraction, embargo):
    t0, t1 = times
    found = unless_too_little(lambda: final_test_split(t0, t1, fraction, embargo))
    if found is None:
        return
    train, test, dropped = found
    assert test.tolist() == list(range(t0.size - test.size, t0.size))
    assert test.size == max(1, round(t0.size * fraction))
    assert not touches(t0, t1, train, test)
    assert t1[train].max() < t0[test].min() - embargo.seconds * SECOND
    assert train.size + test.size + dropped.purged_count + dropped.embargoed_count == t0.size
    assert dropped.embargoed_count >= embargo.bars or not embargo.bars


@settings(deadline=None, max_examples=100)
@given(times=intervals(), folds=st.integers(2, 4), fraction=st.floats(0.05, 0.5), embargo=embargoes)
def test_an_early_stopping_slice_takes_only_training_rows_and_touches_none_it_leaves(
    times, folds, fraction, embargo
):
    t0, t1 = times
    for fold in unless_too_little(lambda: purged_k_fold(t0, t1, folds, embargo)) or []:
        found = unless_too_little(lambda: early_stopping_slice(fold.train, t0, t1, fraction, embargo))  # noqa: B023
        if found is None:
            continue
        fit, validation, dropped = found
        assert set(fit) | set(validation) <= set(fold.train)
        assert validation.tolist() == fold.train[-validation.size :].tolist()
        assert not touches(t0, t1, fit, validation)
        assert not touches(t0, t1, validation, fold.test)
        assert fit.size + validation.size + dropped.purged_count + dropped.embargoed_count == fold.train.size


@settings(deadline=None, max_examples=400)
@given(times=intervals(), seed=st.integers(0, 1_000), few=st.integers(1, 5))
def test_the_proof_agrees_with_every_pair_of_intervals(times, seed, few):
    t0, t1 = times
    order = np.random.default_rng(seed).permutation(t0.size)
    train, held_out = (
        np.sort(order[:few]),
        np.sort(order[few : 2 * few]),
    )  # few: any overlap may be the only one
    if touches(t0, t1, train, held_out):
        with pytest.raises(FailedPrecondition) as refused:
            verify_no_overlap(t0, t1, train, held_out)
        assert refused.value.reason is Reason.LEAK_DETECTED
    else:
        gap = min(max(t0[b] - t1[a], t0[a] - t1[b]) for a in train for b in held_out)
        assert verify_no_overlap(t0, t1, train, held_out) == gap


def test_the_proof_sees_a_long_held_out_label_behind_a_short_one_that_began_later():
    t0, t1 = np.array([0, 10, 50], dtype=np.int64), np.array([100, 11, 51], dtype=np.int64)
    with pytest.raises(FailedPrecondition, match="1 of 1 training rows overlap"):
        verify_no_overlap(t0, t1, np.array([2]), np.array([0, 1]))
    assert verify_no_overlap(t0, t1, np.array([2]), np.array([1])) == 39


def test_the_purge_is_the_label_length_on_both_sides_and_the_embargo_follows():
    t0, t1 = regular(100, length=4)
    fold = purged_k_fold(t0, t1, 5, Embargo(bars=3))[2]
    assert fold.test.tolist() == list(range(40, 60))
    # 36 ends as 40 decides; 60 to 63 decide while 59 is open; then three bars of embargo.
    assert fold.train.tolist() == [*range(36), *range(67, 100)]
    assert (fold.purged_count, fold.embargoed_count) == (8, 3)


def test_a_seconds_embargo_is_time_not_rows():
    t0, t1 = regular(100, length=4)
    fold = purged_k_fold(t0 * 10, t1 * 10, 5, Embargo(seconds=25))[2]
    assert fold.train[fold.train > 60].min() == 66  # the block's outcomes end at 630 s; 650 s is within 25 s
    assert fold.embargoed_count == 2


def test_folds_may_be_taken_of_the_training_side_of_an_outer_split_alone():
    t0, t1 = regular(100, length=4)
    train, test, _ = final_test_split(t0, t1, 0.2)
    for fold in purged_k_fold(t0, t1, 4, rows=train):
        assert set(fold.train) | set(fold.test) <= set(train)
        assert not touches(t0, t1, fold.train, test)


def test_one_long_label_purges_by_its_real_end_not_by_its_neighbours():
    t0, t1 = regular(50, length=1)
    t1[5] = t0[45]
    folds = purged_k_fold(t0, t1, 5)
    assert all(5 not in fold.train for fold in folds)
    # The block that holds it is open until row 45 decides; a decision at that very moment touches it.
    assert folds[0].train.tolist() == [46, 47, 48, 49]


def test_a_proof_is_plain_data_with_the_gap_and_the_counts():
    t0, t1 = regular(100, length=4)
    train, test, dropped = final_test_split(t0, t1, 0.2, Embargo(bars=2))
    assert asdict(prove("final_test", t0, t1, train, test, dropped)) == {
        "consumer": "final_test",
        "train_rows": 74,
        "held_out_rows": 20,
        "purged_count": 4,
        "embargoed_count": 2,
        "train_first_time": 0,
        "train_last_time": 77 * SECOND,
        "held_out_first_time": 80 * SECOND,
        "held_out_last_time": 103 * SECOND,
        "gap_microseconds": 3 * SECOND,
    }


def test_a_shuffled_split_of_overlapping_labels_has_no_proof():
    t0, t1 = regular(200, length=10)
    order = np.random.default_rng(0).permutation(200)
    with pytest.raises(FailedPrecondition) as refused:
        prove("shuffled", t0, t1, np.sort(order[:160]), np.sort(order[160:]), Dropped(0, 0))
    assert refused.value.reason is Reason.LEAK_DETECTED


def test_scikit_learn_takes_the_splitter_as_its_cv():
    t0, t1 = regular(100, length=4)
    features, classes = np.zeros((100, 1)), np.arange(100) % 2
    splitter = PurgedKFold(t0, t1, 5, Embargo(bars=3))
    assert cross_val_score(DummyClassifier(), features, classes, cv=splitter).shape == (5,)
    for (train, test), fold in zip(
        splitter.split(features), purged_k_fold(t0, t1, 5, Embargo(bars=3)), strict=True
    ):
        assert train.tolist() == fold.train.tolist()
        assert test.tolist() == fold.test.tolist()
    with pytest.raises(ValueError, match="99 rows"):
        next(splitter.split(features[:99]))


def test_unordered_times_and_outcomes_before_decisions_are_refused():
    t0, t1 = regular(20, length=2)
    with pytest.raises(InvalidArgument, match="t0"):
        purged_k_fold(t0[::-1], t1[::-1], 2)
    with pytest.raises(InvalidArgument, match="t1"):
        final_test_split(t0, t0 - 1, 0.2)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_outside_its_range_is_refused(fraction):
    t0, t1 = regular(20, length=2)
    with pytest.raises(InvalidArgument, match="fraction"):
        final_test_split(t0, t1, fraction)


@pytest.mark.parametrize("folds", [0, 1, 101])
def test_a_number_of_folds_outside_its_range_is_refused(folds):
    t0, t1 = regular(20, length=2)
    with pytest.raises(InvalidArgument, match=r"split\.folds"):
        purged_k_fold(t0, t1, folds)


def test_labels_longer_than_the_data_leave_no_training_row_and_say_so():
    t0, t1 = regular(20, length=50)
    for split in (lambda: purged_k_fold(t0, t1, 2), lambda: final_test_split(t0, t1, 0.2)):
        with pytest.raises(FailedPrecondition) as refused:
            split()
        assert refused.value.reason is Reason.TOO_LITTLE_DATA


def test_an_embargo_is_given_in_bars_or_in_seconds():
    assert violations(Embargo(bars=3)) == []
    assert [each.field for each in violations(Embargo(bars=-1))] == ["split.embargo.bars"]
    assert [each.rule for each in violations(Embargo(bars=1, seconds=1))] == ["one_of"]
