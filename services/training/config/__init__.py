"""The config of a job: its rules, its defaults, and the merge with the platform's config."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from marketml.rpc.refusals import Violation
from marketml.timeframes import TIMEFRAMES
from services.training import labels, splits
from services.training.config.decision_config import fill_calibration, fill_decision
from services.training.config.label_config import fill_label, read_label
from services.training.config.model_config import fill_model, read_model
from services.training.config.rules import Choice, Flag, Given, Group, Number, Word, fill, refuse_given
from services.training.config.search_config import fill_search
from services.training.datasets import violations_of_more
from services.training.jobs import Tree
from services.training.models import ensembles

MAX_SEED = 2**63 - 1
_INFINITY = float("inf")
_SNAPSHOT_ID = re.compile(r"[0-9a-f]{64}")
_VENUE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SYMBOL = re.compile(r"[A-Z0-9]{1,20}/[A-Z0-9]{1,20}(:[A-Z0-9]{1,20}(-[0-9]{6})?)?")


def _positive(default: float | None = None, high: float = _INFINITY, **more: Any) -> Number:
    return Number(0.0, high, default, is_above=True, **more)


def _bars(default: int, low: int, high: int) -> Number:
    return Number(low, high, default, unit=" bars")


_FAMILY = Group({"enabled": Flag(True), "features": Given()}, is_whole=True)
_ROLLING = (
    "windows",
    "columns",
    "calculators",
    "preset",
    "feature_selection",
    "fdr_level",
    "feature_count_limit",
)
_FEATURES = Group(
    {
        **dict.fromkeys(("technical", "statistical", "series", "market", "calendar"), _FAMILY),
        "tsfresh": Group({"enabled": Flag(False), **dict.fromkeys((*_ROLLING, "parallel_jobs"), Given())}),
        "limits": Group(
            dict.fromkeys(("max_rows", "max_features", "timeout_seconds", "max_memory_bytes"), Given())
        ),
        **dict.fromkeys(
            ("higher_timeframe", "cross_symbol", "autofeat", "selection", "expressions", "only"), Given()
        ),
    }
)
_PRESET_FEATURES = Group(dict.fromkeys(("preset", *_FEATURES.fields), Given()))
_SPLIT = Group(
    {
        "test_fraction": _positive(0.2, 0.5),
        "folds": Number(2, splits.MAX_FOLDS, 5),
        "walk_forward": Group(
            {
                "folds": Number(1, splits.MAX_FOLDS, 5),
                "test_row_count": Number(1, 2**31 - 1, is_required=False, unit=" rows"),
                "train_row_count": Number(1, 2**31 - 1, is_required=False, unit=" rows"),
            }
        ),
        "combinatorial_purged": Group(
            {
                "groups": Number(3, splits.MAX_GROUPS, 6),
                "test_groups": Number(1, splits.MAX_TEST_GROUPS, 2),
            }
        ),
        "embargo_bars": _bars(24, 0, 2**31 - 1),
        "embargo_duration": Number(0, 100 * 365 * 86_400, unit=" s"),
    },
    (
        Choice(("walk_forward", "combinatorial_purged", "folds"), "folds"),
        Choice(("embargo_bars", "embargo_duration"), "embargo_bars"),
    ),
)
_STOPS = Group(
    {"enabled": Flag(True), "patience_rounds": Number(1, 10_000, 50), "fraction": _positive(0.15, 0.5)}
)
_EVALUATION = Group(
    {
        "interval_level": Number(0.5, 1.0, 0.95, is_below=True),
        "interval_draws": Number(100, 100_000, 1_000),
    }
)
_SAMPLE_WEIGHTS = Group(
    {
        "uniqueness": Flag(False),
        "return_attribution": Flag(False),
        "oldest_weight": Number(0.0, 1.0, 1.0),
    }
)
_BUDGET = Group(
    {
        "max_duration": _positive(3600.0, 7 * 86_400.0, unit=" s"),
        "max_memory_bytes": Number(64 * 2**20, MAX_SEED, is_required=False, unit=" bytes"),
    }
)
_AGE_HIGH = 30 * 86_400.0
_AGES = Group(
    {
        name: _positive(None, _AGE_HIGH, is_required=False, unit=" s")  # absent: as the data room decides
        for name in ("funding_max_age", "open_interest_max_age")
    }
)
_OUTER = Group(
    {
        "features": _FEATURES,
        "split": _SPLIT,
        "class_weight": Word(("CLASS_WEIGHT_NONE", "CLASS_WEIGHT_BALANCED"), "CLASS_WEIGHT_NONE"),
        "sample_weights": _SAMPLE_WEIGHTS,
        "evaluation": _EVALUATION,
        "budget": _BUDGET,
        "seed": Number(0, MAX_SEED, 0),
    }
)
_OUTER_OF_PRESET = Group({**_OUTER.fields, "features": _PRESET_FEATURES})


def fill_config(given: Tree, platform: Tree, path: str = "config") -> tuple[Tree, list[Violation]]:
    """A config with every default filled in, and every rule it breaks, with the full path.

    Parameters
    ----------
    given : Tree
        What the caller wrote.
    platform : Tree
        The defaults in force: a config of the same shape, without a dataset. What it says of early stopping,
        a search or a label's threshold counts only where the given model, search and label can use it.
    """
    found: list[Violation] = []
    filled = {"dataset": _fill_dataset(given, platform, f"{path}.dataset", found)}
    if "preset" in given.get("features", {}):  # the features room puts it in place; ours would overrule it
        filled |= fill(_OUTER_OF_PRESET, given, {**platform, "features": {}}, path, found)
    else:
        filled |= fill(_OUTER, given, platform, path, found)
    filled["label"] = fill_label(given.get("label", {}), platform.get("label", {}), f"{path}.label", found)
    filled["model"] = fill_model(given.get("model", {}), platform.get("model", {}), f"{path}.model", found)
    filled["early_stopping"] = _fill_stops(given, platform, filled, f"{path}.early_stopping", found)
    searched, defaults = given.get("search", {}), platform.get("search", {})
    filled["search"] = fill_search(searched, defaults, filled["model"], f"{path}.search", found)
    judging = fill_calibration(
        given.get("calibration", {}), platform.get("calibration", {}), f"{path}.calibration", found
    )
    filled["calibration"] = judging
    filled["decision_thresholds"] = fill_decision(
        given.get("decision_thresholds", {}),
        platform.get("decision_thresholds", {}),
        judging,
        f"{path}.decision_thresholds",
        found,
    )
    _refuse_split(given.get("split", {}), filled["split"], f"{path}.split", found)
    duration = filled["split"].get("embargo_duration")
    if duration is not None and duration != int(duration):
        description = f"must be whole seconds, is {duration!r} s."
        found.append(Violation(f"{path}.split.embargo_duration", "whole_seconds", description))
    return filled, found


def default_config(platform: Tree) -> Tree:
    """The defaults in force: every field but the dataset."""
    filled, _ = fill_config({}, platform)
    del filled["dataset"]
    return filled


def _fill_dataset(given: Tree, platform: Tree, path: str, found: list[Violation]) -> Tree:
    dataset = given.get("dataset", {})
    found += _dataset_violations(dataset, path)
    more = {name: dataset[name] for name in ("more_series", "more_snapshot_ids") if dataset.get(name)}
    if "snapshot_id" in dataset:
        refuse_given(dataset, tuple(_AGES.fields), path, "a snapshot's rows are what they are", found)
        return {"snapshot_id": dataset["snapshot_id"], **more}
    ages = fill(_AGES, dataset, platform.get("dataset", {}), path, found)
    return {"series": dataset.get("series", {}), **more, **ages}


def _fill_stops(given: Tree, platform: Tree, filled: Tree, path: str, found: list[Violation]) -> Tree:
    mine, theirs = given.get("early_stopping", {}), platform.get("early_stopping", {})
    details = ("patience_rounds", "fraction")
    if not ensembles.stops_early(read_model(filled["model"])):
        why = "a forest does not stop early"
        if mine.get("enabled"):
            refuse_given(mine, ("enabled",), path, why, found)
        refuse_given(mine, details, path, why, found)
        return {"enabled": False}
    if not mine.get("enabled", theirs.get("enabled", True)):
        refuse_given(mine, details, path, "early stopping is not enabled", found)
        return {"enabled": False}
    return fill(_STOPS, mine, theirs, path, found)


def _refuse_split(given: Tree, filled: Tree, path: str, found: list[Violation]) -> None:
    """What the rules of single fields do not say."""
    for method in ("walk_forward", "combinatorial_purged"):
        if method in filled:
            refuse_given(given, ("folds",), path, f"{method} makes its own folds", found)
    at = f"{path}.combinatorial_purged"
    if "combinatorial_purged" in filled and not any(each.field.startswith(at) for each in found):
        choices = splits.CombinatorialPurged(**filled["combinatorial_purged"])
        found += splits.violations(splits.NO_EMBARGO, choices, path)


def _dataset_violations(dataset: Tree, path: str) -> list[Violation]:
    found: list[Violation] = []

    def require(field: str, value: Any, holds: bool, rule: str, description: str) -> None:
        if not holds:
            kind, words = (rule, f"{description}, is {value!r}.") if value else ("required", "must be set.")
            found.append(Violation(f"{path}.{field}" if field else path, kind, words))

    def require_instrument(key: Tree, at: str) -> None:
        venue, symbol = key.get("venue", ""), key.get("symbol", "")
        words = "must be 1 to 32 of a-z 0-9 _ -, a letter or digit first"
        require(f"{at}.venue", venue, bool(_VENUE.fullmatch(venue)), "venue", words)
        words = "must be the unified form BASE/QUOTE[:SETTLE[-YYMMDD]]"
        require(f"{at}.symbol", symbol, bool(_SYMBOL.fullmatch(symbol)), "symbol", words)

    if not dataset.keys() & {"snapshot_id", "series"}:
        require("", None, False, "required", "must be set")
    elif "snapshot_id" in dataset:
        words = "must be 64 lower-case hexadecimal digits"
        names = {"snapshot_id": dataset["snapshot_id"]}
        more = dataset.get("more_snapshot_ids", [])
        names |= {f"more_snapshot_ids[{index}]": name for index, name in enumerate(more)}
        for field, name in names.items():
            require(field, name, bool(_SNAPSHOT_ID.fullmatch(name)), "digest", words)
    else:
        source = dataset["series"]
        key = source.get("series", {})
        venue, symbol, timeframe = (key.get(name, "") for name in ("venue", "symbol", "timeframe"))
        require_instrument(key, "series.series")
        words = f"must be one of {' '.join(TIMEFRAMES)}"
        require("series.series.timeframe", timeframe, timeframe in TIMEFRAMES, "unknown", words)
        if "reference" in source:
            beside, at = source["reference"], "series.reference"
            require_instrument(beside, at)
            given = beside.get("timeframe", "")
            words = f"must be empty or {timeframe!r} as the series has it"
            require(f"{at}.timeframe", given, given in ("", timeframe), "same", words)
            is_other = (beside.get("venue"), beside.get("symbol")) != (venue, symbol)
            require(at, f"{venue} {symbol}", is_other, "other", "must be another one than the series")
        for index, key in enumerate(dataset.get("more_series", [])):
            require_instrument(key, f"more_series[{index}]")
        span = source.get("range", {})
        if "start_time" in span and "end_time" in span:
            ordered = _moment(span["start_time"]) < _moment(span["end_time"])
            words = f"must be later than start_time {span['start_time']}"
            require("series.range.end_time", span["end_time"], ordered, "order", words)
    return found or violations_of_more(dataset, path)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def warnings(filled: Tree) -> list[str]:
    """What is allowed and perhaps not meant; one sentence each."""
    found = []
    label, split = filled["label"], filled["split"]
    horizon = labels.horizon_of(read_label(label))
    if split.get("embargo_bars", split.get("embargo_duration")) == 0:
        found.append("config.split: without an embargo, rows next to a held-out span resemble it.")
    elif split.get("embargo_bars", horizon) < horizon:
        bars = split["embargo_bars"]
        found.append(f"config.split.embargo_bars: {bars} is less than the label's horizon of {horizon} bars.")
    if ensembles.stops_early(read_model(filled["model"])) and not filled["early_stopping"]["enabled"]:
        found.append("config.early_stopping: every round is kept, however much the last ones overfit.")
    search = filled["search"]
    found += [
        f"config.search.{name}: {search[name]} is not below trials: all are random."
        for name in ("startup_trials", "trials_at_once")
        if search["enabled"] and search[name] >= search["trials"]
    ]
    for kind in ("lightgbm", "xgboost"):
        model = filled["model"].get(kind)
        if model and model["rounds"] * model["learning_rate"] < 1:
            found.append(f"config.model.{kind}: rounds x learning_rate is below 1; it may learn too little.")
    return found
