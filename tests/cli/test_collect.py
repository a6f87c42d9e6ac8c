"""`marketml data collect`: the room asks the exchange, the command tells."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from marketml.cli.data import data
from tests.cli.command_line import start
from tests.data.collecting import assert_holds_all, collecting_room, stored_bars
from tests.data.market import DataRoom
from tests.support.exchange_server import HOUR, ExchangeServer, Trouble
from tests.support.waiting import eventually


@pytest.fixture
def room(exchange: ExchangeServer, tmp_path: Path) -> Iterator[DataRoom]:
    with collecting_room(exchange, f"sqlite:///{tmp_path}/data.sqlite", tmp_path) as served:
        yield served


def command(room: DataRoom, *arguments: str) -> Result:
    given = ["collect", "--venue", "binanceusdm", *arguments, "--data-endpoint", room.served.target]
    return CliRunner().invoke(data, given)


def test_series_are_collected_and_told(room: DataRoom, exchange: ExchangeServer) -> None:
    exchange.absent.add(exchange.listed + 5 * HOUR)
    exchange.impossible.add(exchange.listed + 7 * HOUR)
    given = ("--symbol", "BTCUSDT", "--kind", "candles", "--kind", "funding", "--timeframe", "1h")
    result = command(room, *given)
    assert result.exit_code == 0, result.stderr
    assert sorted(result.stdout.splitlines()) == [
        "binanceusdm BTC/USDT:USDT 1h candles: 22 inserted, 1 rejected, 2 absent bars",
        "binanceusdm BTC/USDT:USDT funding rates: 4 inserted",
    ]
    assert "BTCUSDT is BTC/USDT:USDT" in result.stderr
    assert "row 7: high high_below_" in result.stderr
    again = command(room, *given)
    assert "binanceusdm BTC/USDT:USDT funding rates: 0 inserted" in again.stdout


def test_the_messages_are_json_lines(room: DataRoom, exchange: ExchangeServer) -> None:
    result = command(room, "--symbol", "BTC/USDT:USDT", "--timeframe", "1h", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [*lines[-1]] == ["outcome"]
    assert lines[-1]["outcome"]["report"]["inserted"] == 24
    assert lines[-1]["outcome"]["series"]["key"]["symbol"] == "BTC/USDT:USDT"
    assert {*map(tuple, lines[:-1])} == {("progress",)}


def test_a_series_that_fails_is_exit_status_1_and_named(room: DataRoom, exchange: ExchangeServer) -> None:
    exchange.troubles.extend([Trouble(503)] * 6)
    result = command(room, "--symbol", "BTC/USDT:USDT", "--timeframe", "1h")
    assert result.exit_code == 1
    assert "BTC/USDT:USDT 1h candles: the exchange answered 503, attempt 2 of 6" in result.stderr
    assert result.stderr.splitlines()[-1] == (
        "Failed: 1 of 1 series did not come to their end: BTC/USDT:USDT 1h candles; the same command goes on "
        "there."
    )


def test_what_the_exchange_does_not_have_is_refused(room: DataRoom) -> None:
    result = command(room, "--symbol", "BTC/USDC:USDC", "--timeframe", "1h")
    assert result.exit_code == 3
    assert "exchange.series[0].key.symbol: must be a market of binanceusdm" in result.stderr
    assert "BTC/USDT:USDT" in result.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "Candles need --timeframe."),
        (["--kind", "funding", "--timeframe", "1h"], "--timeframe is for candles: add --kind."),
        (["--timeframe", "1h", "--start", "yesterday"], "--start must be a time"),
    ],
)
def test_wrong_usage_is_exit_status_2(room: DataRoom, given: list[str], said: str) -> None:
    result = command(room, "--symbol", "BTC/USDT:USDT", *given)
    assert result.exit_code == 2
    assert said in result.stderr


def test_ctrl_c_stops_the_collection_and_tells_what_is_stored(
    room: DataRoom, exchange: ExchangeServer, tmp_path: Path
) -> None:
    exchange.rows_max = 50
    given = ("--venue", "binanceusdm", "--symbol", "BTC/USDT:USDT", "--timeframe", "1m")
    command_line = ("data", "collect", *given, "--data-endpoint", room.served.target)
    eventually_held = start(*command_line, cwd=tmp_path)
    eventually(lambda: len(exchange.asked) > 4, 60, "some pages")
    exchange.hold.clear()
    asked_count = len(exchange.asked)
    eventually_held.send_signal(signal.SIGINT)
    _, told = eventually_held.communicate(timeout=30)
    assert eventually_held.returncode == 130, told
    assert "new rows are stored; the same command goes on after them." in told
    exchange.hold.set()
    stored_count = len(stored_bars(room, "1m"))
    assert stored_count % 50 == 0
    assert len(exchange.asked) <= asked_count + 1
    assert command(room, *given[2:]).exit_code == 0
    assert_holds_all(room, exchange, "1m")
