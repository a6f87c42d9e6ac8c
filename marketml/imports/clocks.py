"""Which clock a file's stamps are of: what it states, what its name is known for, what the caller says."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from marketml.imports import times
from marketml.imports.columns import Layout
from marketml.imports.file_names import FileName
from marketml.imports.refused import ImportRefused
from marketml.imports.table import RawTable, row_list


def to_utc(
    table: RawTable,
    layout: Layout,
    offset: timedelta | None,
    day_first: bool | None,
    called: FileName,
    notes: list[str],
) -> tuple[npt.NDArray[np.int64], bool]:
    """Microseconds in UTC, and whether the file states its zone.

    Raises
    ------
    ImportRefused
        The zone is stated and given too, or neither and the column or the file's name says that it is not
        UTC.
    """
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
        ahead = offset // timedelta(microseconds=1)
        notes.append(f"Time from {name}: {read.rule}, {times.offset_text(ahead)} by utc_offset.")
        if says_utc:
            notes.append("Warning: the file says UTC and utc_offset says otherwise.")
        return read.micros - ahead, True
    if read.is_stated or says_utc:
        notes.append(f"Time from {name}: {read.rule}{'' if read.is_stated else ', UTC as the file says'}.")
        return read.micros, True
    if "local" in words:
        raise ImportRefused(f"Column {name!r} is local time of a zone it does not state: give utc_offset.")
    if called.clock is not None:
        raise ImportRefused(
            f"Files of this name are stamped {called.clock} from UTC without saying so: give utc_offset "
            f"{called.clock}, or another one if you know better."
        )
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
