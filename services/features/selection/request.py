"""SelectFeatures' question and answer."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from services.features.config import FeatureConfig
from services.features.selection.choose import Verdict
from services.features.selection.target import Target
from services.features.source import Source


@dataclass(frozen=True, eq=False)
class SelectionRequest:
    """What to fit, on what.

    Attributes
    ----------
    source : Source
    config : FeatureConfig
    open_time : DatetimeIndex (rows,)
        The bars to look at, UTC, strictly ascending.
    target : Target
        Of these bars.
    seed : int
        Of every random choice.
    """

    source: Source
    config: FeatureConfig
    open_time: pd.DatetimeIndex
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
