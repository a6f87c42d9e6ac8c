"""Ensembles: graphs of several nodes answer by their formulas, and hostile ones are refused."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference import open_inference_pb2 as v2
from marketml.bundle import (
    MANIFEST,
    TENSORS,
    Calibrate,
    Calibration,
    Concat,
    Decision,
    GoldenRows,
    Graph,
    Library,
    Linear,
    Mean,
    Sigmoid,
    Softmax,
    Trees,
    pack_tensors,
    unpack_tensors,
)
from marketml.bundle.canonical import write_canonical_json
from marketml.bundle.files import file_entry
from marketml.bundle.manifest import read_manifest
from marketml.rpc.refusals import InvalidArgument, ResourceExhausted
from services.registry import predictor
from services.registry.inspection import inspect_bundle
from tests.bundle.cases import ARRAYS, CLASSES, ROWS, golden, hand_bundle

EXAMPLES = int(os.environ.get("MARKETML_FUZZ_EXAMPLES", "150"))

# Two boosters; their weighted mean and the features; a linear model of those; knots; thresholds.
GRAPH = Graph(
    (
        Trees("member_1", Library.LIGHTGBM, 2, 1),
        Sigmoid("member_1_probabilities", "member_1"),
        Trees("member_2", Library.LIGHTGBM, 2, 1),
        Sigmoid("member_2_probabilities", "member_2"),
        Mean("mean", ("member_1_probabilities", "member_2_probabilities")),
        Concat("joined", ("mean", "features")),
        Linear("meta", "joined", 1),
        Sigmoid("stacked", "meta"),
        Calibrate("calibrated", "stacked", Calibration.ISOTONIC),
        Decision("decision", "calibrated"),
    ),
    raw="stacked",
    probabilities="calibrated",
    decision="decision",
)
PARAMETERS = {
    "mean.weights": np.array([0.25, 0.75]),
    "meta.fill": np.array([0.5, 0.5, 1.0, -1.0]),
    "meta.center": np.array([0.1, 0.2, 0.3, 0.4]),
    "meta.scale": np.array([2.0, 1.0, 0.5, 4.0]),
    "meta.coefficients": np.array([[1.0, -2.0, 0.5, 0.25]]),
    "meta.intercepts": np.array([0.125]),
    "calibrated.offsets": np.array([0, 2, 5]),
    "calibrated.knots": np.array([0.2, 0.7, 0.1, 0.4, 0.9]),
    "calibrated.values": np.array([0.1, 0.6, 0.0, 0.5, 0.5]),
    "decision.thresholds": np.array([0.9, 0.1]),
}
OTHER = {**ARRAYS, "trees.leaves": ARRAYS["trees.leaves"] * -3.0}
NUMBERS = {
    **{name.replace("trees.", "member_1."): array for name, array in ARRAYS.items()},
    **{name.replace("trees.", "member_2."): array for name, array in OTHER.items()},
    **PARAMETERS,
}


def sigmoid(scores):
    return np.column_stack((1 - 1 / (1 + np.exp(-scores)), 1 / (1 + np.exp(-scores))))


def answers(rows):
    """Stacked and calibrated probabilities, by NumPy alone."""
    first, second = np.array([0.875, -0.375, 0.375, 0.375]), np.array([-2.625, 1.125, -1.125, -1.125])
    mean = 0.25 * sigmoid(first) + 0.75 * sigmoid(second)
    joined = np.column_stack((mean, rows))
    filled = np.where(np.isnan(joined), PARAMETERS["meta.fill"], joined)
    scores = (filled - PARAMETERS["meta.center"]) / PARAMETERS["meta.scale"] @ [1.0, -2.0, 0.5, 0.25] + 0.125
    stacked = sigmoid(scores)
    down = np.interp(stacked[:, 0], [0.2, 0.7], [0.1, 0.6])
    up = np.interp(stacked[:, 1], [0.1, 0.4, 0.9], [0.0, 0.5, 0.5])
    return stacked, np.column_stack((down, up)) / (down + up)[:, np.newaxis]


def ensemble(graph=GRAPH, **changes):
    """The bundle, with some of its arrays replaced."""
    stacked, calibrated = answers(ROWS)
    numbers = {**NUMBERS, **{name.replace("__", "."): value for name, value in changes.items()}}
    numbers = {name: value for name, value in numbers.items() if value is not None}
    return hand_bundle(graph=graph, arrays=numbers, golden=GoldenRows(ROWS, stacked, calibrated))


def inspected(bundle):
    return inspect_bundle(bundle.contents[MANIFEST], bundle.contents[TENSORS])


def refused(bundle):
    with pytest.raises(InvalidArgument) as found:
        inspected(bundle)
    return found.value.violations[0].field, found.value.violations[0].rule


def test_an_ensemble_answers_by_the_formulas_of_its_nodes():
    found = inspected(ensemble()).predictor
    stacked, calibrated = answers(ROWS)
    assert np.abs(found.raw(ROWS) - stacked).max() < 1e-15
    assert np.abs(found.predict(ROWS) - calibrated).max() < 1e-15
    alone = [found.predict(row[np.newaxis])[0].tolist() for row in ROWS]
    assert found.predict(ROWS).tolist() == alone


def test_thresholds_choose_the_class_and_without_them_the_likeliest_is_it():
    probabilities = np.array([[0.85, 0.15], [0.95, 0.05], [0.5, 0.5]])
    assert inspected(ensemble()).predictor.choose(probabilities).tolist() == [1, 0, 1]
    assert inspected(hand_bundle()).predictor.choose(probabilities).tolist() == [0, 0, 0]


def test_a_sigmoid_corrects_the_log_odds_of_each_class_and_rows_add_up_to_one_again():
    graph = Graph(
        (
            Trees("trees", Library.LIGHTGBM, 2, 1),
            Sigmoid("linked", "trees"),
            Calibrate("calibrated", "linked", Calibration.SIGMOID),
        ),
        raw="trees",
        probabilities="calibrated",
    )
    raw = golden()
    odds = np.log(raw.probabilities / (1 - raw.probabilities))
    corrected = 1 / (1 + np.exp(-(odds * [0.5, 2.0] + [0.25, -0.5])))
    expected = corrected / corrected.sum(axis=1, keepdims=True)
    slopes = {"calibrated.slopes": np.array([0.5, 2.0]), "calibrated.intercepts": np.array([0.25, -0.5])}
    bundle = hand_bundle(
        graph=graph, arrays={**ARRAYS, **slopes}, golden=GoldenRows(raw.features, raw.raw, expected)
    )
    assert np.abs(inspected(bundle).predictor.predict(ROWS) - expected).max() < 1e-15
    spoilt = {**ARRAYS, **slopes, "calibrated.slopes": np.array([0.5, -2.0])}
    bundle = hand_bundle(graph=graph, arrays=spoilt, golden=GoldenRows(raw.features, raw.raw, expected))
    assert refused(bundle) == ("bundle.arrays.calibrated.slopes[1]", "range")


def test_a_row_whose_calibrated_probabilities_are_all_0_has_equal_ones():
    stacked, _ = answers(ROWS)
    bundle = hand_bundle(
        graph=GRAPH,
        arrays={**NUMBERS, "calibrated.values": np.zeros(5)},
        golden=GoldenRows(ROWS, stacked, np.full((4, 2), 0.5)),
    )
    assert inspected(bundle).predictor.predict(ROWS).tolist() == [[0.5, 0.5]] * 4
    assert refused(ensemble(calibrated__values=np.zeros(5)))[1] == "golden"


@pytest.mark.parametrize(
    ("name", "value", "where", "rule"),
    [
        ("mean.weights", np.array([0.5, 0.6]), "mean.weights", "range"),
        ("mean.weights", np.array([1.5, -0.5]), "mean.weights[0]", "range"),
        ("mean.weights", np.array([np.nan, 1.0]), "mean.weights[0]", "range"),
        ("mean.weights", np.array([1.0]), "mean.weights", "shape"),
        ("mean.weights", None, "mean.weights", "required"),
        ("meta.fill", np.array([0.5, np.nan, 1.0, -1.0]), "meta.fill[1]", "range"),
        ("meta.center", np.array([0.1, 0.2, np.inf, 0.4]), "meta.center[2]", "range"),
        ("meta.scale", np.array([2.0, 0.0, 0.5, 4.0]), "meta.scale[1]", "range"),
        ("meta.scale", np.array([2.0, -1.0, 0.5, 4.0]), "meta.scale[1]", "range"),
        ("meta.scale", np.array([2.0, 1.0, 0.5]), "meta.scale", "shape"),
        ("meta.coefficients", np.array([[1.0, -2.0, 1e31, 0.25]]), "meta.coefficients[0][2]", "range"),
        ("meta.coefficients", np.ones((4, 1)), "meta.coefficients", "shape"),
        ("meta.intercepts", np.array([np.nan]), "meta.intercepts[0]", "range"),
        ("meta.intercepts", np.array([0], np.int64), "meta.intercepts", "dtype"),
        ("calibrated.offsets", np.array([1, 2, 5]), "calibrated.offsets[0]", "range"),
        ("calibrated.offsets", np.array([0, 2, 6]), "calibrated.offsets[2]", "range"),
        ("calibrated.offsets", np.array([0, 5, 5]), "calibrated.offsets[1]", "order"),
        ("calibrated.offsets", np.array([0, -(2**63), 5]), "calibrated.offsets[0]", "order"),
        ("calibrated.offsets", np.array([0, 5]), "calibrated.offsets", "shape"),
        ("calibrated.offsets", np.array([0.0, 2.0, 5.0]), "calibrated.offsets", "dtype"),
        ("calibrated.knots", np.array([0.2, 0.2, 0.1, 0.4, 0.9]), "calibrated.knots[1]", "order"),
        ("calibrated.knots", np.array([0.2, 0.2 + 5e-7, 0.1, 0.4, 0.9]), "calibrated.knots[1]", "order"),
        ("calibrated.knots", np.array([0.2, 0.7, 0.1, np.nan, 0.9]), "calibrated.knots[3]", "range"),
        ("calibrated.knots", np.array([0.2, 0.7, -0.1, 0.4, 0.9]), "calibrated.knots[2]", "range"),
        ("calibrated.knots", np.zeros((5, 1)), "calibrated.knots", "shape"),
        ("calibrated.values", np.array([0.1, 0.6, 0.0, 0.5]), "calibrated.values", "shape"),
        ("calibrated.values", np.array([0.6, 0.1, 0.0, 0.5, 0.5]), "calibrated.values[1]", "order"),
        ("calibrated.values", np.array([0.1, 0.6, 0.0, 0.5, 1.5]), "calibrated.values[4]", "range"),
        ("decision.thresholds", np.array([0.9, 0.0]), "decision.thresholds[1]", "range"),
        ("decision.thresholds", np.array([np.nan, 0.1]), "decision.thresholds[0]", "range"),
        ("decision.thresholds", np.array([0.9, 0.1, 0.2]), "decision.thresholds", "shape"),
        ("member_2.left", np.array([0, -2], np.int32), "member_2.left[0]", "child"),
        ("joined.weights", np.zeros(1), "joined.weights", "unknown"),
    ],
)  # fmt: skip
def test_a_wrong_number_of_any_node_is_refused_by_its_path(name, value, where, rule):
    assert refused(ensemble(**{name.replace(".", "__"): value})) == (f"bundle.arrays.{where}", rule)


def with_nodes(change):
    """The manifest's refusal after `change(graph)`."""
    value = json.loads(ensemble().contents[MANIFEST])
    change(value["graph"])
    with pytest.raises(InvalidArgument) as found:
        read_manifest(write_canonical_json(value))
    return found.value.violations[0].field.removeprefix("bundle.manifest.graph."), found.value.violations[
        0
    ].rule


def spoilt(position, name, value):
    def change(graph):
        graph["nodes"][position][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "where", "rule"),
    [
        (spoilt(0, "id", "features"), "nodes[0].id", "id"),
        (spoilt(0, "input", "features"), "nodes[0].input", "canonical"),
        (spoilt(0, "input", "member_2"), "nodes[0].input", "unknown_node"),
        (spoilt(2, "input", "member_1_probabilities"), "nodes[3].input", None),
        (spoilt(2, "input", "member_1"), "nodes[2].features", "width"),
        (spoilt(4, "inputs", []), "nodes[4].inputs", "unique"),
        (spoilt(4, "inputs", ["member_1_probabilities"] * 2), "nodes[4].inputs", "unique"),
        (spoilt(4, "inputs", ["member_1_probabilities", "member_2"]), "nodes[4].inputs[1]", "width"),
        (spoilt(4, "inputs", ["features"]), "nodes[4].inputs[0]", "width"),
        (spoilt(4, "inputs", ["meta"]), "nodes[4].inputs[0]", "unknown_node"),
        (spoilt(4, "inputs", [7]), "nodes[4].inputs[0]", "type"),
        (spoilt(5, "inputs", ["joined"]), "nodes[5].inputs[0]", "unknown_node"),
        (spoilt(6, "outputs", 2), "nodes[6].outputs", "width"),
        (spoilt(6, "input", "stacked"), "nodes[6].input", "unknown_node"),
        (spoilt(7, "input", "features"), "nodes[7].input", "width"),
        (spoilt(8, "method", "beta"), "nodes[8].method", "method"),
        (spoilt(8, "input", "meta"), "nodes[8].input", "width"),
        (spoilt(9, "input", "stacked"), "decision", "width"),
        (spoilt(9, "op", "softmax"), "nodes[9].input", "width"),
        (lambda graph: graph.pop("decision"), "decision", "unknown_node"),
        (lambda graph: graph.update(decision="meta"), "decision", "unknown_node"),
        (lambda graph: graph.update(decision=3), "decision", "type"),
        (lambda graph: graph.update(probabilities="decision", decision="decision"), "probabilities", "width"),
        (lambda graph: graph.update(raw="features"), "raw", "unknown_node"),
    ],
)  # fmt: skip
def test_a_graph_whose_nodes_do_not_fit_is_refused_by_its_path(change, where, rule):
    if rule is None:  # trees may read probabilities: two columns as there are two features
        value = json.loads(ensemble().contents[MANIFEST])
        change(value["graph"])
        assert read_manifest(write_canonical_json(value)).graph.nodes[2].input == "member_1_probabilities"
        return
    assert with_nodes(change) == (where, rule)


def test_joined_columns_are_limited_over_all_nodes():
    """A node that joins all before it doubles the columns."""

    def change(graph):
        for number in range(13):
            before = [f"more_{each}" for each in range(number)]
            graph["nodes"].append({"id": f"more_{number}", "op": "concat", "inputs": ["joined", *before]})

    assert with_nodes(change) == ("nodes", "width")


def test_inputs_are_limited_over_all_nodes():
    def change(graph):
        for number in range(70):
            before = [f"more_{each}" for each in range(number)]
            graph["nodes"].insert(
                5 + number, {"id": f"more_{number}", "op": "mean", "inputs": ["mean", *before]}
            )

    assert with_nodes(change) == ("nodes", "range")


def test_many_rows_are_answered_in_parts_with_the_same_bits(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(100, 2))
    whole = inspected(ensemble()).predictor.predict(rows)
    monkeypatch.setattr(predictor, "MOST_VALUES", 7 * 30)
    assert inspected(ensemble()).predictor.predict(rows).tobytes() == whole.tobytes()
    monkeypatch.setattr(predictor, "MOST_VALUES", 1)
    assert inspected(ensemble()).predictor.predict(rows).tobytes() == whole.tobytes()
    assert inspected(ensemble()).predictor.predict(rows[:0]).shape == (0, 2)


def test_an_ensemble_is_written_as_it_is_read():
    manifest = read_manifest(ensemble().contents[MANIFEST])
    assert manifest.graph == GRAPH
    assert manifest.classes == CLASSES


def test_a_linear_model_refuses_what_is_infinite_by_row_and_name():
    rows = ROWS.copy()
    rows[1, 1] = np.inf
    with pytest.raises(InvalidArgument, match=r"features\[1\]\.volume.*linear model"):
        inspected(ensemble()).predictor.predict(rows)


def test_trees_may_read_what_other_nodes_give():
    graph = Graph(
        (
            Trees("trees", Library.LIGHTGBM, 2, 1),
            Sigmoid("linked", "trees"),
            Concat("joined", ("linked",)),
            Trees("meta", Library.FOREST, 2, 2, input="joined"),
        ),
        raw="meta",
        probabilities="meta",
    )
    leaves = np.array([[0.75, 0.25], [0.5, 0.5], [1.0, 0.0], [0.25, 0.75]])
    meta = {
        **{name.replace("trees.", "meta."): array for name, array in ARRAYS.items()},
        "meta.threshold": np.array([0.5, 0.5]),  # up <= 0.5 ? (down <= 0.5 ? 1 : 2) : 0
        "meta.leaves": leaves,
        "meta.base": np.zeros(2),
    }
    expected = (leaves[[0, 2, 0, 0]] + leaves[3]) / 2
    bundle = hand_bundle(graph=graph, arrays={**ARRAYS, **meta}, golden=GoldenRows(ROWS, expected, expected))
    assert inspected(bundle).predictor.predict(ROWS).tolist() == expected.tolist()


INDICES = st.integers(-8, 8) | st.sampled_from([2**31 - 1, -(2**31)])
FLOATS = st.floats() | st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf, 1e30, 1e-30, 1e31])
OF_KIND = {"i": INDICES, "u": st.integers(0, 255), "f": FLOATS}


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data())
def test_any_numbers_in_an_ensembles_arrays_are_refused_or_answer_with_probabilities(data):
    bundle = ensemble()
    arrays = {name: array.copy() for name, array in unpack_tensors(bundle.contents[TENSORS]).items()}
    for _ in range(data.draw(st.integers(1, 4))):
        flat = arrays[data.draw(st.sampled_from(sorted(arrays)))].reshape(-1)
        flat[data.draw(st.integers(0, flat.size - 1))] = data.draw(OF_KIND[flat.dtype.kind])
    tensors = pack_tensors(arrays)
    manifest = json.loads(bundle.contents[MANIFEST])
    entry = file_entry(TENSORS, tensors)
    manifest["files"] = [{"name": entry.name, "size_bytes": entry.size_bytes, "sha256": entry.sha256}]
    try:
        found = inspect_bundle(write_canonical_json(manifest), tensors)
    except (InvalidArgument, ResourceExhausted):
        return
    rows = np.array([[0.5, 1.5], [np.nan, 9.0], [-3e38, 3e38]])
    answer = found.predictor.predict(rows)
    assert np.isfinite(answer).all()
    assert np.abs(answer.sum(axis=1) - 1).max() < 1e-9
    assert set(found.predictor.choose(answer).tolist()) <= {0, 1}


def test_softmax_of_a_linear_model_gives_a_probability_per_class():
    graph = Graph((Linear("meta", "features", 3), Softmax("probabilities", "meta")), "meta", "probabilities")
    coefficients = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]])
    numbers = {
        "meta.fill": np.zeros(2),
        "meta.center": np.zeros(2),
        "meta.scale": np.ones(2),
        "meta.coefficients": coefficients,
        "meta.intercepts": np.array([0.1, 0.2, 0.3]),
    }
    scores = np.nan_to_num(ROWS) @ coefficients.T + [0.1, 0.2, 0.3]
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    bundle = hand_bundle(
        graph=graph,
        arrays=numbers,
        classes=("down", "range", "up"),
        golden=GoldenRows(ROWS, scores, expected),
    )
    assert np.abs(inspected(bundle).predictor.predict(ROWS) - expected).max() < 1e-15


def test_thresholds_name_the_class_in_every_answer(registry):
    """The thresholds say `up` where the likeliest class is `down`."""
    registry.client.upload_model("ensemble", ensemble())
    registry.client.load_model("ensemble")
    times = pd.date_range("2024-01-01", periods=4, freq="h", tz="UTC", name="open_time")
    table = pd.DataFrame(ROWS, times, ["momentum", "volume"])
    frame = registry.client.predict("ensemble", table).frame
    probabilities = frame[["probability_down", "probability_up"]].to_numpy()
    assert probabilities == pytest.approx(answers(ROWS)[1], abs=1e-12)
    likeliest = [CLASSES[position] for position in probabilities.argmax(axis=1)]
    said = [CLASSES[position] for position in (probabilities / [0.9, 0.1]).argmax(axis=1)]
    assert list(frame["predicted_class"]) == said != likeliest
    for raw in (True, False):
        request = v2.ModelInferRequest(model_name="ensemble")
        tensor = request.inputs.add(name="features", datatype="FP64", shape=ROWS.shape)
        if raw:
            request.raw_input_contents.append(ROWS.tobytes())
        else:
            tensor.contents.fp64_contents.extend(ROWS.ravel())
        request.outputs.add(name="predicted_class")
        answer = registry.inference.ModelInfer(request)
        if raw:
            packed = b"".join(len(name).to_bytes(4, "little") + name.encode() for name in said)
            assert answer.raw_output_contents == [packed]
        else:
            assert list(answer.outputs[0].contents.bytes_contents) == [name.encode() for name in said]
