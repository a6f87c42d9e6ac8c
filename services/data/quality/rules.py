"""What is wrong or doubtful in a series: the rules of CheckQuality, over stored rows and over given ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from services.data.checks import broken_rules, canonical, check_rows, repeated_rows, what_is_wrong
from services.data.quality.doubts import DEFAULTS, Mask, Thresholds, disconnected, doubts
from services.data.quality.findings import Evidence, Finding, Severity, duration_text, is_time
from services.data.quality.intervals import Schedule, schedule_of
from services.data.revisions import Rows, Times, Values, forming
from services.data.series import FUNDING_RATES, Kind, Series

STALE_SPACINGS = 3
PLACES_MAX = 20

_DOUBTS = {
    "jump": (
        Severity.WARNING,
        "Changes beyond JUMP_Z robust standard deviations: {count}.",
    ),
    "zero_volume_run": (Severity.WARNING, "Bars without volume in runs: {count} (runs: {places})."),
    "zero_volume": (Severity.INFO, "Bars without volume, alone or in short runs: {count}."),
    "flat_run": (
        Severity.WARNING,
        "Rows that repeat the one before them: {count} (runs: {places}).",
    ),
    "unit_change": (
        Severity.WARNING,
        "Jumps by a factor that last, as of another unit: {places}.",
    ),
    "disconnected": (
        Severity.WARNING,
        "Bars that open far from the last close, unlike those near: {count}.",
    ),
}


@dataclass(frozen=True)
class Inspection:
    """What was looked at and found, gravest first. Times are None without rows, `spacing_us` below two."""

    row_count: int
    first_time_us: int | None
    last_time_us: int | None
    findings: tuple[Finding, ...]
    content_sha256: str
    spacing_us: int | None


def inspect_stored(
    series: Series,
    rows: Rows,
    marked: Times,
    now_us: int,
    *,
    thresholds: Thresholds = DEFAULTS,
    end_us: int | None = None,
    places_max: int = PLACES_MAX,
    check: Callable[[], None] = lambda: None,
) -> Inspection:
    """Look at stored rows: possible ones, each there once.

    Parameters
    ----------
    marked
        Times marked as missing, in order.
    now_us
        Bars that close later are still open.
    end_us
        Where the range that was looked at ends, if it does: the newest row is only stale by then.
    check
        Called between the rules; raises when nobody waits any more.
    """
    evidence = Evidence(series, rows.times, rows.columns, places_max)
    known = np.union1d(rows.times, marked) if len(marked) else rows.times
    schedule = None if series.step_us else _schedule(known)
    spacing_us = _spacing(series, known, schedule)
    until_us = now_us if end_us is None else min(now_us, end_us)
    found: list[Finding] = []
    for some in (
        _absences(evidence, known, schedule),
        _marks(evidence, marked),
        _never_closed(evidence, rows, now_us),
        _stale(evidence, spacing_us, thresholds, until_us),
        _doubtful(evidence, thresholds),
    ):
        for finding in some:
            check()
            found.append(finding)
    check()
    return _inspection(evidence, found, spacing_us, content_sha256(series.kind, rows.times, rows.columns))


def inspect_given(
    series: Series,
    times: Times,
    columns: tuple[Values, ...],
    now_us: int,
    *,
    thresholds: Thresholds = DEFAULTS,
    places_max: int = PLACES_MAX,
) -> Inspection:
    """Look at rows that may be ingested: in any order, repeats and impossible ones included.

    What an ingest would not store is told by the rules it is refused by; the other rules look at the rest.

    Parameters
    ----------
    times, columns
        As `check_rows` takes them.
    """
    columns = tuple(canonical(column) for column in columns)
    given = Evidence(series, times, columns, places_max)
    found: list[Finding] = []
    bad = np.zeros(len(times), np.bool_)
    for field, rule, broken in broken_rules(series, times, columns, now_us):
        if field == series.kind.time_column:
            broken = broken & ~bad  # a time that is none is not off the grid, too
        said = f"The {field} {what_is_wrong(rule)}; rows where that is not so: {{count}}."
        found += given.of_rows(rule, Severity.ERROR, field, np.flatnonzero(broken), None, said)
        bad |= broken
    found += _order(given, bad)
    rows = check_rows(series, times, columns, now_us, faults_max=0)
    evidence = Evidence(series, rows.times, rows.columns, places_max)
    schedule = None if series.step_us else _schedule(rows.times)
    found += _absences(evidence, rows.times, schedule)
    found += _doubtful(evidence, thresholds)
    digest = content_sha256(series.kind, *_distinct(times, columns))
    return _inspection(given, found, _spacing(series, rows.times, schedule), digest)


def content_sha256(kind: Kind, times: Times, columns: tuple[Values, ...]) -> str:
    """A digest of event times and values, by time: neither blocks nor calls nor captures play a part.

    SHA-256 over the kind's name and columns, the number of rows, the times as int64 (microseconds) and each
    column as float64, all little-endian; there is one NaN and no negative zero.
    """
    digest = hashlib.sha256(f"{kind.name} {' '.join(kind.columns)} {len(times)}\n".encode())
    for array in (times, *columns):
        digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _absences(evidence: Evidence, known: Times, schedule: Schedule | None) -> Iterator[Finding]:
    """Bars absent on the grid; without one, observations absent by the interval that the feed kept."""
    step_us = evidence.series.step_us
    if step_us:
        spaces = np.diff(known)
        places = np.flatnonzero(spaces > step_us)
        spans = np.column_stack([known[places] + step_us, known[places + 1]]) if len(places) else _NO_SPANS
        said = "Bars absent between the first row and the last: {count} (stretches: {places})."
        yield from evidence.of_spans("gap", Severity.ERROR, spans, spaces[places] // step_us - 1, said)
    elif schedule is not None:
        rule = "settlement_gap" if evidence.series.kind is FUNDING_RATES else "gap"
        rows, intervals = schedule.hole_rows, schedule.hole_intervals_us
        spans = np.column_stack([known[rows] + 1, known[rows + 1]]) if len(rows) else _NO_SPANS
        said = "Observations absent by the interval that the feed kept there: {count} (stretches: {places})."
        told = [f"interval {duration_text(each)}" for each in intervals[: evidence.places_max].tolist()]
        yield from evidence.of_spans(rule, Severity.ERROR, spans, schedule.absent_counts, said, told)
        changes = schedule.change_rows
        spans = np.column_stack([known[changes], known[changes] + 1]) if len(changes) else _NO_SPANS
        both = zip(schedule.before_us.tolist(), schedule.after_us.tolist(), strict=True)
        told = [f"{duration_text(before)} to {duration_text(after)}" for before, after in both]
        said = "Changes of the time between observations: {places}."
        counts = np.ones(len(changes), np.int64)
        yield from evidence.of_spans("interval_change", Severity.INFO, spans, counts, said, told)


def _marks(evidence: Evidence, marked: Times) -> Iterator[Finding]:
    step_us = evidence.series.step_us
    if not len(marked):
        return
    starts = np.flatnonzero(np.append(True, np.diff(marked) != step_us))
    counts = np.diff(np.append(starts, len(marked)))
    spans = np.column_stack([marked[starts], marked[starts + counts - 1] + (step_us or 1)])
    said = "Rows marked as missing: {count} (stretches: {places})."
    yield from evidence.of_spans("marked_missing", Severity.INFO, spans, counts, said)


def _never_closed(evidence: Evidence, rows: Rows, now_us: int) -> Iterator[Finding]:
    step_us = evidence.series.step_us
    if step_us:
        never = np.flatnonzero(forming(rows, step_us) & (rows.times + step_us <= now_us))
        said = "Bars stored before they closed and not again since, which frames leave out: {count}."
        yield from evidence.of_rows("never_closed", Severity.ERROR, "close", never, None, said)


def _stale(
    evidence: Evidence, spacing_us: int | None, thresholds: Thresholds, until_us: int
) -> Iterator[Finding]:
    allowed_us = thresholds.stale_after_us or STALE_SPACINGS * (spacing_us or 0)
    if not len(evidence.times) or not allowed_us:
        return
    last_us = int(evidence.times[-1])
    if (age_us := until_us - last_us) > allowed_us:
        said = f"The newest row is {duration_text(age_us)} old, more than {duration_text(allowed_us)}."
        spans = np.array([[last_us, until_us]])
        told = [f"{duration_text(age_us)} old"]
        yield from evidence.of_spans("stale", Severity.WARNING, spans, np.ones(1, np.int64), said, told)


def _doubtful(evidence: Evidence, thresholds: Thresholds) -> Iterator[Finding]:
    series, times, columns = evidence.series, evidence.times, evidence.columns
    found = list(doubts(series, times, columns, thresholds))
    if series.step_us:
        found += disconnected(times, columns, series.step_us)
    for doubt in found:
        severity, said = _DOUBTS[doubt.rule]
        said = said.replace("JUMP_Z", f"{thresholds.jump_z:g}")
        yield from evidence.of_rows(doubt.rule, severity, doubt.field, doubt.starts, doubt.counts, said)


def _order(given: Evidence, bad: Mask) -> Iterator[Finding]:
    """Rows that are there twice, and rows that come after later ones."""
    field = given.series.kind.time_column
    fit = np.flatnonzero(~bad)
    times = given.times[fit]
    earlier = np.flatnonzero(times[1:] < times[:-1]) + 1
    said = "Rows that come after a later one: {count}."
    yield from given.of_rows("order", Severity.INFO, field, fit[earlier], None, said)
    order = fit[np.argsort(times, kind="stable")]
    if len(order) < 2:
        return
    repeats, differing = repeated_rows(given.times[order], tuple(column[order] for column in given.columns))
    said = "Rows that are there again with the same values: {count}."
    equal = np.sort(order[repeats & ~differing])
    yield from given.of_rows("duplicate", Severity.WARNING, field, equal, None, said)
    said = "Rows with a time at which other values are given, too: {count}."
    contradicting = np.sort(order[differing])
    yield from given.of_rows("duplicate_differs", Severity.ERROR, field, contradicting, None, said)


def _distinct(times: Times, columns: tuple[Values, ...]) -> tuple[Times, tuple[Values, ...]]:
    """The rows by time, each once."""
    bits = [column.view(np.int64) for column in columns]
    order = np.lexsort((*reversed(bits), times))
    is_new = np.zeros(len(order), np.bool_)
    is_new[:1] = True
    for array in (times, *bits):
        is_new[1:] |= array[order][1:] != array[order][:-1]
    kept = order[is_new]
    return times[kept], tuple(column[kept] for column in columns)


def _schedule(times: Times) -> Schedule | None:
    return schedule_of(times) if len(times) > 1 else None


def _spacing(series: Series, times: Times, schedule: Schedule | None) -> int | None:
    if len(times) < 2:
        return None
    return series.step_us or (schedule.spacing_us if schedule else None)


def _inspection(evidence: Evidence, found: list[Finding], spacing_us: int | None, digest: str) -> Inspection:
    times = evidence.times[is_time(evidence.times)]
    return Inspection(
        len(evidence.times),
        int(times.min()) if len(times) else None,
        int(times.max()) if len(times) else None,
        tuple(sorted(found, key=lambda finding: -finding.severity)),
        digest,
        spacing_us,
    )


_NO_SPANS = np.empty((0, 2), np.int64)
