"""Dump files on their way in: what a caller asks for, and what a file is to the room."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketml.imports import ImportedFile
from marketml.imports import Kind as FileKind
from marketml.imports.prices import Prices, venue_of
from marketml.rpc.refusals import InvalidArgument
from services.data.revisions import OnConflict
from services.data.series import CANDLES, FUNDING_RATES, OPEN_INTEREST, Kind, Series, series_violations
from services.data.symbols.unified import Symbol
from services.data.uploads import CONTROL_CHARACTER, SOURCE_LENGTH_MAX, Header, Piece, Report

_KINDS: dict[FileKind, Kind] = {
    "candles": CANDLES,
    "funding": FUNDING_RATES,
    "open-interest": OPEN_INTEREST,
}
_FILE_KINDS = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True)
class FileRequest:
    """Which files to take, and how. What is empty or None, each file tells by itself."""

    path: str
    venue: str
    symbol: str
    timeframe: str
    kind: Kind | None
    on_conflict: OnConflict
    skip_invalid: bool
    utc_offset: str = ""
    market: str | None = None
    prices: Prices | None = None

    @property
    def file_kind(self) -> FileKind | None:
        """The kind by the importer's word."""
        return None if self.kind is None else _FILE_KINDS[self.kind]


@dataclass(frozen=True)
class FileProgress:
    """A file is about to be read. `fraction` is the share of all files' bytes that is done,
    `remaining_seconds` the time for the rest at that pace, None before there is one."""

    file: str
    fraction: float
    remaining_seconds: float | None


@dataclass(frozen=True)
class FileOutcome:
    """What became of a file: a report, or the sentence and reason of a failure that stored nothing of it."""

    file: str
    series: Series | None = None
    report: Report | None = None
    missing_count: int = 0
    failure: str = ""
    failure_reason: str = ""
    notes: tuple[str, ...] = ()


def series_of(
    request: FileRequest, imported: ImportedFile, normalize: Callable[[str, str], Symbol]
) -> tuple[Series, str | None]:
    """The series that a file belongs to, and what was understood of its spelling.

    Raises
    ------
    InvalidArgument
        The file and its name tell no instrument, or one that no rule reads.
    """
    symbol, note = request.symbol, None
    if not symbol:
        if imported.symbol is None:
            raise InvalidArgument.of(
                "files.symbol",
                "required",
                "must be given: neither the file nor its name tells the instrument.",
            )
        read = normalize(imported.symbol, request.venue)
        if request.market is not None:
            imported = dataclasses.replace(imported, market=request.market)
        symbol = imported.symbol_of(read.text)
        note = f"{imported.symbol} is {symbol} ({read.recognised_as})."
    kind = _KINDS[imported.kind]
    venue = venue_of(request.venue, imported.prices)
    series = Series(kind, venue, symbol, imported.timeframe or "")
    violations = series_violations(series, "files")
    if violations:
        raise InvalidArgument(violations)
    return series, note


def header_of(request: FileRequest, series: Series, file: str) -> Header:
    """How the rows of a file are taken."""
    source = CONTROL_CHARACTER.sub("", f"file {file.rpartition('/')[2]}")[:SOURCE_LENGTH_MAX]
    return Header(series, source, request.on_conflict, request.skip_invalid, None)


def piece_of(series: Series, imported: ImportedFile) -> Piece:
    """A file's rows."""
    frame = imported.frame
    times = np.array(pd.DatetimeIndex(frame.index).as_unit("us").asi8)
    return Piece(
        times,
        tuple(
            frame[name].to_numpy(np.float64, copy=True) if name in frame else np.full(len(frame), np.nan)
            for name in series.kind.columns
        ),
    )
