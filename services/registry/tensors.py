"""Prediction by tensors, as the Open Inference Protocol has them: one matrix, or a column per feature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marketml.rpc.refusals import InvalidArgument, Reason
from services.registry.models import Model, shown
from services.registry.predictor import Rows

FEATURES = "features"
PROBABILITIES = "probabilities"
PREDICTED_CLASS = "predicted_class"
OUTPUTS = (PROBABILITIES, PREDICTED_CLASS)

DTYPES: dict[str, np.dtype[Any]] = {"FP64": np.dtype("<f8"), "FP32": np.dtype("<f4")}


@dataclass(frozen=True)
class Tensor:
    """An input as it came. `raw` is its bytes, or else `values` its numbers; `path` where it stands."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes | None
    values: Any
    path: str
    data_path: str


@dataclass(frozen=True)
class InferQuery:
    """What a call asks: which model, for which rows, which outputs, in which form."""

    model_name: str
    version: int | None
    identity: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...]
    is_raw: bool


@dataclass(frozen=True)
class InferAnswer:
    """Probabilities (rows, classes), the position of each row's class, and who gave them."""

    model: Model
    classes: tuple[str, ...]
    probabilities: Rows
    chosen: npt.NDArray[np.intp]


def row_count_of(inputs: tuple[Tensor, ...]) -> int:
    """How many rows the inputs say they have, before anything is read."""
    return max((tensor.shape[0] for tensor in inputs if tensor.shape), default=0)


def read_rows(inputs: tuple[Tensor, ...], feature_names: tuple[str, ...]) -> Rows:
    """The rows (rows, features), in the model's order of features.

    Raises
    ------
    InvalidArgument
        A tensor that is absent, unknown, there twice, or of another type, shape or length than it must be.
    """
    if len(inputs) == 1 and inputs[0].name == FEATURES:
        tensor = inputs[0]
        if len(tensor.shape) != 2 or tensor.shape[1] != len(feature_names):
            raise _wrong_shape(tensor, f"[rows, {len(feature_names)}]")
        return _numbers(tensor).astype(np.float64, copy=False).reshape(tensor.shape)
    columns = _by_name(inputs, feature_names)
    row_count = inputs[0].shape[0] if inputs[0].shape else 0
    numbers = []
    for name in feature_names:
        tensor = columns[name]
        if tensor.shape not in ((row_count,), (row_count, 1)):
            raise _wrong_shape(tensor, f"[{row_count}] or [{row_count}, 1]")
        numbers.append(_numbers(tensor))
    rows = np.empty((row_count, len(feature_names)))  # only now: what the shapes promise is there
    for position, column in enumerate(numbers):
        rows[:, position] = column
    return rows


def _by_name(inputs: tuple[Tensor, ...], feature_names: tuple[str, ...]) -> dict[str, Tensor]:
    wanted = set(feature_names)
    found: dict[str, Tensor] = {}
    for tensor in inputs:
        if tensor.name not in wanted:
            raise InvalidArgument.of(
                f"{tensor.path}.name",
                "unknown",
                f"must be {FEATURES}, alone, or a feature of the model, is {shown(tensor.name)}.",
                Reason.SCHEMA_MISMATCH,
            )
        if tensor.name in found:
            raise InvalidArgument.of(
                f"{tensor.path}.name",
                "unique",
                f"is there before: {shown(tensor.name)}.",
                Reason.SCHEMA_MISMATCH,
            )
        found[tensor.name] = tensor
    absent = [name for name in feature_names if name not in found]
    if absent:
        raise InvalidArgument.of(
            "inputs",
            "required",
            f"must be {FEATURES}, alone, or a tensor per feature; {absent[0]!r} is absent.",
            Reason.SCHEMA_MISMATCH,
        )
    return found


def _numbers(tensor: Tensor) -> npt.NDArray[Any]:
    """The numbers of a tensor, flat."""
    dtype = DTYPES.get(tensor.datatype)
    if dtype is None:
        raise InvalidArgument.of(
            f"{tensor.path}.datatype", "datatype", f"must be FP64 or FP32, is {shown(tensor.datatype)}."
        )
    if min(tensor.shape) < 0:
        raise _wrong_shape(tensor, "counts")
    count = math.prod(tensor.shape)
    if tensor.raw is not None:
        if len(tensor.raw) != count * dtype.itemsize:
            raise InvalidArgument.of(
                tensor.data_path,
                "length",
                f"must have {count * dtype.itemsize} bytes for {list(tensor.shape)} of {tensor.datatype}, "
                f"has {len(tensor.raw)}.",
            )
        return np.frombuffer(tensor.raw, dtype)
    if len(tensor.values) != count:
        raise InvalidArgument.of(
            tensor.data_path, "length", f"must have {count} numbers for its shape, has {len(tensor.values)}."
        )
    return np.fromiter(tensor.values, dtype, count)


def _wrong_shape(tensor: Tensor, wanted: str) -> InvalidArgument:
    return InvalidArgument.of(
        f"{tensor.path}.shape",
        "shape",
        f"must be {wanted}, is {list(tensor.shape)[:8]}.",
        Reason.SCHEMA_MISMATCH,
    )
