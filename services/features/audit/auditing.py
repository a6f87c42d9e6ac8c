"""The audit of a plan on a frame: everything looked at cheaply, what looks wrong looked at again in full.

The cheap look compares the values that the whole frame gives with those from strung stretches (`lanes.py`): a
feature is given the bars it claims to look back on and nothing else, first with nothing after the bar, then
with another future. Equal values follow from nothing but those bars. A feature with a value that differs is a
suspect, and named when the check itself confirms it: on the whole history cut off, on the whole history with
another future, as the newest bar.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from services.features import engine
from services.features.answer import Progress
from services.features.audit.choices import Choices, other_future
from services.features.audit.findings import AuditSummary, Comparison, LeakCheck, LeakFinding, differ
from services.features.audit.lanes import LANE_ROWS, Pool, Rows, Stretch, pooled, strung
from services.features.columns import BLOCK_BARS, Columns, Floats
from services.features.plan import SHARED_SHARE, VALUE_BYTES, Plan
from services.features.source import FRAME_COLUMNS

CUT_ROWS = 32  # looked at before each cut
FUTURE_ROWS = 32  # of another future that follow them
CONFIRMED_TOGETHER = 16  # suspects whose values at every bar are held at a time
_BATCH_SHARE, _LOOK_SHARE = 0.3, 0.9  # of progress, when the values and the cheap look are done

# Copies of a source that one with another future is made with.
SOURCE_COPIES = 3

Told = Progress | LeakFinding | AuditSummary


@dataclass(frozen=True, eq=False)
class Share:
    """Columns of a plan that look back equally far, as a plan of their own."""

    plan: Plan
    history_bars: int

    @property
    def count(self) -> int:
        """How many columns are computed; a pass may compute more than are wanted."""
        return len(self.plan.features) + sum(len(rolling.names) for rolling in self.plan.passes)


def audit(
    plan: Plan,
    columns: Columns,
    frame: pd.DataFrame,
    choices: Choices,
    look: Callable[[], None],
    now: Callable[[], float],
) -> Iterator[Told]:
    """Progress and findings, last the summary.

    Parameters
    ----------
    plan, columns, frame
        What is computed, on this frame of at least two bars.
    look
        Called between pieces of work; raises when it shall not go on.
    now
        A clock in seconds that never falls.
    """
    started = now()
    yield Progress(0.0, "computing")
    looked_at = _looked_at(choices)
    batch = yield from _batch(plan, columns, looked_at, look, now)
    batch_seconds = now() - started
    pool, stretches = _stretches(frame, columns, choices)
    shares = _shares(plan)
    suspects: list[tuple[Share, list[str]]] = []
    for position, share in enumerate(shares):
        rows = [plan.rows[name] for name in share.plan.names]
        wrong = _wrong(share, pool, stretches, looked_at, batch[rows], look)
        if wrong:
            suspects.append((share, wrong))
        done = (position + 1) / len(shares)
        yield Progress(_BATCH_SHARE + (_LOOK_SHARE - _BATCH_SHARE) * done, "comparing")
    offenders: set[str] = set()
    for share, names in suspects:
        for start in range(0, len(names), CONFIRMED_TOGETHER):
            some = tuple(names[start : start + CONFIRMED_TOGETHER])
            for finding in _confirmed(share, some, columns, frame, choices, look):
                offenders.add(finding.feature)
                yield finding
    yield Progress(1.0, "done")
    yield AuditSummary(
        row_count=columns.bars,
        feature_count=len(plan.names),
        offender_count=len(offenders),
        omitted=plan.omitted,
        seconds=now() - started,
        batch_seconds=batch_seconds,
    )


def memory_bytes(plan: Plan, bars: int, source_bytes: int) -> int:
    """What an audit holds at a time at the most."""
    confirmed = SOURCE_COPIES * source_bytes + 2 * CONFIRMED_TOGETHER * bars * VALUE_BYTES
    lanes = [
        (LANE_ROWS + share.history_bars) * (2 * len(FRAME_COLUMNS) + (1 + SHARED_SHARE) * share.count)
        for share in _shares(plan)
    ]
    return plan.memory_bytes + confirmed + max(lanes) * VALUE_BYTES


def _looked_at(choices: Choices) -> Rows:
    """The rows of the source that are compared, ascending."""
    before = [np.arange(max(0, cut - CUT_ROWS), cut) for cut in choices.cuts]
    return np.unique(np.concatenate([*before, np.array(choices.live, dtype=np.intp)])).astype(np.intp)


def _batch(
    plan: Plan,
    columns: Columns,
    looked_at: Rows,
    look: Callable[[], None],
    now: Callable[[], float],
) -> Generator[Progress, None, Floats]:
    """The values (features, rows looked at) as GenerateFeatures gives them."""
    values = np.empty((len(plan.names), looked_at.size))
    for step in engine.compute(plan, columns, now):
        look()
        if isinstance(step, engine.Chunk):
            first, last = np.searchsorted(looked_at, (step.start, step.stop))
            at = looked_at[first:last] - step.start
            for row, computed in zip(values, step.values, strict=True):
                row[first:last] = computed[at]
            yield Progress(_BATCH_SHARE * step.stop / columns.bars, "computing")
    return values


def _stretches(frame: pd.DataFrame, columns: Columns, choices: Choices) -> tuple[Pool, list[Stretch]]:
    """The stretches that end at what is looked at, and those before cuts again with another future."""
    stretches = [Stretch(row, row + 1) for row in choices.live]
    futures: list[pd.DataFrame] = []
    first = len(frame)
    for cut in choices.cuts:
        future = other_future(frame, cut, min(cut + FUTURE_ROWS, len(frame)), choices)
        before = max(0, cut - CUT_ROWS)
        stretches += [Stretch(before, cut), Stretch(before, cut, range(first, first + len(future)))]
        futures.append(future)
        first += len(future)
    return pooled(frame, futures, columns.timeframe), stretches


def _shares(plan: Plan) -> list[Share]:
    """The plan's features by how far they look back, and its passes."""
    by_history: dict[int, list[str]] = {}
    for feature in plan.features:
        by_history.setdefault(feature.history_bars(plan.bars_per_day), []).append(feature.name)
    shares = [_share(plan, names, history) for history, names in by_history.items()]
    for rolling in plan.passes:
        names = [name for name in rolling.names if name in plan.rows]
        shares.append(_share(plan, names, rolling.window - 1 + BLOCK_BARS - 1))
    return shares


def _share(plan: Plan, names: Sequence[str], history_bars: int) -> Share:
    wanted = frozenset(names)
    own = dataclasses.replace(
        plan,
        names=tuple(names),
        features=tuple(feature for feature in plan.features if feature.name in wanted),
        passes=tuple(rolling for rolling in plan.passes if not wanted.isdisjoint(rolling.names)),
    )
    return Share(own, history_bars)


def _wrong(
    share: Share,
    pool: Pool,
    stretches: Sequence[Stretch],
    looked_at: Rows,
    batch: Floats,
    look: Callable[[], None],
) -> list[str]:
    """The names with a value that differs on strung stretches."""
    wrong = np.zeros(len(batch), dtype=np.bool_)
    for lane in strung(pool, stretches, share.history_bars):
        values = _computed(share.plan, pool.columns(lane), look)
        places, rows = np.concatenate(lane.places), np.concatenate(lane.looked_at)
        whole = batch[:, np.searchsorted(looked_at, rows)]
        wrong |= differ(whole, values[:, places]).any(axis=1)
    return [name for name, is_wrong in zip(share.plan.names, wrong, strict=True) if is_wrong]


def _confirmed(
    share: Share,
    names: tuple[str, ...],
    columns: Columns,
    frame: pd.DataFrame,
    choices: Choices,
    look: Callable[[], None],
) -> Iterator[LeakFinding]:
    """The findings of these suspects, which are of one share."""
    own = _share(share.plan, names, share.history_bars).plan
    whole = _computed(own, columns.fresh(), look)
    typical = [float(np.nanmedian(np.abs(row))) if not np.isnan(row).all() else 0.0 for row in whole]
    held = {
        check: [Comparison(name, check, size) for name, size in zip(names, typical, strict=True)]
        for check in LeakCheck
    }

    def hold(check: LeakCheck, other: Floats, rows: slice) -> None:
        for comparison, batch, values in zip(held[check], whole, other, strict=True):
            comparison.hold(columns.open_time[rows], batch[rows], values)

    for cut in choices.cuts:
        before = slice(0, cut)
        hold(LeakCheck.TRUNCATION, _computed(own, columns.between(0, cut), look), before)
        changed = pd.concat([frame.iloc[:cut], other_future(frame, cut, len(frame), choices)])
        other = _computed(own, Columns(changed, columns.timeframe), look)
        hold(LeakCheck.PERTURBATION, other[:, before], before)
    for row in choices.live:
        newest = columns.between(max(0, row - share.history_bars), row + 1)
        hold(LeakCheck.LIVE, _computed(own, newest, look)[:, -1:], slice(row, row + 1))
    for comparisons in zip(*held.values(), strict=True):
        yield from (found for each in comparisons if (found := each.finding()) is not None)


def _computed(plan: Plan, columns: Columns, look: Callable[[], None]) -> Floats:
    """Values (features, bars) of every bar."""
    values = np.empty((len(plan.names), columns.bars))
    for step in engine.compute(plan, columns, lambda: 0.0):
        look()
        if isinstance(step, engine.Chunk):
            for row, computed in zip(values, step.values, strict=True):
                row[step.start : step.stop] = computed
    return values
