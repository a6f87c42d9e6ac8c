"""What a collection tells: how far each series is, and how it ended."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from services.data.checks import Fault
from services.data.quality.doubts import DOUBTFUL_ROWS_MAX
from services.data.revisions import Counts
from services.data.series import DAY_US, Series, open_after, open_before
from services.data.uploads import Piece, Report

FAULTS_MAX = 100
NOTHING = Report(0, Counts(), 0, (), None, None)


@dataclass(frozen=True)
class CollectionRequest:
    """What to collect. None: from the oldest row that the exchange gives; up to now."""

    series: tuple[Series, ...]
    start_us: int | None = None
    end_us: int | None = None


@dataclass(frozen=True)
class SeriesProgress:
    """How far one series is; see CollectionProgress of the contract."""

    series: Series
    report: Report
    missing_count: int
    fraction: float
    remaining_seconds: float | None = None
    waiting_for: str = ""


@dataclass(frozen=True)
class SeriesOutcome:
    """How one series ended."""

    series: Series
    report: Report
    missing_count: int
    failure: str = ""
    failure_reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class Tally:
    """The running sums of one series."""

    series: Series
    begin_us: int = 0
    end_us: int = 0
    report: Report = NOTHING
    rows_count: int = 0  # stored or found stored, each time once
    fraction: float = 0.0
    notes: list[str] = field(default_factory=list)

    def begin(self, begin_us: int, end_us: int) -> None:
        """What is to be done."""
        self.begin_us, self.end_us = begin_us, end_us

    def advance(self, cursor_us: int) -> None:
        """Everything before the cursor is done."""
        span_us = self.end_us - self.begin_us
        done = (cursor_us - self.begin_us) / span_us if span_us > 0 else 1.0
        self.fraction = max(self.fraction, min(1.0, done))

    def add(self, report: Report) -> None:
        """A page was stored."""
        self.rows_count += report.received_count - report.rejected_count
        self.report = joined(self.report, report)

    def add_repeats(self, count: int) -> None:
        """Rows of a page that its later rows say again."""
        counts = self.report.counts + Counts(unchanged=count)
        received_count = self.report.received_count + count
        self.report = dataclasses.replace(self.report, received_count=received_count, counts=counts)

    @property
    def missing_count(self) -> int:
        """Bars absent between the first and the newest row."""
        return self.series.missing_count(self.report.first_time_us, self.report.last_time_us, self.rows_count)

    def note(self, sentence: str) -> None:
        """Say something once."""
        if sentence not in self.notes:
            self.notes.append(sentence)


def joined(one: Report, other: Report) -> Report:
    """The report of two pages, the second one after the first."""
    moved = tuple(dataclasses.replace(fault, row=fault.row + one.received_count) for fault in other.faults)
    faults: tuple[Fault, ...] = (one.faults + moved)[:FAULTS_MAX]
    doubts = tuple(dataclasses.replace(doubt, row=doubt.row + one.received_count) for doubt in other.doubtful)
    firsts = [time_us for time_us in (one.first_time_us, other.first_time_us) if time_us is not None]
    lasts = [time_us for time_us in (one.last_time_us, other.last_time_us) if time_us is not None]
    return dataclasses.replace(
        other,
        received_count=one.received_count + other.received_count,
        counts=one.counts + other.counts,
        rejected_count=one.rejected_count + other.rejected_count,
        faults=faults,
        first_time_us=min(firsts, default=None),
        last_time_us=max(lasts, default=None),
        doubtful_count=one.doubtful_count + other.doubtful_count,
        doubtful=(one.doubtful + doubts)[:DOUBTFUL_ROWS_MAX],
    )


def without_repeats(piece: Piece) -> tuple[Piece, int, int]:
    """The rows of a page ordered by time, the last of each time; how many were left out, and how many of
    those said other values."""
    times = piece.times
    is_last = np.append(times[1:] != times[:-1], np.ones(min(1, len(times)), np.bool_))
    left_out = np.flatnonzero(~is_last)
    differs = np.zeros(len(left_out), np.bool_)
    for column in piece.columns:
        one, other = column[left_out], column[left_out + 1]
        differs |= (one != other) & ~(np.isnan(one) & np.isnan(other))
    kept = Piece(times[is_last], tuple(column[is_last] for column in piece.columns))
    return kept, len(left_out), int(differs.sum())


def joined_pieces(one: Piece, other: Piece) -> Piece:
    """The rows of both, the second after the first."""
    columns = zip(one.columns, other.columns, strict=True)
    return Piece(np.concatenate([one.times, other.times]), tuple(np.concatenate(parts) for parts in columns))


def grid_floor(series: Series, time_us: int) -> int:
    """The open of the bar that is open at a time; the time itself for series without bars."""
    return open_before(time_us, series.timeframe) if series.step_us else time_us


def grid_ceiling(series: Series, time_us: int) -> int:
    """The first open at or after a time; the time itself for series without bars."""
    return open_after(time_us, series.timeframe) if series.step_us else time_us


def days_text(time_us: int) -> str:
    """`29 days` or `12 hours`."""
    days = time_us / DAY_US
    return f"{days:.0f} days" if days >= 2 else f"{time_us / DAY_US * 24:.0f} hours"
