"""The config of a search: its defaults, the spaces it may name, and every rule with its full path."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.rpc.unknown_fields import unknown_fields
from marketml.training.v1 import training_pb2 as pb
from services.training import learners, search
from services.training.config import default_config, fill_config, warnings
from services.training.job_plan import read_plan
from services.training.learners import (
    ExtraTreesParameters,
    ForestParameters,
    LightgbmParameters,
    XgboostParameters,
)
from services.training.search import Condition, Integer, OneOf, Real, Searched, SearchPlan, default_space
from services.training.search.space import configured, in_order, is_open, nearest, parameters_of
from services.training.search.study import Study, Trial, TrialState, read_trial, write_trial
from services.training.wire_trees import read_tree, write_tree

MODELS = [LightgbmParameters(), XgboostParameters(), ForestParameters(), ExtraTreesParameters()]


def config(**searched: Any) -> pb.TrainingConfig:
    """A config that searches; fields of `search` by their JSON names of the contract."""
    message = pb.TrainingConfig()
    message.dataset.snapshot_id = "5" * 64
    json_format.ParseDict({"enabled": True, **searched}, message.search)
    return message


def broken(message: pb.TrainingConfig, platform: Any = None) -> dict[str, str]:
    tree, found = read_tree(message, "config")
    _, more = fill_config(tree, platform or {})
    return {each.field.removeprefix("config."): each.rule for each in (*more, *found)}


def filled(message: pb.TrainingConfig, platform: Any = None) -> Any:
    tree, found = read_tree(message, "config")
    result, more = fill_config(tree, platform or {})
    assert not [*found, *more]
    return result


def of_space(**space: Any) -> dict[str, str]:
    """What a space breaks, by the path below it."""
    return {path.removeprefix("search.space."): rule for path, rule in broken(config(space=space)).items()}


def test_no_search_is_the_default_and_its_details_are_refused_then():
    assert default_config({})["search"] == {"enabled": False}
    message = config(trials=9, metric="mcc", space={"num_leaves": {"integer": {"low": 2, "high": 9}}})
    message.search.enabled = False
    assert broken(message) == dict.fromkeys(("search.trials", "search.metric", "search.space"), "unused")
    assert read_plan(filled(_set_model("lightgbm", config(), enabled=False))).training.search is None


def _set_model(kind: str, message: pb.TrainingConfig, *, enabled: bool = True) -> pb.TrainingConfig:
    getattr(message.model, kind).SetInParent()
    message.search.enabled = enabled
    return message


@pytest.mark.parametrize("model", MODELS, ids=learners.kind_of)
def test_the_filled_config_shows_the_default_space_and_means_it(model):
    found = filled(_set_model(learners.kind_of(model), config()))
    assert found["search"]["trials"] == 50
    plan = read_plan(found).training.search
    assert plan == SearchPlan(default_space(model))
    assert search.violations(plan, model) == []
    written = write_tree(found, pb.TrainingConfig())
    assert filled(written) == found, "filled in and read again, it is the same config"


def test_the_platforms_defaults_fill_what_a_config_that_searches_leaves_out():
    platform = {
        "search": {"trials": 7, "metric": "mcc", "pruning": False, "max_duration": 60.0, "trials_at_once": 4}
    }
    plan = read_plan(filled(config(trials=9), platform)).training.search
    assert (plan.trials, plan.metric, plan.pruning, plan.max_duration_seconds) == (9, "mcc", False, 60.0)
    assert plan.trials_at_once == 4
    message = config()
    message.search.enabled = False
    assert filled(message, platform)["search"] == {"enabled": False}


def test_a_space_of_every_kind_is_taken_as_it_is_said():
    space = {
        "max_depth": {"numbers": {"values": [0, 6, 10]}},
        "num_leaves": {
            "integer": {"low": 7, "high": 63, "log": True},
            "condition": {"parameter": "max_depth", "numbers": [0]},
        },
        "min_split_gain": {"real": {"low": 0.0, "high": 1.0, "step": 0.25}},
        "min_child_samples": {"integer": {"low": 10, "high": 50, "step": 20}},
        "reg_lambda": {"integer": {"low": 0, "high": 9}},
    }
    plan = read_plan(filled(config(space=space))).training.search
    assert plan.space == {
        "max_depth": Searched(OneOf((0, 6, 10))),
        "num_leaves": Searched(Integer(7, 63, log=True), Condition("max_depth", (0.0,))),
        "min_split_gain": Searched(Real(0.0, 1.0, 0.25)),
        "min_child_samples": Searched(Integer(10, 50, 20)),
        "reg_lambda": Searched(Integer(0, 9)),
    }
    assert all(isinstance(value, int) for value in plan.space["max_depth"].range.values)
    message = _set_model(
        "random_forest", config(space={"max_features_rule": {"words": {"values": ["sqrt", "log2"]}}})
    )
    plan = read_plan(filled(message)).training.search
    assert plan.space["max_features_rule"].range == OneOf(("sqrt", "log2"))


@pytest.mark.parametrize(
    ("space", "path", "rule"),
    [
        ({"leaves": {"integer": {"low": 2, "high": 9}}}, "leaves", "unknown"),
        ({"max_features_rule": {"words": {"values": ["sqrt", "log2"]}}}, "max_features_rule", "unknown"),
        ({"num_leaves": {}}, "num_leaves", "required"),
        ({"num_leaves": {"integer": {"low": 2}}}, "num_leaves.integer.high", "required"),
        ({"num_leaves": {"integer": {"low": 1, "high": 9}}}, "num_leaves.integer.low", "range"),
        ({"num_leaves": {"integer": {"low": 2, "high": 5000}}}, "num_leaves.integer.high", "range"),
        ({"num_leaves": {"integer": {"low": 9, "high": 9}}}, "num_leaves.integer.high", "order"),
        ({"num_leaves": {"integer": {"low": 9, "high": 4}}}, "num_leaves.integer.high", "order"),
        ({"num_leaves": {"real": {"low": 2.0, "high": 9.0}}}, "num_leaves.real", "kind"),
        ({"num_leaves": {"words": {"values": ["few", "many"]}}}, "num_leaves.words", "kind"),
        ({"num_leaves": {"numbers": {"values": [7]}}}, "num_leaves.numbers", "count"),
        ({"num_leaves": {"numbers": {"values": [7, 7]}}}, "num_leaves.numbers", "repeated"),
        ({"num_leaves": {"numbers": {"values": [7, 7.5]}}}, "num_leaves.numbers.values[1]", "range"),
        ({"num_leaves": {"integer": {"low": 2, "high": 9, "step": 0}}}, "num_leaves.integer.step", "range"),
        ({"num_leaves": {"integer": {"low": 2, "high": 9, "step": 4}}}, "num_leaves.integer.step", "step"),
        (
            {"num_leaves": {"integer": {"low": 2, "high": 8, "step": 2, "log": True}}},
            "num_leaves.integer.step",
            "unused",
        ),
        ({"max_depth": {"integer": {"low": 0, "high": 8, "log": True}}}, "max_depth.integer.low", "log"),
        ({"subsample": {"real": {"low": 0.5, "high": "NaN"}}}, "subsample.real.high", "finite"),
        ({"subsample": {"real": {"low": 0.5, "high": 1.0, "step": 0.3}}}, "subsample.real.step", "step"),
        ({"subsample": {"numbers": {"values": [0.5, "Infinity"]}}}, "subsample.numbers", "count"),
    ],
)
def test_a_space_beyond_the_models_parameters_is_refused_with_its_full_path(space, path, rule):
    assert of_space(**space)[path] == rule


@pytest.mark.parametrize(
    ("condition", "path", "rule"),
    [
        ({"parameter": "subsample", "numbers": [1]}, "num_leaves.condition.parameter", "unknown"),
        ({"parameter": "num_leaves", "numbers": [7]}, "num_leaves.condition.parameter", "unknown"),
        ({"parameter": "reg_alpha", "numbers": [1]}, "num_leaves.condition.parameter", "kind"),
        ({"parameter": "max_depth"}, "num_leaves.condition", "required"),
        ({"parameter": "max_depth", "numbers": [0, 7]}, "num_leaves.condition.numbers[1]", "unknown"),
        ({"parameter": "max_depth", "words": ["deep"]}, "num_leaves.condition.words[0]", "unknown"),
        ({"parameter": "max_depth", "numbers": [0], "words": ["a"]}, "num_leaves.condition.words", "unused"),
    ],
)
def test_a_condition_that_can_never_hold_is_refused(condition, path, rule):
    space = {
        "num_leaves": {"integer": {"low": 7, "high": 63}, "condition": condition},
        "max_depth": {"numbers": {"values": [0, 6]}},
        "reg_alpha": {"real": {"low": 0.0, "high": 1.0}},
    }
    assert of_space(**space) == {path: rule}


def test_conditions_in_a_circle_are_refused():
    def depends(on: str) -> Any:
        return {"integer": {"low": 2, "high": 9}, "condition": {"parameter": on, "numbers": [2]}}

    found = broken(config(space={"num_leaves": depends("max_depth"), "max_depth": depends("num_leaves")}))
    assert found == {"search.space": "circle"}


def test_a_search_of_an_ensemble_is_refused():
    assert broken(_set_model("bagging", config())) == {"search.enabled": "unused"}


def test_extra_trees_that_draw_no_rows_have_no_share_of_them_to_search():
    space = {"max_samples": {"real": {"low": 0.5, "high": 1.0}}}
    message = _set_model("extra_trees", config(space=space))
    assert broken(message) == {"search.space.max_samples": "unknown"}
    message.model.extra_trees.bootstrap = True
    assert broken(message) == {}
    both = {"max_features_rule": {"words": {"values": ["sqrt", "log2"]}}}
    both["max_features_fraction"] = {"real": {"low": 0.1, "high": 1.0}}
    assert broken(_set_model("random_forest", config(space=both))) == {
        "search.space.max_features_rule": "unused"
    }


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("trials", (0, 10_001)),
        ("startup_trials", (0, 1_001)),
        ("trials_at_once", (0, 101)),
        ("metric", ("", "profit")),
        ("max_duration", ("0s", "-1s", "700000s")),
    ],
)
def test_a_bound_out_of_range_is_refused(field, values):
    for value in values:
        assert f"search.{field}" in broken(config(**{field: value}))


def test_a_search_all_of_whose_trials_are_random_is_unusual():
    assert any("startup_trials" in each for each in warnings(filled(config(trials=10))))
    assert not any("startup_trials" in each for each in warnings(filled(config(trials=11))))
    message = config(trials=4, startup_trials=2, trials_at_once=4)
    assert any("trials_at_once" in each for each in warnings(filled(message)))


def test_fields_that_a_space_has_and_the_contract_has_not_are_named():
    message = config(space={"num_leaves": {"integer": {"low": 2, "high": 9}}})
    message.search.space["num_leaves"].integer.MergeFromString(b"\x50\x01")  # field 10
    assert [each.field for each in unknown_fields(message, "config")] == [
        "config.search.space.num_leaves.integer"
    ]


def test_a_long_name_is_cut_in_the_path():
    assert list(of_space(**{"x" * 200: {"integer": {"low": 1, "high": 2}}})) == ["x" * 80]


names = st.sampled_from([*parameters_of(LightgbmParameters()), "x", ""])
numbers = st.one_of(st.integers(-5, 5000), st.floats(-2, 2, width=16))
conditions = st.fixed_dictionaries(
    {}, optional={"parameter": names, "numbers": st.lists(numbers, max_size=2)}
)
ranges = st.one_of(
    *(
        st.fixed_dictionaries({}, optional={"low": of, "high": of, "step": of, "log": st.booleans()}).map(
            lambda value, kind=kind: {kind: value}
        )
        for kind, of in (("integer", st.integers(-5, 5000)), ("real", st.floats(-2, 2, width=16)))
    ),
    st.lists(numbers, max_size=3).map(lambda values: {"numbers": {"values": values}}),
    st.lists(st.sampled_from(["sqrt", "log2"]), max_size=2).map(lambda values: {"words": {"values": values}}),
)
spaces = st.dictionaries(
    names,
    st.tuples(ranges, st.none() | conditions).map(lambda each: each[0] | _conditional(each[1])),
    max_size=3,
)


def _conditional(condition: Any) -> Any:
    return {} if condition is None else {"condition": condition}


@settings(max_examples=60, deadline=None)
@given(spaces)
def test_any_space_is_refused_or_gives_trials_that_the_model_allows(space):
    message = config(space=space, startup_trials=2)
    if broken(message):
        return
    plan = read_plan(filled(message)).training.search
    study = Study(plan, LightgbmParameters(), 3)
    for number in range(1, 5):
        values = study.begin()
        assert learners.validate(search.applied(LightgbmParameters(), values)) == []
        for name, value in values.items():
            assert number == 1 or nearest(plan.space[name].range, value) == pytest.approx(value)
            assert is_open(plan.space[name], values)
        study.add(Trial(number, TrialState.COMPLETE, values, (float(number),)))


def played(plan: SearchPlan, count: int, history: tuple[Trial, ...] = ()) -> list[Trial]:
    """The trials of a search whose score is best at a learning rate of 0.03 and a depth of 6."""
    study = Study(plan, LightgbmParameters(), 11)
    for trial in history:
        study.begin(trial.values)
        study.add(read_trial(write_trial(trial)))
    while len(study.trials) < count:
        values, number = study.begin(), len(study.trials) + 1
        loss = math.log(values["learning_rate"] / 0.03) ** 2 + (values["max_depth"] - 6) ** 2 / 50
        scores: tuple[float, ...] = ()
        state = TrialState.COMPLETE
        for fold in range(3):
            scores += (loss + 0.01 * fold * (number % 3),)
            if fold < 2 and study.is_behind(number, scores):
                state = TrialState.PRUNED
                break
        if number == 6:
            state = TrialState.UNSCORED
        study.add(Trial(number, state, values, scores))
    return study.trials


PLAYED = SearchPlan(
    {
        "learning_rate": Searched(Real(0.001, 1.0, log=True)),
        "max_depth": Searched(OneOf((3, 6, 12))),
        "num_leaves": Searched(Integer(4, 64), Condition("max_depth", (6, 12))),
    },
    trials=12,
    startup_trials=4,
)


def test_what_a_trial_tries_follows_from_those_up_to_as_many_before_it_as_are_under_way():
    """However the others end, and whether or not they have by then."""
    plan = replace(PLAYED, trials_at_once=3)

    def tried(changed: int, *, late: bool = False) -> list[dict]:
        study, found, waiting = Study(plan, LightgbmParameters(), 11), [], []
        for number in range(1, 15):
            values = dict(study.begin())
            found.append(values)
            loss = math.log(values["learning_rate"] / 0.03) ** 2 - 50.0 * (number == changed)
            waiting.append(Trial(number, TrialState.COMPLETE, values, (loss, loss, loss)))
            while waiting and (not late or not study.can_begin):
                study.add(waiting.pop(0))
        return found

    whole = tried(0)
    assert tried(0, late=True) == whole, "nothing of a trial is known before it is followed"
    for changed in (6, 9):
        other = tried(changed)
        assert other[: changed + 2] == whole[: changed + 2]
        assert other[changed + 2 :] != whole[changed + 2 :]
    assert played(plan, 12)[2:] != played(PLAYED, 12)[2:]


def test_trials_cannot_begin_or_end_out_of_turn():
    study = Study(replace(PLAYED, trials_at_once=2), LightgbmParameters(), 11)
    first, second = study.begin(), study.begin()
    with pytest.raises(ValueError, match="Trial 3 cannot begin"):
        study.begin()
    for number, values in ((2, second), (3, first)):
        with pytest.raises(ValueError, match="Trial 1 comes next"):
            study.add(Trial(number, TrialState.COMPLETE, values, (1.0,)))


def test_a_study_that_is_rebuilt_goes_on_exactly_as_one_that_never_stopped():
    whole = played(PLAYED, 12)
    assert {trial.state for trial in whole} == set(TrialState)
    for stopped_after in (1, 5, 6, 9):
        assert played(PLAYED, 12, tuple(whole[:stopped_after])) == whole


def test_a_config_beside_a_range_counts_as_the_nearest_value_of_it():
    assert nearest(OneOf((63, 127)), 255) == 127
    assert nearest(OneOf(("sqrt", "log2")), "all") is None
    assert nearest(Integer(3, 9, 2), 6) in (5, 7)
    assert nearest(Integer(3, 9, 2), 100) == 9
    assert nearest(Real(0.001, 1.0, log=True), 0.0) == 0.001


def test_later_trials_follow_what_earlier_ones_came_to():
    trials = played(PLAYED, 30)
    early, late = (
        np.mean([trial.value for trial in part if trial.value]) for part in (trials[1:9], trials[-8:])
    )
    assert late < early / 2


def test_a_condition_opens_a_parameter_only_in_its_trials():
    for trial in played(PLAYED, 12)[1:]:
        assert ("num_leaves" in trial.values) == (trial.values["max_depth"] in (6, 12))
    assert in_order(PLAYED.space) == ["learning_rate", "max_depth", "num_leaves"]


@pytest.mark.parametrize("model", MODELS, ids=learners.kind_of)
def test_the_first_trial_of_the_default_space_is_the_model_itself(model):
    values = configured(model, default_space(model))
    assert search.applied(model, values) == model
    known = {each.name for each in fields(model)} | {"max_features_rule", "max_features_fraction"}
    assert set(values) <= known


@pytest.mark.parametrize("kind", ["random_forest", "extra_trees"])
def test_a_model_that_breaks_a_rule_is_told_beside_a_search(kind):
    message = config()
    getattr(message.model, kind).max_features_rule = ""
    assert broken(message) == {f"model.{kind}.max_features_rule": "unknown"}
