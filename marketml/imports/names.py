"""How venues and tools call their columns. Names are compared without case, spaces and signs; earlier
ones win."""

from __future__ import annotations

import re
from collections.abc import Mapping

from marketml.imports.table import RawTable

CANDLES, FUNDING, OPEN_INTEREST = "candles", "funding", "open-interest"
PRICES = ("open", "high", "low", "close")
ROLES: Mapping[str, tuple[str, ...]] = {
    CANDLES: (*PRICES, "volume", "quote_volume", "trade_count", "taker_buy_volume"),
    FUNDING: ("funding_rate", "mark_price"),
    OPEN_INTEREST: ("open_interest", "open_interest_value"),
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    CANDLES: PRICES,
    FUNDING: ("funding_rate",),
    OPEN_INTEREST: ("open_interest",),
}

UNNAMED = ("index", "level0", "unnamed0", "")
TIME = [
    "opentime",
    "timeopen",
    "candlebegintime",
    "klineopentime",
    "openat",
    "fundingtime",
    "fundingratetimestamp",
    "calctime",
    "settlementtime",
    "createtime",
    "unix",
    "unixtimestamp",
    "timestampms",
    "epoch",
    "timestamp",
    "ts",
    "timestamputc",
    "datetimeutc",
    "timeutc",
    "utctime",
    "utc",
    "dateutc",
    "gmttime",
    "datetime",
    "time",
    "date",
    "localtime",
    "dt",
    "t",
    "start",
    "starttime",
    "startat",
    "begin",
    "day",
    "period",
]
# Every other role but volume, which needs its unit; see volumes.py.
WORDS: Mapping[str, list[str]] = {
    "open": ["open", "o", "openprice", "priceopen", "firstprice"],
    "high": ["high", "h", "highprice", "pricehigh"],
    "low": ["low", "l", "lowprice", "pricelow"],
    "close": ["close", "c", "closeprice", "priceclose", "closelast", "last"],
    "quote_volume": ["quotevolume", "quoteassetvolume", "quotevol", "volumequote", "turnover", "volccyquote"],
    "trade_count": [
        "count",
        "trades",
        "tradecount",
        "tradescount",
        "numberoftrades",
        "numtrades",
        "ntrades",
        "notrades",
    ],
    "taker_buy_volume": [
        "takerbuyvolume",
        "takerbuybasevolume",
        "takerbuybaseassetvolume",
        "takerbuybasevol",
        "takerbuybase",
        "takerbasevolume",
    ],
    "funding_rate": ["fundingrate", "lastfundingrate", "funding", "settledfundingrate", "realizedrate"],
    "mark_price": ["markprice", "mark"],
    "open_interest": ["openinterest", "sumopeninterest", "oi", "openinterestamount", "openinterestbase"],
    "open_interest_value": [
        "openinterestvalue",
        "sumopeninterestvalue",
        "oivalue",
        "openinterestusd",
        "openinterestquote",
    ],
}
SYMBOL = [
    "symbol",
    "pair",
    "ticker",
    "instrument",
    "instid",
    "instrumentname",
    "market",
    "product",
    "productid",
]
TRADE_PRICES = {"price", "p"}
TRADE_SIZES = {"amount", "qty", "quantity", "size", "volume", "q", "vol"}
TRADE_MARKS = [
    *("side", "isbuyermaker", "tradeid", "id", "aggtradeid", "bidprice", "askprice", "bid", "ask"),
    *("bestbidprice", "bestaskprice", "updateid", "percentage", "depth", "orderstatus", "averageprice"),
]
CLOSE_TIME = "closetime"
CONFIRMED = "confirm"  # 0 on a bar that was still open

_SIGNS = {code: None for code in range(128) if not chr(code).isalnum()}


def by_word(table: RawTable) -> dict[str, str]:
    """Columns by their bare names (`1. open` is open); the first of equal ones wins."""
    words: dict[str, str] = {}
    for name in table.names:
        bare = re.sub(r"[^\x00-\x7f]+", "", name) or name  # venues add a second language
        words.setdefault(re.sub(r"^\d+\.", "", bare).lower().translate(_SIGNS), name)
    return words


def find_confirmed(table: RawTable) -> str | None:
    """The column that says whether a bar was over, if there is one."""
    return by_word(table).get(CONFIRMED) if table.has_names else None


def find_symbol(table: RawTable) -> str | None:
    """The column that names the instrument, if there is one."""
    words = by_word(table) if table.has_names else {}
    return next((words[word] for word in SYMBOL if word in words), None)
