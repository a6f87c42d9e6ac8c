"""What cannot be known is refused in one sentence that names it, and what is odd is told."""

import gzip
import pickle
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

from marketml.imports import ImportRefused, read_market_file
from tests.imports.market_files import candles, lines

OHLCV = ["open", "high", "low", "close", "volume"]
HEADER = "time,open,high,low,close,volume\n"


def write(tmp_path, content, name="file.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def iso(frame):
    return list(frame.index.strftime("%Y-%m-%dT%H:%M:%SZ"))


def refusal(path, **options) -> str:
    with pytest.raises(ImportRefused) as caught:
        read_market_file(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "1672531436,90.54,1.1\n1672531471,90.45,1.0\n",
        "price,amount,time\n90.54,1.1,1672531436\n",
        "1,90.54,1.1,99.6,1672531436000,true,true\n2,90.5,1.1,99.6,1672531437000,false,true\n",
        "timestamp,id,type,side,price,amount,cost\n1672531436000,1,,buy,90.5,1.0,90.5\n",
        "time,bid,ask\n2024-01-01 00:00:00.123,1.05,1.06\n",
        '[[1672531436000,"77",null,"sell",90.5,1.0,90.5],[1672531437000,"78",null,"buy",90.5,1.0,90.5]]',
    ],
)
def test_trades_and_quotes_are_called_by_their_name(tmp_path, text):
    assert "trades" in refusal(write(tmp_path, text))


def test_dates_that_can_be_read_both_ways_are_refused_until_said(tmp_path):
    frame = candles(8, "1D", "2024-03-01T00:00Z")
    text = HEADER + lines(frame, list(frame.index.strftime("%d/%m/%Y")), OHLCV)
    assert "day first or month first" in refusal(write(tmp_path, text))
    read = read_market_file(write(tmp_path, text), day_first=True)
    pd.testing.assert_frame_equal(read.frame, frame, check_freq=False)
    longer = candles(20, "1D", "2024-03-01T00:00Z")
    text = HEADER + lines(longer, list(longer.index.strftime("%d/%m/%Y")), OHLCV)
    assert "cannot be month first" in refusal(write(tmp_path, text), day_first=False)


def test_one_time_with_two_values_is_refused_with_both_rows(tmp_path):
    frame = candles(30)
    again = frame.iloc[[4]].assign(volume=1.0)
    message = refusal(
        write(tmp_path, HEADER + lines(pd.concat([frame, again]), [*iso(frame), *iso(again)], OHLCV))
    )
    assert "rows 5, 31" in message
    assert "2024-01-20 04:00Z" in message


def test_stamps_of_the_close_are_refused(tmp_path):
    frame = candles(30)
    times = [str(m // 1000 + 3_599_999) for m in frame.index.as_unit("us").asi8]
    assert "stamped by their open" in refusal(write(tmp_path, HEADER + lines(frame, times, OHLCV)))
    only = "close_time,open,high,low,close,volume\n" + lines(frame, times, OHLCV)
    assert "close of the bar" in refusal(write(tmp_path, only))


def test_a_zone_said_twice_is_refused(tmp_path):
    frame = candles(30)
    path = write(tmp_path, HEADER + lines(frame, iso(frame), OHLCV))
    assert "utc_offset cannot be given too" in refusal(path, utc_offset="+03:00")
    assert "utc_offset must be like" in refusal(path, utc_offset="Europe/Berlin")
    assert "within 14 hours" in refusal(path, utc_offset="+15:00")


def test_a_timeframe_that_the_rows_contradict_is_refused(tmp_path):
    frame = candles(30)
    path = write(tmp_path, HEADER + lines(frame, iso(frame), OHLCV))
    assert refusal(path, timeframe="1d") == "The rows are 1 hour apart, not 1d."
    assert "timeframe must be one of 1m 3m" in refusal(path, timeframe="7h")
    months = candles(24, "MS")
    assert "which is no timeframe" in refusal(write(tmp_path, HEADER + lines(months, iso(months), OHLCV)))
    single = write(tmp_path, HEADER + lines(frame.iloc[:1], iso(frame)[:1], OHLCV))
    assert refusal(single) == "One row does not tell its timeframe: say it."
    assert read_market_file(single, timeframe="1h").timeframe == "1h"


def test_another_kind_than_asked_for_is_refused(tmp_path):
    frame = candles(30)
    path = write(tmp_path, HEADER + lines(frame, iso(frame), OHLCV))
    assert refusal(path, kind="funding") == "The file holds candles, not funding."
    with pytest.raises(ImportRefused, match="kind must be one of candles, funding, open-interest"):
        read_market_file(path, "trades")
    two = write(tmp_path, "1704067200000,0.0001\n1704096000000,0.0002\n")
    assert "say which kind" in refusal(two)
    assert read_market_file(two, "funding").frame["funding_rate"].tolist() == [0.0001, 0.0002]
    both = "time,open,high,low,close,funding_rate\n2024-01-01,1,1,1,1,0.1\n2024-01-02,1,1,1,1,0.1\n"
    assert "candles and funding: say which" in refusal(write(tmp_path, both))


def test_flat_bars_without_a_header_do_not_tell_their_order(tmp_path):
    text = "".join(f"{1_704_067_200 + 60 * i},10,10,10,10,{i}\n" for i in range(30))
    assert "which column is the high" in refusal(write(tmp_path, text))


def test_swapped_names_are_noticed_by_the_rows(tmp_path):
    frame = candles(30)
    text = "time,open,low,high,close,volume\n" + lines(frame, iso(frame), OHLCV)
    assert "30 of 30 bars cannot be true" in refusal(write(tmp_path, text))


def test_single_impossible_bars_are_told_and_left_to_the_room(tmp_path):
    frame = candles(30)
    frame.loc[frame.index[3], "high"] = 1.0
    imported = read_market_file(write(tmp_path, HEADER + lines(frame, iso(frame), OHLCV)))
    assert len(imported.frame) == 30
    assert imported.warnings[0].startswith("Warning: 1 bars cannot be true")


@pytest.mark.parametrize(
    ("cell", "column", "says"),
    [
        ("abc", "close", "'abc'"),
        ("", "open", "only some"),
        ("inf", "volume", "'inf'"),
        ("1,2", "low", "cells"),
    ],
)
def test_bad_cells_are_named_with_their_row(tmp_path, cell, column, says):
    frame = candles(30)
    rows = lines(frame, iso(frame), OHLCV).splitlines()
    cells = rows[10].split(",")
    cells[1 + OHLCV.index(column)] = cell
    rows[10] = ",".join(cells)
    message = refusal(write(tmp_path, HEADER + "\n".join(rows) + "\n"))
    assert says in message
    assert "row 11" in message.lower()


@pytest.mark.parametrize(
    "time", ["2024-02-30T00:00:00Z", "yesterday", "2024-01-01T25:00:00Z", "24-01-02 03:04"]
)
@pytest.mark.parametrize("row", [0, 25])
def test_a_time_that_is_none_is_named_with_its_row(tmp_path, time, row):
    frame = candles(30)
    times = iso(frame)
    times[row] = time
    message = refusal(write(tmp_path, HEADER + lines(frame, times, OHLCV)))
    assert f"row {row + 1}" in message
    assert time[:8] in message


def test_containers_that_hold_no_table_are_refused(tmp_path):
    assert refusal(tmp_path / "absent.csv").endswith("No such file or directory.")
    assert refusal(write(tmp_path, b"")) == "The file is empty."
    assert refusal(write(tmp_path, HEADER)) == "The file has a header and no rows."
    assert "damaged or cut off" in refusal(write(tmp_path, gzip.compress(b"x" * 9999)[:-9]))
    assert "web page" in refusal(write(tmp_path, "<html></html>"))
    assert "bzip2" in refusal(write(tmp_path, b"BZh91AY"))
    assert "twice" in refusal(write(tmp_path, gzip.compress(gzip.compress(gzip.compress(b"a,b\n1,2\n")))))
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "a,b\n1,2\n")
        archive.writestr("b.csv", "a,b\n1,2\n")
    assert "holds 2 files, and one is expected: a.csv, b.csv" in refusal(tmp_path / "two.zip")


def test_a_pickle_is_refused_unread(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was executed",))

    assert "pickle" in refusal(write(tmp_path, pickle.dumps(Trap())))


def test_odd_grids_and_copied_bars_are_warned_about(tmp_path):
    frame = candles(40, start="2024-01-20T00:30Z")
    imported = read_market_file(write(tmp_path, HEADER + lines(frame, iso(frame), OHLCV)))
    assert imported.warnings[0].startswith("Warning: 40 of 40 bars do not open on the grid of 1h in UTC")
    copied = candles(40)
    copied.iloc[20:25] = copied.iloc[10:15].to_numpy()
    imported = read_market_file(write(tmp_path, HEADER + lines(copied, iso(copied), OHLCV)))
    assert imported.warnings == (
        "Warning: 5 bars repeat the values of bars before them one by one, 2024-01-20 20:00Z, 2024-01-20 "
        "21:00Z, 2024-01-20 22:00Z, 2024-01-20 23:00Z, 2024-01-21 00:00Z.",
    )


def test_two_volumes_that_nothing_tells_apart_are_refused(tmp_path):
    frame = candles(30)
    text = "time,open,high,low,close,volume_abc,volume_xyz\n" + lines(frame, iso(frame), [*OHLCV, "volume"])
    assert "are all volumes" in refusal(write(tmp_path, text))


def test_values_that_no_series_has_are_refused(tmp_path):
    rates = "time,funding_rate\n2024-01-01 00:00,0.01\n2024-01-01 08:00,7\n"
    assert refusal(write(tmp_path, rates)) == (
        "A funding rate is a fraction, at most 1 either way: 7 at 2024-01-01 08:00Z."
    )
    interest = "time,open_interest\n2024-01-01 00:00,5\n2024-01-01 01:00,-5\n"
    assert "not negative: -5" in refusal(write(tmp_path, interest))


def test_a_bad_cell_without_a_header_is_named_with_its_row(tmp_path):
    rows = lines(candles(30), [str(1_704_067_200 + 3600 * i) for i in range(30)], OHLCV).splitlines()
    rows[12] = rows[12].replace(rows[12].split(",")[2], "n.a.")
    assert "Column '3' is no number in row 13: 'n.a.'" in refusal(write(tmp_path, "\n".join(rows)))
    named = [f"{row.partition(',')[0]},ABC,{row.partition(',')[2]}" for row in rows[:10]]
    assert "fit no known layout" in refusal(write(tmp_path, "\n".join(named)))


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("value", [-(2**62), 436_000_000_000_000_000, 2**62])
def test_times_of_a_typed_file_far_from_ours_are_refused(tmp_path, unit, value):
    frame = candles(3)
    stamps = pa.array([value, value + 1, value + 2], pa.timestamp(unit, "UTC"))
    table = pa.table({"time": stamps, **{name: frame[name].to_numpy() for name in OHLCV}})
    pyarrow.feather.write_feather(table, tmp_path / "far.feather")
    assert "the years 1900 to 2100" in refusal(tmp_path / "far.feather")
