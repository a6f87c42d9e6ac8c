"""Which column is what: by its name where there is a header, by its values where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from marketml.imports import names, times
from marketml.imports.names import CANDLES, FUNDING, OPEN_INTEREST, PRICES, REQUIRED, ROLES
from marketml.imports.numbers import holds_numbers, is_numeric, to_floats
from marketml.imports.positions import candle_positions
from marketml.imports.refused import ImportRefused
from marketml.imports.table import RawTable, is_text
from marketml.imports.volumes import add_volumes


@dataclass(frozen=True)
class Layout:
    """The kind, the column of each role, the column or two that hold the time, the column of the bar's end
    if there is one, and how it was decided."""

    kind: str
    time: tuple[str, ...]
    roles: Mapping[str, str]
    symbol: str | None = None
    other_times: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    close_time: str | None = None


def find_layout(table: RawTable, kind: str | None, columns: Mapping[str, str]) -> Layout:
    """Decide what every column is.

    Parameters
    ----------
    table
        The cells.
    kind
        `candles`, `funding` or `open-interest`, or None to find out.
    columns
        Column names by role (`time`, `open`…) that settle what the table leaves open.

    Raises
    ------
    ImportRefused
        No kind fits, more than one does, or the table holds trades; a role has no column or two.
    """
    _check_columns(table, columns)
    if not table.has_names and not columns:
        return _by_position(table, kind)
    by_word = names.by_word(table)
    time = (columns["time"],) if "time" in columns else _time_columns(table, by_word)
    used = {*time, *columns.values()}
    roles = {role: name for role, name in columns.items() if role != "time"}
    for role, words in names.WORDS.items():
        found = next((by_word[word] for word in words if word in by_word and by_word[word] not in used), None)
        if found is not None and role not in roles and is_readable(table, found):
            roles[role] = found
            used.add(found)
    notes: list[str] = []
    if all(role in roles for role in PRICES):
        add_volumes(table, roles, used, notes)
    decided = _kind(table, roles, kind, by_word, notes)
    roles = {role: name for role, name in roles.items() if role in ROLES[decided]}
    if not time:
        close_time = " Its only time is the close of the bar." if "closetime" in by_word else ""
        raise ImportRefused(
            f"No column holds the time of a row.{close_time} Name it: time=COLUMN. {_listed(table)}"
        )
    others = tuple(
        name
        for word, name in by_word.items()
        if word in names.TIME
        and word != "createtime"
        and name not in (*time, *roles.values())
        and times.looks_like_time(table.column(name))
    )
    ends = by_word.get(names.CLOSE_TIME) if decided == CANDLES else None
    if ends in time or (ends is not None and not times.looks_like_time(table.column(ends))):
        ends = None
    return Layout(decided, time, roles, names.find_symbol(table), others, tuple(notes), ends)


def is_readable(table: RawTable, name: str) -> bool:
    """Whether a column found by name can hold numbers at all (not a time, not words)."""
    column = table.column(name)
    return is_numeric(column) or not times.looks_like_time(column)


def _check_columns(table: RawTable, columns: Mapping[str, str]) -> None:
    known = {"time", *(role for roles in ROLES.values() for role in roles)}
    for role, name in columns.items():
        if role not in known:
            raise ImportRefused(f"columns has no role {role!r}: {', '.join(sorted(known))}.")
        if name not in table.names:
            raise ImportRefused(f"columns[{role!r}]: there is no column {name!r}. {_listed(table)}")


def _time_columns(table: RawTable, by_word: Mapping[str, str]) -> tuple[str, ...]:
    """The column of time; or a column of dates and one of times of day."""
    if "date" in by_word and "time" in by_word:
        date, time = by_word["date"], by_word["time"]
        if times.joins(table.column(date), table.column(time)):
            return date, time
    named = [by_word[word] for word in (*names.TIME, *names.UNNAMED) if word in by_word]
    found = [name for name in named if times.looks_like_time(table.column(name))]
    # A bad cell among the first must not hide the column: reading it names the row.
    called = [by_word[word] for word in names.TIME if word in by_word]
    return tuple((found or called)[:1])


def _kind(
    table: RawTable, roles: dict[str, str], kind: str | None, by_word: Mapping[str, str], notes: list[str]
) -> str:
    """The kind whose required columns are all there; moves a funding rate that stands under `open` to
    its role."""
    fits = [candidate for candidate, needed in REQUIRED.items() if all(role in roles for role in needed)]
    if CANDLES in fits and "funding_rate" not in roles and _is_funding_in_open(table, roles):
        roles["funding_rate"] = roles["open"]
        fits = [FUNDING]
        notes.append(f"Funding rates stand in column {roles['open']!r}; the other columns are zero.")
    if kind is not None and kind in fits:
        return kind
    if len(fits) == 1 and kind is None:
        return fits[0]
    if not fits and _is_trades(by_word):
        raise ImportRefused(
            f"The file holds trades or quotes, not candles: build candles from it first. {_listed(table)}"
        )
    if not fits:
        what = f"of {kind}" if kind else "of candles (open, high, low, close), funding rates or open interest"
        raise ImportRefused(f"The file has not the columns {what}. {_listed(table)}")
    if kind is None:
        raise ImportRefused(f"The file holds {' and '.join(fits)}: say which kind to import.")
    raise ImportRefused(f"The file holds {' and '.join(fits)}, not {kind}.")


def _is_funding_in_open(table: RawTable, roles: Mapping[str, str]) -> bool:
    """freqtrade keeps funding rates in candles' clothes: the rate in `open`, the rest zero or absent."""
    values = {role: to_floats(table.column(roles[role]), roles[role])[0] for role in PRICES}
    return _is_rate_and_nothing(values["open"], [values[role] for role in ("high", "low", "close")])


def _is_rate_and_nothing(rate: npt.NDArray[np.float64], others: list[npt.NDArray[np.float64]]) -> bool:
    nothing = all(bool((np.isnan(other) | (other == 0)).all()) for other in others)
    return nothing and bool((np.abs(np.nan_to_num(rate)) <= 1).all())


def _is_trades(by_word: Mapping[str, str]) -> bool:
    is_priced = bool(names.TRADE_PRICES & set(by_word)) and bool(names.TRADE_SIZES & set(by_word))
    return is_priced or sum(word in by_word for word in names.TRADE_MARKS) >= 2


def _by_position(table: RawTable, kind: str | None) -> Layout:
    """A table without a header."""
    numbers = table.names
    if any(_is_flag(column) for column in table.columns):
        raise ImportRefused(
            f"The file holds trades (a side or a flag on each row), not candles. {_listed(table)}"
        )
    if len(numbers) > 1 and times.joins(table.columns[0], table.columns[1]):
        time: tuple[str, ...] = numbers[:2]
    elif times.looks_like_time(table.columns[0]):
        time = numbers[:1]
    else:
        raise ImportRefused(f"Without a header the first column must be the time. {_listed(table)}")
    rest = numbers[len(time) :]
    values = {
        name: to_floats(table.column(name), name)[0] for name in rest if holds_numbers(table.column(name))
    }
    if len(rest) == 1 and rest[0] in values:
        if kind in (FUNDING, OPEN_INTEREST):
            role = REQUIRED[kind][0]
            return Layout(
                kind, time, {role: rest[0]}, notes=(f"Column {rest[0]} is the {role}, as the kind says.",)
            )
        raise ImportRefused("Two columns without a header: say which kind, funding or open-interest.")
    if len(rest) >= 4 and all(name in values for name in rest[:4]):
        four = [values[name] for name in rest[:4]]
        if _is_rate_and_nothing(four[0], four[1:]):
            if kind in (None, FUNDING):
                note = (
                    f"Funding rates stand in column {rest[0]}, where candles have the open; the others "
                    f"are zero."
                )
                return Layout(FUNDING, time, {"funding_rate": rest[0]}, notes=(note,))
            raise ImportRefused(f"The file holds funding, not {kind}.")
        if kind in (FUNDING, OPEN_INTEREST):
            raise ImportRefused(f"The file looks like candles, not {kind}. {_listed(table)}")
        roles, notes = candle_positions(rest, values)
        ends = rest[5] if "taker_buy_volume" in roles else None
        return Layout(CANDLES, time, roles, notes=notes, close_time=ends)
    if len(rest) in (2, 3):
        raise ImportRefused(
            "The file looks like trades or quotes (time, price, amount), not candles: build candles from it "
            f"first. {_listed(table)}"
        )
    raise ImportRefused(
        f"No header, and {len(numbers)} columns fit no known layout: name them. {_listed(table)}"
    )


def _is_flag(column: pa.ChunkedArray) -> bool:
    """Whether the cells are the marks of trades: true or false, buy or sell."""
    if not is_text(column):
        return bool(pa.types.is_boolean(column.type))
    words = {str(value).strip().lower() for value in column.slice(0, 50).to_pylist() if value is not None}
    return bool(words) and words <= {"true", "false", "buy", "sell", "b", "s", "bid", "ask"}


def _listed(table: RawTable) -> str:
    """The columns, for people; with the first row's cells where they have no names."""
    if table.has_names:
        return f"Its columns: {', '.join(repr(name) for name in table.names[:20])}."
    cells = ", ".join(
        f"{name} = {column[0].as_py()}" for name, column in zip(table.names, table.columns, strict=True)
    )
    return f"Its first row: {cells[:200]}."
