"""What a frame itself says of its origin: its columns, its prices, what is written about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from marketml.imports import names
from marketml.imports.file_names import as_contract, read_file_name
from services.data.inference.price_ranges import majors_at
from services.data.revisions import Times, Values
from services.data.series import (
    CANDLES,
    FUNDING_RATES,
    OPEN_INTEREST,
    Kind,
)
from services.data.symbols.currencies import BASES, is_known, is_money, plain
from services.data.symbols.unified import bases_of, possible_symbols

_INSTRUMENT_KEYS = (
    "symbol",
    "pair",
    "instrument",
    "instrument_name",
    "inst_id",
    "ticker",
    "market",
    "product",
)
FILE_KEYS = ("file", "filename", "file_name", "path", "name", "source")
_VENUE_KEYS = ("venue", "exchange")
TIMEFRAME_KEYS = ("timeframe", "interval", "resolution", "period", "freq", "frequency")
UNREAD_KEYS = ("pandas", "kind", "digest", *_VENUE_KEYS, *TIMEFRAME_KEYS)
_SPELLINGS_MAX = 2_000
_LENGTH_MAX = 1_000
_WORDS_MAX = 64
_COLUMNS_MAX = 64
_WORDS = re.compile(r"[^\s,;|()\[\]{}=\"']+")
_ROLES = {word: role for role, words in names.WORDS.items() for word in words}
_VOLUME_IN = re.compile(r"vol(?:ume)?[\s_(\[-]+([A-Za-z0-9]{2,6})[\])]?", re.IGNORECASE)
_PRICES = ("open", "high", "low", "close")
_DOLLAR_PAIRS = {"{}/USDT": 0.5, "{}/USDT:USDT": 0.3, "{}/USD": 0.2}


@dataclass(frozen=True)
class Unlabelled:
    """A frame of unknown origin.

    Attributes
    ----------
    times
        Microseconds, as the rows come; empty when it has no times.
    columns
        Numbers by column name.
    texts
        Columns of text that say one thing, and what.
    said
        What is known of it: attributes, titles, names.
    venue
        When it is known.
    """

    times: Times
    columns: Mapping[str, Values]
    texts: Mapping[str, str] = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)
    venue: str = ""


@dataclass(frozen=True)
class Clue:
    """What speaks for some answers: a chance for each, together below 1, why, and at which venues. One that
    tells a base currency alone has it in `base`: it speaks for the symbols of it that others name."""

    chances: Mapping[str, float]
    reason: str
    venues: Mapping[str, str] = field(default_factory=dict)
    base: str = ""


class _Reading:
    """Reads spellings, each once, and no more of them than a caller can wait for."""

    def __init__(self, venue: str, bases: frozenset[str], is_contract: bool) -> None:
        self._venue = venue
        self._is_contract = is_contract
        self._read: dict[str, dict[str, float]] = {}
        self.bases = bases

    def __call__(self, text: str, is_contract: bool = False) -> dict[str, float]:
        """What a text may mean; contracts alone when the frame or the text is of one."""
        text = text.strip()
        if text not in self._read:
            if len(self._read) >= _SPELLINGS_MAX:
                return {}
            self._read[text] = possible_symbols(text, self._venue, self.bases)
        found = self._read[text]
        return _contracts(found) if is_contract or self._is_contract else found


def roles_of(frame: Unlabelled) -> dict[str, str]:
    """Column names by role (`open`, `funding_rate`…), the first of each."""
    found: dict[str, str] = {}
    for name in frame.columns:
        bare = re.sub(r"[^a-z0-9]", "", name.lower())
        words = [re.sub(r"[^a-z0-9]", "", word) for word in re.split(r"[\s_./:-]+", name.lower())]
        whole = [bare] if bare in _ROLES else [word for word in words if len(word) > 1 and word in _ROLES]
        for word in whole[:1]:
            found.setdefault(_ROLES[word], name)
    return found


def kind_clue(frame: Unlabelled) -> tuple[Kind, str] | None:
    """What the frame observes and why; None when nothing tells."""
    roles, said = roles_of(frame), " ".join(frame.said.values()).lower()
    says_funding = re.search(r"funding[ _-]?rates?", said) is not None
    if all(name in roles for name in _PRICES):
        others = [frame.columns[roles[name]] for name in _PRICES[1:]]
        if says_funding and all(not np.nan_to_num(column).any() for column in others):
            return (
                FUNDING_RATES,
                "It has one value a row, in the column of the open, and its name says funding rate.",
            )
        return CANDLES, "It has columns of open, high, low and close."
    if "funding_rate" in roles:
        return FUNDING_RATES, f"It has a column {shown(roles['funding_rate'])}."
    if "open_interest" in roles:
        return OPEN_INTEREST, f"It has a column {shown(roles['open_interest'])}."
    if len(roles.get("close", "")) > 1:
        return CANDLES, f"It has a column {shown(roles['close'])}, and no other prices of bars."
    return None


def venue_said(frame: Unlabelled) -> str:
    """The venue as it is known or written; empty when it is not."""
    if frame.venue:
        return frame.venue
    for key, text in frame.said.items():
        if key.lower() in _VENUE_KEYS and re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", text.strip().lower()):
            return text.strip().lower()
    known = (
        "binance",
        "bitfinex",
        "bitmex",
        "bitstamp",
        "bybit",
        "coinbase",
        "deribit",
        "kraken",
        "okx",
        "kucoin",
    )
    words = {word for text in frame.said.values() for word in re.split(r"[^a-z]+", text.lower())}
    named = [venue for venue in known if venue in words]
    return named[0] if len(named) == 1 else ""


def symbol_clues(frame: Unlabelled, kind: Kind, known: list[str]) -> Iterator[Clue]:
    """What the frame says of its instrument. `known` are the symbols that are stored."""
    read = _Reading(venue_said(frame), bases_of(known), kind is not CANDLES)
    for key, text in frame.said.items():
        if key.lower() in _INSTRUMENT_KEYS and (found := read(text)):
            yield Clue(_scaled(found, 0.95), f"Its {shown(key)} is {shown(text)}.")
    for key, text in frame.texts.items():
        bare = re.sub(r"[^a-z0-9]", "", key.lower())
        if bare in names.SYMBOL and (found := read(text)):
            yield Clue(_scaled(found, 0.95), f"Every row's {shown(key)} is {shown(text)}.")
    for key, text in frame.said.items():
        if key.lower() in (*_INSTRUMENT_KEYS, *UNREAD_KEYS):
            continue
        if key.lower() in FILE_KEYS:
            yield from _file_clue(text, read)
        elif found := _in_words(text, read):
            yield Clue(_scaled(found, 0.7), f"Its {shown(key)} says {shown(text)}.")
    yield from _column_clues(frame, read)
    roles = roles_of(frame)
    if kind is CANDLES and "close" in roles and len(frame.times):
        yield from _price_clues(frame.times, frame.columns[roles["close"]])


def _file_clue(text: str, read: _Reading) -> Iterator[Clue]:
    called, name = read_file_name(text), name_of(text)
    if called.symbol and (found := read(called.symbol, called.market == "contract")):
        yield Clue(_scaled(found, 0.9), f"Its name {shown(name)} says {shown(called.symbol)}.")
    elif found := _in_words(name, read):
        yield Clue(_scaled(found, 0.8), f"Its name {shown(name)} names an instrument.")


def _in_words(text: str, read: _Reading) -> dict[str, float]:
    """What words of a text mean; empty when none means anything, or they mean different things."""
    seen: list[dict[str, float]] = []
    for word in _WORDS.findall(text[:_LENGTH_MAX])[:_WORDS_MAX]:
        for piece in (word, *re.split(r"[_.]+", word), *re.split(r"[_.\-/]+", word)):
            if 5 <= len(piece) <= 40 and any(letter.isalpha() for letter in piece):
                found = read(piece)
                if found and all(is_known(symbol.partition("/")[0], read.bases) for symbol in found):
                    seen.append(found)
                    break
    if not seen or any(found != seen[0] for found in seen[1:]):
        return {}
    return seen[0]


def _column_clues(frame: Unlabelled, read: _Reading) -> Iterator[Clue]:
    columns = [*frame.columns, *frame.texts][:_COLUMNS_MAX]
    named = {name: found for name in columns if (found := _in_words(name, read))}
    if named and all(found == next(iter(named.values())) for found in named.values()):
        yield Clue(
            _scaled(next(iter(named.values())), 0.85), f"Its column {shown(next(iter(named)))} names it."
        )
    texts = [*columns, *(frame.said[key] for key in frame.said if key.lower() == "columns")]
    units = {plain(unit.upper()): text for text in texts for unit in _VOLUME_IN.findall(text)}
    units = {unit: text for unit, text in units.items() if unit in BASES}
    money = [unit for unit in units if is_money(unit)]
    coins = [unit for unit in units if not is_money(unit)]
    if len(coins) == len(money) == 1:
        found = read(f"{coins[0]}-{money[0]}")
        yield Clue(_scaled(found, 0.8), f"Its volumes are in {coins[0]} and {money[0]}.")
    elif len(coins) == 1 and not money:
        pairs = {pair.format(coins[0]): 0.7 * chance for pair, chance in _DOLLAR_PAIRS.items()}
        sentence = f"Its volume is in {coins[0]}; in what it is quoted is not said."
        yield Clue(pairs, sentence, base=coins[0])


def _price_clues(times: Times, prices: Values) -> Iterator[Clue]:
    times, first = np.unique(times, return_index=True)
    for base, chance in majors_at(times, prices[first]).items():
        pairs = {pair.format(base): chance * share for pair, share in _DOLLAR_PAIRS.items()}
        sentence = f"Its prices lie where {base} traded in dollars at that time; so may others."
        yield Clue(pairs, sentence, base=base)


def _contracts(chances: Mapping[str, float]) -> dict[str, float]:
    """Spot counted as the perpetual of the same pair."""
    found: dict[str, float] = {}
    for symbol, chance in chances.items():
        contract = as_contract(symbol)
        found[contract] = found.get(contract, 0.0) + chance
    return found


def name_of(path: str) -> str:
    """The last name of a path."""
    return re.sub(r".*[/\\]", "", path)


def _scaled(chances: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: chance * factor for name, chance in chances.items()}


def shown(text: str) -> str:
    """A text in a sentence, cut where it is long."""
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
