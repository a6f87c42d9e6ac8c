"""The audit names what sees the future and by how much, and nothing else."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.features.audit import AuditSummary, LeakCheck, LeakFinding, audit, chosen
from services.features.audit.choices import Choices, Future, other_future
from services.features.audit.findings import Comparison
from services.features.audit.lanes import Stretch, pooled, strung
from services.features.columns import Columns
from services.features.config import FamilyChoice, FeatureConfig, TsfreshChoice
from services.features.expressions import Expression
from services.features.feature import Feature
from services.features.plan import plan
from services.features.presets import PRESETS
from services.features.source import VALUE_COLUMNS
from tests.features.frames import HOUR, awkward_walk, random_walk, still, with_reference
from tests.features.planted import (
    CENTRED_WINDOW,
    FILLED_BACKWARDS,
    FUTURE_SHIFT,
    LEAKS,
    OVERREACHING,
    RESAMPLE_AT_START,
    SHORT_EMA,
    SINCE_THE_START,
    WHOLE_ZSCORE,
    with_planted,
)
from tests.features.real_frames import real_frame

SMALL = FeatureConfig(
    technical=FamilyChoice(features=("rsi_14", "true_range")),
    statistical=FamilyChoice(features=("close_mean_20",)),
    series=FamilyChoice(features=("close_lag_6",)),
    market=FamilyChoice(features=("funding_rate_mean_3", "open_interest_change_6")),
    calendar=FamilyChoice(enabled=False),
    tsfresh=TsfreshChoice(enabled=True, columns=("close",)),
    expressions=(Expression("pull", "zscore(close / ema(close, 24), 48)"),),
)
CUTS = (500, 777, 1001)
CHOICES = Choices(CUTS, (450, 640, 1100), 7)


def audited(
    frame: pd.DataFrame,
    config: FeatureConfig,
    features: Sequence[Feature] = (),
    choices: Choices | None = None,
    timeframe: timedelta = HOUR,
) -> tuple[dict[tuple[str, LeakCheck], LeakFinding], AuditSummary]:
    columns = Columns(frame, timeframe)
    planned = with_planted(plan(config, columns, 0), features)
    chose = choices or chosen(len(frame), planned.warm_up_bars, 5, 20, 1)
    *told, last = audit(planned, columns, frame, chose, lambda: None, lambda: 0.0)
    found = [each for each in told if isinstance(each, LeakFinding)]
    assert isinstance(last, AuditSummary)
    assert last.offender_count == len({each.feature for each in found})
    assert last.feature_count == len(planned.names)
    by_check = {(each.feature, each.check): each for each in found}
    assert len(by_check) == len(found)
    return by_check, last


@pytest.mark.parametrize("feature", [*LEAKS, *OVERREACHING], ids=lambda feature: feature.name)
def test_each_planted_fault_alone_is_named_and_nothing_else(feature: Feature):
    found, _ = audited(random_walk(3, 1200), SMALL, (feature,))
    assert {name for name, _ in found} == {feature.name}


def test_planted_faults_are_named_all_together_by_the_checks_that_show_them():
    found, summary = audited(random_walk(3, 1200), SMALL, (*LEAKS, *OVERREACHING), CHOICES)
    for feature in LEAKS:
        assert (feature.name, LeakCheck.TRUNCATION) in found, feature.name
        assert (feature.name, LeakCheck.PERTURBATION) in found, feature.name
    for feature in OVERREACHING:
        assert {check for name, check in found if name == feature.name} == {LeakCheck.LIVE}, feature.name
    assert summary.offender_count == len(LEAKS) + len(OVERREACHING)


@pytest.mark.parametrize(
    ("feature", "row"),
    [
        (FUTURE_SHIFT, CUTS[0] - 3),
        (CENTRED_WINDOW, CUTS[0] - 4),
        (RESAMPLE_AT_START, CUTS[1] - 1),
        (WHOLE_ZSCORE, 0),
    ],
    ids=lambda value: value.name if isinstance(value, Feature) else "",
)
def test_the_first_wrong_bar_is_told_with_both_values(feature: Feature, row: int):
    frame = random_walk(3, 1200)
    found, _ = audited(frame, SMALL, (feature,), CHOICES)
    finding = found[feature.name, LeakCheck.TRUNCATION]
    batch = feature.compute(Columns(frame, HOUR))
    cut = next(cut for cut in CUTS if cut > row)
    other = feature.compute(Columns(frame.iloc[:cut], HOUR))
    assert finding.open_time == frame.index[row]
    assert finding.batch_value == batch[row]
    assert finding.other_value == other[row] or (math.isnan(finding.other_value) and np.isnan(other[row]))


def test_a_value_that_is_missing_on_one_side_is_infinitely_wrong_and_a_small_one_small():
    frame = random_walk(3, 1200)
    found, _ = audited(frame, SMALL, (FUTURE_SHIFT, SHORT_EMA), CHOICES)
    assert found["future_shift", LeakCheck.TRUNCATION].size == math.inf
    assert found["future_shift", LeakCheck.TRUNCATION].wrong_bars == 3 * len(CUTS)
    warm = found["short_ema", LeakCheck.LIVE]
    assert 1e-6 < warm.size < 0.1
    assert warm.wrong_bars == len(CHOICES.live)
    assert warm.open_time == frame.index[CHOICES.live[0]]


def test_a_fault_that_only_missing_values_show_is_found():
    """Filled from the next bar that is known: wrong where the next bars are holes."""
    found, _ = audited(random_walk(5, 1200), SMALL, (FILLED_BACKWARDS,))
    assert (FILLED_BACKWARDS.name, LeakCheck.PERTURBATION) in found


def test_without_live_bars_what_reaches_too_far_back_is_not_called_a_leak():
    found, _ = audited(random_walk(3, 1200), SMALL, (SHORT_EMA, SINCE_THE_START), Choices(CUTS, (), 7))
    assert found == {}


@given(seed=st.integers(0, 2**16), choice=st.integers(0, 2**31))
@settings(max_examples=8)
def test_nothing_is_named_where_nothing_leaks_on_any_awkward_history(seed: int, choice: int):
    frame = awkward_walk(seed, 900)
    found, _ = audited(frame, SMALL, choices=chosen(900, 300, 3, 5, choice))
    assert found == {}


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_preset_is_clean_on_real_bars(preset: str):
    frame = real_frame("2023-12-01", "2024-04-30")
    found, summary = audited(frame, PRESETS[preset].config, choices=chosen(len(frame), 1100, 2, 3, 11))
    assert found == {}
    assert summary.row_count == len(frame)


def test_the_default_is_clean_on_holed_and_still_bars():
    for frame in (awkward_walk(9, 1500), still(1200)):
        assert audited(frame, FeatureConfig())[0] == {}


def test_bars_that_are_not_there_change_nothing():
    frame = random_walk(6, 1500)
    gaps = np.random.default_rng(2).random(len(frame)) < 0.03
    assert audited(frame[~gaps], SMALL)[0] == {}


@pytest.mark.parametrize("bars", [5, 30])
def test_a_short_history_is_audited_as_far_as_it_goes(bars: int):
    found, summary = audited(random_walk(1, bars), SMALL, (FUTURE_SHIFT,))
    assert summary.row_count == bars
    assert {name for name, _ in found} == {"future_shift"}


def test_two_bars_are_enough_to_look_at():
    found, summary = audited(random_walk(1, 2), SMALL)
    assert (found, summary.row_count) == ({}, 2)


def test_choices_are_the_seeds_alone_and_lie_past_the_warm_up():
    one, again, other = (chosen(5000, 600, 5, 20, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert (len(one.cuts), len(one.live)) == (5, 20)
    assert min(*one.cuts, *one.live) > 600
    assert max(*one.cuts, *one.live) < 5000
    assert list(one.cuts) == sorted(set(one.cuts))


def test_another_future_is_another_one_in_every_number_and_keeps_its_times():
    frame = with_reference(random_walk(4, 400))
    choices = Choices((100, 200, 300), (), 5)
    assert {choices.future(cut) for cut in choices.cuts} == set(Future)
    for cut in choices.cuts:
        future = other_future(frame, cut, 400, choices)
        assert future.index.equals(frame.index[cut:])
        for name in VALUE_COLUMNS:
            assert not np.array_equal(future[name], frame[name].iloc[cut:]), (cut, name)
        assert future["funding_time"].equals(frame["funding_time"].iloc[cut:])
        whole = future.dropna()
        assert (whole["high"] >= whole[["open", "close", "low"]].max(axis=1)).all()


@given(
    st.lists(st.tuples(st.integers(0, 190), st.integers(1, 9)), min_size=1, max_size=12),
    st.integers(0, 60),
)
@settings(max_examples=50)
def test_strung_stretches_keep_their_rows_their_history_and_an_order_of_times(
    spans: list[tuple[int, int]], history: int
):
    frame = random_walk(1, 200)
    pool = pooled(frame, [], HOUR)
    stretches = [Stretch(start, start + size) for start, size in spans]
    seen = []
    for lane in strung(pool, stretches, history):
        strung_frame = lane.frame(pool)
        assert strung_frame.index.is_monotonic_increasing
        assert strung_frame.index.is_unique
        places, rows = np.concatenate(lane.places), np.concatenate(lane.looked_at)
        pd.testing.assert_frame_equal(
            strung_frame.iloc[places], frame.iloc[rows], check_freq=False, check_dtype=False
        )
        for part, at in zip(lane.looked_at, lane.places, strict=True):
            first = max(0, int(part[0]) - history)
            before = strung_frame.iloc[int(at[0]) - (int(part[0]) - first) : int(at[0])]
            assert list(before.index) == list(frame.index[first : part[0]])
            nothing = strung_frame.iloc[int(at[0]) - (int(part[0]) - first) - 1]
            assert np.isnan(nothing["close"])
        seen += [(int(part[0]), int(part[-1]) + 1) for part in lane.looked_at]
    assert sorted(seen) == sorted((each.start, each.stop) for each in stretches)


def test_a_difference_is_told_against_what_the_feature_usually_is():
    times = pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC")
    held = Comparison("x", LeakCheck.LIVE, 10.0)
    held.hold(times, np.array([1.0, np.nan, 0.0]), np.array([1.0, np.nan, 0.5]))
    finding = held.finding()
    assert finding == LeakFinding("x", LeakCheck.LIVE, times[2], 0.0, 0.5, 0.05, 1)
    held.hold(times[:1], np.array([100.0]), np.array([150.0]))
    finding = held.finding()
    assert finding is not None
    assert (finding.open_time, finding.wrong_bars) == (times[0], 2)
    assert finding.size == pytest.approx(1 / 3)


def test_work_that_nobody_waits_for_stops():
    class Gone(Exception):
        pass

    frame = random_walk(3, 1200)
    columns = Columns(frame, HOUR)
    planned = plan(dataclasses.replace(SMALL), columns, 0)
    looks = iter(range(10))

    def look() -> None:
        if next(looks, None) is None:
            raise Gone

    with pytest.raises(Gone):
        list(audit(planned, columns, frame, CHOICES, look, lambda: 0.0))
