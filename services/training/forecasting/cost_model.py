"""The cost model: what a fit takes on this host, as sums of products of what is known before it.

Each learner's time is a sum of terms (a dataset is binned once, every round walks the rows and looks for
splits in histograms) whose coefficients are fitted, none below 0, to short fits measured on the host. The
terms are the algorithms' own operation counts: Ke et al. 2017 (LightGBM), Chen & Guestrin 2016 (XGBoost),
Breiman 2001 (forests).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from services.training import learners
from services.training.jobs import Tree
from services.training.learners import ModelParameters
from services.training.learners.extra_trees import ExtraTreesParameters
from services.training.learners.forest import ForestParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.xgboost import XgboostParameters

Floats = npt.NDArray[np.float64]

SCORING = "scoring"  # the kind of work beside the learners
_HESSIAN = 0.22  # of a row of an undecided model: p (1 - p), for two classes 0.25, for three 0.22
_FOREST_DEPTH_EXCESS = 1.3  # a forest's trees are deeper than balanced ones


@dataclass(frozen=True)
class FitShape:
    """What of a fit decides its cost: rows, features, classes, and what it predicts.

    `rounds` are those that will be fitted; `is_kept` says that the model itself leaves the fit.
    """

    parameters: ModelParameters
    train_rows: int
    stopping_rows: int
    predicted_rows: int
    feature_count: int
    class_count: int
    rounds: int
    is_kept: bool = False


@dataclass(frozen=True)
class Seconds:
    """Seconds of CPU, and by the clock on a host that does nothing else."""

    cpu: float
    wall: float

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.cpu + other.cpu, self.wall + other.wall)

    def __mul__(self, factor: float) -> Seconds:
        return Seconds(self.cpu * factor, self.wall * factor)


NOTHING = Seconds(0.0, 0.0)


@dataclass(frozen=True)
class Measured:
    """One measurement: `terms` of a phase of a kind of work, and the seconds that it took."""

    kind: str
    phase: str
    terms: tuple[float, ...]
    seconds: Seconds


@dataclass(frozen=True)
class HostCosts:
    """What work costs on one host.

    Attributes
    ----------
    coefficients : mapping
        Of each kind and phase (`lightgbm.round`): those of CPU seconds, and of seconds by the clock.
    start : Seconds
        From the start of a worker process to its first work.
    library_start : mapping of Seconds
        Before the first fit of each kind: its library is loaded.
    idle_bytes : int
        Resident memory of a worker that has done nothing.
    library_bytes : mapping
        What the library of each kind adds to it.
    """

    coefficients: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]
    start: Seconds
    library_start: Mapping[str, Seconds]
    idle_bytes: int
    library_bytes: Mapping[str, int]

    def seconds(self, kind: str, phase: str, terms: Sequence[float]) -> Seconds:
        """What a phase of this kind takes."""
        cpu, wall = self.coefficients[f"{kind}.{phase}"]
        return Seconds(float(np.dot(cpu, terms)), float(np.dot(wall, terms)))


def fit_seconds(costs: HostCosts, shape: FitShape, threads: int) -> Seconds:
    """What one fit takes, its predictions and its export with it."""
    kind = learners.kind_of(shape.parameters)
    total = costs.seconds(kind, "prepare", prepare_terms(shape))
    total += costs.seconds(kind, "round", round_terms(shape, threads)) * shape.rounds
    if shape.predicted_rows:
        total += costs.seconds(kind, "predict", predict_terms(shape))
    if shape.is_kept:
        total += costs.seconds(kind, "keep", keep_terms(shape))
    return total


def fit_costs(measured: Sequence[Measured]) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Coefficients of every kind and phase that was measured."""
    groups: dict[str, list[Measured]] = {}
    for one in measured:
        groups.setdefault(f"{one.kind}.{one.phase}", []).append(one)
    found = {}
    for name, members in groups.items():
        terms = np.array([one.terms for one in members])
        found[name] = (
            fit_coefficients(terms, np.array([one.seconds.cpu for one in members])),
            fit_coefficients(terms, np.array([one.seconds.wall for one in members])),
        )
    return found


def fit_coefficients(terms: Floats, seconds: Floats) -> tuple[float, ...]:
    """The coefficients, none below 0, whose sums come closest to `seconds`, relative to each.

    Parameters
    ----------
    terms : float64 (measurements, terms)
    seconds : float64 (measurements,)
        Above 0.
    """
    from scipy.optimize import nnls  # here, not above: the server predicts and fits nothing

    scale = terms.max(axis=0)
    scale[scale == 0] = 1.0
    weighted = terms / scale / seconds[:, np.newaxis]
    found, _ = nnls(weighted, np.ones(seconds.size))
    return tuple(float(value) for value in found / scale)


def prepare_terms(shape: FitShape) -> tuple[float, ...]:
    """Before the first round: the library's own form of the rows."""
    return (1.0, float((shape.train_rows + shape.stopping_rows) * shape.feature_count))


def round_terms(shape: FitShape, threads: int) -> tuple[float, ...]:
    """Of one round of boosting (a tree for each class), or of one tree of a forest."""
    match shape.parameters:
        case LightgbmParameters() as boosting:
            return _lightgbm_round(boosting, shape)
        case XgboostParameters() as boosting:
            return _xgboost_round(boosting, shape)
        case ForestParameters() | ExtraTreesParameters() as forest:
            return _forest_tree(forest, shape, threads)


def predict_terms(shape: FitShape) -> tuple[float, ...]:
    """Of the rows predicted by all trees."""
    trees = shape.rounds * trees_a_round(shape)
    return (1.0, float(shape.predicted_rows), shape.predicted_rows * trees * math.log2(leaf_count(shape) + 1))


def keep_terms(shape: FitShape) -> tuple[float, ...]:
    """Of a model that is turned into arrays and written."""
    trees = shape.rounds * trees_a_round(shape)
    return (1.0, float(trees), trees * leaf_count(shape))


def score_terms(row_count: int, class_count: int, draws: int = 0, blocks: int = 0) -> tuple[float, ...]:
    """Of rows scored against their classes, baselines beside them, and of bootstrap draws of blocks."""
    sorting = row_count * math.log2(row_count + 1) * class_count
    return (1.0, float(row_count * class_count), sorting, float(draws * blocks * (class_count**2 + 2)))


def leaf_count(shape: FitShape) -> float:
    """Leaves that a tree is expected to have; how rows bound them was found by experiment, on noise."""
    rows = shape.train_rows
    match shape.parameters:
        case LightgbmParameters() as boosting:
            deep = 2.0**boosting.max_depth if boosting.max_depth else math.inf
            bound = rows * boosting.subsample / (1.3 * max(1, boosting.min_child_samples))
            return max(2.0, min(boosting.num_leaves, deep, bound))
        case XgboostParameters() as boosting:
            weight = rows * boosting.subsample * _HESSIAN / max(boosting.min_child_weight, _HESSIAN)
            return _shared(2.0**boosting.max_depth, 4.4 * weight**0.57, 1.0)
        case ForestParameters() | ExtraTreesParameters() as forest:
            bound = _drawn_rows(forest, rows) / max(
                3.0, 1.3 * forest.min_samples_leaf, 0.75 * forest.min_samples_split
            )
            return _shared(2.0**forest.max_depth, bound, 0.6) if forest.max_depth else max(2.0, bound)


def _shared(first: float, second: float, power: float) -> float:
    """What two bounds leave together: less than the smaller of them, and near it where they are far apart."""
    return max(2.0, float((first**-power + second**-power) ** (-1.0 / power)))


def _lightgbm_round(boosting: LightgbmParameters, shape: FitShape) -> tuple[float, ...]:
    trees, leaves = trees_a_round(shape), leaf_count(shape)
    rows, features = shape.train_rows * boosting.subsample, shape.feature_count * boosting.colsample_bytree
    bins = min(boosting.max_bin, shape.train_rows)
    levels = math.log2(leaves)
    return (
        1.0,
        trees * (leaves - 1),
        trees * leaves * features * bins,
        trees * rows * features,
        trees * rows * features * levels,
        trees * shape.train_rows * (1 + levels),
        float(shape.train_rows * shape.class_count),
        float(shape.stopping_rows * shape.class_count),
    )


def _xgboost_round(boosting: XgboostParameters, shape: FitShape) -> tuple[float, ...]:
    trees, leaves = trees_a_round(shape), leaf_count(shape)
    rows, features = shape.train_rows * boosting.subsample, shape.feature_count * boosting.colsample_bytree
    bins = min(boosting.max_bin, shape.train_rows)
    levels = math.log2(leaves)
    searched = trees * leaves * features * bins
    return (
        1.0,
        trees * (leaves - 1),
        searched,
        searched * levels,  # more memory than the caches hold
        trees * rows * features,
        trees * rows * features * levels,
        trees * shape.train_rows * (1 + levels),
        float(shape.train_rows * shape.class_count),
        float(shape.stopping_rows * shape.class_count),
    )


def _forest_tree(
    forest: ForestParameters | ExtraTreesParameters, shape: FitShape, threads: int
) -> tuple[float, ...]:
    rows = _drawn_rows(forest, shape.train_rows)
    leaves = leaf_count(shape)
    tried = _tried_features(forest.max_features, shape.feature_count)
    levels = min(forest.max_depth or 64, _FOREST_DEPTH_EXCESS * math.log2(leaves))
    sorting = math.log2(rows + 2) if isinstance(forest, ForestParameters) else 1.0  # else drawn thresholds
    return (
        1.0,
        float(shape.train_rows),
        rows * tried * levels * sorting,
        rows * levels,
        leaves * tried,
        shape.train_rows * shape.feature_count / threads,  # checked again with every batch of trees
    )


def _drawn_rows(forest: ForestParameters | ExtraTreesParameters, rows: int) -> float:
    """Different rows that a tree learns from."""
    if isinstance(forest, ExtraTreesParameters) and not forest.bootstrap:
        return float(rows)
    return rows * (1.0 - math.exp(-forest.max_samples))


def _tried_features(rule: float | str, feature_count: int) -> float:
    if rule == "sqrt":
        return max(1.0, math.floor(math.sqrt(feature_count)))
    if rule == "log2":
        return max(1.0, math.floor(math.log2(feature_count)))
    return max(1.0, float(rule) * feature_count)


def trees_a_round(shape: FitShape) -> int:
    """A boosted model of more than two classes grows one for each."""
    boosts_each = learners.stops_early(shape.parameters) and shape.class_count > 2
    return shape.class_count if boosts_each else 1


def write_costs(costs: HostCosts) -> Tree:
    return asdict(costs)


def read_costs(tree: Tree) -> HostCosts:
    def both(pair: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return tuple(pair[0]), tuple(pair[1])

    return HostCosts(
        coefficients={name: both(pair) for name, pair in tree["coefficients"].items()},
        start=Seconds(**tree["start"]),
        library_start={kind: Seconds(**spent) for kind, spent in tree["library_start"].items()},
        idle_bytes=tree["idle_bytes"],
        library_bytes=tree["library_bytes"],
    )
