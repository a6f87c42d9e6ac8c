"""Dates in the names of futures: certain ones only."""

from __future__ import annotations

import re
from datetime import date, timedelta

_MONTHS = {
    month: number
    for number, month in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1
    )
}
_QUARTERS = {"H": 3, "M": 6, "U": 9, "Z": 12}
_FRIDAY = 4
_DIGITS = re.compile(r"(?:20)?([0-9]{2})([0-9]{2})([0-9]{2})")
_SPELLED = re.compile(r"([0-9]{1,2})([A-Z]{3})([0-9]{2})")


def from_digits(text: str) -> str | None:
    """YYMMDD of YYMMDD or YYYYMMDD; None where it is no day."""
    found = _DIGITS.fullmatch(text)
    return None if found is None else _day(*map(int, found.groups()))


def from_words(text: str) -> str | None:
    """YYMMDD of `28MAR25`."""
    found = _SPELLED.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    return _day(int(found[3]), _MONTHS[found[2]], int(found[1]))


def from_quarter(code: str, year: int) -> str:
    """YYMMDD of `H` and 25: the last Friday of the quarter's last month, where crypto venues, which have no
    holidays, let their quarterly contracts expire."""
    month = _QUARTERS[code]
    first_after = date(2000 + year + month // 12, month % 12 + 1, 1)
    last = first_after - timedelta(days=1)
    return (last - timedelta(days=(last.weekday() - _FRIDAY) % 7)).strftime("%y%m%d")


def _day(year: int, month: int, day: int) -> str | None:
    try:
        return date(2000 + year, month, day).strftime("%y%m%d")
    except ValueError:
        return None
