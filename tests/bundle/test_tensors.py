"""The arrays' file: equal arrays are equal bytes, and bytes that are not exactly such a file are refused."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors.numpy import load

from marketml.bundle import pack_tensors, unpack_tensors
from marketml.bundle.tensors import MAX_HEADER_BYTES, MAX_TENSORS
from marketml.rpc.refusals import DataLoss, InvalidArgument, ResourceExhausted

EXAMPLES = int(os.environ.get("MARKETML_FUZZ_EXAMPLES", "400"))

names = st.from_regex(r"[a-z0-9_]{1,8}(\.[a-z0-9_]{1,8}){0,3}", fullmatch=True)
dtypes = st.sampled_from(["<f8", "<f4", "<i8", "<i4", "u1"])
array_sets = st.dictionaries(
    names,
    dtypes.flatmap(
        lambda dtype: arrays_of.arrays(
            dtype, arrays_of.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=4)
        )
    ),
    max_size=6,
)

ARRAYS = {
    "trees.threshold": np.array([1.5, -0.25, np.inf]),
    "trees.left": np.array([1, -1, -2], np.int32),
    "trees.flag": np.array([[1, 0, 1]], np.uint8),
    "empty": np.zeros((0, 4), np.float32),
}


@settings(deadline=None, max_examples=150)
@given(arrays=array_sets)
def test_arrays_come_back_as_they_went_whatever_their_order(arrays):
    data = pack_tensors(arrays)
    found = unpack_tensors(data)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
        assert not found[name].flags.writeable
    assert pack_tensors(dict(reversed(arrays.items()))) == data
    assert pack_tensors(found) == data


@settings(deadline=None, max_examples=50)
@given(arrays=array_sets)
def test_any_safetensors_reader_opens_the_file(arrays):
    found = load(pack_tensors(arrays))
    assert found.keys() == arrays.keys()
    assert all(found[name].tobytes() == array.tobytes() for name, array in arrays.items())


@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda array: array[::-1][::-1], lambda array: array.astype(">f8").astype("<f8")],
)
def test_the_layout_in_memory_does_not_matter(layout):
    array = np.arange(6.0).reshape(2, 3)
    assert pack_tensors({"a": layout(array)}) == pack_tensors({"a": array})


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("UPPER", np.zeros(1)),
        ("a/b", np.zeros(1)),
        ("..", np.zeros(1)),
        ("", np.zeros(1)),
        ("a", np.zeros(1, np.complex128)),
        ("a", np.array(["text"])),
        ("a", np.zeros((1, 1, 1))),
        ("a", np.zeros(1, ">f8")),
    ],
)
def test_what_a_bundle_does_not_hold_is_not_packed(name, array):
    with pytest.raises(ValueError, match="holds no array"):
        pack_tensors({name: array})


def rewritten(change) -> bytes:
    """The file of `ARRAYS` with its header changed, its length set right again."""
    data = pack_tensors(ARRAYS)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header = change(header) or header
    text = json.dumps(header, separators=(",", ":"))
    text = text.ljust(-(-len(text) // 8) * 8).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def test_the_header_rewritten_without_a_change_is_the_file():
    assert rewritten(lambda header: None) == pack_tensors(ARRAYS)


def moved(name, key, value):
    return lambda header: header[name].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (moved("trees.left", "dtype", "F16"), "bundle.arrays.trees.left.dtype"),
        (moved("trees.left", "dtype", "I64"), "bundle.arrays.trees.left.data_offsets"),
        (moved("trees.left", "dtype", 4), "bundle.arrays.trees.left.dtype"),
        (moved("trees.left", "shape", [4]), "bundle.arrays.trees.left.data_offsets"),
        (moved("trees.left", "shape", [-3]), "bundle.arrays.trees.left.shape"),
        (moved("trees.left", "shape", [3.0]), "bundle.arrays.trees.left.shape"),
        (moved("trees.left", "shape", [True, 3]), "bundle.arrays.trees.left.shape"),
        (moved("trees.left", "shape", [1, 1, 3]), "bundle.arrays.trees.left.shape"),
        (moved("trees.left", "shape", [2**40]), "bundle.arrays.trees.left.shape"),
        (moved("trees.left", "shape", [2**29, 2**29]), "bundle.arrays.trees.left.data_offsets"),
        (moved("trees.left", "data_offsets", [0, 12]), "bundle.arrays.trees.left.data_offsets"),
        (moved("trees.left", "data_offsets", [24, 2**62]), "bundle.arrays.trees.left.data_offsets"),
        (moved("trees.left", "data_offsets", [-12, 0]), "bundle.arrays.trees.left.data_offsets"),
        (moved("trees.left", "more", 1), "bundle.arrays.trees.left.more"),
        (lambda header: header.pop("trees.flag"), "bundle.arrays"),
        (lambda header: header.__setitem__("__metadata__", {"a": "b"}), "bundle.arrays.__metadata__.dtype"),
        (lambda header: header.__setitem__("UPPER", header.pop("trees.flag")), "bundle.arrays"),
        (lambda header: dict(reversed(header.items())), "bundle.arrays.trees.flag.data_offsets"),
        (lambda header: header.__setitem__("trees.left", []), "bundle.arrays.trees.left"),
    ],
)
def test_a_header_that_lies_is_refused_by_its_field(change, field):
    def apply(header):
        found = change(header)
        return found if isinstance(found, dict) and "dtype" not in found else None

    with pytest.raises(InvalidArgument) as refused:
        unpack_tensors(rewritten(apply))
    assert refused.value.violations[0].field == field


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes hold no header"),
        (b"1234567", "7 bytes hold no header"),
        ((99).to_bytes(8, "little") + b"{}", "claims 99 bytes"),
        ((8).to_bytes(8, "little") + b"[]      ", "must be a JSON object"),
        ((8).to_bytes(8, "little") + b"\xff" * 8, "must be JSON"),
        ((8).to_bytes(8, "little") + b"{}      ,", "1 bytes after the last array"),
        ((2).to_bytes(8, "little") + b"{}", "canonical"),
        ((16).to_bytes(8, "little") + b"{}" + b" " * 14, "canonical"),
        ((20_000).to_bytes(8, "little") + b"[" * 20_000, "must be JSON"),
    ],
)
def test_what_is_no_such_file_is_refused(data, message):
    with pytest.raises(InvalidArgument, match=message):
        unpack_tensors(data)


def test_a_header_beyond_its_limit_is_refused_before_it_is_read():
    for claimed in (MAX_HEADER_BYTES + 1, 2**63, 2**64 - 1):
        with pytest.raises(ResourceExhausted, match="header may have"):
            unpack_tensors(claimed.to_bytes(8, "little") + b"{}")


def test_more_arrays_than_the_limit_are_refused():
    data = pack_tensors({f"a{index}": np.zeros(0, np.uint8) for index in range(MAX_TENSORS + 1)})
    with pytest.raises(ResourceExhausted, match="may hold 4096 arrays"):
        unpack_tensors(data)


@st.composite
def mutated(draw):
    """The file after a few changes: bytes flipped, cut out, put in, or the end cut off."""
    data = bytearray(pack_tensors(ARRAYS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1)) if data else 0
        match draw(st.sampled_from(["set", "flip", "delete", "insert", "cut", "copy"])):
            case "set" if data:
                data[at] = draw(st.integers(0, 255))
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "delete":
                del data[at : at + draw(st.integers(1, 16))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=16))
            case "cut":
                del data[at:]
            case "copy":
                other = draw(st.integers(0, max(0, len(data) - 1)))
                data[at : at + 8] = data[other : other + 8]
    return bytes(data)


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=mutated())
def test_mutated_bytes_are_refused_or_are_a_file_of_their_own(data):
    try:
        arrays = unpack_tensors(data)
    except (InvalidArgument, ResourceExhausted, DataLoss):
        return
    assert pack_tensors(arrays) == data
