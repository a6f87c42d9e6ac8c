"""Random requests for any contract, built from its descriptors: for tests that no request breaks a room.

Fields get values of three kinds: what the field's name suggests (so that requests get past the first check),
the edges of its type, and noise.
"""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

DEPTH_MAX = 7
HOUR = 3600

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
    "request_id": ["request-1", "request-2"],
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
_SECONDS = [0, 1, -1, 1_704_067_200, 1_704_067_200 + HOUR, 1_719_792_000, 253_402_300_799, 2**62, -(2**62)]
_NANOS = [0, 0, 0, 1, 999_999_999, -1, 10**9, 2**31 - 1, -(2**31)]


def arrow_tables() -> list[bytes]:
    """Arrow streams: right ones, ones of odd types and sizes, and damaged ones."""
    hours = pa.array(
        [1_704_067_200_000_000 + HOUR * 1_000_000 * row for row in range(5)], pa.timestamp("us", "UTC")
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


def _wild(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Anything that the type of a field can hold."""
    if field.type in _INTEGERS:
        return _integers(*_INTEGERS[field.type])
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        width = 32 if field.type == FieldDescriptor.TYPE_FLOAT else 64
        return st.one_of(st.sampled_from(_DOUBLES), st.floats(width=width))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_ENUM:
        return st.sampled_from([0, -1, 99, 2**31 - 1])
    return BYTES if field.type == FieldDescriptor.TYPE_BYTES else TEXTS


def _calm(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """What a caller who means well might send."""
    if field.type in _INTEGERS:
        return st.integers(1, 20)
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0, 2.0])
    if field.type == FieldDescriptor.TYPE_ENUM:
        return st.sampled_from([value.number for value in field.enum_type.values][1:] or [0])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.sampled_from(_ARROW)
    if field.type == FieldDescriptor.TYPE_STRING:
        return st.sampled_from(_SUGGESTED.get(field.name, ["btc", "a"]))
    return _wild(field)


class _Writer:
    """Fills one message; `wild_percent` of its values are anything at all."""

    def __init__(self, draw: st.DrawFn, wild_percent: int) -> None:
        self._draw = draw
        self._wild_percent = wild_percent

    def message(self, kind: Any, depth: int = DEPTH_MAX) -> Any:
        message: Any = GetMessageClass(kind)()
        if kind.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
            self._moment(message, kind.name)
            return message
        chosen = {group.name: self._draw(st.sampled_from([*group.fields, None])) for group in kind.oneofs}
        for field in kind.fields:
            group = field.containing_oneof
            is_choice = group is not None and len(group.fields) > 1
            if chosen[group.name] is field if is_choice else self._draw(st.integers(0, 9)) < 6:
                self._fill(message, field, depth)
        return message

    def _moment(self, message: Any, kind: str) -> None:
        if self._is_wild():
            message.seconds = self._draw(st.sampled_from(_SECONDS))
            message.nanos = self._draw(st.sampled_from(_NANOS))
        else:
            hours = self._draw(st.integers(0, 1000))
            message.seconds = hours * HOUR + (1_704_067_200 if kind == "Timestamp" else 0)

    def _fill(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        name = field.name
        if field.message_type is not None and depth == 0:
            return
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            key, value = (field.message_type.fields_by_name[part] for part in ("key", "value"))
            for _ in range(self._draw(st.integers(0, 2))):
                entry = self._scalar(key)
                if value.message_type is not None:
                    getattr(message, name)[entry].CopyFrom(self.message(value.message_type, depth - 1))
                else:
                    getattr(message, name)[entry] = self._scalar(value)
        elif field.is_repeated:
            for _ in range(self._draw(st.sampled_from([1, 1, 2, 3, 0]))):
                getattr(message, name).append(self._value(field, depth))
        elif field.message_type is not None:
            getattr(message, name).CopyFrom(self.message(field.message_type, depth - 1))
        else:
            setattr(message, name, self._scalar(field))

    def _value(self, field: FieldDescriptor, depth: int) -> Any:
        is_message = field.message_type is not None
        return self.message(field.message_type, depth - 1) if is_message else self._scalar(field)

    def _scalar(self, field: FieldDescriptor) -> Any:
        return self._draw(_wild(field) if self._is_wild() else _calm(field))

    def _is_wild(self) -> bool:
        return self._draw(st.integers(0, 99)) >= 100 - self._wild_percent


@st.composite
def messages(draw: st.DrawFn, kind: Any) -> Any:
    """A message of a descriptor, somewhere between what a caller who means well sends and noise."""
    return _Writer(draw, draw(st.sampled_from([0, 2, 5, 10, 50]))).message(kind)


def requests(method: MethodDescriptor) -> st.SearchStrategy[list[bytes]]:
    """What a caller of a method may send: one message, or a few for an upload; sometimes no message."""
    serialised = messages(method.input_type).map(lambda message: message.SerializeToString())
    others = {8: serialised.flatmap(damaged), 9: st.binary(max_size=100)}
    one = st.integers(0, 9).flatmap(lambda kind: others.get(kind, serialised))
    if method.client_streaming:
        return st.lists(one, max_size=4)
    return one.map(lambda message: [message])


def methods(*services: ServiceDescriptor) -> list[Any]:
    """Every method of some services."""
    return [method for service in services for method in service.methods]
