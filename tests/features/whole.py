"""A whole config through the engine, as one DataFrame; and a shelf of frames in place of the data room."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from marketml.rpc.refusals import NotFound
from services.features import engine
from services.features.answer import Latest
from services.features.columns import Columns
from services.features.config import FeatureConfig, TsfreshChoice
from services.features.latest import Newest
from services.features.plan import Plan, plan
from services.features.source import Bars, SeriesKey, SnapshotSource, Source
from services.features.vectors import Question
from tests.features.frames import HOUR

KEY = SeriesKey("binance", "BTC/USDT:USDT", "1h")
EVERYTHING = FeatureConfig(tsfresh=TsfreshChoice(enabled=True, windows=(24, 100)))


def planned(frame: pd.DataFrame, config: FeatureConfig, timeframe: timedelta = HOUR) -> Plan:
    return plan(config, Columns(frame, timeframe), 0)


def generated(
    frame: pd.DataFrame, config: FeatureConfig, timeframe: timedelta = HOUR, chunk_bars: int | None = None
) -> pd.DataFrame:
    """Index as `frame`, a column per feature."""
    columns = Columns(frame, timeframe)
    work = plan(config, columns, 0)
    if chunk_bars is not None:
        work = replace(work, chunk_bars=chunk_bars)
    values = [
        np.array(step.values).T
        for step in engine.compute(work, columns, lambda: 0.0)
        if isinstance(step, engine.Chunk)
    ]
    return pd.DataFrame(np.concatenate(values), index=frame.index, columns=list(work.names))


def latest(room: Newest, asked: Question) -> Latest:
    """The newest vector, computed on the thread that asks."""

    async def run(function: Any, *given: Any) -> Any:
        return function(*given)

    return asyncio.run(room.latest(asked, run, lambda: None))


@dataclass
class Shelf:
    """Bars by snapshot id; every series is the frame under `series`."""

    frames: dict[str, pd.DataFrame]
    key: SeriesKey = KEY
    asked: list[tuple[Source, int]] = field(default_factory=list)

    def count(self, source: Source, rows_max: int) -> int:
        return min(rows_max, len(self._frame(source)))

    def load(self, source: Source, rows_max: int) -> Bars | None:
        self.asked.append((source, rows_max))
        frame = self._frame(source)
        return Bars(self.key, frame) if len(frame) <= rows_max else None

    def _frame(self, source: Source) -> pd.DataFrame:
        name = source.snapshot_id if isinstance(source, SnapshotSource) else "series"
        if name not in self.frames:
            raise NotFound("snapshot", name)
        return self.frames[name]
