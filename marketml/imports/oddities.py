"""What is odd about candles: told, never repaired."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from marketml.imports.names import FUNDING, OPEN_INTEREST, REQUIRED
from marketml.imports.refused import ImportRefused
from marketml.imports.series import TIMEFRAMES, stamp

_SECOND, _MINUTE, _HOUR = 1_000_000, 60_000_000, 3_600_000_000
_DAY, _WEEK = 24 * _HOUR, 168 * _HOUR
_MONDAY, _SATURDAY = 4 * _DAY, 2 * _DAY  # 1970-01-05, 1970-01-03
_LISTED_MAX = 5  # so few places are all told
_SESSION_GAPS_MIN, _SESSION_MIN = 3, 30 * _MINUTE  # so often at one time of day, so wide: a session's break
_BLOCK_BARS = 200  # the stretch over which joins of bars are compared
_TORN_TIMES = 100.0  # so many times further apart than bars around it

Values = Mapping[str, npt.NDArray[np.float64]]


def candle_oddities(
    micros: npt.NDArray[np.int64],
    values: Values,
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
    _gaps(micros, width, notes)
    _prices(micros, values, notes)
    if "volume" not in values:
        notes.append("No volume: left unknown.")
    else:
        _volume(micros, values, notes)
    torn = _torn(micros, values, width)
    if len(torn):
        notes.append(
            f"Warning: {len(torn):,} bars join neither the bar before nor the one after, "
            f"{_places(micros[torn])}."
        )


def _prices(micros: npt.NDArray[np.int64], values: Values, notes: list[str]) -> None:
    o, h, low, c = (values[name] for name in ("open", "high", "low", "close"))
    wrong = (h < np.maximum(o, c)) | (low > np.minimum(o, c)) | (low <= 0)
    if wrong.mean() > 0.1:
        raise ImportRefused(
            f"{int(wrong.sum())} of {len(wrong)} bars cannot be true (high below open, close or low, or a "
            f"price not "
            "above 0): are the columns what their names say?"
        )
    if wrong.any():
        notes.append(
            f"Warning: {int(wrong.sum()):,} bars cannot be true (high or low beyond open and close, or a "
            f"price not above 0), {_places(micros[wrong])}."
        )


def _volume(micros: npt.NDArray[np.int64], values: Values, notes: list[str]) -> None:
    volume = values["volume"]
    zero, unknown, negative = int((volume == 0).sum()), int(np.isnan(volume).sum()), int((volume < 0).sum())
    if zero == len(volume):
        notes.append("Warning: every volume is zero: the file has none.")
    elif zero:
        places = np.flatnonzero(volume == 0)
        notes.append(
            f"{zero:,} bars of zero volume, {_places(micros[places])}{_longest_run(micros, places)}."
        )
    if unknown:
        notes.append(f"{unknown:,} volumes are unknown.")
    if negative:
        notes.append(f"Warning: {negative} volumes are negative.")
    copied = _copied(values)
    if len(copied):
        notes.append(
            f"Warning: {len(copied)} bars repeat the values of bars before them one by one, "
            f"{_places(micros[copied])}."
        )


def _copied(values: Values) -> npt.NDArray[np.intp]:
    """Bars in runs of three or more that equal an earlier run, all values; single bars repeat by chance."""
    moving = (values["volume"] > 0) & (values["high"] > values["low"])
    volumes = np.sort(values["volume"][moving])
    if np.count_nonzero(volumes[1:] == volumes[:-1]) < 3:  # the cheap look that most files pass
        return np.array([], dtype=np.intp)
    bars = pd.DataFrame({name: values[name] for name in ("open", "high", "low", "close", "volume")})
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


def _gaps(micros: npt.NDArray[np.int64], width: int, notes: list[str]) -> None:
    """Append absent bars, and those of them that are a market's closing times."""
    steps = np.diff(micros)
    gaps = np.flatnonzero(steps > width)
    if not len(gaps):
        return
    absent = steps[gaps] // width - 1
    longest = int(np.argmax(steps))
    notes.append(
        f"{len(gaps):,} gaps, {int(absent.sum()):,} bars absent; the longest from {stamp(micros[longest])} "
        f"to {stamp(micros[longest + 1])}."
    )
    begins, ends = micros[gaps] + width, micros[gaps + 1]
    saturday = begins + (_SATURDAY - begins) % _WEEK
    is_weekend = (saturday + _DAY <= ends) & (ends - begins < _WEEK)
    if int(is_weekend.sum()) >= 2:
        notes.append(
            f"{int(is_weekend.sum()):,} of the gaps are weekends ({int(absent[is_weekend].sum()):,} bars)."
        )
    is_wide = ~is_weekend & (absent * width >= _SESSION_MIN)
    clock = np.column_stack([begins[is_wide] % _DAY // _MINUTE, absent[is_wide]])
    for (minute, bars), count in zip(*np.unique(clock, axis=0, return_counts=True), strict=True):
        if count >= _SESSION_GAPS_MIN and count * _WEEK > micros[-1] - micros[0]:
            notes.append(
                f"{count:,} of the gaps are {bars} bars from {minute // 60:02}:{minute % 60:02}Z on: a "
                f"session's break."
            )
            if width < _HOUR and minute * _MINUTE % _HOUR == width and (bars * width) % _HOUR == 0:
                notes.append(
                    "Warning: these breaks begin one bar past the hour, as in files whose bars are stamped "
                    "by their close."
                )


def _torn(micros: npt.NDArray[np.int64], values: Values, width: int) -> npt.NDArray[np.intp]:
    """Bars whose open lies far from the close before and whose close lies far from the next open, on the
    measure of the bars around them: written from another source than their neighbours."""
    if len(micros) < _BLOCK_BARS:
        return np.array([], dtype=np.intp)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.abs(np.log(values["open"][1:] / values["close"][:-1]))
    apart[(np.diff(micros) != width) | ~np.isfinite(apart)] = np.nan
    moved = apart[apart > 1e-12]
    if not len(moved):
        return np.array([], dtype=np.intp)
    blocks = len(micros) // _BLOCK_BARS
    usual = np.full(len(micros), moved.min())
    for block in range(blocks):
        stretch = slice(block * _BLOCK_BARS, (block + 1) * _BLOCK_BARS if block < blocks - 1 else len(micros))
        joins = apart[stretch][~np.isnan(apart[stretch])]
        if len(joins):
            usual[stretch] = max(moved.min(), float(np.quantile(joins, 0.9)))
    nearest = np.fmin(np.append(np.nan, apart), np.append(apart, np.nan))
    is_between = ~np.isnan(np.append(np.nan, apart)) & ~np.isnan(np.append(apart, np.nan))
    return np.flatnonzero(is_between & (nearest > _TORN_TIMES * usual))


def _places(micros: npt.NDArray[np.int64]) -> str:
    """All times of a few, the first and last of many."""
    if len(micros) <= _LISTED_MAX:
        return ", ".join(stamp(one) for one in micros)
    return f"first {stamp(micros[0])}, last {stamp(micros[-1])}"


def _longest_run(micros: npt.NDArray[np.int64], rows: npt.NDArray[np.intp]) -> str:
    """The longest stretch of neighbouring rows, when it is one."""
    starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
    lengths = np.diff(np.append(starts, len(rows)))
    longest = int(np.argmax(lengths))
    if lengths[longest] < 3:
        return ""
    return f", {int(lengths[longest]):,} in a row from {stamp(micros[rows[starts[longest]]])}"


def value_oddities(kind: str, micros: npt.NDArray[np.int64], values: Values, notes: list[str]) -> None:
    """Append what is odd about funding rates or open interest.

    Raises
    ------
    ImportRefused
        A value cannot be what the kind says.
    """
    if kind == FUNDING:
        bad, rule = np.abs(values["funding_rate"]) > 1, "a funding rate is a fraction, at most 1 either way"
    else:
        bad, rule = values["open_interest"] < 0, "open interest is not negative"
    if bad.any():
        first = np.flatnonzero(bad)[0]
        value = values[REQUIRED[kind][0]][first]
        raise ImportRefused(f"{rule.capitalize()}: {value:g} at {stamp(micros[first])}.")
    if kind == OPEN_INTEREST:
        zero = np.flatnonzero(values["open_interest"] == 0)
        if len(zero):
            notes.append(f"Warning: {len(zero):,} observations are zero, {_places(micros[zero])}.")
