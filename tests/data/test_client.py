"""The client: DataFrames in and out, moments with a zone, words for choices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.frames import to_frame
from marketml.rpc.refusals import InvalidArgument
from tests.data.market import HOUR, START, SYMBOL, TIMEFRAME, VENUE, candles, funding, same
from tests.imports.found_data import found

SERIES = (VENUE, SYMBOL, TIMEFRAME)


def test_moments_may_be_datetimes_or_timestamps_of_any_zone(room):
    frame = candles(5)
    room.client.ingest_candles(frame.tz_convert("Asia/Tokyo"), *SERIES)
    start = datetime(2024, 1, 1, 1, tzinfo=UTC)
    end = (START + 3 * HOUR).tz_convert("America/New_York")
    same(room.client.query_candles(*SERIES, start=start, end=end), frame[1:3])


@pytest.mark.parametrize("field", ["start", "end", "as_of"])
def test_a_moment_without_a_zone_is_refused_before_anything_is_sent(room, field):
    with pytest.raises(InvalidArgument, match="zone"):
        room.client.query_frame(*SERIES, **{field: datetime(2024, 1, 1)})  # noqa: DTZ001


def test_frames_without_a_zone_are_refused_before_anything_is_sent(room):
    with pytest.raises(InvalidArgument) as refused:
        room.client.ingest_candles(candles(3).tz_localize(None), *SERIES)
    assert refused.value.violations[0].field == "frame.index"


def test_choices_are_words_or_numbers(room):
    room.client.ingest_candles(candles(3), *SERIES)
    for choice in ("keep", "KEEP", pb.ON_CONFLICT_KEEP):
        room.client.ingest_candles(candles(3, seed=5), *SERIES, on_conflict=choice)
    same(room.client.query_candles(*SERIES), candles(3))
    with pytest.raises(InvalidArgument, match="revise, keep, refuse"):
        room.client.ingest_candles(candles(3), *SERIES, on_conflict="replace")
    for kind in ("candles", pb.SERIES_KIND_CANDLES):
        assert len(room.client.list_series(kind=kind)) == 1
    assert room.client.list_series(kind="open-interest") == []


def test_a_list_of_many_pages_is_whole(room):
    symbols = [f"A{number:02d}/USDT" for number in range(7)]
    for symbol in symbols:
        room.client.ingest_funding_rates(funding(1), VENUE, symbol)
    listed = room.client.list_series(page_size=2)
    assert [series.key.symbol for series in listed] == symbols
    assert listed[0].newest_capture_time.seconds > listed[0].last_time.seconds


def test_ages_change_what_a_snapshot_holds(room):
    room.client.ingest_candles(candles(6), *SERIES)
    room.client.ingest_funding_rates(funding(1), VENUE, SYMBOL)
    usual = room.client.create_snapshot(*SERIES)
    strict = room.client.create_snapshot(*SERIES, funding_max_age=timedelta(hours=1))
    assert usual.snapshot_id != strict.snapshot_id
    assert strict.frame.funding_max_age.seconds == 3600
    missing = room.client.read_snapshot(strict.snapshot_id)["funding_rate_missing"]
    assert missing.tolist() == [False, True, True, True, True, True]


def test_a_request_id_is_made_for_who_gives_none(room):
    room.client.ingest_candles(candles(6), *SERIES)
    made = [room.client.create_snapshot(*SERIES, start=START + hour * HOUR) for hour in range(2)]
    assert len({snapshot.snapshot_id for snapshot in made}) == 2
    assert room.client.delete_snapshot(made[0].snapshot_id) == made[0].size_bytes


def test_five_years_of_real_bars_rates_and_open_interest_align_as_pandas_aligns_them(room):
    def read(name: str, index: str, *columns: str) -> pd.DataFrame:
        frame = pd.read_csv(found(f"demo/{name}"), parse_dates=[0], index_col=0)
        frame.columns = list(columns)
        return frame.rename_axis(index)

    bars = read("BTCUSDT_1h_ohlcv.csv.gz", "open_time", "open", "high", "low", "close", "volume")
    rates = read("BTCUSDT_8h_funding_rate.csv.gz", "time", "funding_rate")
    interest = read("BTCUSDT_1h_open_interest.csv.gz", "time", "open_interest")
    room.client.ingest_candles(bars, *SERIES)
    room.client.ingest_funding_rates(rates, VENUE, SYMBOL)
    room.client.ingest_open_interest(interest, VENUE, SYMBOL)
    frame = room.client.query_frame(*SERIES)
    assert frame.index.equals(bars.index.as_unit("us"))
    assert frame["low"].idxmin() == pd.Timestamp("2020-03-13T02:00Z")
    assert frame["low"].min() == 3_621.81

    closes = pd.DataFrame({"close_time": frame.index + HOUR})
    for name, known, age in (("funding_rate", rates, "12h"), ("open_interest", interest, "2h")):
        expected = pd.merge_asof(
            closes, known.reset_index(), left_on="close_time", right_on="time", tolerance=pd.Timedelta(age)
        )[name]
        np.testing.assert_array_equal(frame[name], expected)
    series = room.client.list_series(kind="candles")
    assert [each.missing_bars_count for each in series] == [0]


def test_every_query_gives_its_rows_as_an_arrow_table_too(room):
    other = ("bybit", "ETH/USDT:USDT", TIMEFRAME)
    for series in (SERIES, other):
        room.client.ingest_candles(candles(30), *series)
    room.client.ingest_funding_rates(funding(3), VENUE, SYMBOL)
    snapshot = room.client.create_snapshot(*SERIES)
    asked = [
        ("query_candles", SERIES, {"limit": 7, "columns": ["close"]}),
        ("query_funding_rates", (VENUE, SYMBOL), {}),
        ("query_frame", SERIES, {"newest_first": True, "limit": 5}),
        ("read_snapshot", (snapshot.snapshot_id,), {}),
    ]
    for name, named, options in asked:
        table = getattr(room.client.tables, name)(*named, **options)
        same(to_frame(table), getattr(room.client, name)(*named, **options))
    assert table.schema.metadata[b"digest"] == snapshot.snapshot_id.encode()
    tables = room.client.tables.query_candles_of_many([SERIES, other], limit=4)
    assert {key: table.num_rows for key, table in tables.items()} == {SERIES: 4, other: 4}
    assert tables[other].schema.metadata[b"venue"] == b"bybit"
