"""Messages of the Open Inference Protocol and the registry's values, in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np

from inference import open_inference_pb2 as pb
from marketml.rpc.refusals import InvalidArgument
from services.registry.memory import LoadedModel
from services.registry.models import VERSION_MAX, shown
from services.registry.tensors import (
    FEATURES,
    OUTPUTS,
    PREDICTED_CLASS,
    PROBABILITIES,
    InferAnswer,
    InferQuery,
    Tensor,
)

SERVER_NAME = PLATFORM = "marketml"
ID_CHARACTERS_MAX = 256


def write_server() -> pb.ServerMetadataResponse:
    """Who the server is."""
    return pb.ServerMetadataResponse(name=SERVER_NAME, version=metadata.version("marketml"))


def read_version(field: str, text: str) -> int | None:
    """A version number as text; None for an empty one, which is the champion."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 0 < int(text) <= VERSION_MAX):
        raise InvalidArgument.of(field, "version", f"must be empty or 1, 2, 3… as text, is {shown(text)}.")
    return int(text)


def write_metadata(loaded: LoadedModel) -> pb.ModelMetadataResponse:
    """The model as tensors."""
    tensor, predictor = pb.ModelMetadataResponse.TensorMetadata, loaded.predictor
    return pb.ModelMetadataResponse(
        name=loaded.model.model_name,
        versions=[str(loaded.model.version)],
        platform=PLATFORM,
        inputs=[tensor(name=FEATURES, datatype="FP64", shape=[-1, len(predictor.feature_names)])],
        outputs=[
            tensor(name=PROBABILITIES, datatype="FP64", shape=[-1, len(predictor.classes)]),
            tensor(name=PREDICTED_CLASS, datatype="BYTES", shape=[-1]),
        ],
    )


def read_infer(request: pb.ModelInferRequest) -> InferQuery:
    """A question."""
    raw = request.raw_input_contents
    if len(request.id) > ID_CHARACTERS_MAX:
        raise InvalidArgument.of(
            "id", "range", f"may have {ID_CHARACTERS_MAX} characters, has {len(request.id)}."
        )
    if not request.inputs:
        raise InvalidArgument.of("inputs", "required", "must not be empty.")
    if raw and len(raw) != len(request.inputs):
        raise InvalidArgument.of(
            "raw_input_contents", "length", f"must be one per input: {len(request.inputs)}, are {len(raw)}."
        )
    _require_no_parameters("", request)
    return InferQuery(
        model_name=request.model_name,
        version=read_version("model_version", request.model_version),
        identity=request.id,
        inputs=tuple(_read_tensor(request, position) for position in range(len(request.inputs))),
        outputs=_read_outputs(request),
        is_raw=bool(raw),
    )


def write_infer(query: InferQuery, answer: InferAnswer) -> pb.ModelInferResponse:
    """Its answer, in the form of the question."""
    response = pb.ModelInferResponse(
        model_name=answer.model.model_name, model_version=str(answer.model.version), id=query.identity
    )
    response.parameters["digest"].string_param = answer.model.digest
    for name in query.outputs:
        write = _write_probabilities if name == PROBABILITIES else _write_classes
        write(response, answer, query.is_raw)
    return response


def _read_tensor(request: pb.ModelInferRequest, position: int) -> Tensor:
    tensor, path = request.inputs[position], f"inputs[{position}]"
    _require_no_parameters(f"{path}.", tensor)
    raw: bytes | None = None
    values: Sequence[float] = ()
    data_path = f"{path}.contents"
    if request.raw_input_contents:
        raw, data_path = request.raw_input_contents[position], f"raw_input_contents[{position}]"
        if tensor.HasField("contents"):
            raise InvalidArgument.of(
                f"{path}.contents", "one_of", "must be absent when raw_input_contents is given."
            )
    elif tensor.datatype == "FP64":
        values, data_path = tensor.contents.fp64_contents, f"{path}.contents.fp64_contents"
    elif tensor.datatype == "FP32":
        values, data_path = tensor.contents.fp32_contents, f"{path}.contents.fp32_contents"
    return Tensor(tensor.name, tensor.datatype, tuple(tensor.shape), raw, values, path, data_path)


def _read_outputs(request: pb.ModelInferRequest) -> tuple[str, ...]:
    names = []
    for position, output in enumerate(request.outputs):
        path = f"outputs[{position}]"
        _require_no_parameters(f"{path}.", output)
        if output.name not in OUTPUTS or output.name in names:
            raise InvalidArgument.of(
                f"{path}.name",
                "choice",
                f"must be {' or '.join(OUTPUTS)}, each once, is {shown(output.name)}.",
            )
        names.append(output.name)
    return tuple(names) or OUTPUTS


def _require_no_parameters(path: str, message: Any) -> None:
    for name in message.parameters:
        raise InvalidArgument.of(
            f"{path}parameters[{name[:80]}]", "unsupported", "is no parameter of this server."
        )


def _write_probabilities(response: pb.ModelInferResponse, answer: InferAnswer, is_raw: bool) -> None:
    found = np.ascontiguousarray(answer.probabilities, "<f8")
    output = response.outputs.add(name=PROBABILITIES, datatype="FP64", shape=found.shape)
    if is_raw:
        response.raw_output_contents.append(found.tobytes())
    else:
        output.contents.fp64_contents.extend(found.ravel().tolist())


def _write_classes(response: pb.ModelInferResponse, answer: InferAnswer, is_raw: bool) -> None:
    names = [name.encode() for name in answer.classes]
    chosen = answer.chosen.tolist()
    output = response.outputs.add(name=PREDICTED_CLASS, datatype="BYTES", shape=[len(chosen)])
    if is_raw:
        packed = [len(name).to_bytes(4, "little") + name for name in names]
        response.raw_output_contents.append(b"".join([packed[position] for position in chosen]))
    else:
        output.contents.bytes_contents.extend([names[position] for position in chosen])
