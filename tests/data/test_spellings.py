"""Our reading of a spelling is the symbol that ccxt's parsers make of the venue's own description of it.

The descriptions are the venues' answers, with the fields that ccxt reads; ccxt asks nobody here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import ccxt
import pytest

from services.data.symbols.unified import normalize_symbol

EXPIRY_MS = 1743148800000  # 2025-03-28T08:00Z, a last Friday
QUARTER_TIME = "2025-03-28T08:00:00.000Z"


@cache
def _exchange(name: str) -> Any:
    return getattr(ccxt, name)()


def _binance(venue: str, raw: dict[str, Any]) -> Any:
    exchange = _exchange(venue)
    exchange.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}
    return exchange.parse_market(raw)


def _bybit(category: str, raw: dict[str, Any]) -> Any:
    exchange = _exchange("bybit")
    answer = {"result": {"category": category, "list": [raw]}}
    exchange.publicGetV5MarketInstrumentsInfo = lambda params: answer
    return exchange.fetch_future_markets({})[0]


def _kucoin(raw: dict[str, Any]) -> Any:
    exchange = _exchange("kucoinfutures")
    exchange.futuresPublicGetContractsActive = lambda params: {"data": [raw]}
    return exchange.fetch_contract_markets()[0]


def _kraken_futures(raw: dict[str, Any]) -> Any:
    exchange = _exchange("krakenfutures")
    exchange.publicGetInstruments = lambda params: {"instruments": [raw]}
    return exchange.fetch_markets()[0]


def _kraken(pair: str, altname: str, base: str, quote: str) -> Any:
    exchange = _exchange("kraken")
    raw = {"altname": altname, "base": base, "quote": quote, "status": "online"}
    exchange.publicGetAssetPairs = lambda params: {"result": {pair: raw}}
    return exchange.fetch_markets()[0]


def _deribit(raw: dict[str, Any]) -> Any:
    exchange = _exchange("deribit")
    exchange.publicGetGetInstruments = lambda params: {"result": [raw]}
    return exchange.fetch_markets()[0]


def _bitfinex(pair: str, futures: str) -> Any:
    exchange = _exchange("bitfinex")
    exchange.publicGetConfConfig = lambda params: [
        [[name, [None] * 12]] if name else [] for name in (pair, futures, "", "")
    ]
    return exchange.fetch_markets()[0]


def _mexc(raw: dict[str, Any]) -> Any:
    exchange = _exchange("mexc")
    exchange.contractPublicGetDetail = lambda params: {"data": [raw]}
    return exchange.fetch_swap_markets()[0]


def _htx(endpoint: str, kind: tuple[str, str], raw: dict[str, Any]) -> Any:
    exchange = _exchange("htx")
    setattr(exchange, endpoint, lambda params: {"data": [raw]})
    return exchange.fetch_markets_by_type_and_sub_type(*kind)[0]


def _pair(base: str, quote: str, settle: str | None = None, **more: Any) -> dict[str, Any]:
    return {"baseAsset": base, "quoteAsset": quote, "marginAsset": settle} | more


def _coins(base: str, quote: str, settle: str, **more: Any) -> dict[str, Any]:
    return {"baseCoin": base, "quoteCoin": quote, "settleCoin": settle} | more


def _contract(base: str, quote: str, settle: str, **more: Any) -> dict[str, Any]:
    return {"baseCurrency": base, "quoteCurrency": quote, "settleCurrency": settle} | more


def _instrument(name: str, base: str, quote: str, settle: str, period: str) -> dict[str, Any]:
    return {
        "instrument_name": name,
        "base_currency": base,
        "counter_currency": quote,
        "settlement_currency": settle,
        "settlement_period": period,
        "kind": "future",
        "expiration_timestamp": EXPIRY_MS,
    }


def _okx(name: str, kind: str, pair: str, settle: str) -> Any:
    expiry = str(EXPIRY_MS) if kind == "FUTURES" else ""
    raw = {"instId": name, "instType": kind, "uly": pair, "settleCcy": settle, "expTime": expiry}
    return _exchange("okx").parse_market(raw)


PERPETUAL, QUARTER = (
    {"contractType": "PERPETUAL"},
    {"contractType": "CURRENT_QUARTER", "deliveryDate": EXPIRY_MS},
)
HYPERLIQUID = {"baseId": 0, "szDecimals": "0", "markPx": "1", "maxLeverage": 50}

MARKETS = {
    "binance spot": ("binance", lambda: _binance("binance", _pair("BTC", "USDT", symbol="BTCUSDT"))),
    "binance linear": (
        "binanceusdm",
        lambda: _binance(
            "binanceusdm", _pair("1000PEPE", "USDT", "USDT", symbol="1000PEPEUSDT", **PERPETUAL)
        ),
    ),
    "binance dollar coin": (
        "binanceusdm",
        lambda: _binance("binanceusdm", _pair("BTC", "USDC", "USDC", symbol="BTCUSDC", **PERPETUAL)),
    ),
    "binance linear quarter": (
        "binance",
        lambda: _binance("binance", _pair("BTC", "USDT", "USDT", symbol="BTCUSDT_250328", **QUARTER)),
    ),
    "binance inverse": (
        "binance",
        lambda: _binance("binance", _pair("BTC", "USD", "BTC", symbol="BTCUSD_PERP", **PERPETUAL)),
    ),
    "binance inverse quarter": (
        "binancecoinm",
        lambda: _binance("binancecoinm", _pair("BTC", "USD", "BTC", symbol="BTCUSD_250328", **QUARTER)),
    ),
    "bybit inverse": (
        "bybit",
        lambda: _bybit(
            "inverse", _coins("BTC", "USD", "BTC", symbol="BTCUSD", contractType="InversePerpetual")
        ),
    ),
    "bybit dollar coin": (
        "bybit",
        lambda: _bybit(
            "linear", _coins("BTC", "USDC", "USDC", symbol="BTCPERP", contractType="LinearPerpetual")
        ),
    ),
    "bybit inverse quarter": (
        "bybit",
        lambda: _bybit(
            "inverse",
            _coins(
                "BTC", "USD", "BTC", symbol="BTCUSDH25", contractType="InverseFutures", deliveryTime=EXPIRY_MS
            ),
        ),
    ),
    "bybit dollar coin future": (
        "bybit",
        lambda: _bybit(
            "linear",
            _coins(
                "BTC",
                "USDC",
                "USDC",
                symbol="BTC-28MAR25",
                contractType="LinearFutures",
                deliveryTime=EXPIRY_MS,
            ),
        ),
    ),
    "bybit tether future": (
        "bybit",
        lambda: _bybit(
            "linear",
            _coins(
                "BTC",
                "USDT",
                "USDT",
                symbol="BTCUSDT-28MAR25",
                contractType="LinearFutures",
                deliveryTime=EXPIRY_MS,
            ),
        ),
    ),
    "okx spot": (
        "okx",
        lambda: _exchange("okx").parse_market(
            {"instId": "BTC-USDT", "instType": "SPOT", "baseCcy": "BTC", "quoteCcy": "USDT"}
        ),
    ),
    "okx linear": ("okx", lambda: _okx("BTC-USDT-SWAP", "SWAP", "BTC-USDT", "USDT")),
    "okx inverse": ("okx", lambda: _okx("BTC-USD-SWAP", "SWAP", "BTC-USD", "BTC")),
    "okx inverse quarter": ("okx", lambda: _okx("BTC-USD-250328", "FUTURES", "BTC-USD", "BTC")),
    "deribit inverse": (
        "deribit",
        lambda: _deribit(_instrument("BTC-PERPETUAL", "BTC", "USD", "BTC", "perpetual")),
    ),
    "deribit dollar coin": (
        "deribit",
        lambda: _deribit(_instrument("BTC_USDC-PERPETUAL", "BTC", "USDC", "USDC", "perpetual")),
    ),
    "deribit future": ("deribit", lambda: _deribit(_instrument("BTC-28MAR25", "BTC", "USD", "BTC", "month"))),
    "kraken padded": ("kraken", lambda: _kraken("XXBTZUSD", "XBTUSD", "XXBT", "ZUSD")),
    "kraken in bitcoin": ("kraken", lambda: _kraken("XETHXXBT", "ETHXBT", "XETH", "XXBT")),
    "kraken plain": ("kraken", lambda: _kraken("XBTUSDT", "XBTUSDT", "XXBT", "USDT")),
    "kraken renamed": ("kraken", lambda: _kraken("LUNAUSD", "LUNAUSD", "LUNA", "ZUSD")),
    "kraken inverse": (
        "krakenfutures",
        lambda: _kraken_futures({"symbol": "PI_XBTUSD", "type": "futures_inverse"}),
    ),
    "kraken linear": (
        "krakenfutures",
        lambda: _kraken_futures({"symbol": "PF_XBTUSD", "type": "flexible_futures_vanilla"}),
    ),
    "kraken inverse future": (
        "krakenfutures",
        lambda: _kraken_futures(
            {"symbol": "fi_xbtusd_250328", "type": "futures_inverse", "lastTradingTime": QUARTER_TIME}
        ),
    ),
    "coinbase perpetual": (
        "coinbase",
        lambda: _exchange("coinbase").parse_contract_market(
            {
                "product_id": "ETH-PERP-INTX",
                "quote_currency_id": "USDC",
                "future_product_details": {
                    "contract_root_unit": "ETH",
                    "contract_expiry_type": "PERPETUAL",
                },
            },
            {},
        ),
    ),
    "bitfinex spot": ("bitfinex", lambda: _bitfinex("BTCUST", "")),
    "bitfinex with a colon": ("bitfinex", lambda: _bitfinex("DUSK:USD", "")),
    "bitfinex renamed": ("bitfinex", lambda: _bitfinex("IOTUSD", "")),
    "bitfinex perpetual": ("bitfinex", lambda: _bitfinex("", "BTCF0:USTF0")),
    "kucoin linear": (
        "kucoinfutures",
        lambda: _kucoin(_contract("XBT", "USDT", "USDT", symbol="XBTUSDTM", nextFundingRateTime=1)),
    ),
    "kucoin inverse": (
        "kucoin",
        lambda: _kucoin(
            _contract("XBT", "USD", "XBT", symbol="XBTUSDM", nextFundingRateTime=1, isInverse=True)
        ),
    ),
    "gate inverse": (
        "gate",
        lambda: _exchange("gate").parse_contract_market({"name": "BTC_USD", "type": "inverse"}, "btc"),
    ),
    "gate future": (
        "gate",
        lambda: _exchange("gate").parse_contract_market(
            {"name": "BTC_USDT_20250328", "type": "direct", "expire_time": EXPIRY_MS // 1000}, "usdt"
        ),
    ),
    "mexc linear": ("mexc", lambda: _mexc(_coins("BTC", "USDT", "USDT", symbol="BTC_USDT"))),
    "mexc inverse": ("mexc", lambda: _mexc(_coins("BTC", "USD", "BTC", symbol="BTC_USD"))),
    "htx linear": (
        "htx",
        lambda: _htx(
            "contractPublicGetLinearSwapApiV1SwapContractInfo",
            ("swap", "linear"),
            {"symbol": "BTC", "contract_code": "BTC-USDT", "business_type": "swap"},
        ),
    ),
    "htx inverse": (
        "htx",
        lambda: _htx(
            "contractPublicGetSwapApiV1SwapContractInfo",
            ("swap", "inverse"),
            {"symbol": "BTC", "contract_code": "BTC-USD"},
        ),
    ),
    "htx inverse future": (
        "htx",
        lambda: _htx(
            "contractPublicGetApiV1ContractContractInfo",
            ("future", "inverse"),
            {
                "symbol": "BTC",
                "contract_code": "BTC250328",
                "delivery_date": "20250328",
                "delivery_time": str(EXPIRY_MS),
            },
        ),
    ),
    "hyperliquid": (
        "hyperliquid",
        lambda: _exchange("hyperliquid").parse_market({"name": "BTC"} | HYPERLIQUID),
    ),
    "hyperliquid lots": (
        "hyperliquid",
        lambda: _exchange("hyperliquid").parse_market({"name": "kPEPE"} | HYPERLIQUID),
    ),
}


@pytest.mark.parametrize("name", MARKETS)
def test_a_spelling_means_what_ccxt_makes_of_the_venues_own_description(name):
    venue, described = MARKETS[name]
    market = described()
    spelled = market["info"].get("name") if venue == "hyperliquid" else market["id"]
    assert normalize_symbol(spelled, venue).text == market["symbol"]
