"""A whole config through the engine, as one DataFrame; and a shelf of frames in place of the data room."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pandas as pd

from marketml.rpc.refusals import NotFound
from services.features import engine
from services.features.columns import Columns
from services.features.config import FeatureConfig, TsfreshChoice
from services.features.source import Bars, SeriesKey, SnapshotSource, Source
from tests.features.frames import HOUR

KEY = SeriesKey("binance", "BTC/USDT:USDT", "1h")
EVERYTHING = FeatureConfig(tsfresh=TsfreshChoice(enabled=True, windows=(24, 100)))


def planned(frame: pd.DataFrame, config: FeatureConfig, timeframe: timedelta = HOUR) -> engine.Plan:
    return engine.plan(config, Columns(frame, timeframe), 0)


def generated(frame: pd.DataFrame, config: FeatureConfig, timeframe: timedelta = HOUR) -> pd.DataFrame:
    """Index as `frame`, a column per feature."""
    columns = Columns(frame, timeframe)
    plan = engine.plan(config, columns, 0)
    *_, last = engine.compute(plan, columns, lambda: 0.0)
    assert isinstance(last, engine.Result)
    return pd.DataFrame(last.values.T, index=frame.index, columns=list(plan.names))


@dataclass
class Shelf:
    """Bars by snapshot id; every series is the frame under `series`."""

    frames: dict[str, pd.DataFrame]
    key: SeriesKey = KEY
    asked: list[tuple[Source, int]] = field(default_factory=list)

    def load(self, source: Source, rows_max: int) -> Bars | None:
        self.asked.append((source, rows_max))
        name = source.snapshot_id if isinstance(source, SnapshotSource) else "series"
        if name not in self.frames:
            raise NotFound("snapshot", name)
        frame = self.frames[name]
        return Bars(self.key, frame) if len(frame) <= rows_max else None
