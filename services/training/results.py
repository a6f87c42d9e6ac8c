"""What fits and runs leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketml.bundle.graph import Graph
from marketml.bundle.manifest import GoldenRows
from marketml.bundle.tensors import Arrays
from services.training.confidence import Interval
from services.training.events import FoldResult, PathResult
from services.training.labels import ReturnThresholds
from services.training.learners.fitting import Classes, Probabilities
from services.training.scores import MetricSummary, Scores
from services.training.search.study import SearchResult
from services.training.splits import SplitProof


@dataclass(frozen=True, eq=False)
class LearnedModel:
    """A model as a bundle holds it: its arrays, the graph by which they answer, what it answers to the golden
    rows, and the libraries' own files."""

    graph: Graph
    arrays: Arrays
    golden: GoldenRows
    native_files: Mapping[str, bytes]


@dataclass(frozen=True)
class Member:
    """One learner of a model: the only one of a single model, a member or base model of an ensemble."""

    kind: str
    rounds: int
    trained_rounds: int
    validation_losses: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Learned:
    """What one consumer of rows (a fold, the final model) has learnt.

    Attributes
    ----------
    kind : str
        `lightgbm`, `xgboost`, `random_forest`…, `bagging` or `stacking`.
    members : tuple of Member
        What it is made of.
    feature_names : tuple of str
        The features that it took.
    importances : float64 (features,)
        Each feature's share of the gain: sums to 1, or all 0 if nothing split. Of an ensemble the mean over
        its members, of a stack over its base models.
    probabilities : float64 (scored, classes)
        Of the rows to be scored, by the whole model: as the registry will answer.
    predicted : int8 (scored,)
        The class that it says for each of them.
    return_thresholds : ReturnThresholds, optional
        By which the classes are told apart, where that follows from the rows that were learnt from.
    model : LearnedModel, optional
        Of the final model only.
    """

    kind: str
    members: tuple[Member, ...]
    feature_names: tuple[str, ...]
    importances: npt.NDArray[np.float64]
    probabilities: Probabilities
    predicted: Classes
    return_thresholds: ReturnThresholds | None
    model: LearnedModel | None

    @property
    def rounds(self) -> int:
        """Rounds (trees of a forest) of all members, each cut to its best."""
        return sum(member.rounds for member in self.members)

    @property
    def trained_rounds(self) -> int:
        """Rounds that were fitted to find them."""
        return sum(member.trained_rounds for member in self.members)

    @property
    def validation_losses(self) -> tuple[float, ...]:
        """Of a single model: log loss on the early stopping slice after each trained round."""
        return self.members[0].validation_losses if len(self.members) == 1 else ()


@dataclass(frozen=True, eq=False)
class TrainedResult:
    """What a run leaves.

    `learned` is the final model. `fold_table` and `baseline_tables` summarise the finished folds, `path_*`
    the paths all of whose folds are finished: none but of combinatorial folds. `test_*` is of the final span,
    `test_symbols` of the rows of each of several symbols there.
    `search` is how the model was found whose folds these are, if it was searched for. `stopped` says that
    `Stop.KEEP_BEST` cut the run short.
    """

    learned: Learned
    class_names: tuple[str, ...]
    folds: tuple[FoldResult, ...]
    fold_table: Mapping[str, MetricSummary]
    baseline_tables: Mapping[str, Mapping[str, MetricSummary]]
    paths: tuple[PathResult, ...]
    path_table: Mapping[str, MetricSummary]
    path_baseline_tables: Mapping[str, Mapping[str, MetricSummary]]
    test_scores: Scores
    test_baselines: Mapping[str, Scores]
    test_intervals: Mapping[str, Interval]
    test_symbols: Mapping[int, Scores]
    proofs: tuple[SplitProof, ...]
    search: SearchResult | None
    stopped: bool

    @property
    def model(self) -> LearnedModel:
        """The final model."""
        assert self.learned.model is not None, "a run ends with a model"
        return self.learned.model
