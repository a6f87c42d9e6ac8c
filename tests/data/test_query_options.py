"""What a query may ask for: longer bars, columns, float32, several series; and how much it may take."""

from __future__ import annotations

import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1.market_pb2 import SeriesKey
from marketml.rpc.frames import read_frames
from marketml.rpc.refusals import DeadlineExceeded, InvalidArgument, NotFound, Reason, ResourceExhausted
from services.data.query.resampling import resampled_pages
from services.data.revisions import Rows
from tests.data.market import (
    CANDLE_COLUMNS,
    HOUR,
    KEY,
    START,
    SYMBOL,
    TIMEFRAME,
    VENUE,
    candles,
    data_room,
    funding,
    open_interest,
    same,
)
from tests.imports import found_data

SERIES = (VENUE, SYMBOL, TIMEFRAME)
MINUTE = pd.Timedelta(minutes=1)
LONG_AGO = pd.Timestamp("2018-01-01", tz="UTC")  # a Monday
MINUTES = (VENUE, SYMBOL, "1m")
OTHER = SeriesKey(venue=VENUE, symbol="ETH/USDT", timeframe="1h")
FIRST_LAST = {"open": "first", "high": "max", "low": "min", "close": "last"}


def longer(frame: pd.DataFrame, rule: str, origin: str | pd.Timestamp = "epoch") -> pd.DataFrame:
    """The bars that pandas makes of shorter ones, whole or not."""
    span: dict[str, Any] = {"rule": rule, "origin": origin, "closed": "left", "label": "left"}
    grouped = frame.resample(**span)
    bars = grouped.agg(FIRST_LAST)
    for name in CANDLE_COLUMNS[4:]:
        lacks = frame[name].isna().astype(float).resample(**span).max() > 0
        bars[name] = grouped[name].sum().mask(lacks)
    return bars[grouped["open"].count() > 0]


def eighths(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with sums that are exact in any order."""
    return (frame * 1024).round() / 1024


def test_longer_bars_are_those_of_pandas_and_the_last_is_given_when_its_time_is_over(room):
    frame = eighths(candles(3_000, LONG_AGO, step=MINUTE))
    frame = frame.drop(frame.index[[7, 59, 60, 61, 500]]).drop(frame.index[900:1000])
    frame.loc[frame.index[20], "volume"] = np.nan
    room.client.ingest_candles(frame, *MINUTES)
    for timeframe, rule in [("3m", "3min"), ("5m", "5min"), ("1h", "1h"), ("4h", "4h"), ("1d", "24h")]:
        expected = longer(frame, rule)
        found = room.client.query_candles(*MINUTES, resample_timeframe=timeframe)
        over = expected.index + pd.Timedelta(rule) <= frame.index[-1] + MINUTE
        same(found, expected[over])
        assert found.attrs["timeframe"] == timeframe
        assert found.attrs["base_timeframe"] == "1m"
    # 3,000 minutes are 50 hours.
    assert len(room.client.query_candles(*MINUTES, resample_timeframe="1d")) == 2


def test_a_bar_without_its_last_minute_is_given_with_the_next_minute_only(room):
    minutes = candles(9, LONG_AGO, step=MINUTE).drop(LONG_AGO + 4 * MINUTE)
    ask: dict[str, Any] = {"resample_timeframe": "5m"}
    room.client.ingest_candles(minutes[:4], *MINUTES)
    assert len(room.client.query_candles(*MINUTES, **ask)) == 0
    room.client.ingest_candles(minutes[4:5], *MINUTES)  # 00:05
    [first] = room.client.query_candles(*MINUTES, **ask).itertuples()
    assert (first.open, first.close) == (minutes["open"].iloc[0], minutes["close"].iloc[3])
    room.client.ingest_candles(minutes[5:], *MINUTES)
    again = room.client.query_candles(*MINUTES, **ask)
    assert [tuple(row) for row in again.itertuples()] == [tuple(first)]  # 00:05 to 00:10 lacks a minute yet
    assert len(room.client.query_candles(*MINUTES, **ask, end=LONG_AGO + MINUTE)) == 1  # known from beyond it


def test_a_minute_captured_before_its_close_is_in_no_longer_bar(room):
    room.clock.now = LONG_AGO + 10 * MINUTE - pd.Timedelta(seconds=1)
    room.client.ingest_candles(candles(10, LONG_AGO, step=MINUTE), *MINUTES)
    assert len(room.client.query_candles(*MINUTES)) == 10
    assert len(room.client.query_candles(*MINUTES, resample_timeframe="5m")) == 1
    room.clock.now = LONG_AGO + 11 * MINUTE
    assert len(room.client.query_candles(*MINUTES, resample_timeframe="5m")) == 1
    room.client.ingest_candles(candles(10, LONG_AGO, step=MINUTE), *MINUTES)
    assert len(room.client.query_candles(*MINUTES, resample_timeframe="5m")) == 2


def test_weeks_begin_on_monday_whatever_they_are_made_of(room):
    start = pd.Timestamp("2023-12-28", tz="UTC")  # a Thursday
    for timeframe, step, count in [("1d", 24 * HOUR, 30), ("8h", 8 * HOUR, 90), ("2h", 2 * HOUR, 360)]:
        frame = eighths(candles(count, start, step=step))
        room.client.ingest_candles(frame, VENUE, SYMBOL, timeframe)
        weeks = room.client.query_candles(VENUE, SYMBOL, timeframe, resample_timeframe="1w")
        assert [stamp.day_name() for stamp in weeks.index] == ["Monday"] * 4
        assert weeks.index[0] == pd.Timestamp("2023-12-25", tz="UTC")  # the first has four of its days
        same(weeks, longer(frame, "168h", pd.Timestamp("2023-12-25", tz="UTC"))[:4])


def test_any_range_and_limit_of_longer_bars_is_the_slice_that_pandas_takes(room):
    frame = eighths(candles(30_000, LONG_AGO, step=MINUTE))  # seven blocks
    frame = frame[np.random.default_rng(0).random(len(frame)) < 0.9]
    room.client.ingest_candles(frame, *MINUTES)
    bars = {name: longer(frame, rule) for name, rule in [("3m", "3min"), ("4h", "4h")]}
    for name, whole in bars.items():
        bars[name] = whole[whole.index + pd.Timedelta(name.replace("m", "min")) <= frame.index[-1] + MINUTE]

    @given(
        timeframe=st.sampled_from(sorted(bars)),
        edges=st.tuples(st.integers(-10, 30_010), st.integers(-10, 30_010)).map(sorted),
        limit=st.integers(0, 40) | st.integers(0, 10_100),
        newest_first=st.booleans(),
    )
    @settings(max_examples=30)
    def check(timeframe, edges, limit, newest_first):
        start, end = LONG_AGO + edges[0] * MINUTE, LONG_AGO + (edges[1] + 1) * MINUTE
        expected = bars[timeframe][start : end - pd.Timedelta(1, "us")]
        if limit:
            expected = expected[-limit:] if newest_first else expected[:limit]
        asked = {"start": start, "end": end, "limit": limit, "newest_first": newest_first}
        same(room.client.query_candles(*MINUTES, resample_timeframe=timeframe, **asked), expected)

    check()


@given(st.lists(st.integers(0, 200), max_size=8), st.sampled_from(["3m", "15m", "1h"]))
def test_the_bits_of_a_longer_bar_do_not_depend_on_how_its_rows_were_cut(cuts, timeframe):
    random = np.random.default_rng(1)
    times = np.arange(200, dtype=np.int64)[random.random(200) < 0.8] * 60_000_000
    rows = Rows(times, tuple(random.random(len(times)) * 1e6 for _ in range(8)), times)
    edges = sorted({0, *(cut for cut in cuts if cut < len(rows)), len(rows)})
    pages = [rows.take(slice(*edge)) for edge in pairwise(edges)]

    def bits(parts: list[Rows]) -> list[bytes]:
        made = list(resampled_pages(parts, timeframe, 60_000_000, lambda _time: True))
        return [b"".join(bars.columns[column].tobytes() for bars in made) for column in range(8)]

    assert bits(pages) == bits([rows])


def test_a_frame_is_made_of_the_longest_stored_bars_that_divide_it(room):
    minutes = eighths(candles(600, LONG_AGO, step=MINUTE))
    room.client.ingest_candles(minutes, *MINUTES)
    room.client.ingest_funding_rates(funding(3, LONG_AGO), VENUE, SYMBOL)
    frame = room.client.query_frame(*SERIES)
    same(frame[CANDLE_COLUMNS], longer(minutes, "1h"))
    assert (frame.attrs["timeframe"], frame.attrs["base_timeframe"]) == ("1h", "1m")
    assert frame["funding_time"].tolist() == [LONG_AGO] * 7 + [LONG_AGO + 8 * HOUR] * 3

    quarters = eighths(candles(40, LONG_AGO, step=15 * MINUTE, seed=2))
    room.client.ingest_candles(quarters, VENUE, SYMBOL, "15m")
    frame = room.client.query_frame(*SERIES)
    same(frame[CANDLE_COLUMNS], longer(quarters, "1h"))
    assert frame.attrs["base_timeframe"] == "15m"
    same(room.client.query_frame(*SERIES, base_timeframe="1m")[CANDLE_COLUMNS], longer(minutes, "1h"))

    room.client.ingest_candles(candles(2, LONG_AGO, seed=3), *SERIES)
    frame = room.client.query_frame(*SERIES)
    assert (len(frame), "base_timeframe" in frame.attrs) == (2, False)
    assert len(room.client.query_frame(*SERIES, base_timeframe="15m")) == 10
    with pytest.raises(NotFound, match="5m candles"):
        room.client.query_frame(*SERIES, base_timeframe="5m")
    with pytest.raises(NotFound, match="3m candles"):
        room.client.query_frame(VENUE, "ETH/USDT", "3m")


def test_bars_stored_later_do_not_change_what_a_frame_of_that_time_is_made_of(room):
    then = LONG_AGO + 24 * HOUR
    minutes = eighths(candles(600, LONG_AGO, step=MINUTE))
    room.client.ingest_candles(minutes, *MINUTES, capture_time=then)
    before = room.client.query_frame(*SERIES, as_of=then)
    room.client.ingest_candles(candles(9, LONG_AGO, seed=7), *SERIES, capture_time=then + HOUR)
    same(room.client.query_frame(*SERIES, as_of=then), before)
    assert len(room.client.query_frame(*SERIES, as_of=then + HOUR)) == 9


def test_longer_frames_of_five_real_years_are_those_that_pandas_makes(room):
    def read(name: str, index: str, *columns: str) -> pd.DataFrame:
        frame = pd.read_csv(found_data.found(f"demo/{name}"), parse_dates=[0], index_col=0)
        return frame.set_axis(columns, axis=1).rename_axis(index)

    bars = read("BTCUSDT_1h_ohlcv.csv.gz", "open_time", "open", "high", "low", "close", "volume")
    rates = read("BTCUSDT_8h_funding_rate.csv.gz", "time", "funding_rate")
    room.client.ingest_candles(bars, *SERIES)
    room.client.ingest_funding_rates(rates, VENUE, SYMBOL)
    for timeframe, rule in [("4h", "4h"), ("1d", "24h")]:
        expected = bars.resample(rule).agg(FIRST_LAST | {"volume": "sum"})
        frame = room.client.query_frame(VENUE, SYMBOL, timeframe)
        assert frame.index.equals(expected.index.as_unit("us"))  # the file ends with a day
        same(frame[list(FIRST_LAST)], expected[list(FIRST_LAST)].set_axis(frame.index))
        np.testing.assert_allclose(frame["volume"], expected["volume"], rtol=1e-12)
        closes = pd.DataFrame({"close": frame.index + pd.Timedelta(rule)})
        known = pd.merge_asof(closes, rates.reset_index(), left_on="close", right_on="time")
        is_fresh = closes["close"] - known["time"] <= pd.Timedelta("12h")
        np.testing.assert_array_equal(frame["funding_rate"], known["funding_rate"].where(is_fresh))


def test_a_snapshot_says_which_bars_it_is_made_of_and_they_are_kept_for_it(room):
    client = room.client
    client.ingest_candles(candles(600, LONG_AGO, step=MINUTE), *MINUTES)
    snapshot = client.create_snapshot(*SERIES)
    assert (snapshot.row_count, snapshot.frame.base_timeframe) == (10, "1m")
    assert client.get_snapshot(snapshot.snapshot_id) == snapshot
    same(client.read_snapshot(snapshot.snapshot_id), client.query_frame(*SERIES))
    with pytest.raises(Exception, match="snapshot") as refused:
        client.delete_series("candles", *MINUTES)
    assert refused.value.reason is Reason.IN_USE
    named = client.create_snapshot(*SERIES, base_timeframe="1m", funding_max_age=8 * HOUR)
    assert named.snapshot_id == snapshot.snapshot_id


def test_columns_come_in_the_order_asked_and_float32_halves_the_values(room):
    frame = candles(5_000, LONG_AGO)
    room.client.ingest_candles(frame, *SERIES)
    room.client.ingest_candles(candles(5_000, LONG_AGO, seed=3)[4_000:4_010], *SERIES)
    whole = room.client.query_candles(*SERIES)
    same(room.client.query_candles(*SERIES, columns=["close", "open"]), whole[["close", "open"]])
    same(room.client.query_candles(*SERIES, float32=True), whole.astype("float32"))
    asked = {"columns": ["volume"], "float32": True, "limit": 7, "newest_first": True}
    same(room.client.query_candles(*SERIES, **asked), whole[["volume"]][-7:].astype("float32"))
    room.client.ingest_funding_rates(funding(4, LONG_AGO), VENUE, SYMBOL)
    same(
        room.client.query_funding_rates(VENUE, SYMBOL, columns=["mark_price"]),
        funding(4, LONG_AGO)[["mark_price"]],
    )
    aligned = room.client.query_frame(*SERIES)
    chosen = ["funding_time", "close", "funding_rate_missing", "funding_rate"]
    found = room.client.query_frame(*SERIES, columns=chosen, float32=True)
    same(found, aligned[chosen].astype({"close": "float32", "funding_rate": "float32"}))
    room.client.ingest_candles(candles(1).assign(volume=1e300), VENUE, "BIG/USDT", TIMEFRAME)
    assert np.isinf(room.client.query_candles(VENUE, "BIG/USDT", TIMEFRAME, float32=True)["volume"]).all()
    empty = room.client.query_candles(*SERIES, columns=["low"], float32=True, end=LONG_AGO)
    assert (len(empty), list(empty.columns), empty["low"].dtype) == (0, ["low"], np.float32)
    bars = room.client.query_candles(*SERIES, columns=["high"], resample_timeframe="1d")
    assert list(bars.columns) == ["high"]


def test_several_series_come_one_after_the_other_in_one_stream(room):
    told = {
        (VENUE, symbol, timeframe): candles(count, LONG_AGO, seed=count)
        for symbol, timeframe, count in [
            (SYMBOL, "1h", 20_000),
            ("ETH/USDT", "1h", 3),
            (SYMBOL, "2h", 40),
            ("SOL/USDT", "1h", 12),
        ]
    }
    for key, frame in told.items():
        frame.index = pd.date_range(LONG_AGO, periods=len(frame), freq=key[2], name="open_time", unit="us")
        room.client.ingest_candles(frame, *key)
    asked = list(told)[::-1]
    found = room.client.query_candles_of_many(asked)
    assert list(found) == asked
    for key, frame in found.items():
        same(frame, told[key])
        assert (frame.attrs["symbol"], frame.attrs["timeframe"]) == key[1:]
    for key, frame in room.client.query_candles_of_many(asked, limit=2, newest_first=True).items():
        same(frame, told[key][-2:])
    nothing = room.client.query_candles_of_many(asked, end=LONG_AGO)
    assert [len(frame) for frame in nothing.values()] == [0] * 4
    for key, frame in room.client.query_frame_of_many(asked, columns=["close"]).items():
        same(frame, told[key][["close"]])
    days = room.client.query_candles_of_many(asked[1:], resample_timeframe="1d")
    assert [len(frame) for frame in days.values()] == [3, 0, 833]

    request = pb.QueryCandlesRequest(
        series=KEY, more_series=[SeriesKey(venue=VENUE, symbol="ETH/USDT", timeframe="1h")]
    )
    responses = list(room.stub.QueryCandles(request))
    assert [response.chunk.sequence for response in responses] == list(range(3))
    assert len(read_frames(response.chunk for response in responses)) == 2


def test_rates_and_open_interest_of_several_instruments_come_in_one_stream(room):
    symbols = [(VENUE, f"A{number}/USDT") for number in range(3)]
    for number, key in enumerate(symbols):
        room.client.ingest_funding_rates(funding(number + 1), *key)
        room.client.ingest_open_interest(open_interest(number + 2), *key)
    rates = room.client.query_funding_rates_of_many(symbols)
    interest = room.client.query_open_interest_of_many(symbols, columns=["open_interest"])
    for number, key in enumerate(symbols):
        same(rates[key], funding(number + 1))
        same(interest[key], open_interest(number + 2)[["open_interest"]])


def test_an_unknown_series_among_several_is_told_before_the_first_chunk(room):
    room.client.ingest_candles(candles(3), *SERIES)
    for name, request in [
        ("QueryCandles", pb.QueryCandlesRequest(series=KEY, more_series=[OTHER])),
        ("QueryFrame", pb.QueryFrameRequest(frame=pb.FrameSpec(series=KEY), more_series=[OTHER])),
    ]:
        responses = getattr(room.stub, name)(request)
        with pytest.raises(NotFound, match="ETH/USDT"):
            next(responses)


def test_the_age_of_funding_follows_its_interval_from_8_to_4_hours(room):
    room.client.ingest_candles(candles(60), *SERIES)
    eight = funding(4)  # 0, 8, 16, 24
    four = funding(4, START + 28 * HOUR, step=4 * HOUR)  # 28, 32, 36, 40, and then nothing
    room.client.ingest_funding_rates(pd.concat([eight, four]), VENUE, SYMBOL)
    frame = room.client.query_frame(*SERIES)
    closes = frame.index + HOUR
    ages = (closes - frame["funding_time"]) / HOUR
    assert ages[closes < START + 28 * HOUR].max() == 7
    assert frame["funding_rate_missing"].tolist() == [close > START + 46 * HOUR for close in closes]

    room.client.ingest_candles(candles(60), VENUE, "ETH/USDT", TIMEFRAME)
    room.client.ingest_funding_rates(eight[:1], VENUE, "ETH/USDT")  # one alone says no interval: 12 hours
    frame = room.client.query_frame(VENUE, "ETH/USDT", TIMEFRAME)
    assert frame["funding_rate_missing"].tolist() == [number > 12 for number in range(1, 61)]
    # Of a range, what came before it counts as well.
    part = room.client.query_frame(*SERIES, start=START + 45 * HOUR, end=START + 48 * HOUR)
    assert part["funding_rate_missing"].tolist() == [False, True, True]
    part = room.client.query_frame(*SERIES, start=START + 24 * HOUR, limit=1)
    assert part["funding_time"].tolist() == [START + 24 * HOUR]


def test_a_listing_tells_the_interval_between_the_two_newest_settlements(room):
    def interval() -> datetime.timedelta | None:
        [listed] = room.client.list_series()
        return listed.settlement_interval.ToTimedelta() if listed.HasField("settlement_interval") else None

    room.client.ingest_funding_rates(funding(1), VENUE, SYMBOL)
    assert interval() is None
    room.client.ingest_funding_rates(funding(3), VENUE, SYMBOL)
    assert interval() == 8 * HOUR
    room.client.ingest_funding_rates(funding(1, START + 20 * HOUR), VENUE, SYMBOL)
    assert interval() == 4 * HOUR
    room.client.ingest_candles(candles(2), *SERIES)
    assert sum(series.HasField("settlement_interval") for series in room.client.list_series()) == 1


def test_an_answer_of_too_many_rows_is_refused_before_its_first_and_says_the_limit(database_url, tmp_path):
    with data_room(database_url, tmp_path, query_rows_count=10_000) as room:
        room.client.ingest_candles(candles(12_000, LONG_AGO), *SERIES)
        room.client.ingest_candles(candles(6_000, LONG_AGO), VENUE, "ETH/USDT", TIMEFRAME)
        for name, request in [
            ("QueryCandles", pb.QueryCandlesRequest(series=KEY)),
            ("QueryCandles", pb.QueryCandlesRequest(series=KEY, limit=10_001)),
            ("QueryCandles", pb.QueryCandlesRequest(series=OTHER, more_series=[KEY], limit=6_000)),
            ("QueryFrame", pb.QueryFrameRequest(frame=pb.FrameSpec(series=KEY))),
        ]:
            with pytest.raises(ResourceExhausted, match="at most 10,000") as refused:
                next(getattr(room.stub, name)(request))
            assert refused.value.subject == "query_rows_count"
            assert refused.value.reason is Reason.LIMIT_EXCEEDED
        assert len(room.client.query_candles(*SERIES, limit=10_000, newest_first=True)) == 10_000
        assert len(room.client.query_candles(*SERIES, start=LONG_AGO + 2_500 * HOUR, limit=9_999)) == 9_500
        assert len(room.client.query_candles(*SERIES, resample_timeframe="2h")) == 6_000
        # What block heads do not tell is refused once it is there.
        with pytest.raises(ResourceExhausted, match="query_rows_count"):
            room.client.query_candles(*SERIES, start=LONG_AGO + 1_000 * HOUR, end=LONG_AGO + 11_500 * HOUR)


def test_a_query_that_takes_too_long_is_ended_and_says_the_limit(database_url, tmp_path):
    with data_room(database_url, tmp_path, query_seconds=1e-9) as room:
        room.client.ingest_candles(candles(3), *SERIES)
        for query in (room.client.query_candles, room.client.query_frame):
            with pytest.raises(ResourceExhausted, match="query_seconds") as refused:
                query(*SERIES)
            assert refused.value.subject == "query_seconds"


def test_the_callers_own_deadline_is_told_as_such(room):
    room.client.ingest_candles(candles(3), *SERIES)
    with pytest.raises(DeadlineExceeded):
        list(room.stub.QueryCandles(pb.QueryCandlesRequest(series=KEY), timeout=1e-6))


def _frame(**given: Any) -> pb.FrameSpec:
    return pb.FrameSpec(**({"series": KEY} | given))


REFUSED = [
    ("QueryCandles", {"columns": ["close", "price"]}, "columns[1]", "unknown"),
    ("QueryCandles", {"columns": ["open_time"]}, "columns[0]", "unknown"),
    ("QueryCandles", {"columns": ["close", "low", "close"]}, "columns[2]", "unique"),
    ("QueryCandles", {"columns": ["open", "close"] * 50_000}, "columns[2]", "unique"),
    ("QueryCandles", {"resample_timeframe": "7m"}, "resample_timeframe", "unknown"),
    ("QueryCandles", {"resample_timeframe": "1h"}, "resample_timeframe", "multiple"),
    ("QueryCandles", {"resample_timeframe": "30m"}, "resample_timeframe", "multiple"),
    ("QueryCandles", {"more_series": [KEY]}, "more_series[0]", "unique"),
    ("QueryCandles", {"more_series": [OTHER, OTHER]}, "more_series[1]", "unique"),
    ("QueryCandles", {"more_series": [SeriesKey(venue=VENUE)]}, "more_series[0].symbol", "required"),
    ("QueryCandles", {"more_series": [OTHER] * 100}, "more_series", "count"),
    ("QueryFrame", {"columns": ["funding"]}, "columns[0]", "unknown"),
    ("QueryFrame", {"columns": ["close"] * 2}, "columns[1]", "unique"),
    ("QueryFrame", {"frame": _frame(base_timeframe="1x")}, "frame.base_timeframe", "unknown"),
    ("QueryFrame", {"frame": _frame(base_timeframe="2h")}, "frame.base_timeframe", "multiple"),
    ("QueryFrame", {"more_series": [KEY]}, "more_series[0]", "unique"),
    (
        "QueryFrame",
        {
            "frame": _frame(base_timeframe="30m"),
            "more_series": [SeriesKey(venue=VENUE, symbol=SYMBOL, timeframe="15m")],
        },
        "more_series[0].timeframe",
        "multiple",
    ),
    ("CreateSnapshot", {"frame": _frame(base_timeframe="7h")}, "frame.base_timeframe", "unknown"),
]


def test_options_that_cannot_be_are_refused_with_path_and_rule(room):
    room.client.ingest_candles(candles(3), *SERIES)
    for name, given_fields, field, rule in REFUSED:
        message = getattr(pb, f"{name}Request")
        defaults = {"series": KEY} if name == "QueryCandles" else {"frame": _frame()}
        request = message(**(defaults | given_fields))
        with pytest.raises(InvalidArgument) as refused:
            list(getattr(room.stub, name)(request))
        found = [(each.field, each.rule) for each in refused.value.violations]
        assert (field, rule) in found, (name, given_fields, found)
    for method, message in [
        (room.stub.QueryFundingRates, pb.QueryFundingRatesRequest),
        (room.stub.QueryOpenInterest, pb.QueryOpenInterestRequest),
    ]:
        asked = message(series=SeriesKey(venue=VENUE, symbol=SYMBOL), columns=["close"])
        with pytest.raises(InvalidArgument, match="columns"):
            list(method(asked))
