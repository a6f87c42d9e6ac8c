"""Columns of volume: which is in base currency, which in quote currency."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np

from marketml.imports.names import by_word, find_symbol
from marketml.imports.numbers import holds_numbers, to_floats
from marketml.imports.refused import ImportRefused
from marketml.imports.table import RawTable

_VOLUME = re.compile(
    r"(?:base|asset|tick|total)?(?:volume(?P<long>[a-z0-9]{2,8})?|vol(?P<short>(?!ume)[a-z0-9]{2,5})?)"
    r"|v|(?P<sum>amount)"
)
_MONEY = ["usd", "usdt", "usdc", "busd", "fdusd", "dai", "eur", "gbp", "jpy", "krw", "quote", "currency"]
_LOG_APART_MAX = 0.2  # prices within a bar differ less; a price within 20 % of 1 decides nothing


def add_volumes(table: RawTable, roles: dict[str, str], used: set[str], notes: list[str]) -> None:
    """Give the volume columns their roles. Of two, the one that is the other times the price is in quote
    currency.

    Raises
    ------
    ImportRefused
        Several volumes, and neither the rows nor the names tell them apart.
    """
    found: dict[str, str] = {}  # unit as written, by column
    for word, name in by_word(table).items():
        match = _VOLUME.fullmatch(word)
        if match and name not in used and holds_numbers(table.column(name)):
            found[name] = match["long"] or match["short"] or match["sum"] or ""
    if "volume" in roles or not found:
        return
    plain = next((name for name, unit in found.items() if not unit), None)
    if len(found) == 1 or "quote_volume" in roles:
        name = plain or next(iter(found))
        is_quote = _is_money(found[name], table) and "quote_volume" not in roles
        roles["quote_volume" if is_quote else "volume"] = name
        if found[name]:
            notes.append(
                f"Column {name!r} is the volume in {'quote' if is_quote else 'base'} currency, by its name."
            )
        return
    pair, how = _pair_by_price(table, roles["close"], list(found)), "it is about volume times price"
    if pair is None:
        one = plain or next(iter(found))
        pair, how = _pair_by_name(table, found, one), "by its name"
    if pair is not None:
        roles["volume"], roles["quote_volume"] = pair
        notes.append(
            f"Column {pair[1]!r} is the volume in quote currency ({how}), {pair[0]!r} in base currency."
        )
        return
    if plain is None:
        raise ImportRefused(
            f"{', '.join(map(repr, found))} are all volumes: say which is volume and quote_volume."
        )
    roles["volume"] = plain


def _pair_by_price(table: RawTable, close: str, names: list[str]) -> tuple[str, str] | None:
    """The first two of the volumes of which one is the other times the price: base, then quote."""
    for one, other in combinations(names, 2):
        quote = _quote_of(table, close, one, other)
        if quote is not None:
            return (one if quote == other else other), quote
    return None


def _pair_by_name(table: RawTable, found: dict[str, str], one: str) -> tuple[str, str] | None:
    """`one` and the first volume beside it, when just one of the two is named after money: base, then
    quote."""
    for other in (name for name in found if name != one):
        if _is_money(found[one], table) != _is_money(found[other], table):
            return (other, one) if _is_money(found[one], table) else (one, other)
    return None


def _is_money(unit: str, table: RawTable) -> bool:
    """Whether a volume's unit is the quote currency: the end of the file's symbol, else a common one."""
    symbol = find_symbol(table)
    if symbol is not None and unit:
        text = re.sub(r"[^a-z0-9]", "", str(table.column(symbol)[0].as_py()).lower())
        if text.endswith(unit) != text.startswith(unit):
            return text.endswith(unit)
    return unit in _MONEY


def _quote_of(table: RawTable, close: str, first: str, second: str) -> str | None:
    """Which of two volumes is the other times the price; None where the price is near 1 or neither fits."""
    a, b = (to_floats(table.column(name), name)[0] for name in (first, second))
    price = to_floats(table.column(close), close)[0]
    traded = (a > 0) & (b > 0) & (price > 0)
    if not traded.any():
        return None
    a, b, price = a[traded], b[traded], price[traded]
    apart = np.log(b) - np.log(a)  # of logarithms: quotients of extremes leave the floats
    ratio = float(np.median(np.abs(apart - np.log(price))))
    inverse = float(np.median(np.abs(-apart - np.log(price))))
    if min(ratio, inverse) > _LOG_APART_MAX or abs(ratio - inverse) < _LOG_APART_MAX:
        return None
    return second if ratio < inverse else first
