"""Ensembles: models made of several learners, and what any model, single or not, is asked.

bagging     each member learns from a bootstrap of its own; the members' probabilities are averaged
stacking    a meta model learns from the probabilities that base models give to rows they were not fitted on
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.rpc.refusals import Violation
from services.training import learners
from services.training.learners import ModelParameters
from services.training.learners.fitting import Probabilities
from services.training.learners.forest import ForestParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.logistic import LogisticParameters
from services.training.learners.parameters import range_violations, ranged

LEAST_MEMBERS, MOST_MEMBERS = 2, 100
LEAST_BASES, MOST_BASES = 2, 10
LEAST_FOLDS, MOST_FOLDS = 2, 20


class Bootstrap(StrEnum):
    """How a member's rows are drawn, with replacement.

    BLOCKS: runs of neighbouring rows. SEQUENTIAL: row by row, the likelier the less its label overlaps those
    drawn before.
    """

    BLOCKS = "blocks"
    SEQUENTIAL = "sequential"


@dataclass(frozen=True)
class Bagging:
    """Members on bootstraps of the rows, averaged; member i is of model i modulo their count."""

    members: int = ranged(5, LEAST_MEMBERS, MOST_MEMBERS)
    bootstrap_fraction: float = ranged(0.8, 0.05, 1.0)
    block_rows: int = ranged(24, 1, 1_000_000)
    models: tuple[ModelParameters, ...] = (LightgbmParameters(),)
    bootstrap: Bootstrap = Bootstrap.BLOCKS

    def model_of(self, member: int) -> ModelParameters:
        """The model of a member, from 0."""
        return self.models[member % len(self.models)]


MetaParameters: TypeAlias = LogisticParameters | LightgbmParameters | ForestParameters

_REGRESSION = LogisticParameters()


@dataclass(frozen=True)
class Stacking:
    """A meta model on the purged out-of-fold probabilities of the base models, all classes of each.

    `passthrough` shows it the features, too. The base models that answer are fitted on all rows.
    """

    folds: int = ranged(5, LEAST_FOLDS, MOST_FOLDS)
    base_models: tuple[ModelParameters, ...] = (LightgbmParameters(), ForestParameters())
    meta_model: MetaParameters = _REGRESSION
    passthrough: bool = False


Model: TypeAlias = ModelParameters | Bagging | Stacking

BAGGING, STACKING = "bagging", "stacking"


def shares_of(count: int) -> npt.NDArray[np.float64]:
    """How much each of so many members counts, float64 (members,)."""
    return np.full(count, 1.0 / count)


def mean_of(members: Sequence[Probabilities]) -> Probabilities:
    """The mean of what members answer (rows, classes), added up in their order as a bundle's reader does."""
    found = np.zeros_like(members[0])
    for share, member in zip(shares_of(len(members)).tolist(), members, strict=True):
        found += share * member
    return np.minimum(found, 1.0)  # shares may add up to a last bit more


def kind_of(model: Model) -> str:
    """`lightgbm`, `xgboost`, `random_forest`, `extra_trees`, `bagging` or `stacking`."""
    match model:
        case Bagging():
            return BAGGING
        case Stacking():
            return STACKING
        case _:
            return learners.kind_of(model)


def learners_of(model: Model) -> tuple[ModelParameters, ...]:
    """The learners of trees that a model is made of."""
    match model:
        case Bagging():
            return model.models
        case Stacking():
            meta = model.meta_model
            return model.base_models if isinstance(meta, LogisticParameters) else (*model.base_models, meta)
        case _:
            return (model,)


def members_stop_early(model: Model) -> bool:
    """Whether a learner that learns from the features is fitted in rounds that a slice can end."""
    members = model.base_models if isinstance(model, Stacking) else learners_of(model)
    return any(learners.stops_early(each) for each in members)


def stops_early(model: Model) -> bool:
    """Whether any part of it is fitted in rounds that a validation slice can end."""
    return any(learners.stops_early(each) for each in learners_of(model))


def unit_count(model: Model) -> int:
    """How many fits of a learner of trees one consumer of rows takes."""
    match model:
        case Bagging():
            return model.members
        case Stacking():
            return len(learners_of(model)) + len(model.base_models) * model.folds
        case _:
            return 1


def capped(model: Model, rounds: int) -> Model:
    """The same model with no more than `rounds` rounds (trees of a forest) over all its parts that answer."""
    match model:
        case Bagging():
            each = ceil(rounds / model.members)
            return replace(model, models=tuple(learners.capped(part, each) for part in model.models))
        case Stacking():
            each = ceil(rounds / len(learners_of(model)))
            meta = model.meta_model
            return replace(
                model,
                base_models=tuple(learners.capped(part, each) for part in model.base_models),
                meta_model=meta if isinstance(meta, LogisticParameters) else _capped_meta(meta, each),
            )
        case _:
            return learners.capped(model, rounds)


def validate(model: Model, path: str = "model") -> list[Violation]:
    """Every rule that a model breaks, with its full path."""
    found: list[Violation] = []
    match model:
        case Bagging():
            at = f"{path}.{BAGGING}"
            found += range_violations(model, at)
            _require_count(model.models, 1, model.members, f"{at}.models", found)
            for index, each in enumerate(model.models):
                found += learners.validate(each, f"{at}.models[{index}]")
        case Stacking():
            at = f"{path}.{STACKING}"
            found += range_violations(model, at)
            _require_count(model.base_models, LEAST_BASES, MOST_BASES, f"{at}.base_models", found)
            for index, each in enumerate(model.base_models):
                found += learners.validate(each, f"{at}.base_models[{index}]")
            meta = model.meta_model
            if isinstance(meta, LogisticParameters):
                found += range_violations(meta, f"{at}.meta_model.logistic_regression")
            else:
                found += learners.validate(meta, f"{at}.meta_model")
        case _:
            found += learners.validate(model, path)
    return found


def _require_count(
    models: tuple[ModelParameters, ...], low: int, high: int, path: str, found: list[Violation]
) -> None:
    if not low <= len(models) <= high:
        found.append(Violation(path, "range", f"must be {low} to {high} models, are {len(models)}."))


def _capped_meta(meta: LightgbmParameters | ForestParameters, rounds: int) -> MetaParameters:
    found = learners.capped(meta, rounds)
    assert isinstance(found, LightgbmParameters | ForestParameters), "capping changes no kind"
    return found
