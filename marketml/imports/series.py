"""Rows in order: one row per time, and the spacing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from marketml import timeframes
from marketml.imports.file_names import FileName
from marketml.imports.refused import ImportRefused
from marketml.imports.table import row_list
from marketml.imports.times import offset_text

TIMEFRAMES: Mapping[str, int] = {
    name: int(length.total_seconds()) for name, length in timeframes.TIMEFRAMES.items()
}
_SECOND = 1_000_000
_HOUR = 3600 * _SECOND
_SETTLEMENTS = tuple(hours * _HOUR for hours in (2, 4, 6, 8, 12))
_JITTER = _SECOND


def ordered(
    micros: npt.NDArray[np.int64], values: dict[str, npt.NDArray[np.float64]], notes: list[str]
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float64]]]:
    """Sort by time; drop exact repetitions.

    Raises
    ------
    ImportRefused
        Two rows have the same time and other values.
    """
    steps = np.diff(micros)
    backwards, forwards = int((steps < 0).sum()), int((steps > 0).sum())
    if backwards > forwards:
        notes.append("Newest row first: sorted.")
    if min(backwards, forwards):
        breaks = np.flatnonzero(steps > 0 if backwards > forwards else steps < 0) + 1
        notes.append(
            f"Warning: {len(breaks)} breaks in the order, {_when(micros[breaks])}, at {row_list(breaks, 5)}: "
            f"sorted."
        )
    order = np.argsort(micros, kind="stable")
    micros = micros[order]
    values = {name: column[order] for name, column in values.items()}
    again = np.flatnonzero(np.diff(micros) == 0) + 1
    if not len(again):
        return micros, values
    differs = np.zeros(len(again), dtype=bool)
    for column in values.values():
        now, before = column[again], column[again - 1]
        differs |= (now != before) & ~(np.isnan(now) & np.isnan(before))
    if differs.any():
        rows = again[differs]
        pair = row_list(np.sort(order[[rows[0] - 1, rows[0]]]))
        raise ImportRefused(
            f"{int(differs.sum())} times stand twice with other values, first {stamp(micros[rows[0]])} in "
            f"{pair}: "
            "which is right cannot be known."
        )
    notes.append(f"Dropped {len(again)} exact repetitions, first {stamp(micros[again[0]])}.")
    kept = np.ones(len(micros), dtype=bool)
    kept[again] = False
    return micros[kept], {name: column[kept] for name, column in values.items()}


def without_empty(
    micros: npt.NDArray[np.int64],
    values: dict[str, npt.NDArray[np.float64]],
    required: tuple[str, ...],
    notes: list[str],
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float64]]]:
    """Drop rows that hold nothing of what is required.

    Raises
    ------
    ImportRefused
        A row holds a part of it, or a value is infinite.
    """
    absent = np.column_stack([np.isnan(values[name]) for name in required])
    some = np.flatnonzero(absent.any(axis=1) & ~absent.all(axis=1))
    if len(some):
        raise ImportRefused(f"{', '.join(required)}: only some of them stand in {row_list(some)}.")
    for name, column in values.items():
        infinite = np.flatnonzero(np.isinf(column))
        if len(infinite):
            raise ImportRefused(f"{name} is infinite in {row_list(infinite)}.")
    empty = absent.all(axis=1)
    if empty.all():
        raise ImportRefused(f"No row holds {', '.join(required)}.")
    if empty.any():
        notes.append(
            f"Dropped {int(empty.sum())} rows without values, first in {row_list(np.flatnonzero(empty), 1)}."
        )
    return micros[~empty], {name: column[~empty] for name, column in values.items()}


def timeframe_of(
    micros: npt.NDArray[np.int64],
    said: str | None,
    by_end: str | None,
    name: FileName,
    notes: list[str],
) -> str:
    """The timeframe of candles: said; what their ends tell; the commonest spacing; what the file is called.

    Parameters
    ----------
    by_end
        The timeframe that the bars' own close times tell.

    Raises
    ------
    ImportRefused
        The spacing is no timeframe, the ways of telling it contradict each other, or there are too few rows.
    """
    if said is not None:
        if said not in TIMEFRAMES:
            raise ImportRefused(f"timeframe must be one of {' '.join(TIMEFRAMES)}: {said!r}.")
        if by_end not in (None, said):
            raise ImportRefused(f"The bars end {by_end} after their open, not {said}.")
        _check_spacing(micros, said, notes)
        return said
    found = by_end or (_by_spacing(micros, name, notes) if len(micros) > 1 else None)
    if found is None and name.timeframe is None:
        if name.foreign_spacing is not None:
            raise ImportRefused(
                f"The file's name says {name.foreign_spacing}, which is no timeframe of "
                f"{' '.join(TIMEFRAMES)}."
            )
        raise ImportRefused("One row does not tell its timeframe: say it.")
    if found is None:
        notes.append(f"Timeframe {name.timeframe} by the file's name: one row does not tell it.")
    elif by_end is not None:
        notes.append(f"Timeframe {by_end}: the bars' own close times.")
        _check_spacing(micros, by_end, notes)
    if found is not None and name.timeframe not in (None, found):
        raise ImportRefused(
            f"The file's name says {name.timeframe} and its rows say {found}: say which timeframe."
        )
    return found or str(name.timeframe)


def _by_spacing(micros: npt.NDArray[np.int64], name: FileName, notes: list[str]) -> str:
    steps, counts = np.unique(np.diff(micros), return_counts=True)
    common, share = int(steps[np.argmax(counts)]), counts.max() / counts.sum()
    names = {seconds * _SECOND: name for name, seconds in TIMEFRAMES.items()}
    if share < 0.5 and name.timeframe is not None:  # a thin market: its rows do not tell
        _check_spacing(micros, name.timeframe, notes)
        notes.append(f"Timeframe {name.timeframe} by the file's name: the rows are unevenly apart.")
        return name.timeframe
    if common not in names:
        lowest, highest = span(int(steps[0])), span(int(steps[-1]))
        raise ImportRefused(
            f"The rows are {span(common)} apart (from {lowest} to {highest}), which is no timeframe of "
            f"{' '.join(TIMEFRAMES)}."
        )
    notes.append(f"Timeframe {names[common]}: the spacing of {share:.1%} of the rows.")
    if share < 0.5:
        notes.append("Warning: fewer than half of the rows have this spacing.")
    return names[common]


def _check_spacing(micros: npt.NDArray[np.int64], timeframe: str, notes: list[str]) -> None:
    """Refuse rows closer than the timeframe; warn of rows that are mostly further apart."""
    if len(micros) < 2:
        return
    steps, counts = np.unique(np.diff(micros), return_counts=True)
    common, width = int(steps[np.argmax(counts)]), TIMEFRAMES[timeframe] * _SECOND
    if common < width:
        raise ImportRefused(f"The rows are {span(common)} apart, not {timeframe}.")
    if common > width:
        notes.append(f"Warning: most rows are {span(common)} apart, not {timeframe}.")


def timeframe_by_ends(
    opens: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], notes: list[str]
) -> str | None:
    """The timeframe that opens and ends of bars tell; the last instant of a bar and the first after it both
    end it."""
    lengths = ends - opens
    names = {seconds * _SECOND: name for name, seconds in TIMEFRAMES.items()}
    for width, name in names.items():
        fits = (lengths <= width) & (lengths >= width - _SECOND)
        if fits.mean() > 0.5:
            if not fits.all():
                other = np.flatnonzero(~fits)
                notes.append(
                    f"Warning: {len(other)} bars do not end {name} after their open, first "
                    f"{stamp(opens[other[0]])}."
                )
            return name
    return None


def settled(micros: npt.NDArray[np.int64], is_stated: bool, notes: list[str]) -> npt.NDArray[np.int64]:
    """Funding stamps on their settlement: a record written milliseconds later is put on its minute.

    Raises
    ------
    ImportRefused
        The settlements lie off their grid in UTC and the file does not state its zone.
    """
    late = micros % (60 * _SECOND)
    if (late > 0).any() and (late < _JITTER).all():
        after = late[late > 0] // 1000
        commonest = np.unique(after, return_counts=True)
        most = int(np.argmax(commonest[1]))
        notes.append(
            f"{len(after):,} of {len(micros):,} stamps are {after.min()} to {after.max()} ms after the "
            f"settlement ({commonest[1][most]:,} of them {commonest[0][most]} ms): put on it."
        )
        micros = micros - late
    spacing = int(np.median(np.diff(np.sort(micros)))) if len(micros) > 1 else 0
    if spacing in _SETTLEMENTS:
        off = micros % spacing
        if (off != 0).mean() > 0.5:
            found = sorted({int(hour) for hour in micros[off != 0] // _HOUR % 24})
            right = ", ".join(str(hour) for hour in range(0, 24, spacing // _HOUR))
            odd = (
                f"settlements every {span(spacing)} at {', '.join(map(str, found[:12]))} h instead of "
                f"{right} h UTC"
            )
            if not is_stated:
                ahead = int(np.median(off[off != 0]))
                ways = f"{offset_text(ahead)} or {offset_text(ahead - spacing)}"
                raise ImportRefused(
                    f"The file does not state its zone and shows {odd}: give utc_offset, {ways} by these "
                    f"hours, or UTC if the venue settles then."
                )
            notes.append(f"Warning: {odd}.")
    return micros


def spacing_note(micros: npt.NDArray[np.int64], notes: list[str]) -> None:
    """Append the commonest spacing of observations, the rows closer than it, and the gaps."""
    if len(micros) < 3:
        return
    steps, counts = np.unique(np.diff(micros), return_counts=True)
    common = int(steps[np.argmax(counts)])
    odd = []
    if closer := int(counts[steps < common].sum()):
        nearest = int(steps[steps < common][np.argmax(counts[steps < common])])
        first = micros[np.flatnonzero(np.diff(micros) < common)[0]]
        odd.append(f"{closer:,} closer, mostly every {span(nearest)}, first from {stamp(first)}")
    if wider := int(counts[steps > common * 1.5].sum()):
        longest = int(np.argmax(np.diff(micros)))
        odd.append(
            f"{wider:,} longer gaps, the longest from {stamp(micros[longest])} to "
            f"{stamp(micros[longest + 1])}"
        )
    notes.append("; ".join([f"A row every {span(common)}", *odd]) + ".")


def stamp(micros: int | np.int64) -> str:
    """A time for people."""
    return pd.Timestamp(int(micros), unit="us", tz="UTC").strftime("%Y-%m-%d %H:%MZ")


def span(micros: int) -> str:
    for seconds, name in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if micros % (seconds * _SECOND) == 0:
            count = micros // (seconds * _SECOND)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return str(timedelta(microseconds=micros))


def _when(micros: npt.NDArray[np.int64]) -> str:
    """`all on 2017-11-12`, or from when to when."""
    first, last = stamp(micros.min()), stamp(micros.max())
    if first[:10] == last[:10]:
        return f"all on {first[:10]}" if len(micros) > 1 else f"on {first[:10]}"
    return f"from {first} to {last}"
