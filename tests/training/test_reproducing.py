"""What is said of a model that was trained again: the first input that differs, and the parts that do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from marketml.bundle import MANIFEST, TENSORS, Bundle, read_manifest, write_manifest
from marketml.rpc.refusals import FailedPrecondition, InvalidArgument
from services.training.export.bundle import export_bundle
from services.training.learners import LightgbmParameters
from services.training.machine import code_digest, machine_kind
from services.training.pipeline import evaluate_and_fit
from services.training.plan import SplitPlan, TrainingPlan
from services.training.reproducing import InputKind, Origin, compare, config_of, first_difference
from services.training.splits import KFold
from tests.training.cases import made_samples
from tests.training.crews import filled_config

Change = Callable[[dict[str, Any]], None]
SECTIONS: dict[str, Any] = {
    "config": {name: value for name, value in filled_config().items() if name not in ("dataset", "budget")},
    "data": {"snapshot_id": "0" * 64, "rows": 300},
    "features": {"digest": "1" * 64, "config": {}},
}
ORIGIN = Origin(1, "2" * 64, code_digest(), machine_kind())


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    plan = TrainingPlan(LightgbmParameters(rounds=3), split=SplitPlan(method=KFold(2)), interval_draws=100)
    result = evaluate_and_fit(made_samples(300), plan, 0, events=lambda _: None)
    return export_bundle(result, seed=0, sections=SECTIONS)


def changed(bundle: Bundle, change: Change) -> Bundle:
    manifest = read_manifest(bundle.contents[MANIFEST])
    sections = json.loads(json.dumps(dict(manifest.sections)))
    change(sections)
    text = write_manifest(replace(manifest, sections=sections))
    return Bundle({**bundle.contents, MANIFEST: text})


def other_rows(sections: dict[str, Any]) -> None:
    sections["data"]["rows"] = 299


def other_split(sections: dict[str, Any]) -> None:
    del sections["config"]["split"]["folds"]


def other_seed(sections: dict[str, Any]) -> None:
    sections["seeds"]["run"] = 5


def other_features(sections: dict[str, Any]) -> None:
    sections["features"]["digest"] = "3" * 64


def other_version(sections: dict[str, Any]) -> None:
    sections["libraries"]["marketml"] = "0.0.1"


def other_package(sections: dict[str, Any]) -> None:
    sections["libraries"]["lightgbm"] = "0.0.1"


def lost_package(sections: dict[str, Any]) -> None:
    sections["libraries"]["never-there"] = "1.0"


IN_ORDER: tuple[tuple[Change, InputKind, str], ...] = (
    (other_rows, InputKind.DATA, "data.rows"),
    (other_split, InputKind.CONFIG, "config.split.folds"),
    (other_seed, InputKind.CONFIG, "seeds.run"),
    (other_features, InputKind.CODE, "features.digest"),
    (other_version, InputKind.CODE, "marketml"),
    (other_package, InputKind.LIBRARY, "lightgbm"),
)


def test_the_same_bytes_are_equal_whatever_else_is_known(bundle: Bundle) -> None:
    found = compare(Origin(1, "2" * 64, "another code", "another machine"), bundle, bundle)
    assert found == {"reproduced_digest": bundle.digest, "is_equal": True}


@pytest.mark.parametrize("place", range(len(IN_ORDER)))
def test_the_first_input_in_order_is_named_whatever_differs_after_it(bundle: Bundle, place: int) -> None:
    def change(sections: dict[str, Any]) -> None:
        for later, _, _ in IN_ORDER[place:]:
            later(sections)

    then = changed(bundle, change)
    found = compare(replace(ORIGIN, machine_kind="another machine"), then, bundle)
    assert not found["is_equal"]
    _, kind, name = IN_ORDER[place]
    assert (found["first_difference"]["kind"], found["first_difference"]["name"]) == (kind, name)
    assert found["differing_parts"][0].startswith(f"{MANIFEST}: ")


def test_code_and_hardware_are_compared_where_the_job_is_known(bundle: Bundle) -> None:
    manifest = json.loads(bundle.contents[MANIFEST])
    for origin, kind, name in (
        (replace(ORIGIN, code_digest="9" * 64), InputKind.CODE, "code_digest"),
        (replace(ORIGIN, machine_kind="sparc"), InputKind.HARDWARE, "machine_kind"),
    ):
        found = first_difference(origin, manifest, manifest)
        assert found is not None
        assert (found.kind, found.name) == (kind, name)
    assert first_difference(ORIGIN, manifest, manifest) is None
    assert first_difference(Origin(1, "2" * 64), manifest, manifest) is None


def test_a_package_that_is_not_there_any_more_is_a_difference(bundle: Bundle) -> None:
    found = compare(ORIGIN, changed(bundle, lost_package), bundle)["first_difference"]
    assert (found["name"], found["then"], found["now"]) == ("never-there", "1.0", "")


def test_same_inputs_and_other_bytes_are_told_by_their_parts(bundle: Bundle) -> None:
    plan = TrainingPlan(LightgbmParameters(rounds=4), split=SplitPlan(method=KFold(2)), interval_draws=100)
    result = evaluate_and_fit(made_samples(300), plan, 0, events=lambda _: None)
    found = compare(ORIGIN, bundle, export_bundle(result, seed=0, sections=SECTIONS))
    assert "first_difference" not in found
    parts = found["differing_parts"]
    assert f"{MANIFEST}: scores" in parts
    assert any(part.startswith(f"{TENSORS}: trees.") for part in parts)
    assert "model.lightgbm.txt" in parts


def test_a_config_comes_back_as_the_job_had_it_within_the_bounds_of_the_new_one() -> None:
    manifest = {**SECTIONS, "scores": {"model": {"stopped": False}}}
    config, difference = config_of(manifest, {"max_duration": 60.0}, {"max_rows": 7})
    assert difference is None
    assert config["dataset"] == {"snapshot_id": "0" * 64}
    assert config["budget"] == {"max_duration": 60.0}
    assert config["features"]["limits"] == {"max_rows": 7}
    assert {**config, "dataset": 0, "budget": 0, "features": 0} == {
        **SECTIONS["config"],
        "dataset": 0,
        "budget": 0,
        "features": 0,
    }


def test_a_config_that_this_version_does_not_take_is_told_and_one_that_decides_nothing_refused() -> None:
    broken = json.loads(json.dumps(SECTIONS))
    broken["config"]["model"]["lightgbm"]["num_leaves"] = 1
    _, difference = config_of(broken, {}, {})
    assert difference is not None
    assert (difference.kind, difference.name) == (InputKind.CONFIG, "config.model.lightgbm.num_leaves")
    for manifest in (
        {"data": SECTIONS["data"]},
        {"config": SECTIONS["config"]},
        {**SECTIONS, "scores": {"model": {"stopped": True}}},
        {**SECTIONS, "scores": {"search": {"trial_count": 7, "planned_count": 50}}},
    ):
        with pytest.raises(FailedPrecondition):
            config_of(manifest, {}, {})
    with pytest.raises(InvalidArgument) as refused:
        config_of(SECTIONS, {"max_duration": -1.0}, {})
    assert [each.field for each in refused.value.violations] == ["budget.max_duration"]
