"""Inspection: a hostile bundle is refused by the path of the number that is wrong, and never walked."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.bundle import (
    MANIFEST,
    TENSORS,
    GoldenRows,
    Graph,
    Library,
    Sigmoid,
    Softmax,
    Trees,
    pack_tensors,
    unpack_tensors,
)
from marketml.bundle.canonical import write_canonical_json
from marketml.bundle.files import file_entry
from marketml.bundle.trees import MAX_DEPTH, MAX_TREES
from marketml.rpc.refusals import InvalidArgument, Reason, ResourceExhausted
from services.registry.inspection import inspect_bundle
from tests.bundle.cases import ARRAYS, RAW, ROWS, golden, hand_bundle
from tests.registry.trained import KINDS, bundle_of, fitted_model
from tests.training.cases import BINARY, THREE_WAY

EXAMPLES = int(os.environ.get("MARKETML_FUZZ_EXAMPLES", "300"))


def inspected(bundle):
    return inspect_bundle(bundle.contents[MANIFEST], bundle.contents[TENSORS])


def with_array(name, value, **changes):
    """The hand-made bundle with one of its arrays replaced."""
    return hand_bundle(arrays={**ARRAYS, f"trees.{name}": value}, **changes)


def refused(bundle):
    with pytest.raises(InvalidArgument) as found:
        inspected(bundle)
    return found.value.violations[0]


def test_the_hand_made_bundle_is_sound_and_answers_its_golden_rows():
    found = inspected(hand_bundle())
    assert found.predictor.raw(ROWS).tolist() == RAW.tolist()
    assert found.predictor.feature_names == ("momentum", "volume")
    assert found.predictor.classes == ("down", "up")


i32 = np.int32


@pytest.mark.parametrize(
    ("name", "value", "where", "rule"),
    [
        # Cycles, and children that are no child: before its parent, out of range, of another tree.
        ("left", np.array([0, -2], i32), "left[0]", "child"),
        ("left", np.array([1, 0], i32), "left[1]", "child"),
        ("left", np.array([1, 1], i32), "left[1]", "child"),
        ("left", np.array([2, -2], i32), "left[0]", "child"),
        ("left", np.array([2**31 - 1, -2], i32), "left[0]", "child"),
        ("left", np.array([1, -4], i32), "left[1]", "child"),
        ("left", np.array([1, -(2**31)], i32), "left[1]", "child"),
        ("right", np.array([-4, -3], i32), "right[0]", "child"),
        ("right", np.array([-1, 0], i32), "right[1]", "child"),
        # Two parents, and therefore a node or a leaf without one.
        ("right", np.array([1, -3], i32), "right[0]", "one_parent"),
        ("left", np.array([1, -1], i32), "left[1]", "one_parent"),
        ("right", np.array([-1, -2], i32), "right[1]", "one_parent"),
        ("left", np.array([-3, -2], i32), "feature[1]", "one_parent"),
        # Indices and numbers.
        ("feature", np.array([1, 2], i32), "feature[1]", "range"),
        ("feature", np.array([-1, 0], i32), "feature[0]", "range"),
        ("threshold", np.array([2.0, np.nan]), "threshold[1]", "number"),
        ("threshold", np.array([-np.inf, 0.0]), "threshold[0]", "number"),
        ("default_left", np.array([2, 0], np.uint8), "default_left[0]", "range"),
        ("missing", np.array([2, 3], np.uint8), "missing[1]", "range"),
        ("leaves", np.array([[0.75], [np.nan], [0.25], [0.125]]), "leaves[1][0]", "range"),
        ("leaves", np.array([[0.75], [-0.5], [np.inf], [0.125]]), "leaves[2][0]", "range"),
        ("leaves", np.array([[0.75], [-0.5], [0.25], [1e31]]), "leaves[3][0]", "range"),
        ("base", np.array([np.nan]), "base[0]", "range"),
        # The trees' places.
        ("node_offsets", np.array([1, 2, 2]), "node_offsets[0]", "range"),
        ("node_offsets", np.array([0, 2, 1]), "node_offsets[2]", "range"),
        ("node_offsets", np.array([0, 3, 2]), "node_offsets[1]", "order"),
        ("node_offsets", np.array([0, -(2**63), 2]), "node_offsets[0]", "order"),
        ("node_offsets", np.array([0, 2**63 - 1, 2]), "node_offsets[1]", "order"),
        ("node_offsets", np.array([0, 1, 2]), "left[0]", "child"),
        # Shapes and types.
        ("node_offsets", np.array([0]), "node_offsets", "shape"),
        ("node_offsets", np.array([[0, 2, 2]]), "node_offsets", "shape"),
        ("node_offsets", np.array([0, 2, 2], i32), "node_offsets", "dtype"),
        ("left", np.array([1, -2, -3], i32), "left", "shape"),
        ("left", np.array([[1, -2]], i32), "left", "shape"),
        ("left", np.array([1, -2]), "left", "dtype"),
        ("feature", np.array([[1, 0]], i32), "feature", "shape"),
        ("threshold", np.array([2.0, 0.0], np.float32), "threshold", "dtype"),
        ("leaves", np.zeros((3, 1)), "leaves", "shape"),
        ("leaves", np.zeros((4, 2)), "leaves", "shape"),
        ("leaves", np.zeros(4), "leaves", "shape"),
        ("base", np.zeros(2), "base", "shape"),
        ("missing", np.array([2], np.uint8), "missing", "shape"),
    ],
)  # fmt: skip
def test_a_wrong_number_is_refused_by_its_path(name, value, where, rule):
    found = refused(with_array(name, value))
    assert (found.field, found.rule) == (f"bundle.arrays.trees.{where}", rule)


@pytest.mark.parametrize("name", [name.removeprefix("trees.") for name in ARRAYS])
def test_each_array_must_be_there(name):
    arrays = {key: array for key, array in ARRAYS.items() if key != f"trees.{name}"}
    assert (refused(hand_bundle(arrays=arrays)).field, refused(hand_bundle(arrays=arrays)).rule) == (
        f"bundle.arrays.trees.{name}",
        "required",
    )


@pytest.mark.parametrize("name", ["trees.more", "golden.more", "other.left", "code"])
def test_an_array_of_no_node_is_refused(name):
    found = refused(hand_bundle(arrays={**ARRAYS, name: np.zeros(1)}))
    assert (found.field, found.rule) == (f"bundle.arrays.{name}", "unknown")


def chain(depth: int) -> dict:
    """One tree in which each node has a leaf on its left and the next node on its right."""
    nodes = np.arange(depth, dtype=i32)
    return {
        "trees.node_offsets": np.array([0, depth]),
        "trees.feature": np.zeros(depth, i32),
        "trees.threshold": nodes.astype(np.float64),
        "trees.left": -1 - nodes,
        "trees.right": np.append(nodes[1:], i32(-1 - depth)).astype(i32),
        "trees.default_left": np.ones(depth, np.uint8),
        "trees.leaves": np.zeros((depth + 1, 1)),
        "trees.base": np.zeros(1),
        "trees.missing": np.array([2, 2], np.uint8),
    }


def test_a_tree_may_be_as_deep_as_the_limit_and_no_deeper():
    zero = golden(ROWS, np.zeros((4, 1)))
    inspected(hand_bundle(arrays=chain(MAX_DEPTH), golden=zero))
    found = refused(hand_bundle(arrays=chain(MAX_DEPTH + 1), golden=zero))
    assert (found.field, found.rule) == (f"bundle.arrays.trees.feature[{MAX_DEPTH}]", "depth")


def test_more_trees_than_the_limit_are_refused():
    arrays = dict(ARRAYS)
    arrays["trees.node_offsets"] = np.append(ARRAYS["trees.node_offsets"], np.full(MAX_TREES, 2))
    arrays["trees.leaves"] = np.zeros((4 + MAX_TREES, 1))
    with pytest.raises(ResourceExhausted, match=f"may hold {MAX_TREES} trees"):
        inspected(hand_bundle(arrays=arrays))


THREE = Graph(
    (Trees("trees", Library.LIGHTGBM, 2, 3), Softmax("probabilities", "trees")), "trees", "probabilities"
)


def test_trees_that_do_not_divide_by_the_outputs_are_refused():
    rows = GoldenRows(ROWS, np.zeros((4, 3)), np.full((4, 3), 1 / 3))
    arrays = {**ARRAYS, "trees.base": np.zeros(3)}
    found = refused(hand_bundle(graph=THREE, arrays=arrays, golden=rows, classes=("a", "b", "c")))
    assert (found.field, found.rule) == ("bundle.arrays.trees.node_offsets", "range")


def forest_bundle(rows=ROWS, **changes):
    """The hand-made trees with a probability per class in each leaf."""
    graph = Graph((Trees("trees", Library.FOREST, 2, 2),), "trees", "trees")
    leaves = np.array([[0.75, 0.25], [0.5, 0.5], [1.0, 0.0], [0.25, 0.75]])
    answers = (leaves[[0, 1, 2, 2]] + leaves[3]) / 2
    arrays = {**ARRAYS, "trees.leaves": leaves, "trees.base": np.zeros(2)}
    arrays |= {f"trees.{name}": value for name, value in changes.items()}
    return hand_bundle(graph=graph, arrays=arrays, golden=GoldenRows(rows, answers, answers))


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("leaves", np.array([[0.75, 0.25], [0.5, 0.5], [1.5, -0.5], [0.25, 0.75]]), "leaves[2][0]"),
        ("leaves", np.array([[0.75, 0.25], [0.5, 0.6], [1.0, 0.0], [0.25, 0.75]]), "leaves[1]"),
        ("leaves", np.array([[0.75, 0.25], [np.nan, 0.5], [1.0, 0.0], [0.25, 0.75]]), "leaves[1][0]"),
        ("base", np.array([0.0, 0.1]), "base[1]"),
        ("missing", np.array([2, 0], np.uint8), "missing[1]"),
    ],
)
def test_a_forests_leaves_are_probabilities(name, value, where):
    inspected(forest_bundle())
    assert refused(forest_bundle(**{name: value})).field == f"bundle.arrays.trees.{where}"


@pytest.mark.parametrize("library", [Library.XGBOOST, Library.LIGHTGBM])
def test_the_numbers_are_of_the_librarys_type(library):
    graph = Graph(
        (Trees("trees", library, 2, 1), Sigmoid("probabilities", "trees")), "trees", "probabilities"
    )
    arrays = dict(ARRAYS)
    if library is Library.LIGHTGBM:
        arrays |= {f"trees.{name}": ARRAYS[f"trees.{name}"].astype(np.float32) for name in ("leaves", "base")}
    found = refused(hand_bundle(graph=graph, arrays=arrays))
    assert found.rule == "dtype"


def test_golden_rows_that_the_model_does_not_answer_so_are_refused_with_both_numbers():
    raw = RAW.copy()
    raw[2, 0] += 1e-15
    found = refused(hand_bundle(golden=golden(ROWS, raw)))
    assert (found.field, found.rule) == ("bundle.arrays.golden.raw[2][0]", "golden")
    assert re.search(r"0\.375000000000001.*answers.*0\.375", found.description)
    spoilt = golden()
    spoilt.probabilities[1] = spoilt.probabilities[1][::-1].copy()
    assert refused(hand_bundle(golden=spoilt)).field == "bundle.arrays.golden.probabilities[1][0]"


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["raw", "probabilities"])
def test_golden_answers_that_are_no_numbers_are_refused(name, value):
    rows = golden(ROWS, RAW.copy())
    getattr(rows, name)[0, 0] = value
    found = refused(hand_bundle(golden=rows))
    assert (found.field, found.rule) == (f"bundle.arrays.golden.{name}", "finite")


def test_golden_rows_are_finite_or_missing():
    rows = ROWS.copy()
    rows[0, 0] = np.inf
    found = refused(hand_bundle(golden=golden(rows)))
    assert (found.field, found.rule) == ("bundle.arrays.golden.features", "finite")


def test_golden_rows_of_a_forest_are_within_float32():
    rows = np.where(ROWS == 3, 1e39, ROWS)
    found = refused(forest_bundle(rows))
    assert (found.field, found.rule) == ("bundle.arrays.golden.features", "finite")


def test_arrays_that_are_not_those_of_the_manifest_are_refused_before_they_are_read():
    bundle = hand_bundle()
    for tensors in (
        b"",
        b"no tensors at all",
        bundle.contents[TENSORS][:-1],
        bundle.contents[TENSORS] + b" ",
    ):
        with pytest.raises(InvalidArgument) as found:
            inspect_bundle(bundle.contents[MANIFEST], tensors)
        assert found.value.reason is Reason.DIGEST_MISMATCH
        assert found.value.violations[0].field == "bundle.files[model.safetensors]"


def with_tensors(bundle, tensors: bytes):
    """The manifest of `bundle` with the digest of other arrays: what a liar uploads."""
    manifest = json.loads(bundle.contents[MANIFEST])
    entry = file_entry(TENSORS, tensors)
    manifest["files"] = [{"name": entry.name, "size_bytes": entry.size_bytes, "sha256": entry.sha256}]
    return write_canonical_json(manifest), tensors


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data())
def test_flipped_bytes_under_a_right_digest_are_refused_or_change_no_golden_answer(data):
    bundle = hand_bundle()
    spoilt = bytearray(bundle.contents[TENSORS])
    for _ in range(data.draw(st.integers(1, 3))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = inspect_bundle(*with_tensors(bundle, bytes(spoilt)))
    except (InvalidArgument, ResourceExhausted):
        return
    answers = found.predictor.predict(np.array([[0.5, 1.5], [np.nan, 9.0], [-1e300, 1e300]]))
    assert np.isfinite(answers).all()
    assert np.all((answers >= 0) & (answers <= 1))


INDICES = st.integers(-8, 8) | st.sampled_from([2**31 - 1, -(2**31)])
NUMBERS = st.floats() | st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf, 1e30, 1e31])
OF_KIND = {"i": INDICES, "u": st.integers(0, 255), "f": NUMBERS}


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data(), library=st.sampled_from(range(3)), names=st.sampled_from([BINARY, THREE_WAY]))
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # the test's own
def test_any_numbers_in_a_trained_models_arrays_are_refused_or_walked_to_probabilities(data, library, names):
    bundle = bundle_of(fitted_model(KINDS[library], names))
    arrays = {name: array.copy() for name, array in unpack_tensors(bundle.contents[TENSORS]).items()}
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from([name for name in sorted(arrays) if arrays[name].size]))
        flat = arrays[name].reshape(-1)
        flat[data.draw(st.integers(0, flat.size - 1))] = data.draw(OF_KIND[flat.dtype.kind])
    refusal = None
    try:
        found = inspect_bundle(*with_tensors(bundle, pack_tensors(arrays)))
    except InvalidArgument as caught:
        refusal = caught
    if refusal:
        assert refusal.violations[0].field.startswith("bundle.arrays.")
        return
    answers = found.predictor.predict(np.random.default_rng(0).normal(size=(40, 5)))
    assert np.isfinite(answers).all()
    assert np.abs(answers.sum(axis=1) - 1).max() < 1e-6
