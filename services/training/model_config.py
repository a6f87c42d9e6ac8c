"""The config of models: their rules, their defaults, and the model that a filled one means."""

from __future__ import annotations

from dataclasses import fields

from marketml.rpc.refusals import Violation
from services.training.config_rules import Choice, Flag, Group, Number, Rule, Word, fill, refuse_given
from services.training.jobs import Tree
from services.training.learners import ModelParameters
from services.training.learners.extra_trees import ExtraTreesParameters
from services.training.learners.forest import ForestParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.xgboost import XgboostParameters

FORESTS = ("random_forest", "extra_trees")


def _learner(kind: type[ModelParameters]) -> dict[str, Rule]:
    """The rules that stand beside a learner's parameters."""
    found: dict[str, Rule] = {}
    for each in fields(kind):
        default, rule = getattr(kind, each.name), each.metadata
        if isinstance(default, bool):
            found[each.name] = Flag(default)
        elif not rule["choices"]:
            found[each.name] = Number(rule["low"], rule["high"], default=default)
        else:  # a word or a number: a field for each
            found[f"{each.name}_rule"] = Word(rule["choices"], default)
            found[f"{each.name}_fraction"] = Number(rule["low"], rule["high"])
    return found


_MAX_FEATURES = (Choice(("max_features_rule", "max_features_fraction"), "max_features_rule"),)
_LEARNERS: dict[str, Rule] = {
    "lightgbm": Group(_learner(LightgbmParameters)),
    "xgboost": Group(_learner(XgboostParameters)),
    "random_forest": Group(_learner(ForestParameters), _MAX_FEATURES),
    "extra_trees": Group(_learner(ExtraTreesParameters), _MAX_FEATURES),
}
_SINGLE = Group(_LEARNERS, (Choice(tuple(_LEARNERS), "lightgbm"),))


def fill_model(given: Tree, platform: Tree, path: str, found: list[Violation]) -> Tree:
    """The model with every default filled in; what breaks a rule goes to `found` with its path."""
    filled = fill(_SINGLE, given, platform, path, found)
    _refuse_undrawn(given, filled, path, found)
    return filled


def _refuse_undrawn(given: Tree, filled: Tree, path: str, found: list[Violation]) -> None:
    """Extra trees that draw no rows draw no share of them; the platform's share waits for those that do."""
    trees = filled.get("extra_trees")
    if trees is not None and not trees["bootstrap"]:
        why = "no rows are drawn without bootstrap"
        refuse_given(given.get("extra_trees", {}), ("max_samples",), f"{path}.extra_trees", why, found)
        del trees["max_samples"]


def is_forest(filled: Tree) -> bool:
    """Whether nothing of the model is fitted in rounds that a validation slice can end."""
    return any(name in filled for name in FORESTS)


def read_model(filled: Tree) -> ModelParameters:
    """The model that a filled one means."""
    if "lightgbm" in filled:
        return LightgbmParameters(**filled["lightgbm"])
    if "xgboost" in filled:
        return XgboostParameters(**filled["xgboost"])
    name = next(each for each in FORESTS if each in filled)
    forest = dict(filled[name])
    rule = forest.pop("max_features_rule", None)
    max_features = rule or forest.pop("max_features_fraction")
    if name == "random_forest":
        return ForestParameters(max_features=max_features, **forest)
    return ExtraTreesParameters(max_features=max_features, **forest)
