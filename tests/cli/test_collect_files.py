"""`marketml data collect-files`: the room reads, the command tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from marketml.cli.data import data
from tests.data.market import DataRoom, data_room
from tests.imports.exchange_files import klines, metrics, packed, price_klines, written
from tests.imports.market_files import candles


@pytest.fixture
def room(tmp_path: Path) -> Iterator[DataRoom]:
    url = f"sqlite:///{tmp_path}/data.sqlite"
    with data_room(url, tmp_path, import_folder=tmp_path / "dumps") as served:
        yield served


def command(room: DataRoom, *arguments: str) -> Result:
    given = ["collect-files", *arguments, "--venue", "binance", "--data-endpoint", room.served.target]
    return CliRunner().invoke(data, given)


def test_a_folder_on_the_rooms_disk_is_taken_and_told(room: DataRoom, tmp_path: Path) -> None:
    folder = tmp_path / "dumps/futures/um"
    packed(folder, "BTCUSDT-1h-2024-01-20.zip", klines(candles(24)))
    packed(folder, "BTCUSDT-metrics-2024-01-20.zip", metrics("2024-01-20"))
    result = command(room, "futures")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "futures/um/BTCUSDT-1h-2024-01-20.zip: binance BTC/USDT:USDT candles 1h: 24 inserted, 0 revised, "
        "0 unchanged",
        "futures/um/BTCUSDT-metrics-2024-01-20.zip: binance BTC/USDT:USDT open interest: 288 inserted, "
        "0 revised, 0 unchanged",
    ]
    assert result.stderr.count("SHA-256 as its CHECKSUM file says.") == 2  # of each series
    again = command(room, "futures", "--json")
    reports = [json.loads(line)["report"] for line in again.stdout.splitlines()]
    assert [int(report["unchanged"]) for report in reports] == [24, 288]


def test_a_bad_file_is_named_at_the_end(room: DataRoom, tmp_path: Path) -> None:
    packed(tmp_path / "dumps/in", "BTCUSDT-1h-2024-01-20.zip", klines(candles(24)))
    written(tmp_path / "dumps/in", "trades.csv", "1672531436,90.54,1.1\n1672531471,90.45,1.0\n")
    result = command(room, "in")
    assert result.exit_code == 1
    assert "in/trades.csv is left out: " in result.stderr
    assert result.stderr.splitlines()[-1] == "Failed: 1 of 2 files were not taken: in/trades.csv."
    assert len(room.client.query_candles("binance", "BTC/USDT", "1h")) == 24


def test_a_file_that_is_not_there_is_refused(room: DataRoom, tmp_path: Path) -> None:
    (tmp_path / "dumps").mkdir()
    result = command(room, "../data.sqlite")
    assert result.exit_code == 3
    assert "Nothing below the import folder is called '../data.sqlite'." in result.stderr


def test_a_single_bad_file_is_refused_with_its_reason(room: DataRoom, tmp_path: Path) -> None:
    written(tmp_path / "dumps", "bars.csv", klines(candles(24)))
    result = command(room, "bars.csv", "--timeframe", "1d")
    assert result.exit_code == 3
    assert "The file was not taken" in result.stderr
    assert "The bars end 1h after their open, not 1d." in result.stderr


def test_what_a_file_leaves_open_is_said_by_options(room: DataRoom, tmp_path: Path) -> None:
    packed(tmp_path / "dumps", "BTCUSDT-1h-2024-01-20.zip", price_klines(candles(24)))
    refused = command(room, "BTCUSDT-1h-2024-01-20.zip")
    assert refused.exit_code == 3
    assert "say which: prices mark or index" in refused.stderr
    result = command(room, "BTCUSDT-1h-2024-01-20.zip", "--prices", "mark")
    assert result.exit_code == 0, result.stderr
    assert "binance-mark BTC/USDT:USDT candles 1h: 24 inserted" in result.stdout
