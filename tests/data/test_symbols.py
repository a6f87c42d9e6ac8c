"""Venues' spellings: read by rule, or refused with what is near; never guessed."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from marketml.rpc.refusals import InvalidArgument
from services.data.series import symbol_violations
from services.data.symbols.currencies import BASES, DOLLARS, FIAT
from services.data.symbols.spellings import VENUES
from services.data.symbols.unified import normalize_symbol
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
    ("BTC-7JUN24", "deribit", "BTC/USD:BTC-240607"),
    ("BTC-27DEC24", "bybit", "BTC/USDC:USDC-241227"),
    ("BTCUSDT-28MAR25", "bybit", "BTC/USDT:USDT-250328"),
    ("BTCUSDH25", "", "BTC/USD:BTC-250328"),
    ("ETHUSDZ24", "bybit", "ETH/USD:ETH-241227"),
    ("SHIB1000USDT", "bybit", "SHIB1000/USDT"),
    ("RAREUSDT", "binance", "RARE/USDT"),
    ("1000000MOGUSDT", "binance", "1000000MOG/USDT"),
    ("BTCUSDC", "binanceusdm", "BTC/USDC:USDC"),
    ("BTCUSD_PERP", "binancecoinm", "BTC/USD:BTC"),
    ("USDTDAI", "binance", "USDT/DAI"),
    ("USDJPY", "", "USD/JPY"),
    ("EURUSD", "", "EUR/USD"),
    ("XBTUSD", "", "BTC/USD:BTC"),
    ("XBTUSD", "bitmex", "BTC/USD:BTC"),
    ("ETHUSD", "bitmex", "ETH/USD:BTC"),
    ("XBTUSDT", "bitmex", "BTC/USDT:USDT"),
    ("XBT_USDT", "bitmex", "BTC/USDT"),
    ("XBTEUR", "bitmex", "BTC/EUR:BTC"),
    ("XBTH25", "", "BTC/USD:BTC-250328"),
    ("ETHUSDM25", "bitmex", "ETH/USD:BTC-250627"),
    ("ETHUSD_ETH", "bitmex", "ETH/USD:ETH"),
    ("XBTUSD", "kraken", "BTC/USD"),
    ("XXBTZUSD", "", "BTC/USD"),
    ("XETHZEUR", "kraken", "ETH/EUR"),
    ("XBT/USD", "kraken", "BTC/USD"),
    ("PI_XBTUSD", "", "BTC/USD:BTC"),
    ("PF_XBTUSD", "krakenfutures", "BTC/USD:USD"),
    ("FI_XBTUSD_240628", "", "BTC/USD:BTC-240628"),
    ("ff_xbtusd_250328", "krakenfutures", "BTC/USD:USD-250328"),
    ("XETHXXBT", "kraken", "ETH/BTC"),
    ("LUNAUSD", "kraken", "LUNC/USD"),
    ("BTC-PERP-INTX", "", "BTC/USDC:USDC"),
    ("BTC-PERP", "coinbaseinternational", "BTC/USDC:USDC"),
    ("BTC-PERP", "ftx", "BTC/USD:USD"),
    ("BTCUSD-PERP", "cryptocom", "BTC/USD:USD"),
    ("tBTCUSD", "bitfinex", "BTC/USD"),
    ("tBTCUST", "", "BTC/USDT"),
    ("tDUSK:USD", "bitfinex", "DUSK/USD"),
    ("tBTCF0:USTF0", "bitfinex", "BTC/USDT:USDT"),
    ("XBTUSDTM", "", "BTC/USDT:USDT"),
    ("ETHUSDTM", "kucoinfutures", "ETH/USDT:USDT"),
    ("XBTUSDM", "kucoin", "BTC/USD:BTC"),
    ("BTC_USDT_20250328", "gate", "BTC/USDT:USDT-250328"),
    ("BTC_USD", "gateio", "BTC/USD:BTC"),
    ("BTCUSDT_UMCBL", "", "BTC/USDT:USDT"),
    ("BTCUSD_DMCBL", "bitget", "BTC/USD:BTC"),
    ("BTCPERP_CMCBL", "bitget", "BTC/USDC:USDC"),
    ("BTCUSD_DMCBL_230630", "bitget", "BTC/USD:BTC-230630"),
    ("BTCUSDT_SPBL", "", "BTC/USDT"),
    ("BTC-USDT", "htx", "BTC/USDT:USDT"),
    ("BTC-USD", "huobi", "BTC/USD:BTC"),
    ("BTC-USDT-240419", "htx", "BTC/USDT:USDT-240419"),
    ("BTC240412", "htx", "BTC/USD:BTC-240412"),
    ("BTC_USDT", "mexc", "BTC/USDT:USDT"),
    ("BTCUSDT", "mexc", "BTC/USDT"),
    ("KRW-BTC", "upbit", "BTC/KRW"),
    ("BTC-USD", "dydx", "BTC/USDC:USDC"),
    ("BTC", "hyperliquid", "BTC/USDC:USDC"),
    ("kPEPE", "hyperliquid", "KPEPE/USDC:USDC"),
    ("PURR/USDC", "hyperliquid", "PURR/USDC"),
    ("BINANCE:BTCUSDT.P", "", "BTC/USDT:USDT"),
    ("BYBIT:BTCUSD.P", "", "BTC/USD:BTC"),
    ("BTCUSDT-PERP", "", "BTC/USDT:USDT"),
]


@pytest.mark.parametrize(("text", "venue", "unified"), SPELLINGS)
def test_a_usual_spelling_is_understood_and_explained(text, venue, unified):
    symbol = normalize_symbol(text, venue)
    assert symbol.text == unified
    assert symbol.recognised_as


@pytest.mark.parametrize(
    "text",
    ["BTC", "HELLO", "FOOUSDT", "A/B/C", "USDT", "WBTC", "STETH", "BTCETH", "6EH4.XCME", "💰USDT", "-"],
)
def test_what_means_nothing_is_refused_with_what_is_near(text):
    with pytest.raises(InvalidArgument, match="nearest known symbols are"):
        normalize_symbol(text)


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("BTCUSD", ["BTC/USD on bitstamp", "BTC/USD:BTC on bybit"]),
        ("ETHUSD", ["ETH/USD on", "ETH/USD:ETH on bybit", "ETH/USD:BTC on bitmex"]),
        ("XBTUSDT", ["BTC/USDT on kraken", "BTC/USDT:USDT on bitmex"]),
        ("BTCPERP", ["BTC/USDC:USDC on bybit"]),
        ("BTC-PERP", ["BTC/USDC:USDC on coinbaseinternational", "BTC/USD:USD on ftx"]),
        ("BTCUSD-PERP", ["BTC/USD:USD on cryptocom"]),
        ("BTC-7JUN24", ["BTC/USDC:USDC-240607 on bybit", "BTC/USD:BTC-240607 on deribit"]),
        ("ETHUSDH25", ["ETH/USD:ETH-250328 on bybit", "ETH/USD:BTC-250328 on bitmex"]),
        ("KRW-BTC", ["BTC/KRW on upbit"]),
    ],
)
def test_what_venues_mean_differently_is_refused_with_the_readings(text, readings):
    with pytest.raises(InvalidArgument, match="name the venue") as refused:
        normalize_symbol(text)
    assert refused.value.violations[0].rule == "ambiguous_symbol"
    assert all(reading in str(refused.value) for reading in readings)


@pytest.mark.parametrize(
    ("text", "venue", "why"),
    [
        ("BTC-28MAR25-100000-C", "deribit", "option"),
        ("BTC-250328-100000-P", "binance", "option"),
        ("BTC-USD-250328-60000-C", "", "option"),
        ("BTC-USDT-249999", "", "no day"),
        ("BTC-31FEB25", "deribit", "no day"),
        ("BTC/USD:BTC-250230", "", "no day"),
        ("FI_XBTUSD", "", "lacks one"),
        ("XBTF25", "bitmex", "no certain day"),
        ("BTCUSDH5", "bybit", "no certain day"),
        ("BTC-USDT-CW", "htx", "without the day"),
        ("CME:BTC1!", "", "without the day"),
        ("BTCUSD", "binance", "only contracts"),
        ("XBTUSD", "krakenfutures", "only contracts"),
        ("@107", "hyperliquid", "list of instruments"),
        ("xyz:XYZ100", "hyperliquid", "list of instruments"),
        ("USDT-BTC", "binance", "the other way round"),
    ],
)
def test_what_is_understood_and_names_no_one_instrument_is_refused_with_the_reason(text, venue, why):
    with pytest.raises(InvalidArgument, match=why) as refused:
        normalize_symbol(text, venue)
    assert refused.value.violations[0].rule == "unclear_symbol"


@pytest.mark.parametrize("venue", ["cme", ""])
def test_a_month_code_is_no_date_where_the_venue_has_holidays(venue):
    with pytest.raises(InvalidArgument):
        normalize_symbol("BTCH25", venue)


def test_a_venue_that_the_text_names_is_not_contradicted():
    with pytest.raises(InvalidArgument, match="names the venue binance, not bybit"):
        normalize_symbol("BINANCE:BTCUSDT", "bybit")
    assert normalize_symbol("BINANCE:BTCUSDT.P", "binanceusdm").text == "BTC/USDT:USDT"


def test_the_explanation_says_what_else_is_spelled_so():
    assert "BTC/USDT:USDT the same" in normalize_symbol("BTCUSDT", "binance").recognised_as
    assert "not known here" in normalize_symbol("BTCUSDT", "elsewhere").recognised_as


def test_the_nearest_known_symbols_are_named_the_stored_ones_among_them():
    with pytest.raises(InvalidArgument, match="QUUX/USDT:USDT"):
        normalize_symbol("QUXUSDTUSDT", known=["QUUX/USDT:USDT"])
    with pytest.raises(InvalidArgument, match="SOL/USDT"):
        normalize_symbol("SOLUSTD")


def test_a_base_that_is_stored_is_known():
    with pytest.raises(InvalidArgument):
        normalize_symbol("QUUXUSDT")
    assert normalize_symbol("QUUXUSDT", known=["QUUX/BTC"]).text == "QUUX/USDT"


COINS = st.sampled_from(sorted(BASES - FIAT - DOLLARS))
TETHERS = st.sampled_from(["USDT", "USDC"])
DAYS = st.dates(date(2017, 1, 1), date(2039, 12, 31))
UNIFIED = st.from_regex(r"[A-Z0-9]{1,20}/[A-Z0-9]{1,20}(:[A-Z0-9]{1,20})?", fullmatch=True)
PIECES = """
BTC XBT ETH USD USDT USDC EUR - _ / : .P PERP SWAP t F0 PI_ H25 28MAR25 250328 20250328 M UMCBL
100000 C X Z 1000
"""
TEXTS = st.one_of(
    st.text(max_size=70),
    st.text("ABCDEFHMTUXZ0123456789-_/:.@ btcusdperp", max_size=24),
    st.lists(
        st.sampled_from(PIECES.split()),
        max_size=7,
    ).map("".join),
)


@given(TEXTS, st.sampled_from(["", "elsewhere", *VENUES]))
@settings(max_examples=500)
def test_any_text_is_a_valid_symbol_or_refused(text, venue):
    try:
        symbol = normalize_symbol(text, venue)
    except InvalidArgument:
        return
    assert symbol_violations(symbol.text, "symbol") == []
    assert normalize_symbol(symbol.text, venue).text == symbol.text


@given(UNIFIED, st.one_of(st.none(), DAYS), st.sampled_from(["", *VENUES]))
def test_a_unified_symbol_is_itself(symbol, day, venue):
    assume(not {"XBT", "XDG"} & set(re.split("[/:]", symbol)))
    if ":" in symbol and day is not None:
        symbol += f"-{day:%y%m%d}"
    assert normalize_symbol(symbol, venue).text == symbol
    assert normalize_symbol(symbol.lower(), venue).text == symbol


def xbt(coin: str) -> str:
    return {"BTC": "XBT", "DOGE": "XDG"}.get(coin, coin)


@given(COINS, TETHERS, DAYS)
def test_what_a_venue_spells_by_its_rules_is_read_back(coin, quote, day):
    assume(coin != "LUNA")  # which some venues call otherwise
    perpetual, inverse = f"{coin}/{quote}:{quote}", f"{coin}/USD:{coin}"
    digits, words = f"{day:%y%m%d}", f"{day.day}{day:%b%y}".upper()
    spelled = {
        ("binance", f"{coin}{quote}"): f"{coin}/{quote}",
        ("binance", f"{coin}{quote}_{digits}"): f"{perpetual}-{digits}",
        ("binanceusdm", f"{coin}{quote}"): perpetual,
        ("binancecoinm", f"{coin}USD_PERP"): inverse,
        ("binancecoinm", f"{coin}USD_{digits}"): f"{inverse}-{digits}",
        ("bybit", f"{coin}{quote}"): f"{coin}/{quote}",
        ("bybit", f"{coin}USD"): inverse,
        ("bybit", f"{coin}PERP"): f"{coin}/USDC:USDC",
        ("bybit", f"{coin}-{words}"): f"{coin}/USDC:USDC-{digits}",
        ("okx", f"{coin}-{quote}"): f"{coin}/{quote}",
        ("okx", f"{coin}-{quote}-SWAP"): perpetual,
        ("okx", f"{coin}-USD-SWAP"): inverse,
        ("okx", f"{coin}-USD-{digits}"): f"{inverse}-{digits}",
        ("deribit", f"{coin}-PERPETUAL"): inverse,
        ("deribit", f"{coin}_USDC-PERPETUAL"): f"{coin}/USDC:USDC",
        ("deribit", f"{coin}-{words}"): f"{inverse}-{digits}",
        ("bitmex", f"{xbt(coin)}USD"): f"{coin}/USD:BTC",
        ("bitmex", f"{xbt(coin)}USDT"): f"{coin}/USDT:USDT",
        ("kraken", f"{xbt(coin)}/USD"): f"{coin}/USD",
        ("kraken", f"{xbt(coin)}USD"): f"{coin}/USD",
        ("krakenfutures", f"PF_{xbt(coin)}USD"): f"{coin}/USD:USD",
        ("krakenfutures", f"FI_{xbt(coin)}USD_{digits}"): f"{inverse}-{digits}",
        ("coinbase", f"{coin}-USD"): f"{coin}/USD",
        ("coinbase", f"{coin}-PERP-INTX"): f"{coin}/USDC:USDC",
        ("bitfinex", f"t{coin}F0:USTF0"): f"{coin}/USDT:USDT",
        ("kucoin", f"{coin}-{quote}"): f"{coin}/{quote}",
        ("kucoinfutures", f"{xbt(coin)}{quote}M"): perpetual,
        ("gate", f"{coin}_{quote}"): f"{coin}/{quote}",
        ("gate", f"{coin}_{quote}_20{digits}"): f"{perpetual}-{digits}",
        ("bitget", f"{coin}USDT_UMCBL"): f"{coin}/USDT:USDT",
        ("bitget", f"{coin}USD_DMCBL"): inverse,
        ("htx", f"{coin}{quote}".lower()): f"{coin}/{quote}",
        ("htx", f"{coin}-{quote}"): perpetual,
        ("mexc", f"{coin}{quote}"): f"{coin}/{quote}",
        ("mexc", f"{coin}_{quote}"): perpetual,
        ("hyperliquid", coin): f"{coin}/USDC:USDC",
        ("upbit", f"KRW-{coin}"): f"{coin}/KRW",
    }
    read = {key: normalize_symbol(key[1], key[0]).text for key in spelled}
    assert read == spelled


def test_the_room_knows_its_own_symbols(room):
    room.client.ingest_candles(candles(2), "binance", "QUUX/BTC", "1h")
    found = room.client.normalize_symbol("QUUXUSDT")
    assert (found.symbol, found.base, found.quote, found.settle) == ("QUUX/USDT", "QUUX", "USDT", "")
    assert "spot" in found.recognised_as
