"""The calendar family against Python's own datetimes and values worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from services.features.calculators import features_of
from services.features.columns import Columns
from services.features.feature import Family
from tests.features.frames import HOUR, random_walk

FEATURES = {feature.name: feature for feature in features_of(Family.CALENDAR)}


def hours(close: datetime) -> float:
    return close.hour + close.minute / 60


def week(close: datetime) -> float:
    return (close.weekday() + hours(close) / 24) / 7


def session(first: int, after: int) -> Callable[[datetime], float]:
    return lambda close: float(first <= close.hour < after)


CLOCK: dict[str, Callable[[datetime], float]] = {
    "hour_of_day": lambda close: close.hour,
    "day_of_week": lambda close: close.weekday(),
    "day_of_month": lambda close: close.day,
    "month": lambda close: close.month,
    "is_weekend": lambda close: close.weekday() in (5, 6),
    "is_monday": lambda close: close.weekday() == 0,
    "is_friday": lambda close: close.weekday() == 4,
    "hour_sin": lambda close: math.sin(2 * math.pi * hours(close) / 24),
    "hour_cos": lambda close: math.cos(2 * math.pi * hours(close) / 24),
    "day_of_week_sin": lambda close: math.sin(2 * math.pi * week(close)),
    "day_of_week_cos": lambda close: math.cos(2 * math.pi * week(close)),
    "asia_session": session(0, 9),
    "europe_session": session(7, 16),
    "us_session": session(13, 22),
    "asia_europe_overlap": session(7, 9),
    "europe_us_overlap": session(13, 16),
    "asian_hours": session(0, 8),
    "european_hours": session(8, 16),
    "american_hours": session(16, 24),
}
FUNDING_CLOCK = {
    "hours_since_settlement",
    "settlement_interval_hours",
    "funding_cycle_sin",
    "funding_cycle_cos",
}


def values(name: str, frame: pd.DataFrame, timeframe: timedelta = HOUR) -> np.ndarray:
    return FEATURES[name].compute(Columns(frame, timeframe))


def bars(start: str, count: int, timeframe: timedelta) -> pd.DataFrame:
    index = pd.date_range(start, periods=count, freq=timeframe, tz="UTC", name="open_time")
    return pd.DataFrame({"close": 1.0}, index=index)


@pytest.mark.parametrize("timeframe", [timedelta(minutes=15), HOUR, timedelta(days=1), timedelta(weeks=1)])
@pytest.mark.parametrize("name", CLOCK)
def test_a_clock_feature_is_that_of_the_close_of_the_bar(name: str, timeframe: timedelta):
    frame = bars("2023-12-25", 1500, timeframe)
    closes = [opened.to_pydatetime() + timeframe for opened in frame.index]
    expected = np.array([float(CLOCK[name](close)) for close in closes])
    np.testing.assert_allclose(values(name, frame, timeframe), expected, rtol=0, atol=1e-12)


def test_every_feature_has_a_reference():
    assert set(CLOCK) | FUNDING_CLOCK == set(FEATURES)


def test_the_last_bar_of_a_sunday_is_a_mondays():
    frame = bars("2024-03-17 22:00", 2, HOUR)  # Sunday; the second closes on Monday 00:00
    assert values("day_of_week", frame).tolist() == [6.0, 0.0]
    assert values("is_weekend", frame).tolist() == [1.0, 0.0]
    assert values("hour_of_day", frame).tolist() == [23.0, 0.0]
    assert values("asian_hours", frame).tolist() == [0.0, 1.0]


def test_the_sine_of_the_hour_moves_within_the_hour():
    frame = bars("2024-03-15 05:30", 1, timedelta(minutes=15))
    assert values("hour_sin", frame, timedelta(minutes=15))[0] == pytest.approx(math.sin(math.pi * 5.75 / 12))


def settled(times: list[str], start: str, count: int) -> pd.DataFrame:
    frame = bars(start, count, HOUR)
    known = frame.index + pd.Timedelta(HOUR)
    stamps = pd.DatetimeIndex(times, tz="UTC").as_unit("us")
    position = stamps.searchsorted(known, side="right") - 1
    time = pd.Series(stamps[np.maximum(position, 0)], frame.index).where(position >= 0)
    rate = pd.Series(1e-4, frame.index).where(position >= 0)
    return frame.assign(funding_time=time, funding_rate=rate, funding_rate_missing=rate.isna())


def test_the_funding_clock_runs_from_settlement_to_settlement():
    frame = settled(["2024-03-15 00:00", "2024-03-15 08:00"], "2024-03-14 22:00", 20)
    since = values("hours_since_settlement", frame)
    assert np.isnan(since[0])
    assert since[1:9].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert since[9:13].tolist() == [0, 1, 2, 3]
    interval = values("settlement_interval_hours", frame)
    assert np.isnan(interval[:9]).all()  # one settlement has no interval
    assert (interval[9:] == 8.0).all()
    np.testing.assert_allclose(values("funding_cycle_sin", frame)[[9, 11, 13]], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(values("funding_cycle_cos", frame)[[9, 11, 13]], [1, 0, -1], atol=1e-12)


def test_the_funding_clock_does_not_assume_eight_hours():
    frame = settled(["2024-03-15 00:00", "2024-03-15 04:00", "2024-03-15 05:00"], "2024-03-15", 7)
    assert values("hours_since_settlement", frame).tolist() == [1, 2, 3, 0, 0, 1, 2]
    assert values("settlement_interval_hours", frame)[3:].tolist() == [4, 1, 1, 1]


def test_without_funding_there_is_no_funding_clock():
    frame = random_walk(1, 30).drop(columns=["funding_rate", "funding_time"])
    for name in FUNDING_CLOCK:
        assert np.isnan(values(name, frame)).all(), name
        assert FEATURES[name].inputs == ("funding_rate", "funding_time")
