"""Export: one result, one digest; and a registry that never saw the library gives the library's answers."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
from dataclasses import fields, replace

import lightgbm
import numpy as np
import pytest
import xgboost

from marketml.bundle.files import LIGHTGBM_TEXT, MANIFEST, TENSORS, XGBOOST_UBJ
from marketml.bundle.manifest import read_manifest
from marketml.bundle.tensors import unpack_tensors
from marketml.bundle.trees import MAX_TREES
from services.registry.inspection import inspect_bundle
from services.training import learners
from services.training.export.bundle import export_bundle
from services.training.export.numbering import number_tree
from services.training.export.trees import tree_arrays
from services.training.learners import (
    ExtraTreesParameters,
    ForestParameters,
    LightgbmParameters,
    XgboostParameters,
)
from services.training.learners.fitting import FitRequest, Table
from services.training.pipeline import evaluate_and_fit
from services.training.plan import EarlyStopping, SplitPlan, TrainingPlan
from services.training.splits import CombinatorialPurged, KFold
from tests.training.cases import BINARY, THREE_WAY, made_samples

EVERY = [
    LightgbmParameters(rounds=10),
    XgboostParameters(rounds=10),
    ForestParameters(trees=8),
    ExtraTreesParameters(trees=8),
]
NATIVE = {"lightgbm": LIGHTGBM_TEXT, "xgboost": XGBOOST_UBJ}


def trained(samples, parameters, *, threads=1, early_stopping=None):
    plan = TrainingPlan(
        parameters,
        split=SplitPlan(method=KFold(2)),
        early_stopping=early_stopping,
        interval_draws=100,
        threads=threads,
    )
    return evaluate_and_fit(samples, plan, 7, events=lambda event: None)


def exported(samples, parameters, *, sections=None, **how):
    return export_bundle(trained(samples, parameters, **how), seed=7, sections=sections or {})


def loaded(bundle):
    return inspect_bundle(bundle.contents[MANIFEST], bundle.contents[TENSORS])


@pytest.mark.parametrize("names", [BINARY, THREE_WAY], ids=len)
@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_the_registry_answers_as_the_library_and_the_bundle_is_whole(parameters, names):
    samples = made_samples(class_names=names)
    result = trained(samples, parameters)
    bundle = export_bundle(result, seed=7, sections={})
    found = loaded(bundle)
    tolerance = 1e-6 if isinstance(parameters, XgboostParameters) else 1e-12
    assert found.predictor.predict(samples.features[-120:]) == pytest.approx(
        result.learned.probabilities, abs=tolerance
    )
    assert found.manifest.feature_names == samples.feature_names
    assert found.manifest.classes == names
    native = NATIVE.get(learners.kind_of(parameters))
    assert set(bundle.contents) == {MANIFEST, TENSORS} | ({native} if native else set())


@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_threads_change_no_byte_of_a_bundle(parameters):
    samples = made_samples()
    one, three = (exported(samples, parameters, threads=threads) for threads in (1, 3))
    assert one.contents == three.contents
    assert one.digest == three.digest


REPRODUCE = """
from tests.training.test_export import EVERY, exported
from tests.training.cases import made_samples
print([exported(made_samples(), parameters).digest for parameters in EVERY])
"""


def test_another_process_writes_the_same_digests():
    there = subprocess.run(
        [sys.executable, "-c", REPRODUCE], capture_output=True, text=True, check=True, timeout=120
    )
    assert there.stdout.strip() == str([exported(made_samples(), parameters).digest for parameters in EVERY])


def test_another_seed_or_another_sample_is_another_digest():
    samples, parameters = made_samples(), replace(EVERY[0], subsample=0.7)
    other = replace(samples, features=samples.features.copy())
    other.features[5, 2] += 1.0
    digests = {
        exported(samples, parameters).digest,
        exported(other, parameters).digest,
        export_bundle(trained(samples, parameters), seed=8, sections={}).digest,
    }
    assert len(digests) == 3


def test_the_manifest_has_the_paths_of_combinatorial_folds_and_no_word_of_them_otherwise():
    found = {}
    for method in (KFold(2), CombinatorialPurged(4, 2)):
        plan = TrainingPlan(EVERY[0], split=SplitPlan(method=method), interval_draws=100)
        result = evaluate_and_fit(made_samples(), plan, 7, events=lambda event: None)
        bundle = export_bundle(result, seed=7, sections={})
        found[method] = json.loads(bundle.contents[MANIFEST])
    whole = found[CombinatorialPurged(4, 2)]["scores"]
    assert set(whole) - set(found[KFold(2)]["scores"]) == {"paths", "path_table", "path_baseline_tables"}
    assert [path["folds"] for path in whole["paths"]] == [[1, 1, 2, 3], [2, 4, 4, 5], [3, 5, 6, 6]]
    assert {path["rows"] for path in whole["paths"]} == {found[KFold(2)]["proof"]["splits"][0]["train_rows"]}
    assert whole["path_table"]["accuracy"]["fold_count"] == 3
    assert set(whole["path_baseline_tables"]) == {"majority", "persistence"}
    assert len(found[CombinatorialPurged(4, 2)]["proof"]["splits"]) == 1 + 6


def test_the_manifest_carries_scores_proofs_importances_seed_and_what_the_caller_adds():
    samples = made_samples()
    sections = {"config": {"label": {"horizon_bars": 3}}, "data": {"snapshot": "abc"}, "lineage": {}}
    result = trained(samples, replace(EVERY[0], rounds=80), early_stopping=EarlyStopping(3))
    bundle = export_bundle(result, seed=7, sections=sections)
    found = json.loads(bundle.contents[MANIFEST])
    assert {name: found[name] for name in sections} == sections
    assert found["seeds"] == {"run": 7}
    decisive = {"marketml", "numba", "numpy", "pandas", "scikit-learn", "lightgbm"}
    assert found["libraries"] == {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in decisive},
    }
    assert sum(found["importances"]["values"].values()) == pytest.approx(1)
    assert list(found["importances"]["values"]) == sorted(samples.feature_names)
    proofs = found["proof"]["splits"]
    assert [proof["consumer"] for proof in proofs] == [proof.consumer for proof in result.proofs]
    assert all(proof["gap_microseconds"] > 0 for proof in proofs)
    scores = found["scores"]
    assert [fold["number"] for fold in scores["folds"]] == [1, 2]
    assert scores["fold_table"]["accuracy"]["mean"] == result.fold_table["accuracy"].mean
    assert scores["baseline_tables"]["majority"]["accuracy"]["fold_count"] == 2
    assert scores["test"]["rows"] == 120
    assert scores["test"]["intervals"]["accuracy"]["low"] < scores["test"]["metrics"]["accuracy"]["value"]
    assert scores["test"]["baselines"]["majority"]["metrics"]["mcc"]["value"] is None
    assert "one class" in scores["test"]["baselines"]["majority"]["metrics"]["mcc"]["reason"]
    assert scores["model"]["rounds"] == result.learned.rounds
    assert len(scores["model"]["validation_losses"]) == result.learned.trained_rounds


def test_a_booster_of_two_classes_starts_from_the_librarys_own_score_to_its_last_bit():
    """What an ensemble makes of a probability may hang on it."""
    for seed in range(12):
        samples = made_samples(200 + seed, class_names=BINARY, seed=seed)
        table = Table(samples.features, samples.classes, samples.weights)
        request = FitRequest(table, None, 2, seed, 1, lambda number, loss: None, lambda: False)
        fitted = learners.fit(XgboostParameters(rounds=1, max_depth=1), request)
        trees = tree_arrays(fitted)
        sums = {float(np.float32(trees.base[0] + leaf)) for leaf in trees.leaves[:, 0]}
        rows = made_samples(50, seed=99).features
        assert set(learners.raw_scores(fitted, rows)[:, 0].tolist()) <= sums


@pytest.mark.parametrize("name", ["scores", "golden", "features_", "format_version"])
def test_a_section_that_is_not_the_callers_is_a_mistake(name):
    samples = made_samples()
    with pytest.raises(ValueError, match=name):
        exported(samples, EVERY[2], sections={name: {}})


def test_golden_rows_hold_samples_holes_and_corners():
    bundle = exported(made_samples(), EVERY[0])
    golden = unpack_tensors(bundle.contents[TENSORS])["golden.features"]
    manifest = read_manifest(bundle.contents[MANIFEST])
    assert golden.shape == (manifest.golden_rows, 5) == (68, 5)
    assert np.isnan(golden[-4]).all()
    assert golden[-3:].tolist() == [[0.0] * 5, [-1e6] * 5, [1e6] * 5]
    assert np.isnan(golden[1:64:2]).mean() > 2 * np.isnan(golden[:64:2]).mean()


def test_few_samples_are_all_golden():
    samples = made_samples(40, label_bars=1)
    bundle = exported(samples, LightgbmParameters(rounds=2, min_child_samples=2))
    assert read_manifest(bundle.contents[MANIFEST]).golden_rows == 44
    assert loaded(bundle).manifest.classes == THREE_WAY


def test_the_native_file_opens_in_its_library_and_answers_alike():
    samples = made_samples()
    rows = samples.features[-120:]
    text = exported(samples, EVERY[0]).contents[LIGHTGBM_TEXT]
    expected = trained(samples, EVERY[0]).learned.probabilities
    assert lightgbm.Booster(model_str=text.decode()).predict(rows).tolist() == expected.tolist()
    binary = exported(samples, EVERY[1]).contents[XGBOOST_UBJ]
    expected = trained(samples, EVERY[1]).learned.probabilities
    found = xgboost.Booster(model_file=bytearray(binary)).inplace_predict(rows)
    assert found == pytest.approx(expected, abs=1e-6)  # its link is float32


@pytest.mark.parametrize("names", [BINARY, THREE_WAY], ids=len)
@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_a_model_that_could_not_split_is_exported_as_its_leaves(parameters, names):
    samples = made_samples(class_names=names)
    samples.features[:] = 1.0
    result = trained(samples, parameters)
    assert result.model.arrays["trees.feature"].size == 0
    found = loaded(export_bundle(result, seed=7, sections={}))
    answered = found.predictor.predict(samples.features[-120:])
    assert answered == pytest.approx(result.learned.probabilities, abs=1e-6)


def test_missing_values_that_a_split_sends_away_from_all_others_are_exported():
    """LightGBM and forests write such a split with an infinite threshold."""
    samples = made_samples(missing=0.0)
    missing = samples.classes == 2
    samples.features[missing, 1] = np.nan
    for parameters in EVERY:
        result = trained(samples, parameters)
        found = loaded(export_bundle(result, seed=7, sections={}))
        answered = found.predictor.predict(samples.features[-120:])
        assert answered == pytest.approx(result.learned.probabilities, abs=1e-6)
        assert result.test_scores.confusion[2, 2] > 30
    thresholds = [
        trained(samples, parameters).model.arrays["trees.threshold"] for parameters in (EVERY[0], EVERY[2])
    ]
    assert all(np.isposinf(each).any() for each in thresholds)


@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_no_model_that_may_be_trained_has_more_trees_than_a_bundle_may_hold(parameters):
    rounds = next(field for field in fields(parameters) if field.name in ("rounds", "trees"))
    trees_a_round = 1 if rounds.name == "trees" else len(THREE_WAY)
    assert rounds.metadata["high"] * trees_a_round <= MAX_TREES


def test_nodes_are_numbered_level_by_level_from_the_root_and_places_left_empty_are_skipped():
    #        0
    #      3   1       place 2 was pruned away
    #     4 5
    found = number_tree([3, -1, -1, 4, -1, -1], [1, -1, -1, 5, -1, -1])
    assert found.nodes.tolist() == [0, 3]
    assert found.leaves.tolist() == [1, 4, 5]
    assert found.left.tolist() == [1, -2]
    assert found.right.tolist() == [-1, -3]
