"""The digest of a series: one for the same revisions, however they were told and lie in blocks."""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from marketml.rpc.refusals import NotFound
from services.data.__main__ import MIGRATIONS
from services.data.blocks import BLOCK_ROWS, TAIL_ROWS
from services.data.checks import Checked
from services.data.query.views import BEGINNING_US, END_US
from services.data.revisions import Counts, OnConflict
from services.data.series import CANDLES, DAY_US, MINUTE_US, OPEN_INTEREST, Kind, Series
from services.data.store import SeriesStore
from services.host.database import open_database

MARKED_US = 10**15  # by the room's clock: later than every capture that is named
VALUES = (2.0, 4.0, 4.5)


@pytest.fixture
def store(database_url: str) -> Iterator[SeriesStore]:
    with open_database(database_url, migrations=MIGRATIONS) as database:
        yield SeriesStore(database, 2**20)


@dataclass(frozen=True)
class Call:
    """Rows of the minutes [first, end) with one capture, or a mark of them, which the room's clock stamps."""

    captured: int
    first: int
    end: int
    is_mark: bool = False

    @property
    def minutes(self) -> range:
        return range(self.first, self.end)


class Telling:
    """What is told of minutes at captures: few values, so that they repeat and come back."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def row(self, captured: int, minute: int, columns_count: int) -> list[float]:
        # Stretches of minutes have one value, as a whole call repeats another's.
        first = VALUES[(self._seed >> (captured + minute // 700)) % len(VALUES)]
        return [first, *(float("nan") if minute % 3 else minute / 7 for _ in range(1, columns_count))]

    def tell(self, store: SeriesStore, series: Series, call: Call) -> Counts | int:
        nobody_leaves = {"check": lambda: None}
        if call.is_mark:
            return store.mark_missing(
                series,
                call.first * MINUTE_US,
                call.end * MINUTE_US,
                clock=lambda: MARKED_US + call.captured,
                times_max=10**6,
                request_id="",
                body=b"",
                **nobody_leaves,
            )
        count = len(series.kind.columns)
        rows = [self.row(call.captured, minute, count) for minute in call.minutes]
        return store.ingest(
            series,
            Checked(
                np.array(call.minutes) * MINUTE_US,
                tuple(np.ascontiguousarray(column) for column in np.array(rows).T),
                0,
                0,
                (),
            ),
            source="",
            captured_us=call.captured * DAY_US,
            clock=lambda: 0,
            on_conflict=OnConflict.REVISE,
            **nobody_leaves,
        )

    def revisions(self, calls: list[Call], columns_count: int) -> dict[int, list[tuple[float, ...]]]:
        """By minute, in order of capture, each with its capture: from plain sets."""
        found: dict[int, dict[int, list[float]]] = {}
        for call in calls:
            for minute in call.minutes:
                told = found.setdefault(minute, {})
                if not call.is_mark:
                    told[call.captured * DAY_US] = self.row(call.captured, minute, columns_count)
                elif max(told, default=0) < MARKED_US:  # not marked yet
                    told[MARKED_US + call.captured] = [float("nan")] * columns_count
        return {
            minute: [(captured, *told[captured]) for captured in sorted(told)]
            for minute, told in sorted(found.items())
        }


def digest_of(revisions: dict[int, list[tuple[float, ...]]]) -> str:
    digest = hashlib.sha256()
    for minute, told in revisions.items():
        for captured, *values in told:
            digest.update(struct.pack(f"<2q{len(values)}d", minute * MINUTE_US, captured, *values))
    return digest.hexdigest()


def revised_count(revisions: dict[int, list[tuple[float, ...]]], series: Series) -> int:
    """Times of which not all revisions say the same: an open bar is another one than a closed one."""

    def says(minute: int, captured: float, values: tuple[float, ...]) -> tuple[object, ...]:
        is_open = captured < minute * MINUTE_US + series.step_us and not math.isnan(values[0])
        return repr(values), is_open and series.kind is CANDLES

    return sum(
        len({says(minute, captured, tuple(values)) for captured, *values in told}) > 1
        for minute, told in revisions.items()
    )


def divided(calls: list[Call], random: Random) -> list[Call]:
    """The same rows in other calls and another order, some of them told again. Marks stay in their order,
    none is the first: there must be a series to be marked."""
    parts: list[Call] = []
    for call in calls:
        if call.is_mark:
            continue
        most = min(random.randrange(4), call.end - call.first - 1)
        cuts = sorted(random.sample(range(call.first + 1, call.end), most))
        parts += [
            replace(call, first=first, end=end)
            for first, end in itertools.pairwise([call.first, *cuts, call.end])
        ]
    random.shuffle(parts)
    parts += random.sample(parts, random.randrange(3) % len(parts))
    marks = [call for call in calls if call.is_mark]
    places = sorted(random.randint(1, len(parts)) for _ in marks)
    for place, mark in reversed(list(zip(places, marks, strict=True))):
        parts.insert(place, mark)
    return parts


lengths = st.one_of(
    st.integers(1, 30),
    st.integers(TAIL_ROWS - 2, TAIL_ROWS + 2),
    st.integers(BLOCK_ROWS - 2, BLOCK_ROWS + 2),
    st.integers(1, 2 * BLOCK_ROWS),
)
spans = st.tuples(st.integers(0, 9_000), lengths)


@st.composite
def histories(draw: st.DrawFn) -> list[Call]:
    """Calls for few spans: many repeat another as a whole."""
    among = st.sampled_from(draw(st.lists(spans, min_size=1, max_size=3)))
    drawn = draw(st.lists(st.tuples(st.integers(1, 6), among), min_size=1, max_size=5))
    return [Call(captured, first, first + length) for captured, (first, length) in drawn]


markings = st.lists(spans, max_size=2).map(
    lambda drawn: [
        Call(number, first, first + length, is_mark=True) for number, (first, length) in enumerate(drawn)
    ]
)
tellings = st.integers(0, 2**32).map(Telling)
BACK_AND_FORTH = Telling(2**32)  # one value at odd captures, another one at even ones
symbols = (f"A{number}/USDT" for number in itertools.count())


def agree(store: SeriesStore, kind: Kind, telling: Telling, calls: list[Call], *told: list[Call]) -> None:
    """Tell it in several ways, and fail unless the series is what `calls` say each time."""
    expected = telling.revisions(calls, len(kind.columns))
    newest_us = max(captured for each in expected.values() for captured, *_ in each)
    for way in told:
        series = Series(kind, "venue", next(symbols), "1m" if kind is CANDLES else "")
        for call in way:
            telling.tell(store, series, call)
        assert store.digest(series) == digest_of(expected)
        [coverage] = store.coverage(symbol=series.symbol, count=1)
        assert coverage.revised_count == revised_count(expected, series)
        assert coverage.row_count + coverage.marked_count == len(expected)
        assert coverage.newest_capture_us == newest_us
        store.delete_series(series, dry_run=False, force=False, request_id="", body=b"")


@given(calls=histories(), telling=tellings, random=st.randoms(use_true_random=False))
@example([Call(1, 0, 9), Call(3, 0, 9), Call(2, 0, 9)], BACK_AND_FORTH, Random(0))
@example([Call(1, 0, 9), Call(3, 0, 9)], BACK_AND_FORTH, Random(0))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_any_split_of_the_same_rows_have_one_digest(store, calls, telling, random):
    agree(store, OPEN_INTEREST, telling, calls, calls, divided(calls, random), divided(calls, random))


@given(calls=histories(), marks=markings, telling=tellings, random=st.randoms(use_true_random=False))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_marks_as_missing_may_come_at_any_place_among_rows_that_name_earlier_captures(
    store, calls, marks, telling, random
):
    calls = calls + marks
    agree(store, CANDLES, telling, calls, calls, divided(calls, random))


@given(calls=histories(), marks=markings, telling=tellings)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_told_again_changes_nothing(store, calls, marks, telling):
    series = Series(CANDLES, "venue", next(symbols), "1m")
    for call in calls + marks:
        telling.tell(store, series, call)

    def contents() -> tuple[object, ...]:
        state = store.find(series)
        assert state is not None
        heads = [block.head for block in store.blocks(state, BEGINNING_US, END_US, 1000)]
        return state, heads, store.digest(series), store.coverage(symbol=series.symbol, count=1)

    before = contents()
    for call in calls:
        assert telling.tell(store, series, call) == Counts(unchanged=len(call.minutes))
    for mark in marks:
        assert telling.tell(store, series, replace(mark, captured=mark.captured + 9)) == 0
    assert contents() == before


def test_another_value_time_or_capture_has_another_digest(store):
    digests = set()
    for seed, calls in [
        (0, [Call(1, 0, 9)]),
        (2, [Call(1, 0, 9)]),
        (0, [Call(2, 0, 9)]),
        (0, [Call(1, 0, 8)]),
        (0, [Call(1, 1, 9)]),
        (0, [Call(1, 0, 9), Call(2, 8, 9)]),  # a repeat is an observation, too
    ]:
        series = Series(OPEN_INTEREST, "venue", next(symbols))
        for call in calls:
            Telling(seed).tell(store, series, call)
        digests.add(store.digest(series))
    assert len(digests) == 6


def test_a_series_that_is_not_there_has_no_digest(store):
    with pytest.raises(NotFound):
        store.digest(Series(OPEN_INTEREST, "venue", "NO/USDT"))
