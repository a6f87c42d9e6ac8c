"""Venues' spellings of symbols, read by rule: the unified form, or a refusal that says what is meant or near.

A spelling without a separator is split only where both halves are known currencies, in exactly one way;
nothing is guessed. Where venues mean different things by the same text the venue must be named.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from marketml.rpc.refusals import InvalidArgument
from services.data.symbols.currencies import BASES, Currencies, is_known, is_money
from services.data.symbols.instruments import Spelling, Symbol, Unclear, settles_in
from services.data.symbols.spellings import VENUES, Pair, read_anywhere, read_at, unified, venue_by

__all__ = ["Symbol", "bases_of", "normalize_symbol", "possible_symbols"]

TEXT_LENGTH_MAX = 64

_NAMED_VENUE = re.compile(r"([A-Za-z]{2,20}):(.+)")
# Whose readings are named when the venue is not, and what theirs look like: venues that mean different things
# by one text.
_ASKED = {
    "bitstamp": re.compile(r"(?!XBT|.+PERP$)[A-Z0-9]+"),
    "kraken": re.compile(r"(?!.+PERP$)[A-Z0-9]+"),
    "bybit": re.compile(r"(?!XBT)[A-Z0-9]+(-[0-9]{1,2}[A-Z]{3}[0-9]{2})?"),
    "bitmex": re.compile(r"(?!BTC|.+PERP$)[A-Z0-9]+"),
    "deribit": re.compile(r".+-[0-9]{1,2}[A-Z]{3}[0-9]{2}"),
    "bitget": re.compile(r"(?!XBT)[A-Z0-9]+"),
    "coinbaseinternational": re.compile(r"(?!.+USD-)[A-Z0-9]+-PERP"),
    "ftx": re.compile(r"(?!.+USD-)[A-Z0-9]+-PERP"),
    "cryptocom": re.compile(r"[A-Z0-9]+USD-PERP"),
    "upbit": re.compile(r"(KRW|BTC|USDT)-[A-Z0-9]+"),
}


def normalize_symbol(text: str, venue: str = "", known: Iterable[str] = ()) -> Symbol:
    """Read a venue's spelling.

    Parameters
    ----------
    text
        1 to 64 characters. `VENUE:TEXT`, as charts write it, names the venue.
    venue
        Lower-case id; decides where venues disagree. Empty is unknown.
    known
        Unified symbols that are stored: their currencies are known, and they are offered when nothing fits.

    Raises
    ------
    InvalidArgument
        On `text`: no rule reads it, or it means different things on different venues; the readings or the
        nearest known symbols are named.
    """
    stored = sorted(set(known))
    if not text.strip() or len(text) > TEXT_LENGTH_MAX:
        raise InvalidArgument.of(
            "text",
            "length" if text.strip() else "required",
            f"must be 1 to {TEXT_LENGTH_MAX} characters, not {len(text)}.",
        )
    spelling, venue = _spelled(text, venue, bases_of(stored))
    try:
        found = _read(spelling, venue)
    except Unclear as unclear:
        raise InvalidArgument.of("text", "unclear_symbol", f"{unclear}: {text!r}.") from None
    if found is not None:
        return found
    if not venue and (readings := _readings(spelling)):
        raise _ambiguous(text, readings)
    raise _unknown(text, spelling.text, stored)


def bases_of(known: Iterable[str]) -> frozenset[str]:
    """The currencies that may be bought: the listed ones, and those of stored symbols."""
    return BASES | {symbol.partition("/")[0] for symbol in known}


def possible_symbols(text: str, venue: str, bases: frozenset[str]) -> dict[str, float]:
    """What a spelling may mean, with chances whose sum is 1; empty when it means nothing.

    Where a plain pair may be the perpetual too it is that with a chance of 0.4; of readings that depend on
    the venue each has the same.
    """
    if not text.strip() or len(text) > TEXT_LENGTH_MAX:
        return {}
    try:
        spelling, venue = _spelled(text, venue, bases)
        found = _read(spelling, venue)
    except (Unclear, InvalidArgument):
        return {}
    if found is None:
        readings = {} if venue else _readings(spelling)
        return {symbol: 1 / len(readings) for symbol in readings}
    habits = VENUES.get(venue)
    is_open = habits is None or Pair.EITHER in (habits.one_word, habits.underscore)
    is_said = found.settle or "/" in spelling.text
    if is_said or not is_open or is_money(found.base) or not is_money(found.quote):
        return {found.text: 1.0}
    contract = f"{found.text}:{settles_in(found.base, found.quote)}"
    return {found.text: 0.6, contract: 0.4}


def _spelled(text: str, venue: str, bases: frozenset[str]) -> tuple[Spelling, str]:
    """The text without the venue that it names, and the venue."""
    words, venue = text.strip(), venue_by(venue)
    found = _NAMED_VENUE.fullmatch(words)
    named = venue_by(found[1].lower()) if found else ""
    if found is not None and named in VENUES:
        if venue and not venue.startswith(named):
            raise InvalidArgument.of("text", "venue", f"names the venue {named}, not {venue}: {words!r}.")
        words, venue = found[2], venue or named
    return Spelling(words.upper(), words, Currencies(bases)), venue


def _read(spelling: Spelling, venue: str) -> Symbol | None:
    return unified(spelling) or (read_at(venue, spelling) if venue else read_anywhere(spelling))


def _readings(spelling: Spelling) -> dict[str, list[str]]:
    """Venues by the symbol that they mean."""
    readings: dict[str, list[str]] = {}
    for venue, its_own in _ASKED.items():
        if not its_own.fullmatch(spelling.text):
            continue
        try:
            found = read_at(venue, spelling)
        except Unclear:
            continue
        if found is not None and is_known(found.base, spelling.known.bases):
            readings.setdefault(found.text, []).append(venue)
    return readings


def _ambiguous(text: str, readings: dict[str, list[str]]) -> InvalidArgument:
    meant = "; ".join(f"{symbol} on {' and '.join(venues)}" for symbol, venues in readings.items())
    return InvalidArgument.of(
        "text",
        "ambiguous_symbol",
        f"depends on the venue: {text!r} is {meant}; name the venue, or write the symbol.",
    )


def _unknown(text: str, upper: str, stored: list[str]) -> InvalidArgument:
    usual = [f"{base}/USDT" for base in sorted(BASES)] + [f"{base}/USDT:USDT" for base in ("BTC", "ETH")]
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
