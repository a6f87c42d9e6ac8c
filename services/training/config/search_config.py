"""The config of a search: its rules, its defaults, and the plan that a filled one means."""

from __future__ import annotations

from typing import Any

from marketml.rpc.refusals import Violation
from services.training import search
from services.training.config.model_config import read_model
from services.training.config.rules import Flag, Group, Number, Word, fill, refuse_given
from services.training.jobs import Tree
from services.training.learners import ModelParameters
from services.training.scores import METRICS
from services.training.search import Condition, Integer, OneOf, Real, Searched, SearchPlan, Space, Value

_RULES = Group(
    {
        "enabled": Flag(False),
        "trials": Number(1, search.MAX_TRIALS, 50),
        "max_duration": Number(0.0, 7 * 86_400.0, is_required=False, is_above=True, unit=" s"),
        "metric": Word(METRICS, "log_loss"),
        "startup_trials": Number(1, search.MAX_STARTUP_TRIALS, 10),
        "pruning": Flag(True),
        "trials_at_once": Number(1, search.MAX_TRIALS_AT_ONCE, 1),
    }
)
_RANGES = ("integer", "real", "numbers", "words")
_DETAILS = (*(name for name in _RULES.fields if name != "enabled"), "space")


def fill_search(given: Tree, platform: Tree, filled_model: Tree, path: str, found: list[Violation]) -> Tree:
    """The search with every default filled in; what breaks a rule goes to `found` with its path."""
    if not given.get("enabled", False):
        refuse_given(given, _DETAILS, path, "the search is not enabled", found)
        return {"enabled": False}
    model = _single(filled_model)
    if model is None:
        words = "must be false: a search tries the parameters of one model, and an ensemble has several."
        found.append(Violation(f"{path}.enabled", "unused", words))
        return {"enabled": True}
    filled = fill(_RULES, given, platform, path, found)
    space = given.get("space") or write_space(search.default_space(model))
    read = _read_space(space, model, f"{path}.space", found)
    found += search.space_violations(read, model, f"{path}.space", space.keys() - read.keys())
    return {**filled, "space": space}


def read_search(filled: Tree, filled_model: Tree) -> SearchPlan | None:
    """The plan that a filled search means; None where there is none."""
    model = _single(filled_model)
    if not filled["enabled"] or model is None:
        return None
    return SearchPlan(
        space=_read_space(filled["space"], model, "space", []),
        trials=filled["trials"],
        metric=filled["metric"],
        startup_trials=filled["startup_trials"],
        pruning=filled["pruning"],
        max_duration_seconds=filled.get("max_duration"),
        trials_at_once=filled["trials_at_once"],
    )


def _single(filled_model: Tree) -> ModelParameters | None:
    """The model that a filled one means; None of an ensemble."""
    model = read_model(filled_model)
    return model if isinstance(model, ModelParameters) else None


def write_space(space: Space) -> Tree:
    """A space as a config says it."""
    return {name: _write_searched(searched) for name, searched in space.items()}


def write_values(values: Any) -> Tree:
    """Values of parameters as events and results say them."""
    return {
        name: {"word": value} if isinstance(value, str) else {"number": float(value)}
        for name, value in values.items()
    }


def _write_searched(searched: Searched) -> Tree:
    tree: Tree
    match searched.range:
        case OneOf(values):
            tree = {_kind_of(values): {"values": list(values)}}
        case Integer(low, high, step, log):
            tree = {"integer": {"low": low, "high": high, "step": step, "log": log}}
        case Real(low, high, step, log):
            tree = {"real": {"low": low, "high": high, "log": log} | ({} if step is None else {"step": step})}
    if searched.condition is not None:
        asked = searched.condition
        tree["condition"] = {"parameter": asked.parameter, _kind_of(asked.values): list(asked.values)}
    return tree


def _kind_of(values: tuple[Value, ...]) -> str:
    return "words" if values and isinstance(values[0], str) else "numbers"


def _read_space(tree: Tree, model: ModelParameters, path: str, found: list[Violation]) -> dict[str, Searched]:
    known = search.parameters_of(model)
    space = {}
    for name, given in sorted(tree.items()):
        at = f"{path}.{name[:80]}"
        is_whole = name in known and known[name].is_whole
        range_ = _read_range(given, is_whole, at, found)
        if range_ is not None:
            space[name] = Searched(range_, _read_condition(given, f"{at}.condition", found))
    return space


def _read_range(
    given: Tree, is_whole: bool, path: str, found: list[Violation]
) -> Integer | Real | OneOf | None:
    kind = next((name for name in _RANGES if name in given), None)
    if kind is None:
        found.append(Violation(path, "required", f"must have one of {', '.join(_RANGES)}."))
        return None
    range_ = given[kind]
    if kind in ("numbers", "words"):
        return OneOf(tuple(_whole(each) if is_whole else each for each in range_.get("values", ())))
    missing = [name for name in ("low", "high") if name not in range_]
    found += [Violation(f"{path}.{kind}.{name}", "required", "must be set.") for name in missing]
    if missing:
        return None
    log = range_.get("log", False)
    if kind == "integer":
        return Integer(range_["low"], range_["high"], range_.get("step", 1), log)
    return Real(range_["low"], range_["high"], range_.get("step"), log)


def _read_condition(given: Tree, path: str, found: list[Violation]) -> Condition | None:
    if "condition" not in given:
        return None
    condition = given["condition"]
    if "numbers" in condition and "words" in condition:
        found.append(Violation(f"{path}.words", "unused", "must be unset: numbers are given."))
    values = condition.get("numbers", condition.get("words", ()))
    return Condition(condition.get("parameter", ""), tuple(values))


def _whole(value: Value) -> Value:
    """A number as an integer, if it is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
