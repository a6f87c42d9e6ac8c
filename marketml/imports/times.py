"""Columns of time as microseconds since 1970 in UTC: epochs of any unit, text of any common form.

What the text leaves open is decided once for the whole column: day or month first by the values (a 13
settles it), the zone by `utc_offset`. What the values cannot settle is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from marketml.imports.refused import ImportRefused
from marketml.imports.table import is_text, row_list

# Seconds, milliseconds, microseconds, nanoseconds of the years 1990 to 2100 do not overlap, so each value
# tells its unit.
_FIRST_SECOND, _LAST_SECOND = 631_152_000, 4_102_444_800
_FIRST_MICRO, _LAST_MICRO = -2_208_988_800_000_000, 4_102_444_800_000_000  # 1900 to 2100
_UNITS = {"seconds": 1_000_000.0, "milliseconds": 1_000.0, "microseconds": 1.0, "nanoseconds": 0.001}

_DATE = (
    r"(?:(?P<a>\d{1,4})[-/. ](?P<b>\d{1,2}|[A-Za-z]{3,9})[-/. ](?P<c>\d{1,4})"
    r"|(?P<name>[A-Za-z]{3,9})\.? (?P<d>\d{1,2}),? (?P<e>\d{4})"
    r"|(?P<compact>\d{8}))"
)
_CLOCK = (
    r"(?:[T ,_-]*(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"|[T _-]?(?P<digits>\d{4}|\d{6})"
    r"|[T ]+(?P<bare>\d{1,2}))?"
)
_HALF = r"(?:[ -]?(?P<half>[AaPp])\.?[Mm]\.?)?"
_ZONE = r" ?(?P<zone>Z|UTC|GMT|(?:UTC|GMT)?[-+]\d{2}:?\d{2}|(?:UTC|GMT)[-+]\d{1,2}|[-+]\d{2})?"
_TEXT = f"^{_DATE}{_CLOCK}{_HALF}{_ZONE}$"
_MONTHS = pa.array(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
_TIME_ONLY = r"^\d{1,2}:\d{2}(:\d{2})?(\.\d+)?$|^\d{1,2}:\d{2}(:\d{2})? ?[AaPp][Mm]$"
_DATE_ONLY = f"^{_DATE}$"


@dataclass(frozen=True)
class Times:
    """`micros` since 1970; `is_stated` when the file itself says they are UTC or at which offset; `rule`
    tells how they were read."""

    micros: npt.NDArray[np.int64]
    is_stated: bool
    rule: str


def parse_offset(text: str | timedelta) -> timedelta:
    """`+03:00`, `-0530`, `+3`, `UTC`, or a timedelta.

    Raises
    ------
    ImportRefused
        Anything else, or more than 14 hours.
    """
    if isinstance(text, timedelta):
        offset = text
    elif text.strip().upper() in ("UTC", "Z", "GMT"):
        offset = timedelta(0)
    else:
        found = re.fullmatch(r"\s*(?:UTC|GMT)?([-+])(\d{1,2})(?::?([0-5]\d))?\s*", text, re.IGNORECASE)
        if found is None:
            raise ImportRefused(f"utc_offset must be like +03:00 or -05:30: {text!r}.")
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        offset = timedelta(minutes=-minutes if found[1] == "-" else minutes)
    if abs(offset) > timedelta(hours=14):
        raise ImportRefused(f"utc_offset must be within 14 hours of UTC: {text}.")
    return offset


def offset_text(micros: int) -> str:
    """`+03:00`."""
    minutes = micros // 60_000_000
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def looks_like_time(column: pa.ChunkedArray) -> bool:
    """Whether the first cells read as a time (for columns without a name)."""
    head = column.drop_null().slice(0, 20)
    if len(head) == 0 or pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        return len(head) > 0
    if is_text(column):
        head = pc.utf8_trim_whitespace(head)
        if pc.all(pc.match_substring_regex(head, r"^\d+(\.\d+)?$")).as_py():
            values = np.array([float(value) for value in head.to_pylist()])
            return bool(_unit_of(values).all() or _is_compact(values).all())
        return bool(pc.all(pc.match_substring_regex(head, _TEXT)).as_py())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values = np.array([float(value) for value in head.to_pylist()])
        return bool(_unit_of(values).all())
    return False


def are_epochs(values: npt.NDArray[np.float64]) -> bool:
    """Whether all are epochs of one unit or another."""
    return len(values) > 0 and bool(_unit_of(values).all())


def joins(date: pa.ChunkedArray, time: pa.ChunkedArray) -> bool:
    """Whether one column holds bare dates and the other bare times of day."""
    if not (is_text(date) and is_text(time)):
        return False
    dates = pc.all(pc.match_substring_regex(pc.utf8_trim_whitespace(date.slice(0, 100)), _DATE_ONLY)).as_py()
    times = pc.all(pc.match_substring_regex(pc.utf8_trim_whitespace(time.slice(0, 100)), _TIME_ONLY)).as_py()
    return bool(dates and times)


def to_micros(column: pa.ChunkedArray, name: str, day_first: bool | None) -> Times:
    """Read a column of time. Text and timestamps without a zone come back as they are written.

    Raises
    ------
    ImportRefused
        A cell is empty or no time; day and month cannot be told apart; zones are stated on some rows only.
    """
    if column.null_count:
        empty = np.flatnonzero(np.asarray(pc.is_null(column).to_numpy()))
        raise ImportRefused(f"Column {name!r} has no time in {row_list(empty)}.")
    kind = column.type
    if pa.types.is_timestamp(kind):
        is_stated = kind.tz is not None
        rule = f"timestamps with zone {kind.tz}" if is_stated else "timestamps"
        return Times(_stored_micros(column, name), is_stated, rule)
    if pa.types.is_date(kind):
        return Times(_stored_micros(column, name), False, "dates")
    if is_text(column):
        text = pc.utf8_trim_whitespace(column)
        if pc.all(pc.match_substring_regex(text, r"^\d{9,19}(\.\d*)?$")).as_py():
            whole = pc.all(pc.match_substring_regex(text, r"^\d+$")).as_py()
            numbers = pc.cast(text, pa.int64() if whole else pa.float64())
            if not _is_compact(np.asarray(numbers.to_numpy(), dtype=np.float64)).all():
                return _epochs(np.asarray(numbers.to_numpy()), name)
        return _texts(text, name, day_first)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = np.asarray(column.to_numpy())
        if _is_compact(numbers.astype(np.float64)).all():
            return _texts(pc.cast(pc.cast(column, pa.int64()), pa.string()), name, day_first)
        return _epochs(numbers, name)
    raise ImportRefused(f"Column {name!r} holds {kind}, not times.")


def _stored_micros(column: pa.ChunkedArray, name: str) -> npt.NDArray[np.int64]:
    """Timestamps and dates of a typed file; refused outside the years of text and epochs."""
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    is_finer = pa.types.is_timestamp(column.type) and column.type.unit == "ns"
    try:
        micros = _int64(pc.cast(pc.cast(column, pa.timestamp("us", zone), safe=not is_finer), pa.int64()))
    except pa.ArrowException:
        raise ImportRefused(f"Column {name!r} holds times far outside the years 1900 to 2100.") from None
    outside = np.flatnonzero((micros < _FIRST_MICRO) | (micros >= _LAST_MICRO))
    if len(outside):
        raise ImportRefused(f"Column {name!r} is outside the years 1900 to 2100 in {row_list(outside)}.")
    return micros


def _is_compact(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which numbers are dates or times written together: 20170102, 201701021700, 20170102170000."""
    whole = values == np.floor(values)
    spans = [(1.99e7, 2.1e7), (1.99e11, 2.1e11), (1.99e13, 2.1e13)]
    return np.asarray(
        whole & np.logical_or.reduce([(low <= values) & (values < high) for low, high in spans])
    )


def _unit_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """1 seconds, 2 milliseconds, 3 microseconds, 4 nanoseconds, 0 none of them."""
    units = np.zeros(len(values), dtype=np.int8)
    for unit, scale in enumerate((1.0, 1e3, 1e6, 1e9), start=1):
        units[(values >= _FIRST_SECOND * scale) & (values < _LAST_SECOND * scale)] = unit
    return units


def _epochs(values: npt.NDArray[np.int64] | npt.NDArray[np.float64], name: str) -> Times:
    units = _unit_of(values.astype(np.float64))
    if not units.all():
        bad = np.flatnonzero(units == 0)
        raise ImportRefused(
            f"Column {name!r} is no epoch from 1990 to 2100 in {row_list(bad)}: {values[bad[0]]}; seconds, "
            "milliseconds, microseconds and nanoseconds are understood."
        )
    micros = np.zeros(len(values), dtype=np.int64)
    found = []
    for unit, (word, factor) in enumerate(_UNITS.items(), start=1):
        mask = units == unit
        if not mask.any():
            continue
        found.append(word)
        part = values[mask]
        if part.dtype == np.int64:  # whole numbers stay whole: nanoseconds do not fit a float
            micros[mask] = part * int(factor) if factor >= 1 else part // 1000
        else:
            micros[mask] = np.round(part * factor).astype(np.int64)
    return Times(micros, True, f"epochs in {' and '.join(found)}")


def _texts(text: pa.ChunkedArray, name: str, day_first: bool | None) -> Times:
    found = pc.extract_regex(text.combine_chunks(), pattern=_TEXT)
    if found.null_count:
        bad = np.flatnonzero(np.asarray(pc.is_null(found).to_numpy(zero_copy_only=False)))
        raise ImportRefused(
            f"Column {name!r} is no time in {row_list(bad)}: {text[int(bad[0])].as_py()[:40]!r}."
        )
    parts = {found.type.field(i).name: found.field(i) for i in range(found.type.num_fields)}
    year, month, day, order = _dates(parts, text, name, day_first)
    days, is_real = _days(year, month, day)
    seconds, fraction, is_clock = _clock(parts)
    bad = np.flatnonzero(~(is_real & is_clock))
    if len(bad):
        raise ImportRefused(
            f"Column {name!r} is no time in {row_list(bad)}: {text[int(bad[0])].as_py()[:40]!r}."
        )
    micros = (days * 86_400 + seconds) * 1_000_000 + fraction
    stated = _present(parts["zone"])
    if stated.any() and not stated.all():
        bare = np.flatnonzero(~stated)
        raise ImportRefused(f"Column {name!r} states a zone on some rows and none in {row_list(bare)}.")
    if stated.all():
        micros -= _zones(parts["zone"]) * 60_000_000
    return Times(micros, bool(stated.all()), f"text like {text[0].as_py()!r}{order}")


def _dates(
    parts: dict[str, pa.Array], text: pa.ChunkedArray, name: str, day_first: bool | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], str]:
    """Year, month and day of each row, and how day and month were told apart."""
    first, last = _ints(parts["a"]), _ints(parts["c"])
    word = _months(parts["b"])
    middle = np.where(word > 0, word, _ints(parts["b"], word == 0))
    year_first = np.asarray(pc.utf8_length(parts["a"])) == 4
    year_last = np.asarray(pc.utf8_length(parts["c"])) == 4
    compact = _present(parts["compact"])
    named = _present(parts["name"])
    odd = np.flatnonzero(~(year_first ^ year_last) & ~compact & ~named)
    if len(odd):
        raise ImportRefused(
            f"Column {name!r} has no four-digit year in {row_list(odd)}: {text[int(odd[0])].as_py()[:40]!r}."
        )
    year, month, day = np.where(year_first, first, last), middle, np.where(year_first, last, first)
    order = ""
    numeric = year_last & (word == 0) & ~compact & ~named
    if numeric.any():
        is_day_first = _day_first(first[numeric], middle[numeric], name, text, day_first)
        order = ", day first" if is_day_first else ", month first"
        if not is_day_first:
            month, day = np.where(numeric, first, month), np.where(numeric, middle, day)
    digits = _ints(parts["compact"])
    year = np.where(compact, digits // 10_000, np.where(named, _ints(parts["e"]), year))
    month = np.where(compact, digits // 100 % 100, np.where(named, _months(parts["name"]), month))
    day = np.where(compact, digits % 100, np.where(named, _ints(parts["d"]), day))
    return year, month, day, order


def _day_first(
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    name: str,
    text: pa.ChunkedArray,
    day_first: bool | None,
) -> bool:
    can_be_day_first, can_be_month_first = bool((second <= 12).all()), bool((first <= 12).all())
    example = text[0].as_py()[:40]
    if not can_be_day_first and not can_be_month_first:
        raise ImportRefused(f"Column {name!r} mixes day-first and month-first dates, as in {example!r}.")
    if day_first is not None:
        if not (can_be_day_first if day_first else can_be_month_first):
            said, other = ("day", "month") if day_first else ("month", "day")
            raise ImportRefused(f"Column {name!r} cannot be {said} first: its values are {other} first.")
        return day_first
    if can_be_day_first and can_be_month_first:
        if bool((first == second).all()):
            return True
        raise ImportRefused(
            f"Column {name!r} can be day first or month first, as in {example!r}, and no value settles "
            f"it: say which."
        )
    return can_be_day_first


def _days(
    year: npt.NDArray[np.int64], month: npt.NDArray[np.int64], day: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Days since 1970, and which rows are dates of the calendar between 1900 and 2100."""
    is_real = (year >= 1900) & (year < 2100) & (month >= 1) & (month <= 12) & (day >= 1)
    months = (np.where(is_real, year, 1970) - 1970) * 12 + np.where(is_real, month, 1) - 1
    start = months.astype("datetime64[M]").astype("datetime64[D]")
    length = ((months + 1).astype("datetime64[M]").astype("datetime64[D]") - start).astype(np.int64)
    return start.astype(np.int64) + day - 1, is_real & (day <= length)


def _clock(
    parts: dict[str, pa.Array],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Seconds of the day, microseconds within the second, and which rows are times of a clock."""
    width = np.asarray(pc.utf8_length(parts["digits"]))
    digits = _ints(parts["digits"]) * np.where(width == 4, 100, 1)
    hour = _ints(parts["hour"]) + _ints(parts["bare"]) + digits // 10_000
    minute = _ints(parts["minute"]) + digits // 100 % 100
    second = _ints(parts["second"]) + digits % 100
    half = np.asarray(pc.utf8_lower(parts["half"]).to_numpy(zero_copy_only=False))
    has_half = _present(parts["half"])
    is_real = (hour < 24) & (minute < 60) & (second < 60) & (~has_half | ((hour >= 1) & (hour <= 12)))
    hour = np.where(has_half, hour % 12 + np.where(half == "p", 12, 0), hour)
    fraction = _ints(pc.utf8_rpad(parts["fraction"], 9, "0")) // 1000
    return hour * 3600 + minute * 60 + second, fraction, is_real


def _zones(zones: pa.Array) -> npt.NDArray[np.int64]:
    """Minutes east of UTC."""
    unique = zones.unique().to_pylist()
    minutes = {zone: parse_offset(zone) // timedelta(minutes=1) for zone in unique}
    return (
        np.array([minutes[zone] for zone in zones.to_pylist()], dtype=np.int64)
        if len(unique) > 1
        else np.full(len(zones), minutes[unique[0]], dtype=np.int64)
    )


def _months(words: pa.Array) -> npt.NDArray[np.int64]:
    """1 to 12 for month names, 0 for anything else."""
    short = pc.utf8_slice_codeunits(pc.utf8_lower(words), 0, 3)
    return np.asarray(
        pc.fill_null(pc.add(pc.index_in(short, value_set=_MONTHS), 1), 0).to_numpy(), dtype=np.int64
    )


def _present(text: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.not_equal(text, "").to_numpy(zero_copy_only=False))


def _ints(text: pa.Array, mask: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int64]:
    """Whole numbers, 0 where the text is empty (or where `mask` does not hold)."""
    present = pc.not_equal(text, "")
    if mask is not None:
        present = pc.and_(present, pa.array(mask))
    return np.asarray(pc.cast(pc.if_else(present, text, "0"), pa.int64()).to_numpy())


def _int64(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.array(column.to_numpy(), dtype=np.int64)
