"""Predictions by Arrow and by tensors: what is answered, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import open_inference_pb2 as v2
from marketml.registry.v1 import registry_pb2 as pb
from marketml.rpc.refusals import InvalidArgument, NotFound, Reason, Refusal, ResourceExhausted
from tests.registry.bundles import CLASSES, FEATURES, Stumps
from tests.registry.frames import frame_of, random_rows

MODEL = Stumps(1)


@pytest.fixture(scope="module")
def served(shared_registry):
    shared_registry.client.upload_model("btc", MODEL.bundle)
    shared_registry.client.load_model("btc")
    return shared_registry


def ipc(columns: dict | pa.Table) -> bytes:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def columns_of(rows: np.ndarray) -> dict:
    return {name: pa.array(rows[:, position]) for position, name in enumerate(FEATURES)}


def predict(served, columns) -> pb.PredictResponse:
    content = columns if isinstance(columns, bytes) else ipc(columns)
    return served.stub.Predict(pb.PredictRequest(model_name="btc", arrow_ipc=content))


def probabilities_of(response: pb.PredictResponse) -> np.ndarray:
    table = pa.ipc.open_stream(response.arrow_ipc).read_all()
    return np.column_stack([table[f"probability_{name}"].to_numpy() for name in CLASSES])


def test_columns_are_matched_by_name_whatever_their_order(served):
    rows = random_rows(20)
    columns = columns_of(rows)
    answer = predict(served, dict(reversed(columns.items())))
    np.testing.assert_allclose(probabilities_of(answer), MODEL.probabilities(rows), rtol=1e-14)
    assert not answer.HasField("watermark_time")


def test_null_is_missing_as_nan_is(served):
    rows = random_rows(20)
    rows[3] = np.nan
    columns = {name: pa.array(rows[:, position], from_pandas=True) for position, name in enumerate(FEATURES)}
    assert columns[FEATURES[0]].null_count > 0
    np.testing.assert_allclose(
        probabilities_of(predict(served, columns)), MODEL.probabilities(rows), rtol=1e-14
    )


def test_several_batches_are_answered_together(served):
    rows = random_rows(20)
    table = pa.concat_tables([pa.table(columns_of(rows[:7])), pa.table(columns_of(rows[7:]))])
    np.testing.assert_allclose(
        probabilities_of(predict(served, table)), MODEL.probabilities(rows), rtol=1e-14
    )


def test_no_rows_get_no_answers(served):
    answer = predict(served, columns_of(random_rows(0)))
    assert probabilities_of(answer).shape == (0, len(CLASSES))
    with_time = served.client.predict("btc", frame_of(random_rows(0)))
    assert len(with_time.frame) == 0
    assert with_time.watermark_time is None


def test_the_watermark_is_the_newest_bar(served):
    rows = random_rows(3)
    times = pd.to_datetime(["2026-01-03", "2026-01-05", "2026-01-04"], utc=True)
    columns = {**columns_of(rows), "open_time": pa.array(times, pa.timestamp("ns", "UTC"))}
    assert predict(served, columns).watermark_time.ToDatetime() == times[1].to_pydatetime().replace(
        tzinfo=None
    )


def test_a_frame_larger_than_a_message_is_answered_by_one_version(served):
    rows = random_rows(60_000)
    prediction = served.client.predict("btc", frame_of(rows))
    found = prediction.frame[[f"probability_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(found, MODEL.probabilities(rows), rtol=1e-14)
    assert prediction.watermark_time == frame_of(rows).index[-1].to_pydatetime()


ROWS = random_rows(2)


@pytest.mark.parametrize(
    ("columns", "field", "rule"),
    [
        ({name: columns_of(ROWS)[name] for name in FEATURES[1:]}, f"arrow_ipc.{FEATURES[0]}", "required"),
        ({**columns_of(ROWS), "more": pa.array([1.0, 2.0])}, "arrow_ipc.more", "unknown"),
        (
            {**columns_of(ROWS), "rsi_14": pa.array([1.0, 2.0], pa.float32())},
            "arrow_ipc.rsi_14",
            "type",
        ),
        ({**columns_of(ROWS), "rsi_14": pa.array([1, 2])}, "arrow_ipc.rsi_14", "type"),
        ({**columns_of(ROWS), "rsi_14": pa.array(["a", "b"])}, "arrow_ipc.rsi_14", "type"),
        ({**columns_of(ROWS), "open_time": pa.array([1.0, 2.0])}, "arrow_ipc.open_time", "type"),
        (
            {**columns_of(ROWS), "open_time": pa.array([1, None], pa.timestamp("us", "UTC"))},
            "arrow_ipc.open_time",
            "required",
        ),
        (
            {**columns_of(ROWS), "open_time": pa.array([1, 2], pa.timestamp("us"))},
            "arrow_ipc.open_time",
            "type",
        ),
        (
            {**columns_of(ROWS), "open_time": pa.array([2**62, 2], pa.timestamp("s", "UTC"))},
            "arrow_ipc.open_time",
            "range",
        ),
        (
            pa.Table.from_arrays(
                [*columns_of(ROWS).values(), pa.array([1.0, 2.0])], names=[*FEATURES, FEATURES[0]]
            ),
            "arrow_ipc",
            "undecodable",
        ),
    ],
)
def test_other_columns_than_the_model_s_are_refused_by_name(served, columns, field, rule):
    with pytest.raises(InvalidArgument) as refused:
        predict(served, columns)
    assert (field, rule) in {(each.field, each.rule) for each in refused.value.violations}


def test_the_refusal_of_other_columns_says_that_the_schema_is_another(served):
    with pytest.raises(InvalidArgument) as refused:
        predict(served, {"x": pa.array([1.0])})
    assert refused.value.reason is Reason.SCHEMA_MISMATCH
    assert {each.field for each in refused.value.violations} == {
        *(f"arrow_ipc.{name}" for name in FEATURES),
        "arrow_ipc.x",
    }


@pytest.mark.parametrize("content", [b"", b"x", b"\xff\xff\xff\xff\x10\0\0\0", bytes(1000)])
def test_bytes_that_are_no_arrow_are_refused(served, content):
    with pytest.raises(InvalidArgument) as refused:
        predict(served, content)
    assert refused.value.violations[0].field == "arrow_ipc"
    assert refused.value.reason is Reason.UNDECODABLE


def test_more_than_a_message_may_carry_is_refused(served):
    with pytest.raises(ResourceExhausted):
        predict(served, ipc(columns_of(random_rows(40_000))))


def test_a_year_beyond_the_calendar_is_refused(served):
    beyond = pa.array([2**62, 2], pa.timestamp("us", "UTC"))
    with pytest.raises(InvalidArgument) as refused:
        predict(served, {**columns_of(ROWS), "open_time": beyond})
    assert refused.value.violations[0].field == "arrow_ipc.open_time"


# By tensors.


def request(rows: np.ndarray, *, datatype="FP64", raw=True, name="features", **more) -> v2.ModelInferRequest:
    dtype = {"FP64": "<f8", "FP32": "<f4"}[datatype]
    made = v2.ModelInferRequest(model_name="btc", **more)
    tensor = made.inputs.add(name=name, datatype=datatype, shape=rows.shape)
    if raw:
        made.raw_input_contents.append(rows.astype(dtype).tobytes())
    else:
        contents = tensor.contents.fp64_contents if datatype == "FP64" else tensor.contents.fp32_contents
        contents.extend(rows.ravel())
    return made


@pytest.mark.parametrize("datatype", ["FP64", "FP32"])
@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("count", [0, 1, 17, 3000])
def test_tensors_are_answered_in_the_form_they_came(served, datatype, raw, count):
    rows = random_rows(count)
    answer = served.inference.ModelInfer(request(rows, datatype=datatype, raw=raw, id="42"))
    seen = rows.astype({"FP64": np.float64, "FP32": np.float32}[datatype]).astype(np.float64)
    expected = MODEL.probabilities(seen)
    probabilities, classes = answer.outputs
    assert list(probabilities.shape) == [count, len(CLASSES)]
    assert (probabilities.datatype, classes.datatype, list(classes.shape)) == ("FP64", "BYTES", [count])
    if raw and count:
        found = np.frombuffer(answer.raw_output_contents[0], "<f8")
        names = _unpacked(answer.raw_output_contents[1])
    else:
        found = np.array(probabilities.contents.fp64_contents)
        names = [name.decode() for name in classes.contents.bytes_contents]
    np.testing.assert_allclose(found.reshape(count, len(CLASSES)), expected, rtol=1e-14)
    assert names == [CLASSES[position] for position in expected.argmax(axis=1)]
    assert (answer.model_name, answer.model_version, answer.id) == ("btc", "1", "42")
    assert answer.parameters["digest"].string_param == MODEL.bundle.digest


def _unpacked(content: bytes) -> list[str]:
    names = []
    while content:
        length = int.from_bytes(content[:4], "little")
        names.append(content[4 : 4 + length].decode())
        content = content[4 + length :]
    return names


def by_name(rows: np.ndarray, shape: list[int], names=FEATURES) -> v2.ModelInferRequest:
    made = v2.ModelInferRequest(model_name="btc")
    for name in names:
        made.inputs.add(name=name, datatype="FP64", shape=shape)
        made.raw_input_contents.append(rows[:, FEATURES.index(name)].tobytes())
    return made


def test_a_tensor_per_feature_is_the_same_question(served):
    rows = random_rows(6)
    whole = served.inference.ModelInfer(request(rows))
    for shape in ([6], [6, 1]):
        answer = served.inference.ModelInfer(by_name(rows, shape, FEATURES[::-1]))
        assert answer.raw_output_contents == whole.raw_output_contents


def test_a_model_of_many_features_takes_a_tensor_for_each(registry):
    names = tuple(f"feature_{position}" for position in range(300))
    model = Stumps(3, tree_count=90, feature_names=names)
    registry.client.upload_model("wide", model.bundle)
    registry.client.load_model("wide")
    rows = np.random.default_rng(0).normal(size=(2, len(names)))
    made = v2.ModelInferRequest(model_name="wide")
    for position in range(len(names)):
        made.inputs.add(name=names[position], datatype="FP64", shape=[2])
        made.raw_input_contents.append(rows[:, position].tobytes())
    answer = registry.inference.ModelInfer(made)
    found = np.frombuffer(answer.raw_output_contents[0], "<f8").reshape(2, -1)
    np.testing.assert_allclose(found, model.probabilities(rows), rtol=1e-14)


def test_only_the_outputs_asked_for_come_in_their_order(served):
    outputs = [{"name": "predicted_class"}, {"name": "probabilities"}]
    answer = served.inference.ModelInfer(request(ROWS, outputs=outputs))
    assert [output.name for output in answer.outputs] == ["predicted_class", "probabilities"]
    answer = served.inference.ModelInfer(request(ROWS, outputs=outputs[1:]))
    assert [output.name for output in answer.outputs] == ["probabilities"]
    assert len(answer.raw_output_contents) == 1


def changed(change, **how) -> v2.ModelInferRequest:
    made = request(ROWS, **how)
    change(made)
    return made


def _shape(*sizes):
    def change(made):
        made.inputs[0].shape[:] = sizes

    return change


@pytest.mark.parametrize(
    ("made", "field"),
    [
        (v2.ModelInferRequest(model_name="btc"), "inputs"),
        (changed(_shape(2, 3)), "inputs[0].shape"),
        (changed(_shape(8)), "inputs[0].shape"),
        (changed(_shape()), "inputs[0].shape"),
        (changed(_shape(-2, 4)), "inputs[0].shape"),
        (changed(_shape(-(2**63), 4)), "inputs[0].shape"),
        (changed(_shape(3, 4)), "raw_input_contents[0]"),
        (changed(_shape(3, 4), raw=False), "inputs[0].contents.fp64_contents"),
        (changed(lambda made: setattr(made.inputs[0], "datatype", "FP16")), "inputs[0].datatype"),
        (changed(lambda made: setattr(made.inputs[0], "datatype", "")), "inputs[0].datatype"),
        (changed(lambda made: setattr(made.inputs[0], "datatype", "FP32")), "raw_input_contents[0]"),
        (
            changed(lambda made: setattr(made.inputs[0], "datatype", "FP32"), raw=False),
            "inputs[0].contents.fp32_contents",
        ),
        (changed(lambda made: setattr(made.inputs[0], "name", "other")), "inputs[0].name"),
        (changed(lambda made: made.raw_input_contents.append(b"")), "raw_input_contents"),
        (
            changed(lambda made: made.inputs[0].contents.fp64_contents.append(1.0)),
            "inputs[0].contents",
        ),
        (changed(lambda made: made.inputs.add().CopyFrom(made.inputs[0]), raw=False), "inputs[0].name"),
        (by_name(ROWS, [2], FEATURES[:3]), "inputs"),
        (by_name(ROWS, [2], (*FEATURES, FEATURES[0])), "inputs[4].name"),
        (by_name(ROWS, [1, 2]), "inputs[0].shape"),
        (by_name(ROWS, []), "inputs[0].shape"),
        (by_name(ROWS, [-1]), "inputs[0].shape"),
        (changed(lambda made: made.outputs.add(name="other")), "outputs[0].name"),
        (
            changed(lambda made: [made.outputs.add(name="probabilities") for _ in range(2)]),
            "outputs[1].name",
        ),
        (changed(lambda made: setattr(made, "id", "x" * 257)), "id"),
        (
            changed(lambda made: made.parameters["sequence_id"].MergeFrom(v2.InferParameter(int64_param=1))),
            "parameters[sequence_id]",
        ),
        (
            changed(
                lambda made: (
                    made.outputs.add(name="probabilities")
                    .parameters["classification"]
                    .MergeFrom(v2.InferParameter(int64_param=1))
                )
            ),
            "outputs[0].parameters[classification]",
        ),
    ],
)
def test_other_tensors_than_the_model_s_are_refused_with_their_path(served, made, field):
    with pytest.raises(InvalidArgument) as refused:
        served.inference.ModelInfer(made)
    assert refused.value.violations[0].field == field


def test_rows_that_a_shape_only_claims_take_no_memory(served):
    huge = by_name(ROWS, [2])
    for tensor in huge.inputs:
        tensor.shape[:] = [90_000]
    with pytest.raises(InvalidArgument) as refused:
        served.inference.ModelInfer(huge)
    assert refused.value.violations[0].field == "raw_input_contents[0]"
    for tensor in huge.inputs:
        tensor.shape[:] = [2**62]
    with pytest.raises(ResourceExhausted):
        served.inference.ModelInfer(huge)


def test_an_unknown_model_is_not_found_and_not_ready(served):
    with pytest.raises(NotFound):
        served.inference.ModelInfer(request(ROWS, model_version="9"))
    with pytest.raises(NotFound):
        served.inference.ModelMetadata(v2.ModelMetadataRequest(name="eth"))
    assert not served.inference.ModelReady(v2.ModelReadyRequest(name="eth")).ready
    assert not served.inference.ModelReady(v2.ModelReadyRequest(name="btc", version="9")).ready
    assert served.inference.ModelReady(v2.ModelReadyRequest(name="btc", version="1")).ready


def test_a_model_without_a_champion_is_answered_by_version_only(registry):
    registry.client.upload_model("btc", MODEL.bundle)
    with pytest.raises(NotFound):
        registry.inference.ModelInfer(request(ROWS))
    assert registry.inference.ModelInfer(request(ROWS, model_version="1")).model_version == "1"


def test_infinity_is_a_number_to_boosted_trees(served):
    rows = random_rows(4)
    rows[0, 0], rows[1, 1] = np.inf, -np.inf
    answer = served.inference.ModelInfer(request(rows))
    found = np.frombuffer(answer.raw_output_contents[0], "<f8").reshape(4, -1)
    np.testing.assert_allclose(found, MODEL.probabilities(rows), rtol=1e-14)


def test_what_was_answered_is_counted(registry):
    registry.client.upload_model("btc", MODEL.bundle)
    registry.client.load_model("btc")
    for _ in range(3):
        registry.inference.ModelInfer(request(random_rows(4)))
    registry.client.predict("btc", frame_of(random_rows(5)))
    (loaded,) = registry.client.get_status().loaded_models
    assert (loaded.model_name, loaded.version, list(loaded.aliases)) == ("btc", 1, ["champion"])
    assert (loaded.call_count, loaded.row_count) == (4, 17)
    assert 0 < loaded.median_duration.ToTimedelta().total_seconds() < 10
    assert loaded.HasField("last_time")


def test_no_question_breaks_the_server(served):
    """After everything above was refused, a right question is answered."""
    for content in (b"\x0a\xff", b"\xff" * 50):
        with pytest.raises(Refusal):
            predict(served, content)
    assert len(served.client.predict("btc", frame_of(ROWS)).frame) == len(ROWS)


_GOOD = (
    ipc({**columns_of(random_rows(3)), "open_time": pa.array([1, 2, 3], pa.timestamp("us", "UTC"))}),
    request(random_rows(3)).SerializeToString(),
    request(random_rows(3), raw=False).SerializeToString(),
)
_CHANGES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4)


@pytest.mark.parametrize("question", [0, 1, 2], ids=["arrow", "raw tensors", "typed tensors"])
@given(changes=_CHANGES, cut=st.integers(0, 10**6))
def test_damaged_questions_are_answered_or_refused_never_a_bug(served, question, changes, cut):
    content = bytearray(_GOOD[question])
    for position, value in changes:
        content[position % len(content)] = value
    content = content[: max(1, len(content) - cut % 200)]
    try:
        if question == 0:
            predict(served, bytes(content))
        else:
            ask = served.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            v2.ModelInferResponse.FromString(ask(bytes(content)))
    except (InvalidArgument, NotFound, ResourceExhausted):
        pass
