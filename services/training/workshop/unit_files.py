"""Tasks and outcomes as bytes: for a checkpoint, another process, another machine.

    8 bytes     the magic
    8 bytes     length of the header, little endian
    header      JSON: what is meant, with a place for each array
    arrays      a safetensors container, see `marketml.bundle.tensors`
    16 bytes    XXH3-128 of all before it

What is read is an instance of one of the classes that a task or an outcome is made of, and of no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
import xxhash

from marketml.bundle.tensors import pack_tensors, unpack_tensors
from marketml.rpc.refusals import Refusal
from services.training.learners.fitting import Matrix
from services.training.workshop.units import FitOutcome, FitTask

_MAGIC = b"MMUNIT01"
_LENGTH_BYTES, _SUM_BYTES = 8, 16
_NO_MATRIX = np.empty((0, 0))


class UnreadableError(ValueError):
    """Bytes that are not what was written."""


def write_task(task: FitTask) -> bytes:
    """A task without its matrix, which travels by itself."""
    return write_file({}, replace(task, matrix=_NO_MATRIX))


def read_task(data: bytes, matrix: Matrix) -> FitTask:
    """The task, or `UnreadableError`."""
    _, value = read_file(data)
    if not isinstance(value, FitTask):
        raise UnreadableError(f"A {type(value).__name__} is no task.")
    return replace(value, matrix=matrix)


def write_file(label: Mapping[str, str], value: object) -> bytes:
    """A value under its label: JSON, with arrays, bytes and the classes of tasks and outcomes in it."""
    arrays: list[npt.NDArray[Any]] = []
    header = json.dumps({"label": label, "value": _plain(value, arrays)}, separators=(",", ":")).encode()
    tensors = pack_tensors({f"a{index}": array for index, array in enumerate(arrays)})
    body = b"".join((_MAGIC, len(header).to_bytes(_LENGTH_BYTES, "little"), header, tensors))
    return body + xxhash.xxh3_128(body).digest()


def read_file(data: bytes) -> tuple[dict[str, str], Any]:
    """Label and value of a file; lists come as tuples, arrays as read-only views.

    Raises
    ------
    UnreadableError
    """
    body = memoryview(data)[:-_SUM_BYTES]
    start = len(_MAGIC) + _LENGTH_BYTES
    if (
        len(body) < start
        or data[: len(_MAGIC)] != _MAGIC
        or xxhash.xxh3_128(body).digest() != data[len(body) :]
    ):
        raise UnreadableError(f"{len(data)} bytes are not as they were written.")
    end = start + int.from_bytes(body[len(_MAGIC) : start], "little")
    try:
        header = json.loads(bytes(body[start:end]))
        return header["label"], _value(header["value"], unpack_tensors(bytes(body[end:])))
    except (ValueError, KeyError, TypeError, Refusal) as error:
        raise UnreadableError(f"{len(data)} bytes are of another version: {error}.") from error


def _plain(value: object, arrays: list[npt.NDArray[Any]]) -> object:
    """`value` as JSON; what holds another thing is an object with one name that says which."""
    match value:
        case Enum():
            return {"enum": [type(value).__name__, value.value]}
        case None | bool() | int() | float() | str():
            return value
        case np.bool_() | np.integer() | np.floating():
            return value.item()
        case bytes():
            arrays.append(np.frombuffer(value, np.uint8))
            return {"bytes": len(arrays) - 1}
        case np.ndarray():
            arrays.append(value.view(np.uint8) if value.dtype == np.int8 else value)
            return {"array": [len(arrays) - 1, value.dtype.name]}
        case list() | tuple():
            return [_plain(each, arrays) for each in value]
        case Mapping():
            return {"items": {name: _plain(each, arrays) for name, each in value.items()}}
    if not is_dataclass(value):
        raise TypeError(f"No file holds a {type(value).__name__}.")
    inner = {each.name: _plain(getattr(value, each.name), arrays) for each in fields(value) if each.init}
    return {type(value).__name__: inner}


def _value(plain: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """What `_plain` made it of."""
    if isinstance(plain, list):
        return tuple(_value(each, arrays) for each in plain)
    if not isinstance(plain, dict):
        return plain
    [(kind, inner)] = plain.items()
    match kind:
        case "bytes":
            return arrays[f"a{inner}"].tobytes()
        case "array":
            index, dtype = inner
            return arrays[f"a{index}"].view(np.int8) if dtype == "int8" else arrays[f"a{index}"]
        case "items":
            return {name: _value(each, arrays) for name, each in inner.items()}
        case "enum":
            name, value = inner
            return _CLASSES[name](value)
    return _CLASSES[kind](**{name: _value(each, arrays) for name, each in inner.items()})


def _classes(kind: Any, found: dict[str, Any]) -> dict[str, Any]:
    """The dataclasses and enums that a dataclass is made of, by name."""
    if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, Enum)):
        if kind.__name__ not in found:
            found[kind.__name__] = kind
            for hint in get_type_hints(kind).values() if is_dataclass(kind) else ():
                _classes(hint, found)
    else:
        for inner in get_args(kind):
            _classes(inner, found)
    return found


_CLASSES: dict[str, Any] = _classes(FitOutcome, _classes(FitTask, {}))
