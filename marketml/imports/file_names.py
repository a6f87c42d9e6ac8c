"""What a file is called, and the folders it lies in: a suggestion for what its content leaves open.

Only spellings that venues and tools write by rule are read: `BTCUSDT-1m-2024-04.zip`,
`BTCUSDT-metrics-2024-04-01.zip`, `XRP_USDT_USDT-1h-futures.feather`, `Binance_BTCUSDT_1h.csv`,
`BTC-USDT-SWAP-candlesticks-2024-04-01.zip`, `BTCUSDT_1_2024-04-01_2024-04-30.csv.gz`, `XBTUSD_60.csv`;
folders as Binance's archive names them (`data/futures/um/monthly/markPriceKlines`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from marketml.timeframes import TIMEFRAMES

_ENDING = re.compile(r"(\.(csv|tsv|txt|json|parquet|feather|zip|gz))+$", re.IGNORECASE)
_DATE = r"\d{4}-\d{2}(?:-\d{2})?"
_SPACING = r"(?P<timeframe>\d{1,2}(?:mo|[smhdw])|\d{1,2}[HDW]|1M)"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?P<symbol>[A-Z0-9]{{4,20}}(?:_(?:PERP|\d{{6}}))?)-{_SPACING}-{_DATE}",
        rf"(?P<symbol>[A-Z0-9]{{4,20}}(?:_(?:PERP|\d{{6}}))?)-(?P<what>[A-Za-z]{{5,24}})-{_DATE}",
        rf"(?P<base>[A-Z0-9]+)_(?P<quote>[A-Z0-9]+)(?:_(?P<settle>[A-Z0-9]+))?-{_SPACING}(?:-(?P<what>[A-Za-z_]+))?",
        rf"(?P<symbol>[A-Z0-9]+-[A-Z0-9]+(?:-SWAP|-\d{{6}})?)-(?P<what>[a-z]{{5,24}})-{_DATE}",
        rf"(?P<symbol>[A-Z0-9]{{4,20}})_(?P<minutes>\d{{1,4}})_{_DATE}_{_DATE}",
        r"(?P<symbol>[A-Z0-9]{4,20})_(?P<interval>1|5|15|30|60|240|720|1440)",
        rf"(?:[A-Za-z]+_)?(?P<symbol>[A-Z0-9]{{6,20}})[_-]{_SPACING}(?:[_-](?P<what>.+))?",
    )
)
_PRICES = {"mark": "mark", "index": "index", "premium": "premium"}
_PRICE_FOLDERS = {"markpriceklines": "mark", "indexpriceklines": "index", "premiumindexklines": "premium"}
_CONTRACT_WORDS = ("metrics", "fundingrate", "fundingrates", "futures", "funding", "mark", "openinterest")
_METATRADER_CLOCK = "+03:00"


@dataclass(frozen=True)
class FileName:
    """What the name says, None where it says nothing.

    Attributes
    ----------
    symbol
        As the venue spells it, or in unified form.
    timeframe
        One of ours; a spacing that is none of them (`1s`, `3d`, `1mo`) stands in `foreign_spacing`.
    market
        `spot` or `contract`.
    prices
        `mark`, `index` or `premium`: bars of a computed price, not of trades.
    quote_side
        `bid` or `ask`: bars of quotes.
    clock
        The offset from UTC in which such files are known to be stamped, without saying so.
    """

    symbol: str | None = None
    timeframe: str | None = None
    foreign_spacing: str | None = None
    market: str | None = None
    prices: str | None = None
    quote_side: str | None = None
    clock: str | None = None


def read_file_name(path: str) -> FileName:
    """Read a path, with `/` or `\\` between names."""
    *folders, name = re.split(r"[/\\]", path)
    stem = _ENDING.sub("", name)
    found = next((match for pattern in _PATTERNS if (match := pattern.fullmatch(stem))), None)
    parts = found.groupdict() if found else {}
    words = [word.lower() for word in re.split(r"[^A-Za-z0-9]+", stem)]
    what = (parts.get("what") or "").lower().replace("_", "")
    spacing = _spacing(parts)
    return FileName(
        symbol=_symbol(parts),
        timeframe=spacing if spacing in TIMEFRAMES else None,
        foreign_spacing=spacing if spacing not in TIMEFRAMES else None,
        market=_market([folder.lower() for folder in folders], what, parts),
        prices=_prices([folder.lower() for folder in folders], what),
        quote_side=next((side for side in ("bid", "ask") if side in words), None),
        clock=_METATRADER_CLOCK if parts.get("minutes") else None,
    )


def as_contract(symbol: str) -> str:
    """The perpetual of a unified spot symbol, settled as usual: in the quote currency, in the base currency
    where the quote is plain dollars. Any other symbol as it is."""
    if ":" in symbol:
        return symbol
    base, _, quote = symbol.partition("/")
    return f"{symbol}:{base if quote == 'USD' else quote}"


def _symbol(parts: dict[str, str | None]) -> str | None:
    if parts.get("base"):
        settle = f":{parts['settle']}" if parts.get("settle") else ""
        return f"{parts['base']}/{parts['quote']}{settle}"
    return parts.get("symbol")


def _spacing(parts: dict[str, str | None]) -> str | None:
    minutes = parts.get("minutes") or parts.get("interval")
    if minutes is not None:
        seconds = {int(length.total_seconds()): name for name, length in TIMEFRAMES.items()}
        return seconds.get(int(minutes) * 60, f"{minutes}m")
    text = parts.get("timeframe")
    return text if text is None or text == "1M" else text.lower()


def _market(folders: list[str], what: str, parts: dict[str, str | None]) -> str | None:
    symbol = parts.get("symbol") or ""
    is_contract = "futures" in folders or what in _CONTRACT_WORDS or symbol.endswith(("_PERP", "-SWAP"))
    if is_contract:
        return "contract"
    return "spot" if "spot" in folders else None


def _prices(folders: list[str], what: str) -> str | None:
    for folder in reversed(folders):
        if folder in _PRICE_FOLDERS:
            return _PRICE_FOLDERS[folder]
    return next(
        (
            prices
            for word, prices in _PRICES.items()
            if re.fullmatch(rf"{word}(index|price)?(klines?)?", what)
        ),
        None,
    )
