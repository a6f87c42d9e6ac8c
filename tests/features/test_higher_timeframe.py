"""Features of longer bars: against pandas' resample, on awkward histories, and where bars do not fit."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.rpc.refusals import FailedPrecondition, Reason
from services.features.calculators import features_of
from services.features.columns import Columns
from services.features.config import CATALOGUE_FAMILIES, FamilyChoice, FeatureConfig, Limits
from services.features.expressions import Expression
from services.features.feature import Family, Feature
from tests.features.frames import HOUR, awkward_walk, random_walk, real_bars
from tests.features.looking import looks_ahead
from tests.features.whole import generated, planned

FEATURES = {feature.name: feature for feature in features_of(Family.HIGHER_TIMEFRAME)}
HISTORY = max(feature.history_bars(24) for feature in FEATURES.values())
BARS = HISTORY + 400
NOTHING = {family.value: FamilyChoice(enabled=False) for family in CATALOGUE_FAMILIES}
CONFIG = FeatureConfig(**NOTHING | {"higher_timeframe": FamilyChoice()})


def trend(close: pd.Series) -> pd.Series:
    return close.rolling(10).mean() / close.rolling(50).mean() - 1.0


def longer(f: pd.DataFrame, name: str) -> pd.Series:
    return f.close.resample(name.replace("d", "D")).last()


def at_bars(f: pd.DataFrame, name: str, values: pd.Series) -> pd.Series:
    """The longer bar before the one that holds each bar."""
    return values.shift(1).reindex(f.index.floor(name.replace("d", "D"))).set_axis(f.index)


def strength_index(close: pd.Series) -> pd.Series:
    move = close.diff()
    gain, loss = move.clip(lower=0).rolling(14).mean(), (-move).clip(lower=0).rolling(14).mean()
    return 100.0 - 100.0 / (1.0 + gain / loss)


def direction(f: pd.DataFrame, name: str) -> pd.Series:
    return np.sign(at_bars(f, name, trend(longer(f, name))))


def alignment(f: pd.DataFrame) -> pd.Series:
    return (np.sign(trend(f.close)) + direction(f, "4h") + direction(f, "1d")) / 3.0


def golden(f: pd.DataFrame) -> dict[str, pd.Series]:
    found = {
        "htf_alignment_score_10_50": alignment(f),
        "htf_alignment_direction_10_50": alignment(f).map(lambda score: float(int(score)), "ignore"),
    }
    for name in ("4h", "1d"):
        closes = longer(f, name)
        found |= {
            f"htf_{name}_trend_direction_10_50": direction(f, name),
            f"htf_{name}_trend_strength_10_50": at_bars(f, name, trend(closes)),
            f"htf_{name}_rsi_14": at_bars(f, name, strength_index(closes)),
            f"htf_{name}_close_to_sma_50": f.close / at_bars(f, name, closes.rolling(50).mean()) - 1.0,
            f"htf_{name}_divergence_10_50": (np.sign(trend(f.close)) - direction(f, name)) / 2.0,
        }
    return found


@pytest.mark.parametrize("kind", ["walk", "real"])
def test_longer_bars_agree_with_resampled_ones(kind: str):
    frame = random_walk(7, 3000) if kind == "walk" else real_bars("2020-02-15", "2020-06-28")
    expected = golden(frame)
    assert set(expected) == set(FEATURES)
    for name, feature in FEATURES.items():
        values = feature.compute(Columns(frame, HOUR))
        np.testing.assert_allclose(values, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)
        assert np.isfinite(values[feature.history_bars(24) :]).all()
        assert np.ptp(values[feature.history_bars(24) :]) > 0.0


def test_the_mean_of_longer_closes_is_that_of_talib():
    frame = random_walk(8, 2400)
    closes = longer(frame, "4h")
    mean = at_bars(frame, "4h", pd.Series(talib.SMA(closes.to_numpy(), 50), closes.index))
    values = FEATURES["htf_4h_close_to_sma_50"].compute(Columns(frame, HOUR))
    np.testing.assert_allclose(values, frame.close / mean - 1.0, rtol=1e-9, atol=1e-12)


def test_a_longer_bar_counts_from_the_bar_after_its_last_one():
    frame = random_walk(9, 700)
    higher = frame.copy()
    changed_at = 4 * 100 + 3  # the last bar of a longer one
    higher.iloc[changed_at, frame.columns.get_loc("close")] *= 2.0
    feature = FEATURES["htf_4h_trend_strength_10_50"]
    before, after = (feature.compute(Columns(each, HOUR)) for each in (frame, higher))
    differs = np.flatnonzero(before != after)
    differs = differs[~np.isnan(before[differs])]
    assert differs[0] == changed_at + 1
    assert differs[-1] == changed_at + 4 * 50


def gapped(seed: int, bars: int, holes: int) -> pd.DataFrame:
    """An awkward walk whose bars are missing here and there, some of them for days."""
    generator = np.random.default_rng(seed)
    frame = awkward_walk(seed, bars + 200)
    is_kept = np.ones(len(frame), dtype=np.bool_)
    for start in generator.integers(0, len(frame), holes):
        is_kept[start : start + int(generator.choice([1, 1, 3, 30]))] = False
    return frame[is_kept]


def looks_too_far_back(features: tuple[Feature, ...], frame: pd.DataFrame, bars: int, timeframe=HOUR):
    day = timedelta(days=1) / timeframe
    found = []
    for feature in features:
        whole = feature.compute(Columns(frame, timeframe))[-bars:]
        own = frame.iloc[-feature.history_bars(day) - bars :]
        if not np.array_equal(whole, feature.compute(Columns(own, timeframe))[-bars:], equal_nan=True):
            found.append(feature.name)
    return found


@given(seed=st.integers(0, 2**16), bars=st.integers(1, BARS), holes=st.integers(0, 4))
@settings(max_examples=20)
def test_no_value_looks_ahead_over_any_gaps(seed: int, bars: int, holes: int):
    assert looks_ahead(FEATURES.values(), gapped(seed, BARS, holes), bars) == []


@given(seed=st.integers(0, 2**16), bars=st.integers(1, 40), holes=st.integers(0, 4))
@settings(max_examples=20)
def test_no_value_looks_further_back_than_it_says_over_any_gaps(seed: int, bars: int, holes: int):
    assert looks_too_far_back(tuple(FEATURES.values()), gapped(seed, BARS, holes), bars) == []


def test_the_lookback_of_longer_bars_is_needed_whole():
    """A bar less, and the last bar of a longer one no longer knows its oldest close."""
    frame = random_walk(5, BARS)
    frame = frame[: frame.index.searchsorted(frame.index[-1].floor("1D"))]  # ends with a day
    for name in ("htf_4h_trend_strength_10_50", "htf_1d_trend_strength_10_50", "htf_1d_rsi_14"):
        feature = FEATURES[name]
        short = frame.iloc[-feature.history_bars(24) :]
        assert np.isnan(feature.compute(Columns(short, HOUR))[-1])
        assert np.isfinite(feature.compute(Columns(frame.iloc[-feature.history_bars(24) - 1 :], HOUR))[-1])


def test_a_hole_without_a_last_bar_is_missing_and_one_between_is_not():
    frame = random_walk(6, 1000)
    feature = FEATURES["htf_4h_close_to_sma_50"]
    within, last = frame.drop(frame.index[402]), frame.drop(frame.index[403])
    assert np.isfinite(feature.compute(Columns(within, HOUR))[250:]).all()
    values = pd.Series(feature.compute(Columns(last, HOUR)), last.index)
    assert values[frame.index[404] : frame.index[404 + 4 * 50 - 1]].isna().all()
    assert np.isfinite(values[frame.index[404 + 4 * 50] :]).all()


@pytest.mark.parametrize("timeframe", [timedelta(minutes=15), timedelta(hours=2)])
def test_other_bars_give_the_same_longer_ones(timeframe: timedelta):
    day = timedelta(days=1) / timeframe
    count = max(feature.history_bars(day) for feature in FEATURES.values()) + 200
    frame = random_walk(3, count)
    frame.index = pd.date_range("2020-01-01", periods=count, freq=timeframe, tz="UTC", name="open_time")
    assert looks_too_far_back(tuple(FEATURES.values()), frame, 20, timeframe) == []
    expected = golden(frame)
    for name, feature in FEATURES.items():
        values = feature.compute(Columns(frame, timeframe))
        assert np.isfinite(values[-1])
        np.testing.assert_allclose(values, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("hours", "makes_days"), [(3, True), (4, True), (6, True), (5, False), (24, False), (168, False)]
)
def test_longer_bars_that_the_bars_do_not_make_up_are_left_out_with_the_reason(hours: int, makes_days: bool):
    timeframe = timedelta(hours=hours)
    frame = random_walk(3, 700)
    frame.index = pd.date_range("2015-01-01", periods=700, freq=timeframe, tz="UTC", name="open_time")
    config = FeatureConfig(
        **NOTHING | {"higher_timeframe": FamilyChoice(), "series": FamilyChoice(features=("close_lag_1",))}
    )
    work = planned(frame, config, timeframe)
    kept = [name for name in work.names if name.startswith("htf")]
    day = {name for name in FEATURES if name.startswith("htf_1d")}
    assert set(kept) == (day if makes_days else set())
    assert {each.name for each in work.omitted} == set(FEATURES) - set(kept)
    assert {each.missing_column for each in work.omitted} <= {
        "bars shorter than 4 h that divide it",
        "bars shorter than 24 h that divide it",
    }
    for feature in FEATURES.values():
        if feature.name not in kept:
            assert np.isnan(feature.compute(Columns(frame, timeframe))).all()


def test_a_longer_bar_asked_for_by_name_that_the_bars_cannot_make_up_is_refused():
    frame = random_walk(3, 300)
    frame.index = pd.date_range("2015-01-01", periods=300, freq="1D", tz="UTC", name="open_time")
    config = FeatureConfig(**NOTHING | {"higher_timeframe": FamilyChoice(features=("htf_4h_rsi_14",))})
    with pytest.raises(FailedPrecondition, match="needs bars shorter than 4 h that divide it") as refused:
        planned(frame, config, timedelta(days=1))
    assert refused.value.subject == "htf_4h_rsi_14"
    assert refused.value.reason is Reason.TOO_LITTLE_DATA


def test_the_warm_up_of_longer_bars_is_counted_in_time():
    frame = random_walk(41, 1500)
    work = planned(frame, CONFIG)
    assert work.warm_up_bars == HISTORY == 50 * 24 + 49
    assert np.isfinite(generated(frame, CONFIG).iloc[work.warm_up_bars :]).all(axis=None)


@pytest.mark.parametrize("make", [random_walk, awkward_walk])
def test_chunks_of_longer_bars_give_the_same_bits(make):
    frame = make(12, 3000)
    pd.testing.assert_frame_equal(
        generated(frame, CONFIG, chunk_bars=256), generated(frame, CONFIG), check_exact=True
    )


def test_a_formula_of_longer_bars_reaches_back_as_far():
    formulas = (Expression("older", "lag(htf_1d_rsi_14, 5) - htf_4h_rsi_14"),)
    config = FeatureConfig(**NOTHING, expressions=formulas, limits=Limits(max_features=1))
    frame = gapped(3, 2000, 0)
    whole = generated(frame, config)
    pd.testing.assert_frame_equal(generated(frame, config, chunk_bars=256), whole, check_exact=True)
    work = planned(frame, config)
    assert work.warm_up_bars == 15 * 24 + 5
    expected = golden(frame)
    older = expected["htf_1d_rsi_14"].shift(5) - expected["htf_4h_rsi_14"]
    np.testing.assert_allclose(whole.older.iloc[-1], older.iloc[-1], rtol=1e-9)
    four = frame.set_axis(pd.date_range("2015-01-01", periods=len(frame), freq="4h", tz="UTC"))
    with pytest.raises(FailedPrecondition, match="older needs bars shorter than 4 h"):
        planned(four.rename_axis("open_time"), config, timedelta(hours=4))
