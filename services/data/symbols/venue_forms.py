"""Spellings that are one venue's own."""

from __future__ import annotations

import re
from collections.abc import Callable

from services.data.symbols.currencies import is_known, is_money, plain, split_pair
from services.data.symbols.expiries import from_quarter
from services.data.symbols.instruments import (
    Spelling,
    Symbol,
    Unclear,
    expiry_of,
    separator,
    settles_in,
    stable_end,
)

_KRAKEN_NAMES = {"LUNA": "LUNC", "LUNA2": "LUNA", "UST": "USTC"}
_BITFINEX_NAMES = {
    "ALG": "ALGO",
    "ATO": "ATOM",
    "BCHN": "BCH",
    "DSH": "DASH",
    "EUT": "EURT",
    "IOT": "IOTA",
    "LUNA": "LUNC",
    "LUNA2": "LUNA",
    "MNA": "MANA",
    "QTM": "QTUM",
    "STJ": "STORJ",
    "TSD": "TUSD",
    "UDC": "USDC",
    "UST": "USDT",
}
_DATED_AT_END = re.compile(r"([A-Z]{2,10})([0-9]{6})")
_QUARTER = re.compile(r"([A-Z0-9]{3,20})([FGHJKMNQUVXZ])([0-9]{1,2})")
_KRAKEN_FUTURES = re.compile(r"(PI|PF|FI|FF)_([A-Z0-9]{1,12}?)(USD)(?:_([0-9]{6}))?")
_KRAKEN_PADDED = re.compile(r"X([A-Z]{3})[XZ]([A-Z]{3})")
_BITGET = re.compile(r"([A-Z0-9]+)_(SPBL|UMCBL|DMCBL|CMCBL)(?:_([0-9]{6}))?")
_INSTRUMENT_NUMBER = re.compile(r"@[0-9]+|[0-9]+|.+:.+")


def _kraken_futures(spelling: Spelling) -> Symbol | None:
    found = _KRAKEN_FUTURES.fullmatch(spelling.text)
    if found is None:
        return None
    kind, base, quote, digits = found.groups()
    if (digits is None) == (kind[0] == "F"):
        raise Unclear(f"has a date and should have none, or lacks one: {kind}_ on Kraken")
    settle = plain(base) if kind in ("PI", "FI") else quote
    return Symbol(plain(base), quote, settle, expiry_of(digits), f"Kraken's futures spelling {kind}_")


def _kraken_padded(spelling: Spelling) -> Symbol | None:
    found = _KRAKEN_PADDED.fullmatch(spelling.text)
    if found is None or not (
        is_known(found[1], spelling.known.bases) and is_known(found[2], spelling.known.bases)
    ):
        return None
    return Symbol(plain(found[1]), plain(found[2]), "", "", "Kraken's spot spelling with X and Z")


def _kraken(spelling: Spelling) -> Symbol | None:
    pair = split_pair(spelling.text, spelling.known)
    if pair is None or pair[0] not in _KRAKEN_NAMES:
        return None
    base, quote = _KRAKEN_NAMES[pair[0]], pair[1]
    return Symbol(base, quote, "", "", f"a pair on Kraken, which writes {pair[0]} for {base}")


def _bitfinex_t(spelling: Spelling) -> Symbol | None:
    given = spelling.as_given
    if not given.startswith("t") or given[1:] != spelling.text[1:]:
        return None
    return _bitfinex(Spelling(spelling.text[1:], given[1:], spelling.known))


def _bitfinex(spelling: Spelling) -> Symbol | None:
    base, separated, quote = spelling.text.partition(":")
    if not separated:
        if len(base) != 6 or not base.isalnum():  # what is longer has a colon
            return None
        base, quote = base[:3], base[3:]
    is_perpetual = base.endswith("F0") and quote.endswith("F0")
    base, quote = base.removesuffix("F0"), quote.removesuffix("F0")
    base, quote = (plain(_BITFINEX_NAMES.get(word, word)) for word in (base, quote))
    if not re.fullmatch(r"[A-Z0-9]{1,20}", base) or not is_known(quote, spelling.known.bases):
        return None
    if is_perpetual:
        return Symbol(base, quote, quote, "", "Bitfinex's perpetual spelling with F0")
    return Symbol(base, quote, "", "", "Bitfinex's spelling")


def _kucoin_futures(spelling: Spelling) -> Symbol | None:
    pair = split_pair(spelling.text.removesuffix("M"), spelling.known) if spelling.text[-1:] == "M" else None
    if pair is None or spelling.text.startswith("BTC") or separator(spelling.text):
        return None
    return Symbol(*pair, settles_in(*pair), "", "KuCoin's futures spelling with M")


def _bitget(spelling: Spelling) -> Symbol | None:
    found = _BITGET.fullmatch(spelling.text)
    if found is None:
        return None
    name, ending, digits = found.groups()
    alone = name.removesuffix("PERP")
    pair = (alone, "USDC") if ending == "CMCBL" and alone in spelling.known.bases else None
    pair = pair or split_pair(name, spelling.known) or stable_end(name)
    if pair is None:
        return None
    how = f"Bitget's spelling with {ending}"
    if ending == "SPBL":
        return Symbol(*pair, "", "", how)
    return Symbol(*pair, settles_in(*pair), expiry_of(digits), how)


def _bitmex(spelling: Spelling) -> Symbol | None:
    if spelling.text == "ETHUSD_ETH":
        return Symbol("ETH", "USD", "ETH", "", "BitMEX's perpetual that pays in ether")
    if (pair := split_pair(spelling.text, spelling.known)) is None or pair[1] not in ("USD", "EUR"):
        return None
    # BitMEX settles what is quoted in fiat money in bitcoin, whatever the base.
    return Symbol(*pair, "BTC", "", "BitMEX's perpetual")


def _bitmex_quarter(spelling: Spelling) -> Symbol | None:
    found = _QUARTER.fullmatch(spelling.text)
    if found is None:
        return None
    base, quote = ("BTC", "USD") if found[1] == "XBT" else split_pair(found[1], spelling.known) or ("", "")
    if not base:
        return None
    settle = "BTC" if quote in ("USD", "EUR") else quote
    return Symbol(base, quote, settle, _quarter(found), f"BitMEX's quarterly future, month {found[2]}")


def _bitmex_bitcoin_quarter(spelling: Spelling) -> Symbol | None:
    found = _QUARTER.fullmatch(spelling.text)
    return _bitmex_quarter(spelling) if found is not None and found[1] == "XBT" else None


def _bybit_quarter(spelling: Spelling) -> Symbol | None:
    found = _QUARTER.fullmatch(spelling.text)
    pair = split_pair(found[1], spelling.known) if found is not None else None
    if found is None or pair is None or pair[1] != "USD" or is_money(pair[0]):
        return None
    return Symbol(*pair, pair[0], _quarter(found), f"Bybit's quarterly future, month {found[2]}")


def _bybit_bitcoin_quarter(spelling: Spelling) -> Symbol | None:
    return _bybit_quarter(spelling) if spelling.text.startswith("BTC") else None


def _htx(spelling: Spelling) -> Symbol | None:
    found = _DATED_AT_END.fullmatch(spelling.text)
    if found is None or not is_known(found[1], spelling.known.bases):
        return None
    base = plain(found[1])
    return Symbol(base, "USD", base, expiry_of(found[2]), "HTX's coin-margined future, YYMMDD after the base")


def _hyperliquid(spelling: Spelling) -> Symbol | None:
    if _INSTRUMENT_NUMBER.fullmatch(spelling.text):
        raise Unclear(
            "is a number or a name of Hyperliquid's own, which only its list of instruments explains"
        )
    if not is_known(spelling.text, spelling.known.bases):
        return None
    how = "a perpetual of hyperliquid, which leaves its quote currency out"
    return Symbol(plain(spelling.text), "USDC", "USDC", "", how)


def _upbit(spelling: Spelling) -> Symbol | None:
    pair = split_pair(spelling.text, spelling.known)
    halves = spelling.text.split("-")
    if pair is None and len(halves) == 2 and halves[0] in ("KRW", "BTC", "USDT"):
        pair = halves[0], plain(halves[1])
    if pair is None or separator(spelling.text) != "-":
        return None
    return Symbol(pair[1], pair[0], "", "", "Upbit's spelling, quote currency first")


def _dydx(spelling: Spelling) -> Symbol | None:
    pair = split_pair(spelling.text, spelling.known)
    if pair is None or pair[1] != "USD" or separator(spelling.text) != "-":
        return None
    return Symbol(pair[0], "USDC", "USDC", "", "dYdX's perpetual, which says USD and pays in USDC")


# The first are forms that no other venue has, which need no venue to be read.
OWN_FORMS: tuple[tuple[Callable[[Spelling], Symbol | None], tuple[str, ...]], ...] = (
    (_kraken_futures, ("kraken", "krakenfutures")),
    (_kraken_padded, ("kraken",)),
    (_bitfinex_t, ("bitfinex",)),
    (_kucoin_futures, ("kucoin", "kucoinfutures")),
    (_bitget, ("bitget",)),
    (_bitmex_bitcoin_quarter, ("bitmex",)),
    (_bybit_bitcoin_quarter, ("bybit",)),
    (_kraken, ("kraken",)),
    (_bitfinex, ("bitfinex",)),
    (_bitmex, ("bitmex",)),
    (_bitmex_quarter, ("bitmex",)),
    (_bybit_quarter, ("bybit",)),
    (_htx, ("htx",)),
    (_hyperliquid, ("hyperliquid",)),
    (_upbit, ("upbit",)),
    (_dydx, ("dydx",)),
)
FORMS_OF_ONE = 7


def _quarter(found: re.Match[str]) -> str:
    if found[2] not in "HMUZ" or len(found[3]) != 2:
        raise Unclear(f"has {found[2]}{found[3]} for its end, which names no certain day")
    return from_quarter(found[2], int(found[3]))
