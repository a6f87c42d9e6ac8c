"""Canonical JSON: one value, one text; another text for the same value is refused."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.bundle.canonical import Fields, read_canonical_json, write_canonical_json
from marketml.rpc.refusals import InvalidArgument, ResourceExhausted

numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(texts, values, max_size=6)


@settings(deadline=None, max_examples=200)
@given(value=objects)
def test_what_was_written_reads_back_and_is_written_alike(value):
    text = write_canonical_json(value)
    assert read_canonical_json(text, "here", 10**6) == value
    assert write_canonical_json(dict(reversed(value.items()))) == text
    assert write_canonical_json(json.loads(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":1.50}',
        b'{"a":1e0}',
        b'{"a":"\\u0041"}',
        b'{"a":1}\n',
        b'{"a":-0}',
    ],
)
def test_a_second_text_of_the_same_value_is_refused(text):
    with pytest.raises(InvalidArgument, match="canonical") as refused:
        read_canonical_json(text, "here", 1_000)
    assert refused.value.violations[0].rule == "canonical"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":"\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"9" * 5_000 + b"}",
        b"[1]",
        b"7",
        b"null",
    ],
)
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(InvalidArgument) as refused:
        read_canonical_json(text, "here", 10**6)
    assert refused.value.violations[0].field == "here"
    assert refused.value.violations[0].rule == "json"


def test_more_bytes_than_the_limit_are_refused_before_they_are_read():
    with pytest.raises(ResourceExhausted, match="may have 5 bytes, has 7"):
        read_canonical_json(b'{"a":1}', "here", 5)


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(InvalidArgument):
        assert write_canonical_json(read_canonical_json(data, "here", 1_000)) == data


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": [float("inf")]}, {"a": "\ud800"}])
def test_what_json_does_not_know_is_not_written(value):
    with pytest.raises(ValueError):  # noqa: PT011  (json's own, or that of encoding)
        write_canonical_json(value)


@pytest.mark.parametrize("value", [{1: 2}, {"a": {None: 1}}, {"a": [{True: 1}]}, {"a": object()}])
def test_keys_that_are_no_text_and_unknown_objects_are_not_written(value):
    with pytest.raises(TypeError):
        write_canonical_json(value)


def test_fields_are_read_with_their_type_and_path_and_what_is_left_is_refused():
    fields = Fields({"text": "a", "count": 3, "list": [1], "object": {}, "more": 1, "yet": 2}, "top")
    assert (fields.text("text"), fields.count("count", 1, 3)) == ("a", 3)
    assert (fields.list("list"), fields.object("object")) == ([1], {})
    assert fields.optional_object("absent") is None
    with pytest.raises(InvalidArgument) as refused:
        fields.finish()
    assert [each.field for each in refused.value.violations] == ["top.more", "top.yet"]


@pytest.mark.parametrize(
    ("value", "rule"), [({}, "required"), ({"a": True}, "type"), ({"a": 1.0}, "type"), ({"a": 9}, "range")]
)
def test_a_count_that_is_none_is_refused_by_its_path(value, rule):
    with pytest.raises(InvalidArgument) as refused:
        Fields(value, "top").count("a", 0, 8)
    assert (refused.value.violations[0].field, refused.value.violations[0].rule) == ("top.a", rule)


def test_fields_of_no_object_are_refused():
    with pytest.raises(InvalidArgument, match="top: must be an object, is a list"):
        Fields([], "top")
