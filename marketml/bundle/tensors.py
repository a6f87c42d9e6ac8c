"""Arrays in one file: the safetensors container, in the one order that makes equal arrays equal bytes.

    8 bytes     length of the header, little endian, a multiple of 8
    header      {"name":{"dtype":"F64","shape":[3,2],"data_offsets":[0,48]}, …} padded with spaces
    data        the arrays, row by row, little endian, without gaps

Any safetensors reader opens it. Reading accepts less than the format allows: arrays stand in the order of
`_rank` (wide items first, so that each is aligned; then by name), so offsets cannot overlap, leave gaps or
point outside, and no second header describes the same arrays.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.bundle.canonical import Fields
from marketml.bundle.files import MAX_BUNDLE_BYTES
from marketml.rpc.refusals import InvalidArgument, ResourceExhausted

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]

PATH = "bundle.arrays"
MAX_HEADER_BYTES = 2**20
MAX_TENSORS = 4_096
MAX_DIMENSIONS = 2

_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_NAME = re.compile(r"[a-z0-9_]{1,64}(\.[a-z0-9_]{1,64}){0,3}")
_LENGTH_BYTES = 8


def pack_tensors(arrays: Arrays) -> bytes:
    """The file that holds `arrays`: the same arrays give the same bytes, in whatever order they come.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        float64, float32, int64, int32 or uint8, of at most two dimensions.

    Raises
    ------
    ValueError
        A name, dtype or dimension that a bundle does not hold.
    """
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    offset = 0
    for name, array in sorted(arrays.items(), key=lambda item: _rank(item[0], item[1].dtype)):
        if not _NAME.fullmatch(name) or array.dtype not in _CODES or array.ndim > MAX_DIMENSIONS:
            raise ValueError(f"A bundle holds no array {name!r} of {array.dtype} and shape {array.shape}.")
        header[name] = _entry(array.dtype, array.shape, offset)
        parts.append(array.tobytes())
        offset += array.nbytes
    text = _header_text(header)
    return b"".join([len(text).to_bytes(_LENGTH_BYTES, "little"), text, *parts])


def unpack_tensors(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a file that `pack_tensors` wrote, as read-only views of `data`.

    Raises
    ------
    ResourceExhausted
        More than `MAX_BUNDLE_BYTES`, `MAX_HEADER_BYTES` or `MAX_TENSORS`.
    InvalidArgument
        Anything else that is not exactly such a file.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise ResourceExhausted(PATH, f"Arrays may have {MAX_BUNDLE_BYTES} bytes, have {len(data)}.")
    header, start = _read_header(data)
    if len(header) > MAX_TENSORS:
        raise ResourceExhausted(PATH, f"A bundle may hold {MAX_TENSORS} arrays, holds {len(header)}.")
    arrays: dict[str, npt.NDArray[Any]] = {}
    canonical: dict[str, Any] = {}
    offset = 0
    for name, entry in header.items():
        if not _NAME.fullmatch(name):
            raise InvalidArgument.of(PATH, "name", f"names are lower-case words and dots, not {name[:80]!r}.")
        dtype, shape = _read_entry(entry, f"{PATH}.{name}")
        end = offset + math.prod(shape) * dtype.itemsize
        canonical[name] = _entry(dtype, shape, offset)
        if entry != canonical[name] or start + end > len(data):
            raise InvalidArgument.of(
                f"{PATH}.{name}.data_offsets", "contiguous", f"must be [{offset}, {end}] within the file."
            )
        arrays[name] = np.frombuffer(data, dtype, math.prod(shape), start + offset).reshape(shape)
        offset = end
    if start + offset != len(data):
        extra = len(data) - start - offset
        raise InvalidArgument.of(PATH, "contiguous", f"{extra} bytes after the last array belong to none.")
    in_order = dict(sorted(canonical.items(), key=lambda item: _rank(item[0], arrays[item[0]].dtype)))
    if _header_text(in_order) != data[_LENGTH_BYTES:start]:
        raise InvalidArgument.of(PATH, "canonical", "the header must be the canonical one of its arrays.")
    return arrays


def _read_header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header, and where the arrays start."""
    if len(data) < _LENGTH_BYTES:
        raise InvalidArgument.of(PATH, "header", f"{len(data)} bytes hold no header.")
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    start = _LENGTH_BYTES + length
    if length > MAX_HEADER_BYTES:
        raise ResourceExhausted(PATH, f"The header may have {MAX_HEADER_BYTES} bytes, claims {length}.")
    if start > len(data):
        raise InvalidArgument.of(PATH, "header", f"claims {length} bytes, the file has {len(data)}.")
    try:
        header = json.loads(data[_LENGTH_BYTES:start].decode())
    except (ValueError, RecursionError):
        raise InvalidArgument.of(PATH, "header", "must be JSON in UTF-8.") from None
    if not isinstance(header, dict):
        raise InvalidArgument.of(PATH, "header", "must be a JSON object.")
    return header, start


def _read_entry(entry: object, path: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    fields = Fields(entry, path)
    code = fields.text("dtype")
    if code not in _DTYPES:
        raise InvalidArgument.of(f"{path}.dtype", "dtype", f"must be one of {', '.join(_DTYPES)}.")
    shape = fields.list("shape")
    fields.list("data_offsets")
    fields.finish()
    if len(shape) > MAX_DIMENSIONS:
        raise InvalidArgument.of(f"{path}.shape", "shape", f"may have {MAX_DIMENSIONS} dimensions.")
    if not all(type(size) is int and 0 <= size <= MAX_BUNDLE_BYTES for size in shape):
        raise InvalidArgument.of(f"{path}.shape", "shape", "must be counts that fit in a bundle.")
    return _DTYPES[code], tuple(shape)


def _entry(dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> dict[str, Any]:
    end = offset + math.prod(shape) * dtype.itemsize
    return {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": [offset, end]}


def _header_text(header: Mapping[str, Any]) -> bytes:
    text = json.dumps(header, separators=(",", ":"))
    return text.ljust(-(-len(text) // _LENGTH_BYTES) * _LENGTH_BYTES).encode()


def _rank(name: str, dtype: np.dtype[Any]) -> tuple[int, str]:
    return -dtype.itemsize, name
