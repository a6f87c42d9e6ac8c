"""`marketml data symbol` and `marketml data infer` against a served room."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from marketml.cli.data import data
from tests.data.market import DataRoom, data_room
from tests.data.test_inference import walk
from tests.imports.found_data import found


@pytest.fixture
def room(tmp_path: Path) -> Iterator[DataRoom]:
    with data_room(f"sqlite:///{tmp_path}/data.sqlite", tmp_path) as served:
        yield served


def run(room: DataRoom, *arguments: object) -> Result:
    given = [*map(str, arguments), "--data-endpoint", room.served.target]
    return CliRunner().invoke(data, given)


def test_a_spelling_is_told_in_unified_form_with_how_it_was_read(room: DataRoom) -> None:
    result = run(room, "symbol", "BTC-USDT-SWAP")
    assert result.exit_code == 0
    assert result.stdout.startswith("BTC/USDT:USDT  (")
    told = json.loads(run(room, "symbol", "XBTUSD", "--venue", "kraken", "--json").stdout)
    assert (told["symbol"], told["base"], told["quote"]) == ("BTC/USD", "BTC", "USD")


def test_a_spelling_that_depends_on_the_venue_is_refused_with_its_meanings(room: DataRoom) -> None:
    result = run(room, "symbol", "BTCUSD")
    assert result.exit_code == 3
    assert "BTC/USD:BTC on bybit" in result.stderr
    assert run(room, "symbol", "BTCUSD", "--venue", "bybit").exit_code == 0


def test_a_file_of_stored_rows_is_known_again_and_nothing_is_imported(room: DataRoom, tmp_path: Path) -> None:
    bars = walk(600)
    room.client.ingest_candles(bars, "bybit", "SOL/USDT:USDT", "1h")
    before = room.contents()
    path = tmp_path / "untitled.csv"
    bars.to_csv(path)
    result = run(room, "infer", path)
    assert result.exit_code == 0, result.output
    assert "bybit" in result.stdout
    assert "SOL/USDT:USDT" in result.stdout
    assert "stored bybit SOL/USDT:USDT 1h candles" in result.stdout
    first = json.loads(run(room, "infer", path, "--json").stdout.splitlines()[0])
    assert first["key"] == {"venue": "bybit", "symbol": "SOL/USDT:USDT", "timeframe": "1h"}
    assert first["symbol_confidence"] > 0.98
    assert room.contents() == before


def test_names_of_columns_in_the_file_count(room: DataRoom, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    bars = walk(50, price=7.3e5).assign(**{"Volume LTC": 1.0, "Volume EUR": 7.3e5}).drop(columns="volume")
    path.write_bytes(gzip.compress(bars.to_csv().encode()))
    result = run(room, "infer", path)
    assert "LTC/EUR" in result.stdout
    assert "volumes are in LTC and EUR" in result.stdout


def test_a_file_that_cannot_be_imported_is_told_of_all_the_same(room: DataRoom) -> None:
    name = "ingest/funding_binance/BTC-USDT_binance_2020-01-01_2024-01-01_funding_history.csv"
    result = run(room, "infer", found(name))
    assert result.exit_code == 0, result.output
    assert "cannot be imported as it is" in result.stderr
    assert "BTC/USDT:USDT" in result.stdout
    assert "funding rates" in result.stdout


def test_a_file_of_nothing_that_is_market_data_has_no_suggestion(room: DataRoom, tmp_path: Path) -> None:
    path = tmp_path / "things.csv"
    numbers = np.random.default_rng(0).random((30, 2))
    path.write_text("weight,height\n" + "\n".join(f"{a},{b}" for a, b in numbers))
    result = run(room, "infer", path)
    assert result.exit_code == 0, result.output
    assert "Nothing speaks for anything" in result.stdout
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    assert run(room, "infer", empty).exit_code == 1


def test_where_no_room_answers_it_is_said_how_to_start_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # of nobody, once it is closed
    result = CliRunner().invoke(data, ["symbol", "BTCUSDT", "--data-endpoint", f"127.0.0.1:{port}"])
    assert result.exit_code == 1
    assert "`marketml up` starts all four" in result.stderr
