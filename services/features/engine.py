"""The work itself, a chunk of bars after the other, each with the history that its features look back on.

Chunks begin where a block of the grid of bars begins (`columns.BLOCK_BARS`). What a value follows from lies
in its own block and in the bars its feature looks back on, so that any chunks give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from services.features.columns import Columns, Rows
from services.features.feature import Family
from services.features.pieces import Shared, Team
from services.features.plan import Group, Plan
from services.features.rolling.engine import Pass

Step = tuple[float, str]
Clock = Callable[[], float]
LOOK_SECONDS = 0.05  # between looks whether the rest is still wanted, while others compute


@dataclass(frozen=True, eq=False)
class Chunk:
    """`values` of the bars from `start` to `stop`, good until the next chunk is asked for; and the seconds
    each family took for them."""

    start: int
    stop: int
    values: Rows
    seconds: dict[Family, float]


def compute(plan: Plan, columns: Columns, now: Clock, first: int = 0) -> Iterator[Step | Chunk]:
    """Do the work for the bars from `first` on: `(fraction of it done, family)` after each piece, and each
    chunk as soon as it is done.

    The caller looks between pieces at whether it still wants the rest, and otherwise closes the iterator.
    """
    chunks = spans(plan, columns, first)
    values = nothing_yet(plan)
    count = columns.bars - chunks[0][0]
    for start, stop in chunks:
        seconds = dict.fromkeys(Family, 0.0)
        done, share = (start - chunks[0][0]) / count, (stop - start) / count
        for fraction, stage in fill(plan, columns, start, stop, values, seconds, now):
            yield done + share * fraction, stage
        begin = max(start, first)
        leave_out(values, begin - start)
        yield Chunk(begin, stop, values, seconds)


def spans(plan: Plan, columns: Columns, first: int = 0) -> list[tuple[int, int]]:
    """The chunks `(start, stop)` of the bars from `first` on, which is in the first of them."""
    borders = columns.borders
    start, found = int(borders[np.searchsorted(borders, first, "right") - 1]), []
    while start < columns.bars:
        at = np.searchsorted(borders, start + plan.chunk_bars, "right") - 1
        stop = int(borders[at])
        if stop == start:  # only where a chunk is smaller than a block
            stop = int(borders[at + 1])
        found.append((start, stop))
        start = stop
    return found


def nothing_yet(plan: Plan) -> Rows:
    """What one chunk after the other is filled into, so that each lets go of the one before as it grows."""
    return [np.empty(0)] * len(plan.names)


def leave_out(values: Rows, bars: int) -> None:
    """Go without the first bars."""
    if bars:
        values[:] = [row[bars:] for row in values]


def fill(
    plan: Plan,
    columns: Columns,
    start: int,
    stop: int,
    values: Rows,
    seconds: dict[Family, float],
    now: Clock,
    team: Team | None = None,
) -> Iterator[Step]:
    """Put the features at the bars from `start`, where a block begins, to `stop` into `values`, in place of
    what is there; yields the fraction done after each piece and adds to `seconds`.

    A `team` computes the passes; else they are computed here.
    """
    count = len(plan.features) + sum(len(rolling.names) for rolling in plan.passes)
    done = 0.0
    shared = None
    if team is not None:
        shared = team.begun(plan, columns, start, stop)
        for rolling in plan.passes:
            for _, row in plan.wanted_of(rolling):
                values[row] = np.empty(stop - start)
    for group in plan.groups:
        for step in _fill_group(group, plan, columns, start, stop, values, seconds, now):
            if shared is not None:
                done += _take(shared, plan, values, start, stop, 0.0)
            done += step
            yield done / count, group.family.value
    started = now()
    while shared is not None and not shared.is_over:
        done += _take(shared, plan, values, start, stop, LOOK_SECONDS)
        yield done / count, Family.TSFRESH.value
    if shared is not None:
        seconds[Family.TSFRESH] += now() - started
        return
    for rolling in plan.passes:
        size = len(rolling.names)
        for share in _fill_pass(rolling, plan, columns, start, stop, values, seconds, now):
            yield (done + size * share) / count, Family.TSFRESH.value
        done += size


def _take(shared: Shared, plan: Plan, values: Rows, start: int, stop: int, wait_seconds: float) -> float:
    """Put what others have done into `values`; how many features that is, of all bars."""
    done = 0.0
    for piece, computed in shared.finished(wait_seconds):
        some = slice(piece.start - start, piece.stop - start)
        for index, row in plan.wanted_of(piece.rolling):
            values[row][some] = computed[index]
        done += len(computed) * (piece.stop - piece.start) / (stop - start)
    return done


def _fill_group(
    group: Group,
    plan: Plan,
    columns: Columns,
    start: int,
    stop: int,
    values: Rows,
    seconds: dict[Family, float],
    now: Clock,
) -> Iterator[int]:
    """Yields 1 for each feature."""
    shared = columns.between(max(0, start - group.history_bars), stop)
    for feature in group.features:
        started = now()
        values[plan.rows[feature.name]] = feature.compute(shared)[start - stop :]
        seconds[group.family] += now() - started
        yield 1


def _fill_pass(
    rolling: Pass,
    plan: Plan,
    columns: Columns,
    start: int,
    stop: int,
    values: Rows,
    seconds: dict[Family, float],
    now: Clock,
) -> Iterator[float]:
    """Yields the share done."""
    started = now()
    part = columns.between(max(0, start - rolling.window + 1), stop)  # a block begins at `start`
    computed = np.empty((len(rolling.names), part.bars))
    for bars in rolling.run(part[rolling.column], part.bar_numbers, computed):
        seconds[Family.TSFRESH] += now() - started
        yield bars / part.bars
        started = now()
    for index, row in plan.wanted_of(rolling):
        values[row] = computed[index, start - stop :].copy()  # without its window's history
    seconds[Family.TSFRESH] += now() - started
    yield 1.0
