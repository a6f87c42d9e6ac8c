"""Rows that are possible but doubtful, found among their neighbours: jumps, runs without volume or movement,
a unit that changed.

The scale of what is usual is robust: 1.4826 times the median absolute deviation from the median, which is
the standard deviation where the distribution is normal (Rousseeuw and Croux 1993). Where more than half of
the changes are equal it is that of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.data.checks import Checked, text_of
from services.data.revisions import Times, Values
from services.data.series import CANDLES, OPEN_INTEREST, Series

MAD_SCALE = 1.4826
CHANGES_MIN = 30  # fewer say nothing of what is usual
CALL_CHANGES_MAX = 65_536  # of an ingest: more would slow it, and tell the same
DOUBTFUL_ROWS_MAX = 100
FLAT_RUN_ROWS = 3
FLAT_RUN_OBSERVATIONS = 6
_LASTING_ROWS = 12  # before and after a change of unit
_LASTING_ROWS_MIN = 3
_NEIGHBOURS_ROWS = 512  # among which an open away from the close before it is told
_USUAL_SHARE = 0.9
_USUAL_FACTOR = 20.0
_RETURN_SHARE = 0.1

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Thresholds:
    """From where on something is doubtful; as the contract's QualityThresholds."""

    jump_z: float = 20.0
    zero_volume_run_bars: int = 3
    stale_after_us: int | None = None
    unit_change_factor: float = 10.0


DEFAULTS = Thresholds()


@dataclass(frozen=True)
class Doubt:
    """Rows that one rule doubts: stretches of `counts` rows from the positions `starts` on."""

    rule: str
    field: str
    starts: Places
    counts: Places

    def rows(self) -> Places:
        """The positions of all rows."""
        ends = np.cumsum(self.counts)
        return np.arange(ends[-1]) - np.repeat(ends - self.counts - self.starts, self.counts)


@dataclass(frozen=True)
class DoubtfulRow:
    """A row of a call that some rule doubts. `row` counts from 0 over the whole call."""

    row: int
    field: str
    rule: str
    value: str


def doubts(
    series: Series,
    times: Times,
    columns: tuple[Values, ...],
    thresholds: Thresholds = DEFAULTS,
    *,
    changes_max: int | None = None,
) -> Iterator[Doubt]:
    """The doubts about rows that could be stored.

    Parameters
    ----------
    times
        Strictly increasing.
    columns
        As `Kind.columns`.
    changes_max
        Estimate what is usual from so many changes at most, evenly spread.
    """
    if not len(times):
        return
    value = columns[CANDLES.columns.index("close")] if series.kind is CANDLES else columns[0]
    field = "close" if series.kind is CANDLES else series.kind.columns[0]
    is_jump = _jumps(series, times, value, thresholds.jump_z, changes_max)
    yield from _single("jump", field, np.flatnonzero(is_jump) + 1)
    if series.kind is CANDLES:
        starts, counts = runs(columns[CANDLES.columns.index("volume")] == 0)
        is_long = counts >= thresholds.zero_volume_run_bars
        yield from _stretches("zero_volume_run", "volume", starts[is_long], counts[is_long])
        yield from _stretches("zero_volume", "volume", starts[~is_long], counts[~is_long])
        yield from _flat("open", columns[: CANDLES.required_count], FLAT_RUN_ROWS)
    if series.kind is OPEN_INTEREST:
        yield from _flat(field, columns[:1], FLAT_RUN_OBSERVATIONS)
        yield from _single("unit_change", field, unit_changes(value, thresholds.unit_change_factor))


def doubtful_rows(
    series: Series, rows: Checked, rows_max: int = DOUBTFUL_ROWS_MAX
) -> tuple[int, tuple[DoubtfulRow, ...]]:
    """How many rows of a call some rule doubts, and the first of them in the order of the call.

    The rules are those of `doubts`; what is usual is estimated from a part of many rows.
    """
    found = list(doubts(series, rows.times, rows.columns, changes_max=CALL_CHANGES_MAX))
    if not found:
        return 0, ()
    rule_of = np.full(len(rows.times), -1, np.int8)
    for number, doubt in reversed(list(enumerate(found))):
        rule_of[doubt.rows()] = number
    places = np.flatnonzero(rule_of >= 0)
    positions = places if rows.positions is None else rows.positions[places]
    order = np.argsort(positions, kind="stable")[:rows_max]
    told = []
    for place, position in zip(places[order].tolist(), positions[order].tolist(), strict=True):
        doubt = found[rule_of[place]]
        value = text_of(series.kind, place, doubt.field, rows.times, rows.columns)
        told.append(DoubtfulRow(position, doubt.field, doubt.rule, value))
    return len(places), tuple(told)


def disconnected(times: Times, columns: tuple[Values, ...], step_us: int) -> Iterator[Doubt]:
    """Bars whose open is far from the close before, where the neighbours' is not, as bars of another source
    are. Far is twenty times what nine in ten of about 512 neighbours keep, and a tenth of a usual return."""
    opened, close = columns[CANDLES.columns.index("open")], columns[CANDLES.columns.index("close")]
    if len(times) <= CHANGES_MIN:
        return
    logs = np.log(close)
    away = np.abs(np.log(opened[1:]) - logs[:-1])
    returns = np.abs(np.diff(logs))
    usual = _USUAL_FACTOR * _of_neighbours(away, _USUAL_SHARE)
    moved = _RETURN_SHARE * MAD_SCALE * _of_neighbours(returns, 0.5)
    is_far = (away > usual) & (away > moved) & (np.diff(times) == step_us)
    yield from _single("disconnected", "open", np.flatnonzero(is_far) + 1)


def unit_changes(values: Values, factor: float) -> Places:
    """Positions from which on values are `factor` times what they were, or that part of it, and stay so."""
    with np.errstate(all="ignore"):  # of numbers as large as they come
        ratio = values[1:] / values[:-1]
        sudden = np.flatnonzero((ratio >= factor) | (ratio <= 1 / factor)) + 1
        found = []
        for position in sudden.tolist():
            before = values[max(0, position - _LASTING_ROWS) : position]
            after = values[position : position + _LASTING_ROWS]
            if len(after) < _LASTING_ROWS_MIN or not np.median(before) or not np.median(after):
                continue
            lasting = np.median(after) / np.median(before)
            if lasting >= factor or lasting <= 1 / factor:
                found.append(position)
    return np.array(found, np.intp)


def runs(mask: Mask) -> tuple[Places, Places]:
    """The stretches where a mask is true: first positions, lengths."""
    if not mask.any():
        return np.empty(0, np.intp), np.empty(0, np.intp)
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return edges[::2], edges[1::2] - edges[::2]


def _jumps(series: Series, times: Times, values: Values, jump_z: float, changes_max: int | None) -> Mask:
    """Which changes are far from the usual. Over absent bars a return is expected to grow with the root of
    their number, as that of a random walk does."""
    if len(values) <= CHANGES_MIN:
        return np.zeros(0, np.bool_)
    with np.errstate(all="ignore"):  # of numbers as large as they come
        changes = np.diff(np.log(values)) if series.kind is CANDLES else np.diff(values)
        sample = changes if changes_max is None else changes[:: -(-len(changes) // changes_max)]
        middle, scale = _middle_and_scale(sample)
        away = np.abs(changes - middle)
    found: Mask = away > jump_z * scale if scale else np.zeros(len(changes), np.bool_)
    if series.step_us and found.any():
        places = np.flatnonzero(found)
        bars = (times[places + 1] - times[places]) / series.step_us
        found[places] = away[places] > jump_z * scale * np.sqrt(bars)
    return found


def _middle_and_scale(changes: Values) -> tuple[float, float]:
    middle = float(np.median(changes))
    away = np.abs(changes - middle)
    scale = float(np.median(away))
    if not scale and (moved := away[away > 0]).size >= CHANGES_MIN:
        scale = float(np.median(moved))
    return middle, MAD_SCALE * scale


def _flat(field: str, columns: tuple[Values, ...], rows_min: int) -> Iterator[Doubt]:
    """Runs of rows that repeat the values of the row before them."""
    same = columns[0][1:] == columns[0][:-1]
    for column in columns[1:]:
        if not same.any():
            return
        same &= column[1:] == column[:-1]
    starts, counts = runs(same)
    is_long = counts >= rows_min
    yield from _stretches("flat_run", field, starts[is_long] + 1, counts[is_long])


def _of_neighbours(values: Values, share: float) -> Values:
    """The quantile of each value's stretch of about 512."""
    pieces = max(1, len(values) // _NEIGHBOURS_ROWS)
    whole = pieces * _NEIGHBOURS_ROWS
    if len(values) < whole:
        return np.full(len(values), np.quantile(values, share))
    found = np.quantile(values[:whole].reshape(pieces, _NEIGHBOURS_ROWS), share, axis=1)
    spread = np.repeat(found, _NEIGHBOURS_ROWS)
    return np.append(spread, np.full(len(values) - whole, found[-1]))


def _single(rule: str, field: str, rows: Places) -> Iterator[Doubt]:
    return _stretches(rule, field, rows, np.ones(len(rows), np.intp))


def _stretches(rule: str, field: str, starts: Places, counts: Places) -> Iterator[Doubt]:
    if len(starts):
        yield Doubt(rule, field, starts, counts)
