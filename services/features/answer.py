"""What the room answers, part by part."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from marketml.rpc.refusals import Violation
from services.features.columns import Floats, Rows
from services.features.config import FeatureConfig
from services.features.feature import Family
from services.features.plan import Omission
from services.features.source import SeriesKey


@dataclass(frozen=True)
class Header:
    """What is coming; `warm_up_bars` counts among the rows that come."""

    digest: str
    config_digest: str
    names: tuple[str, ...]
    warm_up_bars: int
    row_count: int
    config: FeatureConfig
    omitted: tuple[Omission, ...]
    key: SeriesKey
    reference: SeriesKey | None = None


@dataclass(frozen=True)
class Progress:
    """`fraction` from 0 to 1, never falling; `stage` for people."""

    fraction: float
    stage: str


@dataclass(frozen=True, eq=False)
class Values:
    """A piece of the frame: `values` of every feature at `open_time`, good until the next part is asked
    for."""

    header: Header
    open_time: pd.DatetimeIndex
    values: Rows


@dataclass(frozen=True)
class Summary:
    """What was done; the seconds of the families that were enabled."""

    row_count: int
    feature_count: int
    seconds: dict[Family, float]
    is_cache_hit: bool = False


Part = Header | Progress | Values | Summary


@dataclass(frozen=True, eq=False)
class Latest:
    """Features of one bar: `values` (features,), NaN where not known."""

    open_time: pd.Timestamp
    known_time: pd.Timestamp
    names: tuple[str, ...]
    values: Floats
    omitted: tuple[Omission, ...]
    history_bars: int
    config_digest: str


@dataclass(frozen=True)
class Review:
    """What a config means, for who asks before computing."""

    violations: tuple[Violation, ...]
    warnings: tuple[str, ...] = ()
    feature_count: int = 0
    warm_up_bars: int = 0
