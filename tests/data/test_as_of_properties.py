"""Random histories with revisions, marks, late and disordered captures: what the room answers is what a
replay of what it was told says, and what comes later changes no row that was there."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1.market_pb2 import SeriesKey, TimeRange
from marketml.rpc.frames import read_chunks
from services.data.__main__ import MIGRATIONS, build
from services.data.checks import Checked
from services.data.query.views import END_US
from services.data.revisions import OnConflict
from services.data.series import CANDLES, FUNDING_RATES, OPEN_INTEREST, Series
from services.data.settings import DataSettings
from services.data.store import SeriesStore
from services.host.call import invoke
from services.host.database import open_database
from tests.data.replay import (
    CANDLE,
    FUNDING,
    INTEREST,
    MINUTE_US,
    MINUTES,
    ORIGIN_US,
    Replay,
    Row,
    Told,
    same_rows,
    until,
)

KINDS = {CANDLE: CANDLES, FUNDING: FUNDING_RATES, INTEREST: OPEN_INTEREST}
LAG = 2
# Base and frame, and how long a history is, in bars of the base.
GRIDS = [
    ("1m", "5m", 40),
    ("1m", "3m", 25),
    ("5m", "1h", 60),
    ("1h", "8h", 60),
    ("1h", "1d", 80),
    ("1d", "1w", 30),
]


class Room:
    """The data room on SQLite, without a server; each history has an instrument of its own."""

    def __init__(self, store: SeriesStore, servicer: Any) -> None:
        self.store = store
        self._servicer = servicer
        self._names = itertools.count()

    def instrument(self) -> str:
        return f"A{next(self._names)}/USDT"

    def tell(self, symbol: str, told: Sequence[Told]) -> list[Told]:
        """Tell it, in this order; what was kept, marks with the capture they got."""
        done: list[Told] = []
        for each in told:
            series = series_of(symbol, each)
            times = np.array([time_us(time) for time in each.times], np.int64)
            captured_us = time_us(each.captured)
            if not each.is_mark:
                columns = tuple(
                    np.array(column) for column in zip(*map(each.values, each.times), strict=True)
                )
                self.store.ingest(
                    series,
                    Checked(times, columns, 0, 0, ()),
                    source="",
                    captured_us=captured_us,
                    clock=lambda: END_US,
                    on_conflict=OnConflict.REVISE,
                    check=lambda: None,
                )
            elif (state := self.store.find(series)) is not None:
                # A mark is captured later than all that is stored.
                newest = -(-(state.newest_capture_us + 1 - ORIGIN_US) // MINUTE_US)
                each = dataclasses.replace(each, captured=max(each.captured, newest))
                self._mark(series, each, times)
                marked = Replay(done).marked(each.kind, each.timeframe)
                if not (fresh := tuple(time for time in each.times if time not in marked)):
                    continue
                each = dataclasses.replace(each, times=fresh)
            else:
                continue
            done.append(each)
        return done

    def _mark(self, series: Series, told: Told, times: Any) -> None:
        self.store.mark_missing(
            series,
            int(times[0]),
            int(times[-1]) + 1,
            clock=lambda: time_us(told.captured),
            times_max=10**6,
            request_id="",
            body=b"",
            check=lambda: None,
        )

    def frame(
        self,
        symbol: str,
        timeframe: str,
        base: str | None,
        as_of: int | None,
        reference: str | None = None,
        **given: Any,
    ) -> list[Row]:
        """Rows as `Replay.frame` gives them, with the columns of a reference after them."""
        ages = [None if age is None else timedelta(minutes=age) for age in given.pop("ages")]
        spec = pb.FrameSpec(
            series=SeriesKey(venue="venue", symbol=symbol, timeframe=timeframe),
            range=TimeRange(
                start_time=moment(given.pop("start", None)), end_time=moment(given.pop("end", None))
            ),
            funding_max_age=ages[0],
            open_interest_max_age=ages[1],
            as_of_time=moment(as_of),
            base_timeframe=base or "",
            reference=None if reference is None else SeriesKey(venue="venue", symbol=reference),
        )
        table = read_chunks(invoke(self._servicer, "QueryFrame", pb.QueryFrameRequest(frame=spec, **given)))
        for name in ("funding_rate", "open_interest"):
            value, missing = table.column(name), table.column(f"{name}_missing").to_pylist()
            assert missing == [math.isnan(each) for each in value.to_pylist()]
        return rows_of(table.drop_columns(["funding_rate_missing", "open_interest_missing"]))

    def longer(self, symbol: str, base: str, timeframe: str, as_of: int | None) -> list[Row]:
        """Rows as `Replay.longer` gives them."""
        request = pb.QueryCandlesRequest(
            series=SeriesKey(venue="venue", symbol=symbol, timeframe=base),
            as_of_time=moment(as_of),
            resample_timeframe=timeframe,
        )
        return rows_of(read_chunks(invoke(self._servicer, "QueryCandles", request)))


def moment(minute: int | None) -> datetime | None:
    return None if minute is None else datetime.fromtimestamp(time_us(minute) // 10**6, UTC)


def series_of(symbol: str, told: Told) -> Series:
    return Series(KINDS[told.kind], "venue", symbol, told.timeframe)


def time_us(minute: int) -> int:
    return ORIGIN_US + minute * MINUTE_US


def rows_of(table: pa.Table) -> list[Row]:
    columns = []
    for column, kind in zip(table.columns, table.schema, strict=True):
        if pa.types.is_timestamp(kind.type):
            stamps = column.cast(pa.int64()).to_pylist()
            columns.append([None if time is None else (time - ORIGIN_US) / MINUTE_US for time in stamps])
        else:
            columns.append(column.to_pylist())
    return list(zip(*columns, strict=True))


@pytest.fixture(scope="module")
def told_room(new_database_url, tmp_path_factory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("room")
    with new_database_url() as url, open_database(url, migrations=MIGRATIONS) as database:
        given = DataSettings(database_url=url, folder=folder, open_interest_lags_ms=f"venue={LAG * 60_000}")
        [(_, servicer)] = build(given, database, lambda: END_US).services
        yield Room(SeriesStore(database, 2**24), servicer)


@st.composite
def histories(draw: st.DrawFn, grids: Sequence[tuple[str, str, int]] = GRIDS) -> tuple[str, str, list[Told]]:
    """A base timeframe, a longer one, and what is told of an instrument, candles of the base first."""
    base, timeframe, length = draw(st.sampled_from(grids))
    step, end = MINUTES[base], length * MINUTES[base]
    told: list[Told] = []
    for position in range(draw(st.integers(2, 12))):
        kind, of, grid = draw(
            st.sampled_from(
                [
                    (CANDLE, base, step),
                    (CANDLE, base, step),
                    (CANDLE, timeframe, MINUTES[timeframe]),
                    (FUNDING, "", max(1, step // 4)),
                    (INTEREST, "", max(1, step // 3)),
                ]
            )
        )
        if not position:
            kind, of, grid = CANDLE, base, step
        stride = 1 if kind == CANDLE else draw(st.integers(1, 9))
        first = draw(st.integers(0, max(0, end // grid - 2)))
        times = [(first + number * stride) * grid for number in range(draw(st.integers(1, 20)))]
        if kind == CANDLE and draw(st.booleans()):
            times = [time for time in times if time % (7 * grid)] or times[:1]
        is_mark = bool(position) and draw(st.integers(0, 5)) == 0
        if is_mark:
            ends = range(times[0], times[-1] + 1)
            stored = {
                time for each in told if (each.kind, each.timeframe) == (kind, of) for time in each.times
            }
            marked = [time for time in ends if (time % grid == 0 if kind == CANDLE else time in stored)]
            times = marked or times[:1]
        # Some of the bars are still open then, most are not; some are told long after.
        captured = times[-1] + draw(st.integers(0, 3 * step) | st.integers(0, end) | st.just(2 * end))
        seed = draw(st.integers(0, 2))  # some repeat what was told before, or bring it back
        told.append(Told(kind, of, tuple(times), captured, seed, is_mark))
    return base, timeframe, told


def some_moment(draw: Any, told: Sequence[Told]) -> int | None:
    captures = sorted({each.captured for each in told})
    return draw(st.none() | st.sampled_from(captures).flatmap(lambda time: st.integers(time - 1, time + 1)))


AGES = st.tuples(st.none() | st.integers(1, 300), st.integers(1, 300))


@given(history=histories(), ages=AGES, data=st.data())
@settings(max_examples=120)
def test_a_frame_is_what_a_replay_of_all_that_was_told_by_then_says(told_room, history, ages, data):
    base, timeframe, told = history
    symbol = told_room.instrument()
    replay = Replay(told_room.tell(symbol, told), LAG)
    as_of = some_moment(data.draw, replay.told)
    named = data.draw(st.sampled_from([None, base]))
    expected = replay.frame(timeframe, named, math.inf if as_of is None else as_of, *ages)
    event(f"rows: {min(len(expected), 5)}")
    found = told_room.frame(symbol, timeframe, named, as_of, ages=ages)
    assert same_rows(found, expected), (found, expected)

    limit, newest_first = data.draw(st.integers(0, 4)), data.draw(st.booleans())
    latest = max(each.times[-1] for each in replay.told)
    start = data.draw(st.none() | st.integers(-1, latest))
    end = data.draw(st.none() | st.integers((start or 0) + 1, latest + 1))
    inside = [row for row in expected if (start is None or row[0] >= start) and (end is None or row[0] < end)]
    event(f"limited: {0 < limit < len(inside)}")
    if limit:
        inside = inside[-limit:] if newest_first else inside[:limit]
    part = {"start": start, "end": end, "limit": limit, "newest_first": newest_first}
    assert same_rows(told_room.frame(symbol, timeframe, named, as_of, ages=ages, **part), inside)


@given(history=histories(), data=st.data())
@settings(max_examples=60)
def test_longer_bars_are_what_a_replay_says(told_room, history, data):
    base, timeframe, told = history
    symbol = told_room.instrument()
    replay = Replay(told_room.tell(symbol, told))
    as_of = some_moment(data.draw, replay.told)
    expected = replay.longer(base, timeframe, math.inf if as_of is None else as_of)
    found = told_room.longer(symbol, base, timeframe, as_of)
    assert same_rows(found, [(time, *row) for time, row in expected.items()]), (found, expected)


@given(grid=st.sampled_from(GRIDS), ages=AGES, data=st.data())
@settings(max_examples=60)
def test_a_reference_beside_is_what_its_own_frame_says_at_the_same_bars(told_room, grid, ages, data):
    base, timeframe, told = data.draw(histories([grid]))
    _, _, others = data.draw(histories([grid]))
    symbol, leader = told_room.instrument(), told_room.instrument()
    told, others = told_room.tell(symbol, told), told_room.tell(leader, others)
    as_of = some_moment(data.draw, [*told, *others])
    named = data.draw(st.sampled_from([None, base]))
    alone = told_room.frame(symbol, timeframe, named, as_of, ages=ages)
    beside = told_room.frame(symbol, timeframe, named, as_of, leader, ages=ages)
    assert same_rows([row[:-4] for row in beside], alone)
    known = {row[0]: row for row in told_room.frame(leader, timeframe, None, as_of, ages=ages)}
    event(f"bars of both: {min(sum(row[0] in known for row in beside), 5)}")
    for row in beside:
        if row[0] in known:
            own = known[row[0]]
            assert same_rows([row[-4:]], [(own[4], own[5], own[9], own[11])])
        else:
            assert math.isnan(row[-4])
            assert math.isnan(row[-3])


@given(history=histories(), ages=AGES, data=st.data())
@settings(max_examples=60)
def test_a_room_that_was_told_nothing_later_answers_the_same(told_room, history, ages, data):
    base, timeframe, told = history
    symbol, truncated = told_room.instrument(), told_room.instrument()
    told = told_room.tell(symbol, told)
    as_of = data.draw(st.sampled_from([each.captured for each in told if each.timeframe == base]))
    told_room.tell(truncated, list(until(told, as_of)))
    for named in (None, base):
        full = told_room.frame(symbol, timeframe, named, as_of, ages=ages)
        assert same_rows(told_room.frame(truncated, timeframe, named, as_of, ages=ages), full)
        assert same_rows(told_room.frame(truncated, timeframe, named, None, ages=ages), full)


@given(history=histories(), ages=AGES, data=st.data())
@settings(max_examples=60)
def test_without_what_happened_later_no_row_is_another_one(told_room, history, ages, data):
    base, timeframe, told = history
    symbol, truncated = told_room.instrument(), told_room.instrument()
    told = told_room.tell(symbol, told)
    as_of = some_moment(data.draw, told)
    until_time = data.draw(st.integers(1, 2 * max(told[0].times) + 2))
    earlier = []
    for each in told:
        length = MINUTES[each.timeframe] if each.timeframe else 0
        if times := tuple(time for time in each.times if time + length <= until_time):
            earlier.append(dataclasses.replace(each, times=times))
    if not any(each.timeframe == base and not each.is_mark for each in earlier):
        return
    told_room.tell(truncated, earlier)
    full = told_room.frame(symbol, timeframe, base, as_of, ages=ages)
    if as_of is None:  # one moment for both: the truncated room's newest capture may be an earlier one
        as_of = max(each.captured for each in told)
    left = told_room.frame(truncated, timeframe, base, as_of, ages=ages)
    assert same_rows(full[: len(left)], left)
    # What is not there any more are bars that were not over.
    known = Replay(earlier).closed(base, as_of)
    over = max(known, default=-MINUTES[base]) + MINUTES[base]
    assert len(left) >= sum(1 for row in full if row[0] + MINUTES[timeframe] <= over)
