"""Which rows cannot be true: every rule on the values of candles, funding rates and open interest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.data.revisions import Times, Values
from services.data.series import CANDLES, FUNDING_RATES, Kind, Series, grid_offset_us

# Times that are none, written into the array of times so that the rules below name their rows.
ABSENT_US = -(2**63)
INEXACT_US = ABSENT_US + 1
FUNDING_RATE_MAX = 1.0

_WHAT = {
    "required": "must be given",
    "microseconds": "must be whole microseconds",
    "range": "must not be before 1970-01-01",
    "future": "must not be later than the capture of the rows",
    "off_grid": "must lie on the grid of the timeframe",
    "finite": "must be finite",
    "positive": "must be positive",
    "negative": "must not be negative",
    "fraction": "must be a fraction from -1 to 1",
    "high_below_open": "must not be below the open",
    "high_below_close": "must not be below the close",
    "high_below_low": "must not be below the low",
    "low_above_open": "must not be above the open",
    "low_above_close": "must not be above the close",
    "duplicate_differs": "must not be there twice with different values",
}

Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fault:
    """The first rule that a row breaks. `row` counts from 0 over the whole call."""

    row: int
    field: str
    rule: str
    value: str

    @property
    def path(self) -> str:
        return f"rows[{self.row}].{self.field}"

    @property
    def description(self) -> str:
        return f"{_WHAT[self.rule]}, not {self.value}."


@dataclass(frozen=True)
class Checked:
    """Rows fit to be stored, by strictly increasing time, and those that are not. `positions` are the places
    of the former in the call, None when each row is where it was."""

    times: Times
    columns: tuple[Values, ...]
    repeated_count: int
    bad_count: int
    faults: tuple[Fault, ...]
    positions: Positions | None = None


def check_rows(
    series: Series, times: Times, columns: tuple[Values, ...], latest_us: int, faults_max: int = 100
) -> Checked:
    """Find the rows that cannot be true, order the others by time and leave repeats out.

    Parameters
    ----------
    series
        Its kind says which rules hold, its timeframe the grid.
    times
        Microseconds since 1970 UTC, in any order, or `ABSENT_US`, `INEXACT_US`.
    columns
        As `Kind.columns`; NaN is absent.
    latest_us
        When the rows were captured: none may be later.
    faults_max
        How many faults to describe; all are counted.
    """
    columns = tuple(canonical(column) for column in columns)
    bad = np.zeros(len(times), np.bool_)
    found: list[tuple[int, str, str]] = []
    for field, rule, broken in broken_rules(series, times, columns, latest_us):
        _note(found, bad, field, rule, broken, faults_max)

    order = np.argsort(times, kind="stable") if (times[1:] <= times[:-1]).any() else np.arange(len(times))
    order = order[~bad[order]]
    repeats = np.zeros(len(order), np.bool_)
    if len(order) > 1 and (times[order][1:] == times[order][:-1]).any():
        repeats, differing = repeated_rows(times[order], tuple(column[order] for column in columns))
        broken = np.zeros(len(times), np.bool_)
        broken[order[differing]] = True
        _note(found, bad, series.kind.time_column, "duplicate_differs", broken, faults_max)
        repeats &= ~differing
    good = order[~bad[order] & ~repeats]
    is_whole = len(good) == len(times) and bool((good == np.arange(len(times))).all())
    faults = [
        Fault(row, field, rule, text_of(series.kind, row, field, times, columns))
        for row, field, rule in sorted(found)[:faults_max]
    ]
    return Checked(
        times if is_whole else times[good],
        columns if is_whole else tuple(column[good] for column in columns),
        int(repeats.sum()),
        int(bad.sum()),
        tuple(faults),
        None if is_whole else good,
    )


def broken_rules(
    series: Series, times: Times, columns: tuple[Values, ...], latest_us: int
) -> Iterator[tuple[str, str, Mask]]:
    """Field, rule and the rows that break it, for each rule that one row can break by itself."""
    kind = series.kind
    yield kind.time_column, "required", times == ABSENT_US
    yield kind.time_column, "microseconds", times == INEXACT_US
    yield kind.time_column, "range", times < 0
    yield kind.time_column, "future", times > latest_us
    if series.step_us:
        yield kind.time_column, "off_grid", times % series.step_us != grid_offset_us(series.timeframe)
    for position, (name, values) in enumerate(zip(kind.columns, columns, strict=True)):
        if position < kind.required_count:
            yield name, "required", np.isnan(values)
        yield name, "finite", np.isinf(values)
        if kind is FUNDING_RATES and name == "funding_rate":
            yield name, "fraction", np.abs(values) > FUNDING_RATE_MAX
        elif name == "mark_price" or (kind is CANDLES and position < kind.required_count):
            yield name, "positive", values <= 0
        else:
            yield name, "negative", values < 0
    if kind is CANDLES:
        opened, high, low, close = columns[:4]
        yield "high", "high_below_open", high < opened
        yield "high", "high_below_close", high < close
        yield "high", "high_below_low", high < low
        yield "low", "low_above_open", low > opened
        yield "low", "low_above_close", low > close


def _note(
    found: list[tuple[int, str, str]], bad: Mask, field: str, rule: str, broken: Mask, faults_max: int
) -> None:
    if not broken.any():
        return
    fresh = np.flatnonzero(broken & ~bad)
    found += [(int(row), field, rule) for row in fresh[:faults_max]]
    bad |= broken


def repeated_rows(times: Times, columns: tuple[Values, ...]) -> tuple[Mask, Mask]:
    """Of rows ordered by time: those that repeat an earlier one, those whose time has different values."""
    same_time = np.append(False, times[1:] == times[:-1])
    contradicts = np.zeros(len(times), np.bool_)
    for column in columns:
        bits = column.view(np.int64)
        contradicts[1:] |= same_time[1:] & (bits[1:] != bits[:-1])
    group = np.cumsum(~same_time)
    return same_time, np.isin(group, group[contradicts])


def canonical(values: Values) -> Values:
    """One NaN and no negative zero, so that equal values are equal bits."""
    values = values + 0.0
    absent = np.isnan(values)
    if absent.any():
        values[absent] = np.nan
    return values


def what_is_wrong(rule: str) -> str:
    """What a rule asks, as in `must be positive`."""
    return _WHAT[rule]


def text_of(kind: Kind, row: int, field: str, times: Times, columns: tuple[Values, ...]) -> str:
    """A value of a row as text."""
    if field != kind.time_column:
        return repr(float(columns[kind.columns.index(field)][row]))
    if times[row] == ABSENT_US:
        return "absent"
    if times[row] == INEXACT_US:
        return "a finer time"
    return f"{np.datetime64(int(times[row]), 'us')}Z"
