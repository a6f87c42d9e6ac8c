"""The platform config against the rooms that use it: the same ranges, and defaults that they accept."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import FieldDescriptor

from marketml.features.v1.features_pb2 import FeatureConfig
from marketml.rpc.refusals import InvalidArgument
from services.features import config_rules
from services.features import wire_config as feature_wire
from services.registry.config import changed, filled
from services.registry.config_rules import RULES, Number
from services.registry.config_wire import write_config
from services.training.config import fill_config
from services.training.wire_trees import read_tree
from tests.registry.test_config_rules import CONTRACT

SERIES = {"series": {"venue": "binance", "symbol": "BTC/USDT", "timeframe": "1h"}}
HOMES = {"training": (), "labels": ("label",), "evaluation": ("evaluation",), "data_processing": ("dataset",)}
BOUNDED = [
    path
    for path, rule in sorted(RULES.items())
    if isinstance(rule, Number) and path.partition(".")[0] in HOMES
]


def test_the_defaults_make_a_training_config_without_a_violation():
    config, undecodable = read_tree(write_config(filled({})), "config")
    assert undecodable == []
    platform = {
        **config["training"],
        "dataset": config.get("data_processing", {}),
        "features": config["features"],
        "label": config["labels"],
        "evaluation": config["evaluation"],
    }
    taken, found = fill_config({"dataset": {"series": SERIES}}, platform)
    assert found == []
    assert taken["model"] == {"lightgbm": config["training"]["model"]["lightgbm"]}
    # A threshold of events that are not enabled does nothing, and is not taken.
    assert taken["label"] == config["labels"] | {"cusum_events": {"enabled": False}}
    built_in, _ = fill_config({"dataset": {"series": SERIES}}, {})
    for part in ("model", "label", "split", "early_stopping", "evaluation", "budget", "class_weight"):
        assert taken[part] == built_in[part], f"both rooms have the same default of {part}"


def test_the_default_features_are_what_the_features_room_takes_by_default():
    ours = feature_wire.read_config(write_config(filled({})).features)
    assert config_rules.violations(ours) == []
    assert ours == feature_wire.read_config(FeatureConfig())


def _nested(path, value):
    for name in reversed(path):
        value = {name: value}
    return value


def _around(path: str) -> list[float]:
    """The bounds of a field and what lies just beyond them."""
    rule = RULES[path]
    is_whole = CONTRACT[path].cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)
    values = []
    for bound in (rule.low, rule.high):
        if bound is None or (is_whole and abs(bound) > 2**53):
            continue
        beyond = (bound - 1, bound + 1) if is_whole else (bound - 1e-6, bound + 1e-6)
        if rule.is_whole:
            beyond = (bound - 1, bound + 1)
        values += [bound, *beyond]
    return [int(value) if is_whole else float(value) for value in values]


@pytest.mark.parametrize("path", BOUNDED)
def test_both_rooms_accept_the_same_values(path):
    home, *rest = path.split(".")
    theirs = (*HOMES[home], *rest)
    values = _around(path)
    assert len(values) >= 3
    for value in values:
        tree = {"dataset": {"series": SERIES}}
        if theirs[0] == "dataset":
            tree["dataset"][theirs[1]] = value
        else:
            tree |= _nested(theirs, value)
        # Refused where they would do nothing.
        if "cusum_events" in theirs:
            tree["label"]["cusum_events"]["enabled"] = True
        if "extra_trees" in theirs:
            tree["model"]["extra_trees"]["bootstrap"] = True
        if theirs[0] in ("calibration", "decision_thresholds"):
            tree[theirs[0]]["enabled"] = True
        if "search" in theirs:
            tree["search"]["enabled"] = True
        _, found = fill_config(tree, {})
        is_theirs = f"config.{'.'.join(theirs)}" not in {each.field for each in found}
        try:
            changed({}, _nested(path.split("."), value), [path])
            is_ours = True
        except InvalidArgument as refusal:
            is_ours = f"config.{path}" not in {each.field for each in refusal.violations}
        assert is_ours == is_theirs, f"{path} = {value}: {'ours' if is_ours else 'theirs'} accepts it alone"
