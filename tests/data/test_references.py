"""A frame with a reference: another instrument's bars beside a series' own, as they were known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1.market_pb2 import SeriesKey
from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, NotFound
from services.data.query.alignment import FRAME_SCHEMA, frame_schema, of_same_bars
from services.data.revisions import Rows
from services.data.series import CANDLES
from services.data.wire_queries import read_frame
from tests.data.market import (
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

SERIES = (VENUE, SYMBOL, TIMEFRAME)
LEADER = "ETH/USDT:USDT"
REFERENCE = (VENUE, LEADER)
COLUMNS = ["reference_close", "reference_volume", "reference_funding_rate", "reference_open_interest"]


def bars_of_both(room, count: int = 12) -> pd.DataFrame:
    """Both instruments' candles; returns the leader's, which lack two bars and go on for longer."""
    room.client.ingest_candles(candles(count), *SERIES)
    leader = candles(count + 3, seed=7)
    leader = leader.drop(leader.index[[4, 5]])
    room.client.ingest_candles(leader, VENUE, LEADER, TIMEFRAME)
    return leader


@given(
    times=st.lists(st.integers(0, 30), min_size=1, max_size=15, unique=True).map(sorted),
    bars=st.dictionaries(st.integers(0, 30), st.floats(-1, 1), max_size=15),
)
def test_a_bar_beside_is_the_one_of_the_same_open_time_or_none(times, bars):
    stamps = np.array(sorted(bars), np.int64)
    values = np.array([bars[time] for time in sorted(bars)], np.float64)
    columns = tuple(values * (number + 1) for number in range(len(CANDLES.columns)))
    rows = Rows(stamps, columns, np.zeros(len(stamps), np.int64))
    close, volume = (each.to_numpy() for each in of_same_bars(np.array(times, np.int64), rows))
    np.testing.assert_array_equal(close, [4 * bars.get(time, np.nan) for time in times])
    np.testing.assert_array_equal(volume, [5 * bars.get(time, np.nan) for time in times])


def test_the_references_columns_are_its_own_frame_at_the_same_bars(room):
    leader = bars_of_both(room)
    room.client.ingest_funding_rates(funding(2), *REFERENCE)
    room.client.ingest_funding_rates(funding(1) * 9, VENUE, SYMBOL)
    room.client.ingest_open_interest(open_interest(5, START + HOUR), *REFERENCE)
    frame = room.client.query_frame(*SERIES, reference=REFERENCE)
    assert list(frame.columns[-4:]) == COLUMNS
    assert frame.attrs["reference_symbol"] == LEADER
    same(frame.drop(columns=COLUMNS), room.client.query_frame(*SERIES))
    np.testing.assert_array_equal(frame["reference_close"], leader["close"].reindex(frame.index))
    np.testing.assert_array_equal(frame["reference_volume"], leader["volume"].reindex(frame.index))
    assert frame["reference_close"].isna().sum() == 2  # a bar that is not there is not the one before it
    beside = room.client.query_frame(*REFERENCE, TIMEFRAME).reindex(frame.index)
    has_bar = frame["reference_close"].notna()
    for name in ("funding_rate", "open_interest"):
        np.testing.assert_array_equal(frame[f"reference_{name}"][has_bar], beside[name][has_bar])
    # They are known at every bar's close, whether the reference has a bar there or not.
    np.testing.assert_array_equal(frame["reference_funding_rate"], [0.0001] * 7 + [0.0002] * 5)
    np.testing.assert_array_equal(
        frame["reference_open_interest"], [1000, 1001, 1002, 1003, 1004, 1004, 1004, *[np.nan] * 5]
    )


def test_without_a_reference_a_frame_and_its_snapshot_are_as_they_were(room):
    room.client.ingest_candles(candles(12), *SERIES)
    before, plain = room.client.create_snapshot(*SERIES), room.client.query_frame(*SERIES)
    as_of = room.client.get_snapshot(before.snapshot_id).frame.as_of_time.ToNanoseconds()
    bars_of_both(room)
    after = room.client.create_snapshot(*SERIES, as_of=pd.Timestamp(as_of, tz="UTC"))
    assert after.snapshot_id == before.snapshot_id
    same(room.client.query_frame(*SERIES), plain)
    spec = read_frame(pb.FrameSpec(series=KEY))
    assert frame_schema(spec).names == FRAME_SCHEMA.names
    assert set(frame_schema(spec).metadata) == {b"kind", b"venue", b"symbol", b"timeframe"}


def test_a_revision_of_the_reference_after_as_of_is_not_seen_nor_a_bar_before_its_close(room):
    early, late = START + 20 * HOUR, START + 40 * HOUR
    room.client.ingest_candles(candles(12), *SERIES, capture_time=early)
    first, second = candles(12, seed=1), candles(12, seed=2)
    room.client.ingest_candles(first, VENUE, LEADER, TIMEFRAME, capture_time=early)
    room.client.ingest_candles(second, VENUE, LEADER, TIMEFRAME, capture_time=late)
    for as_of, known in ((early, first), (late - HOUR, first), (late, second), (None, second)):
        frame = room.client.query_frame(*SERIES, reference=REFERENCE, as_of=as_of)
        np.testing.assert_array_equal(frame["reference_close"], known["close"])

    other = (VENUE, "SOL/USDT:USDT")
    forming = START + 11.5 * HOUR  # in the last bar
    room.client.ingest_candles(candles(12, seed=3), *other, TIMEFRAME, capture_time=forming)
    frame = room.client.query_frame(*SERIES, reference=other)
    assert frame["reference_close"].isna().tolist() == [False] * 11 + [True]
    before = room.client.query_frame(*SERIES, reference=other, as_of=early - HOUR / 2)
    assert len(before) == 0  # the reference was known then, the series was not


def test_the_references_bars_are_made_of_shorter_ones_where_there_are_none(room):
    room.client.ingest_candles(candles(6), *SERIES)
    minutes = candles(5 * 60 + 30, step=pd.Timedelta(minutes=1), seed=4)
    room.client.ingest_candles(minutes, *REFERENCE, "1m")
    made = room.client.query_candles(*REFERENCE, "1m", resample_timeframe="1h")
    frame = room.client.query_frame(*SERIES, reference=REFERENCE)
    np.testing.assert_array_equal(frame["reference_close"], [*made["close"], np.nan])  # half a bar is none
    np.testing.assert_array_equal(frame["reference_volume"], [*made["volume"], np.nan])

    # What the series' own bars are made of says nothing of the reference's.
    room.client.ingest_candles(candles(6 * 60, step=pd.Timedelta(minutes=1)), *SERIES[:2], "1m")
    again = room.client.query_frame(*SERIES, reference=REFERENCE, base_timeframe="1m")
    np.testing.assert_array_equal(again["reference_close"], frame["reference_close"])
    # Longer ones that are stored later are not what was known.
    then = max(one.newest_capture_time.ToNanoseconds() for one in room.client.list_series())
    room.client.ingest_candles(candles(10, step=HOUR / 2, seed=5), *REFERENCE, "30m")
    before = room.client.query_frame(*SERIES, reference=REFERENCE, as_of=pd.Timestamp(then, tz="UTC"))
    np.testing.assert_array_equal(before["reference_close"], frame["reference_close"])


def test_a_reference_of_a_long_frame_is_read_page_by_page_to_the_same_bits(room):
    own = candles(30_000, START - 40_000 * HOUR)
    leader = candles(30_000, START - 40_010 * HOUR, seed=2)
    leader = leader[np.random.default_rng(0).random(len(leader)) > 0.1]
    room.client.ingest_candles(own, *SERIES)
    room.client.ingest_candles(leader, VENUE, LEADER, TIMEFRAME)
    room.client.ingest_funding_rates(funding(3_000, own.index[50]), *REFERENCE)
    frame = room.client.query_frame(*SERIES, reference=REFERENCE)
    np.testing.assert_array_equal(frame["reference_close"], leader["close"].reindex(frame.index))
    beside = room.client.query_frame(*REFERENCE, TIMEFRAME)["funding_rate"].reindex(frame.index)
    has_bar = frame["reference_close"].notna()
    np.testing.assert_array_equal(frame["reference_funding_rate"][has_bar], beside[has_bar])
    for given_range in ({"start": own.index[7_000], "end": own.index[19_000]}, {}):
        some = room.client.query_frame(
            *SERIES, reference=REFERENCE, limit=500, newest_first=True, **given_range
        )
        same(some, frame.loc[some.index])
    chosen = room.client.query_frame(*SERIES, reference=REFERENCE, columns=COLUMNS[::-1], float32=True)
    assert list(chosen.columns) == COLUMNS[::-1]
    np.testing.assert_array_equal(chosen["reference_close"], frame["reference_close"].astype("float32"))


def test_frames_of_several_series_have_the_same_reference_in_their_own_bars(room):
    leader = bars_of_both(room)
    room.client.ingest_candles(candles(8, step=2 * HOUR, seed=3), VENUE, "SOL/USDT:USDT", "2h")
    asked = [SERIES, (VENUE, "SOL/USDT:USDT", "2h")]
    frames = room.client.query_frame_of_many(asked, reference=REFERENCE)
    for key, frame in frames.items():
        same(frame, room.client.query_frame(*key, reference=REFERENCE))
    longer = frames[asked[1]]["reference_close"]
    assert longer.iloc[0] == leader["close"].iloc[1]
    with pytest.raises(InvalidArgument, match=r"more_series\[0\]: must be another one than the reference"):
        room.client.query_frame_of_many([SERIES, (VENUE, LEADER, "2h")], reference=REFERENCE)


def test_a_snapshot_holds_its_reference_and_is_told_with_it(room):
    bars_of_both(room)
    frame = room.client.query_frame(*SERIES, reference=REFERENCE)
    plain = room.client.create_snapshot(*SERIES)
    made = room.client.create_snapshot(*SERIES, reference=REFERENCE, request_id="once")
    assert made.snapshot_id != plain.snapshot_id
    assert made.frame.reference == SeriesKey(venue=VENUE, symbol=LEADER, timeframe=TIMEFRAME)
    assert not plain.frame.HasField("reference")
    same(room.client.read_snapshot(made.snapshot_id), frame)
    again = room.client.create_snapshot(*SERIES, reference=REFERENCE, request_id="once")
    assert again == made == room.client.get_snapshot(made.snapshot_id)
    assert made in room.client.list_snapshots()
    asked = pb.CreateSnapshotRequest(frame=made.frame)  # what it was made of makes it again
    assert room.stub.CreateSnapshot(asked).snapshot == made

    room.client.delete_snapshot(plain.snapshot_id)
    with pytest.raises(FailedPrecondition, match=made.snapshot_id):
        room.client.delete_series("candles", VENUE, LEADER, TIMEFRAME)
    room.client.ingest_funding_rates(funding(1), *REFERENCE)
    with pytest.raises(FailedPrecondition, match=made.snapshot_id):
        room.client.delete_series("funding_rates", VENUE, LEADER)
    room.client.ingest_candles(candles(1, step=24 * HOUR), VENUE, LEADER, "1d")
    room.client.delete_series("candles", VENUE, LEADER, "1d")  # no hours are made of days
    room.client.delete_snapshot(made.snapshot_id)
    room.client.delete_series("candles", VENUE, LEADER, TIMEFRAME)


def test_a_reference_that_cannot_be_is_refused_with_path_and_rule(room):
    bars_of_both(room)
    before = room.contents()
    for reference, field, rule in (
        (KEY, "frame.reference", "other"),
        (SeriesKey(venue=VENUE, symbol=SYMBOL), "frame.reference", "other"),
        (SeriesKey(venue=VENUE, symbol=LEADER, timeframe="2h"), "frame.reference.timeframe", "same"),
        (SeriesKey(venue=VENUE, symbol=LEADER, timeframe="x" * 99), "frame.reference.timeframe", "same"),
        (SeriesKey(venue=VENUE), "frame.reference.symbol", "required"),
        (SeriesKey(symbol=LEADER), "frame.reference.venue", "required"),
        (SeriesKey(venue=VENUE, symbol="eth"), "frame.reference.symbol", "symbol"),
    ):
        spec = pb.FrameSpec(series=KEY, reference=reference)
        for ask in (
            lambda: list(room.stub.QueryFrame(pb.QueryFrameRequest(frame=spec))),  # noqa: B023
            lambda: room.stub.CreateSnapshot(pb.CreateSnapshotRequest(frame=spec)),  # noqa: B023
        ):
            with pytest.raises(InvalidArgument) as refused:
                ask()
            assert (field, rule) in [(each.field, each.rule) for each in refused.value.violations]
    for key in ((VENUE, "SOL/USDT:USDT"), ("bybit", LEADER)):
        with pytest.raises(NotFound, match=f"{key[0]} {key[1]} 1h candles"):
            room.client.query_frame(*SERIES, reference=key)
    with pytest.raises(InvalidArgument, match=r"columns\[0\]"):
        room.client.query_frame(*SERIES, columns=["reference_close"])
    assert room.contents() == before


def test_open_interest_of_the_reference_is_known_with_its_own_venues_lag(database_url, tmp_path):
    with data_room(database_url, tmp_path, open_interest_lags_ms="bybit=60000") as room:
        room.client.ingest_candles(candles(4), *SERIES)
        room.client.ingest_candles(candles(4), "bybit", LEADER, TIMEFRAME)
        room.client.ingest_open_interest(open_interest(4, START + HOUR), "bybit", LEADER)
        room.client.ingest_open_interest(open_interest(4, START + HOUR), VENUE, SYMBOL)
        frame = room.client.query_frame(*SERIES, reference=("bybit", LEADER))
    np.testing.assert_array_equal(frame["open_interest"], [1000, 1001, 1002, 1003])
    np.testing.assert_array_equal(frame["reference_open_interest"], [np.nan, 1000, 1001, 1002])


def test_the_schema_of_a_frame_says_whose_bars_stand_beside():
    spec = pb.FrameSpec(
        series=KEY, reference=SeriesKey(venue="bybit", symbol=LEADER), as_of_time=Timestamp(seconds=1)
    )
    schema = frame_schema(read_frame(spec))
    assert schema.names[: len(FRAME_SCHEMA)] == FRAME_SCHEMA.names
    assert schema.names[len(FRAME_SCHEMA) :] == COLUMNS
    assert {field.type for field in list(schema)[-4:]} == {pa.float64()}
    assert (schema.metadata[b"reference_venue"], schema.metadata[b"reference_symbol"]) == (
        b"bybit",
        LEADER.encode(),
    )
