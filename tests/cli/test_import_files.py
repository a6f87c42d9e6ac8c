"""`marketml data import`: many files at once, what is told of them, and how the command ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from marketml.cli.data import data
from tests.cli.command_line import run
from tests.data.market import DataRoom, data_room
from tests.imports.exchange_files import funding_rates, klines, metrics, packed, written
from tests.imports.market_files import candles

VENUE = ("--venue", "binance")


@pytest.fixture
def room(tmp_path: Path) -> Iterator[DataRoom]:
    with data_room(f"sqlite:///{tmp_path}/data.sqlite", tmp_path) as served:
        yield served


def command(room: DataRoom, *arguments: str | Path) -> Result:
    return CliRunner().invoke(data, ["import", *map(str, arguments), "--data-endpoint", room.served.target])


def documents(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three days of hourly candles, metrics, funding rates, and what lies beside them."""
    folder = tmp_path / "archive"
    frame = candles(72, "1h", "2024-01-20T00:00Z")
    for number in range(3):
        part = frame.iloc[24 * number : 24 * (number + 1)]
        packed(folder / "klines", f"BTCUSDT-1h-2024-01-2{number}.zip", klines(part))
    packed(folder / "metrics", "BTCUSDT-metrics-2024-01-20.zip", metrics("2024-01-20"))
    packed(folder / "funding", "BTCUSDT-fundingRate-2024-01.zip", funding_rates("2024-01"))
    for name in ("README.md", ".DS_Store", "LICENSE.txt", "notes.pdf"):
        written(folder, name, "x")
    written(folder / ".cache", "old.csv", "x")
    return folder


def test_a_folder_is_imported_with_all_below_it_and_what_is_no_data_is_said(
    room: DataRoom, folder: Path
) -> None:
    result = command(room, folder, *VENUE, "--market", "contract")
    assert result.exit_code == 0, result.stderr
    series = {one.key.timeframe or one.kind: one for one in room.client.list_series()}
    assert {one.key.symbol for one in series.values()} == {"BTC/USDT:USDT"}
    assert [series[name].row_count for name in ("1h", 2, 3)] == [72, 90, 288]
    assert "10 files are no market data and left out: 5 .CHECKSUM" in result.stderr
    last = result.stdout.splitlines()[-3:]
    assert [line.split()[2:5] for line in last] == [
        ["candles", "1h", "3"],
        ["funding", "1", "90"],
        ["open-interest", "1", "288"],
    ]


def test_a_bad_file_is_named_at_the_end_and_the_others_are_stored(room: DataRoom, folder: Path) -> None:
    written(
        folder / "klines", "BTCUSDT-trades-2024-01-20.csv", "1672531436,90.54,1.1\n1672531471,90.45,1.0\n"
    )
    bad = candles(24, "1h", "2024-01-25T00:00Z")
    bad.loc[bad.index[2], "high"] = 1.0
    packed(folder / "klines", "BTCUSDT-1h-2024-01-25.zip", klines(bad))
    result = command(room, folder, *VENUE)
    assert result.exit_code == 1
    assert "2 of 7 files were not imported: " in result.stderr
    assert "BTCUSDT-1h-2024-01-25.zip, " in result.stderr.splitlines()[-1]
    assert "rows[2].high" in result.stderr
    assert len(room.client.query_candles("binance", "BTC/USDT", "1h")) == 72
    again = command(room, folder, *VENUE, "--skip-invalid", "--json")
    assert again.exit_code == 1
    *files, summary = documents(again)
    assert [document["file"] for document in files if "error" in document] == summary["failed"]
    assert [Path(path).name for path in summary["failed"]] == ["BTCUSDT-trades-2024-01-20.csv"]
    assert len(room.client.query_candles("binance", "BTC/USDT", "1h")) == 95


def test_importing_again_changes_nothing_and_says_so(room: DataRoom, folder: Path) -> None:
    command(room, folder, *VENUE)
    before = room.contents()
    *files, summary = documents(command(room, folder, *VENUE, "--json"))
    assert room.contents() == before
    assert all(document["report"]["unchanged"] == document["rows"] for document in files)
    assert [one["unchanged"] for one in summary["series"]] == [72, 90, 288]
    assert [one["stored"] for one in summary["series"]] == [72, 90, 288]


def test_what_was_told_of_one_file_is_not_told_again_of_the_next(room: DataRoom, folder: Path) -> None:
    told = command(room, folder, *VENUE).stderr
    assert told.count("SHA-256 as its CHECKSUM file says.") == 3  # of each series
    assert told.count("Time from 1: epochs in milliseconds.") == 1
    assert told.count("BTCUSDT is BTC/USDT") == 1
    *files, _ = documents(command(room, folder, *VENUE, "--json"))
    assert all("SHA-256 as its CHECKSUM file says." in document["notes"] for document in files)


def test_files_of_one_series_in_any_order_and_overlapping_make_the_same_series(
    room: DataRoom, tmp_path: Path
) -> None:
    frame = candles(72, "1h", "2024-01-20T00:00Z")
    for name, part in (("c", frame.iloc[:30]), ("a", frame.iloc[20:60]), ("b", frame.iloc[50:])):
        written(tmp_path / "x", f"{name}.csv", klines(part, has_header=True))
    result = command(room, tmp_path / "x", *VENUE, "--symbol", "BTC/USDT", "--json")
    *_, summary = documents(result)
    (series,) = summary["series"]
    assert (series["inserted"], series["unchanged"], series["revised"]) == (72, 20, 0)
    stored = room.client.query_candles("binance", "BTC/USDT", "1h")
    pd.testing.assert_frame_equal(
        stored[["open", "high", "low", "close", "volume"]], frame, check_freq=False, check_index_type=False
    )


def test_an_explicit_file_is_read_whatever_it_is_called(room: DataRoom, tmp_path: Path) -> None:
    path = written(tmp_path, ".hidden", klines(candles(24)))
    assert command(room, path, *VENUE, "--symbol", "BTC/USDT").exit_code == 0
    assert room.client.list_series()[0].row_count == 24


def test_a_file_that_names_no_instrument_needs_the_symbol(room: DataRoom, tmp_path: Path) -> None:
    path = written(tmp_path, "bars.csv", klines(candles(24)))
    result = command(room, path, *VENUE)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "bars.csv names no instrument: give --symbol." in result.stderr
    assert command(room, path, *VENUE, "--symbol", "BTCUSDT", "--market", "contract").exit_code == 0
    assert room.client.list_series()[0].key.symbol == "BTC/USDT:USDT"


def test_a_folder_without_market_data_is_a_failure(room: DataRoom, tmp_path: Path) -> None:
    written(tmp_path / "empty", "README.md", "x")
    result = command(room, tmp_path / "empty", *VENUE)
    assert result.exit_code == 1
    assert "No market-data file lies in" in result.stderr


def test_a_room_that_is_gone_ends_the_import_at_once(tmp_path: Path, folder: Path) -> None:
    with data_room(f"sqlite:///{tmp_path}/data.sqlite", tmp_path) as room:
        target = room.served.target
    done: subprocess.CompletedProcess[str] = run(
        "data", "import", str(folder), *VENUE, "--symbol", "BTC/USDT", "--data-endpoint", target, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Failed: ")
    assert "were not imported" not in done.stderr


def test_a_dry_run_needs_no_room_and_tells_every_file(tmp_path: Path, folder: Path) -> None:
    done = run("data", "import", str(folder), *VENUE, "--dry-run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [document.get("rows") for document in found] == [90, 24, 24, 24, 288, None]
    assert found[-1]["series"] == []
