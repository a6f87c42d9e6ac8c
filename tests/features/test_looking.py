"""Every price and volume feature: it looks back as far as it says, never ahead, and is finite or missing."""

from __future__ import annotations

import re
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.features.calculators import features_of
from services.features.calculators.declaration import declare
from services.features.columns import Columns
from services.features.feature import Family, Feature
from tests.features.frames import HOUR, awkward_walk, random_walk, real_bars, still
from tests.features.looking import computed, looks_ahead, looks_too_far_back

FAMILIES = (Family.TECHNICAL, Family.STATISTICAL, Family.SERIES)
FEATURES = tuple(feature for family in FAMILIES for feature in features_of(family))
LONGEST = max(feature.lookback_bars for feature in FEATURES)
each_feature = pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)


@pytest.mark.parametrize("bars", [1, 2, 15, 60, 400, 800, 1199])
@pytest.mark.parametrize("make", [random_walk, awkward_walk])
def test_a_value_is_the_same_before_the_bars_after_it_exist(make, bars: int):
    assert looks_ahead(FEATURES, make(5, 1200), bars) == []


@given(seed=st.integers(0, 2**16), bars=st.integers(1, 1100))
@settings(max_examples=20)
def test_no_value_looks_ahead_on_any_awkward_history(seed: int, bars: int):
    assert looks_ahead(FEATURES, awkward_walk(seed, 1100), bars) == []


def test_no_value_looks_ahead_on_real_bars():
    frame = real_bars("2020-02-15", "2020-04-30")
    for bars in (600, 1000, 1500):
        assert looks_ahead(FEATURES, frame, bars) == []


@pytest.mark.parametrize("bars", [1, 37])
@pytest.mark.parametrize("make", [random_walk, awkward_walk])
def test_a_value_does_not_depend_on_where_the_history_starts(make, bars: int):
    assert looks_too_far_back(FEATURES, make(11, LONGEST + 500), bars) == []


@given(seed=st.integers(0, 2**16), extra=st.integers(1, 300), bars=st.integers(1, 50))
@settings(max_examples=10)
def test_no_value_looks_further_back_than_it_says_on_any_awkward_history(seed: int, extra: int, bars: int):
    assert looks_too_far_back(FEATURES, awkward_walk(seed, LONGEST + bars + extra), bars) == []


def test_no_value_looks_further_back_than_it_says_on_real_bars():
    assert looks_too_far_back(FEATURES, real_bars("2019-09-08", "2019-12-31"), 24) == []


@each_feature
def test_a_feature_is_known_once_it_has_its_lookback_and_no_sooner(feature: Feature):
    values = feature.compute(Columns(random_walk(2, LONGEST + 50), HOUR))
    assert np.isnan(values[: feature.lookback_bars]).all()
    assert np.isfinite(values[feature.lookback_bars :]).all()


def test_a_hole_is_forgotten_after_the_lookback():
    frame = random_walk(3, 2 * LONGEST + 100)
    hole = 40
    holed = frame.mask(pd.Series(np.arange(len(frame)) == hole, frame.index))
    whole, after = computed(FEATURES, frame), computed(FEATURES, holed)
    for feature in FEATURES:
        past = hole + feature.lookback_bars + 1
        np.testing.assert_array_equal(after[feature.name][past:], whole[feature.name][past:], feature.name)


@each_feature
def test_a_feature_is_missing_where_a_column_it_reads_is_missing(feature: Feature):
    frame = random_walk(4, feature.lookback_bars + 60)
    assert np.isfinite(feature.compute(Columns(frame[list(feature.inputs)], HOUR))[-1]), (
        "reads more than it says"
    )
    for name in feature.inputs:
        empty = feature.compute(Columns(frame.assign(**{name: np.nan}), HOUR))
        absent = feature.compute(Columns(frame.drop(columns=name), HOUR))
        assert np.isnan(empty).all(), name
        assert np.isnan(absent).all(), name


@each_feature
def test_a_feature_moves_with_every_column_it_says_it_reads(feature: Feature):
    """Replaced by another walk, each column it names changes some value: none is named in vain."""
    bars = feature.lookback_bars + 400
    frame, other = random_walk(6, bars), random_walk(60, bars)
    before = feature.compute(Columns(frame, HOUR))
    for name in feature.inputs:
        after = feature.compute(Columns(frame.assign(**{name: other[name]}), HOUR))
        assert not np.array_equal(before, after, equal_nan=True), name


@pytest.mark.parametrize(
    "frame",
    [
        still(LONGEST + 60),
        still(LONGEST + 60, price=0.0),
        still(LONGEST + 60, price=1e5 / 3, volume=1e-3),
        random_walk(8, LONGEST + 60).assign(volume=0.0),
        random_walk(8, LONGEST + 60, price=1e300),
        random_walk(8, LONGEST + 60, price=1e-300).assign(volume=1e-300),
        random_walk(8, LONGEST + 60).assign(high=np.inf, volume=-np.inf),
        random_walk(8, LONGEST + 60)[[]],
    ],
    ids=[
        "still",
        "worthless",
        "still and traded",
        "never traded",
        "huge",
        "tiny",
        "infinite",
        "without columns",
    ],
)
def test_values_are_finite_or_missing_and_nothing_warns(frame: pd.DataFrame):
    for name, values in computed(FEATURES, frame).items():
        assert not np.isinf(values).any(), name


def test_what_has_no_meaning_on_a_still_price_is_missing_and_what_has_is_exact():
    values = {name: series[-1] for name, series in computed(FEATURES, still(LONGEST + 60)).items()}
    for name in (
        *("rsi_14", "adx_14", "cci_20", "stochastic_k_14", "williams_r_14", "mfi_14", "price_position_20"),
        *("volume_ratio_20", "vwap_20", "close_skew_20", "return_autocorrelation_20", "volatility_spike_20"),
        *("high_low_position", "price_volume_ratio", "volume_pct_change_1", "ultimate_oscillator_7_14_28"),
    ):
        assert np.isnan(values[name]), name
    for name in (
        *("atr_14", "true_range", "macd_12_26", "macd_histogram_12_26_9", "momentum_10", "adosc_3_10"),
        *(
            "realized_vol_20",
            "vol_of_vol_20",
            "close_std_20",
            "close_slope_20",
            "parkinson_vol_20",
            "body_size",
        ),
    ):
        assert values[name] == 0.0, name


@pytest.mark.parametrize("bars", [0, 1, 2])
def test_a_history_of_hardly_a_bar_gives_as_many_values(bars: int):
    for name, values in computed(FEATURES, random_walk(9, 5).iloc[:bars]).items():
        assert values.shape == (bars,), name
        assert values.dtype == np.float64, name


def test_the_order_of_the_features_changes_nothing():
    frame = random_walk(10, 900)
    forwards, backwards = computed(FEATURES, frame), computed(reversed(FEATURES), frame)
    for name in forwards:
        np.testing.assert_array_equal(forwards[name], backwards[name], name)


def test_the_frame_itself_is_left_as_it_was():
    frame = random_walk(12, 900)
    before = frame.copy()
    computed(FEATURES, frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("timeframe", [timedelta(minutes=1), timedelta(days=1), timedelta(weeks=1)])
def test_every_timeframe_gives_finite_values(timeframe: timedelta):
    frame = random_walk(13, LONGEST + 20)
    frame.index = pd.date_range("2015-01-01", periods=len(frame), freq=timeframe, tz="UTC", name="open_time")
    columns = Columns(frame, timeframe)
    for feature in FEATURES:
        assert np.isfinite(feature.compute(columns)[-1]), feature.name


def test_names_are_unique_snake_case_and_hold_the_parameters():
    names = [feature.name for family in Family for feature in features_of_or_none(family)]
    assert len(names) == len(set(names))
    for feature in FEATURES:
        assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", feature.name), feature.name
        assert feature.inputs
        assert feature.description.endswith("."), feature.name
        for word in feature.name.split("_"):
            if word.isdigit():
                known = {
                    str(round(value * scale)) for value in feature.parameters.values() for scale in (1, 1000)
                }
                assert word in known, feature.name


def features_of_or_none(family: Family) -> tuple[Feature, ...]:
    return () if family in (Family.TSFRESH, Family.EXPRESSION) else features_of(family)


def _leak(name: str, lookback_bars: int, compute) -> Feature:
    return declare(Family.SERIES, "leak", name, "close", lookback_bars, "A planted fault.", compute)


def _centred_mean(columns: Columns) -> np.ndarray:
    close = pd.Series(columns["close"])
    return np.roll(close.rolling(5).mean().to_numpy(), -2)


def _over_the_whole(columns: Columns) -> np.ndarray:
    return columns["close"] / np.nanquantile(columns["close"], 0.99)


def _since_the_start(columns: Columns) -> np.ndarray:
    return np.cumsum(columns["volume"])


def _short_warm_up(columns: Columns) -> np.ndarray:
    return (
        pd.Series(columns["close"])
        .ewm(span=12, adjust=False)
        .mean()
        .where(lambda x: x.index >= 11)
        .to_numpy()
    )


PLANTED = (
    _leak("centred_mean", 4, _centred_mean),
    _leak("whole_quantile", 0, _over_the_whole),
    _leak("cumulative_volume", 0, _since_the_start),
    _leak("ema_12", 11, _short_warm_up),
)


def test_the_checks_above_name_a_feature_that_looks_ahead_or_too_far_back():
    frame = random_walk(14, 500)
    assert looks_ahead((*FEATURES, *PLANTED), frame, 300) == ["centred_mean", "whole_quantile"]
    assert {"cumulative_volume", "ema_12"} <= set(looks_too_far_back(PLANTED, frame, 5))
