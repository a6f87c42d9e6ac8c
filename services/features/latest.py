"""GetLatestFeatures: the newest bar's features, from just enough history.

A feature states how far it looks back, and a value follows from that history and the block of the grid it
lies in alone. So the newest bars of a series, as many as the slowest feature needs, give the same bits as all
of it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Protocol

import pandas as pd

from marketml.rpc.refusals import FailedPrecondition, Reason, ResourceExhausted
from services.features import engine
from services.features.answer import Latest
from services.features.budget import MemoryBudget
from services.features.columns import BLOCK_BARS, Columns, Floats
from services.features.config import FeatureConfig, passes, selected
from services.features.digest import config_digest
from services.features.generation import READING_SHARE, ROW_BYTES
from services.features.plan import Plan, grouped, plan
from services.features.source import SeriesKey


class NewestBars(Protocol):
    """What this needs of the data room."""

    def load_newest(
        self, key: SeriesKey, reference: SeriesKey | None, as_of: datetime | None, rows_max: int
    ) -> pd.DataFrame:
        """The last bars of a series, those of a reference beside them, as known at `as_of`, at most so
        many."""


def latest(
    data: NewestBars,
    budget: MemoryBudget,
    key: SeriesKey,
    reference: SeriesKey | None,
    config: FeatureConfig,
    as_of: datetime | None,
    check: Callable[[], None],
) -> Latest:
    """The newest closed bar's features of a config without violations.

    Raises
    ------
    FailedPrecondition
        The series has fewer bars than a feature needs: says how many it needs and how many there are.
    ResourceExhausted
        The history needed breaks a limit of the config.
    """
    rows = history_bars(config, key.bar) + 1
    if rows > config.limits.max_rows:
        raise ResourceExhausted(
            "config.limits.max_rows",
            f"The features look back over {rows:,} bars and config.limits.max_rows is "
            f"{config.limits.max_rows:,}.",
        )
    with budget.reserved(READING_SHARE * ROW_BYTES * rows) as loan:
        frame = data.load_newest(key, reference, as_of, rows)
        check()
        columns = Columns(frame, key.bar)
        planned = plan(config, columns, int(frame.memory_usage().sum()), is_part=True)
        _require_history(planned, columns)
        loan.resize(planned.memory_bytes)
        values = _last(planned, columns, check)
    opened = columns.open_time[-1]
    return Latest(
        open_time=opened,
        known_time=opened + key.bar,
        names=planned.names,
        values=values,
        omitted=planned.omitted,
        history_bars=columns.bars,
        config_digest=config_digest(planned, config.expressions),
    )


@lru_cache(64)  # of configs of callers, who ask for a bar after the other with the same one
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
            values: Floats = step.values[:, -1].copy()
            return values
    raise AssertionError("compute gives a chunk for the last bar")
