"""Dump files of exchanges as they are published: every layout, unit and packing, and what is no candle."""

import hashlib
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.imports import ImportRefused, read_market_bytes, read_market_file, venue_of
from tests.imports.exchange_files import (
    UNITS,
    funding_rates,
    klines,
    metrics,
    micros,
    packed,
    price_klines,
    written,
)
from tests.imports.market_files import candles

OHLCV = ["open", "high", "low", "close", "volume"]
STEPS = {"1m": "1min", "5m": "5min", "15m": "15min", "1h": "1h", "4h": "4h", "1d": "1D", "1w": "W-MON"}


def refusal(path, **options) -> str:
    with pytest.raises(ImportRefused) as caught:
        read_market_file(path, **options)
    return str(caught.value)


@settings(max_examples=40, deadline=None)
@given(
    unit=st.sampled_from(["s", "ms", "us"]),
    has_header=st.booleans(),
    timeframe=st.sampled_from(list(STEPS)),
    rows=st.integers(2, 60),
    flat=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_klines_of_any_unit_and_timeframe_read_back_the_same(
    tmp_path_factory, unit, has_header, timeframe, rows, flat, seed
):
    frame = candles(rows, STEPS[timeframe], "2024-01-01T00:00Z", seed)
    if flat:  # no price moved: the rows do not tell which column is which, the layout does
        frame = frame.assign(open=frame["close"], high=frame["close"], low=frame["close"])
    path = packed(
        tmp_path_factory.mktemp("k"),
        f"BTCUSDT-{timeframe}-2024-01.zip",
        klines(frame, unit, has_header=has_header),
    )
    imported = read_market_file(path)
    assert (imported.kind, imported.timeframe, imported.symbol) == ("candles", timeframe, "BTCUSDT")
    pd.testing.assert_frame_equal(imported.frame[OHLCV], frame, check_freq=False)
    assert imported.frame["trade_count"].tolist() == [int(volume * 10) for volume in frame["volume"]]
    assert imported.frame["taker_buy_volume"].tolist() == [volume / 2 for volume in frame["volume"]]
    assert "SHA-256 as its CHECKSUM file says." in imported.notes
    assert imported.prices == "trade"


def test_a_day_of_daily_candles_is_one_row_and_its_close_time_tells_the_timeframe(tmp_path):
    frame = candles(1, "1D")
    path = packed(tmp_path, "BTCUSDT-1d-2024-01-20.zip", klines(frame, "us"))
    imported = read_market_file(path)
    assert imported.timeframe == "1d"
    pd.testing.assert_frame_equal(imported.frame[OHLCV], frame, check_freq=False)


def test_one_row_without_a_close_time_has_the_timeframe_of_the_files_name(tmp_path):
    text = "time,open,high,low,close,volume\n1705708800,100,101,99,100.5,3\n"
    imported = read_market_file(written(tmp_path, "Binance_BTCUSDT_1d.csv", text))
    assert (imported.timeframe, imported.symbol) == ("1d", "BTCUSDT")
    assert "Timeframe 1d by the file's name: one row does not tell it." in imported.notes
    assert refusal(written(tmp_path, "one.csv", text)) == "One row does not tell its timeframe: say it."


def test_a_name_that_its_rows_contradict_is_refused_until_the_timeframe_is_said(tmp_path):
    path = packed(tmp_path, "BTCUSDT-1h-2024-01.zip", klines(candles(60, "1min")))
    assert refusal(path) == "The file's name says 1h and its rows say 1m: say which timeframe."
    assert read_market_file(path, timeframe="1m").timeframe == "1m"
    assert refusal(path, timeframe="1h") == "The bars end 1m after their open, not 1h."


@pytest.mark.parametrize(("spacing", "step"), [("1s", "1s"), ("3d", "3D"), ("1mo", "MS")])
def test_spacings_that_the_platform_does_not_know_are_refused_by_name(tmp_path, spacing, step):
    frame = candles(20, step, "2023-01-01T00:00Z")
    assert "no timeframe" in refusal(packed(tmp_path, f"BTCUSDT-{spacing}-2024-01.zip", klines(frame)))


def test_a_damaged_download_is_refused_by_its_checksum(tmp_path):
    path = packed(tmp_path, "BTCUSDT-1m-2024-01.zip", klines(candles(60, "1min")))
    path.with_name(f"{path.name}.CHECKSUM").write_text(f"{hashlib.sha256(b'other').hexdigest()}  x.zip\n")
    assert refusal(path).startswith("The file is not the published one: its SHA-256 is ")
    path.with_name(f"{path.name}.CHECKSUM").write_text("not found\n")
    assert "holds no SHA-256" in refusal(path)


@pytest.mark.parametrize(
    ("folder", "prices", "venue"),
    [("markPriceKlines", "mark", "binance-mark"), ("indexPriceKlines", "index", "binance-index")],
)
def test_bars_of_a_computed_price_are_kept_apart_from_trades(tmp_path, folder, prices, venue):
    frame = candles(60, "1min")
    text = price_klines(frame)
    path = packed(
        tmp_path / "data/futures/um/monthly" / folder / "BTCUSDT/1m", "BTCUSDT-1m-2024-01.zip", text
    )
    imported = read_market_file(path)
    assert (imported.prices, venue_of("binance", imported.prices)) == (prices, venue)
    assert imported.symbol_of("BTC/USDT") == "BTC/USDT:USDT"
    assert list(imported.frame.columns) == OHLCV
    assert imported.frame["volume"].isna().all()
    pd.testing.assert_frame_equal(imported.frame[OHLCV[:4]], frame[OHLCV[:4]], check_freq=False)


def test_bars_that_nobody_traded_are_refused_where_nothing_says_whose_prices_they_are(tmp_path):
    path = packed(tmp_path, "BTCUSDT-1m-2024-01.zip", price_klines(candles(60, "1min")))
    assert "bars of the mark, index or premium price, not of trades" in refusal(path)
    assert read_market_file(path, prices="mark").prices == "mark"
    assert "prices must be one of trade, mark, index" in refusal(path, prices="premium")


def test_a_market_that_was_quiet_all_day_is_still_one_of_trades(tmp_path):
    frame = candles(60, "1min").assign(volume=0.0)
    imported = read_market_file(packed(tmp_path, "XYZUSDT-1m-2024-01-20.zip", klines(frame)))
    assert imported.prices == "trade"
    assert any("every volume is zero" in warning for warning in imported.warnings)


@pytest.mark.parametrize("folder", ["premiumIndexKlines", "."])
def test_the_premium_index_makes_no_candles(tmp_path, folder):
    frame = (candles(60, "1min") - 100) / 1e5
    text = price_klines(frame, ticks=12)
    assert refusal(packed(tmp_path / folder, "BTCUSDT-1m-2024-01.zip", text))


def test_metrics_of_a_day_are_five_minute_open_interest(tmp_path):
    imported = read_market_file(packed(tmp_path, "BTCUSDT-metrics-2024-01-20.zip", metrics("2024-01-20")))
    assert (imported.kind, imported.symbol, len(imported.frame)) == ("open-interest", "BTCUSDT", 288)
    assert list(imported.frame.columns) == ["open_interest", "open_interest_value"]
    assert imported.frame.index[0] == pd.Timestamp("2024-01-20T00:05Z")
    assert imported.frame.index[-1] == pd.Timestamp("2024-01-21T00:00Z")
    assert imported.symbol_of("BTC/USDT") == "BTC/USDT:USDT"
    assert "A row every 5 minutes." in imported.notes
    assert imported.warnings == ()


def test_metrics_stamped_by_the_start_of_their_interval_are_warned_about(tmp_path):
    text = metrics("2024-01-20", first="00:00")
    imported = read_market_file(packed(tmp_path, "BTCUSDT-metrics-2024-01-20.zip", text))
    assert "five minutes after their stamp" in imported.warnings[0]


def test_metrics_that_hold_every_row_twice_lose_the_repetition(tmp_path):
    header, *rows = metrics("2020-09-01").splitlines(keepends=True)
    rows[5] = rows[5].replace(rows[5].split(",")[2], "0.0000000000", 1)
    text = header + "".join(row + row for row in rows)
    imported = read_market_file(packed(tmp_path, "BTCUSDT-metrics-2020-09-01.zip", text))
    assert len(imported.frame) == 288
    assert "Dropped 288 exact repetitions, first 2020-09-01 00:05Z." in imported.notes
    assert "Warning: 1 observations are zero, 2020-09-01 00:30Z." in imported.warnings


def test_monthly_funding_rates_stand_on_their_settlements(tmp_path):
    text = funding_rates("2024-01", 93)
    imported = read_market_file(packed(tmp_path, "BTCUSDT-fundingRate-2024-01.zip", text))
    assert (imported.kind, imported.symbol, imported.market) == ("funding", "BTCUSDT", "contract")
    assert (pd.DatetimeIndex(imported.frame.index).asi8 % 28_800_000_000 == 0).all()
    assert imported.frame["funding_rate"].iloc[0] == -0.00003


def test_a_change_of_the_funding_interval_is_told(tmp_path):
    first, second = funding_rates("2024-01", 93), funding_rates("2024-02", 60, hours=4)
    text = first + second.partition("\n")[2]
    imported = read_market_file(written(tmp_path, "BTCUSDT-fundingRate-2024-01.csv", text))
    assert (
        "A row every 8 hours; 59 closer, mostly every 4 hours, first from 2024-02-01 00:00Z."
        in imported.notes
    )


@pytest.mark.parametrize(
    ("name", "symbol", "folder", "market"),
    [
        ("BTCUSD_PERP-1m-2024-01.zip", "BTCUSD_PERP", ".", "contract"),
        ("BTCUSD_240628-1m-2024-01.zip", "BTCUSD_240628", "data/futures/cm/monthly/klines", "contract"),
        ("1000PEPEUSDT-1m-2024-01.zip", "1000PEPEUSDT", "futures/um", "contract"),
        ("BTCUSDT-1m-2024-01.zip", "BTCUSDT", "data/spot/daily/klines", "spot"),
        ("BTCUSDT-1m-2024-01.zip", "BTCUSDT", ".", None),
        ("BTC_USDT-1m.zip", "BTC/USDT", ".", None),
        ("BTC_USDT_USDT-1m-futures.zip", "BTC/USDT:USDT", ".", "contract"),
        ("candles.zip", None, ".", None),
        ("1m.zip", None, ".", None),
    ],
)
def test_the_instrument_is_what_the_files_name_says(tmp_path, name, symbol, folder, market):
    imported = read_market_file(packed(tmp_path / folder, name, klines(candles(60, "1min"))))
    assert (imported.symbol, imported.market) == (symbol, market)


def test_the_name_never_overrules_the_content(tmp_path):
    text = metrics("2024-01-20", symbol="ETHUSDT")
    imported = read_market_file(packed(tmp_path, "BTCUSDT-metrics-2024-01-20.zip", text))
    assert imported.symbol == "ETHUSDT"
    assert any("name says BTCUSDT" in warning for warning in imported.warnings)


def test_metatrader_files_of_bybit_are_refused_until_their_clock_is_said(tmp_path):
    frame = candles(60, "1min")
    ahead = (frame.index + pd.Timedelta(hours=3)).strftime("%Y.%m.%d %H:%M")
    text = "".join(
        f"{time},{','.join(map(repr, map(float, row)))}\n"
        for time, row in zip(ahead, frame.to_numpy(), strict=True)
    )
    path = written(tmp_path, "BTCUSDT_1_2024-01-01_2024-01-31.csv.gz", text)
    assert "stamped +03:00 from UTC without saying so: give utc_offset +03:00" in refusal(path)
    imported = read_market_file(path, utc_offset="+03:00")
    assert (imported.symbol, imported.timeframe) == ("BTCUSDT", "1m")
    pd.testing.assert_frame_equal(imported.frame, frame, check_freq=False)


def test_candlesticks_of_okx_leave_open_bars_out_and_find_the_base_volume(tmp_path):
    frame = candles(60, "1min")
    text = "instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm\n" + "".join(
        f"BTC-USDT-SWAP,{bar.open!r},{bar.high!r},{bar.low!r},{bar.close!r},{bar.volume * 100!r},"
        f"{bar.volume!r},{bar.volume * (bar.open + bar.close) / 2!r},{time // 1000},{int(number < 59)}\n"
        for number, (time, bar) in enumerate(zip(micros(frame), frame.itertuples(), strict=True))
    )
    imported = read_market_file(packed(tmp_path, "BTC-USDT-SWAP-candlesticks-2024-01-20.zip", text))
    assert (imported.symbol, imported.timeframe) == ("BTC-USDT-SWAP", "1m")
    pd.testing.assert_frame_equal(imported.frame[OHLCV], frame.iloc[:-1], check_freq=False)
    assert "Left out 1 bars that were still open, as column 'confirm' says." in imported.notes


def test_funding_rates_of_all_swaps_of_okx_are_read_one_instrument_at_a_time(tmp_path):
    text = "instrument_name,funding_rate,funding_time\n" + "".join(
        f"{name}-USDT-SWAP,{rate},{1_719_763_200_000 + 28_800_000 * number}\n"
        for name, rate in (("BTC", -0.0001), ("ETH", 0.0002))
        for number in range(3)
    )
    path = packed(tmp_path, "allswap-fundingrates-2024-07-01.zip", text)
    assert "BTC-USDT-SWAP, ETH-USDT-SWAP: say which" in refusal(path)
    assert read_market_file(path, symbol="ETH-USDT-SWAP").frame["funding_rate"].tolist() == [0.0002] * 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "BTCUSDT-aggTrades-2024-01.zip",
            "26129,0.01633102,4.70443515,27781,27781,1498793709153,True,True\n"
            "26130,0.01633103,4.7,27782,27782,1498793709154,False,True\n",
        ),
        (
            "BTCUSDT-aggTrades-2024-01.zip",
            "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
            "1,42000.1,0.01,1,1,1704067200000,true\n",
        ),
        (
            "BTCUSDT2024-01-01.csv.gz",
            "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional\n"
            "1704067200.1,BTCUSDT,Buy,0.01,42000.1,PlusTick,a,1,1,1\n",
        ),
        (
            "BTCUSDT-bookTicker-2024-01-01.zip",
            "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n"
            "1,42000.1,1,42000.2,1,1704067200000,1704067200001\n",
        ),
        (
            "BTCUSDT-bookDepth-2024-01-01.zip",
            "timestamp,percentage,depth,notional\n2024-01-01 00:00:05,-5,1000.1,42000000.1\n",
        ),
    ],
)
def test_trades_and_order_books_are_refused_by_their_name(tmp_path, name, text):
    said = refusal(written(tmp_path, name.replace(".zip", ".csv"), text))
    assert said.startswith("The file holds trades")
    assert "not candles" in said


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, 119), unique=True, max_size=4), unit=st.sampled_from(list(UNITS)))
def test_a_series_cut_into_files_reads_back_whole(cuts, unit):
    frame = candles(120, "1h")
    spans = [(a, b) for a, b in pairwise([0, *sorted(cuts), 120]) if b - a > 1]
    parts = [
        read_market_bytes(klines(frame.iloc[a:b], unit).encode(), "BTCUSDT-1h-2024-01.csv") for a, b in spans
    ]
    whole = pd.concat([part.frame for part in parts])
    kept = frame.iloc[np.concatenate([np.arange(a, b) for a, b in spans])]
    pd.testing.assert_frame_equal(whole[OHLCV], kept, check_freq=False)


def test_dumps_of_kraken_leave_quiet_bars_out_and_their_name_tells_the_timeframe(tmp_path):
    frame = candles(400, "1min")
    frame = frame.iloc[np.sort(np.random.default_rng(0).choice(400, 120, replace=False))]
    text = "".join(
        f"{time // 1_000_000},{bar.open!r},{bar.high!r},{bar.low!r},{bar.close!r},{bar.volume!r},{number}\n"
        for number, (time, bar) in enumerate(zip(micros(frame), frame.itertuples(), strict=True), start=1)
    )
    imported = read_market_file(written(tmp_path, "XBTUSD_1.csv", text))
    assert (imported.timeframe, imported.symbol) == ("1m", "XBTUSD")
    pd.testing.assert_frame_equal(imported.frame[OHLCV], frame, check_freq=False)
    assert imported.frame["trade_count"].tolist() == list(range(1, 121))
    assert "Timeframe 1m by the file's name: the rows are unevenly apart." in imported.notes


def test_an_amount_among_the_prices_is_not_taken_for_the_low(tmp_path):
    frame = candles(60, "1min").assign(volume=lambda bars: bars["volume"] / 100)
    text = "".join(  # as Gate.io orders them: amount, close, high, low, open
        f"{time // 1_000_000},{bar.volume!r},{bar.close!r},{bar.high!r},{bar.low!r},{bar.open!r}\n"
        for time, bar in zip(micros(frame), frame.itertuples(), strict=True)
    )
    path = written(tmp_path, "BTC_USDT-202401.csv", text)
    assert "too far apart to be the low and high of bars: name the columns" in refusal(path)
    roles = ["time", "volume", "close", "high", "low", "open"]
    columns = {role: str(number) for number, role in enumerate(roles, start=1)}
    pd.testing.assert_frame_equal(read_market_file(path, columns=columns).frame, frame, check_freq=False)


@pytest.mark.parametrize("cell", ["a\rb", "a\u202eb", "a\x1bb", "a\x7fb"])
def test_what_a_refusal_quotes_of_a_file_stays_on_one_line_and_printable(tmp_path, cell):
    text = f"time,open,high,low,close\n1705708800,1,2,1,{cell}\n1705708860,1,2,1,1\n"
    said = refusal(written(tmp_path, "a.csv", text))
    assert said.isprintable()


_FRAME = candles(40, "1min")
LAYOUTS = {
    "BTCUSDT-1m-2024-01.csv": klines(_FRAME),
    "futures/um/BTCUSDT-1m-2024-01.csv": klines(_FRAME, "us", has_header=True),
    "markPriceKlines/BTCUSDT-1m-2024-01.csv": price_klines(_FRAME),
    "BTCUSDT-metrics-2024-01-20.csv": metrics("2024-01-20", rows=30),
    "BTCUSDT-fundingRate-2024-01.csv": funding_rates("2024-01", 30),
}
CELLS = [
    *("", "nan", "inf", "-1", "0", "1e308", "1e400", "9" * 25, "null", '"', "\n", ";", "2024-02-30", "true"),
    *(
        "99999999999999999999",
        "9223372036854775807",
        "253402300800000",
        "1,5",
        "0x10",
        "\r",
        "\x00",
        "\u202e",
    ),
]


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(list(LAYOUTS)),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(CELLS)), min_size=1, max_size=5),
    column=st.one_of(st.none(), st.tuples(st.integers(0, 11), st.sampled_from(CELLS))),
    cut=st.integers(0, 200),
)
def test_damage_to_a_dump_is_refused_in_one_line_or_read_into_a_sound_frame(name, changes, column, cut):
    rows = [row.split(",") for row in LAYOUTS[name].splitlines()]
    for place, cell in changes:
        row = rows[place % len(rows)]
        row[place // len(rows) % len(row)] = cell
    if column is not None:
        for row in rows:
            row[column[0] % len(row)] = column[1]
    text = "\n".join(",".join(row) for row in rows)
    imported, said = None, ""
    try:
        imported = read_market_bytes(text[: len(text) - cut].encode(), name)
    except ImportRefused as refused:
        said = str(refused)
    if imported is None:
        assert said
        assert said.isprintable()
        return
    assert imported.frame.index.is_monotonic_increasing
    assert imported.frame.index.is_unique
    assert np.isfinite(imported.frame.iloc[:, 0]).all()
    assert all(note.isprintable() for note in imported.notes)
