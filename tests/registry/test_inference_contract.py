"""The stock client against our server, and its descriptors against ours, field by field. It runs in a
process of its own: two files that declare the same names cannot share a descriptor pool."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import descriptor_pb2

from inference import open_inference_pb2
from tests.registry.bundles import CLASSES, FEATURES, Stumps

_CLIENT = Path(__file__).with_name("triton_client.py")

_DUMP = """
import sys
from google.protobuf import descriptor_pb2
from tritonclient.grpc import service_pb2
found = descriptor_pb2.FileDescriptorProto()
service_pb2.DESCRIPTOR.CopyToProto(found)
sys.stdout.buffer.write(found.SerializeToString())
"""


@pytest.fixture(scope="module")
def stock() -> descriptor_pb2.FileDescriptorProto:
    dumped = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _DUMP], capture_output=True, check=True, timeout=120
    )
    return descriptor_pb2.FileDescriptorProto.FromString(dumped.stdout)


@pytest.fixture(scope="module")
def ours() -> descriptor_pb2.FileDescriptorProto:
    found = descriptor_pb2.FileDescriptorProto()
    open_inference_pb2.DESCRIPTOR.CopyToProto(found)
    return found


def _messages(messages, path=""):
    for message in messages:
        name = f"{path}{message.name}"
        yield name, message
        yield from _messages(message.nested_type, f"{name}.")


def _shape(message):
    """What decides the bytes: number, name, type, label, message, oneof, packing."""
    return {
        field.number: (
            field.name,
            field.type,
            field.label,
            field.type_name,
            message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else "",
            field.options.packed if field.options.HasField("packed") else None,
        )
        for field in message.field
    }


def test_every_message_of_ours_has_the_standard_s_names_numbers_and_types(ours, stock):
    theirs = dict(_messages(stock.message_type))
    mine = dict(_messages(ours.message_type))
    assert len(mine) > 20
    for name, message in mine.items():
        assert _shape(message) == _shape(theirs[name]), name
        assert message.options.map_entry == theirs[name].options.map_entry, name


def test_every_method_of_ours_is_the_standard_s(ours, stock):
    assert ours.package == stock.package == "inference"

    def methods(file):
        service = next(each for each in file.service if each.name == "GRPCInferenceService")
        return {
            method.name: (
                method.input_type,
                method.output_type,
                method.client_streaming,
                method.server_streaming,
            )
            for method in service.method
        }

    mine, theirs = methods(ours), methods(stock)
    assert set(mine) == {
        "ServerLive",
        "ServerReady",
        "ModelReady",
        "ServerMetadata",
        "ModelMetadata",
        "ModelInfer",
    }
    for name, method in mine.items():
        assert method == theirs[name], name


def test_the_stock_client_works_unchanged(registry):
    model = Stumps(5)
    registry.client.upload_model("btc", model.bundle)
    registry.client.load_model("btc")
    rows = np.random.default_rng(3).normal(size=(4, len(FEATURES)))
    asked = [registry.target, json.dumps(rows.tolist()), ",".join(FEATURES)]
    run = subprocess.run(
        [sys.executable, "-W", "ignore", str(_CLIENT), *asked],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["live"]
    assert said["ready"]
    assert said["model_ready"] == [True, True, False]
    assert said["server"]["name"] == "marketml"
    assert said["metadata"]["inputs"] == [{"name": "features", "datatype": "FP64", "shape": ["-1", "4"]}]
    assert {output["name"] for output in said["metadata"]["outputs"]} == {"probabilities", "predicted_class"}
    for datatype, dtype in (("FP64", np.float64), ("FP32", np.float32)):
        expected = model.probabilities(rows.astype(dtype).astype(np.float64))
        np.testing.assert_allclose(said[datatype]["probabilities"], expected, rtol=1e-14)
        chosen = [CLASSES[position] for position in expected.argmax(axis=1)]
        assert said[datatype]["predicted_class"] == chosen
        assert (said[datatype]["version"], said[datatype]["id"]) == ("1", "7")
    np.testing.assert_allclose(said["by_name"], model.probabilities(rows), rtol=1e-14)
    assert said["only"] == ["predicted_class"]
    (bad_code, bad_text), (unknown_code, _) = said["errors"]
    assert bad_code == "StatusCode.INVALID_ARGUMENT"
    assert "inputs[0].shape" in bad_text
    assert unknown_code == "StatusCode.NOT_FOUND"
