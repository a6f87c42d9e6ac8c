"""CollectSeries from an exchange, over a real channel, against a server that answers like one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.refusals import InvalidArgument
from tests.data.collecting import (
    SYMBOL,
    VENUE,
    assert_holds_all,
    collect,
    collecting_room,
    follow,
    hours,
    minutes,
    moment,
    parts,
    stored_bars,
    target,
    told_bars,
)
from tests.data.market import DataRoom
from tests.support.exchange_server import HOUR, MINUTE, ExchangeServer

SYMBOLS = [f"{base}/USDT:USDT" for base in ("BTC", "ETH", "SOL")]


@pytest.fixture
def room(exchange: ExchangeServer, database_url: str, tmp_path: Path) -> Iterator[DataRoom]:
    with collecting_room(exchange, database_url, tmp_path) as served:
        yield served


def test_candles_are_collected_whole_with_every_column(room: DataRoom, exchange: ExchangeServer) -> None:
    outcome = collect(room, minutes())
    assert_holds_all(room, exchange, "1m")
    assert (outcome.report.received, outcome.report.inserted) == (1470, 1470)
    assert outcome.missing_bars_count == 0
    [series] = room.client.list_series()
    assert series.source == f"ccxt {VENUE}"


def test_funding_and_open_interest_are_collected(room: DataRoom, exchange: ExchangeServer) -> None:
    exchange.settlement_delay = 7  # milliseconds: venues write the record a little late
    exchange.now += 1000
    follow(room, exchange)
    collect(room, target("funding_rates"), target("open_interest"))
    funding = room.client.query_funding_rates(VENUE, SYMBOL)
    told = exchange.funding_times(0, 2**60)
    assert list(funding.index) == [moment(at) for at in told]
    assert list(funding["funding_rate"]) == [exchange.rate(at) for at in told]
    assert (funding["mark_price"] == 100.5).all()
    interest = room.client.query_open_interest(VENUE, SYMBOL)
    told = exchange.interest_times(0, 2**60)
    assert list(interest.index) == [moment(at) for at in told]
    assert list(interest["open_interest"]) == [exchange.interest(at) for at in told]
    assert list(interest["open_interest_value"]) == [exchange.interest(at) * 100 for at in told]


def test_settlements_are_found_whatever_their_interval(room: DataRoom, exchange: ExchangeServer) -> None:
    exchange.listed = exchange.stamp("2023-06-01")
    exchange.settlements = [(0, 8), (exchange.stamp("2023-09-01"), 4), (exchange.stamp("2023-12-01"), 1)]
    outcome = collect(room, target("funding_rates"))
    told = [moment(at) for at in exchange.funding_times(0, 2**60)]
    assert list(room.client.query_funding_rates(VENUE, SYMBOL).index) == told
    assert outcome.report.inserted == len(told) > 1000  # more than a page


def test_settlements_written_late_are_neither_lost_nor_read_again(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    exchange.settlement_delay = 9
    exchange.listed = exchange.stamp("2022-06-01")
    collect(room, target("funding_rates"), start_time="2022-06-01T00:00Z", end_time="2022-08-01T00:00Z")
    outcome = collect(room, target("funding_rates"))
    assert outcome.report.unchanged == 0
    told = exchange.funding_times(0, exchange.now - 10)
    stored = room.client.query_funding_rates(VENUE, SYMBOL)
    assert list(stored.index) == [moment(at) for at in told]
    exchange.revised[told[5]] = 0.25
    span = {"start_time": moment(told[5]), "end_time": moment(told[5]) + pd.Timedelta(microseconds=1)}
    request = pb.RepairSeriesRequest(
        kind=pb.SERIES_KIND_FUNDING_RATES,
        key=target("funding_rates").key,
        actions=[pb.RepairAction(refetch=span)],
    )
    [outcome] = room.stub.RepairSeries(request).outcomes
    assert (outcome.inserted, outcome.revised, outcome.unchanged) == (0, 1, 0)


def test_an_exchange_that_says_the_newest_first_is_collected_alike(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    exchange.rows_max = 70  # it leaves out the begin of what is asked
    exchange.settlements = [(0, 1)]
    exchange.listed = exchange.stamp("2023-12-15")
    collect(room, hours(venue="bybit"), target("funding_rates", venue="bybit"))
    told = exchange.bars(0, 2**60, HOUR)
    stored = stored_bars(room, "1h", venue="bybit")
    expected = told_bars(exchange, told, "1h")
    columns = ["open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(stored[columns], expected[columns], check_freq=False)
    assert stored[["quote_volume", "trade_count", "taker_buy_volume"]].isna().all(axis=None)
    settled = room.client.query_funding_rates("bybit", SYMBOL)
    assert list(settled.index) == [moment(at) for at in exchange.funding_times(0, 2**60)]


def test_a_second_call_asks_only_for_what_came_since(room: DataRoom, exchange: ExchangeServer) -> None:
    collect(room, minutes(), target("funding_rates"), target("open_interest"))
    newest = exchange.bars(0, 2**60, MINUTE)[-1]
    exchange.asked.clear()
    assert collect(room, minutes()).report.received == 0
    assert not exchange.asked  # nothing has closed since
    exchange.now += 5 * MINUTE
    follow(room, exchange)
    outcomes = collect(room, minutes(), target("funding_rates"), target("open_interest"))
    assert [outcome.report.received for outcome in outcomes] == [
        {1: 5, 2: 0, 3: 1}[outcome.series.kind] for outcome in outcomes
    ]
    asked = {one.what: one.start for one in reversed(exchange.asked)}
    assert asked["klines"] == newest + MINUTE
    assert asked["funding"] > exchange.funding_times(0, 2**60)[-1]
    assert min(one.start or 0 for one in exchange.asked if one.what == "interest") > exchange.now - 6 * MINUTE
    assert_holds_all(room, exchange, "1m")


def test_the_start_and_the_end_are_honoured(room: DataRoom, exchange: ExchangeServer) -> None:
    collect(room, hours(), start_time="2024-01-01T05:30Z", end_time="2024-01-01T09:00Z")
    assert list(stored_bars(room, "1h").index.hour) == [6, 7, 8]
    collect(room, hours(), start_time="2024-01-01T00:00Z", end_time="2024-01-01T12:00Z")
    assert list(stored_bars(room, "1h").index.hour) == [6, 7, 8, 9, 10, 11]


def test_the_bar_that_is_still_open_is_never_stored(room: DataRoom, exchange: ExchangeServer) -> None:
    exchange.shows_open_bar = True
    collect(room, hours())
    assert_holds_all(room, exchange, "1h")


def test_a_bar_open_by_the_exchanges_clock_is_not_stored_though_ours_says_it_closed(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    room.clock.now = moment(exchange.now) + pd.Timedelta(minutes=40)
    exchange.shows_open_bar = True
    collect(room, hours())
    assert_holds_all(room, exchange, "1h")
    exchange.now += 40 * MINUTE
    collect(room, hours())
    assert_holds_all(room, exchange, "1h")


def test_pages_that_overlap_change_nothing(room: DataRoom, exchange: ExchangeServer) -> None:
    exchange.overlap_count = 20
    outcome = collect(room, minutes())
    assert_holds_all(room, exchange, "1m")
    assert (outcome.report.inserted, outcome.report.revised) == (1470, 0)


def test_short_pages_leave_nothing_out(room: DataRoom, exchange: ExchangeServer) -> None:
    exchange.rows_max = 100
    collect(room, minutes())
    assert_holds_all(room, exchange, "1m")


def test_missing_bars_are_counted_and_none_beside_them_is_lost(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    begin = exchange.listed
    gone = {begin + at * MINUTE for at in (3, 4, 498, 499, 500, 998, 1200)}
    exchange.absent |= gone
    outcome = collect(room, minutes())
    assert outcome.missing_bars_count == len(gone)
    assert_holds_all(room, exchange, "1m")


def test_an_outage_longer_than_pages_does_not_end_the_collection(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    exchange.absent |= set(range(exchange.listed + 60 * MINUTE, exchange.listed + 1320 * MINUTE, MINUTE))
    outcome = collect(room, minutes())
    assert outcome.missing_bars_count == 1260
    assert_holds_all(room, exchange, "1m")


def test_an_hour_without_bars_at_a_venue_that_cannot_look_ahead_is_passed_over(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    exchange.absent |= set(range(exchange.listed + 60 * MINUTE, exchange.listed + 120 * MINUTE, MINUTE))
    outcome = collect(room, minutes(venue="bybit"))
    assert outcome.missing_bars_count == 60
    assert len(stored_bars(room, "1m", venue="bybit")) == 1470 - 60


def test_rows_said_twice_are_stored_once(room: DataRoom, exchange: ExchangeServer) -> None:
    exchange.repeated.add(exchange.listed + 5 * HOUR)
    outcome = collect(room, hours())
    assert (outcome.report.received, outcome.report.inserted, outcome.report.unchanged) == (25, 24, 1)
    assert not outcome.notes
    assert_holds_all(room, exchange, "1h")


def test_of_rows_said_twice_differently_the_later_is_taken_and_told(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    exchange.contradicted.add(exchange.listed + 5 * HOUR)
    outcome = collect(room, hours())
    assert ["later ones were taken" in note for note in outcome.notes] == [True]
    assert_holds_all(room, exchange, "1h")


def test_impossible_rows_are_left_out_and_reported(room: DataRoom, exchange: ExchangeServer) -> None:
    bad = exchange.listed + 5 * HOUR
    exchange.impossible.add(bad)
    outcome = collect(room, hours())
    report = outcome.report
    assert (report.received, report.inserted, report.rejected_count) == (24, 23, 1)
    assert [(one.row, one.field) for one in report.rejections] == [(5, "high")]
    assert outcome.missing_bars_count == 1
    assert moment(bad) not in stored_bars(room, "1h").index


def test_a_revised_bar_is_seen_when_it_is_fetched_again(room: DataRoom, exchange: ExchangeServer) -> None:
    collect(room, hours())
    revised = exchange.listed + 3 * HOUR
    exchange.revised[revised] = 170.0
    assert collect(room, hours()).report.received == 0
    before = room.clock.now
    exchange.now += MINUTE
    follow(room, exchange)
    action = pb.RepairAction(
        refetch={"start_time": moment(revised - HOUR), "end_time": moment(revised + 2 * HOUR)}
    )
    [outcome] = room.stub.RepairSeries(
        pb.RepairSeriesRequest(kind=pb.SERIES_KIND_CANDLES, key=hours().key, actions=[action])
    ).outcomes
    assert (outcome.inserted, outcome.revised, outcome.unchanged) == (0, 1, 2)
    assert outcome.still_missing_count == 0
    assert_holds_all(room, exchange, "1h")
    then = room.client.query_candles(VENUE, SYMBOL, "1h", as_of=before)
    assert then.loc[moment(revised), "close"] != 170.0


def test_a_refetch_fills_a_gap_and_tells_what_the_exchange_lacks_too(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    first, second = exchange.listed + 3 * HOUR, exchange.listed + 4 * HOUR
    exchange.absent |= {first, second}
    collect(room, hours())
    exchange.absent.remove(first)
    action = pb.RepairAction(
        refetch={"start_time": moment(first), "end_time": moment(exchange.listed + 5 * HOUR)}
    )
    [outcome] = room.stub.RepairSeries(
        pb.RepairSeriesRequest(kind=pb.SERIES_KIND_CANDLES, key=hours().key, actions=[action])
    ).outcomes
    assert (outcome.inserted, outcome.still_missing_count) == (1, 1)
    assert_holds_all(room, exchange, "1h")


def test_several_symbols_and_kinds_are_collected_at_once(room: DataRoom, exchange: ExchangeServer) -> None:
    targets = [hours(symbol=symbol) for symbol in SYMBOLS]
    targets += [target("funding_rates", symbol=symbol) for symbol in SYMBOLS]
    collect(room, *targets)
    counts = {(one.key.symbol, one.kind): one.row_count for one in room.client.list_series()}
    assert counts == {(symbol, kind): {1: 24, 2: 4}[kind] for symbol in SYMBOLS for kind in (1, 2)}


def test_what_the_exchange_does_not_have_is_refused_by_its_field_and_nothing_is_collected(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    targets = [
        hours(),
        hours(symbol="BTC/USDC:USDC"),
        hours(symbol="BTC/USDT"),
        target("candles", "2h", venue="bybit"),
        target("candles", "8h", venue="bybit"),
    ]
    with pytest.raises(InvalidArgument) as caught:
        list(parts(room, *targets))
    found = [(violation.field, violation.rule) for violation in caught.value.violations]
    assert found == [
        ("exchange.series[1].key.symbol", "unknown"),
        ("exchange.series[2].key.symbol", "unknown"),
        ("exchange.series[4].key.timeframe", "not_offered"),
    ]
    assert "BTC/USDT:USDT" in caught.value.violations[0].description  # the nearest
    assert not exchange.asked
    assert not room.client.list_series()


def test_a_symbol_listed_since_the_markets_were_read_is_known(
    room: DataRoom, exchange: ExchangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(room, hours())
    exchange.symbols = (*exchange.symbols, "NEWUSDT")
    monkeypatch.setattr("services.data.collection.exchange.RELOAD_SECONDS", 0.0)
    assert collect(room, hours(symbol="NEW/USDT:USDT")).report.inserted == 24


def test_progress_grows_and_ends_whole(room: DataRoom, exchange: ExchangeServer) -> None:
    exchange.absent.add(exchange.listed + 700 * MINUTE)
    told: list[Any] = [part.progress for part in parts(room, minutes()) if part.HasField("progress")]
    fractions = [one.progress_fraction for one in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    last = told[-1]
    assert (last.received, last.inserted, last.missing_bars_count) == (1469, 1469, 1)
    assert last.newest_time.ToSeconds() * 1000 == exchange.bars(0, 2**60, MINUTE)[-1]
    assert last.remaining_time.ToSeconds() == 0
