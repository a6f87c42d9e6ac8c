"""Venues' spellings: read by rule, or refused with what is near; never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketml.rpc.refusals import InvalidArgument
from services.data.series import symbol_violations
from services.data.symbols import normalize_symbol
from tests.data.market import candles

SPELLINGS = [
    # text, venue, unified
    ("BTC/USDT:USDT", "", "BTC/USDT:USDT"),
    ("BTC/USD:BTC-240628", "", "BTC/USD:BTC-240628"),
    ("btc/usdt", "", "BTC/USDT"),
    ("BTCUSDT", "", "BTC/USDT"),
    ("btcusdt", "htx", "BTC/USDT"),
    ("BTC-USDT", "", "BTC/USDT"),
    ("BTC_USDT", "gate", "BTC/USDT"),
    ("BTC USDT", "", "BTC/USDT"),
    (" BTCUSDT ", "", "BTC/USDT"),
    ("ethbtc", "", "ETH/BTC"),
    ("1000PEPEUSDT", "binance", "1000PEPE/USDT"),
    ("BTCFDUSD", "binance", "BTC/FDUSD"),
    ("BTCBUSD", "binance", "BTC/BUSD"),
    ("BTCTUSD", "binance", "BTC/TUSD"),
    ("USDTUSD", "kraken", "USDT/USD"),
    ("FOO-USDT", "", "FOO/USDT"),
    ("BTCUSDT", "binanceusdm", "BTC/USDT:USDT"),
    ("BTCUSDT_PERP", "", "BTC/USDT:USDT"),
    ("BTCUSD_PERP", "", "BTC/USD:BTC"),
    ("BTCUSDT_240628", "", "BTC/USDT:USDT-240628"),
    ("BTCUSD_240628", "", "BTC/USD:BTC-240628"),
    ("BTC-USDT-SWAP", "", "BTC/USDT:USDT"),
    ("BTC-USD-SWAP", "okx", "BTC/USD:BTC"),
    ("BTC-USD-240628", "okx", "BTC/USD:BTC-240628"),
    ("BTCUSD", "bybit", "BTC/USD:BTC"),
    ("BTCPERP", "bybit", "BTC/USDC:USDC"),
    ("BTC-PERPETUAL", "", "BTC/USD:BTC"),
    ("ETH_USDC-PERPETUAL", "deribit", "ETH/USDC:USDC"),
    ("BTC-27DEC24", "deribit", "BTC/USD:BTC-241227"),
    ("BTC-7JUN24", "", "BTC/USD:BTC-240607"),
    ("XBTUSD", "", "BTC/USD:BTC"),
    ("XBTUSD", "bitmex", "BTC/USD:BTC"),
    ("ETHUSD", "bitmex", "ETH/USD:BTC"),
    ("XBTUSDT", "bitmex", "BTC/USDT:USDT"),
    ("XBTUSD", "kraken", "BTC/USD"),
    ("XXBTZUSD", "", "BTC/USD"),
    ("XETHZEUR", "kraken", "ETH/EUR"),
    ("XBT/USD", "kraken", "BTC/USD"),
    ("PI_XBTUSD", "", "BTC/USD:BTC"),
    ("PF_XBTUSD", "krakenfutures", "BTC/USD:USD"),
    ("FI_XBTUSD_240628", "", "BTC/USD:BTC-240628"),
    ("tBTCUSD", "bitfinex", "BTC/USD"),
    ("tBTCUST", "", "BTC/USDT"),
    ("tDUSK:USD", "bitfinex", "DUSK/USD"),
    ("tBTCF0:USTF0", "bitfinex", "BTC/USDT:USDT"),
    ("XBTUSDTM", "", "BTC/USDT:USDT"),
    ("ETHUSDTM", "kucoinfutures", "ETH/USDT:USDT"),
    ("BTC", "hyperliquid", "BTC/USDC:USDC"),
    ("BINANCE:BTCUSDT.P", "", "BTC/USDT:USDT"),
    ("BTCUSDT-PERP", "", "BTC/USDT:USDT"),
]


@pytest.mark.parametrize(("text", "venue", "unified"), SPELLINGS)
def test_a_usual_spelling_is_understood_and_explained(text, venue, unified):
    symbol = normalize_symbol(text, venue)
    assert symbol.text == unified
    assert symbol.recognised_as


@pytest.mark.parametrize(
    "text",
    ["BTC", "HELLO", "BTCPERP", "BTC-PERP", "FOOUSDT", "A/B/C", "USDT", "BTC-USDT-249999", "💰USDT", "-"],
)
def test_what_could_mean_more_than_one_thing_or_nothing_is_refused(text):
    with pytest.raises(InvalidArgument, match="nearest known symbols are"):
        normalize_symbol(text)


def test_the_nearest_known_symbols_are_named_the_stored_ones_among_them():
    with pytest.raises(InvalidArgument, match="QUUX/USDT:USDT"):
        normalize_symbol("QUXUSDTUSDT", known=["QUUX/USDT:USDT"])
    with pytest.raises(InvalidArgument, match="SOL/USDT"):
        normalize_symbol("SOLUSTD")


def test_a_base_that_is_stored_is_known():
    with pytest.raises(InvalidArgument):
        normalize_symbol("QUUXUSDT")
    assert normalize_symbol("QUUXUSDT", known=["QUUX/BTC"]).text == "QUUX/USDT"


@given(
    st.text(max_size=70), st.sampled_from(["", "binance", "bitmex", "kraken", "bitfinex", "deribit", "bybit"])
)
def test_any_text_is_a_valid_symbol_or_refused(text, venue):
    try:
        symbol = normalize_symbol(text, venue)
    except InvalidArgument:
        return
    assert symbol_violations(symbol.text, "symbol") == []
    assert normalize_symbol(symbol.text, venue).text == symbol.text


def test_the_room_knows_its_own_symbols(room):
    room.client.ingest_candles(candles(2), "binance", "QUUX/BTC", "1h")
    found = room.client.normalize_symbol("QUUXUSDT")
    assert (found.symbol, found.base, found.quote, found.settle) == ("QUUX/USDT", "QUUX", "USDT", "")
    assert "spot" in found.recognised_as
