"""The manifest, the graph and the files: read back as written, refused by the path of what is wrong."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.bundle import (
    FILE_NAMES,
    MANIFEST,
    TENSORS,
    Bundle,
    FileEntry,
    Graph,
    Library,
    Sigmoid,
    Softmax,
    Trees,
    bundle_digest,
    file_entry,
    read_manifest,
    unpack_tensors,
    write_manifest,
)
from marketml.bundle.canonical import write_canonical_json
from marketml.bundle.graph import MAX_FEATURES
from marketml.bundle.manifest import MAX_MANIFEST_BYTES, SECTIONS, read_golden_rows
from marketml.rpc.refusals import InvalidArgument, ResourceExhausted
from tests.bundle.cases import ARRAYS, CLASSES, FEATURES, GRAPH, golden, hand_bundle


def document() -> dict:
    """The manifest of the hand-made bundle as plain JSON, to be spoilt."""
    return json.loads(hand_bundle().contents[MANIFEST])


def refusal(value: dict):
    with pytest.raises((InvalidArgument, ResourceExhausted)) as refused:
        read_manifest(write_canonical_json(value))
    return refused.value


def test_a_bundle_reads_back_as_it_was_packed():
    sections = {"config": {"rounds": 3, "ratio": 0.1, "text": "µ"}, "scores": {"accuracy": None}}
    bundle = hand_bundle(sections=sections, native_files={"model.lightgbm.txt": b"tree"})
    manifest = read_manifest(bundle.contents[MANIFEST])
    assert (manifest.feature_names, manifest.classes, manifest.graph) == (FEATURES, CLASSES, GRAPH)
    assert manifest.sections == sections
    assert manifest.golden_rows == 4
    assert manifest.files == bundle.files[1:]
    assert [file.name for file in bundle.files] == [
        "manifest.json",
        "model.lightgbm.txt",
        "model.safetensors",
    ]
    assert write_manifest(manifest) == bundle.contents[MANIFEST]
    arrays = unpack_tensors(bundle.contents[TENSORS])
    assert all(arrays[name].tobytes() == array.tobytes() for name, array in ARRAYS.items())
    found = read_golden_rows(manifest, arrays)
    assert found.features.tobytes() == golden().features.tobytes()
    assert found.raw.tolist() == golden().raw.tolist()


def test_a_bundles_digest_is_that_of_its_listing_in_any_order_and_of_every_byte():
    bundle = hand_bundle(native_files={"model.lightgbm.txt": b"tree"})
    listing = {name: [len(data), hashlib.sha256(data).hexdigest()] for name, data in bundle.contents.items()}
    text = json.dumps(listing, sort_keys=True, separators=(",", ":")).encode()
    assert bundle.digest == hashlib.sha256(text).hexdigest()
    assert bundle_digest(reversed(bundle.files)) == bundle.digest
    assert Bundle(dict(reversed(bundle.contents.items()))).digest == bundle.digest
    for name, data in bundle.contents.items():
        assert Bundle({**bundle.contents, name: data + b" "}).digest != bundle.digest


def test_a_file_listed_twice_has_no_digest():
    with pytest.raises(InvalidArgument, match="twice"):
        bundle_digest([file_entry(TENSORS, b"a"), file_entry(TENSORS, b"b")])


@pytest.mark.parametrize(
    "name", ["../manifest.json", "manifest.json\0", "", "model.pkl", "MANIFEST.JSON", "a" * 999]
)
def test_a_file_may_only_have_a_name_of_the_format(name):
    with pytest.raises(InvalidArgument) as refused:
        file_entry(name, b"")
    assert refused.value.violations[0].field == "bundle.files"
    assert len(refused.value.message) < 300


@pytest.mark.parametrize(
    ("size", "digest", "field"),
    [
        (-1, "0" * 64, "bundle.files[model.safetensors].size_bytes"),
        (2**40, "0" * 64, "bundle.files[model.safetensors].size_bytes"),
        (1, "0" * 63, "bundle.files[model.safetensors].sha256"),
        (1, "A" * 64, "bundle.files[model.safetensors].sha256"),
        (1, "0" * 64 + "\n", "bundle.files[model.safetensors].sha256"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(size, digest, field):
    with pytest.raises(InvalidArgument) as refused:
        FileEntry(TENSORS, size, digest)
    assert refused.value.violations[0].field == field


def spoilt(*path_and_value):
    """A change of the manifest at a path of keys and indices."""
    *path, last, value = path_and_value

    def change(found):
        for step in path:
            found = found[step]
        found[last] = value

    return change


HEX = "0" * 64
FILE = {"name": TENSORS, "size_bytes": 1, "sha256": HEX}
MANIFEST_FILE = {"name": MANIFEST, "size_bytes": 1, "sha256": HEX}


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        (spoilt("format_version", 2), "bundle.manifest.format_version", "unknown_version"),
        (spoilt("format_version", "1"), "bundle.manifest.format_version", "type"),
        (spoilt("feature_names", []), "bundle.manifest.feature_names", "required"),
        (spoilt("feature_names", ["a", "a"]), "bundle.manifest.feature_names[1]", "unique"),
        (spoilt("feature_names", ["a", 3]), "bundle.manifest.feature_names[1]", "name"),
        (spoilt("feature_names", ["a", "b\n"]), "bundle.manifest.feature_names[1]", "name"),
        (spoilt("feature_names", ["a", "b" * 201]), "bundle.manifest.feature_names[1]", "name"),
        (spoilt("feature_names", ["a", ""]), "bundle.manifest.feature_names[1]", "name"),
        (spoilt("feature_names", ["a"]), "bundle.manifest.graph.nodes[0].features", "width"),
        (spoilt("classes", ["up"]), "bundle.manifest.classes", "range"),
        (spoilt("classes", ["down", "range", "up"]), "bundle.manifest.graph.probabilities", "width"),
        (spoilt("golden", {"rows": 0}), "bundle.manifest.golden.rows", "range"),
        (spoilt("golden", {"rows": 1025}), "bundle.manifest.golden.rows", "range"),
        (spoilt("golden", {"rows": 1, "seed": 2}), "bundle.manifest.golden.seed", "unknown"),
        (spoilt("files", []), "bundle.manifest.files", "files"),
        (spoilt("files", [FILE, FILE]), "bundle.manifest.files", "files"),
        (spoilt("files", [MANIFEST_FILE, FILE]), "bundle.manifest.files", "files"),
        (spoilt("files", [FILE] * 9), "bundle.manifest.files", "range"),
        (spoilt("files", 0, "name", "model.pkl"), "bundle.files", "name"),
        (spoilt("files", 0, "path", "/etc"), "bundle.manifest.files[0].path", "unknown"),
        (spoilt("files", 0, "sha256", "no"), "bundle.files[model.safetensors].sha256", "digest"),
        (spoilt("scores", []), "bundle.manifest.scores", "type"),
        (spoilt("code", {}), "bundle.manifest.code", "unknown"),
        (spoilt("graph", None), "bundle.manifest.graph", "type"),
        (spoilt("graph", "nodes", []), "bundle.manifest.graph.nodes", "range"),
        (spoilt("graph", "nodes", 0, []), "bundle.manifest.graph.nodes[0]", "type"),
        (spoilt("graph", "nodes", 0, "op", "python"), "bundle.manifest.graph.nodes[0].op", "unknown_op"),
        (
            spoilt("graph", "nodes", 0, "library", "catboost"),
            "bundle.manifest.graph.nodes[0].library",
            "library",
        ),
        (spoilt("graph", "nodes", 0, "outputs", 0), "bundle.manifest.graph.nodes[0].outputs", "range"),
        (spoilt("graph", "nodes", 0, "outputs", 2), "bundle.manifest.graph.nodes[0].outputs", "width"),
        (spoilt("graph", "nodes", 0, "outputs", 3), "bundle.manifest.graph.nodes[1].input", "width"),
        (spoilt("graph", "nodes", 0, "features", 3), "bundle.manifest.graph.nodes[0].features", "width"),
        (spoilt("graph", "nodes", 0, "id", "golden"), "bundle.manifest.graph.nodes[0].id", "id"),
        (spoilt("graph", "nodes", 0, "id", "a.b"), "bundle.manifest.graph.nodes[0].id", "id"),
        (spoilt("graph", "nodes", 1, "id", "trees"), "bundle.manifest.graph.nodes[1].id", "id"),
        (
            spoilt("graph", "nodes", 1, "input", "probabilities"),
            "bundle.manifest.graph.nodes[1].input",
            "unknown_node",
        ),
        (spoilt("graph", "nodes", 1, "input", 7), "bundle.manifest.graph.nodes[1].input", "type"),
        (spoilt("graph", "nodes", 1, "op", "softmax"), "bundle.manifest.graph.nodes[1].input", "width"),
        (spoilt("graph", "raw", "nowhere"), "bundle.manifest.graph.raw", "unknown_node"),
        (spoilt("graph", "probabilities", "trees"), "bundle.manifest.graph.probabilities", "width"),
    ],
)
def test_what_is_wrong_in_a_manifest_is_refused_by_its_path(change, field, rule):
    value = document()
    change(value)
    found = refusal(value).violations[0]
    assert (found.field, found.rule) == (field, rule)


@pytest.mark.parametrize("name", ["classes", "feature_names", "files", "format_version", "golden", "graph"])
def test_each_field_must_be_there(name):
    value = document()
    del value[name]
    assert refusal(value).violations[0].field == f"bundle.manifest.{name}"


def test_more_features_or_bytes_than_the_limits_are_refused():
    value = document()
    value["feature_names"] = [f"feature_{index}" for index in range(MAX_FEATURES + 1)]
    assert isinstance(refusal(value), ResourceExhausted)
    value = document() | {"config": {"text": "x" * MAX_MANIFEST_BYTES}}
    assert isinstance(refusal(value), ResourceExhausted)


def test_a_node_reads_only_nodes_before_it_so_there_is_no_cycle():
    trees = {"id": "trees", "op": "trees", "library": "lightgbm", "features": 2, "outputs": 3}
    value = document()
    value["classes"] = ["down", "range", "up"]
    value["graph"] = {
        "nodes": [{"id": "first", "op": "softmax", "input": "trees"}, trees],
        "raw": "trees",
        "probabilities": "first",
    }
    assert refusal(value).violations[0].rule == "unknown_node"
    value["graph"]["nodes"].reverse()
    assert read_manifest(write_canonical_json(value)).graph.node("first") == Softmax("first", "trees")


def test_a_forest_needs_no_link_and_gets_none():
    forest = Trees("trees", Library.FOREST, 2, 2)
    value = document()
    value["graph"]["nodes"] = [
        {"id": "trees", "op": "trees", "library": "forest", "features": 2, "outputs": 2}
    ]
    value["graph"] |= {"raw": "trees", "probabilities": "trees"}
    assert read_manifest(write_canonical_json(value)).graph == Graph((forest,), "trees", "trees")
    value["graph"]["nodes"].append({"id": "again", "op": "softmax", "input": "trees"})
    assert refusal(value).violations[0].field == "bundle.manifest.graph.nodes[1].input"


@pytest.mark.parametrize(
    "section", [{"a": float("nan")}, {"a": [float("-inf")]}, {"a": object()}, {1: 2}, {"a": "\ud800"}]
)
def test_a_section_that_is_no_finite_json_is_not_packed(section):
    with pytest.raises(InvalidArgument, match="sections"):
        hand_bundle(sections={"config": section})


def test_a_section_of_another_name_is_not_packed():
    assert "code" not in SECTIONS
    with pytest.raises(InvalidArgument, match=r"bundle\.manifest\.code"):
        hand_bundle(sections={"code": {}})


@pytest.mark.parametrize("field", ["features", "raw", "probabilities"])
@pytest.mark.parametrize(
    "spoil", [lambda array: array[:3], lambda array: array[:, :0], lambda array: array.astype(np.float32)]
)
def test_golden_rows_of_another_size_or_type_are_refused(field, spoil):
    bundle = hand_bundle()
    manifest = read_manifest(bundle.contents[MANIFEST])
    arrays = unpack_tensors(bundle.contents[TENSORS])
    arrays[f"golden.{field}"] = spoil(arrays[f"golden.{field}"])
    with pytest.raises(InvalidArgument) as refused:
        read_golden_rows(manifest, arrays)
    assert refused.value.violations[0].field == f"bundle.arrays.golden.{field}"
    del arrays[f"golden.{field}"]
    with pytest.raises(InvalidArgument):
        read_golden_rows(manifest, arrays)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "trees", "golden", *sorted(FILE_NAMES), HEX]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "op", "rows"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value, path=()):
    """Every path in a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in pairs:
        yield (*path, key)
        yield from places(each, (*path, key))


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_any_value_anywhere_in_a_manifest_is_read_or_refused_by_path(data):
    value = document()
    *path, last = data.draw(st.sampled_from(list(places(value))))
    spoilt(*path, last, data.draw(json_values))(value)
    text = write_canonical_json(value)
    where = "bundle."
    try:
        assert write_manifest(read_manifest(text)) == text
    except InvalidArgument as refused:
        where = refused.violations[0].field
    except ResourceExhausted as refused:
        where = refused.subject
    assert where.startswith("bundle.")


def test_sigmoid_takes_one_score():
    assert GRAPH.node("probabilities") == Sigmoid("probabilities", "trees")
