"""Messages and domain values, there and back."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1 import market_pb2
from marketml.rpc.refusals import InvalidArgument
from services.data import wire, wire_queries
from services.data.query.alignment import FrameSpec
from services.data.records import Coverage, Snapshot
from services.data.series import CANDLES, FUNDING_RATES, KINDS, TIMEFRAMES_US, Series
from tests.data.market import KEY

times_us = st.integers(-62_135_596_800 * 10**6, 253_402_300_799 * 10**6)
BARS = Series(CANDLES, "binance", "BTC/USDT:USDT", "1h")


@given(times_us)
def test_a_time_comes_back(time_us):
    assert wire.instant_us(wire.written_instant(time_us), "field") == time_us


@given(st.integers(-(10**11), 10**11), st.integers(0, 999_999_999))
def test_a_finer_time_goes_up_for_bounds_and_down_for_moments(seconds, nanos):
    stamp = Timestamp(seconds=seconds, nanos=nanos)
    if not -62_135_596_800 <= seconds <= 253_402_300_799:
        return
    down, up = wire.instant_us(stamp, "field", up=False), wire.instant_us(stamp, "field", up=True)
    exact_ns = seconds * 10**9 + nanos
    assert down * 1000 <= exact_ns <= up * 1000
    assert up - down == (1 if nanos % 1000 else 0)


@given(
    start=st.none() | times_us,
    length=st.integers(1, 10**15),
    ages=st.tuples(st.none() | st.integers(1, 10**15), st.integers(1, 10**15)),
    as_of=st.none() | times_us,
    timeframe=st.sampled_from(sorted(TIMEFRAMES_US)),
    base=st.none() | st.just("1m"),
    beside=st.none() | st.sampled_from([("a_b-1", "ETH/USDT"), ("b", "BTC/USDT")]),
)
def test_a_frame_spec_comes_back(start, length, ages, as_of, timeframe, base, beside):
    end = None if start is None else min(start + length, 253_402_300_799 * 10**6 + 1)
    if end is not None and end > 253_402_300_799 * 10**6:
        end = None
    reference = None if beside is None else Series(CANDLES, *beside, timeframe)
    series = Series(CANDLES, "a_b-1", "BTC/USDT", timeframe)
    spec = FrameSpec(series, start, end, *ages, as_of, base, reference)
    assert wire_queries.read_frame(wire_queries.written_frame(spec)) == spec


def test_ages_that_are_not_given_have_their_defaults():
    spec = wire_queries.read_frame(pb.FrameSpec(series=KEY))
    assert spec == FrameSpec(BARS, None, None, None, 2 * 3600 * 10**6, None)
    daily = wire_queries.read_frame(
        pb.FrameSpec(series=market_pb2.SeriesKey(venue="a", symbol="A/B", timeframe="1d"))
    )
    assert daily.open_interest_max_age_us == 2 * 86_400 * 10**6


def test_a_query_has_open_ends_and_no_limit_when_nothing_is_said():
    query = wire_queries.read_query(CANDLES, pb.QueryCandlesRequest(series=KEY))
    assert query.series == (BARS,)
    assert (query.form.is_plain, query.timeframe) == (True, "")
    selection = query.selection
    assert (selection.limit, selection.newest_first, selection.as_of_us) == (0, False, None)


@given(
    filters=st.tuples(st.text(max_size=5), st.text(max_size=5), st.integers(0, 3)),
    key=st.tuples(
        st.text("abc/:", max_size=8),
        st.text("abc", max_size=8),
        st.integers(1, 3),
        st.text("1hm", max_size=3),
    ),
    other=st.integers(4, 9),
)
def test_a_page_token_comes_back_for_the_same_filters_only(filters, key, other):
    types = (str, str, int, str)
    token = wire.written_page_token(filters, key)
    assert wire.read_page_token(token, filters, types) == list(key)
    with pytest.raises(InvalidArgument):
        wire.read_page_token(token, (*filters[:2], other), types)
    with pytest.raises(InvalidArgument):
        wire.read_page_token(token, filters, (int, str))
    assert wire.read_page_token("", filters, types) is None


@given(st.text(max_size=60))
def test_a_token_that_was_not_given_is_refused(token):
    if token:
        with pytest.raises(InvalidArgument):
            wire.read_page_token(token, (), (int, str))


def test_coverage_counts_absent_bars_of_candles_only():
    hour = 3600 * 10**6
    message = wire.written_coverage(Coverage(BARS, 3, 0, 9 * hour, 1, 5, "file"))
    assert message.missing_bars_count == 7
    assert (message.kind, message.key, message.source) == (pb.SERIES_KIND_CANDLES, KEY, "file")
    rates = Coverage(BARS.sibling(FUNDING_RATES), 3, 0, 9 * hour, 0, 5, "")
    assert not wire.written_coverage(rates).HasField("missing_bars_count")
    assert not wire.written_coverage(Coverage(BARS, 0, None, None, 0, 5, "")).HasField("first_time")


def test_a_snapshots_message_says_everything():
    snapshot = Snapshot("a" * 64, FrameSpec(BARS, 1, 2, 3, 4, 5), 6, 7, 8, None, 9)
    message = wire_queries.written_snapshot(snapshot)
    assert (message.row_count, message.size_bytes) == (6, 7)
    assert message.first_time.nanos == 8_000
    assert not message.HasField("last_time")
    assert wire_queries.read_frame(message.frame) == snapshot.frame


def test_kinds_have_the_numbers_of_the_contract():
    assert {number: f"SERIES_KIND_{kind.name.upper()}" for number, kind in KINDS.items()} == {
        number: name for name, number in pb.SeriesKind.items() if number
    }
    for kind, row in [(1, pb.Candle), (2, pb.FundingRate), (3, pb.OpenInterest)]:
        names = [field.name for field in row.DESCRIPTOR.fields]
        assert names == [KINDS[kind].time_column, *KINDS[kind].columns]
