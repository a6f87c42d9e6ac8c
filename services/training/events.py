"""What a run tells while it runs, and how it is told to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from services.training.labels import ReturnThresholds
from services.training.scores import Scores
from services.training.search.study import Trial


class Stage(StrEnum):
    """The stages of a run, in order."""

    SEARCH = "search"
    CROSS_VALIDATION = "cross_validation"
    FINAL_FIT = "final_fit"
    FINAL_TEST = "final_test"


@dataclass(frozen=True)
class FoldResult:
    """One fold: what the model and the baselines scored on its block, the rounds its model kept, and the
    thresholds by which it told classes apart, where they follow from its rows."""

    number: int
    scores: Scores
    baselines: Mapping[str, Scores]
    rounds: int
    return_thresholds: ReturnThresholds | None = None


@dataclass(frozen=True)
class PathResult:
    """One backtest path of a combinatorial split: scores over its rows, each predicted by the fold of `folds`
    that held it out for this path."""

    number: int
    folds: tuple[int, ...]
    scores: Scores
    baselines: Mapping[str, Scores]


@dataclass(frozen=True)
class StageStarted:
    """A stage begins; the one before it has ended."""

    stage: Stage


@dataclass(frozen=True)
class Progress:
    """Share of the whole run's work that is done, in [0, 1]; never falls, and is 1 only at the end."""

    fraction: float


@dataclass(frozen=True)
class RoundFinished:
    """A boosting round (or a batch of trees) of a fold's model, or of the final one (`fold` None); in a
    search that of a trial."""

    fold: int | None
    round: int
    validation_loss: float | None
    trial: int | None = None


@dataclass(frozen=True)
class FoldFinished:
    """One of `fold_count` folds is scored."""

    fold_count: int
    result: FoldResult


@dataclass(frozen=True)
class TrialFinished:
    """One of at most `trial_count` trials is over; `best` is that so far by `metric`, if one is complete."""

    metric: str
    trial_count: int
    trial: Trial
    best: Trial | None


@dataclass(frozen=True)
class Warned:
    """Something the reader of the result should know; one sentence."""

    message: str


Event: TypeAlias = StageStarted | Progress | RoundFinished | FoldFinished | TrialFinished | Warned


class Stop(StrEnum):
    """What to do with a job told to stop: throw it away, or finish quickly with what it has."""

    DISCARD = "discard"
    KEEP_BEST = "keep_best"


class Discarded(Exception):
    """The run was told to stop and keep nothing."""


@dataclass
class Control:
    """Asks before every round whether to go on; remembers that the best is to be kept.

    Whatever `check` raises ends the run; so does `Stop.DISCARD`, as `Discarded`.
    """

    check: Callable[[], None]
    should_stop: Callable[[], Stop | None]
    keeps_best: bool = False

    def poll(self) -> bool:
        """Whether a stop that keeps the best has been asked for, now or before."""
        self.check()
        match self.should_stop():
            case Stop.DISCARD:
                raise Discarded("The run was told to stop and keep nothing.")
            case Stop.KEEP_BEST:
                self.keeps_best = True
        return self.keeps_best
