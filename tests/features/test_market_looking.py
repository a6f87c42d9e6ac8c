"""Every market and calendar feature looks back as far as it says, never ahead, and is finite or missing."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.features.calculators import features_of
from services.features.columns import Columns
from services.features.feature import Family, Feature
from tests.features.frames import HOUR, awkward_walk, random_walk, still
from tests.features.looking import computed, looks_ahead
from tests.features.real_frames import real_frame

FEATURES = (*features_of(Family.MARKET), *features_of(Family.CALENDAR))
LONGEST = max(feature.history_bars(24) for feature in FEATURES)
each_feature = pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)


def restless_funding(seed: int, bars: int) -> pd.DataFrame:
    """An awkward walk whose settlements come every 1 to 24 hours, some of them late, some lost."""
    frame = awkward_walk(seed, bars)
    generator = np.random.default_rng(seed + 2)
    hours = np.cumsum(generator.choice([1, 4, 8, 8, 8, 24], bars))
    hours = hours[hours < bars + 48] - 24
    late = pd.to_timedelta(generator.choice([0, 1, 25], hours.size), unit="ms")
    times = (frame.index[0] + pd.to_timedelta(hours, unit="h") + late).as_unit("us")
    settled = pd.DataFrame({"time": times, "rate": generator.normal(1e-4, 1e-4, hours.size)})
    settled = settled[generator.random(hours.size) > 0.03]
    known = pd.merge_asof(
        pd.DataFrame({"close": frame.index + pd.Timedelta(HOUR)}),
        settled,
        left_on="close",
        right_on="time",
        tolerance=pd.Timedelta(hours=12),
    ).set_index(frame.index)
    return frame.assign(
        funding_rate=known.rate, funding_time=known.time, funding_rate_missing=known.rate.isna()
    )


def looks_too_far_back(frame: pd.DataFrame, bars: int, timeframe: timedelta = HOUR) -> list[str]:
    """The features whose last `bars` values are not the same, to the bit, on their own history alone."""
    whole = {feature.name: feature.compute(Columns(frame, timeframe)) for feature in FEATURES}
    day = timedelta(days=1) / timeframe
    return [
        feature.name
        for feature in FEATURES
        if not np.array_equal(
            whole[feature.name][-bars:],
            feature.compute(Columns(frame.iloc[-feature.history_bars(day) - bars :], timeframe))[-bars:],
            equal_nan=True,
        )
    ]


@pytest.mark.parametrize("bars", [1, 2, 15, 400, 1199])
@pytest.mark.parametrize("make", [random_walk, awkward_walk, restless_funding])
def test_a_value_is_the_same_before_the_bars_after_it_exist(make, bars: int):
    assert looks_ahead(FEATURES, make(5, 1200), bars) == []


@given(seed=st.integers(0, 2**16), bars=st.integers(1, 1100))
@settings(max_examples=20)
def test_no_value_looks_ahead_on_any_restless_history(seed: int, bars: int):
    assert looks_ahead(FEATURES, restless_funding(seed, 1100), bars) == []


@pytest.mark.parametrize("make", [random_walk, awkward_walk, restless_funding])
def test_a_value_does_not_depend_on_where_the_history_starts(make):
    assert looks_too_far_back(make(11, LONGEST + 500), 37) == []


@given(seed=st.integers(0, 2**16), extra=st.integers(1, 300), bars=st.integers(1, 50))
@settings(max_examples=20)
def test_no_value_looks_further_back_than_it_says_on_any_restless_history(seed: int, extra: int, bars: int):
    assert looks_too_far_back(restless_funding(seed, LONGEST + bars + extra), bars) == []


def test_no_value_looks_further_back_than_it_says_on_real_bars():
    assert looks_too_far_back(real_frame("2023-11-01", "2024-01-31"), 24) == []


@pytest.mark.parametrize("timeframe", [timedelta(minutes=15), timedelta(hours=12), timedelta(days=1)])
def test_no_value_looks_further_back_than_it_says_on_other_bars(timeframe: timedelta):
    count = max(feature.history_bars(timedelta(days=1) / timeframe) for feature in FEATURES) + 300
    frame = random_walk(3, count)
    opens = pd.date_range("2020-01-01", periods=count, freq=timeframe, tz="UTC", name="open_time")
    settled = (opens + timeframe).floor("8h")
    changes = np.cumsum(np.diff(settled.asi8, prepend=0) > 0)
    rates = np.random.default_rng(3).normal(1e-4, 1e-4, count)[changes - 1]
    frame = frame.assign(funding_rate=rates).set_index(opens).assign(funding_time=settled)
    assert looks_too_far_back(frame, 20, timeframe) == []


@each_feature
def test_a_feature_is_missing_where_a_column_it_reads_is_missing(feature: Feature):
    frame = random_walk(4, LONGEST + 60)
    assert np.isfinite(feature.compute(Columns(frame[list(feature.inputs)], HOUR))[-1]), (
        "reads more than it says"
    )
    for name in feature.inputs:
        missing = frame[name].where(np.zeros(len(frame), dtype=bool))
        assert np.isnan(feature.compute(Columns(frame.assign(**{name: missing}), HOUR))).all(), name
        assert np.isnan(feature.compute(Columns(frame.drop(columns=name), HOUR))).all(), name


@pytest.mark.parametrize(
    "frame",
    [
        still(LONGEST + 60),
        still(LONGEST + 60, price=1e5 / 3).assign(funding_rate=1e-4, open_interest=1e5 / 3),
        random_walk(8, LONGEST + 60, price=1e300).assign(open_interest=1e-300),
        random_walk(8, LONGEST + 60).assign(open_interest=np.inf, funding_rate=-np.inf),
        random_walk(8, LONGEST + 60).assign(funding_time=pd.NaT),
        random_walk(8, LONGEST + 60)[[]],
    ],
    ids=["still", "still and held", "huge", "infinite", "timeless", "without columns"],
)
def test_values_are_finite_or_missing_and_nothing_warns(frame: pd.DataFrame):
    for name, values in computed(FEATURES, frame).items():
        assert not np.isinf(values).any(), name


@pytest.mark.parametrize("bars", [0, 1, 2])
def test_a_history_of_hardly_a_bar_gives_as_many_values(bars: int):
    for name, values in computed(FEATURES, random_walk(9, 5).iloc[:bars]).items():
        assert values.shape == (bars,), name
        assert values.dtype == np.float64, name
