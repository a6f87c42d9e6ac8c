"""Random requests for any contract, built from its descriptors: for tests that no request breaks a room.

Fields get values of three kinds: what the field's name suggests (so that requests get past the first check),
the edges of its type, and noise.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

DEPTH_MAX = 7
HOUR = 3600
FIRST_SECOND = 1_704_067_200  # 2024-01-01 UTC: where right stamps begin

_INTEGERS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: (0, 2**64 - 1),
}
_SUGGESTED: dict[str, list[str]] = {
    "symbol": ["BTC/USDT:USDT", "BTC/USDT", "BTC/USD", "BTCUSDT", "btc-usdt", "XBTUSD"],
    "venue": ["binance", "bybit"],
    "timeframe": ["1h", "1d", "1m", "7h"],
    "model_name": ["btc", "model-1"],
    "name": ["btc", "model-1", "champion", "manifest.json", "model.safetensors", "rsi_14"],
    "alias": ["champion", "challenger"],
    "snapshot_id": ["0" * 64, "a" * 64],
    "sha256": ["0" * 64],
    "digest": ["0" * 64],
    "etag": ["", "x"],
    "text": ["BTCUSDT", "BTC-USDT", "btc/usdt", "BTCUSDT_PERP", "XBTUSD", "ETH"],
    "source": ["file"],
    "page_token": ["", "AAAA", "e30="],
    "service": ["", "marketml.data.v1.DataService"],
    "paths": ["features", "training.model", "nothing", "monitoring"],
    "datatype": ["FP64", "FP32", "INT64", "BYTES", "BOOL"],
}
_HOSTILE = [
    *(
        "",
        " ",
        "\x00",
        "a\x00b",
        "../../etc/passwd",
        "/etc/passwd",
        "'; DROP TABLE candles; --",
        "%s%n",
        "💥",
    ),
    *("nan", "-1", "1e999", "x" * 300, "ﷺ" * 100, "\ud7ff", "a/b", "{}", "__class__", "\u202e", "A" * 70_000),
    "c4n4ry-4711",
]
_DOUBLES = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1e-320,
    1e308,
    -1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    30_000.0,
]
_SECONDS = [0, 1, -1, FIRST_SECOND, FIRST_SECOND + HOUR, 1_719_792_000, 253_402_300_799, 2**62, -(2**62)]
_NANOS = [0, 0, 0, 1, 999_999_999, -1, 10**9, 2**31 - 1, -(2**31)]


def arrow_tables() -> list[bytes]:
    """Arrow streams: right ones, ones of odd types and sizes, and damaged ones."""
    hours = pa.array(
        [FIRST_SECOND * 1_000_000 + HOUR * 1_000_000 * row for row in range(5)], pa.timestamp("us", "UTC")
    )
    price = pa.array([1.0, 2.0, float("nan"), float("inf"), None], pa.float64())
    five = pa.array([1.0, 2.0, 3.0, 4.0, 5.0])
    candles = dict.fromkeys(("open", "high", "low", "close", "volume"), five)
    tables = [
        pa.table({"open_time": hours} | candles),
        pa.table({"open_time": hours, "close": price}),
        pa.table({"time": hours, "rate": price}),
        pa.table({"open_time": pa.nulls(5)} | candles),
        pa.table({"open_time": pa.array(["a"] * 5)} | candles),
        pa.table({"open_time": hours, "open": pa.array([{"x": 1}] * 5)}),
        pa.table({"open_time": hours, "open": pa.array(["a", "b", "a", "b", "a"]).dictionary_encode()}),
        pa.table({}),
        pa.table({"": five}),
        pa.Table.from_arrays([five, five], names=["close", "close"]),
        pa.table({"open_time": hours} | candles).slice(0, 0),
    ]
    written = []
    for table in tables:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        written.append(sink.getvalue().to_pybytes())
    return written


_ARROW = arrow_tables()


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes with a few of them changed, cut or doubled."""
    changed = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(changed) - 1)))
        kind = draw(st.sampled_from(["set", "cut", "number"]))
        if kind == "set" and changed:
            changed[place] = draw(st.integers(0, 255))
        elif kind == "cut":
            del changed[place:]
        else:
            number = draw(st.sampled_from([2**31 - 1, -1, 2**62, 0, -(2**63)]))
            changed[place : place + 8] = struct.pack("<q", number)
    return bytes(changed)


BYTES = st.one_of(
    st.sampled_from(_ARROW), st.sampled_from(_ARROW).flatmap(damaged), st.binary(max_size=64), st.just(b"")
)
TEXTS = st.one_of(st.sampled_from(_HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))


def _integers(low: int, high: int) -> st.SearchStrategy[int]:
    edges = [edge for edge in (0, 1, 2, 5, 10, 100, -1, low, high) if low <= edge <= high]
    return st.one_of(st.sampled_from(edges), st.integers(low, high))


def _wild(each: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Anything that the type of a field can hold."""
    if each.type in _INTEGERS:
        return _integers(*_INTEGERS[each.type])
    if each.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        width = 32 if each.type == FieldDescriptor.TYPE_FLOAT else 64
        return st.one_of(st.sampled_from(_DOUBLES), st.floats(width=width))
    if each.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if each.type == FieldDescriptor.TYPE_ENUM:
        return st.sampled_from([0, -1, 99, 2**31 - 1])
    return BYTES if each.type == FieldDescriptor.TYPE_BYTES else TEXTS


def _calm(each: FieldDescriptor) -> list[Any]:
    """What a caller who means well might send, the likeliest first."""
    if each.type in _INTEGERS:
        return [5, 1, 2, 3, 10, 20]
    if each.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return [0.25, 0.0, 0.125, 0.5, 1.0, 2.0]
    if each.type == FieldDescriptor.TYPE_BOOL:
        return [True, False]
    if each.type == FieldDescriptor.TYPE_ENUM:
        return [value.number for value in each.enum_type.values][1:] or [0]
    if each.type == FieldDescriptor.TYPE_BYTES:
        return list(_ARROW)
    return _SUGGESTED.get(each.name, ["btc", "a"])


@dataclass(frozen=True)
class Known:
    """What a test has put into the rooms, so that requests can be about it.

    Attributes
    ----------
    values
        For a field's name, values that mean something.
    examples
        For a message's full name, messages that are right.
    uploads
        For the name of a method that takes a stream, the messages of a right call.
    """

    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    examples: Mapping[str, Sequence[Message]] = field(default_factory=dict)
    uploads: Mapping[str, Sequence[bytes]] = field(default_factory=dict)


class _Writer:
    """Fills one message; `wild_percent` of its values are anything at all, `present_percent` of its fields
    are there."""

    def __init__(self, draw: st.DrawFn, known: Known, wild_percent: int, present_percent: int) -> None:
        self._draw = draw
        self._known = known
        self._wild_percent = wild_percent
        self._present_percent = present_percent

    def message(self, kind: Any, depth: int = DEPTH_MAX) -> Any:
        message: Any = GetMessageClass(kind)()
        if kind.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
            self._moment(message, kind.name)
            return message
        examples = self._known.examples.get(kind.full_name)
        if examples and self._happens(70):
            message.CopyFrom(self._draw(st.sampled_from(examples)))
            if self._wild_percent:
                self._change(message, depth)
            return message
        chosen = {group.name: self._draw(st.sampled_from([*group.fields, None])) for group in kind.oneofs}
        for each in kind.fields:
            group = each.containing_oneof
            is_choice = group is not None and len(group.fields) > 1
            if chosen[group.name] is each if is_choice else self._happens(self._present_percent):
                self._fill(message, each, depth)
        return message

    def _change(self, message: Any, depth: int) -> None:
        """Write one field of a right message again, here or further in."""
        if not message.DESCRIPTOR.fields:
            return
        each = self._draw(st.sampled_from(list(message.DESCRIPTOR.fields)))
        is_inside = each.message_type is not None and not each.is_repeated and message.HasField(each.name)
        if is_inside and depth and self._happens(80):
            self._change(getattr(message, each.name), depth - 1)
            return
        message.ClearField(each.name)
        if self._happens(90):
            self._fill(message, each, depth)

    def _moment(self, message: Any, kind: str) -> None:
        if self._is_wild():
            message.seconds = self._draw(st.sampled_from(_SECONDS))
            message.nanos = self._draw(st.sampled_from(_NANOS))
        else:
            hours = self._draw(st.integers(0, 1000))
            message.seconds = hours * HOUR + (FIRST_SECOND if kind == "Timestamp" else 0)

    def _fill(self, message: Any, each: FieldDescriptor, depth: int) -> None:
        name = each.name
        if each.message_type is not None and depth == 0:
            return
        if each.message_type is not None and each.message_type.GetOptions().map_entry:
            key, value = (each.message_type.fields_by_name[part] for part in ("key", "value"))
            for _ in range(self._draw(st.integers(0, 2))):
                entry = self._scalar(key)
                if value.message_type is not None:
                    getattr(message, name)[entry].CopyFrom(self.message(value.message_type, depth - 1))
                else:
                    getattr(message, name)[entry] = self._scalar(value)
        elif each.is_repeated:
            for _ in range(self._draw(st.sampled_from([1, 1, 2, 3, 0]))):
                getattr(message, name).append(self._value(each, depth))
        elif each.message_type is not None:
            getattr(message, name).CopyFrom(self.message(each.message_type, depth - 1))
        else:
            setattr(message, name, self._scalar(each))

    def _value(self, each: FieldDescriptor, depth: int) -> Any:
        is_message = each.message_type is not None
        return self.message(each.message_type, depth - 1) if is_message else self._scalar(each)

    def _scalar(self, each: FieldDescriptor) -> Any:
        if self._is_wild():
            return self._draw(_wild(each))
        if each.name == "request_id":
            return f"request-{self._draw(st.integers(0, 2**31))}"
        usual = _calm(each)
        known = self._known.values.get(each.name, ())
        calm = [*(value for value in known if type(value) is type(usual[0])), *usual]
        return calm[0] if self._happens(60) else self._draw(st.sampled_from(calm))

    def _is_wild(self) -> bool:
        return self._happens(self._wild_percent)

    def _happens(self, percent: int) -> bool:
        return self._draw(st.integers(0, 99)) < percent


@st.composite
def messages(draw: st.DrawFn, kind: Any, known: Known) -> Any:
    """A message of a descriptor, somewhere between what a caller who means well sends and noise."""
    wild, present = draw(st.sampled_from([(0, 95), (3, 95), (3, 80), (10, 60), (50, 50)]))
    return _Writer(draw, known, wild, present).message(kind)


def requests(method: MethodDescriptor, known: Known) -> st.SearchStrategy[list[bytes]]:
    """What a caller of a method may send: one message, or a few for an upload; sometimes no message."""
    serialised = messages(method.input_type, known).map(lambda message: message.SerializeToString())
    others = {8: serialised.flatmap(damaged), 9: st.binary(max_size=100)}
    one = st.integers(0, 9).flatmap(lambda kind: others.get(kind, serialised))
    if not method.client_streaming:
        return one.map(lambda message: [message])
    whole = known.uploads.get(method.name)
    kinds = [st.lists(one, max_size=4)]
    if "header" in method.input_type.fields_by_name:
        kinds.append(
            st.builds(lambda first, rest: [first, *rest], _header(method, known), st.lists(one, max_size=3))
        )
    if whole:
        kinds.append(_changed_upload(whole, one))
    return st.integers(0, len(kinds) - 1).flatmap(lambda kind: kinds[kind])


@st.composite
def _header(draw: st.DrawFn, method: MethodDescriptor, known: Known) -> bytes:
    """The first message of an upload, as its contract wants it."""
    message: Any = GetMessageClass(method.input_type)()
    kind = method.input_type.fields_by_name["header"].message_type
    message.header.CopyFrom(draw(messages(kind, known)))
    serialised: bytes = message.SerializeToString()
    return serialised


@st.composite
def _changed_upload(draw: st.DrawFn, whole: Sequence[bytes], one: st.SearchStrategy[bytes]) -> list[bytes]:
    """An upload that is right, or is right but for one message."""
    sent = list(whole)
    place = draw(st.integers(0, len(sent) - 1))
    change = draw(st.sampled_from(["none", "drop", "double", "damage", "replace", "cut"]))
    if change == "drop":
        del sent[place]
    elif change == "double":
        sent.insert(place, sent[place])
    elif change == "damage":
        sent[place] = draw(damaged(sent[place]))
    elif change == "replace":
        sent[place] = draw(one)
    elif change == "cut":
        del sent[place:]
    return sent
