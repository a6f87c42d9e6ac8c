"""The engine over the whole catalogue: no future, no dependence on the start, limits, omissions."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.rpc.refusals import FailedPrecondition, Reason, ResourceExhausted
from services.features import engine
from services.features.columns import Columns
from services.features.config import (
    CATALOGUE_FAMILIES,
    FamilyChoice,
    FeatureConfig,
    Limits,
    TsfreshChoice,
    selected,
)
from services.features.feature import Family
from services.features.plan import FIXED_BYTES, plan
from tests.features.frames import HOUR, awkward_walk, random_walk, with_reference
from tests.features.real_frames import real_frame
from tests.features.whole import EVERYTHING, generated, planned

NOTHING = {family.value: FamilyChoice(enabled=False) for family in CATALOGUE_FAMILIES}
FUNDING = ["funding_rate", "funding_time", "funding_rate_missing"]
INTEREST = ["open_interest", "open_interest_time", "open_interest_missing"]
CANDLES = ["open", "high", "low", "close", "volume"]


def changed(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """The features of which a value is not the same to the bit."""
    assert list(before) == list(after)
    return [name for name in before if not np.array_equal(before[name], after[name], equal_nan=True)]


@pytest.mark.parametrize("bars", [130, 700, 1100])
@pytest.mark.parametrize("make", [random_walk, awkward_walk])
def test_the_past_of_every_feature_is_the_same_before_the_future_exists(make, bars: int):
    frame = make(21, 1200)
    cut = generated(frame.iloc[:bars], EVERYTHING)
    assert changed(generated(frame, EVERYTHING)[list(cut)].iloc[:bars], cut) == []


@given(seed=st.integers(0, 2**16), bars=st.integers(200, 1100))
@settings(max_examples=8)
def test_the_past_of_every_feature_is_the_same_in_another_future(seed: int, bars: int):
    frame, other = awkward_walk(seed, 1200), random_walk(seed + 1, 1200, price=1.0)
    another = pd.concat([frame.iloc[:bars], other.iloc[bars:]])
    assert changed(generated(frame, EVERYTHING).iloc[:bars], generated(another, EVERYTHING).iloc[:bars]) == []


def test_the_future_that_was_changed_does_change():
    frame, other = random_walk(1, 1200), random_walk(2, 1200, price=1.0)
    another = pd.concat([frame.iloc[:1000], other.iloc[1000:]])
    before, after = generated(frame, EVERYTHING).iloc[1000:], generated(another, EVERYTHING).iloc[1000:]
    same = set(before) - set(changed(before, after))
    clock = {feature.name for feature in selected(EVERYTHING) if feature.family is Family.CALENDAR}
    # All values of a walk are different, and it seldom pays to be long and overbought.
    constant = {name for name in before if name.endswith("to_time_series_length")}
    assert same <= clock | constant | {"funding_overbought", "funding_oversold"}


def test_real_bars_have_no_future_either():
    frame = real_frame("2023-10-15", "2024-01-31")
    cut = generated(frame.iloc[:1800], EVERYTHING)
    assert changed(generated(frame, EVERYTHING).iloc[:1800], cut) == []


@pytest.mark.parametrize("make", [random_walk, awkward_walk])
def test_a_value_does_not_depend_on_where_the_history_starts(make):
    frame = make(31, 2400)
    warm = max(feature.history_bars(24) for feature in selected(EVERYTHING))
    later = generated(frame.iloc[777:], EVERYTHING).iloc[warm:]
    assert changed(generated(frame, EVERYTHING).iloc[777 + warm :], later) == []


def test_rows_past_the_warm_up_know_every_feature_and_the_row_before_does_not():
    frame = random_walk(41, 1500)
    warm = planned(frame, EVERYTHING).warm_up_bars
    values = generated(frame, EVERYTHING)
    assert np.isfinite(values.iloc[warm:]).all(axis=None)
    assert np.isnan(values.iloc[warm - 1]).any()


def test_the_warm_up_of_settlements_is_counted_on_the_bars():
    config = FeatureConfig(**NOTHING | {"market": FamilyChoice(features=("funding_rate_mean_21",))})
    frame = random_walk(41, 600)
    warm = planned(frame, config).warm_up_bars
    assert warm == 20 * 8 - 1  # the first bar shows a settlement that seven more bars show
    assert np.isfinite(generated(frame, config).iloc[warm:]).all(axis=None)
    assert np.isnan(generated(frame, config).iloc[:warm]).all(axis=None)


def test_a_history_shorter_than_the_warm_up_is_all_warm_up():
    assert planned(random_walk(1, 30), EVERYTHING).warm_up_bars == 30
    config = FeatureConfig(**NOTHING | {"market": FamilyChoice(features=("funding_rate_mean_21",))})
    assert planned(random_walk(1, 30), config).warm_up_bars == 30


def test_names_are_unique_and_in_the_order_of_families():
    names = planned(random_walk(1, 300), EVERYTHING).names
    assert len(set(names)) == len(names)
    assert names[: len(selected(EVERYTHING))] == tuple(feature.name for feature in selected(EVERYTHING))
    assert names[-1].startswith("w100__volume__")


@pytest.mark.parametrize("lost", [FUNDING, INTEREST, FUNDING + INTEREST])
def test_features_whose_source_is_absent_are_left_out_and_named(lost: list[str]):
    frame = random_walk(3, 900)
    work = planned(frame.drop(columns=lost), EVERYTHING)
    omitted = {omission.name: omission.missing_column for omission in work.omitted}
    needing = {feature.name for feature in selected(EVERYTHING) if set(feature.inputs) & set(lost)}
    assert set(omitted) == needing
    assert needing
    assert set(omitted.values()) <= set(lost)
    assert not needing & set(work.names)


def test_a_source_without_a_single_value_counts_as_absent():
    frame = random_walk(3, 900)
    empty = frame.assign(funding_rate=np.nan, funding_time=pd.NaT, open_interest=np.nan)
    assert (
        planned(empty, EVERYTHING).names == planned(frame.drop(columns=FUNDING + INTEREST), EVERYTHING).names
    )


def test_a_source_that_starts_late_is_missing_before_and_not_filled():
    frame = random_walk(3, 1000)
    late = frame.assign(open_interest=frame.open_interest.where(np.arange(1000) >= 500))
    values = generated(late, EVERYTHING)
    interest = [feature.name for feature in selected(EVERYTHING) if "open_interest" in feature.inputs]
    assert np.isnan(values[interest].iloc[:500]).all(axis=None)
    assert np.isfinite(values[interest].iloc[-100:]).all(axis=None)


def test_a_feature_asked_for_by_name_is_not_left_out_silently():
    config = FeatureConfig(market=FamilyChoice(features=("funding_rate", "open_interest_change_1")))
    with pytest.raises(FailedPrecondition, match="open_interest_change_1 needs open_interest") as refused:
        planned(random_walk(3, 100).drop(columns=INTEREST), config)
    assert refused.value.subject == "open_interest_change_1"
    assert refused.value.reason is Reason.TOO_LITTLE_DATA


def test_rolling_windows_of_an_absent_column_are_left_out_and_named():
    config = FeatureConfig(tsfresh=TsfreshChoice(True, (24,), ("close", "open_interest"), ("mean", "c3")))
    work = planned(random_walk(3, 100).drop(columns=INTEREST), config)
    assert "w24__close__mean" in work.names
    rolled = [omission for omission in work.omitted if omission.name.startswith("w24")]
    assert [omission.name for omission in rolled] == [
        f"w24__open_interest__{name}" for name in ("mean", "c3__lag_1", "c3__lag_2", "c3__lag_3")
    ]
    assert {omission.missing_column for omission in rolled} == {"open_interest"}


def test_nothing_left_to_compute_is_refused():
    config = FeatureConfig(**NOTHING | {"market": FamilyChoice()})
    with pytest.raises(FailedPrecondition, match="funding_rate, open_interest"):
        planned(random_walk(3, 100)[CANDLES], config)


def test_a_frame_without_bars_is_refused():
    with pytest.raises(FailedPrecondition, match="no bars"):
        planned(random_walk(3, 100).iloc[:0], EVERYTHING)


@pytest.mark.parametrize(
    ("limits", "subject", "said"),
    [
        (Limits(max_rows=99), "config.limits.max_rows", "100 and config.limits.max_rows is 99"),
        (Limits(max_features=10), "config.limits.max_features", "is 10"),
        (Limits(max_memory_bytes=1024**2), "config.limits.max_memory_bytes", "1,048,576"),
    ],
)
def test_a_limit_that_would_break_is_named_before_anything_is_computed(
    limits: Limits, subject: str, said: str
):
    bars = 100 if "memory" not in subject else 2000
    config = FeatureConfig(tsfresh=TsfreshChoice(enabled=True), limits=limits)
    with pytest.raises(ResourceExhausted, match=said) as refused:
        planned(random_walk(1, bars), config)
    assert refused.value.subject == subject
    assert refused.value.reason is Reason.LIMIT_EXCEEDED


def test_the_memory_forecast_covers_the_result_and_grows_with_the_bars():
    small, large = planned(random_walk(1, 300), EVERYTHING), planned(random_walk(1, 600), EVERYTHING)
    assert large.memory_bytes - FIXED_BYTES == 2 * (small.memory_bytes - FIXED_BYTES)
    assert small.memory_bytes > 300 * len(small.names) * 8


@pytest.mark.parametrize("family", [*CATALOGUE_FAMILIES, Family.TSFRESH, None])
def test_the_work_takes_no_more_memory_than_was_forecast(family: Family | None):
    config = FeatureConfig(
        **{each.value: FamilyChoice(family in (each, None)) for each in CATALOGUE_FAMILIES},
        tsfresh=TsfreshChoice(family in (Family.TSFRESH, None), (24, 100)),
    )
    generated(with_reference(random_walk(1, 300)), config)  # what is loaded once is not the work's
    columns = Columns(with_reference(random_walk(1, 20_000)), HOUR)
    gc.collect()
    tracemalloc.start()
    try:
        work = plan(config, columns, 0)
        for _ in engine.compute(work, columns, lambda: 0.0):
            pass
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < work.memory_bytes


def test_time_is_told_by_family_and_fractions_never_fall():
    columns = Columns(random_walk(1, 300), HOUR)
    work = plan(EVERYTHING, columns, 0)
    ticks = iter(range(10**6))
    *steps, chunk = engine.compute(work, columns, lambda: float(next(ticks)))
    assert isinstance(chunk, engine.Chunk)
    fractions = [step[0] for step in steps if not isinstance(step, engine.Chunk)]
    assert fractions == sorted(fractions)
    assert fractions[0] > 0.0
    assert fractions[-1] <= 1.0
    for family in CATALOGUE_FAMILIES:
        assert chunk.seconds[family] == sum(feature.family is family for feature in work.features)
    blocks = len(columns.borders) - 1  # a pass is looked at after each of them, and at its end
    assert chunk.seconds[Family.TSFRESH] == len(work.passes) * (blocks + 1)


def test_a_caller_who_stops_listening_stops_the_work():
    computed = []
    columns = Columns(random_walk(1, 300), HOUR)
    steps = engine.compute(plan(EVERYTHING, columns, 0), columns, lambda: computed.append(1) or 0.0)
    next(steps)
    steps.close()
    assert len(computed) == 2  # the clock before and after the first feature


@pytest.mark.parametrize("timeframe", [timedelta(minutes=5), timedelta(days=1)])
def test_other_timeframes_give_every_feature(timeframe: timedelta):
    frame = random_walk(5, 1500)
    frame.index = pd.date_range("2015-01-01", periods=1500, freq=timeframe, tz="UTC", name="open_time")
    frame = frame.assign(funding_time=frame.index.floor("8h") if timeframe < HOUR else frame.index)
    values = generated(frame, EVERYTHING, timeframe)
    funding = [feature.name for feature in selected(EVERYTHING) if "funding_time" in feature.inputs]
    assert np.isfinite(values.drop(columns=funding).iloc[-1]).all()
