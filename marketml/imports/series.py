"""Rows in order: one row per time, the spacing, and what is odd about them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from marketml import timeframes
from marketml.imports.refused import ImportRefused
from marketml.imports.table import row_list

TIMEFRAMES: Mapping[str, int] = {
    name: int(length.total_seconds()) for name, length in timeframes.TIMEFRAMES.items()
}
_SECOND, _DAY, _WEEK = 1_000_000, 86_400_000_000, 604_800_000_000
_HOUR = 3600 * _SECOND
_SETTLEMENTS = tuple(hours * _HOUR for hours in (2, 4, 6, 8, 12))
_MONDAY = 4 * _DAY  # 1970-01-05
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
        notes.append(f"Warning: {len(breaks)} breaks in the order, at {row_list(breaks, 5)}: sorted.")
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


def timeframe_of(micros: npt.NDArray[np.int64], said: str | None, notes: list[str]) -> str:
    """The timeframe of candles: said, or the commonest spacing.

    Raises
    ------
    ImportRefused
        The spacing is no timeframe, contradicts the one said, or there are too few rows to see it.
    """
    if said is not None and said not in TIMEFRAMES:
        raise ImportRefused(f"timeframe must be one of {' '.join(TIMEFRAMES)}: {said!r}.")
    if len(micros) < 2:
        if said is None:
            raise ImportRefused("One row does not tell its timeframe: say it.")
        return said
    steps, counts = np.unique(np.diff(micros), return_counts=True)
    common = int(steps[np.argmax(counts)])
    names = {seconds * _SECOND: name for name, seconds in TIMEFRAMES.items()}
    if said is None:
        if common not in names:
            lowest, highest = _span(int(steps[0])), _span(int(steps[-1]))
            raise ImportRefused(
                f"The rows are {_span(common)} apart (from {lowest} to {highest}), which is no timeframe of "
                f"{' '.join(TIMEFRAMES)}."
            )
        share = counts.max() / counts.sum()
        notes.append(f"Timeframe {names[common]}: the spacing of {share:.1%} of the rows.")
        if share < 0.5:
            notes.append("Warning: fewer than half of the rows have this spacing.")
        return names[common]
    width = TIMEFRAMES[said] * _SECOND
    if common < width:
        raise ImportRefused(f"The rows are {_span(common)} apart, not {said}.")
    if common > width:
        notes.append(f"Warning: most rows are {_span(common)} apart, not {said}.")
    return said


def candle_oddities(
    micros: npt.NDArray[np.int64],
    values: Mapping[str, npt.NDArray[np.float64]],
    timeframe: str,
    notes: list[str],
) -> None:
    """Append what is odd about candles.

    Raises
    ------
    ImportRefused
        The stamps are those of the close, or most bars cannot be true.
    """
    width = TIMEFRAMES[timeframe] * _SECOND
    origin = _MONDAY if width == _WEEK else 0
    off = (micros - origin) % width
    closing = ((off == width - 1_000) | (off == width - 1) | (off == width - _SECOND)).mean()
    if closing > 0.9:
        raise ImportRefused(f"The stamps end bars ({stamp(micros[0])}); candles are stamped by their open.")
    if (off != 0).any():
        first = np.flatnonzero(off != 0)
        notes.append(
            f"Warning: {len(first)} of {len(micros)} bars do not open on the grid of {timeframe} in UTC, "
            f"first "
            f"{stamp(micros[first[0]])}: is the file in another zone?"
        )
    steps = np.diff(micros)
    gaps = steps > width
    if gaps.any():
        missing = int((steps[gaps] // width - 1).sum())
        longest = int(np.argmax(steps))
        notes.append(
            f"{int(gaps.sum())} gaps, {missing} bars absent; the longest from {stamp(micros[longest])} "
            f"to {stamp(micros[longest + 1])}."
        )
    _prices(micros, values, notes)
    if "volume" not in values:
        notes.append("No volume: left unknown.")
    else:
        _volume(micros, values, notes)


def _prices(
    micros: npt.NDArray[np.int64], values: Mapping[str, npt.NDArray[np.float64]], notes: list[str]
) -> None:
    o, h, low, c = (values[name] for name in ("open", "high", "low", "close"))
    wrong = (h < np.maximum(o, c)) | (low > np.minimum(o, c)) | (low <= 0)
    if wrong.mean() > 0.1:
        raise ImportRefused(
            f"{int(wrong.sum())} of {len(wrong)} bars cannot be true (high below open, close or low, or a "
            f"price not "
            "above 0): are the columns what their names say?"
        )
    if wrong.any():
        first = np.flatnonzero(wrong)
        notes.append(
            f"Warning: {len(first)} bars cannot be true (high or low beyond open and close, or a price "
            f"not above 0), "
            f"first {stamp(micros[first[0]])}."
        )


def _volume(
    micros: npt.NDArray[np.int64], values: Mapping[str, npt.NDArray[np.float64]], notes: list[str]
) -> None:
    volume = values["volume"]
    zero, unknown, negative = int((volume == 0).sum()), int(np.isnan(volume).sum()), int((volume < 0).sum())
    if zero == len(volume):
        notes.append("Warning: every volume is zero: the file has none.")
    elif zero:
        notes.append(f"{zero} bars without volume, first {stamp(micros[np.flatnonzero(volume == 0)[0]])}.")
    if unknown:
        notes.append(f"{unknown} volumes are unknown.")
    if negative:
        notes.append(f"Warning: {negative} volumes are negative.")
    copied = _copied(values)
    if len(copied):
        notes.append(
            f"Warning: {len(copied)} bars repeat the values of bars before them one by one, first "
            f"{stamp(micros[copied[0]])}."
        )


def _copied(values: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.intp]:
    """Bars in runs of three or more that equal an earlier run, all values; single bars repeat by chance."""
    bars = pd.DataFrame({name: values[name] for name in ("open", "high", "low", "close", "volume")})
    moving = ((bars["volume"] > 0) & (bars["high"] > bars["low"])).to_numpy()
    shift = np.zeros(len(bars), dtype=np.int64)
    if bars.duplicated().any():
        group = bars.groupby(list(bars.columns), sort=False, dropna=False).ngroup().to_numpy()
        order = np.argsort(group, kind="stable")
        again = np.flatnonzero(np.diff(group[order]) == 0) + 1
        shift[order[again]] = order[again] - order[again - 1]
    shift[~moving] = 0
    starts = np.flatnonzero(np.diff(shift, prepend=0) != 0)
    lengths = np.diff(np.append(starts, len(shift)))
    runs = [
        np.arange(start, start + length)
        for start, length in zip(starts, lengths, strict=True)
        if shift[start] and length >= 3
    ]
    return np.concatenate(runs) if runs else np.array([], dtype=np.intp)


def settled(micros: npt.NDArray[np.int64], is_stated: bool, notes: list[str]) -> npt.NDArray[np.int64]:
    """Funding stamps on their settlement: a record written milliseconds later is put on its minute."""
    late = micros % (60 * _SECOND)
    if (late > 0).any() and (late < _JITTER).all():
        notes.append(
            f"{int((late > 0).sum())} stamps, up to {int(late.max()) // 1000} ms after the settlement, "
            f"put on it."
        )
        micros = micros - late
    spacing = int(np.median(np.diff(np.sort(micros)))) if len(micros) > 1 else 0
    if spacing in _SETTLEMENTS:
        off = micros % spacing != 0
        if off.mean() > 0.5:
            found = sorted({int(hour) for hour in micros[off] // _HOUR % 24})
            right = ", ".join(str(hour) for hour in range(0, 24, spacing // _HOUR))
            why = "" if is_stated else " The file does not state its zone: give utc_offset if it is not UTC."
            notes.append(
                f"Warning: settlements every {_span(spacing)} at {', '.join(map(str, found[:12]))} h "
                f"instead of {right} h UTC.{why}"
            )
    return micros


def spacing_note(micros: npt.NDArray[np.int64], notes: list[str]) -> None:
    """Append the commonest spacing of observations, and the gaps wider than it."""
    if len(micros) < 3:
        return
    steps, counts = np.unique(np.diff(micros), return_counts=True)
    common = int(steps[np.argmax(counts)])
    wider = int(counts[steps > common * 1.5].sum())
    notes.append(
        f"A row every {_span(common)}; {wider} longer gaps." if wider else f"A row every {_span(common)}."
    )


def stamp(micros: int | np.int64) -> str:
    """A time for people."""
    return pd.Timestamp(int(micros), unit="us", tz="UTC").strftime("%Y-%m-%d %H:%MZ")


def _span(micros: int) -> str:
    for seconds, name in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if micros % (seconds * _SECOND) == 0:
            count = micros // (seconds * _SECOND)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return str(timedelta(microseconds=micros))
