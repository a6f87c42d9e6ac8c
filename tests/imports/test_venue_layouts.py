"""The layouts of venues and tools that the catalogue does not hold, in small."""

import numpy as np
import pandas as pd
import pytest

from marketml.imports import ImportRefused, read_market_file
from tests.imports.market_files import candles, lines

OHLCV = ["open", "high", "low", "close", "volume"]


def write(tmp_path, text, name="file.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def epochs(frame, unit):
    return [str(m // {"s": 10**6, "ms": 10**3, "us": 1}[unit]) for m in frame.index.as_unit("us").asi8]


@pytest.mark.parametrize("unit", ["ms", "us"])
@pytest.mark.parametrize("has_header", [True, False])
def test_exchange_dump_of_twelve_columns_with_and_without_header(tmp_path, unit, has_header):
    frame = candles(48)
    times = epochs(frame, unit)
    width = int(times[1]) - int(times[0])
    text = (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,a,ignore\n"
        * has_header
    )
    for row, time in enumerate(times):
        bar = frame.iloc[row]
        quote = bar.volume * bar.close
        text += (
            ",".join(
                [time, *map(str, bar), str(int(time) + width - 1), f"{quote},{row + 1},{bar.volume / 2},1,0"]
            )
            + "\n"
        )
    imported = read_market_file(write(tmp_path, text))
    pd.testing.assert_frame_equal(imported.frame[OHLCV], frame, check_freq=False)
    assert imported.frame["trade_count"].tolist() == list(range(1, 49))
    assert np.allclose(imported.frame["taker_buy_volume"], frame["volume"] / 2)
    assert np.allclose(imported.frame["quote_volume"], frame["volume"] * frame["close"])


def test_exchange_funding_and_metrics_dumps(tmp_path):
    funding = "calc_time,funding_interval_hours,last_funding_rate\n" + "".join(
        f"{1_704_067_200_000 + 28_800_000 * i + i % 3},8,{i / 1e5:.8f}\n" for i in range(10)
    )
    imported = read_market_file(write(tmp_path, funding))
    assert (imported.kind, imported.frame["funding_rate"].iloc[3]) == ("funding", 0.00003)
    assert imported.frame.index[4] == pd.Timestamp("2024-01-02T08:00Z")  # written 1 ms after it

    metrics = (
        "create_time,symbol,sum_open_interest,sum_open_interest_value,count_long_short_ratio\n"
        + "".join(f"2024-01-01 00:{5 * i:02}:00,BTCUSDT,{1000 + i},{42_000_000 + i},1.5\n" for i in range(10))
    )
    imported = read_market_file(write(tmp_path, metrics))
    assert (imported.kind, imported.symbol) == ("open-interest", "BTCUSDT")
    assert imported.frame.iloc[-1].tolist() == [1009, 42_000_009]
    assert any("Left out: column count_long_short_ratio" in note for note in imported.notes)


def test_a_clock_ahead_of_utc_and_an_epoch_beside_it_are_compared(tmp_path):
    frame = candles(30)
    ahead = (frame.index + pd.Timedelta(hours=3)).strftime("%Y-%m-%d %H:%M:%S")
    text = "date,unix,open,high,low,close,volume\n" + "".join(
        f"{local},{epoch},{','.join(map(str, frame.iloc[row]))}\n"
        for row, (local, epoch) in enumerate(zip(ahead, epochs(frame, "s"), strict=True))
    )
    imported = read_market_file(write(tmp_path, text))
    pd.testing.assert_frame_equal(imported.frame, frame, check_freq=False)
    assert any("mostly by 180 minutes" in warning for warning in imported.warnings)


def test_seconds_and_milliseconds_in_one_file_are_told_apart_row_by_row(tmp_path):
    frame = candles(30)
    mixed = epochs(frame, "s")[:10] + epochs(frame, "ms")[10:]
    imported = read_market_file(
        write(tmp_path, "unix,open,high,low,close,volume\n" + lines(frame, mixed, OHLCV))
    )
    pd.testing.assert_frame_equal(imported.frame, frame, check_freq=False)
    assert any("seconds and milliseconds" in note for note in imported.notes)


def test_a_date_column_and_a_clock_column_make_one_time(tmp_path):
    frame = candles(30)
    text = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\n" + lines(
        frame, list(frame.index.strftime("%Y.%m.%d\t%H:%M:%S")), OHLCV, "\t"
    )
    pd.testing.assert_frame_equal(read_market_file(write(tmp_path, text)).frame, frame, check_freq=False)
    bare = lines(frame, list(frame.index.strftime("%Y.%m.%d,%H:%M")), OHLCV)
    pd.testing.assert_frame_equal(read_market_file(write(tmp_path, bare)).frame, frame, check_freq=False)


def test_stated_offsets_of_each_row_are_honoured_across_a_change_of_clocks(tmp_path):
    frame = candles(48, start="2024-03-30T12:00Z")
    berlin = frame.index.tz_convert("Europe/Berlin")
    times = [f"{t:%d.%m.%Y %H:%M:%S}.000 GMT{t:%z}" for t in berlin]
    imported = read_market_file(
        write(tmp_path, "Local time,Open,High,Low,Close,Volume\n" + lines(frame, times, OHLCV))
    )
    pd.testing.assert_frame_equal(imported.frame, frame, check_freq=False)


def test_local_time_without_an_offset_is_refused_until_the_offset_is_given(tmp_path):
    frame = candles(30)
    times = list((frame.index + pd.Timedelta(hours=-5)).strftime("%Y-%m-%d %H:%M"))
    path = write(tmp_path, "Local time,Open,High,Low,Close,Volume\n" + lines(frame, times, OHLCV))
    with pytest.raises(ImportRefused, match="utc_offset"):
        read_market_file(path)
    pd.testing.assert_frame_equal(read_market_file(path, utc_offset="-05:00").frame, frame, check_freq=False)


def test_decimal_commas_thousands_and_percent_are_understood(tmp_path):
    frame = candles(30)
    comma = "Date;Open;High;Low;Close;Volume\n" + lines(
        frame, list(frame.index.strftime("%Y-%m-%d %H:%M")), OHLCV, ";"
    ).replace(".", ",")
    pd.testing.assert_frame_equal(read_market_file(write(tmp_path, comma)).frame, frame, check_freq=False)
    thousands = "date,open,high,low,close,volume\n" + "".join(
        f'2024-01-{day:02},"10,000.5","11,000.5","9,000.5","10,{day:03}.5","1,234,567"\n'
        for day in range(1, 29)
    )
    daily = read_market_file(write(tmp_path, thousands))
    assert (daily.timeframe, daily.frame["open"].iloc[0], daily.frame["volume"].iloc[0]) == (
        "1d",
        10000.5,
        1234567,
    )
    percent = "time,funding rate\n" + "".join(
        f"2024-01-{day:02} 08:00,0.0{day:02}%\n" for day in range(10, 20)
    )
    assert read_market_file(write(tmp_path, percent)).frame["funding_rate"].iloc[0] == pytest.approx(0.0001)


def test_rows_without_any_price_are_left_out_and_counted(tmp_path):
    frame = candles(30)
    text = "Timestamp,Open,High,Low,Close,Volume_(BTC),Volume_(Currency)\n"
    for row, time in enumerate(epochs(frame, "s")):
        bar = frame.iloc[row]
        cells = (
            "NaN,NaN,NaN,NaN,NaN,NaN" if row == 7 else f"{','.join(map(str, bar))},{bar.volume * bar.close}"
        )
        text += f"{time},{cells}\n"
    imported = read_market_file(write(tmp_path, text))
    pd.testing.assert_frame_equal(imported.frame[OHLCV], frame.drop(frame.index[7]), check_freq=False)
    assert "Dropped 1 rows without values, first in row 8." in imported.notes
    assert any(note.startswith("1 gaps, 1 bars absent") for note in imported.notes)
    assert list(imported.frame.columns) == [*OHLCV, "quote_volume"]


def test_one_of_several_instruments_is_read_when_named(tmp_path):
    one, other = candles(30, seed=1), candles(30, seed=2)
    text = "symbol,time,open,high,low,close,volume\n"
    for name, frame in (("AAA", one), ("BBB", other)):
        text += "".join(f"{name},{row}\n" for row in lines(frame, epochs(frame, "s"), OHLCV).splitlines())
    path = write(tmp_path, text)
    with pytest.raises(ImportRefused, match="AAA, BBB: say which"):
        read_market_file(path)
    pd.testing.assert_frame_equal(read_market_file(path, symbol="BBB").frame, other, check_freq=False)


def test_named_columns_settle_what_a_file_leaves_open(tmp_path):
    frame = candles(30)
    text = lines(frame, epochs(frame, "s"), [*OHLCV, "close", "open"])
    path = write(tmp_path, text)
    with pytest.raises(ImportRefused, match="name the columns"):
        read_market_file(path)
    columns = {"time": "1", "open": "2", "high": "3", "low": "4", "close": "5", "volume": "6"}
    pd.testing.assert_frame_equal(read_market_file(path, columns=columns).frame, frame, check_freq=False)


def test_bars_of_days_and_weekends_keep_the_day_as_their_spacing(tmp_path):
    frame = candles(250, "1D")
    frame = frame[frame.index.day_of_week < 5]
    text = ",Open,High,Low,Close,Volume\n" + lines(frame, list(frame.index.strftime("%Y-%m-%d")), OHLCV)
    imported = read_market_file(write(tmp_path, text))
    assert imported.timeframe == "1d"
    pd.testing.assert_frame_equal(imported.frame, frame, check_freq=False)


@pytest.mark.parametrize(
    ("hours", "says"), [(4, "3, 7, 11, 15, 19, 23 h instead of 0, 4, 8"), (8, "3, 11, 19 h")]
)
def test_settlements_off_their_grid_need_a_clock_at_any_interval(tmp_path, hours, says):
    index = pd.date_range("2024-01-01T03:00", periods=60, freq=f"{hours}h")
    path = write(tmp_path, "time,funding_rate\n" + "".join(f"{time},0.0001\n" for time in index))
    with pytest.raises(ImportRefused, match=says):
        read_market_file(path)
    assert read_market_file(path, utc_offset="+03:00").warnings == ()
    as_stamped = read_market_file(path, utc_offset="UTC")  # as a venue that settles then would have it
    assert as_stamped.frame.index[0] == pd.Timestamp("2024-01-01T03:00Z")
    assert says in as_stamped.warnings[0]
