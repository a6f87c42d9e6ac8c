"""Clock, calendar and funding clock, UTC.

Every one of them is that of the bar's close, `open_time + timeframe`: when the bar's values are known, a
decision is made and the next bar opens. So the last bar of a Sunday, which closes on Monday 00:00, is a
Monday's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from services.features.calculators.declaration import declare
from services.features.calculators.settlements import BACK_BARS, close_seconds, settlements
from services.features.calculators.windows import ratio
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

# First hour inside, first hour after.
SESSIONS = {
    "asia_session": (0, 9),
    "europe_session": (7, 16),
    "us_session": (13, 22),
    "asia_europe_overlap": (7, 9),
    "europe_us_overlap": (13, 16),
    "asian_hours": (0, 8),
    "european_hours": (8, 16),
    "american_hours": (16, 24),
}

_declare = partial(declare, Family.CALENDAR)


def _closes(columns: Columns) -> pd.DatetimeIndex:
    return columns.shared(("close_time",), lambda: columns.open_time + columns.timeframe)


def _hours(columns: Columns) -> Floats:
    """Hours since midnight, with their fraction."""
    return columns.shared(("hours",), lambda: close_seconds(columns) % 86_400.0 / 3600.0)


def _weekdays(columns: Columns) -> Floats:
    """Days since Monday 00:00, with their fraction. The epoch was a Thursday."""
    return columns.shared(
        ("weekdays",), lambda: (close_seconds(columns) + 3 * 86_400.0) % (7 * 86_400.0) / 86_400.0
    )


def _clock(name: str, description: str, compute: Callable[[Columns], Floats]) -> Feature:
    return _declare("clock", name, "", 0, f"{description} of the bar's close, UTC.", compute)


def _day(columns: Columns) -> Floats:
    return np.floor(_weekdays(columns))


def _session(name: str, first: int, after: int) -> Feature:
    return _declare(
        "session",
        name,
        "",
        0,
        f"1 where the bar closes from {first:02}:00 and before {after:02}:00 UTC, else 0.",
        lambda columns: ((_hours(columns) >= first) & (_hours(columns) < after)).astype(np.float64),
        first_hour=first,
        after_hour=after,
    )


def _turn(part: Callable[[Floats], Floats], fraction: Floats) -> Floats:
    return part(2.0 * np.pi * fraction)


def _since_settlement(columns: Columns) -> Floats:
    seen = settlements(columns)
    return (close_seconds(columns) - seen.at_bars(seen.times, 1)) / 3600.0


def _interval(columns: Columns) -> Floats:
    seen = settlements(columns)
    return seen.at_bars(np.diff(seen.times, prepend=np.nan) / 3600.0, 2)


def _cycle(columns: Columns) -> Floats:
    return columns.shared(("funding_cycle",), lambda: ratio(_since_settlement(columns), _interval(columns)))


def _funding_clock(name: str, window: int, description: str, compute: Callable[[Columns], Floats]) -> Feature:
    declared = _declare(
        "funding clock",
        name,
        "funding_rate funding_time",
        BACK_BARS,
        description,
        compute,
        settlements=window,
    )
    return replace(declared, lookback_settlements=window)


FEATURES: tuple[Feature, ...] = (
    _clock("hour_of_day", "Hour, 0 to 23,", lambda columns: np.floor(_hours(columns))),
    _clock("day_of_week", "Day of the week, Monday 0 to Sunday 6,", _day),
    _clock("day_of_month", "Day of the month", lambda columns: _closes(columns).day.to_numpy(np.float64)),
    _clock("month", "Month, 1 to 12,", lambda columns: _closes(columns).month.to_numpy(np.float64)),
    _clock(
        "is_weekend",
        "1 on Saturday and Sunday, else 0,",
        lambda columns: (_day(columns) >= 5.0).astype(np.float64),
    ),
    _clock("is_monday", "1 on Monday, else 0,", lambda columns: (_day(columns) == 0.0).astype(np.float64)),
    _clock("is_friday", "1 on Friday, else 0,", lambda columns: (_day(columns) == 4.0).astype(np.float64)),
    _clock("hour_sin", "Sine of the time of day", lambda columns: _turn(np.sin, _hours(columns) / 24.0)),
    _clock("hour_cos", "Cosine of the time of day", lambda columns: _turn(np.cos, _hours(columns) / 24.0)),
    _clock(
        "day_of_week_sin",
        "Sine of the time of the week from Monday",
        lambda columns: _turn(np.sin, _weekdays(columns) / 7.0),
    ),
    _clock(
        "day_of_week_cos",
        "Cosine of the time of the week from Monday",
        lambda columns: _turn(np.cos, _weekdays(columns) / 7.0),
    ),
    *(_session(name, first, after) for name, (first, after) in SESSIONS.items()),
    _funding_clock(
        "hours_since_settlement",
        1,
        "Hours from the newest funding settlement known to the bar's close.",
        _since_settlement,
    ),
    _funding_clock(
        "settlement_interval_hours", 2, "Hours between the two newest funding settlements known.", _interval
    ),
    _funding_clock(
        "funding_cycle_sin",
        2,
        "Sine of the time since the newest settlement over the interval before it.",
        lambda columns: _turn(np.sin, _cycle(columns)),
    ),
    _funding_clock(
        "funding_cycle_cos",
        2,
        "Cosine of the time since the newest settlement over the interval before it.",
        lambda columns: _turn(np.cos, _cycle(columns)),
    ),
)
