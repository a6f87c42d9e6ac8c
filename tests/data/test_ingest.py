"""Rows go in: all or nothing, once, in any order and any form; bad ones are named."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc import frames
from marketml.rpc.refusals import AlreadyExists, InvalidArgument, ResourceExhausted
from tests.data.market import (
    HOUR,
    START,
    SYMBOL,
    TIMEFRAME,
    VENUE,
    DataRoom,
    candle_rows,
    candles,
    data_room,
    funding,
    header,
    open_interest,
    same,
)

SERIES = (VENUE, SYMBOL, TIMEFRAME)


def counts(report: pb.IngestReport) -> tuple[int, int, int, int, int]:
    return (report.received, report.inserted, report.revised, report.unchanged, report.rejected_count)


def ingest(room: DataRoom, *parts: object, **changes: object) -> pb.IngestReport:
    """Send typed rows or Arrow bytes as they are."""

    def requests():
        yield pb.IngestCandlesRequest(header=header(**changes))
        for part in parts:
            if isinstance(part, bytes):
                yield pb.IngestCandlesRequest(arrow_ipc=part)
            else:
                yield pb.IngestCandlesRequest(rows=part)

    return room.stub.IngestCandles(requests()).report


def test_candles_come_back_as_they_went_in(room):
    frame = candles(100)
    frame.loc[frame.index[3:7], ["volume", "trade_count"]] = np.nan
    report = room.client.ingest_candles(frame, *SERIES, source="file")
    assert counts(report) == (100, 100, 0, 0, 0)
    assert report.first_time.ToNanoseconds() == frame.index[0].value
    assert report.last_time.ToNanoseconds() == frame.index[-1].value
    same(room.client.query_candles(*SERIES), frame)


def test_funding_rates_and_open_interest_come_back_as_they_went_in(room):
    rates, interest = funding(20), open_interest(20, START + pd.Timedelta(milliseconds=1))
    rates.loc[rates.index[2], "mark_price"] = np.nan
    room.client.ingest_funding_rates(rates, VENUE, SYMBOL)
    room.client.ingest_open_interest(interest, VENUE, SYMBOL)
    same(room.client.query_funding_rates(VENUE, SYMBOL), rates)
    same(room.client.query_open_interest(VENUE, SYMBOL), interest)


def test_optional_columns_may_be_left_out(room):
    frame = candles(3)
    room.client.ingest_candles(frame[["close", "low", "high", "open"]], *SERIES)
    back = room.client.query_candles(*SERIES)
    same(back[["open", "high", "low", "close"]], frame[["open", "high", "low", "close"]])
    assert back[["volume", "quote_volume", "trade_count", "taker_buy_volume"]].isna().all(axis=None)


def test_typed_rows_and_arrow_bytes_may_be_mixed(room):
    frame = candles(30)
    ipc = next(frames.cut(frames.to_table(frame[10:20])))
    report = ingest(room, candle_rows(frame[20:]), ipc, candle_rows(frame[:10]))
    assert counts(report) == (30, 30, 0, 0, 0)
    same(room.client.query_candles(*SERIES), frame)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_arrow_times_of_any_unit_are_understood(room, unit):
    frame = candles(5)
    table = frames.to_table(frame)
    column = table.column("open_time").cast(frames.pa.timestamp(unit, "UTC"))
    table = table.set_column(0, "open_time", column)
    assert counts(ingest(room, next(frames.cut(table))))[1] == 5
    same(room.client.query_candles(*SERIES), frame)


def test_a_repeated_call_changes_nothing(room):
    frame = candles(6_000, START - 6_000 * HOUR)
    room.client.ingest_candles(frame, *SERIES)
    before = room.contents()
    report = room.client.ingest_candles(frame, *SERIES)
    assert counts(report) == (6_000, 0, 0, 6_000, 0)
    assert room.contents()[0][0] == before[0][0]


@given(
    order=st.permutations(range(12)),
    cuts=st.lists(st.integers(1, 11), max_size=4).map(lambda edges: [0, *sorted(set(edges)), 12]),
    repeats=st.lists(st.integers(0, 11), max_size=4),
)
@settings(max_examples=15)
def test_any_order_and_split_of_the_same_rows_gives_the_same_series(
    new_database_url, tmp_path_factory, order, cuts, repeats
):
    frame = candles(12)
    folder = tmp_path_factory.mktemp("room")
    shuffled = frame.iloc[list(order)]
    with new_database_url() as url, data_room(url, folder) as room:
        for first, last in pairwise(cuts):
            sent = pd.concat([shuffled.iloc[first:last], frame.iloc[repeats]])
            room.client.ingest_candles(sent, *SERIES)
        same(room.client.query_candles(*SERIES), frame)
        [series] = room.client.list_series()
        assert (series.row_count, series.revised_count, series.missing_bars_count) == (12, 0, 0)


def test_rows_that_fall_between_before_and_after_blocks_find_their_place(room):
    frame = candles(12_000, START - 12_000 * HOUR)
    kept = np.ones(12_000, bool)
    kept[:50] = kept[4_700:5_300] = kept[9_599:9_602] = kept[11_990:] = False
    room.client.ingest_candles(frame[kept], *SERIES)
    for part in (
        frame[:20],
        frame[20:50],
        frame[4_700:5_300:2],
        frame[11_990:],
        frame[4_701:5_300:2],
        frame[9_599:9_602],
    ):
        room.client.ingest_candles(part, *SERIES)
    same(room.client.query_candles(*SERIES), frame)
    for offset in range(1, 4):
        room.client.ingest_candles(candles(1, frame.index[0] - offset * HOUR), *SERIES)
    assert room.client.query_candles(*SERIES).index[0] == frame.index[0] - 3 * HOUR


def test_bar_after_bar_fills_blocks_and_begins_new_ones(room):
    frame = candles(4_803, START - 5_000 * HOUR)
    room.client.ingest_candles(frame[:4_798], *SERIES)
    for position in range(4_798, 4_803):
        room.client.ingest_candles(frame[position : position + 1], *SERIES)
    same(room.client.query_candles(*SERIES), frame)


def test_a_revision_is_the_newest_and_is_counted(room):
    first, second = candles(4, seed=1), candles(4, seed=2)
    room.client.ingest_candles(first, *SERIES)
    report = room.client.ingest_candles(second[1:3], *SERIES)
    assert counts(report) == (2, 0, 2, 0, 0)
    same(room.client.query_candles(*SERIES), pd.concat([first[:1], second[1:3], first[3:]]))
    [series] = room.client.list_series()
    assert (series.row_count, series.revised_count) == (4, 2)


def test_keep_leaves_the_stored_values(room):
    first, second = candles(4, seed=1), candles(6, seed=2)
    room.client.ingest_candles(first, *SERIES)
    report = room.client.ingest_candles(second, *SERIES, on_conflict="keep")
    assert counts(report) == (6, 2, 0, 4, 0)
    same(room.client.query_candles(*SERIES), pd.concat([first, second[4:]]))


def test_refuse_changes_nothing_when_one_row_is_stored_otherwise(room):
    second = candles(8)
    first = second[:4].copy()
    room.client.ingest_candles(first, *SERIES)
    second.loc[second.index[2], "volume"] = 5.0
    before = room.contents()
    with pytest.raises(AlreadyExists, match="2024-01-01T02:00") as refused:
        room.client.ingest_candles(second, *SERIES, on_conflict="refuse")
    assert refused.value.kind == "row"
    assert room.contents() == before
    same(room.client.query_candles(*SERIES), first)


def test_a_default_capture_is_later_than_everything_stored_even_when_the_clock_went_back(room):
    room.client.ingest_candles(candles(2, seed=1), *SERIES)
    room.clock.now = START + 5 * HOUR
    room.client.ingest_candles(candles(2, seed=2), *SERIES)
    same(room.client.query_candles(*SERIES), candles(2, seed=2))


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("open", np.nan, "required"),
        ("high", np.inf, "finite"),
        ("low", 0.0, "positive"),
        ("close", -1.0, "positive"),
        ("volume", -0.5, "negative"),
        ("quote_volume", np.inf, "finite"),
        ("trade_count", -1.0, "negative"),
        ("taker_buy_volume", -np.inf, "finite"),
    ],
)
def test_a_value_that_cannot_be_true_refuses_the_call_by_row_and_column(room, column, value, rule):
    frame = candles(5)
    frame.loc[frame.index[3], column] = value
    with pytest.raises(InvalidArgument) as refused:
        room.client.ingest_candles(frame, *SERIES)
    [violation] = refused.value.violations
    assert (violation.field, violation.rule) == (f"rows[3].{column}", rule)
    assert str(value) in violation.description
    assert not any(room.contents())


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"high": 1.0}, "high", "high_below_open"),
        ({"open": 1.0, "low": 1.0, "high": 2.0, "close": 3.0}, "high", "high_below_close"),
        ({"low": 1e6}, "high", "high_below_low"),
        ({"open": 1.0, "high": 9.0, "low": 2.0, "close": 5.0}, "low", "low_above_open"),
        ({"open": 5.0, "high": 9.0, "low": 2.0, "close": 1.0}, "low", "low_above_close"),
    ],
)
def test_a_bar_that_cannot_be_true_is_named_by_its_rule(room, changes, field, rule):
    frame = candles(3)
    for name, value in changes.items():
        frame.loc[frame.index[1], name] = value
    with pytest.raises(InvalidArgument) as refused:
        room.client.ingest_candles(frame, *SERIES)
    assert [(each.field, each.rule) for each in refused.value.violations] == [(f"rows[1].{field}", rule)]


@pytest.mark.parametrize(
    ("shift", "rule"),
    [
        (pd.Timedelta(seconds=1), "off_grid"),
        (pd.Timedelta(days=400_00), "future"),
        (pd.Timedelta(days=-30_000), "range"),
    ],
)
def test_a_time_that_no_bar_has_is_named(room, shift, rule):
    frame = candles(1).set_axis(candles(1).index + shift)
    with pytest.raises(InvalidArgument) as refused:
        room.client.ingest_candles(frame, *SERIES)
    assert [(each.field, each.rule) for each in refused.value.violations] == [("rows[0].open_time", rule)]


def test_weeks_begin_on_monday_and_days_at_midnight(room):
    monday = pd.Timestamp("2024-01-01", tz="UTC")
    room.client.ingest_candles(candles(3, monday, step=pd.Timedelta(weeks=1)), VENUE, SYMBOL, "1w")
    room.client.ingest_candles(candles(3, monday, step=pd.Timedelta(days=1)), VENUE, SYMBOL, "1d")
    for start, timeframe in [(monday + pd.Timedelta(days=3), "1w"), (monday + HOUR, "1d")]:
        with pytest.raises(InvalidArgument, match="grid"):
            room.client.ingest_candles(candles(1, start), VENUE, SYMBOL, timeframe)


def test_bad_rows_may_be_left_out_and_are_reported(room):
    frame = candles(300)
    frame.loc[frame.index[::2], "low"] = -1.0
    report = room.client.ingest_candles(frame, *SERIES, on_invalid="skip")
    assert counts(report) == (300, 150, 0, 0, 150)
    assert len(report.rejections) == 100
    first = report.rejections[1]
    assert (first.row, first.field, first.rule, first.value) == (2, "low", "positive", "-1.0")
    same(room.client.query_candles(*SERIES), frame[1::2])


def test_a_call_with_bad_rows_only_stores_nothing_and_says_so(room):
    report = room.client.ingest_candles(candles(3) * -1, *SERIES, on_invalid="skip")
    assert counts(report) == (3, 0, 0, 0, 3)
    assert not report.HasField("first_time")
    assert not any(room.contents())


def test_repeats_within_a_call_must_agree(room):
    frame = candles(4)
    report = room.client.ingest_candles(pd.concat([frame, frame[1:3]]), *SERIES)
    assert counts(report) == (6, 4, 0, 2, 0)
    contradiction = frame[1:2].assign(volume=7.0)
    with pytest.raises(InvalidArgument) as refused:
        room.client.ingest_candles(pd.concat([frame, contradiction]), *SERIES)
    found = {(each.field, each.rule) for each in refused.value.violations}
    assert found == {(f"rows[{row}].open_time", "duplicate_differs") for row in (1, 4)}
    report = room.client.ingest_candles(pd.concat([frame, contradiction]), *SERIES, on_invalid="skip")
    assert counts(report) == (5, 0, 0, 3, 2)


@pytest.mark.parametrize(
    ("value", "rule"), [(np.nan, "required"), (np.inf, "finite"), (1.01, "fraction"), (-1.5, "fraction")]
)
def test_a_funding_rate_is_a_fraction(room, value, rule):
    rates = funding(3)
    rates.loc[rates.index[1], "funding_rate"] = value
    with pytest.raises(InvalidArgument) as refused:
        room.client.ingest_funding_rates(rates, VENUE, SYMBOL)
    assert [(each.field, each.rule) for each in refused.value.violations] == [("rows[1].funding_rate", rule)]


@pytest.mark.parametrize(("value", "rule"), [(np.nan, "required"), (np.inf, "finite"), (-1.0, "negative")])
def test_open_interest_is_not_negative(room, value, rule):
    interest = open_interest(3)
    interest.loc[interest.index[1], "open_interest"] = value
    with pytest.raises(InvalidArgument) as refused:
        room.client.ingest_open_interest(interest, VENUE, SYMBOL)
    assert [(each.field, each.rule) for each in refused.value.violations] == [("rows[1].open_interest", rule)]


def test_typed_rows_name_times_that_are_absent_finer_or_out_of_range(room):
    rows = candle_rows(candles(5))
    rows.rows[1].ClearField("open_time")
    rows.rows[2].open_time.nanos = 1
    rows.rows[3].open_time.seconds = -5
    rows.rows[4].open_time.seconds = 2**62
    with pytest.raises(InvalidArgument) as refused:
        ingest(room, rows)
    found = [(each.field, each.rule) for each in refused.value.violations]
    assert found == [
        ("rows[1].open_time", "required"),
        ("rows[2].open_time", "microseconds"),
        ("rows[3].open_time", "range"),
        ("rows[4].open_time", "future"),
    ]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_arrow_times_beyond_any_calendar_are_named_and_do_not_wrap(room, unit):
    table = frames.to_table(candles(3))
    column = frames.pa.array([2**63 - 1, -(2**63) + 1, None], frames.pa.timestamp(unit, "UTC"))
    table = table.set_column(0, "open_time", column)
    with pytest.raises(InvalidArgument) as refused:
        ingest(room, next(frames.cut(table)))
    rules = [each.rule for each in refused.value.violations]
    assert rules[2] == "required"
    assert set(rules[:2]) <= {"future", "range", "microseconds"}
    assert not any(room.contents())


def test_an_upload_with_a_header_alone_stores_nothing(room):
    assert counts(ingest(room)) == (0, 0, 0, 0, 0)
    assert not any(room.contents())


def test_calls_that_are_too_large_are_refused_by_the_limit_that_broke(database_url, tmp_path):
    with data_room(database_url, tmp_path, ingest_rows_count=10) as room:
        room.client.ingest_candles(candles(10), *SERIES)
        with pytest.raises(ResourceExhausted) as refused:
            room.client.ingest_candles(candles(11, seed=3), *SERIES)
        assert refused.value.subject == "ingest_rows"
        same(room.client.query_candles(*SERIES), candles(10))


def test_calls_together_hold_no_more_than_the_operator_allows_and_give_it_back(database_url, tmp_path):
    with data_room(database_url, tmp_path, ingest_bytes=72 * 100) as room:
        for _ in range(3):
            ingest(room, candle_rows(candles(100)))
            with pytest.raises(ResourceExhausted) as refused:
                ingest(room, candle_rows(candles(101)))
            assert refused.value.subject == "ingest_bytes"
            assert refused.value.retry_after_seconds == 1.0
