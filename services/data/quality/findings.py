"""Findings: one rule that rows break, where, and one sentence about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from services.data.checks import text_of
from services.data.quality.doubts import Places
from services.data.revisions import Times, Values
from services.data.series import DAY_US, HOUR_US, MINUTE_US, Series

_LATEST_US = 253_402_300_800_000_000  # the year 10000
_UNITS = ((DAY_US, "d"), (HOUR_US, "h"), (MINUTE_US, "min"), (1_000_000, "s"))


class Severity(IntEnum):
    """How much a finding matters, by the contract's numbers."""

    INFO = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True)
class Place:
    """A row, or a stretch of rows or absent bars before `end_us`. A row without a time has none."""

    time_us: int | None
    end_us: int | None
    rows_count: int
    value: str


@dataclass(frozen=True)
class Finding:
    """What breaks one rule. `places` are the first ones; `spans` are all of them as rows [start, end) in
    microseconds, `counts` how many rows each is about."""

    rule: str
    severity: Severity
    count: int
    places_count: int
    places: tuple[Place, ...]
    description: str
    spans: Times
    counts: Times


@dataclass(frozen=True)
class Evidence:
    """Rows, of which findings are made. `places_max` places are told of each."""

    series: Series
    times: Times
    columns: tuple[Values, ...]
    places_max: int

    def of_rows(
        self, rule: str, severity: Severity, field: str, starts: Places, counts: Places | None, said: str
    ) -> Iterator[Finding]:
        """The finding of stretches of rows, by position; of single rows without `counts`. None of no rows.

        `said` may name the {count} of rows and of {places}.
        """
        if not len(starts):
            return
        lengths = np.ones(len(starts), np.intp) if counts is None else counts
        step_us = self.series.step_us or 1
        begins, ends = self.times[starts], self.times[starts + lengths - 1] + step_us
        places = []
        for start, length in zip(starts[: self.places_max].tolist(), lengths.tolist(), strict=False):
            value = text_of(self.series.kind, start, field, self.times, self.columns)
            time_us = int(self.times[start]) if is_time(self.times[start]) else None
            end_us = int(self.times[start + length - 1]) + step_us if length > 1 else None
            places.append(Place(time_us, end_us, length, f"{field} {value}"))
        yield _finding(rule, severity, lengths, places, said, np.column_stack([begins, ends]))

    def of_spans(
        self,
        rule: str,
        severity: Severity,
        spans: Times,
        counts: Times,
        said: str,
        values: list[str] | None = None,
    ) -> Iterator[Finding]:
        """The finding of stretches of time, each with the number of rows that it is about."""
        if not len(spans):
            return
        told = zip(spans[: self.places_max].tolist(), counts.tolist(), strict=False)
        places = [
            Place(start_us, end_us, count, values[position] if values else "")
            for position, ((start_us, end_us), count) in enumerate(told)
        ]
        yield _finding(rule, severity, counts, places, said, spans)


def is_time(times: Any) -> Any:
    """Which times are some, and can be told: those of rows that were given may be anything."""
    return (times >= 0) & (times < _LATEST_US)


def duration_text(length_us: int) -> str:
    """`8 h`, `90 s`, `2.5 d`."""
    for unit_us, name in _UNITS:
        if length_us >= 2 * unit_us or length_us == unit_us:
            return f"{length_us / unit_us:.4g} {name}"
    return f"{length_us / 1_000_000:.4g} s"


def _finding(
    rule: str, severity: Severity, counts: Times, places: list[Place], said: str, spans: Times
) -> Finding:
    count = int(counts.sum())
    sentence = said.format(count=f"{count:,}", places=f"{len(counts):,}")
    return Finding(rule, severity, count, len(counts), tuple(places), sentence, spans, counts)
