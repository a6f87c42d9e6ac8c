"""GetLatestFeatures: the newest bar's features, from just enough history, computed once.

A feature states how far it looks back, and a value follows from that history and the block of the grid it
lies in alone. So the newest bars of a series, as many as the slowest feature needs, give the same bits as all
of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Reason, ResourceExhausted
from services.features import config_rules, engine
from services.features.answer import Latest
from services.features.budget import MemoryBudget
from services.features.columns import BLOCK_BARS, Columns, Floats
from services.features.config import FeatureConfig, passes, selected
from services.features.digest import config_digest
from services.features.generation import READING_SHARE, ROW_BYTES
from services.features.plan import Plan, grouped, plan
from services.features.source import SeriesKey
from services.features.vectors import Kept, Planned, Question, Vectors

Run: TypeAlias = Callable[..., Awaitable[Any]]


class NewestBars(Protocol):
    """What this needs of the data room."""

    async def frame_state(self, key: SeriesKey, reference: SeriesKey | None, as_of: datetime | None) -> str:
        """A word of what `load_newest` reads: told again after rows were read, they are still the same."""

    def load_newest(
        self, key: SeriesKey, reference: SeriesKey | None, as_of: datetime | None, rows_max: int
    ) -> pd.DataFrame:
        """The last bars of a series, those of a reference beside them, as known at `as_of`, at most so
        many."""


class Newest:
    """The newest bars' features, call after call.

    Parameters
    ----------
    data
        The data room.
    budget
        The memory of all computations together.
    vectors
        Those that were computed last.
    """

    def __init__(self, data: NewestBars, budget: MemoryBudget, vectors: Vectors) -> None:
        self._data = data
        self._budget = budget
        self._vectors = vectors

    async def latest(self, asked: Question, run: Run, check: Callable[[], None]) -> Latest:
        """The newest closed bar's features. What is kept is given only while the data room says that nothing
        was stored since.

        Parameters
        ----------
        run
            Runs what takes time, or waits, on another thread.
        check
            Raises when nobody waits any more.

        Raises
        ------
        InvalidArgument
            The config has violations.
        FailedPrecondition
            The series has fewer bars than a feature needs: says how many it needs and how many there are.
        ResourceExhausted
            The history needed breaks a limit of the config.
        """
        kept = self._vectors.find(asked)
        rows = await run(_rows, asked) if kept is None else kept.rows
        # Before the rows: what is stored in between makes them newer than their state, never older.
        state = await self._data.frame_state(asked.key, asked.reference, asked.as_of)
        if kept is not None and kept.state == state:
            return kept.latest
        planned = None if kept is None else kept.planned
        found: Latest = await run(self._computed, asked, state, rows, planned, check)
        return found

    def _computed(
        self, asked: Question, state: str, rows: int, planned: Planned | None, check: Callable[[], None]
    ) -> Latest:
        """The features of the bars as they are now, kept as those of a state that was told before."""
        with self._budget.reserved(READING_SHARE * ROW_BYTES * rows) as loan:
            frame = self._data.load_newest(asked.key, asked.reference, asked.as_of, rows)
            check()
            columns = Columns(frame, asked.key.bar)
            planned = _planned(asked.config, columns, frame, planned)
            work = planned.plan
            _require_history(work, columns)
            loan.resize(work.memory_bytes)
            values = _last(work, columns, check)
        opened = columns.open_time[-1]
        found = Latest(
            open_time=opened,
            known_time=opened + asked.key.bar,
            names=work.names,
            values=values,
            omitted=work.omitted,
            history_bars=columns.bars,
            config_digest=planned.config_digest,
        )
        self._vectors.keep(asked, Kept(found, state, rows, planned))
        return found


def history_bars(config: FeatureConfig, bar: timedelta) -> int:
    """How many bars of this length before the newest one its features may follow from."""
    wanted = frozenset(config.only)
    groups = grouped(
        (feature for feature in selected(config) if not wanted or feature.name in wanted),
        Columns(pd.DataFrame(index=pd.DatetimeIndex([])), bar).bars_per_day,
    )
    bars = [group.history_bars for group in groups]
    bars += [
        rolling.window - 1
        for rolling in passes(config.tsfresh)
        if not wanted or not wanted.isdisjoint(rolling.names)
    ]
    return max(bars) + BLOCK_BARS - 1


def _rows(asked: Question) -> int:
    """How many bars are read."""
    config = asked.config
    if violations := config_rules.violations(config):
        raise InvalidArgument(violations)
    rows = history_bars(config, asked.key.bar) + 1
    if rows > config.limits.max_rows:
        raise ResourceExhausted(
            "config.limits.max_rows",
            f"The features look back over {rows:,} bars and config.limits.max_rows is "
            f"{config.limits.max_rows:,}.",
        )
    return rows


def _planned(config: FeatureConfig, columns: Columns, frame: pd.DataFrame, last: Planned | None) -> Planned:
    """The plan of the last vector where the next one's would be the same, its warm-up apart, which plays no
    part here."""
    held = frozenset(name for name in frame.columns if not np.isnan(columns[name]).all())
    if last is not None and (last.bars, last.columns) == (columns.bars, held):
        return last
    work = plan(config, columns, int(frame.memory_usage().sum()), is_part=True)
    return Planned(work, config_digest(work, config.expressions), columns.bars, held)


def _require_history(planned: Plan, columns: Columns) -> None:
    name, need = max(
        ((name, planned.lookbacks[name][0] + 1) for name in planned.names), key=lambda each: each[1]
    )
    if columns.bars < need:
        raise FailedPrecondition(
            "series",
            f"{name} needs {need:,} bars and the series has {columns.bars:,}.",
            Reason.TOO_LITTLE_DATA,
        )


def _last(planned: Plan, columns: Columns, check: Callable[[], None]) -> Floats:
    for step in engine.compute(planned, columns, lambda: 0.0, columns.bars - 1):
        check()
        if isinstance(step, engine.Chunk):
            return np.array([row[-1] for row in step.values])
    raise AssertionError("compute gives a chunk for the last bar")
