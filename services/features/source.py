"""What features are computed from: a snapshot, or the bars of a series in a span."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from marketml.timeframes import TIMEFRAMES

# Columns of an aligned frame that hold a number at every bar, those of a reference last, and all of them.
VALUE_COLUMNS = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "trade_count",
    "taker_buy_volume",
    "funding_rate",
    "open_interest",
    "reference_close",
    "reference_volume",
    "reference_funding_rate",
    "reference_open_interest",
)
FRAME_COLUMNS = (
    "open_time",
    *VALUE_COLUMNS,
    "funding_time",
    "funding_rate_missing",
    "open_interest_time",
    "open_interest_missing",
)


@dataclass(frozen=True)
class SeriesKey:
    """Whose bars, and how long they are."""

    venue: str
    symbol: str
    timeframe: str

    @property
    def bar(self) -> timedelta:
        """The length of a bar."""
        return TIMEFRAMES[self.timeframe]


@dataclass(frozen=True)
class SnapshotSource:
    """A snapshot of the data room, by its 64 hex digits."""

    snapshot_id: str


@dataclass(frozen=True)
class SeriesSource:
    """The bars that open in [start, end), as known at `as_of`; None means everything, and now. `reference`
    has bars of the same timeframe, which stand beside them."""

    key: SeriesKey
    start: datetime | None = None
    end: datetime | None = None
    as_of: datetime | None = None
    reference: SeriesKey | None = None


Source = SnapshotSource | SeriesSource


@dataclass(frozen=True, eq=False)
class Bars:
    """An aligned frame as it was read: index `open_time`, columns as the data room's QueryFrame has."""

    key: SeriesKey
    frame: pd.DataFrame
    reference: SeriesKey | None = None
