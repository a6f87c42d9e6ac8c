"""The platform config: what operators decide, as a tree of fields by the contract's names.

Kept are the overrides: the fields that someone has set. `filled` adds the default of every other one. Lengths
of time are seconds, enum values their names.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from math import comb
from typing import Any, TypeAlias

from marketml.rpc.refusals import InvalidArgument, Violation
from services.registry.config_rules import ONE_OFS, RULES
from services.registry.models import shown

Tree: TypeAlias = Mapping[str, Any]

PATH = "config"
MASK = "update_mask.paths"
PATHS_MAX = 1_000
_FORESTS = frozenset({"random_forest", "extra_trees"})  # do not stop early
COMBINATORIAL_FOLDS_MAX, COMBINATORIAL_GROUPS_MAX = 100, 14


@dataclass(frozen=True)
class ConfigVersion:
    """One version: 1, 2, 3…, where 1 is the built-in default."""

    version: int
    etag: str
    overrides: Tree
    update_time: datetime

    @property
    def config(self) -> Tree:
        """Every field filled in."""
        return filled(self.overrides)


def filled(overrides: Tree) -> dict[str, Any]:
    """The overrides and the default of every field that they leave out and that has one."""
    tree = _filled(_messages(), "", overrides)
    labels, training = tree["labels"], tree["training"]
    if labels["binary"] and "fixed_horizon" in labels:
        asked = _below(overrides, "labels.fixed_horizon") or {}
        if "trailing_volatility" not in asked:  # a sign needs no threshold
            labels["fixed_horizon"].pop("trailing_volatility", None)
    if labels["binary"] and _below(overrides, "labels.trend_scanning.minimum_t") is None:
        labels.get("trend_scanning", {}).pop("minimum_t", None)
    if _FORESTS & training["model"].keys() and _below(overrides, "training.early_stopping.enabled") is None:
        training["early_stopping"]["enabled"] = False
    return tree


def changed(overrides: Tree, change: Tree, paths: Iterable[str]) -> dict[str, Any]:
    """The overrides with the fields at `paths` as `change` has them; one that it has not goes to its default.

    Raises
    ------
    InvalidArgument
        Values that break a rule.
    """
    result: dict[str, Any] = copy.deepcopy(dict(overrides))
    for path in paths:
        value = _below(change, path)
        if value is None:
            _unset(result, path)
        else:
            _set(result, path, copy.deepcopy(value))
    broken = list(violations(result))
    if broken:
        raise InvalidArgument(broken)
    return result


def violations(overrides: Tree) -> Iterator[Violation]:
    """Every rule that the config broke, with the full field path in the request."""
    tree = filled(overrides)
    for path, value in _leaves(tree):
        rule = RULES[path]
        if fault := rule.fault(value):
            yield Violation(f"{PATH}.{path}", rule.rule, fault)
    yield from _of_split(tree["training"]["split"], _below(overrides, "training.split.folds"))
    yield from _of_labels(tree["labels"])
    yield from _of_model(_below(overrides, "training.model") or {})
    stops = tree["training"]["early_stopping"]["enabled"]
    if _FORESTS & tree["training"]["model"].keys() and stops:
        field = f"{PATH}.training.early_stopping.enabled"
        yield Violation(field, "unused", "must be false: a forest does not stop early.")


def _of_labels(labels: Tree) -> Iterator[Violation]:
    path = f"{PATH}.labels"
    horizon, trend = labels.get("fixed_horizon", {}), labels.get("trend_scanning", {})
    if labels["binary"]:
        unused = [name for name in ONE_OFS["labels.fixed_horizon"][0].members if name in horizon]
        fields = [f"fixed_horizon.{name}" for name in unused[:1]]
        fields += ["trend_scanning.minimum_t"] if "minimum_t" in trend else []
        for field in fields:
            words = "must be absent when labels.binary is true: it is never used."
            yield Violation(f"{path}.{field}", "unused", words)
        if "meta_label" in labels:
            yield Violation(f"{path}.binary", "unused", "must be false: a meta-label has two classes.")
    fractions = {"profit_fraction", "loss_fraction"}
    for above, owner in (("", labels), ("meta_label.", labels.get("meta_label", {}))):
        given = owner.get("triple_barrier", {}).get("fraction", dict.fromkeys(fractions))
        for name in sorted(fractions - given.keys()):
            yield Violation(f"{path}.{above}triple_barrier.fraction.{name}", "required", "must be set.")
    if trend and trend["max_horizon_bars"] < (least := trend["min_horizon_bars"]):
        words = f"must be at least min_horizon_bars {least}, is {trend['max_horizon_bars']}."
        yield Violation(f"{path}.trend_scanning.max_horizon_bars", "order", words)
    averages = labels.get("meta_label", {}).get("moving_averages")
    if averages and averages["slow_bars"] <= averages["fast_bars"]:
        words = f"must be more than fast_bars {averages['fast_bars']}, is {averages['slow_bars']}."
        yield Violation(f"{path}.meta_label.moving_averages.slow_bars", "order", words)


def _of_model(given: Tree) -> Iterator[Violation]:
    ensemble = next((name for name in ("bagging", "stacking") if name in given), None)
    for name in given if ensemble is not None else ():
        if name != ensemble:
            words = f"must be absent: {ensemble} names its own models."
            yield Violation(f"{PATH}.training.model.{name}", "unused", words)


def _of_split(split: Tree, folds: int | None) -> Iterator[Violation]:
    path = f"{PATH}.training.split"
    if folds is not None and "folds" not in split:
        yield Violation(f"{path}.folds", "unused", "must be absent: the method given makes its own folds.")
    if "combinatorial_purged" not in split:
        return
    groups, tested = (split["combinatorial_purged"][name] for name in ("groups", "test_groups"))
    field = f"{path}.combinatorial_purged.test_groups"
    if not all(0 < each <= COMBINATORIAL_GROUPS_MAX for each in (groups, tested)):
        return  # their own rules say so
    if tested >= groups:
        yield Violation(field, "range", f"must be less than the {groups} groups, is {tested}.")
    elif comb(groups, tested) > COMBINATORIAL_FOLDS_MAX:
        choices = f"{tested} of {groups} are {comb(groups, tested):,} choices"
        words = f"must leave at most {COMBINATORIAL_FOLDS_MAX} folds: {choices}."
        yield Violation(field, "fold_count", words)


@cache
def _messages() -> Mapping[str, frozenset[str]]:
    """The names of the fields of every message, by its path; the config's own is the empty path."""
    found: dict[str, set[str]] = {}
    for path in RULES:
        parts = path.split(".")
        for depth, name in enumerate(parts):
            found.setdefault(".".join(parts[:depth]), set()).add(name)
    return {path: frozenset(names) for path, names in found.items()}


def _filled(messages: Mapping[str, frozenset[str]], path: str, given: Tree) -> dict[str, Any]:
    result: dict[str, Any] = {}
    left_out = set()
    for one_of in ONE_OFS.get(path, ()):
        chosen = next((name for name in one_of.members if name in given), one_of.default)
        left_out |= set(one_of.members) - {chosen}
    for name in sorted(messages[path] - left_out):
        below = f"{path}.{name}" if path else name
        if below in messages:
            result[name] = _filled(messages, below, given.get(name, {}))
            continue
        value = given.get(name, RULES[below].default)
        if value is not None:
            result[name] = list(value) if isinstance(value, tuple | list) else value
    return result


def require_paths(paths: Sequence[str]) -> None:
    """Refuse a mask that is empty or names what is no field."""
    if not paths:
        raise InvalidArgument.of(MASK, "required", "must name the fields to change.")
    if len(paths) > PATHS_MAX:
        raise InvalidArgument.of(MASK, "range", f"may be {PATHS_MAX}, are {len(paths)}.")
    broken = [
        Violation(f"{MASK}[{position}]", "unknown", f"names no field of the config: {shown(path)}.")
        for position, path in enumerate(paths)
        if not path or (path not in RULES and path not in _messages())
    ]
    if broken:
        raise InvalidArgument(broken)


def _below(tree: Tree, path: str) -> Any:
    value: Any = tree
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value


def _set(tree: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    at = ""
    for name in above:
        _choose(tree, at, name)
        tree = tree.setdefault(name, {})
        at = f"{at}.{name}" if at else name
    _choose(tree, at, last)
    tree[last] = value


def _choose(tree: dict[str, Any], path: str, name: str) -> None:
    """Setting one field of a oneof clears the others."""
    for one_of in ONE_OFS.get(path, ()):
        if name in one_of.members:
            for other in one_of.members:
                if other != name:
                    tree.pop(other, None)


def _unset(tree: dict[str, Any], path: str) -> None:
    *above, last = path.split(".")
    for name in above:
        if name not in tree:
            return
        tree = tree[name]
    tree.pop(last, None)


def _leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        below = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            yield from _leaves(value, below)
        else:
            yield below, value
