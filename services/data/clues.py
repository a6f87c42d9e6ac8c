"""What a frame itself says of its origin: its columns, the spacing of its rows, what is written about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from marketml.imports import names
from marketml.imports.file_names import as_contract, read_file_name
from services.data.currencies import BASES, is_known, is_money, plain
from services.data.price_ranges import majors_at
from services.data.revisions import Times, Values
from services.data.series import (
    CANDLES,
    FUNDING_RATES,
    OPEN_INTEREST,
    TIMEFRAMES_US,
    Kind,
    grid_offset_us,
)
from services.data.symbols import possible_symbols

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
_FILE_KEYS = ("file", "filename", "file_name", "path", "name", "source")
_VENUE_KEYS = ("venue", "exchange")
_TIMEFRAME_KEYS = ("timeframe", "interval", "resolution", "period", "freq", "frequency")
_UNREAD_KEYS = ("pandas", "kind", "digest", *_VENUE_KEYS, *_TIMEFRAME_KEYS)
_SPACING = re.compile(
    r"(?<![A-Za-z0-9.])(?:(\d{1,2}) ?(m|min|mins|minute|minutes|t|h|hr|hour|hours|d|day|days|w|week|weeks)"
    r"|([mhd])(\d{1,2}))(?![A-Za-z0-9])",
    re.IGNORECASE,
)
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
        return FUNDING_RATES, f"It has a column {_shown(roles['funding_rate'])}."
    if "open_interest" in roles:
        return OPEN_INTEREST, f"It has a column {_shown(roles['open_interest'])}."
    if len(roles.get("close", "")) > 1:
        return CANDLES, f"It has a column {_shown(roles['close'])}, and no other prices of bars."
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
    venue = venue_said(frame)

    def read(text: str, is_contract: bool = False) -> dict[str, float]:
        found = possible_symbols(text.strip(), venue, known)
        return _contracts(found) if is_contract or kind is not CANDLES else found

    for key, text in frame.said.items():
        if key.lower() in _INSTRUMENT_KEYS and (found := read(text)):
            yield Clue(_scaled(found, 0.95), f"Its {_shown(key)} is {_shown(text)}.")
    for key, text in frame.texts.items():
        bare = re.sub(r"[^a-z0-9]", "", key.lower())
        if bare in names.SYMBOL and (found := read(text)):
            yield Clue(_scaled(found, 0.95), f"Every row's {_shown(key)} is {_shown(text)}.")
    for key, text in frame.said.items():
        if key.lower() in (*_INSTRUMENT_KEYS, *_UNREAD_KEYS):
            continue
        if key.lower() in _FILE_KEYS:
            yield from _file_clue(text, read)
        elif found := _in_words(text, read):
            yield Clue(_scaled(found, 0.7), f"Its {_shown(key)} says {_shown(text)}.")
    yield from _column_clues(frame, read)
    roles = roles_of(frame)
    if kind is CANDLES and "close" in roles and len(frame.times):
        yield from _price_clues(frame.times, frame.columns[roles["close"]])


def timeframe_clues(frame: Unlabelled) -> Iterator[Clue]:
    """What the frame says of the length of its bars."""
    for key, text in frame.said.items():
        is_stated = key.lower() in _TIMEFRAME_KEYS
        if key.lower() in _UNREAD_KEYS and not is_stated:
            continue
        found = {name for name in map(_timeframe, _SPACING.finditer(text)) if name}
        if len(found) == 1:
            timeframe = found.pop()
            shown = _shown(_name_of(text) if key.lower() in _FILE_KEYS else text)
            sentence = f"Its {_shown(key)} {shown} says {timeframe}."
            yield Clue({timeframe: 0.95 if is_stated else 0.85}, sentence)
    yield from _spacing_clue(frame.times)


def spacing_us(times: Times) -> tuple[int, float] | None:
    """The commonest time between rows, and its share; None below two times."""
    steps = np.diff(np.unique(times))
    if not len(steps):
        return None
    values, counts = np.unique(steps, return_counts=True)
    commonest = int(np.argmax(counts))
    return int(values[commonest]), float(counts[commonest] / len(steps))


def length_text(length_us: int) -> str:
    """A time span for people."""
    for name, unit_us in (("days", 86_400_000_000), ("hours", 3_600_000_000), ("minutes", 60_000_000)):
        if length_us >= unit_us:
            return f"{length_us / unit_us:g} {name if length_us != unit_us else name[:-1]}"
    return f"{length_us / 1e6:g} seconds"


def _file_clue(text: str, read: Callable[..., dict[str, float]]) -> Iterator[Clue]:
    called, name = read_file_name(text), _name_of(text)
    if called.symbol and (found := read(called.symbol, called.market == "contract")):
        yield Clue(_scaled(found, 0.9), f"Its name {_shown(name)} says {_shown(called.symbol)}.")
    elif found := _in_words(name, read):
        yield Clue(_scaled(found, 0.8), f"Its name {_shown(name)} names an instrument.")


def _in_words(text: str, read: Callable[..., dict[str, float]]) -> dict[str, float]:
    """What words of a text mean; empty when none means anything, or they mean different things."""
    seen: list[dict[str, float]] = []
    for word in _WORDS.findall(text)[:64]:
        for piece in (word, *re.split(r"[_.]+", word), *re.split(r"[_.\-/]+", word)):
            if 5 <= len(piece) <= 40 and any(letter.isalpha() for letter in piece):
                found = read(piece)
                if found and all(is_known(symbol.partition("/")[0], BASES) for symbol in found):
                    seen.append(found)
                    break
    if not seen or any(found != seen[0] for found in seen[1:]):
        return {}
    return seen[0]


def _column_clues(frame: Unlabelled, read: Callable[..., dict[str, float]]) -> Iterator[Clue]:
    named = {name: found for name in (*frame.columns, *frame.texts) if (found := _in_words(name, read))}
    if named and all(found == next(iter(named.values())) for found in named.values()):
        yield Clue(
            _scaled(next(iter(named.values())), 0.85), f"Its column {_shown(next(iter(named)))} names it."
        )
    texts = [*frame.columns, *(frame.said[key] for key in frame.said if key.lower() == "columns")]
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


def _spacing_clue(times: Times) -> Iterator[Clue]:
    found = spacing_us(times)
    if found is None:
        return
    step_us, share = found
    timeframe = next((name for name, length_us in TIMEFRAMES_US.items() if length_us == step_us), None)
    if timeframe is None:
        return
    ordered = np.unique(times)
    steps = np.diff(ordered)
    multiples = float((steps % step_us == 0).mean())
    off_grid = float((ordered % step_us != grid_offset_us(timeframe)).mean())
    chance = 0.98 * multiples**2 * len(steps) / (len(steps) + 1) * min(1.0, 0.5 + share)
    sentence = f"{share:.0%} of its rows follow each other by {length_text(step_us)}"
    if gaps := int((steps > step_us).sum()):
        sentence += f", with {gaps} gap{'s' if gaps > 1 else ''}"
    if off_grid > 0.5:
        chance *= 0.7
        sentence += f"; {off_grid:.0%} of them off the grid of {timeframe}"
    if len(ordered) < len(times):
        sentence += f"; {len(times) - len(ordered)} times come twice"
    yield Clue({timeframe: chance}, sentence + ".")


def _timeframe(found: re.Match[str]) -> str | None:
    count, unit = (found[1], found[2]) if found[1] else (found[4], found[3])
    if unit == "M" and found[1]:  # a month
        return None
    letter = {"t": "m"}.get(unit[0].lower(), unit[0].lower())
    minutes = int(count) * {"m": 1, "h": 60, "d": 1440, "w": 10_080}[letter]
    return next((name for name, us in TIMEFRAMES_US.items() if us == minutes * 60_000_000), None)


def _contracts(chances: Mapping[str, float]) -> dict[str, float]:
    """Spot counted as the perpetual of the same pair."""
    found: dict[str, float] = {}
    for symbol, chance in chances.items():
        contract = as_contract(symbol)
        found[contract] = found.get(contract, 0.0) + chance
    return found


def _name_of(path: str) -> str:
    return re.sub(r".*[/\\]", "", path)


def _scaled(chances: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: chance * factor for name, chance in chances.items()}


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
