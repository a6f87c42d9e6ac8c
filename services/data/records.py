"""What the store knows of series and snapshots, without their rows."""

from __future__ import annotations

from dataclasses import dataclass

from marketml.rpc.refusals import NotFound
from services.data.collection.policies import Status
from services.data.query.alignment import FrameSpec
from services.data.series import Series


@dataclass(frozen=True)
class SeriesState:
    """A stored series: its id, the capture time of its newest revision, and a number that is another one
    whenever anything was stored."""

    id: int
    newest_capture_us: int
    change_key: int


@dataclass(frozen=True)
class Coverage:
    """What is stored of a series, marks left out. Times are None when there is no row; `revised_count` is of
    times whose revisions differ, a mark being one."""

    series: Series
    row_count: int
    first_time_us: int | None
    last_time_us: int | None
    revised_count: int
    newest_capture_us: int
    source: str
    marked_count: int = 0
    collection: Status | None = None
    settlement_interval_us: int | None = None  # of funding rates: between the two newest


@dataclass(frozen=True)
class Snapshot:
    """What is known of a snapshot without its file."""

    snapshot_id: str
    frame: FrameSpec
    row_count: int
    size_bytes: int
    first_time_us: int | None
    last_time_us: int | None
    create_time_us: int


def no_series(series: Series) -> NotFound:
    """The refusal of a series that is not stored."""
    return NotFound("series", series.name)
