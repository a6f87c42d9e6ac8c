"""Reading one market-data file: the order of the decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from marketml.imports import checksums, oddities, series, times
from marketml.imports.clocks import to_utc
from marketml.imports.columns import Layout, find_layout
from marketml.imports.containers import UNBOUNDED, Bounds, read_bounded, read_table
from marketml.imports.decimals import to_nearest_decimals
from marketml.imports.file_names import FileName, as_contract, read_file_name
from marketml.imports.names import CANDLES, FUNDING, PRICES, REQUIRED, by_word, find_confirmed, find_symbol
from marketml.imports.numbers import is_numeric, to_floats
from marketml.imports.prices import Prices, prices_of
from marketml.imports.refused import ImportRefused, one_line
from marketml.imports.table import RawTable

Kind: TypeAlias = Literal["candles", "funding", "open-interest"]


@dataclass(frozen=True)
class ImportedFile:
    """What a file holds.

    `frame` has float64 columns named as in the data room's contract and an index in UTC, strictly
    increasing: candles `open_time` and `open high low close volume` (NaN where unknown) and those of
    `quote_volume trade_count taker_buy_volume` that the file has; funding `time`, `funding_rate` (fraction)
    and perhaps `mark_price`; open interest `time`, `open_interest` and perhaps `open_interest_value`.
    `timeframe` is None unless candles. `symbol` is the file's own text for the instrument, else what its name
    says, None when neither has one; `market` (`spot`, `contract`) is known where the name or its folders say.
    `prices` tells whether candles are of trades or of the mark or index price, which belong apart: see
    `venue_of`. `notes` tells everything that was decided or is odd, one sentence each; those that may mean
    wrong data start with "Warning:".
    """

    kind: Kind
    frame: pd.DataFrame
    timeframe: str | None
    symbol: str | None
    notes: tuple[str, ...]
    prices: Prices = "trade"
    market: str | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes that may mean wrong data."""
        return tuple(note for note in self.notes if note.startswith("Warning:"))

    def symbol_of(self, unified: str) -> str:
        """The unified symbol of the instrument, when its spelling alone reads as `unified`: funding, open
        interest and files of a contract market belong to the perpetual of a pair."""
        is_contract = self.kind != CANDLES or self.market == "contract" or self.prices != "trade"
        return as_contract(unified) if is_contract else unified


def read_market_file(path: str | Path, kind: Kind | None = None, **options: Any) -> ImportedFile:
    """Read candles, funding rates or open interest from a file; a checksum file beside it is verified.

    Parameters
    ----------
    path
        CSV or other delimited text, JSON, Parquet or Feather; plain, gzip or a ZIP of one file.
    kind, options
        As `read_market_bytes` has them.

    Raises
    ------
    ImportRefused
        The file cannot be read, or not as market data without guessing.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = read_bounded(file, options.get("bounds", UNBOUNDED))
        beside = path.with_name(path.name + checksums.ENDING)
        checksum = None
        if beside.is_file():
            with beside.open("rb") as file:
                checksum = file.read(checksums.BYTES_MAX)
    except OSError as error:
        raise ImportRefused(f"{path} cannot be read: {error.strerror}.") from None
    return read_market_bytes(content, str(path), kind, checksum=checksum, **options)


def read_market_bytes(
    content: bytes,
    name: str,
    kind: Kind | None = None,
    *,
    timeframe: str | None = None,
    utc_offset: str | timedelta | None = None,
    columns: Mapping[str, str] | None = None,
    symbol: str | None = None,
    day_first: bool | None = None,
    prices: Prices | None = None,
    checksum: bytes | None = None,
    bounds: Bounds = UNBOUNDED,
) -> ImportedFile:
    """Read candles, funding rates or open interest from a file's bytes.

    Parameters
    ----------
    name
        The file's path: what it and its folders are called is used for what the content leaves open.
    kind
        Refuse anything else; None finds out.
    timeframe
        Of candles (`1m`…`1w`); None takes what the bars' close times say, the commonest spacing of the rows,
        or what the file is called.
    utc_offset
        `+03:00`: how far ahead of UTC the file's clock is; `UTC` says that it is not. Only for files whose
        stamps do not state it.
    columns
        Column by role (`time`, `open`, `volume`…) where the file leaves it open; columns without a header
        are named "1", "2"….
    symbol
        The rows of this instrument, in the file's own spelling; needed when it holds several.
    day_first
        Whether `03/04/2024` is the third of April; needed when no date of the file settles it.
    prices
        What the bars of candles are of; needed where nobody traded and the name does not tell.
    checksum
        What the exchange's checksum file says.

    Raises
    ------
    ImportRefused
        The file cannot be read as market data without guessing.
    """
    if kind is not None and kind not in get_args(Kind):
        raise ImportRefused(f"kind must be one of {', '.join(get_args(Kind))}: {kind!r}.")
    offset = None if utc_offset is None else times.parse_offset(utc_offset)
    called = read_file_name(name)
    notes = [] if checksum is None else [checksums.verify(content, checksum)]
    table = read_table(content, bounds)
    notes += table.notes
    table, instrument = _one_instrument(_confirmed(table, notes), symbol)
    layout = find_layout(table, kind, columns or {})
    notes += layout.notes
    micros, is_stated = to_utc(table, layout, offset, day_first, called, notes)
    by_end = _timeframe_by_ends(table, layout, micros, is_stated, notes)
    values = _values(table, layout, notes)
    of: Prices = "trade"
    if layout.kind == CANDLES:
        of = prices_of(prices, called, values, notes)
    micros, values = series.without_empty(micros, values, REQUIRED[layout.kind], notes)
    if layout.kind == FUNDING:
        micros = series.settled(micros, is_stated, notes)
    micros, values = series.ordered(micros, values, notes)
    found: str | None = None
    if layout.kind == CANDLES:
        found = series.timeframe_of(micros, timeframe, by_end, called, notes)
        oddities.candle_oddities(micros, values, found, notes)
    else:
        series.spacing_note(micros, notes)
        oddities.value_oddities(layout.kind, micros, values, notes)
        if _is_labelled_early(table, micros):
            notes.append(_LABELLED_EARLY)
    instrument = _instrument(instrument, called, notes)
    frame = _frame(layout, micros, values)
    return ImportedFile(
        _as_kind(layout.kind), frame, found, instrument, tuple(map(one_line, notes)), of, called.market
    )


def _instrument(found: str | None, called: FileName, notes: list[str]) -> str | None:
    """The content's word for the instrument, else that of the file's name."""
    if called.symbol is None:
        return found
    if found is None:
        notes.append(f"Instrument {called.symbol} by the file's name.")
        return called.symbol
    one, other = ("".join(filter(str.isalnum, text)).upper() for text in (found, called.symbol))
    if not one.startswith(other) and not other.startswith(one):
        notes.append(
            f"Warning: the file's name says {called.symbol}, its rows say {found}: taken as {found}."
        )
    return found


_LABELLED_EARLY = (
    "Warning: the day runs from 00:00 to 23:55: exchange metrics that do are reported to be taken five "
    "minutes after their stamp; a lag of open interest of 300000 ms in the room's settings keeps them out of "
    "the past."
)


def _is_labelled_early(table: RawTable, micros: npt.NDArray[np.int64]) -> bool:
    """Whether these are five-minute metrics of one day that are stamped by the start of their interval."""
    words = by_word(table) if table.has_names else {}
    day = 86_400_000_000
    return (
        {"createtime", "sumopeninterest"} <= words.keys()
        and len(micros) > 1
        and micros[0] % day == 0
        and micros[-1] == micros[0] + day - 300_000_000
    )


def _confirmed(table: RawTable, notes: list[str]) -> RawTable:
    """The rows of bars that were over, where a column says so."""
    name = find_confirmed(table)
    if name is None or not is_numeric(table.column(name)):
        return table
    flags, _ = to_floats(table.column(name), name)
    if not np.isin(flags, (0.0, 1.0)).all() or flags.all():
        return table
    if not flags.any():
        raise ImportRefused(f"Column {name!r} says of every bar that it was still open.")
    notes.append(f"Left out {int((flags == 0).sum())} bars that were still open, as column {name!r} says.")
    return table.rows(flags == 1)


def _timeframe_by_ends(
    table: RawTable, layout: Layout, micros: npt.NDArray[np.int64], is_stated: bool, notes: list[str]
) -> str | None:
    if layout.close_time is None or not is_stated:
        return None
    try:
        ends = times.to_micros(table.column(layout.close_time), layout.close_time, None)
    except ImportRefused:
        return None
    return series.timeframe_by_ends(micros, ends.micros, notes) if ends.is_stated else None


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


def _values(table: RawTable, layout: Layout, notes: list[str]) -> dict[str, npt.NDArray[np.float64]]:
    values = {}
    for role, name in layout.roles.items():
        values[role], note = to_floats(table.column(name), name)
        if note:
            notes.append(note)
        before = values[role].copy()
        beside = to_nearest_decimals(values[role])
        if len(beside):
            row = beside[0]
            notes.append(
                f"Column {name!r}: {len(beside):,} numbers are one bit beside a short decimal, as "
                f"{float(before[row])!r} for {float(values[role][row])!r}: taken as the decimal."
            )
    used = {*layout.time, *layout.other_times, *layout.roles.values(), layout.symbol, layout.close_time}
    dropped = [name or "(unnamed)" for name in table.names if name not in used]
    if dropped:
        notes.append(f"Left out: {'columns' if len(dropped) > 1 else 'column'} {', '.join(dropped)}.")
    return values


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
