"""CollectSeries from dump files of the import folder: what is read, what never is, what becomes of each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.refusals import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Reason,
    Refusal,
    ResourceExhausted,
)
from services.data.collection.file_collector import BYTES_FACTOR
from tests.data.market import DataRoom, data_room
from tests.imports.exchange_files import funding_rates, klines, metrics, packed, price_klines, written
from tests.imports.market_files import candles

OHLCV = ["open", "high", "low", "close", "volume"]
CONTRACT = "BTC/USDT:USDT"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The import folder, with something beside it that no call may reach."""
    written(tmp_path, "secret.csv", klines(candles(10)))
    folder = tmp_path / "dumps"
    folder.mkdir()
    return folder


@pytest.fixture
def room(database_url: str, folder: Path, tmp_path: Path) -> Any:
    with data_room(database_url, tmp_path, import_folder=folder) as served:
        yield served


def collect(room: DataRoom, path: str, venue: str = "binance", **more: Any) -> list[pb.CollectionOutcome]:
    """The outcomes of a call that goes to the end."""
    return outcomes(room.client.collect_series(pb.FileSource(path=path, venue=venue, **more)))


def outcomes(parts: Any) -> list[pb.CollectionOutcome]:
    return [part.outcome for part in parts if part.HasField("outcome")]


def failing(room: DataRoom, kind: type[Refusal], path: str, **more: Any) -> tuple[list[Any], Any]:
    """The outcomes before the refusal at the end, and the refusal."""
    found, refusal = to_the_end(room.client.collect_series(pb.FileSource(path=path, venue="binance", **more)))
    assert type(refusal) is kind
    return found, refusal


def to_the_end(parts: Any) -> tuple[list[pb.CollectionOutcome], Refusal | None]:
    found: list[pb.CollectionOutcome] = []
    try:
        for part in parts:
            if part.HasField("outcome"):
                found.append(part.outcome)
    except Refusal as refusal:
        return found, refusal
    return found, None


def archive(folder: Path) -> pd.DataFrame:
    """Three days of minutes as daily ZIPs, metrics of two of them, and a month of funding rates."""
    frame = candles(3 * 1440, "1min", "2024-01-20T00:00Z")
    for number in range(3):
        day = frame.iloc[1440 * number : 1440 * (number + 1)]
        place = folder / "data/futures/um/daily/klines/BTCUSDT/1m"
        packed(place, f"BTCUSDT-1m-2024-01-2{number}.zip", klines(day, has_header=number == 2))
    for number in range(2):
        place = folder / "data/futures/um/daily/metrics/BTCUSDT"
        name = f"BTCUSDT-metrics-2024-01-2{number}.zip"
        packed(place, name, metrics(f"2024-01-2{number}", seed=number))
    packed(
        folder / "data/futures/um/monthly/fundingRate/BTCUSDT",
        "BTCUSDT-fundingRate-2024-01.zip",
        funding_rates("2024-01"),
    )
    (folder / "data" / "README.md").write_text("about")
    (folder / "data" / ".hidden.csv").write_text("x")
    return frame


def test_a_folder_as_the_exchange_publishes_it_is_stored_whole_and_again_changes_nothing(
    room: DataRoom, folder: Path
) -> None:
    frame = archive(folder)
    first = collect(room, "data")
    assert [outcome.failure for outcome in first] == [""] * 6
    assert [outcome.file for outcome in first] == sorted(outcome.file for outcome in first)
    assert first[0].file == "data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01-20.zip"
    assert {outcome.series.key.symbol for outcome in first} == {CONTRACT}
    assert "SHA-256 as its CHECKSUM file says." in first[0].notes
    assert any(note.startswith("BTCUSDT is BTC/USDT:USDT (") for note in first[0].notes)
    assert sum(outcome.report.inserted for outcome in first) == 3 * 1440 + 2 * 288 + 90

    stored = room.client.query_candles("binance", CONTRACT, "1m")
    pd.testing.assert_frame_equal(
        stored[OHLCV], frame, check_freq=False, check_index_type=False, check_exact=True
    )
    assert len(room.client.query_open_interest("binance", CONTRACT)) == 2 * 288
    assert len(room.client.query_funding_rates("binance", CONTRACT)) == 90

    before = room.contents()
    again = collect(room, "data/")
    assert [outcome.report.unchanged for outcome in again] == [1440, 1440, 1440, 288, 288, 90]
    assert sum(outcome.report.inserted + outcome.report.revised for outcome in again) == 0
    assert room.contents() == before


def test_progress_comes_before_each_file_and_never_falls(room: DataRoom, folder: Path) -> None:
    archive(folder)
    parts = list(room.client.collect_series(pb.FileSource(path="data", venue="binance")))
    assert [part.WhichOneof("part") for part in parts] == ["progress", "outcome"] * 6
    fractions = [part.progress.progress_fraction for part in parts[::2]]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert 0.5 < fractions[-1] < 1
    assert not parts[0].progress.HasField("remaining_time")
    assert parts[-2].progress.HasField("remaining_time")
    assert [part.progress.file for part in parts[::2]] == [part.outcome.file for part in parts[1::2]]


def test_one_file_is_read_whatever_it_is_called_with_what_the_caller_says_of_it(
    room: DataRoom, folder: Path
) -> None:
    frame = candles(48)
    written(folder / "a b", "bars.data", klines(frame.drop(frame.index[5]), "us"))
    (outcome,) = collect(room, "a b/bars.data", venue="okx", symbol="ETH/USDT", timeframe="1h", kind=1)
    key = outcome.series.key
    assert (key.venue, key.symbol, key.timeframe) == ("okx", "ETH/USDT", "1h")
    assert outcome.missing_bars_count == 1
    (series,) = room.client.list_series()
    assert series.source == "file bars.data"


def test_a_bad_file_stores_nothing_and_does_not_stop_the_others(room: DataRoom, folder: Path) -> None:
    frame = candles(72, "1h", "2024-01-20T00:00Z")
    bad = frame.iloc[24:48].copy()
    bad.loc[bad.index[3], "high"] = 1.0
    for number, part in enumerate((frame.iloc[:24], bad, frame.iloc[48:])):
        packed(folder / "x", f"BTCUSDT-1h-2024-01-2{number}.zip", klines(part))
    written(folder / "x", "BTCUSDT-trades-2024-01-20.csv", "1,42000.1,0.5,21000,1705708800000,true,true\n")
    packed(folder / "x", "BTCUSDT-1h-2024-01-23.zip", klines(frame)).write_bytes(b"PK\x03\x04 torn")

    found, refusal = failing(room, InvalidArgument, "x")

    by_file = {outcome.file.rpartition("/")[2]: outcome for outcome in found}
    assert [bool(outcome.failure) for outcome in found] == [False, True, False, True, True]
    assert "rows[3].high" in by_file["BTCUSDT-1h-2024-01-21.zip"].failure
    assert not by_file["BTCUSDT-1h-2024-01-21.zip"].HasField("report")
    assert "not the published one" in by_file["BTCUSDT-1h-2024-01-23.zip"].failure
    assert "trades" in by_file["BTCUSDT-trades-2024-01-20.csv"].failure
    assert {outcome.failure_reason for outcome in found} == {"", "INVALID_FIELD"}
    assert refusal.message.startswith(
        "3 of 5 files were not taken, the first is 'x/BTCUSDT-1h-2024-01-21.zip': "
    )
    assert len(room.client.query_candles("binance", "BTC/USDT", "1h")) == 48


def test_impossible_rows_are_left_out_when_the_caller_says_so(room: DataRoom, folder: Path) -> None:
    frame = candles(24)
    frame.loc[frame.index[3], "high"] = 1.0
    packed(folder, "BTCUSDT-1h-2024-01-20.zip", klines(frame))
    (outcome,) = collect(room, "BTCUSDT-1h-2024-01-20.zip", on_invalid=pb.ON_INVALID_SKIP)
    assert (outcome.report.inserted, outcome.report.rejected_count) == (23, 1)
    assert outcome.report.rejections[0].field == "high"


def test_other_values_are_revised_kept_or_refused_as_the_caller_says(room: DataRoom, folder: Path) -> None:
    frame = candles(24)
    packed(folder, "BTCUSDT-1h-2024-01-20.zip", klines(frame))
    collect(room, "BTCUSDT-1h-2024-01-20.zip")
    packed(folder, "BTCUSDT-1h-2024-01-20.zip", klines(frame.assign(volume=frame["volume"] + 1)))
    found, refusal = failing(
        room, AlreadyExists, "BTCUSDT-1h-2024-01-20.zip", on_conflict=pb.ON_CONFLICT_REFUSE
    )
    assert found[0].failure
    assert refusal.message.startswith("The file was not taken")
    (kept,) = collect(room, "BTCUSDT-1h-2024-01-20.zip", on_conflict=pb.ON_CONFLICT_KEEP)
    assert kept.report.unchanged == 24
    (revised,) = collect(room, "BTCUSDT-1h-2024-01-20.zip")
    assert revised.report.revised == 24


def test_mark_prices_are_stored_apart_from_trades(room: DataRoom, folder: Path) -> None:
    frame = candles(60, "1min", "2024-01-20T00:00Z")
    for name, text in (("klines", klines(frame)), ("markPriceKlines", price_klines(frame + 1))):
        packed(folder / "futures/um/daily" / name / "BTCUSDT/1m", "BTCUSDT-1m-2024-01-20.zip", text)
    collect(room, "futures")
    trades = room.client.query_candles("binance", CONTRACT, "1m")
    marks = room.client.query_candles("binance-mark", CONTRACT, "1m")
    assert np.allclose(marks["close"], trades["close"] + 1)
    assert marks["volume"].isna().all()
    assert trades["volume"].notna().all()


def test_the_caller_says_what_files_leave_open(room: DataRoom, folder: Path) -> None:
    frame = candles(60, "1min", "2024-01-20T00:00Z")
    packed(folder, "BTCUSDT-1m-2024-01-20.zip", klines(frame))
    (outcome,) = collect(room, "BTCUSDT-1m-2024-01-20.zip", market=pb.MARKET_CONTRACT)
    assert outcome.series.key.symbol == CONTRACT
    packed(folder, "ETHUSDT-1m-2024-01-20.zip", price_klines(frame))
    found, _ = failing(room, InvalidArgument, "ETHUSDT-1m-2024-01-20.zip")
    assert "say which" in found[0].failure
    (outcome,) = collect(room, "ETHUSDT-1m-2024-01-20.zip", bar_prices=pb.BAR_PRICES_INDEX)
    assert (outcome.series.key.venue, outcome.series.key.symbol) == ("binance-index", "ETH/USDT:USDT")
    late = pd.date_range("2024-01-01T03:00", periods=9, freq="8h")
    text = "time,funding_rate\n" + "".join(f"{time},0.0001\n" for time in late)
    written(folder, "BTCUSDT-fundingRate-2024-01.csv", text)
    found, _ = failing(room, InvalidArgument, "BTCUSDT-fundingRate-2024-01.csv")
    assert "give utc_offset, +03:00 or -05:00" in found[0].failure
    (outcome,) = collect(room, "BTCUSDT-fundingRate-2024-01.csv", utc_offset="+03:00")
    assert outcome.report.first_time.ToJsonString() == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../secret.csv",
        "x/../../secret.csv",
        "/etc/passwd",
        "//etc/passwd",
        ".",
        "./in",
        "in//a.csv",
        "in/a.csv/b",
        "in/a.csv\0",
        "in\0/a.csv",
        "link.csv",
        "linked/secret.csv",
        "linked",
        "IN/a.csv",
        "in/absent.csv",
        "in\\a.csv",
        "~",
        "in/*.csv",
        "pipe",
        "a" * 4000,
        "\u202ein",
    ],
)
def test_nothing_but_names_below_the_folder_is_found(room: DataRoom, folder: Path, path: str) -> None:
    written(folder / "in", "a.csv", klines(candles(10)))
    (folder / "link.csv").symlink_to(folder.parent / "secret.csv")
    (folder / "linked").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe")
    before = room.contents()
    _, refusal = failing(room, NotFound, path, symbol="BTC/USDT")
    assert refusal.reason is Reason.NO_SUCH_RESOURCE
    assert str(folder.parent) not in refusal.message
    assert room.contents() == before


def test_links_inside_a_folder_are_not_followed(room: DataRoom, folder: Path) -> None:
    written(folder / "in", "a.csv", klines(candles(10)))
    (folder / "in" / "b.csv").symlink_to(folder.parent / "secret.csv")
    (folder / "in" / "c").symlink_to(folder.parent)
    found = collect(room, "in", symbol="BTC/USDT")
    assert [outcome.file for outcome in found] == ["in/a.csv"]


def test_a_file_that_became_a_link_after_it_was_found_is_not_read(room: DataRoom, folder: Path) -> None:
    for name in ("a.csv", "b.csv"):
        written(folder / "in", name, klines(candles(10)))
    parts = room.client.collect_series(pb.FileSource(path="in", venue="x", symbol="BTC/USDT"))
    assert next(parts).progress.file == "in/a.csv"
    (folder / "in" / "b.csv").unlink()
    (folder / "in" / "b.csv").symlink_to(folder.parent / "secret.csv")
    found, refusal = to_the_end(parts)
    assert isinstance(refusal, NotFound)
    assert "'in/b.csv'" in refusal.message
    assert [bool(outcome.failure) for outcome in found] == [False, True]


def test_a_room_without_an_import_folder_says_which_setting_names_it(
    database_url: str, tmp_path: Path
) -> None:
    with data_room(database_url, tmp_path) as room:
        _, refusal = failing(room, FailedPrecondition, "a.csv")
        assert refusal.subject == "import_folder"
        assert "MARKETML_DATA_IMPORT_FOLDER" in refusal.message
    with data_room(database_url, tmp_path, import_folder=tmp_path / "gone") as room:
        _, refusal = failing(room, FailedPrecondition, "a.csv")
        assert "cannot be opened" in refusal.message
        assert str(tmp_path) not in refusal.message


def test_a_file_that_unpacks_beyond_the_rooms_memory_is_refused_and_gives_it_back(
    database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "dumps"
    frame = candles(5000, "1min")
    packed(folder, "BTCUSDT-1m-2024-01.zip", "0" * 10_000_000 + "\n")
    packed(folder, "BTCUSDT-1m-2024-02.zip", klines(frame))
    size = len(klines(frame)) * 2
    with data_room(database_url, tmp_path, import_folder=tmp_path, ingest_bytes=size * BYTES_FACTOR) as room:
        found, refusal = failing(room, ResourceExhausted, "dumps")
        assert refusal.subject == "ingest_bytes"
        assert "needs more than" in found[0].failure
        assert found[0].failure_reason == "LIMIT_EXCEEDED"
        assert found[1].report.inserted == 5000
        for _ in range(3):  # nothing is kept from call to call
            assert collect(room, "dumps/BTCUSDT-1m-2024-02.zip")[0].report.unchanged == 5000


def test_more_rows_than_a_call_may_have_fail_that_file_alone(database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "dumps"
    packed(folder, "BTCUSDT-1m-2024-01.zip", klines(candles(200, "1min")))
    packed(folder, "BTCUSDT-1m-2024-02.zip", klines(candles(100, "1min")))
    with data_room(database_url, tmp_path, import_folder=tmp_path, ingest_rows_count=150) as room:
        found, refusal = failing(room, ResourceExhausted, "dumps")
        assert found[0].failure_reason == "LIMIT_EXCEEDED"
        assert found[1].report.inserted == 100
        assert refusal.subject == "ingest_rows"


def test_a_caller_who_leaves_between_files_leaves_whole_files_and_the_rest_untouched(
    room: DataRoom, folder: Path
) -> None:
    frame = candles(24 * 40)
    for number in range(40):
        packed(
            folder / "in",
            f"BTCUSDT-1h-{number:02}.zip",
            klines(frame.iloc[24 * number : 24 * (number + 1)]),
            has_checksum=False,
        )
    parts = room.client.collect_series(pb.FileSource(path="in", venue="x", symbol="BTC/USDT", timeframe="1h"))
    seen = 0
    for part in parts:
        seen += part.HasField("outcome")
        if seen == 3:
            break
    parts.close()
    stored = room.client.query_candles("x", "BTC/USDT", "1h")
    assert len(stored) % 24 == 0
    assert len(stored) >= 72
    collect(room, "in", venue="x", symbol="BTC/USDT", timeframe="1h")
    assert len(room.client.query_candles("x", "BTC/USDT", "1h")) == len(frame)
