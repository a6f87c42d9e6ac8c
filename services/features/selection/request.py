"""SelectFeatures' question and answer."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from services.features.config import FeatureConfig
from services.features.selection.choose import Verdict
from services.features.selection.target import Target
from services.features.source import Source


@dataclass(frozen=True, eq=False)
class SourceRows:
    """Bars of one source that are looked at, UTC, strictly ascending; `field` is its place in the request,
    empty or ending in a dot."""

    source: Source
    open_time: pd.DatetimeIndex
    field: str = ""


@dataclass(frozen=True, eq=False)
class SelectionRequest:
    """What to fit, on what.

    Attributes
    ----------
    sources : tuple of SourceRows
        One, or several of different instruments.
    config : FeatureConfig
    target : Target
        Of the bars of the first source, then of those of the second…
    seed : int
        Of every random choice.
    """

    sources: tuple[SourceRows, ...]
    config: FeatureConfig
    target: Target
    seed: int


@dataclass(frozen=True)
class Selected:
    """What was chosen: a verdict for every feature that was looked at, those chosen first, and the config
    that computes it. `warm_up_bars` is that of the slowest feature chosen."""

    verdicts: tuple[Verdict, ...]
    config: FeatureConfig
    row_count: int
    class_counts: tuple[int, ...]
    warm_up_bars: int
