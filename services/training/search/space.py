"""Spaces: which values of a model's parameters are tried.

A space names parameters as the config does: `max_features_rule` and `max_features_fraction` are the two words
for `max_features` of a forest. A parameter with a condition is tried only in trials in which another one has
one of some values; in the others, and where the space does not name it, the model's own value stands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeAlias

from services.training.learners import ModelParameters
from services.training.learners.extra_trees import ExtraTreesParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.xgboost import XgboostParameters

Value: TypeAlias = int | float | str

_RULE, _FRACTION, _DRAWN = "max_features_rule", "max_features_fraction", "max_samples"


@dataclass(frozen=True)
class Integer:
    """Whole numbers from `low` to `high`, every `step`; each order of magnitude as likely when `log`."""

    low: int
    high: int
    step: int = 1
    log: bool = False


@dataclass(frozen=True)
class Real:
    """Numbers from `low` to `high`, every `step` if there is one; as `Integer` when `log`."""

    low: float
    high: float
    step: float | None = None
    log: bool = False


@dataclass(frozen=True)
class OneOf:
    """Some values without an order."""

    values: tuple[Value, ...]


Range: TypeAlias = Integer | Real | OneOf


@dataclass(frozen=True)
class Condition:
    """Only in trials in which `parameter`, which is searched too, has one of `values`."""

    parameter: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Searched:
    """What is tried for one parameter."""

    range: Range
    condition: Condition | None = None


Space: TypeAlias = Mapping[str, Searched]


@dataclass(frozen=True)
class Allowed:
    """What a parameter may be: numbers from `low` to `high`, whole ones only if `is_whole`, or `words`."""

    low: float
    high: float
    is_whole: bool
    words: tuple[str, ...] = ()


def parameters_of(model: ModelParameters) -> dict[str, Allowed]:
    """The parameters of a model that can be searched, by their names in the config, and what each may be."""
    found = {}
    for each in fields(model):
        low, high, words = (each.metadata[name] for name in ("low", "high", "choices"))
        if isinstance(each.default, bool) or (each.name == _DRAWN and not _draws_rows(model)):
            continue
        if words:
            found[_RULE] = Allowed(math.inf, -math.inf, False, words)
            found[_FRACTION] = Allowed(low, high, False)
        else:
            found[each.name] = Allowed(low, high, isinstance(each.default, int))
    return found


def default_space(model: ModelParameters) -> dict[str, Searched]:
    """What is tried where a config does not say: what shapes a model, each within what is usual for it.

    Boosted models are tried with coarser bins than they have by default: market data is noise to most of the
    digits, and a tree of half the bins costs half. The coarsest know no tail of less than 3 % of the rows;
    where tails tell something, they lose to the others.
    """
    ranges: dict[str, Range]
    if isinstance(model, LightgbmParameters):
        ranges = {
            "learning_rate": Real(0.01, 0.3, log=True),
            "num_leaves": Integer(7, 127, log=True),
            "min_child_samples": Integer(5, 300, log=True),
            "subsample": Real(0.5, 1.0),
            "colsample_bytree": Real(0.3, 1.0),
            "reg_alpha": Real(1e-3, 10.0, log=True),
            "reg_lambda": Real(1e-3, 100.0, log=True),
            "max_bin": OneOf((31, 63)),
        }
    elif isinstance(model, XgboostParameters):
        ranges = {
            "learning_rate": Real(0.01, 0.3, log=True),
            "max_depth": Integer(3, 9),
            "min_child_weight": Real(0.5, 100.0, log=True),
            "gamma": Real(0.0, 5.0),
            "subsample": Real(0.5, 1.0),
            "colsample_bytree": Real(0.3, 1.0),
            "reg_alpha": Real(1e-3, 10.0, log=True),
            "reg_lambda": Real(0.1, 100.0, log=True),
            "max_bin": OneOf((32, 64, 128)),
        }
    else:
        ranges = {
            "max_depth": Integer(3, 24),
            "min_samples_leaf": Integer(1, 100, log=True),
            _FRACTION: Real(0.05, 1.0, log=True),
        }
        if _draws_rows(model):
            ranges[_DRAWN] = Real(0.3, 1.0)
    return {name: Searched(each) for name, each in ranges.items()}


def in_order(space: Space) -> list[str]:
    """The names of a space: each after the one that its condition asks for, alphabetical beside.

    Raises
    ------
    ValueError
        Conditions go in a circle, or ask for what is not searched.
    """
    placed: list[str] = []
    left = sorted(space)
    while left:
        free = [name for name in left if _asks_for(space[name]) in (None, *placed)]
        if not free:
            raise ValueError(f"The conditions of {' and '.join(left)} wait for each other.")
        placed += free
        left = [name for name in left if name not in placed]
    return placed


def is_open(searched: Searched, values: Mapping[str, Value]) -> bool:
    """Whether a parameter is tried in a trial whose values so far these are."""
    condition = searched.condition
    return condition is None or values.get(condition.parameter) in condition.values


def applied(parameters: ModelParameters, values: Mapping[str, Value]) -> ModelParameters:
    """The parameters with a trial's values in place."""
    known = {each.name: each for each in fields(parameters)}
    changes: dict[str, Value] = {}
    for name, value in values.items():
        if name in (_RULE, _FRACTION):
            changes["max_features"] = value
        else:
            changes[name] = int(value) if isinstance(known[name].default, int) else float(value)
    return replace(parameters, **changes)  # type: ignore[arg-type]


def configured(parameters: ModelParameters, space: Space) -> dict[str, Value]:
    """What the model has without a search, of the parameters that a trial of the space would try."""
    found: dict[str, Value] = {}
    for name in in_order(space):
        value = getattr(parameters, "max_features" if name in (_RULE, _FRACTION) else name)
        if is_open(space[name], found) and isinstance(value, str) == (name == _RULE):
            found[name] = value
    return found


def nearest(range_: Range, value: Value) -> Value | None:
    """The value of a range that is nearest to `value`; None where none is near: of another word."""
    match range_:
        case OneOf(values):
            if isinstance(value, str):
                return value if value in values else None
            return min(values, key=lambda each: abs(float(each) - float(value)))
        case Integer(low, high, step, _):
            count = round((min(max(int(value), low), high) - low) / step)
            return low + count * step
        case Real(low, high, space, _):
            near = min(max(float(value), low), high)
            return near if space is None else min(low + round((near - low) / space) * space, high)


def _draws_rows(model: ModelParameters) -> bool:
    """Whether each tree takes rows drawn at random, so that their number means something."""
    return not isinstance(model, ExtraTreesParameters) or model.bootstrap


def _asks_for(searched: Searched) -> str | None:
    return None if searched.condition is None else searched.condition.parameter
