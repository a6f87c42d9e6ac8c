"""Venues' spellings of symbols, read by rule: the unified form, or a refusal with the nearest known symbols.

A spelling without a separator is split only where both halves are known currencies, in exactly one way;
nothing is guessed. Venues that spell differently than the rest (`XBTUSD` is a perpetual on BitMEX and spot on
Kraken) are read by their own rules when the venue is named.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from marketml.rpc.refusals import InvalidArgument

TEXT_LENGTH_MAX = 64

# Quote currencies, the dollars first.
_DOLLARS = ("USDT", "USDC", "USD", "BUSD", "FDUSD", "TUSD", "USDE", "USD1", "DAI", "PYUSD")
_QUOTES = (
    *_DOLLARS,
    *("EUR", "GBP", "JPY", "KRW", "TRY", "BRL", "AUD", "CAD", "CHF", "INR", "MXN", "ZAR", "UAH", "RUB"),
    *("PLN", "IDR", "ARS", "NGN", "AED", "SGD", "HKD", "BTC", "ETH", "BNB"),
)
_BASES_LISTED = """
1000BONK 1000FLOKI 1000LUNC 1000PEPE 1000SHIB 1INCH AAVE ADA AGIX AGLD ALGO ALICE ALPHA ANKR APE API3 APT AR
ARB ARKM ASTR ATOM AUDIO AVAX AXS BAL BAND BAT BCH BLUR BNB BONK BSV BTC BTT CAKE CELO CFX CHR CHZ CKB COMP
COTI CRO CRV CVX DAI DASH DOGE DOT DYDX EGLD ENA ENJ ENS EOS ETC ETH ETHFI ETHW EUR FET FIL FLOKI FLOW FTM
FTT FXS GALA GAS GBP GLM GMT GMX GRT HBAR HNT HOT HYPE ICP ICX ILV IMX INJ IOST IOTA IOTX JASMY JST JTO JUP
KAS KAVA KLAY KNC KSM LDO LINK LPT LQTY LRC LTC LUNA LUNC MAGIC MANA MASK MATIC MEME MINA MKR NEAR NEO NOT
OCEAN OKB OM OMG ONDO ONE ONT OP ORDI PAXG PENDLE PEOPLE PEPE POL PYTH QNT QTUM RENDER RNDR ROSE RPL RSR RUNE
RVN SAND SATS SEI SHIB SKL SNX SOL SSV STETH STORJ STRK STX SUI SUSHI SXP TAO THETA TIA TON TRB TRUMP TRX TWT
UMA UNI USDC USDT VET W WAVES WBTC WIF WLD WOO XAU XEC XEM XLM XMR XRP XTZ YFI YGG ZEC ZEN ZIL ZRO ZRX
"""
_BASES = frozenset(_BASES_LISTED.split())
_ALIASES = {"XBT": "BTC", "XDG": "DOGE"}
_KRAKEN_PREFIXED = re.compile(r"X([A-Z]{3})Z([A-Z]{3})")
_MONTHS = {
    month: f"{number:02d}"
    for number, month in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1
    )
}
_DATE = r"([0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))"
_UNIFIED = re.compile(rf"([A-Z0-9]{{1,20}})/([A-Z0-9]{{1,20}})(?::([A-Z0-9]{{1,20}})(?:-{_DATE})?)?")
_NAMED_VENUE = re.compile(
    r"(BINANCE|BYBIT|OKX|KRAKEN|COINBASE|BITMEX|BITFINEX|DERIBIT|KUCOIN|GATE|BITGET|HTX):(.+)"
)
_PERPETUAL = re.compile(r"(.+?)(?:[-_/]?(?:PERPETUAL|PERP|SWAP)|\.P)")
_DATED = re.compile(rf"(.+?)[-_]{_DATE}")
_DERIBIT_DATED = re.compile(r"(.+?)-([0-9]{1,2})([A-Z]{3})([0-9]{2})")
_KRAKEN_FUTURES = re.compile(rf"(PI|PF|FI|FF)_([A-Z0-9]+?)(USD)(?:_{_DATE})?")
_CONTRACT_VENUES = {"binanceusdm", "binancecoinm", "bitmex", "krakenfutures", "kucoinfutures"}


@dataclass(frozen=True)
class Symbol:
    """A unified symbol and how it was recognised, for people."""

    base: str
    quote: str
    settle: str
    expiry: str
    recognised_as: str

    @property
    def text(self) -> str:
        settled = f":{self.settle}" if self.settle else ""
        return f"{self.base}/{self.quote}{settled}" + (f"-{self.expiry}" if self.expiry else "")


def normalize_symbol(text: str, venue: str = "", known: Iterable[str] = ()) -> Symbol:
    """Read a venue's spelling.

    Parameters
    ----------
    text
        1 to 64 characters.
    venue
        Lower-case id; decides where venues disagree. Empty is unknown.
    known
        Unified symbols that are stored: their currencies are known, and they are offered when nothing fits.

    Raises
    ------
    InvalidArgument
        On `text`: no rule reads it, or more than one does; the nearest known symbols are named.
    """
    stored = sorted(set(known))
    words = text.strip()
    if not words or len(text) > TEXT_LENGTH_MAX:
        raise InvalidArgument.of(
            "text",
            "required" if not words else "length",
            f"must be 1 to {TEXT_LENGTH_MAX} characters, not {len(text)}.",
        )
    bases = _BASES | {symbol.partition("/")[0] for symbol in stored}
    found = _read(words.upper(), words, venue, bases)
    if found is None:
        raise _unknown(text, words.upper(), stored)
    return found


def _read(text: str, as_given: str, venue: str, bases: frozenset[str]) -> Symbol | None:
    if unified := _UNIFIED.fullmatch(text):
        base, quote, settle, expiry = unified.groups()
        return Symbol(_plain(base), _plain(quote), settle or "", expiry or "", "the unified form")
    if named := _NAMED_VENUE.fullmatch(text):
        return _read(named[2], as_given[len(named[1]) + 1 :], named[1].lower(), bases)
    if venue.startswith("kraken") or venue == "":
        if futures := _KRAKEN_FUTURES.fullmatch(text):
            kind, base, quote, expiry = futures.groups()
            settle = _plain(base) if kind in ("PI", "FI") else quote
            return Symbol(_plain(base), quote, settle, expiry or "", f"Kraken's futures spelling {kind}_")
        if (padded := _KRAKEN_PREFIXED.fullmatch(text)) and _plain(padded[1]) in bases:
            return Symbol(_plain(padded[1]), padded[2], "", "", "Kraken's spot spelling with X and Z")
    if venue in ("bitfinex", "") and as_given.startswith("t") and (read := _bitfinex(as_given, bases)):
        return read
    if venue == "kucoinfutures" or (venue in ("kucoin", "") and text.startswith("XBT")):
        pair = _pair(text.removesuffix("M"), bases) if text.endswith("M") else None
        if pair is not None:
            return _perpetual(*pair, "KuCoin's futures spelling with M")
    if venue == "bitmex" or (venue == "" and text in ("XBTUSD", "XBTUSDT")):
        return _bitmex(text, bases)
    return _read_contract(text, venue, bases) or _read_pair(text, venue, bases)


def _read_contract(text: str, venue: str, bases: frozenset[str]) -> Symbol | None:
    """A spelling that says that it is a perpetual or has an expiry."""
    if dated := _DERIBIT_DATED.fullmatch(text):
        name, day, month, year = dated.groups()
        if month in _MONTHS and (pair := _pair(name, bases) or _alone(name, "deribit", bases)):
            expiry = f"{year}{_MONTHS[month]}{int(day):02d}"
            return Symbol(*pair, _settle(*pair), expiry, "a dated future, day and month spelled out")
    if (dated := _DATED.fullmatch(text)) and (pair := _pair(dated[1], bases)):
        return Symbol(*pair, _settle(*pair), dated[2], "a dated future, YYMMDD after the pair")
    if not (perpetual := _PERPETUAL.fullmatch(text)):
        return None
    name = perpetual[1]
    if pair := _pair(name, bases):
        return _perpetual(*pair, "a perpetual, marked as one after the pair")
    spelled = "deribit" if text.endswith("PERPETUAL") else venue
    if pair := _alone(name, spelled, bases):
        return _perpetual(*pair, f"a perpetual of {spelled}, which leaves its quote currency out")
    return None


def _read_pair(text: str, venue: str, bases: frozenset[str]) -> Symbol | None:
    if pair := _pair(text, bases):
        is_inverse = venue == "bybit" and pair[1] == "USD"
        if venue in _CONTRACT_VENUES or is_inverse:
            return _perpetual(*pair, f"a pair, which on {venue} is a perpetual")
        return Symbol(*pair, "", "", "a pair of base and quote currency; spot, since nothing says otherwise")
    if venue == "hyperliquid" and (pair := _alone(text, venue, bases)):
        return _perpetual(*pair, "a perpetual of hyperliquid, which leaves its quote currency out")
    return None


def _pair(text: str, bases: frozenset[str]) -> tuple[str, str] | None:
    """Base and quote: split at the one separator, else where both halves are known and in one way only."""
    halves = re.split(r"[-_/ ]", text)
    if len(halves) == 2:
        base, quote = map(_plain, halves)
        is_word = all(re.fullmatch(r"[A-Z0-9]{1,20}", half) for half in (base, quote))
        return (base, quote) if is_word and quote in (*_QUOTES, *bases) else None
    if len(halves) > 2:
        return None
    splits = {
        (_plain(text[: -len(quote)]), quote)
        for quote in _QUOTES
        if text.endswith(quote) and _plain(text[: -len(quote)]) in bases
    }
    return splits.pop() if len(splits) == 1 else None


def _alone(name: str, venue: str, bases: frozenset[str]) -> tuple[str, str] | None:
    """Base and quote of a contract that names its base alone, on venues where that has one meaning."""
    quote = {"deribit": "USD", "bybit": "USDC", "hyperliquid": "USDC"}.get(venue)
    return (_plain(name), quote) if quote and _plain(name) in bases else None


def _bitfinex(text: str, bases: frozenset[str]) -> Symbol | None:
    base, separated, quote = text[1:].upper().partition(":")
    if not separated:
        quote = max((word for word in (*_QUOTES, "UST") if text.endswith(word)), key=len, default="")
        base = text[1 : len(text) - len(quote)]
    is_perpetual = base.endswith("F0") and quote.endswith("F0")
    base, quote = _plain(base.removesuffix("F0")), quote.removesuffix("F0")
    quote = "USDT" if quote == "UST" else quote  # Bitfinex's word for Tether
    if not base or quote not in _QUOTES or not (separated or base in bases):
        return None
    if is_perpetual:
        return _perpetual(base, quote, "Bitfinex's perpetual spelling with F0")
    return Symbol(base, quote, "", "", "Bitfinex's spelling with t")


def _bitmex(text: str, bases: frozenset[str]) -> Symbol | None:
    pair = _pair(text, bases)
    if pair is None:
        return None
    base, quote = pair
    # BitMEX settles its USD contracts in bitcoin, whatever the base.
    settle = "BTC" if quote == "USD" else quote
    return Symbol(base, quote, settle, "", "BitMEX's perpetual; name the venue kraken for spot")


def _perpetual(base: str, quote: str, recognised_as: str) -> Symbol:
    return Symbol(base, quote, _settle(base, quote), "", recognised_as)


def _settle(base: str, quote: str) -> str:
    """What a contract pays in: its base when it is quoted in plain dollars (inverse), else its quote."""
    return base if quote == "USD" else quote


def _plain(word: str) -> str:
    return _ALIASES.get(word, word)


def _unknown(text: str, upper: str, stored: list[str]) -> InvalidArgument:
    usual = [f"{base}/USDT" for base in sorted(_BASES)] + [f"{base}/USDT:USDT" for base in ("BTC", "ETH")]
    by_letters = {re.sub(r"[^A-Z0-9]", "", symbol): symbol for symbol in [*usual, *stored]}
    letters = re.sub(r"[^A-Z0-9]", "", upper)
    near = difflib.get_close_matches(letters, by_letters, n=3, cutoff=0.5)
    nearest = ", ".join(by_letters[word] for word in near) or "BTC/USDT, BTC/USDT:USDT"
    return InvalidArgument.of(
        "text",
        "unknown_symbol",
        f"is read by no rule or by more than one: {text[:TEXT_LENGTH_MAX]!r}; the nearest known symbols are "
        f"{nearest}; write an unlisted one as BASE/QUOTE[:SETTLE].",
    )
