"""The config's tables against the contract, and its defaults, ranges and oneofs without a server."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st

from marketml.registry.v1 import registry_pb2 as pb
from marketml.rpc.refusals import InvalidArgument
from services.registry.config import changed, filled, require_paths, violations
from services.registry.config_rules import ONE_OFS, RULES, Choice, Flag, Number, Several
from services.registry.config_wire import read_config, write_config


def _own_fields(descriptor: Descriptor):
    """Those that a platform may set: messages that repeat (formulas, models) are each request's own."""
    return [field for field in descriptor.fields if field.message_type is None or not field.is_repeated]


def _fields(descriptor: Descriptor, path: str = ""):
    for field in _own_fields(descriptor):
        below = f"{path}.{field.name}" if path else field.name
        message = field.message_type
        if message is None or message.full_name == "google.protobuf.Duration":
            yield below, field
        else:
            yield from _fields(message, below)


def _one_ofs(descriptor: Descriptor, path: str = ""):
    for one_of in descriptor.oneofs:
        if not one_of.name.startswith("_"):
            yield path, {field.name for field in one_of.fields}
    for field in _own_fields(descriptor):
        if field.message_type is not None and field.message_type.full_name != "google.protobuf.Duration":
            yield from _one_ofs(field.message_type, f"{path}.{field.name}" if path else field.name)


CONTRACT = dict(_fields(pb.PlatformConfig.DESCRIPTOR))


def test_every_field_of_the_contract_has_a_rule_and_no_other():
    assert set(RULES) == set(CONTRACT)


def test_formulas_and_the_models_of_an_ensemble_are_a_requests_own():
    formulas, members, bases = (pb.PlatformConfig() for _ in range(3))
    formulas.features.expressions.add(name="pull", expression="close / open")
    members.training.model.bagging.models.add().xgboost.rounds = 5
    bases.training.model.stacking.base_models.add().extra_trees.trees = 5
    for message, field in (
        (formulas, "features.expressions"),
        (members, "training.model.bagging.models"),
        (bases, "training.model.stacking.base_models"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            read_config(message)
        assert [each.field for each in refused.value.violations] == [f"config.{field}"]


def test_every_oneof_of_the_contract_is_known():
    known = [(path, set(each.members)) for path, one_ofs in ONE_OFS.items() for each in one_ofs]
    older = ("training.split", {"walk_forward", "combinatorial_purged", "folds"})  # than its oneof is a field
    known[known.index(older)] = ("training.split", older[1] - {"folds"})
    ensembles = {"bagging", "stacking"}  # exclude single models, which are a oneof of their own
    both = next(each for each in known if ensembles < each[1])
    known[known.index(both)] = ("training.model", ensembles)
    known.append(("training.model", both[1] - ensembles))

    def in_order(one_ofs):
        return sorted((path, sorted(members)) for path, members in one_ofs)

    assert in_order(known) == in_order(_one_ofs(pb.PlatformConfig.DESCRIPTOR))


@pytest.mark.parametrize("path", sorted(RULES))
def test_a_rule_has_the_type_of_its_field(path):
    field: FieldDescriptor = CONTRACT[path]
    kind = {
        FieldDescriptor.CPPTYPE_BOOL: Flag,
        FieldDescriptor.CPPTYPE_ENUM: Choice,
        FieldDescriptor.CPPTYPE_STRING: Choice,
    }.get(field.cpp_type, Number)
    assert isinstance(RULES[path], Several if field.is_repeated else kind)


def test_the_defaults_break_no_rule_and_fill_every_message():
    tree = filled({})
    assert list(violations({})) == []
    message = write_config(tree)
    assert message.training.model.lightgbm.rounds == 500
    assert message.training.split.embargo_bars == 24
    assert message.training.early_stopping.enabled
    assert message.training.budget.max_duration.seconds == 3600
    assert not message.training.budget.HasField("max_memory_bytes")
    assert message.labels.triple_barrier.volatility.profit_multiple == 4
    assert message.labels.triple_barrier.volatility.window_bars == 72
    assert message.labels.triple_barrier.horizon_bars == 24
    assert not message.data_processing.HasField("funding_max_age"), "the data room decides"
    assert message.features.technical.enabled
    assert not message.features.tsfresh.enabled
    assert message.prediction.max_rows == 100_000
    assert read_config(message) == _without_empty(tree)


def _without_empty(tree):
    return {
        name: _without_empty(value) if isinstance(value, dict) else value
        for name, value in tree.items()
        if value != []
    }


BOUNDED = [
    (path, rule) for path, rule in sorted(RULES.items()) if isinstance(rule, Number) and rule.low is not None
]


def _nested(path, value):
    tree = value
    for name in reversed(path.split(".")):
        tree = {name: tree}
    return tree


@pytest.mark.parametrize(("path", "rule"), BOUNDED)
def test_a_number_below_its_range_is_refused_with_its_path(path, rule):
    outside = rule.low if rule.above_low else rule.low - 1
    with pytest.raises(InvalidArgument) as refused:
        changed({}, _nested(path, outside), [path])
    violation = next(each for each in refused.value.violations if each.rule == "range")
    assert violation.field == f"config.{path}"
    assert str(outside) in violation.description


@pytest.mark.parametrize(("path", "rule"), [each for each in BOUNDED if each[1].high is not None])
def test_a_number_above_its_range_is_refused_with_its_path(path, rule):
    outside = rule.high if rule.below_high else rule.high + 1
    with pytest.raises(InvalidArgument) as refused:
        changed({}, _nested(path, outside), [path])
    assert f"config.{path}" in {each.field for each in refused.value.violations}


@pytest.mark.parametrize(("path", "rule"), BOUNDED)
def test_not_a_number_and_infinity_are_refused(path, rule):
    for value in (float("nan"), float("inf"), float("-inf")):
        with pytest.raises(InvalidArgument):
            changed({}, _nested(path, value), [path])


# What has to go with the edges of a range that another field narrows.
BESIDE = {
    "labels.trend_scanning.min_horizon_bars": {"max_horizon_bars": 1_000},
    "labels.trend_scanning.max_horizon_bars": {"min_horizon_bars": 2},
    "labels.meta_label.moving_averages.fast_bars": {"slow_bars": 100_000},
    "labels.meta_label.moving_averages.slow_bars": {"fast_bars": 1},
}


@pytest.mark.parametrize(("path", "rule"), BOUNDED)
def test_the_edge_of_a_range_is_accepted(path, rule):
    edges = [] if rule.above_low else [rule.low]
    edges += [] if rule.high is None or rule.below_high else [rule.high]
    above, _, last = path.rpartition(".")
    beside = BESIDE.get(path, {})
    for value in edges:
        change = _nested(above, {last: value, **beside})
        assert changed({}, change, [above]) == change


def test_setting_one_of_a_oneof_clears_the_other():
    first = changed({}, {"training": {"model": {"xgboost": {"rounds": 100}}}}, ["training.model"])
    assert set(filled(first)["training"]["model"]) == {"xgboost"}
    second = changed(
        first, {"training": {"model": {"lightgbm": {"rounds": 7}}}}, ["training.model.lightgbm.rounds"]
    )
    assert second == {"training": {"model": {"lightgbm": {"rounds": 7}}}}


def test_a_method_of_splitting_takes_the_place_of_the_number_of_folds_and_gives_it_back():
    before = changed({}, {"training": {"split": {"folds": 9}}}, ["training.split.folds"])
    path = "training.split.walk_forward.test_row_count"
    walking = changed(before, _nested(path, 500), [path])
    assert filled(walking)["training"]["split"] == {
        "test_fraction": 0.2,
        "embargo_bars": 24,
        "walk_forward": {"folds": 5, "test_row_count": 500},
    }
    after = changed(walking, {"training": {"split": {"folds": 4}}}, ["training.split.folds"])
    assert filled(after)["training"]["split"] == {"test_fraction": 0.2, "folds": 4, "embargo_bars": 24}
    both = {"training": {"split": {"folds": 4, "walk_forward": {}}}}
    with pytest.raises(InvalidArgument, match=r"training\.split\.folds.*own folds"):
        changed({}, both, ["training.split"])


@pytest.mark.parametrize(
    ("groups", "test_groups", "rule", "words"),
    [(4, 4, "range", "the 4 groups, is 4"), (9, 4, "fold_count", "4 of 9 are 126 choices")],
)
def test_choices_of_groups_that_cannot_be_or_are_too_many_are_refused(groups, test_groups, rule, words):
    path = "training.split.combinatorial_purged"
    change = _nested(path, {"groups": groups, "test_groups": test_groups})
    with pytest.raises(InvalidArgument) as refused:
        changed({}, change, [path])
    (violation,) = refused.value.violations
    assert (violation.field, violation.rule) == (f"config.{path}.test_groups", rule)
    assert words in violation.description


def test_an_ensemble_takes_the_place_of_a_single_model_and_gives_it_back():
    before = changed({}, {"training": {"model": {"xgboost": {"rounds": 9}}}}, ["training.model"])
    path = "training.model.bagging.members"
    bagged = changed(before, _nested(path, 7), [path])
    assert filled(bagged)["training"]["model"] == {
        "bagging": {
            "members": 7,
            "bootstrap_fraction": 0.8,
            "bootstrap": "BOOTSTRAP_METHOD_BLOCKS",
            "block_rows": 24,
        }
    }
    path = "training.model.stacking.meta_model.random_forest.trees"
    stacked = filled(changed(bagged, _nested(path, 7), [path]))["training"]["model"]
    assert set(stacked) == {"stacking"}
    assert set(stacked["stacking"]["meta_model"]) == {"random_forest"}
    path = "training.model.lightgbm.rounds"
    assert set(filled(changed(bagged, _nested(path, 3), [path]))["training"]["model"]) == {"lightgbm"}
    both = {"training": {"model": {"lightgbm": {}, "stacking": {}}}}
    with pytest.raises(InvalidArgument, match=r"training\.model\.lightgbm.*stacking names its own"):
        changed({}, both, ["training.model"])


def test_a_masked_field_that_is_absent_goes_back_to_its_default():
    before = changed({}, {"training": {"split": {"folds": 9}}}, ["training.split.folds"])
    assert filled(before)["training"]["split"]["folds"] == 9
    assert filled(changed(before, {}, ["training.split.folds"])) == filled({})


def test_a_masked_message_is_taken_whole():
    before = changed({}, {"training": {"split": {"folds": 9, "test_fraction": 0.3}}}, ["training.split"])
    after = changed(before, {"training": {"split": {"folds": 4}}}, ["training.split"])
    assert filled(after)["training"]["split"] == {"folds": 4, "test_fraction": 0.2, "embargo_bars": 24}


def test_what_the_mask_does_not_name_is_not_taken():
    change = {"training": {"split": {"folds": 9, "test_fraction": 0.3}}}
    assert changed({}, change, ["training.split.folds"]) == {"training": {"split": {"folds": 9}}}


@pytest.mark.parametrize("kind", ["random_forest", "extra_trees"])
def test_a_forest_turns_early_stopping_off_unless_it_was_asked_for(kind):
    forest = {"training": {"model": {kind: {}}}}
    assert filled(changed({}, forest, ["training.model"]))["training"]["early_stopping"]["enabled"] is False
    asked = changed({}, {"training": {"early_stopping": {"enabled": True}}}, ["training.early_stopping"])
    with pytest.raises(InvalidArgument, match="forest does not stop early"):
        changed(asked, forest, ["training.model"])


DEFAULT_EVENTS = {"enabled": False, "trailing_volatility": {"multiple": 1.0, "window_bars": 72}}


def test_a_binary_trend_takes_its_sign_and_a_meta_label_is_never_binary():
    binary = {"labels": {"binary": True, "trend_scanning": {}}}
    assert filled(changed({}, binary, ["labels"]))["labels"] == {
        "binary": True,
        "trend_scanning": {"min_horizon_bars": 8, "max_horizon_bars": 24},
        "cusum_events": DEFAULT_EVENTS,
    }
    for wrong, field in (
        ({"trend_scanning": {"minimum_t": 3.0}}, "trend_scanning.minimum_t"),
        ({"meta_label": {}}, "binary"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            changed({}, {"labels": {"binary": True, **wrong}}, ["labels"])
        assert [(each.field, each.rule) for each in refused.value.violations] == [
            (f"config.labels.{field}", "unused")
        ]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("trend_scanning.max_horizon_bars", {"max_horizon_bars": 7}),
        ("meta_label.moving_averages.slow_bars", {"fast_bars": 48}),
    ],
)
def test_a_length_that_is_shorter_than_the_one_before_it_is_refused(path, change):
    above = f"labels.{path.rpartition('.')[0]}"
    with pytest.raises(InvalidArgument) as refused:
        changed({}, _nested(above, change), [above])
    assert [(each.field, each.rule) for each in refused.value.violations] == [
        (f"config.labels.{path}", "order")
    ]


def test_a_binary_horizon_takes_no_threshold():
    binary = {"labels": {"binary": True, "fixed_horizon": {}}}
    assert filled(changed({}, binary, ["labels"]))["labels"] == {
        "binary": True,
        "fixed_horizon": {"horizon_bars": 24},
        "cusum_events": DEFAULT_EVENTS,
    }
    binary["labels"]["fixed_horizon"]["quantile"] = {"tail": 0.3}
    with pytest.raises(InvalidArgument, match=r"labels\.fixed_horizon\.quantile"):
        changed({}, binary, ["labels"])
    binary["labels"]["fixed_horizon"].pop("quantile")
    binary["labels"]["fixed_horizon"]["fraction"] = 0.01
    with pytest.raises(InvalidArgument, match=r"labels\.fixed_horizon\.fraction"):
        changed({}, binary, ["labels"])


@pytest.mark.parametrize(
    "path", ["", ".", "training.", "training.split.fold", "training.split.folds.x", "*", "labels.method", "0"]
)
def test_a_path_that_names_no_field_is_refused(path):
    with pytest.raises(InvalidArgument, match="names no field"):
        require_paths(["training.split.folds", path])


_PATHS = sorted(RULES) + sorted({path.rpartition(".")[0] for path in RULES} - {""})


@given(st.lists(st.sampled_from(_PATHS), min_size=1, max_size=6), st.data())
def test_any_accepted_change_leaves_a_config_that_breaks_no_rule(paths, data):
    change: dict = {}
    for path in data.draw(st.lists(st.sampled_from(sorted(RULES)), max_size=8)):
        rule, at = RULES[path], change
        *above, last = path.split(".")
        for name in above:
            at = at.setdefault(name, {})
        if isinstance(rule, Number):
            value = data.draw(st.floats(rule.low or 0, min(rule.high or 1e4, 1e12)))
            is_whole = CONTRACT[path].cpp_type in (
                FieldDescriptor.CPPTYPE_INT32,
                FieldDescriptor.CPPTYPE_INT64,
            )
            at[last] = int(value) if is_whole else round(value, 6)
        elif isinstance(rule, Flag):
            at[last] = data.draw(st.booleans())
        elif isinstance(rule, Choice):
            at[last] = data.draw(st.sampled_from(rule.options))
    try:
        result = changed({}, change, paths)
    except InvalidArgument:
        return
    assert list(violations(result)) == []
    message = write_config(filled(result))
    assert filled(read_config(message)) == filled(result), "filled in and read again, it is the same config"
