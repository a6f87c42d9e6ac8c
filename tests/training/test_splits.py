"""Splits: no training interval ever touches a held-out one, whatever the intervals are."""

from __future__ import annotations

from dataclasses import asdict
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Reason
from services.training.splits import (
    NO_EMBARGO,
    CombinatorialPurged,
    Dropped,
    Embargo,
    KFold,
    PurgedSplitter,
    WalkForward,
    backtest_paths,
    final_test_split,
    newest_slice,
    prove,
    split_folds,
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


def nearest_moment(t0, position) -> int:
    """The first row of a moment that is nearest to a position, the earlier one of two."""
    firsts = [row for row in range(t0.size) if not row or t0[row] > t0[row - 1]] + [t0.size]
    return min(firsts, key=lambda first: (abs(first - position), first))


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
    for fold in unless_too_little(lambda: split_folds(t0, t1, KFold(folds))) or []:
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
    found = unless_too_little(lambda: split_folds(t0, t1, KFold(folds), embargo)) or []
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
    assert test[0] == nearest_moment(t0, t0.size - max(1, round(t0.size * fraction)))
    assert not touches(t0, t1, train, test)
    assert t1[train].max() < t0[test].min() - embargo.seconds * SECOND
    assert train.size + test.size + dropped.purged_count + dropped.embargoed_count == t0.size
    assert dropped.embargoed_count >= embargo.bars or not embargo.bars


@settings(deadline=None, max_examples=100)
@given(times=intervals(), folds=st.integers(2, 4), fraction=st.floats(0.05, 0.5), embargo=embargoes)
def test_an_newest_slice_takes_only_training_rows_and_touches_none_it_leaves(times, folds, fraction, embargo):
    t0, t1 = times
    for fold in unless_too_little(lambda: split_folds(t0, t1, KFold(folds), embargo)) or []:
        found = unless_too_little(lambda: newest_slice(fold.train, t0, t1, fraction, embargo))  # noqa: B023
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
    fold = split_folds(t0, t1, KFold(5), Embargo(bars=3))[2]
    assert fold.test.tolist() == list(range(40, 60))
    # 36 ends as 40 decides; 60 to 63 decide while 59 is open; then three bars of embargo.
    assert fold.train.tolist() == [*range(36), *range(67, 100)]
    assert (fold.purged_count, fold.embargoed_count) == (8, 3)


def test_a_seconds_embargo_is_time_not_rows():
    t0, t1 = regular(100, length=4)
    fold = split_folds(t0 * 10, t1 * 10, KFold(5), Embargo(seconds=25))[2]
    assert fold.train[fold.train > 60].min() == 66  # the block's outcomes end at 630 s; 650 s is within 25 s
    assert fold.embargoed_count == 2


def test_folds_may_be_taken_of_the_training_side_of_an_outer_split_alone():
    t0, t1 = regular(100, length=4)
    train, test, _ = final_test_split(t0, t1, 0.2)
    for fold in split_folds(t0, t1, KFold(4), rows=train):
        assert set(fold.train) | set(fold.test) <= set(train)
        assert not touches(t0, t1, fold.train, test)


def test_one_long_label_purges_by_its_real_end_not_by_its_neighbours():
    t0, t1 = regular(50, length=1)
    t1[5] = t0[45]
    folds = split_folds(t0, t1, KFold(5))
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


METHODS = [
    KFold(5),
    WalkForward(3),
    WalkForward(4, test_row_count=10, train_row_count=15),
    CombinatorialPurged(6, 2),
    CombinatorialPurged(5, 3),
]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_scikit_learn_takes_the_splitter_as_its_cv(method):
    t0, t1 = regular(100, length=4)
    features, classes = np.zeros((100, 1)), np.arange(100) % 2
    splitter = PurgedSplitter(t0, t1, method, Embargo(bars=3))
    count = splitter.get_n_splits(features, classes)
    assert cross_val_score(DummyClassifier(), features, classes, cv=splitter).shape == (count,)
    search = GridSearchCV(DummyClassifier(), {"strategy": ["prior", "uniform"]}, cv=splitter)
    assert search.fit(features, classes).n_splits_ == count
    folds = split_folds(t0, t1, method, Embargo(bars=3))
    for (train, test), fold in zip(splitter.split(features, classes, None), folds, strict=True):
        assert train.tolist() == fold.train.tolist()
        assert test.tolist() == fold.test.tolist()
    with pytest.raises(ValueError, match="99 rows"):
        next(splitter.split(features[:99]))


methods = st.one_of(
    st.builds(KFold, st.integers(2, 6)),
    st.builds(
        WalkForward,
        st.integers(1, 5),
        st.none() | st.integers(1, 8),
        st.none() | st.integers(1, 20),
    ),
    st.integers(3, 7).flatmap(
        lambda groups: st.builds(CombinatorialPurged, st.just(groups), st.integers(1, min(5, groups - 1)))
    ),
)


@st.composite
def two_symbols(draw):
    """Rows of two symbols in order of decision, most of which decide at the moments of the other's."""
    bars = draw(st.integers(12, 40))
    names, t0, t1 = [], [], []
    for symbol in range(2):
        for bar in range(bars):
            if draw(st.integers(0, 9)):  # now and then one lacks a bar
                names.append(symbol)
                t0.append(bar * SECOND)
                t1.append((bar + draw(st.integers(0, 8))) * SECOND)
    order = np.argsort(np.array(t0), kind="stable")
    return tuple(np.array(values, dtype=np.int64)[order] for values in (names, t0, t1))


def require_apart(t0, t1, method, embargo, fold):
    """No training interval overlaps a held-out one; none follows a run of blocks, or precedes the block of a
    walk, by less than the embargo."""
    assert not touches(t0, t1, fold.train, fold.test)
    assert not set(fold.train) & set(fold.test)
    wait = embargo.seconds * SECOND
    if isinstance(method, WalkForward):
        begin = t0[fold.test].min()
        assert t1[fold.train].max() < begin - wait
        between = np.unique(t0[(t1 < begin) & (t0 > t0[fold.train].max())])
        assert between.size >= embargo.bars
        return
    for run in np.split(fold.test, np.flatnonzero(np.diff(fold.test) > 1) + 1):
        begin, end = t0[run].min(), t1[run].max()
        assert not np.any((t0[fold.train] <= end) & (t1[fold.train] >= begin))
        later = fold.train[t0[fold.train] > end]
        assert np.all(t0[later] > end + wait)
        if later.size:
            between = np.unique(t0[(t0 > end) & (t0 < t0[later].min())])
            assert between.size >= embargo.bars


@settings(deadline=None, max_examples=200)
@given(times=intervals(), method=methods, embargo=embargoes)
def test_no_training_label_of_any_method_overlaps_what_is_held_out_or_its_embargo(times, method, embargo):
    t0, t1 = times
    for fold in unless_too_little(lambda: split_folds(t0, t1, method, embargo)) or []:
        require_apart(t0, t1, method, embargo, fold)
        assert verify_no_overlap(t0, t1, fold.train, fold.test) > 0
        assert np.all(np.diff(fold.train) > 0)
        assert np.all(np.diff(fold.test) > 0)


@settings(deadline=None, max_examples=150)
@given(case=two_symbols(), method=methods, embargo=embargoes)
def test_rows_of_two_symbols_are_kept_apart_by_their_times_and_an_embargo_counts_bars_not_rows(
    case, method, embargo
):
    _, t0, t1 = case
    for fold in unless_too_little(lambda: split_folds(t0, t1, method, embargo)) or []:
        require_apart(t0, t1, method, embargo, fold)


@st.composite
def several_symbols(draw):
    """Rows of two to four symbols in order of decision and symbol: gaps, uneven labels, late beginnings."""
    rows = []
    for symbol in range(draw(st.integers(2, 4))):
        first, lengths = draw(st.integers(0, 8)), draw(st.lists(st.integers(-1, 7), min_size=10, max_size=25))
        rows += [
            (bar * SECOND, symbol, (bar + length) * SECOND)
            for bar, length in enumerate(lengths, start=first)
            if length >= 0
        ]
    assume(rows)
    t0, _, t1 = np.array(sorted(rows), dtype=np.int64).T
    return t0, t1


def wholly(t0, rows) -> bool:
    """Whether rows hold every moment of theirs with all its rows, whatever the symbol."""
    return not set(t0[rows].tolist()) & set(np.delete(t0, rows).tolist())


def kept_by_force(t0, t1, method, embargo, test):
    """The rows that may train, row by row and moment by moment, by the words of the split alone."""
    moments = sorted(set(t0.tolist()))
    is_walk = isinstance(method, WalkForward)
    runs = [test] if is_walk else np.split(test, np.flatnonzero(np.diff(test) > 1) + 1)
    kept = []
    for row in set(range(t0.size)) - set(test.tolist()):
        is_clear = True
        for run in runs:
            begin, end = min(t0[run]), max(t1[run])
            if t1[row] < begin:
                wait = begin - t1[row] if is_walk else np.inf
                left = {t0[other] for other in range(t0.size) if t1[other] < begin}
                between = [moment for moment in left if moment > t0[row]]
            elif t0[row] > end:
                wait = t0[row] - end if not is_walk else 0
                between = [moment for moment in moments if end < moment < t0[row]]
            else:
                wait, between = 0, []
            if is_walk or t0[row] > end:
                is_clear &= wait > embargo.seconds * SECOND and len(between) >= embargo.bars
            else:
                is_clear &= wait > 0
        if is_clear and not (is_walk and t0[row] > min(t0[test])):
            kept.append(row)
    return sorted(kept)


@settings(deadline=None, max_examples=80)
@given(case=several_symbols(), method=methods, embargo=embargoes)
def test_of_several_symbols_moments_are_held_out_whole_and_what_trains_is_what_force_finds(
    case, method, embargo
):
    t0, t1 = case
    folds = unless_too_little(lambda: split_folds(t0, t1, method, embargo)) or []
    for fold in folds:
        assert wholly(t0, fold.test)
        expected = kept_by_force(t0, t1, method, embargo, fold.test)
        rolled = method.train_row_count if isinstance(method, WalkForward) else None
        assert fold.train.tolist() == (expected if rolled is None else expected[-rolled:])
        assert prove("fold", t0, t1, fold.train, fold.test, Dropped(0, 0)).gap_microseconds > 0
    for path in backtest_paths(np.arange(t0.size), t0, method) if folds else []:
        for number, rows in path.parts:
            assert set(rows.tolist()) <= set(folds[number - 1].test.tolist())


@settings(deadline=None, max_examples=80)
@given(case=several_symbols(), fraction=st.floats(0.05, 0.5), embargo=embargoes)
def test_of_several_symbols_a_tail_is_of_whole_moments_and_no_label_of_any_reaches_it(
    case, fraction, embargo
):
    t0, t1 = case
    found = unless_too_little(lambda: final_test_split(t0, t1, fraction, embargo))
    if found is None:
        return
    train, test, _ = found
    assert wholly(t0, test)
    assert test[0] == nearest_moment(t0, t0.size - max(1, round(t0.size * fraction)))
    assert train.tolist() == kept_by_force(t0, t1, WalkForward(1), embargo, test)
    inner = unless_too_little(lambda: newest_slice(train, t0, t1, fraction, embargo))
    if inner is not None:
        fit, held_out, _ = inner
        assert not set(t0[fit].tolist()) & set(t0[held_out].tolist())
        assert not touches(t0, t1, fit, np.concatenate((held_out, test)))


def test_one_moment_of_many_symbols_is_too_little_data():
    t0 = np.zeros(50, dtype=np.int64)
    for split in (lambda: split_folds(t0, t0, KFold(2)), lambda: final_test_split(t0, t0, 0.2)):
        with pytest.raises(FailedPrecondition, match="50 rows of 1 moments do not fill 2 parts"):
            split()


def test_a_bar_of_an_embargo_is_a_bar_of_every_symbol():
    t0, t1 = (np.repeat(times, 2) for times in regular(50, length=4))
    fold = split_folds(t0, t1, KFold(5), Embargo(bars=3))[2]
    assert fold.test.tolist() == list(range(40, 60))
    assert t0[fold.train[fold.train > 59][0]] == (29 + 4 + 1 + 3) * SECOND
    assert fold.embargoed_count == 6


@settings(deadline=None, max_examples=150)
@given(times=intervals(), method=methods.filter(lambda each: not isinstance(each, WalkForward)))
def test_of_folds_that_train_on_both_sides_the_purge_drops_no_row_that_touches_no_run(times, method):
    t0, t1 = times
    for fold in unless_too_little(lambda: split_folds(t0, t1, method)) or []:
        runs = np.split(fold.test, np.flatnonzero(np.diff(fold.test) > 1) + 1)
        clear = [
            row
            for row in np.setdiff1d(np.arange(t0.size), fold.test)
            if all(t0[row] > t1[run].max() or t1[row] < t0[run].min() for run in runs)
        ]
        assert fold.train.tolist() == clear
        assert fold.train.size + fold.test.size + fold.purged_count == t0.size


@settings(deadline=None, max_examples=150)
@given(
    times=intervals(),
    folds=st.integers(1, 5),
    test_rows=st.none() | st.integers(1, 8),
    train_rows=st.integers(1, 20),
    embargo=embargoes,
)
def test_walking_forward_trains_on_the_past_alone_and_a_rolling_window_is_bounded(
    times, folds, test_rows, train_rows, embargo
):
    t0, t1 = times
    found = unless_too_little(lambda: split_folds(t0, t1, WalkForward(folds, test_rows), embargo))
    if found is None:
        return
    rolled = split_folds(t0, t1, WalkForward(folds, test_rows, train_rows), embargo)
    size = t0.size // (folds + 1) if test_rows is None else test_rows
    held_out = np.concatenate([fold.test for fold in found])
    assert held_out.tolist() == list(range(held_out[0], t0.size))
    for number, (expanding, rolling) in enumerate(zip(found, rolled, strict=True)):
        assert t1[expanding.train].max() < t0[expanding.test].min()
        assert expanding.test[0] == nearest_moment(t0, t0.size - size * (folds - number))
        assert rolling.test.tolist() == expanding.test.tolist()
        assert rolling.train.tolist() == expanding.train[-train_rows:].tolist()
        before = expanding.train.size + expanding.purged_count + expanding.embargoed_count
        assert before == expanding.test[0], "nothing of the past is left out without being counted"


@settings(deadline=None, max_examples=60)
@given(rows=st.integers(20, 60), groups=st.integers(3, 9), test_groups=st.integers(1, 5))
def test_combinatorial_folds_hold_each_group_out_equally_often_and_each_path_has_each_row_once(
    rows, groups, test_groups
):
    method = CombinatorialPurged(groups, test_groups)
    if violations(NO_EMBARGO, method):
        assert test_groups >= groups or comb(groups, test_groups) > 100
        return
    t0, t1 = regular(rows, length=0)
    folds = split_folds(t0, t1, method)
    assert len(folds) == method.fold_count == comb(groups, test_groups)
    held_out = np.bincount(np.concatenate([fold.test for fold in folds]), minlength=rows)
    assert set(held_out) == {comb(groups - 1, test_groups - 1)}
    paths = backtest_paths(np.arange(rows), t0, method)
    assert len(paths) == method.path_count == test_groups * comb(groups, test_groups) // groups
    used = set()
    for path in paths:
        assert path.rows.tolist() == list(range(rows))
        assert len(path.parts) == groups
        for number, part in path.parts:
            assert set(part) <= set(folds[number - 1].test)
            assert (number, part[0]) not in used, "a prediction is of one path"
            used.add((number, part[0]))
    assert len(used) == test_groups * len(folds)


@pytest.mark.parametrize("method", [KFold(4), WalkForward(3), WalkForward(2, 5)], ids=str)
def test_other_methods_make_one_path_of_all_rows_they_hold_out(method):
    t0, t1 = regular(40, length=2)
    folds = split_folds(t0, t1, method)
    (path,) = backtest_paths(np.arange(40), t0, method)
    assert [number for number, _ in path.parts] == list(range(1, method.fold_count + 1))
    assert path.rows.tolist() == np.concatenate([fold.test for fold in folds]).tolist()


def test_between_disjoint_blocks_rows_are_purged_by_both_and_neighbours_are_one_span():
    t0, t1 = regular(60, length=2)
    folds = split_folds(t0, t1, CombinatorialPurged(6, 2), Embargo(bars=3))
    apart = folds[1]  # groups 1 and 3: rows 0 to 9 and 20 to 29
    assert apart.test.tolist() == [*range(10), *range(20, 30)]
    assert apart.train.tolist() == [*range(15, 18), *range(35, 60)]
    assert (apart.purged_count, apart.embargoed_count) == (2 + 2 + 2, 3 + 3)
    together = folds[0]  # groups 1 and 2
    assert together.train.tolist() == list(range(25, 60))
    assert (together.purged_count, together.embargoed_count) == (2, 3)


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        (KFold(1), ["split.folds"]),
        (WalkForward(0, 0, 0), ["folds", "test_row_count", "train_row_count"]),
        (WalkForward(101), ["folds"]),
        (CombinatorialPurged(2, 0), ["groups", "test_groups"]),
        (CombinatorialPurged(15, 6), ["groups", "test_groups"]),
        (CombinatorialPurged(4, 4), ["test_groups"]),
        (CombinatorialPurged(9, 4), ["test_groups"]),
    ],
    ids=str,
)
def test_a_method_that_cannot_be_is_refused_field_by_field(method, fields):
    found = violations(NO_EMBARGO, method)
    assert [each.field.rpartition(".")[2] for each in found] == [each.rpartition(".")[2] for each in fields]
    assert all(each.field.startswith("split.") for each in found)
    t0, t1 = regular(200, length=1)
    with pytest.raises(InvalidArgument):
        split_folds(t0, t1, method)


@pytest.mark.parametrize(
    "method", [WalkForward(5, 8), WalkForward(50), CombinatorialPurged(14, 2), KFold(41)], ids=str
)
def test_fewer_rows_than_blocks_are_too_little_data(method):
    t0, t1 = regular(13 if isinstance(method, CombinatorialPurged) else 40, length=1)
    with pytest.raises(FailedPrecondition) as refused:
        split_folds(t0, t1, method)
    assert refused.value.reason is Reason.TOO_LITTLE_DATA


def test_unordered_times_and_outcomes_before_decisions_are_refused():
    t0, t1 = regular(20, length=2)
    with pytest.raises(InvalidArgument, match="t0"):
        split_folds(t0[::-1], t1[::-1], KFold(2))
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
        split_folds(t0, t1, KFold(folds))


def test_labels_longer_than_the_data_leave_no_training_row_and_say_so():
    t0, t1 = regular(20, length=50)
    for split in (lambda: split_folds(t0, t1, KFold(2)), lambda: final_test_split(t0, t1, 0.2)):
        with pytest.raises(FailedPrecondition) as refused:
            split()
        assert refused.value.reason is Reason.TOO_LITTLE_DATA


def test_an_embargo_is_given_in_bars_or_in_seconds():
    assert violations(Embargo(bars=3)) == []
    assert [each.field for each in violations(Embargo(bars=-1))] == ["split.embargo.bars"]
    assert [each.rule for each in violations(Embargo(bars=1, seconds=1))] == ["one_of"]
