"""Collection from an exchange in trouble: retries, waits, outages; and its reader in a hurry or asleep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.refusals import DeadlineExceeded, Reason, Unavailable
from tests.data.collecting import (
    assert_holds_all,
    collect,
    collect_failing,
    collecting_room,
    hours,
    minutes,
    parts,
    stored_bars,
)
from tests.data.market import DataRoom
from tests.support.exchange_server import MINUTE, ExchangeServer, Trouble
from tests.support.waiting import eventually

SYMBOLS = [f"{base}/USDT:USDT" for base in ("BTC", "ETH", "SOL")]


@pytest.fixture
def room(exchange: ExchangeServer, database_url: str, tmp_path: Path) -> Iterator[DataRoom]:
    with collecting_room(exchange, database_url, tmp_path) as served:
        yield served


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (500, "the exchange answered 500"),
        (503, "the exchange answered 503"),
        (0, "the connection to the exchange broke"),
        (-1, "the exchange's answer could not be read"),
    ],
    ids=["500", "503", "a cut body", "no JSON"],
)
def test_an_answer_that_fails_is_told_and_asked_for_again(
    room: DataRoom, exchange: ExchangeServer, status: int, told: str
) -> None:
    exchange.troubles.extend([Trouble(status)] * 2)
    waits = [part.progress.waiting_for for part in parts(room, hours())]
    assert f"{told}, attempt 3 of 6" in waits
    assert_holds_all(room, exchange, "1h")


def test_an_answer_that_does_not_come_is_asked_for_again(
    exchange: ExchangeServer, database_url: str, tmp_path: Path
) -> None:
    with collecting_room(exchange, database_url, tmp_path, exchange_request_seconds=0.5) as room:
        exchange.troubles.append(Trouble(-2))
        collect(room, hours())
        assert_holds_all(room, exchange, "1h")


def test_nobody_asks_before_the_wait_that_the_exchange_demands_is_over(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    exchange.troubles.append(Trouble(429, {"Retry-After": "1"}))
    waits = [
        part.progress.waiting_for
        for part in parts(room, *(make(symbol=symbol) for make in (hours, minutes) for symbol in SYMBOLS))
    ]
    assert any("rate limit" in wait for wait in waits)
    # One may have been under way when it came; none was sent after it.
    assert exchange.early_count <= 1
    assert_holds_all(room, exchange, "1h")
    assert len(room.client.list_series()) == 6


def test_an_exchange_that_demands_too_long_a_wait_is_told_with_it(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    exchange.troubles.append(Trouble(418, {"Retry-After": "7200"}))
    [outcome], refusal = collect_failing(room, hours())
    assert type(refusal) is Unavailable
    assert refusal.reason is Reason.EXCHANGE_DOWN
    assert refusal.retry_after_seconds > 7190
    assert outcome.failure_reason == "EXCHANGE_DOWN"
    assert "rate limit" in outcome.failure


def test_an_outage_ends_the_call_and_the_same_call_goes_on_after_it(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    collect(room, minutes(), end_time="2024-01-01T08:00Z")
    exchange.troubles.extend([Trouble(503)] * 6)
    told = []
    stream = parts(room, minutes())
    with pytest.raises(Unavailable) as caught:
        told.extend(stream)
    assert caught.value.reason is Reason.EXCHANGE_DOWN
    assert caught.value.retry_after_seconds >= 1
    assert "503" in caught.value.message
    assert told[-1].HasField("outcome")
    assert any("503, attempt 2 of 6" in part.progress.waiting_for for part in told)
    assert len(stored_bars(room, "1m")) == 480
    exchange.asked.clear()
    collect(room, minutes())
    assert exchange.asked[0].start == exchange.stamp("2024-01-01T08:00Z")
    assert_holds_all(room, exchange, "1m")


def test_an_exchange_that_is_down_from_the_start_is_unavailable(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    exchange.is_down = True
    [outcome], refusal = collect_failing(room, hours())
    assert type(refusal) is Unavailable
    assert outcome.failure_reason == "EXCHANGE_DOWN"
    exchange.is_down = False
    collect(room, hours())
    assert_holds_all(room, exchange, "1h")


def test_a_series_that_fails_does_not_stop_the_others(room: DataRoom, exchange: ExchangeServer) -> None:
    collect(room, minutes(symbol="ETH/USDT:USDT"), end_time="2024-01-01T01:00Z")  # the markets are known
    exchange.symbols = ("ETHUSDT",)
    exchange.troubles.extend([Trouble(400)])
    outcomes, refusal = collect_failing(room, hours(), hours(symbol="ETH/USDT:USDT"))
    assert sorted(bool(outcome.failure) for outcome in outcomes) == [False, True]
    assert refusal.message.startswith("1 of 2 series failed, the first is binanceusdm ")
    [whole] = [outcome for outcome in outcomes if not outcome.failure]
    assert whole.report.inserted == 24


def test_a_reader_who_leaves_stops_the_collection_and_keeps_whole_pages(
    room: DataRoom, exchange: ExchangeServer
) -> None:
    exchange.rows_max = 50
    stream = parts(room, minutes())
    for part in stream:
        if part.progress.received >= 100:
            break
    exchange.hold.clear()
    stream.close()
    eventually(lambda: ended_count(room, "CANCELLED"), 5, "the end of the call, though no answer comes")
    stored = stored_bars(room, "1m")
    assert len(stored) % 50 == 0
    exchange.hold.set()
    exchange.asked.clear()
    collect(room, minutes())
    assert exchange.asked[0].start == exchange.stamp(stored.index[-1]) + MINUTE
    assert_holds_all(room, exchange, "1m")


def test_the_deadline_stops_a_collection(room: DataRoom, exchange: ExchangeServer) -> None:
    collect(room, hours(), end_time="2024-01-01T08:00Z")
    exchange.hold.clear()
    request = pb.CollectSeriesRequest(exchange=pb.ExchangeSource(series=[hours()]))
    with pytest.raises(DeadlineExceeded):
        list(room.stub.CollectSeries(request, timeout=0.5))
    eventually(lambda: ended_count(room, "DEADLINE_EXCEEDED"), 5, "the end of the call")
    assert len(stored_bars(room, "1h")) == 8


def test_a_reader_who_takes_nothing_slows_no_collection(room: DataRoom, exchange: ExchangeServer) -> None:
    exchange.rows_max = 20
    stream = parts(room, minutes())
    next(part for part in stream if part.progress.inserted)
    eventually(lambda: len(stored_bars(room, "1m")) == 1470, 30, "the last page")
    fractions = [part.progress.progress_fraction for part in stream if part.HasField("progress")]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def ended_count(room: DataRoom, code: str) -> float:
    service = "marketml.data.v1.DataService"
    return room.served.metric(
        "marketml_rpc_handled_total", service=service, method="CollectSeries", code=code
    )
