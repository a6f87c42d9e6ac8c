"""What a spelling is on a venue, and where no venue is named.

Held against ccxt, which makes the same unified forms of what the venues answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from services.data.symbols.currencies import (
    DOLLARS,
    Currencies,
    is_known,
    is_money,
    is_reversed,
    plain,
    split_pair,
)
from services.data.symbols.expiries import from_digits, from_words
from services.data.symbols.instruments import Spelling, Symbol, Unclear, expiry_of, separator, stable_end
from services.data.symbols.venue_forms import FORMS_OF_ONE, OWN_FORMS


class Pair(Enum):
    """What a pair that says no more is."""

    SPOT = "spot"
    PERPETUAL = "perpetual"
    EITHER = "either"  # both are spelled so: taken as spot, and said
    NEITHER = "neither"


@dataclass(frozen=True)
class Venue:
    """A venue's habits.

    Attributes
    ----------
    one_word, dash, underscore
        What `BTCUSDT`, `BTC-USDT` and `BTC_USDT` are.
    dollar
        What a pair quoted in plain USD is, where that differs.
    alone
        Quote currency of the perpetuals that name their base alone.
    settle
        What contracts quoted in USD pay in; empty is their base.
    is_joined
        Its own spelling is one word, so that a word's end is its quote currency whatever comes before.
    """

    one_word: Pair = Pair.SPOT
    dash: Pair = Pair.SPOT
    underscore: Pair = Pair.SPOT
    dollar: Pair | None = None
    alone: str = ""
    settle: str = ""
    is_joined: bool = False


VENUES = {
    "binance": Venue(Pair.EITHER, dollar=Pair.NEITHER, is_joined=True),
    "binanceusdm": Venue(Pair.PERPETUAL, Pair.PERPETUAL, Pair.PERPETUAL, is_joined=True),
    "binancecoinm": Venue(Pair.PERPETUAL, Pair.PERPETUAL, Pair.PERPETUAL),
    "binanceus": Venue(is_joined=True),
    "bitfinex": Venue(),
    "bitget": Venue(Pair.EITHER, dollar=Pair.PERPETUAL, alone="USDC", is_joined=True),
    "bitmex": Venue(Pair.PERPETUAL, settle="BTC"),
    "bitstamp": Venue(),
    "bybit": Venue(Pair.EITHER, dollar=Pair.PERPETUAL, alone="USDC", is_joined=True),
    "coinbase": Venue(alone="USDC"),
    "coinbaseexchange": Venue(),
    "coinbaseinternational": Venue(alone="USDC"),
    "cryptocom": Venue(settle="USD"),
    "deribit": Venue(alone="USD"),
    "dydx": Venue(dash=Pair.PERPETUAL),
    "ftx": Venue(alone="USD", settle="USD"),
    "gate": Venue(underscore=Pair.EITHER, dollar=Pair.PERPETUAL),
    "htx": Venue(dash=Pair.PERPETUAL, is_joined=True),
    "hyperliquid": Venue(alone="USDC"),
    "kraken": Venue(),
    "krakenfutures": Venue(Pair.NEITHER, Pair.NEITHER, Pair.NEITHER),
    "kucoin": Venue(),
    "kucoinfutures": Venue(Pair.PERPETUAL, Pair.PERPETUAL, Pair.PERPETUAL),
    "mexc": Venue(underscore=Pair.PERPETUAL, is_joined=True),
    "okx": Venue(),
    "upbit": Venue(),
}
_OTHER_NAMES = {
    "bitfinex2": "bitfinex",
    "coinbaseadvanced": "coinbase",
    "coinbasepro": "coinbaseexchange",
    "gateio": "gate",
    "huobi": "htx",
    "mexc3": "mexc",
    "okex": "okx",
}
_UNIFIED = re.compile(r"([A-Z0-9]{1,20})/([A-Z0-9]{1,20})(?::([A-Z0-9]{1,20})(?:-([0-9]{6}))?)?")
_OPTION = re.compile(r".+[-_][0-9]+(?:[.D][0-9]+)?[-_](?:C|P|CALL|PUT)(?:[-_][A-Z]+)?")
_PERPETUAL = re.compile(r"(.+?)(?:[-_/]?(?:PERPETUAL|PERP-INTX|PERP|SWAP)|\.P)")
_DATED = re.compile(r"(.+?)[-_]((?:20)?[0-9]{6})")
_DATED_IN_WORDS = re.compile(r"(.+?)-([0-9]{1,2}[A-Z]{3}[0-9]{2})")
_NO_DATE = re.compile(r".+[-_](?:CW|NW|CQ|NQ)|.+[12]!|.+[-_][0-9]{4}")


def venue_by(name: str) -> str:
    """A venue by the name that is used here: `gateio` is `gate`."""
    return _OTHER_NAMES.get(name, name)


def unified(spelling: Spelling) -> Symbol | None:
    """The unified form itself, in any case of letters."""
    if not (found := _UNIFIED.fullmatch(spelling.text)):
        return None
    base, quote, settle, expiry = found.groups()
    if expiry and from_digits(expiry) is None:
        raise Unclear(f"has {expiry}, which is no day YYMMDD")
    return Symbol(plain(base), plain(quote), plain(settle or ""), expiry or "", "the unified form")


def read_at(venue: str, spelling: Spelling) -> Symbol | None:
    """What a spelling is on a venue.

    Raises
    ------
    Unclear
        It is read, and names no one instrument there.
    """
    _refuse_unstored(spelling)
    spelling = replace(spelling, known=_known_at(venue, spelling.known))
    for rule, of in OWN_FORMS:
        if venue in of and (found := rule(spelling)):
            return found
    return _contract(venue, spelling) or _plain_pair(venue, spelling)


def read_anywhere(spelling: Spelling) -> Symbol | None:
    """What a spelling is wherever it is one: a form that one venue alone has, or one that has one meaning.

    Raises
    ------
    Unclear
        It is read, and names no one instrument anywhere.
    """
    _refuse_unstored(spelling)
    if spelling.text == "XBTUSD":
        return Symbol("BTC", "USD", "BTC", "", "BitMEX's perpetual; name the venue kraken for spot")
    for rule, _ in OWN_FORMS[:FORMS_OF_ONE]:
        if found := rule(spelling):
            return found
    if found := _contract("", spelling):
        is_open = found.quote == "USD" and spelling.text.endswith(
            "-PERP"
        )  # inverse on some, linear on others
        return None if is_open else found
    pair = split_pair(spelling.text, spelling.known)
    if pair is None or spelling.text.startswith("XBT") or is_reversed(*pair):
        return None
    if separator(spelling.text) == "" and pair[1] == "USD" and not is_money(pair[0]):
        return None  # an inverse perpetual on some venues, spot on others
    return Symbol(*pair, "", "", "a pair of base and quote currency; spot, since nothing says otherwise")


def _known_at(venue: str, known: Currencies) -> Currencies:
    """Without the dollars that Binance alone quotes in: other venues' words could be split in two ways."""
    if venue in ("binance", "binanceusdm", "binanceus") or venue not in VENUES:
        return known
    return replace(known, quotes=known.quotes - {"BUSD", "FDUSD", "TUSD"})


def _refuse_unstored(spelling: Spelling) -> None:
    if _OPTION.fullmatch(spelling.text):
        raise Unclear("is an option, and the room stores no series of options")


def _contract(venue: str, spelling: Spelling) -> Symbol | None:
    """A spelling that says that it is a perpetual or has an expiry."""
    text, known = spelling.text, spelling.known
    if dated := _DATED_IN_WORDS.fullmatch(text):
        pair = split_pair(dated[1], known)
        how = "a dated future, day and month spelled out"
        if pair is None and (pair := _alone(venue, dated[1], known.bases)):
            how = f"a dated future of {venue}, which leaves its quote currency out"
        if pair is not None:
            expiry = from_words(dated[2])
            if expiry is None:
                raise Unclear(f"has {dated[2]}, which is no day")
            return Symbol(*pair, _settle(venue, *pair), expiry, how)
    if (dated := _DATED.fullmatch(text)) and (pair := split_pair(dated[1], known) or stable_end(dated[1])):
        how = "a dated future, YYMMDD after the pair"
        return Symbol(*pair, _settle(venue, *pair), expiry_of(dated[2]), how)
    if _NO_DATE.fullmatch(text):
        raise Unclear("is a future without the day on which it ends")
    if not (perpetual := _PERPETUAL.fullmatch(text)):
        return None
    name = perpetual[1]
    if pair := split_pair(name, known) or stable_end(name):
        return _perpetual(venue, *pair, "a perpetual, marked as one after the pair")
    spelled = "deribit" if text.endswith("-PERPETUAL") else "coinbase" if text.endswith("-INTX") else venue
    if pair := _alone(spelled, name, known.bases):
        return _perpetual(spelled, *pair, f"a perpetual of {spelled}, which leaves its quote currency out")
    return None


def _plain_pair(venue: str, spelling: Spelling) -> Symbol | None:
    habits = VENUES.get(venue, Venue())
    sign = separator(spelling.text)
    pair = split_pair(spelling.text, spelling.known)
    if pair is None and habits.is_joined and not sign and spelling.text not in spelling.known.bases:
        pair = stable_end(spelling.text)
    if pair is None:
        return None
    if sign and is_reversed(*pair):
        raise Unclear(f"has {pair[0]} before {pair[1]}, the other way round than {venue} quotes them")
    meaning = {"-": habits.dash, "_": habits.underscore}.get(sign, habits.one_word)
    if pair[1] == "USD" and habits.dollar is not None:
        meaning = Pair.SPOT if is_money(pair[0]) else habits.dollar
    if meaning is Pair.EITHER and (is_money(pair[0]) or pair[1] not in DOLLARS):
        meaning = Pair.SPOT
    match meaning:
        case Pair.PERPETUAL:
            return _perpetual(venue, *pair, f"a pair, which on {venue} is a perpetual")
        case Pair.EITHER:
            perpetual = _perpetual(venue, *pair, "").text
            how = f"spot, since nothing says otherwise; {venue} spells its perpetual {perpetual} the same"
            return Symbol(*pair, "", "", how)
        case Pair.NEITHER:
            raise Unclear(f"is a pair, and {venue} has only contracts of it, each spelled with more")
    rules = "" if venue in VENUES else f"; the rules of {venue} are not known here"
    return Symbol(
        *pair, "", "", f"a pair of base and quote currency; spot, since nothing says otherwise{rules}"
    )


def _alone(venue: str, name: str, bases: frozenset[str]) -> tuple[str, str] | None:
    """Base and quote of a contract that names its base alone, on venues where that has one meaning."""
    quote = VENUES.get(venue, Venue()).alone
    return (plain(name), quote) if quote and is_known(name, bases) else None


def _perpetual(venue: str, base: str, quote: str, recognised_as: str) -> Symbol:
    return Symbol(base, quote, _settle(venue, base, quote), "", recognised_as)


def _settle(venue: str, base: str, quote: str) -> str:
    """What a contract pays in: its base when it is quoted in plain dollars (inverse), else its quote."""
    return (VENUES.get(venue, Venue()).settle or base) if quote == "USD" else quote
