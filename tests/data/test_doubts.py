"""The rules about doubtful rows and absent ones, against brute force and on small histories."""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.data.checks import Checked
from services.data.quality.doubts import (
    Doubt,
    Thresholds,
    disconnected,
    doubtful_rows,
    doubts,
    runs,
    unit_changes,
)
from services.data.quality.findings import Severity, duration_text
from services.data.quality.intervals import schedule_of
from services.data.quality.repairs import ACTIONS_MAX, TIMES_MAX, Action, Remedy, planned
from services.data.quality.rules import content_sha256, inspect_given, inspect_stored
from services.data.revisions import Rows
from services.data.series import CANDLES, FUNDING_RATES, HOUR_US, MINUTE_US, OPEN_INTEREST, Series

BARS = Series(CANDLES, "binance", "BTC/USDT:USDT", "1m")
RATES = BARS.sibling(FUNDING_RATES)
INTEREST = BARS.sibling(OPEN_INTEREST)
LATER = 2**60
NONE = np.empty(0, np.int64)


def walk(count: int, *, step: float = 1e-3, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Bars of a random walk, each opening where the last one closed."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(random.normal(0, step, count).cumsum())
    opened = np.append(100.0, close[:-1])
    high, low = np.maximum(opened, close) * 1.0001, np.minimum(opened, close) * 0.9999
    return (opened, high, low, close, *(1 + random.random(count) for _ in range(4)))


def minutes(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int64) * MINUTE_US


def found(series: Series, times: np.ndarray, columns: tuple, **more: object) -> dict[str, Doubt]:
    return {doubt.rule: doubt for doubt in doubts(series, times, columns, Thresholds(**more))}


def stored(series: Series, times: np.ndarray, columns: tuple, marked: np.ndarray = NONE, **more: object):
    rows = Rows(times, columns, np.full(len(times), LATER))
    return inspect_stored(series, rows, marked, int(times[-1]) + MINUTE_US, **more)


def finding(inspection, rule: str):
    [one] = [each for each in inspection.findings if each.rule == rule]
    return one


@given(st.lists(st.booleans(), max_size=60))
def test_runs_are_those_that_going_through_one_by_one_finds(flags):
    starts, counts = runs(np.array(flags, np.bool_))
    expected, position = [], 0
    for flag, group in groupby(flags):
        length = len(list(group))
        if flag:
            expected.append((position, length))
        position += length
    assert list(zip(starts.tolist(), counts.tolist(), strict=True)) == expected


@given(
    st.sets(st.integers(0, 80), min_size=2),
    st.sets(st.integers(0, 80)),
)
def test_absent_bars_are_those_that_nothing_is_known_of(present, marked):
    marked = marked - present
    times, marks = (np.array(sorted(each), np.int64) * MINUTE_US for each in (present, marked))
    inspection = stored(BARS, times, (np.ones(len(times)),) * 8, marks)
    known = present | marked
    absent = set(range(min(known), max(known) + 1)) - known
    gaps = [each for each in inspection.findings if each.rule == "gap"]
    assert sum(each.count for each in gaps) == len(absent)
    spans = [span for each in gaps for span in each.spans.tolist()]
    assert {time // MINUTE_US for start, end in spans for time in range(start, end, MINUTE_US)} == absent
    told = [each for each in inspection.findings if each.rule == "marked_missing"]
    assert sum(each.count for each in told) == len(marked)
    marked_spans = [span for each in told for span in each.spans.tolist()]
    assert {t // MINUTE_US for start, end in marked_spans for t in range(start, end, MINUTE_US)} == marked


def test_a_spike_is_a_jump_there_and_back_and_a_quiet_walk_has_none():
    columns = walk(500)
    assert "jump" not in found(BARS, minutes(500), columns)
    close = columns[3].copy()
    close[200] *= 1.1
    jump = found(BARS, minutes(500), (*columns[:3], close, *columns[4:]))["jump"]
    assert (jump.field, jump.starts.tolist()) == ("close", [200, 201])
    assert "jump" not in found(BARS, minutes(500), (*columns[:3], close, *columns[4:]), jump_z=1000.0)


def test_a_return_over_absent_bars_may_be_as_large_as_their_root():
    columns, times = walk(500), minutes(500)
    close = columns[3].copy()
    close[300:] *= 1.05  # about fifty deviations
    moved = (*columns[:3], close, *columns[4:])
    assert found(BARS, times, moved)["jump"].starts.tolist() == [300]
    times[300:] += 100 * MINUTE_US
    assert "jump" not in found(BARS, times, moved)


def test_where_most_changes_are_none_the_others_say_what_is_usual():
    random = np.random.default_rng(1)
    rates = np.full(400, 1e-4)
    rates[::8] += random.normal(0, 1e-5, 50)
    times = np.arange(400) * 8 * HOUR_US
    assert "jump" not in found(RATES, times, (rates, rates))
    rates[203] = 0.01
    assert found(RATES, times, (rates, rates))["jump"].starts.tolist() == [203, 204]
    assert not found(RATES, times, (np.full(400, 1e-4), rates))  # nothing moves at all
    assert not found(RATES, times[:20], (rates[195:215], rates[:20]))  # too few to say what is usual


def test_bars_without_volume_and_bars_that_repeat_are_told_by_run():
    opened, high, low, close, volume, *rest = walk(200)
    volume[[10, 50, 51, 52, 53, 199]] = 0
    for column in (opened, high, low, close):
        column[51:55] = column[50]
    volume[120] = np.nan  # unknown is not none
    told = found(BARS, minutes(200), (opened, high, low, close, volume, *rest))
    assert told["zero_volume_run"].rows().tolist() == [50, 51, 52, 53]
    assert told["zero_volume"].rows().tolist() == [10, 199]
    assert told["flat_run"].rows().tolist() == [51, 52, 53, 54]
    longer = found(BARS, minutes(200), (opened, high, low, close, volume, *rest), zero_volume_run_bars=5)
    assert "zero_volume_run" not in longer
    assert longer["zero_volume"].rows().tolist() == [10, 50, 51, 52, 53, 199]


def test_bars_of_another_source_open_away_from_the_close_before():
    columns = walk(2000)
    assert not list(disconnected(minutes(2000), columns, MINUTE_US))
    opened = columns[0].copy()
    opened[[700, 701]] *= 1.0008  # below one usual return
    [doubt] = disconnected(minutes(2000), (opened, *columns[1:]), MINUTE_US)
    assert doubt.rows().tolist() == [700, 701]


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_a_unit_change_lasts_and_a_spike_does_not(factor):
    values = 1000 + np.random.default_rng(0).random(100)
    assert not len(unit_changes(values, 10.0))
    changed = values.copy()
    changed[60:] *= factor
    assert unit_changes(changed, 10.0).tolist() == [60]
    assert not len(unit_changes(changed, 2000.0))
    assert not len(unit_changes(changed[:62], 10.0))  # two rows do not last
    spike = values.copy()
    spike[60] *= factor
    assert not len(unit_changes(spike, 10.0))
    spike[60] = 0.0
    assert not len(unit_changes(spike, 10.0))


def test_doubtful_rows_are_told_by_their_place_in_the_call():
    columns = tuple(column.copy() for column in walk(100))
    columns[4][[20, 60]] = 0
    times = minutes(100)
    positions = np.random.default_rng(3).permutation(100)
    count, told = doubtful_rows(BARS, Checked(times, columns, 0, 0, (), positions))
    assert count == 2
    assert [(one.row, one.field, one.rule, one.value) for one in told] == [
        (row, "volume", "zero_volume", "0.0") for row in sorted(positions[[20, 60]].tolist())
    ]
    assert doubtful_rows(BARS, Checked(times[:1], tuple(c[:1] for c in columns), 0, 0, ())) == (0, ())
    count, _ = doubtful_rows(BARS, Checked(times[20:21], tuple(c[20:21] for c in columns), 0, 0, ()))
    assert count == 1  # one bar is enough to see that it has no volume


def hours(*stretches: tuple[int, int]) -> np.ndarray:
    """Times of stretches of (count, hours apart)."""
    apart = [space for count, space in stretches for _ in range(count)]
    return np.append(0, np.cumsum(apart)).astype(np.int64) * HOUR_US


def test_an_interval_that_changes_is_a_change_and_not_gaps():
    times = hours((20, 8), (30, 4))
    schedule = schedule_of(times + np.arange(len(times)) % 2 * 1000)  # stamped a millisecond late at times
    assert schedule.spacing_us == 4 * HOUR_US
    assert not len(schedule.hole_rows)
    assert schedule.change_rows.tolist() == [21]
    assert (schedule.before_us.tolist(), schedule.after_us.tolist()) == ([8 * HOUR_US], [4 * HOUR_US])


def test_settlements_are_absent_by_the_interval_kept_there():
    times = hours((10, 8), (1, 24), (10, 8), (10, 4), (1, 8), (10, 4))
    schedule = schedule_of(times)
    assert schedule.hole_rows.tolist() == [10, 31]
    assert schedule.absent_counts.tolist() == [2, 1]
    assert schedule.change_rows.tolist() == [22]


def test_a_feed_without_an_interval_has_no_absent_observations():
    times = np.cumsum(np.random.default_rng(0).integers(1, 10**6, 300)) * 1_000_000
    schedule = schedule_of(times)
    assert not len(schedule.hole_rows)
    assert not len(schedule.change_rows)


def test_funding_that_goes_from_eight_hours_to_four_is_told_as_that():
    times = hours((20, 8), (30, 4))
    rates = np.full(len(times), 1e-4)
    inspection = stored(RATES, times, (rates, rates))
    change = finding(inspection, "interval_change")
    assert change.severity is Severity.INFO
    assert [place.value for place in change.places] == ["8 h to 4 h"]
    assert [each.rule for each in inspection.findings] == ["interval_change"]


def test_marked_settlements_are_not_absent():
    times = hours((40, 8))
    rates = np.full(41, 1e-4)
    kept = np.delete(np.arange(41), [10, 11])
    gap = finding(stored(RATES, times[kept], (rates[kept], rates[kept])), "settlement_gap")
    assert (gap.severity, gap.count, gap.places_count) == (Severity.ERROR, 2, 1)
    inspection = stored(RATES, times[kept], (rates[kept], rates[kept]), times[[10, 11]])
    assert [each.rule for each in inspection.findings] == ["marked_missing"]


def test_a_bar_stored_before_its_close_and_never_after_it_is_told_once_it_is_over():
    times, columns = minutes(3), walk(3)
    captured = np.array([LATER, MINUTE_US + 1, 2 * MINUTE_US + 1])
    looked = inspect_stored(BARS, Rows(times, columns, captured), NONE, 2 * MINUTE_US + 1)
    assert finding(looked, "never_closed").count == 1
    looked = inspect_stored(BARS, Rows(times, columns, captured), NONE, 3 * MINUTE_US)
    assert finding(looked, "never_closed").count == 2


def test_a_feed_is_stale_by_its_own_spacing_unless_told_otherwise():
    times, columns = minutes(5), walk(5)
    rows = Rows(times, columns, np.full(5, LATER))
    newest = int(times[-1])

    def rules(now: int, **more: object) -> list[str]:
        return [each.rule for each in inspect_stored(BARS, rows, NONE, now, **more).findings]

    assert rules(newest + 3 * MINUTE_US) == []
    assert rules(newest + 3 * MINUTE_US + 1) == ["stale"]
    assert rules(newest + HOUR_US, thresholds=Thresholds(stale_after_us=HOUR_US)) == []
    assert rules(newest + HOUR_US, end_us=newest + MINUTE_US) == []


def test_given_rows_are_told_by_every_rule_that_an_ingest_refuses_them_by():
    times, columns = minutes(60), [column.copy() for column in walk(60)]
    columns[1][5] = columns[2][5] / 2  # high below everything
    columns[3][6] = -1.0
    columns[0][7] = np.nan
    times[8] += 1
    times[9] = LATER + MINUTE_US * 7
    times[11] = times[10]
    columns_again = [np.append(column, column[20]) for column in columns]
    times = np.append(times, times[20])
    looked = inspect_given(BARS, times, tuple(columns_again), LATER)
    counts = {each.rule: each.count for each in looked.findings if each.severity is Severity.ERROR}
    assert counts == {
        "high_below_open": 1,
        "high_below_close": 1,
        "high_below_low": 1,
        "low_above_close": 1,
        "positive": 1,
        "required": 1,
        "off_grid": 1,
        "future": 1,
        "duplicate_differs": 2,
        "gap": 7,
    }
    assert finding(looked, "duplicate").count == 1
    assert finding(looked, "order").count == 1
    assert finding(looked, "positive").places[0].value == "close -1.0"
    assert looked.row_count == 61


@given(st.permutations(range(30)), st.lists(st.integers(0, 29), max_size=5))
def test_the_digest_of_content_is_that_of_the_stored_rows_whatever_the_order_and_repeats(order, again):
    times, columns = minutes(30), walk(30)
    digest = content_sha256(CANDLES, times, columns)
    places = np.array([*order, *again])
    given_rows = inspect_given(BARS, times[places], tuple(column[places] for column in columns), LATER)
    assert given_rows.content_sha256 == digest
    other = columns[0].copy()
    other[7] = np.nextafter(other[7], 0)
    assert content_sha256(CANDLES, times, (other, *columns[1:])) != digest
    assert content_sha256(CANDLES, times[:-1], tuple(column[:-1] for column in columns)) != digest


def test_a_plan_joins_near_gaps_for_the_exchange_and_never_marks_what_is_there():
    times = np.delete(minutes(10_000), [5, 9, 9_000])
    looked = stored(BARS, times, (np.ones(len(times)),) * 8, thresholds=Thresholds())
    refetched = planned(BARS, looked.findings, MINUTE_US, can_refetch=True)
    spans = [(each.start_us // MINUTE_US, each.end_us // MINUTE_US) for each in refetched]
    assert spans == [(5, 10), (9_000, 9_001)]
    assert {each.remedy for each in refetched} == {Remedy.REFETCH}
    assert sum(each.rows_count for each in refetched) == 3
    marks = planned(BARS, looked.findings, MINUTE_US, can_refetch=False)
    assert [(each.remedy, each.start_us // MINUTE_US, each.end_us // MINUTE_US) for each in marks] == [
        (Remedy.MARK_MISSING, place, place + 1) for place in (5, 9, 9_000)
    ]


def test_a_plan_fits_in_one_request():
    apart = 2_000
    times = np.delete(minutes(300 * apart), np.arange(1, 299) * apart)
    looked = stored(BARS, times, (np.ones(len(times)),) * 8)
    refetched = planned(BARS, looked.findings, MINUTE_US, can_refetch=True)
    assert 0 < len(refetched) <= ACTIONS_MAX
    covered = [
        place
        for place in np.arange(1, 299) * apart * MINUTE_US
        for each in refetched
        if each.start_us <= place < each.end_us
    ]
    assert len(covered) == 298
    marks = planned(BARS, looked.findings, MINUTE_US, can_refetch=False)
    # Too many to mark one by one: what is absent in a range, where the rows between stay.
    assert marks == [Action(Remedy.MARK_ABSENT, apart * MINUTE_US, (298 * apart + 1) * MINUTE_US, "gap", 298)]


def test_a_long_gap_is_planned_in_parts_that_one_action_takes():
    times = np.array([0, (2 * TIMES_MAX + 5) * MINUTE_US], np.int64)
    looked = stored(BARS, times, (np.ones(2),) * 8)
    parts = planned(BARS, looked.findings, MINUTE_US, can_refetch=False)
    assert [(each.end_us - each.start_us) // MINUTE_US for each in parts] == [TIMES_MAX, TIMES_MAX, 4]
    assert parts[0].start_us == MINUTE_US
    assert parts[-1].end_us == times[-1]


def test_nothing_can_be_marked_where_no_row_is_nor_asked_of_no_exchange():
    times = np.delete(hours((40, 8)), 10)
    rates = np.full(len(times), 1e-4)
    looked = stored(RATES, times, (rates, rates))
    assert planned(RATES, looked.findings, looked.spacing_us, can_refetch=False) == []
    [action] = planned(RATES, looked.findings, looked.spacing_us, can_refetch=True)
    assert action == Action(Remedy.REFETCH, 72 * HOUR_US + 1, 88 * HOUR_US, "settlement_gap", 1)


def test_lengths_of_time_are_told_in_their_own_unit():
    told = [duration_text(seconds * 1_000_000) for seconds in (8 * 3600, 90, 60, 1.5, 86_400, 216_000)]
    assert told == ["8 h", "90 s", "1 min", "1.5 s", "1 d", "2.5 d"]


def test_open_interest_in_another_unit_is_told_with_its_row():
    times = np.arange(200, dtype=np.int64) * HOUR_US
    values = 80_000 + np.random.default_rng(0).normal(0, 50, 200).cumsum()
    values[120:] *= 100
    change = finding(stored(INTEREST, times, (values, values)), "unit_change")
    assert (change.severity, change.count) == (Severity.WARNING, 1)
    assert change.places[0].time_us == times[120]


presence = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=60)


@given(presence, st.integers(1, 40))
def test_a_plan_covers_every_gap_and_marks_no_row_that_is_there(stretches, spread):
    present, time = [], 0
    for rows_count, absent_count in stretches:
        present += range(time, time + rows_count)
        time += rows_count + absent_count * spread * 100
    times = np.array(present, np.int64) * MINUTE_US
    looked = stored(BARS, times, (np.ones(len(times)),) * 8)
    absent = set(range(present[-1])) - set(present)
    marks = planned(BARS, looked.findings, MINUTE_US, can_refetch=False)
    marked = {time for one in marks for time in range(one.start_us // MINUTE_US, one.end_us // MINUTE_US)}
    assert marked == absent
    assert sum(one.rows_count for one in marks) == len(absent)
    asked = planned(BARS, looked.findings, MINUTE_US, can_refetch=True)
    assert len(asked) <= ACTIONS_MAX
    covered = {time for one in asked for time in range(one.start_us // MINUTE_US, one.end_us // MINUTE_US)}
    assert covered >= absent
    assert sum(one.rows_count for one in asked) == len(absent)
    for plan in (marks, asked):
        assert all(before.end_us <= after.start_us for before, after in pairwise(plan))


numbers = st.floats() | st.sampled_from([0.0, -0.0, 1.0, 5e-324, 1.7e308, np.inf, -np.inf, np.nan])
stamps = st.integers(-5, 40).map(lambda minute: minute * MINUTE_US) | st.sampled_from(
    [-(2**63), -(2**63) + 1, -(2**63) + 2, 2**62, LATER, LATER - 1, 1, 59]
)


@given(
    st.sampled_from([BARS, RATES, INTEREST]),
    st.lists(st.tuples(stamps, numbers, numbers), max_size=60),
    st.integers(1, 5),
)
def test_any_rows_at_all_can_be_looked_at(series, rows, places_max):
    times = np.array([row[0] for row in rows], np.int64)
    columns = tuple(
        np.array([row[1 + position % 2] for row in rows], np.float64)
        for position in range(len(series.kind.columns))
    )
    looked = inspect_given(series, times, columns, LATER, places_max=places_max)
    assert looked.row_count == len(rows)
    for one in looked.findings:
        assert 0 < len(one.places) == min(places_max, one.places_count)
        assert one.places_count <= one.count
        assert sum(one.counts.tolist()) == one.count
        assert all(place.time_us is None or place.time_us >= 0 for place in one.places)
    severities = [one.severity for one in looked.findings]
    assert severities == sorted(severities, reverse=True)


@given(st.lists(st.floats(0, 1.7e308), min_size=32, max_size=60))
def test_numbers_as_large_as_they_come_are_no_reason_to_fail(values):
    times, column = np.arange(len(values), dtype=np.int64) * HOUR_US, np.array(values)
    list(doubts(INTEREST, times, (column, column)))
    positive = np.maximum(column, 5e-324)
    list(doubts(BARS, times, (positive,) * 8))
    list(disconnected(times, (positive,) * 8, HOUR_US))
