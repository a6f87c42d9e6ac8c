"""Joining rows: against a dictionary that remembers every revision, whatever the order and the split."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.data.blocks import BLOCK_ROWS, decode, encode
from services.data.revisions import (
    ConflictError,
    Counts,
    OnConflict,
    Rows,
    Stored,
    empty_rows,
    known_at,
    marks,
    merge,
    revised_count,
)
from services.data.series import OPEN_INTEREST, Series

SERIES = Series(OPEN_INTEREST, "binance", "BTC/USDT:USDT")
NOTHING = Stored(empty_rows(1), empty_rows(1))


MARK = "marked as missing"  # in a dictionary of values; NaN does not equal itself
Value = float | str


def rows(values: Mapping[int, Value], captured: int) -> Rows:
    times = np.array(sorted(values), np.int64)
    column = np.array(
        [np.nan if values[time] == MARK else values[time] for time in sorted(values)], np.float64
    )
    return Rows(times, (column,), np.full(len(times), captured, np.int64))


def revisions(stored: Stored) -> dict[int, list[tuple[int, Value]]]:
    found: dict[int, list[tuple[int, Value]]] = {}
    for part in (stored.history, stored.current):
        for time, captured, value in zip(part.times, part.captured, part.columns[0], strict=True):
            found.setdefault(int(time), []).append((int(captured), MARK if np.isnan(value) else float(value)))
    return {time: sorted(each, key=lambda revision: revision[0]) for time, each in found.items()}


class Memory:
    """Brute force: every revision of every time, in order of capture, without repeats."""

    def __init__(self) -> None:
        self.all: dict[int, list[tuple[int, Value]]] = {}

    def add(self, values: Mapping[int, Value], captured: int) -> None:
        for time, value in values.items():
            told = dict(self.all.get(time, []))
            told[captured] = value
            kept: list[tuple[int, Value]] = []
            for moment in sorted(told):
                if not kept or kept[-1][1] != told[moment]:
                    kept.append((moment, told[moment]))
            self.all[time] = kept

    def known_at(self, as_of: int) -> dict[int, Value]:
        known: dict[int, Value] = {}
        for time, each in self.all.items():
            for moment, value in each:
                if moment <= as_of:
                    known[time] = value
        return {time: value for time, value in known.items() if value != MARK}


calls = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 12), st.sampled_from([1.0, 2.0, MARK]), min_size=1, max_size=6),
        st.integers(0, 8),
    ),
    min_size=1,
    max_size=8,
)


@given(calls, st.integers(-1, 9))
def test_any_calls_leave_what_a_dictionary_of_revisions_would(told, as_of):
    stored, memory = NOTHING, Memory()
    for values, captured in told:
        stored, counts = merge(stored, rows(values, captured), OnConflict.REVISE)
        memory.add(values, captured)
        assert counts.inserted + counts.revised + counts.unchanged == len(values)
    assert revisions(stored) == memory.all
    assert revised_count(stored) == sum(len(each) > 1 for each in memory.all.values())
    known = known_at(stored, as_of)
    assert dict(zip(known.times.tolist(), known.columns[0].tolist(), strict=True)) == memory.known_at(as_of)
    assert (np.diff(known.times) > 0).all()


@given(calls, st.randoms(use_true_random=False))
def test_the_order_in_which_calls_arrive_does_not_matter(told, random):
    # Values that no other call says, so that none is a repeat; a time is marked once.
    calls_in_order, marked = [], set()
    for captured, (values, _) in enumerate(told):
        different = {time: value + 10 * captured for time, value in values.items() if value != MARK}
        fresh = {time for time, value in values.items() if value == MARK} - marked
        marked |= fresh
        if said := different | dict.fromkeys(fresh, MARK):
            calls_in_order.append((captured, said))
    calls_shuffled = calls_in_order.copy()
    random.shuffle(calls_shuffled)
    in_order, shuffled = NOTHING, NOTHING
    for captured, values in calls_in_order:
        in_order, _ = merge(in_order, rows(values, captured), OnConflict.REVISE)
    for captured, values in calls_shuffled:
        shuffled, _ = merge(shuffled, rows(values, captured), OnConflict.REVISE)
    assert revisions(shuffled) == revisions(in_order)


@given(calls)
def test_a_repeated_call_changes_nothing(told):
    stored = NOTHING
    for values, captured in told:
        stored, _ = merge(stored, rows(values, captured), OnConflict.REVISE)
        again, counts = merge(stored, rows(values, captured), OnConflict.REVISE)
        assert again is stored
        assert counts == Counts(unchanged=len(values))


def test_keep_leaves_stored_values_and_adds_new_ones():
    stored, _ = merge(NOTHING, rows({1: 1.0, 2: 2.0}, 5), OnConflict.REVISE)
    stored, counts = merge(stored, rows({2: 9.0, 3: 3.0}, 6), OnConflict.KEEP)
    assert counts == Counts(inserted=1, unchanged=1)
    assert revisions(stored) == {1: [(5, 1.0)], 2: [(5, 2.0)], 3: [(6, 3.0)]}


def test_refuse_names_the_first_row_that_differs_and_takes_equal_ones():
    stored, _ = merge(NOTHING, rows({1: 1.0, 2: 2.0}, 5), OnConflict.REVISE)
    again, counts = merge(stored, rows({1: 1.0, 3: 3.0}, 6), OnConflict.REFUSE)
    assert counts == Counts(inserted=1, unchanged=1)
    with pytest.raises(ConflictError) as conflict:
        merge(again, rows({2: 7.0, 3: 8.0}, 7), OnConflict.REFUSE)
    assert conflict.value.time_us == 2


@given(calls, st.dictionaries(st.integers(0, 12), st.sampled_from([1.0, 2.0, 3.0]), min_size=1))
def test_a_mark_has_no_values_to_keep_or_to_differ_from(told, values):
    stored = NOTHING
    for captured, (said, _) in enumerate(told):
        stored, _ = merge(stored, rows(said, captured), OnConflict.REVISE)
    known = known_at(stored, 99)
    before = dict(zip(known.times.tolist(), known.columns[0].tolist(), strict=True))
    kept, counts = merge(stored, rows(values, 100), OnConflict.KEEP)
    known = known_at(kept, 100)
    assert dict(zip(known.times.tolist(), known.columns[0].tolist(), strict=True)) == values | before
    assert counts.unchanged == len(before.keys() & values.keys())

    differing = [time for time in sorted(values) if before.get(time, values[time]) != values[time]]
    if differing:
        with pytest.raises(ConflictError) as conflict:
            merge(stored, rows(values, 100), OnConflict.REFUSE)
        assert conflict.value.time_us == differing[0]
    else:
        known = known_at(merge(stored, rows(values, 100), OnConflict.REFUSE)[0], 100)
        assert dict(zip(known.times.tolist(), known.columns[0].tolist(), strict=True)) == values | before


def test_a_mark_is_no_bar_that_could_still_form():
    stored, _ = merge(NOTHING, marks(np.array([0, 10]), 1, 5), OnConflict.REVISE, step_us=10)
    again, counts = merge(stored, marks(np.array([0, 10]), 1, 50), OnConflict.REVISE, step_us=10)
    assert again is stored
    assert counts == Counts(unchanged=2)


def test_a_bar_captured_before_its_close_and_after_it_are_two_revisions():
    stored, _ = merge(NOTHING, rows({0: 1.0}, 5), OnConflict.REVISE, step_us=10)
    stored, counts = merge(stored, rows({0: 1.0}, 12), OnConflict.REVISE, step_us=10)
    assert counts == Counts(revised=1)
    stored, counts = merge(stored, rows({0: 1.0}, 15), OnConflict.REVISE, step_us=10)
    assert counts == Counts(unchanged=1)
    assert revisions(stored) == {0: [(5, 1.0), (12, 1.0)]}


def test_absent_values_equal_each_other():
    stored, _ = merge(NOTHING, rows({1: np.nan}, 5), OnConflict.REVISE)
    _, counts = merge(stored, rows({1: np.nan}, 6), OnConflict.REVISE)
    assert counts == Counts(unchanged=1)


@given(
    st.integers(1, 3 * BLOCK_ROWS),
    st.booleans(),
    st.lists(st.integers(0, 3 * BLOCK_ROWS), max_size=5),
    st.booleans(),
    st.booleans(),
)
def test_blocks_hold_the_rows_they_were_made_of(count, is_append, revised, is_uniform, are_marked):
    times = np.arange(count, dtype=np.int64) * 7
    captured = np.full(count, 9, np.int64) if is_uniform else np.arange(count, dtype=np.int64) % 5
    columns = (times.astype(float), np.full(count, np.nan))
    stored = Stored(Rows(times, columns, captured), empty_rows(2))
    changed = sorted({7 * (row % count) for row in revised})
    if changed:
        new = Rows(
            np.array(changed, np.int64),
            (np.full(len(changed), -1.0), np.zeros(len(changed))),
            np.full(len(changed), 99, np.int64),
        )
        if are_marked:
            new = marks(new.times, 2, 99)
        stored, _ = merge(stored, new, OnConflict.REVISE)
    blocks = list(encode(SERIES, stored, is_append=is_append))
    assert all(0 < block.head.row_count <= BLOCK_ROWS for block in blocks)
    assert sum(block.head.revised_count for block in blocks) == len(changed)
    assert sum(block.head.missing_count for block in blocks) == (len(changed) if are_marked else 0)
    back = [decode(OPEN_INTEREST, block) for block in blocks]
    for name in ("current", "history"):
        whole = getattr(stored, name)
        parts = [getattr(part, name) for part in back]
        assert np.concatenate([part.times for part in parts]).tolist() == whole.times.tolist()
        assert np.concatenate([part.captured for part in parts]).tolist() == whole.captured.tolist()
        for position in range(2):
            joined = np.concatenate([part.columns[position] for part in parts])
            assert joined.tobytes() == whole.columns[position].tobytes()
