"""Rows come out: ranges, limits, and what was known when."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc import frames
from marketml.rpc.refusals import NotFound
from tests.data.market import (
    HOUR,
    KEY,
    START,
    SYMBOL,
    TIMEFRAME,
    VENUE,
    candles,
    funding,
    open_interest,
    same,
)

SERIES = (VENUE, SYMBOL, TIMEFRAME)
LONG_AGO = pd.Timestamp("2018-01-01", tz="UTC")


@pytest.fixture
def long_room(room):
    """A room with 20,000 candles in five blocks, and the candles."""
    frame = candles(20_000, LONG_AGO)
    room.client.ingest_candles(frame, *SERIES)
    return room, frame


def test_ranges_are_half_open(room):
    frame = candles(10)
    room.client.ingest_candles(frame, *SERIES)
    query = room.client.query_candles
    same(query(*SERIES, start=START + 2 * HOUR, end=START + 5 * HOUR), frame[2:5])
    same(query(*SERIES, start=START + pd.Timedelta("61min")), frame[2:])
    same(query(*SERIES, end=START + pd.Timedelta("61min")), frame[:2])
    same(query(*SERIES, end=START + pd.Timedelta(1, "ns")), frame[:1])
    assert len(query(*SERIES, start=START + 100 * HOUR)) == 0
    assert list(query(*SERIES, end=START).columns) == list(frame.columns)


def test_any_range_and_limit_is_the_slice_that_pandas_takes(long_room):
    room, frame = long_room

    @given(
        edges=st.tuples(st.integers(-10, 20_010), st.integers(-10, 20_010)).map(sorted),
        limit=st.integers(0, 21_000),
        newest_first=st.booleans(),
    )
    @settings(max_examples=40)
    def check(edges, limit, newest_first):
        first, last = edges[0], edges[1] + 1
        expected = frame[max(0, first) : max(0, last)]
        if limit:
            expected = expected[-limit:] if newest_first else expected[:limit]
        span = {"start": LONG_AGO + first * HOUR, "end": LONG_AGO + last * HOUR}
        same(room.client.query_candles(*SERIES, **span, limit=limit, newest_first=newest_first), expected)

    check()


def test_the_answer_is_cut_into_chunks_of_at_most_one_mebibyte_in_sequence(long_room):
    room, frame = long_room
    responses = list(room.stub.QueryCandles(pb.QueryCandlesRequest(series=KEY)))
    assert [response.chunk.sequence for response in responses] == list(range(len(responses)))
    assert len(responses) == 2
    assert max(len(response.chunk.arrow_ipc) for response in responses) <= frames.CHUNK_BYTES_MAX
    table = frames.read_chunks(response.chunk for response in responses)
    same(frames.to_frame(table), frame)
    assert table.schema.metadata == {
        b"kind": b"candles", b"venue": b"binance", b"symbol": b"BTC/USDT:USDT", b"timeframe": b"1h"
    }  # fmt: skip


def test_the_last_rows_come_in_ascending_order(room):
    room.client.ingest_funding_rates(funding(9), VENUE, SYMBOL)
    room.client.ingest_open_interest(open_interest(9), VENUE, SYMBOL)
    newest = {"limit": 2, "newest_first": True}
    same(room.client.query_funding_rates(VENUE, SYMBOL, **newest), funding(9)[-2:])
    same(room.client.query_open_interest(VENUE, SYMBOL, **newest), open_interest(9)[-2:])


def test_a_series_is_told_from_others_by_every_part_of_its_key(room):
    told = [
        (VENUE, SYMBOL, "1h"),
        (VENUE, SYMBOL, "2h"),
        (VENUE, "BTC/USDT", "1h"),
        ("bybit", SYMBOL, "1h"),
    ]
    for seed, key in enumerate(told):
        room.client.ingest_candles(candles(1, seed=seed), *key)
    for seed, key in enumerate(told):
        same(room.client.query_candles(*key), candles(1, seed=seed))


def test_what_was_known_at_any_time_is_still_known_after_later_revisions(room):
    versions = [candles(50, seed=seed) for seed in range(4)]
    for number, version in enumerate(versions):
        part = version[number * 10 :]
        room.client.ingest_candles(part, *SERIES, capture_time=START + (100 + number) * HOUR)
    expected = versions[0]
    for number, version in enumerate(versions):
        expected = pd.concat([expected[: number * 10], version[number * 10 :]])
        for minutes in (0, 59):
            as_of = START + (100 + number) * HOUR + pd.Timedelta(minutes=minutes)
            same(room.client.query_candles(*SERIES, as_of=as_of), expected)
    same(room.client.query_candles(*SERIES), expected)
    assert len(room.client.query_candles(*SERIES, as_of=START + 99 * HOUR)) == 0
    newest = room.client.query_candles(*SERIES, as_of=START + 101 * HOUR, limit=45, newest_first=True)
    same(newest, pd.concat([versions[0][5:10], versions[1][10:]]))


def test_a_capture_told_late_is_put_where_it_belongs(room):
    early, late = candles(5, seed=1), candles(5, seed=2)
    room.client.ingest_candles(late, *SERIES, capture_time=START + 20 * HOUR)
    room.client.ingest_candles(early, *SERIES, capture_time=START + 10 * HOUR)
    same(room.client.query_candles(*SERIES), late)
    same(room.client.query_candles(*SERIES, as_of=START + 15 * HOUR), early)


def test_an_unknown_series_is_not_found_and_an_empty_range_is_an_empty_frame(room):
    room.client.ingest_candles(candles(1), *SERIES)
    with pytest.raises(NotFound) as refused:
        room.client.query_candles(VENUE, SYMBOL, "2h")
    assert refused.value.kind == "series"
    assert refused.value.name == "binance BTC/USDT:USDT 2h candles"
    for call in (room.client.query_funding_rates, room.client.query_open_interest):
        with pytest.raises(NotFound):
            call(VENUE, SYMBOL)
    with pytest.raises(NotFound):
        room.client.query_frame("bybit", *SERIES[1:])


def test_numbers_keep_every_bit(room):
    frame = candles(4)
    frame["volume"] = [5e-324, 1.7976931348623157e308, 0.1 + 0.2, np.nan]
    room.client.ingest_candles(frame, *SERIES)
    same(room.client.query_candles(*SERIES), frame)
