"""The config of models: their rules, their defaults, and the model that a filled one means."""

from __future__ import annotations

from dataclasses import fields

from marketml.rpc.refusals import Violation
from services.training.config.rules import Choice, Flag, Group, Number, Rule, Word, fill, refuse_given
from services.training.jobs import Tree
from services.training.learners import ModelParameters
from services.training.learners.extra_trees import ExtraTreesParameters
from services.training.learners.forest import ForestParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.logistic import LogisticParameters
from services.training.learners.xgboost import XgboostParameters
from services.training.models.ensembles import (
    BAGGING,
    LEAST_BASES,
    MOST_BASES,
    STACKING,
    Bagging,
    Bootstrap,
    MetaParameters,
    Model,
    Stacking,
)

FORESTS = ("random_forest", "extra_trees")


def _learner(kind: type[Model | LogisticParameters]) -> dict[str, Rule]:
    """The rules that stand beside a learner's or an ensemble's parameters."""
    found: dict[str, Rule] = {}
    for each in fields(kind):
        if not each.metadata:
            continue
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


_BOOTSTRAPS = {
    "BOOTSTRAP_METHOD_BLOCKS": Bootstrap.BLOCKS,
    "BOOTSTRAP_METHOD_SEQUENTIAL": Bootstrap.SEQUENTIAL,
}
_BAGGING = Group({**_learner(Bagging), "bootstrap": Word(tuple(_BOOTSTRAPS), "BOOTSTRAP_METHOD_BLOCKS")})
_STACKING = Group(
    {
        **_learner(Stacking),
        "passthrough": Flag(False),
        "meta_model": Group(
            {
                "logistic_regression": Group(_learner(LogisticParameters)),
                **{name: _LEARNERS[name] for name in ("lightgbm", "random_forest")},
            },
            (Choice(("logistic_regression", "lightgbm", "random_forest"), "logistic_regression"),),
        ),
    }
)
_BASES: tuple[Tree, ...] = ({"lightgbm": {}}, {"random_forest": {}})


def fill_model(given: Tree, platform: Tree, path: str, found: list[Violation]) -> Tree:
    """The model with every default filled in; what breaks a rule goes to `found` with its path.

    The models of an ensemble take nothing from the platform.
    """
    named = [name for name in (BAGGING, STACKING) if name in given]
    if not named and not _LEARNERS.keys() & given.keys():
        named = [name for name in (BAGGING, STACKING) if name in platform]
    if not named:
        return _fill_single(given, platform, path, found)
    name = named[0]
    refuse_given(given, tuple(_LEARNERS), path, f"{name} names its own models", found)
    mine, theirs, at = given.get(name, {}), platform.get(name, {}), f"{path}.{name}"
    fill_ensemble = _fill_bagging if name == BAGGING else _fill_stacking
    return {name: fill_ensemble(mine, theirs, at, found)}


def _fill_bagging(given: Tree, platform: Tree, path: str, found: list[Violation]) -> Tree:
    filled = fill(_BAGGING, given, platform, path, found)
    if filled["bootstrap"] == "BOOTSTRAP_METHOD_SEQUENTIAL":
        refuse_given(given, ("block_rows",), path, "rows are drawn one by one", found)
        del filled["block_rows"]
    models = given.get("models") or [{}]
    _require_count(models, 1, filled["members"], f"{path}.models", "as many as members", found)
    filled["models"] = _fill_models(models, f"{path}.models", found)
    return filled


def _fill_stacking(given: Tree, platform: Tree, path: str, found: list[Violation]) -> Tree:
    filled = fill(_STACKING, given, platform, path, found)
    bases = given.get("base_models") or list(_BASES)
    _require_count(bases, LEAST_BASES, MOST_BASES, f"{path}.base_models", str(MOST_BASES), found)
    filled["base_models"] = _fill_models(bases, f"{path}.base_models", found)
    return filled


def _fill_models(given: list[Tree], path: str, found: list[Violation]) -> list[Tree]:
    return [_fill_single(each, {}, f"{path}[{index}]", found) for index, each in enumerate(given)]


def _fill_single(given: Tree, platform: Tree, path: str, found: list[Violation]) -> Tree:
    filled = fill(_SINGLE, given, platform, path, found)
    trees = filled.get("extra_trees")
    if trees is not None and not trees["bootstrap"]:  # the platform's share waits for those that draw
        why = "no rows are drawn without bootstrap"
        refuse_given(given.get("extra_trees", {}), ("max_samples",), f"{path}.extra_trees", why, found)
        del trees["max_samples"]
    return filled


def _require_count(
    models: list[Tree], low: int, high: int, path: str, most: str, found: list[Violation]
) -> None:
    if not low <= len(models) <= high:
        found.append(Violation(path, "range", f"must be {low} to {most}, are {len(models)}."))


def read_model(filled: Tree) -> Model:
    """The model that a filled one means."""
    if BAGGING in filled:
        bagging = dict(filled[BAGGING])
        models = tuple(_read_single(each) for each in bagging.pop("models"))
        bootstrap = _BOOTSTRAPS.get(bagging.pop("bootstrap"), Bootstrap.BLOCKS)
        return Bagging(models=models, bootstrap=bootstrap, **bagging)
    if STACKING in filled:
        stacking = dict(filled[STACKING])
        bases = tuple(_read_single(each) for each in stacking.pop("base_models"))
        return Stacking(base_models=bases, meta_model=_read_meta(stacking.pop("meta_model")), **stacking)
    return _read_single(filled)


def _read_meta(filled: Tree) -> MetaParameters:
    if "logistic_regression" in filled:
        return LogisticParameters(**filled["logistic_regression"])
    found = _read_single(filled)
    assert isinstance(found, LightgbmParameters | ForestParameters), "the contract has no other meta model"
    return found


def _read_single(filled: Tree) -> ModelParameters:
    if "lightgbm" in filled:
        return LightgbmParameters(**filled["lightgbm"])
    if "xgboost" in filled:
        return XgboostParameters(**filled["xgboost"])
    name = next(each for each in FORESTS if each in filled)
    forest = dict(filled[name])
    rule = forest.pop("max_features_rule", None)  # may be an empty word, which its rule refuses
    max_features = forest.pop("max_features_fraction") if rule is None else rule
    if name == "random_forest":
        return ForestParameters(max_features=max_features, **forest)
    return ExtraTreesParameters(max_features=max_features, **forest)
