"""`marketml data query`: columns, longer bars, several symbols, and where they go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from marketml.cli.data import data
from tests.data.market import (
    HOUR,
    START,
    SYMBOL,
    TIMEFRAME,
    VENUE,
    DataRoom,
    candles,
    data_room,
    funding,
    same,
)

OTHER = "ETH/USDT:USDT"
NAMED = ("--venue", VENUE, "--symbol", SYMBOL)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[DataRoom]:
    with data_room(f"sqlite:///{tmp_path}/data.sqlite", tmp_path) as served:
        for symbol, count in [(SYMBOL, 24), (OTHER, 6)]:
            served.client.ingest_candles(candles(count), VENUE, symbol, TIMEFRAME)
        served.client.ingest_funding_rates(funding(3), VENUE, SYMBOL)
        yield served


def query(room: DataRoom, *arguments: str | Path) -> Result:
    return CliRunner().invoke(data, ["query", *map(str, arguments), "--data-endpoint", room.served.target])


def test_columns_and_longer_bars_are_asked_for_by_option(room: DataRoom) -> None:
    asked = (*NAMED, "--timeframe", "1h", "--resample", "8h", "--columns", "close, open")
    result = query(room, *asked)
    assert result.exit_code == 0, result.stderr
    frame = pd.read_csv(StringIO(result.stdout))
    assert list(frame.columns) == ["open_time", "close", "open"]
    assert frame["open"].tolist() == candles(24)["open"][::8].tolist()
    newest = query(room, *asked, "--limit", "1", "--newest", "--json")
    assert json.loads(newest.stdout)["close"] == candles(24)["close"].iloc[-1]


def test_rows_of_several_symbols_name_theirs(room: DataRoom, tmp_path: Path) -> None:
    result = query(room, *NAMED, "--symbol", OTHER, "--timeframe", "1h", "--limit", "8", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["symbol"] for row in rows] == [SYMBOL] * 8 + [OTHER] * 6
    out = tmp_path / "rows.parquet"
    result = query(room, *NAMED, "--symbol", OTHER, "--timeframe", "1h", "--float32", "--out", out)
    assert result.exit_code == 0, result.stderr
    back = pd.read_parquet(out)
    assert back["close"].dtype == "float32"
    same(
        back[back["symbol"] == OTHER][["close"]].astype("float64"),
        candles(6)[["close"]].astype("float32").astype("float64"),
    )


def test_a_frame_of_any_timeframe_is_made_of_shorter_bars(room: DataRoom) -> None:
    asked = (*NAMED, "--kind", "frame", "--timeframe", "12h", "--json")
    rows = [json.loads(line) for line in query(room, *asked).stdout.splitlines()]
    assert len(rows) == 2
    assert rows[1]["funding_time"] == (START + 16 * HOUR).isoformat().replace("+00:00", "Z")
    assert query(room, *asked, "--base-timeframe", "1h").stdout.splitlines()[1:] != []
    missing = query(room, *asked, "--base-timeframe", "4h")
    assert missing.exit_code == 3
    assert "4h" in missing.stderr


def test_options_that_do_not_fit_the_kind_are_wrong_usage(room: DataRoom) -> None:
    for arguments in [
        ("--kind", "funding", "--resample", "8h"),
        ("--kind", "frame", "--timeframe", "8h", "--resample", "1d"),
        ("--timeframe", "8h", "--base-timeframe", "1h"),
        ("--timeframe", "8h", "--resample", "9h"),
    ]:
        assert query(room, *NAMED, *arguments).exit_code == 2
    refused = query(room, *NAMED, "--timeframe", "1h", "--columns", "price")
    assert refused.exit_code == 3
    assert "columns[0]" in refused.stderr


def test_a_frame_has_a_reference_beside_it(room: DataRoom, tmp_path: Path) -> None:
    asked = (*NAMED, "--timeframe", "1h", "--kind", "frame")
    expected = room.client.query_frame(VENUE, SYMBOL, TIMEFRAME, reference=(VENUE, OTHER))
    for reference in (OTHER, f"{VENUE}:{OTHER}"):
        out = tmp_path / "frame.parquet"
        result = query(room, *asked, "--reference", reference, "--out", out)
        assert result.exit_code == 0, result.stderr
        same(pd.read_parquet(out)[["reference_close"]], expected[["reference_close"]])
    assert query(room, *asked, "--reference", SYMBOL).exit_code == 3
    assert query(room, *asked[:-2], "--reference", OTHER).exit_code == 2  # candles have none

    made = CliRunner().invoke(
        data,
        [
            *("snapshots", "create", *asked[:-2], "--reference", OTHER, "--json"),
            *("--data-endpoint", room.served.target),
        ],
    )
    assert made.exit_code == 0, made.stderr
    assert json.loads(made.stdout)["frame"]["reference"]["symbol"] == OTHER
