"""Reading one market-data file: the order of the decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from marketml.imports import series, times
from marketml.imports.columns import Layout, find_layout
from marketml.imports.containers import read_table
from marketml.imports.names import CANDLES, FUNDING, PRICES, REQUIRED, find_symbol
from marketml.imports.numbers import to_floats
from marketml.imports.refused import ImportRefused
from marketml.imports.table import RawTable, row_list

Kind: TypeAlias = Literal["candles", "funding", "open-interest"]


@dataclass(frozen=True)
class ImportedFile:
    """What a file holds.

    `frame` has float64 columns named as in the data room's contract and an index in UTC, strictly
    increasing: candles `open_time` and `open high low close volume` (NaN where unknown) and those of
    `quote_volume trade_count taker_buy_volume` that the file has; funding `time`, `funding_rate` (fraction)
    and perhaps `mark_price`; open interest `time`, `open_interest` and perhaps `open_interest_value`.
    `timeframe` is None unless candles. `symbol` is the file's own text for the instrument, None when it has
    none. `notes` tells everything that was decided or is odd, one sentence each; those that may mean wrong
    data start with "Warning:".
    """

    kind: Kind
    frame: pd.DataFrame
    timeframe: str | None
    symbol: str | None
    notes: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes that may mean wrong data."""
        return tuple(note for note in self.notes if note.startswith("Warning:"))


def read_market_file(
    path: str | Path,
    kind: Kind | None = None,
    *,
    timeframe: str | None = None,
    utc_offset: str | timedelta | None = None,
    columns: Mapping[str, str] | None = None,
    symbol: str | None = None,
    day_first: bool | None = None,
) -> ImportedFile:
    """Read candles, funding rates or open interest from a file.

    Parameters
    ----------
    path
        CSV or other delimited text, JSON, Parquet or Feather; plain, gzip or a ZIP of one file.
    kind
        Refuse anything else; None finds out.
    timeframe
        Of candles (`1m`…`1w`); None takes the commonest spacing of the rows.
    utc_offset
        `+03:00`: how far ahead of UTC the file's clock is. Only for files whose stamps do not state it.
    columns
        Column by role (`time`, `open`, `volume`…) where the file leaves it open; columns without a header
        are named "1", "2"….
    symbol
        The rows of this instrument, in the file's own spelling; needed when it holds several.
    day_first
        Whether `03/04/2024` is the third of April; needed when no date of the file settles it.

    Raises
    ------
    ImportRefused
        The file cannot be read as market data without guessing.
    """
    if kind is not None and kind not in get_args(Kind):
        raise ImportRefused(f"kind must be one of {', '.join(get_args(Kind))}: {kind!r}.")
    offset = None if utc_offset is None else times.parse_offset(utc_offset)
    table = read_table(Path(path))
    notes = list(table.notes)
    table, instrument = _one_instrument(table, symbol)
    layout = find_layout(table, kind, columns or {})
    notes += layout.notes
    micros, is_stated = _utc(table, layout, offset, day_first, notes)
    values = _values(table, layout, notes)
    micros, values = series.without_empty(micros, values, REQUIRED[layout.kind], notes)
    if layout.kind == FUNDING:
        micros = series.settled(micros, is_stated, notes)
    micros, values = series.ordered(micros, values, notes)
    found: str | None = None
    if layout.kind == CANDLES:
        found = series.timeframe_of(micros, timeframe, notes)
        series.candle_oddities(micros, values, found, notes)
    else:
        series.spacing_note(micros, notes)
        _check_values(layout.kind, micros, values)
    frame = _frame(layout, micros, values)
    return ImportedFile(_as_kind(layout.kind), frame, found, instrument, tuple(notes))


def _one_instrument(table: RawTable, symbol: str | None) -> tuple[RawTable, str | None]:
    """The rows of one instrument, and its name in the file."""
    name = find_symbol(table)
    if name is None:
        if symbol is not None:
            raise ImportRefused(f"symbol {symbol!r} cannot be picked: no column names the instrument.")
        return table, None
    texts = pc.cast(table.column(name), pa.string())
    listed = [text for text in texts.unique().to_pylist() if text is not None]
    if symbol is not None:
        if symbol not in listed:
            raise ImportRefused(f"The file has no rows of {symbol!r}; it has {', '.join(listed[:10])}.")
        mask = np.asarray(pc.fill_null(pc.equal(texts, symbol), False).to_numpy())
        return (table if mask.all() else table.rows(mask)), symbol
    if len(listed) > 1:
        more = f" and {len(listed) - 10} more" if len(listed) > 10 else ""
        raise ImportRefused(f"The file holds several instruments: {', '.join(listed[:10])}{more}: say which.")
    return table, listed[0] if listed else None


def _utc(
    table: RawTable, layout: Layout, offset: timedelta | None, day_first: bool | None, notes: list[str]
) -> tuple[npt.NDArray[np.int64], bool]:
    """Microseconds in UTC, and whether the file states its zone."""
    name = " ".join(layout.time) or "the unnamed column"
    column = table.column(layout.time[0])
    if len(layout.time) == 2:
        column = pc.binary_join_element_wise(column, table.column(layout.time[1]), " ")
    read = times.to_micros(column, name, day_first)
    other = _preferred(table, layout, read, day_first, notes)
    if other is not None:
        name, read = other
    words = name.lower()
    says_utc = "utc" in words or "gmt" in words or any("utc" in line.lower() for line in table.preamble)
    if read.is_stated and offset is not None:
        raise ImportRefused(
            f"The stamps of {name!r} state their time ({read.rule}): utc_offset cannot be given too."
        )
    if offset is not None:
        notes.append(f"Time from {name}: {read.rule}, {offset_text(offset)} by utc_offset.")
        if says_utc:
            notes.append("Warning: the file says UTC and utc_offset says otherwise.")
        return read.micros - offset // timedelta(microseconds=1), True
    if read.is_stated or says_utc:
        notes.append(f"Time from {name}: {read.rule}{'' if read.is_stated else ', UTC as the file says'}.")
        return read.micros, True
    if "local" in words:
        raise ImportRefused(f"Column {name!r} is local time of a zone it does not state: give utc_offset.")
    notes.append(f"Time from {name}: {read.rule}, without a zone: taken as UTC.")
    return read.micros, False


def _preferred(
    table: RawTable, layout: Layout, read: times.Times, day_first: bool | None, notes: list[str]
) -> tuple[str, times.Times] | None:
    """A second column of time that states its zone where the first does not; a warning when the two
    disagree."""
    chosen: tuple[str, times.Times] | None = None
    for name in layout.other_times:
        try:
            other = times.to_micros(table.column(name), name, day_first)
        except ImportRefused:
            continue
        apart = other.micros - read.micros
        if (apart == 0).all() or (np.abs(apart).max() < 86_400_000_000 and not np.any(apart % 60_000_000)):
            if (apart != 0).any():
                minutes = int(np.median(apart)) // 60_000_000
                notes.append(
                    f"Warning: {name!r} and {layout.time[0]!r} differ in {row_list(np.flatnonzero(apart))}, "
                    f"mostly by {minutes} minutes."
                )
            if other.is_stated and not read.is_stated and chosen is None:
                chosen = (name, other)
    return chosen


def _values(table: RawTable, layout: Layout, notes: list[str]) -> dict[str, npt.NDArray[np.float64]]:
    values = {}
    for role, name in layout.roles.items():
        values[role], note = to_floats(table.column(name), name)
        if note:
            notes.append(note)
    used = {*layout.time, *layout.other_times, *layout.roles.values(), layout.symbol}
    dropped = [name or "(unnamed)" for name in table.names if name not in used]
    if dropped:
        notes.append(f"Left out: {'columns' if len(dropped) > 1 else 'column'} {', '.join(dropped)}.")
    return values


def _check_values(
    kind: str, micros: npt.NDArray[np.int64], values: Mapping[str, npt.NDArray[np.float64]]
) -> None:
    """Refuse values that cannot be what the kind says."""
    if kind == FUNDING:
        bad = np.abs(values["funding_rate"]) > 1
        rule = "a funding rate is a fraction, at most 1 either way"
    else:
        bad = values["open_interest"] < 0
        rule = "open interest is not negative"
    if bad.any():
        first = np.flatnonzero(bad)[0]
        value = values[REQUIRED[kind][0]][first]
        raise ImportRefused(f"{rule.capitalize()}: {value:g} at {series.stamp(micros[first])}.")


def _frame(
    layout: Layout, micros: npt.NDArray[np.int64], values: dict[str, npt.NDArray[np.float64]]
) -> pd.DataFrame:
    index_name = "open_time" if layout.kind == CANDLES else "time"
    index = pd.DatetimeIndex(micros.astype("datetime64[us]"), tz="UTC", name=index_name)
    if layout.kind == CANDLES:
        values = {"volume": np.full(len(micros), np.nan), **values}
        first = (*PRICES, "volume")
        values = {name: values[name] for name in (*first, *(name for name in values if name not in first))}
    return pd.DataFrame(values, index=index)


def _as_kind(text: str) -> Kind:
    return next(kind for kind in get_args(Kind) if kind == text)


def offset_text(offset: timedelta) -> str:
    """`+03:00`."""
    minutes = offset // timedelta(minutes=1)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
