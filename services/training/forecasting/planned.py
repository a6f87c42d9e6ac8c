"""What a job would take, as it is told to who plans it."""

from __future__ import annotations

from dataclasses import dataclass

from services.training.forecasting.cost_model import NOTHING, Seconds
from services.training.jobs import JobStage, Tree
from services.training.rooms import Bound


@dataclass(frozen=True)
class StageForecast:
    """What one stage takes."""

    stage: JobStage
    seconds: Seconds


@dataclass(frozen=True)
class Forecast:
    """What a job would take; `stages_at_most` are with all rounds that each fit may take."""

    row_count: int
    feature_count: int
    fit_count: int
    stages: tuple[StageForecast, ...]
    stages_at_most: tuple[StageForecast, ...]
    peak_memory_bytes: int
    bundle_bytes: int

    @property
    def seconds(self) -> Seconds:
        """Of all stages."""
        return sum((each.seconds for each in self.stages), NOTHING)

    @property
    def seconds_at_most(self) -> Seconds:
        """The same without any early stop."""
        return sum((each.seconds for each in self.stages_at_most), NOTHING)


@dataclass(frozen=True)
class Planned:
    """A forecast and how it came about.

    `expected_rounds` is None where every round is counted; `assumptions` are sentences.
    """

    config: Tree
    config_version: int
    forecast: Forecast
    expected_rounds: int | None
    refusals: tuple[Bound, ...]
    assumptions: tuple[str, ...]
