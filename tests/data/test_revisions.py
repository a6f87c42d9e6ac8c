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
    """Brute force: every revision of every time, in order of capture; stamped ones without repeats."""

    def __init__(self, step: int = 0) -> None:
        self.step = step
        self.all: dict[int, list[tuple[int, Value]]] = {}

    def add(self, values: Mapping[int, Value], captured: int, is_stamped: bool) -> Counts:
        counts = Counts()
        for time, value in values.items():
            told = dict(self.all.get(time, []))
            if not told:
                counts += Counts(inserted=1)
            else:
                beside = max((moment for moment in told if moment <= captured), default=min(told))
                if self.says(time, beside, told[beside]) != self.says(time, captured, value):
                    counts += Counts(revised=1)
                else:
                    counts += Counts(unchanged=1)
                    if is_stamped:
                        continue
            self.all[time] = sorted((told | {captured: value}).items())
        return counts

    def says(self, time: int, captured: int, value: Value) -> tuple[Value, bool]:
        return value, bool(self.step) and value != MARK and captured < time + self.step

    def known_at(self, as_of: int) -> dict[int, Value]:
        known: dict[int, Value] = {}
        for time, each in self.all.items():
            for moment, value in each:
                if moment <= as_of:
                    known[time] = value
        return {time: value for time, value in known.items() if value != MARK}

    def revised_count(self) -> int:
        return sum(len({self.says(time, *each) for each in told}) > 1 for time, told in self.all.items())


said = st.dictionaries(st.integers(0, 12), st.sampled_from([1.0, 2.0, MARK]), min_size=1, max_size=6)
calls = st.lists(st.tuples(said, st.integers(0, 8)), min_size=1, max_size=8)
steps = st.sampled_from([0, 4])  # with the latter some captures come before a bar's close


@given(
    st.lists(st.tuples(said, st.none() | st.integers(0, 8)), min_size=1, max_size=8),
    st.integers(-1, 14),
    steps,
)
def test_any_calls_leave_what_a_dictionary_of_revisions_would(told, as_of, step):
    stored, memory, newest = NOTHING, Memory(step), 0
    for values, named in told:
        captured = newest + 1 if named is None else named
        new, before = rows(values, captured), stored
        stored, counts = merge(stored, new, OnConflict.REVISE, step, is_stamped=named is None)
        assert counts == memory.add(values, captured, named is None)
        assert (stored is before) == (revisions(before) == memory.all)
        newest = max(newest, captured)
    assert revisions(stored) == memory.all
    assert revised_count(stored, step) == memory.revised_count()
    known = known_at(stored, as_of)
    assert dict(zip(known.times.tolist(), known.columns[0].tolist(), strict=True)) == memory.known_at(as_of)
    assert (np.diff(known.times) > 0).all()


@given(calls, steps, st.randoms(use_true_random=False))
def test_any_order_and_any_parts_of_calls_that_name_their_captures_leave_the_same(told, step, random):
    truth: dict[tuple[int, int], Value] = {}  # of two that contradict each other the first
    for values, captured in told:
        for time, value in values.items():
            truth.setdefault((time, captured), value)
    parts = [
        ({time: truth[time, captured] for time in times}, captured)
        for values, captured in told
        for times in (list(values)[:2], list(values)[1:], list(values))  # some of them told again
        if times
    ]
    random.shuffle(parts)
    stored = NOTHING
    for values, captured in parts:
        stored, _ = merge(stored, rows(values, captured), OnConflict.REVISE, step)
    expected: dict[int, list[tuple[int, Value]]] = {}
    for time, captured in sorted(truth):
        expected.setdefault(time, []).append((captured, truth[time, captured]))
    assert revisions(stored) == expected
    assert len(stored.current) == len(expected)


def test_a_value_that_came_back_is_current_even_when_the_one_between_is_told_last():
    stored = NOTHING
    for captured, value, expected in [
        (1, 1.0, Counts(inserted=1)),
        (3, 1.0, Counts(unchanged=1)),  # as a value; that it was seen is kept
        (2, 2.0, Counts(revised=1)),
    ]:
        stored, counts = merge(stored, rows({0: value}, captured), OnConflict.REVISE)
        assert counts == expected
        assert revised_count(stored) == (captured == 2)
    assert known_at(stored, 3).columns[0].tolist() == [1.0]
    assert known_at(stored, 2).columns[0].tolist() == [2.0]


def test_a_stamped_repeat_leaves_nothing_so_that_a_capture_named_after_it_is_the_newest():
    stored, _ = merge(NOTHING, rows({0: 1.0}, 1), OnConflict.REVISE, is_stamped=True)
    again, counts = merge(stored, rows({0: 1.0}, 3), OnConflict.REVISE, is_stamped=True)
    assert again is stored
    assert counts == Counts(unchanged=1)
    stored, _ = merge(stored, rows({0: 2.0}, 2), OnConflict.REVISE)
    assert known_at(stored, 3).columns[0].tolist() == [2.0]
    stored, counts = merge(stored, rows({0: 1.0}, 4), OnConflict.REVISE, is_stamped=True)
    assert counts == Counts(revised=1)
    assert revisions(stored) == {0: [(1, 1.0), (2, 2.0), (4, 1.0)]}


@given(calls)
def test_a_repeated_call_changes_nothing(told):
    stored = NOTHING
    for values, captured in told:
        stored, _ = merge(stored, rows(values, captured), OnConflict.REVISE)
        again, counts = merge(stored, rows(values, captured), OnConflict.REVISE)
        assert again is stored
        assert counts == Counts(unchanged=len(values))
    current = known_at(stored, 99)
    if len(current):
        stamped = rows(dict(zip(current.times.tolist(), current.columns[0].tolist(), strict=True)), 99)
        again, _ = merge(stored, stamped, OnConflict.REVISE, is_stamped=True)
        assert again is stored


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
    stored, _ = merge(NOTHING, marks(np.array([0, 10]), 1, 5), OnConflict.REVISE, 10)
    again, counts = merge(stored, marks(np.array([0, 10]), 1, 50), OnConflict.REVISE, 10, is_stamped=True)
    assert again is stored
    assert counts == Counts(unchanged=2)


def test_a_bar_captured_before_its_close_and_after_it_are_two_revisions():
    stored, _ = merge(NOTHING, rows({0: 1.0}, 5), OnConflict.REVISE, step_us=10)
    stored, counts = merge(stored, rows({0: 1.0}, 12), OnConflict.REVISE, step_us=10)
    assert counts == Counts(revised=1)
    assert revised_count(stored, 10) == 1
    again, counts = merge(stored, rows({0: 1.0}, 15), OnConflict.REVISE, step_us=10, is_stamped=True)
    assert again is stored
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
