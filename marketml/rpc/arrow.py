"""Arrow bytes from outside, checked before they are touched: one bad offset in a buffer is a segmentation
fault, a declared length is an allocation."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from marketml.rpc.refusals import InvalidArgument, Reason, ResourceExhausted

_SCHEMA, _RECORD_BATCH = 1, 3  # flatbuffers' MessageHeader
_ZONES = (None, "UTC", "+00:00", "Etc/UTC")  # others are names that this machine may not know


@dataclass(frozen=True)
class Limits:
    """What a receiver accepts of one frame, all its chunks together."""

    rows_max: int = 50_000_000
    columns_max: int = 4_096
    bytes_max: int = 8 * 1024**3


DEFAULT_LIMITS = Limits()


def read_ipc(
    ipc: Any, field: str = "arrow_ipc", limits: Limits = DEFAULT_LIMITS, *, may_be_compressed: bool = False
) -> pa.Table:
    """Read Arrow bytes from outside: everything is checked, nothing is copied that is not compressed.

    Accepted are IPC streams of flat columns (bool, integers, floats, timestamps in UTC, text) in record
    batches that use no dictionary and, unless told so, are not compressed.

    Parameters
    ----------
    ipc
        bytes, `pa.Buffer` or another buffer. The table refers to it.
    field
        Its path in the request, for the refusal.
    may_be_compressed
        Whether buffers may be (LZ4 frame or ZSTD); `limits.bytes_max` then bounds what they become, too.

    Raises
    ------
    InvalidArgument
        The bytes are no such stream; reason UNDECODABLE.
    ResourceExhausted
        More rows, columns or bytes than `limits` allow. Nothing was allocated for them.
    """
    buffer = pa.py_buffer(ipc)
    if buffer.size > limits.bytes_max:
        raise _too_many(field, "bytes", buffer.size, limits.bytes_max)
    try:
        _check_batches(memoryview(buffer), field, limits, may_be_compressed)
        with pa.ipc.open_stream(buffer) as reader:
            schema = reader.schema
            if len(schema) > limits.columns_max:
                raise _too_many(field, "columns", len(schema), limits.columns_max)
            _check_types(schema, field)
            batches = list(reader)
        table = pa.Table.from_batches(batches, schema)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, struct.error) as error:
        raise _undecodable(field, str(error) or type(error).__name__) from None
    return table


def _check_batches(raw: memoryview, field: str, limits: Limits, may_be_compressed: bool) -> None:
    """Walk the stream's messages before Arrow does: kinds, lengths and compression are all in their heads."""
    position = rows = count = unpacked_bytes = 0
    while position < len(raw):
        marker, size = struct.unpack_from("<Ii", raw, position)
        if marker != 0xFFFFFFFF or size < 0:
            raise ValueError("a message has no head.")
        position += 8
        if size == 0:
            break
        head = raw[position : position + size]
        kind, header, body_bytes = _message_head(head)
        position += size + body_bytes
        if body_bytes < 0 or position > len(raw):
            raise ValueError("a message is longer than the stream.")
        if kind != (_SCHEMA if count == 0 else _RECORD_BATCH):
            raise ValueError("only a schema and record batches may be in it.")
        if count > 0:
            rows += _batch_rows(head, header, body_bytes, limits.columns_max, may_be_compressed)
            if _is_compressed(head, header):
                unpacked_bytes += _unpacked_bytes(head, header, raw[position - body_bytes : position])
        if rows > limits.rows_max:
            raise _too_many(field, "rows", rows, limits.rows_max)
        if unpacked_bytes > limits.bytes_max:
            raise _too_many(field, "bytes", unpacked_bytes, limits.bytes_max)
        count += 1
    if count == 0:
        raise ValueError("it has no schema.")
    if position != len(raw):
        raise ValueError("something follows its end.")


def _message_head(head: memoryview) -> tuple[int, int, int]:
    """Kind, position of the header table and body length of an encapsulated message."""
    root = struct.unpack_from("<I", head, 0)[0]
    kind = _slot(head, root, 1)
    header = _slot(head, root, 2)
    body = _slot(head, root, 3)
    if kind is None or header is None:
        raise ValueError("a message has no header.")
    target = header + struct.unpack_from("<I", head, header)[0]
    return head[kind], target, 0 if body is None else struct.unpack_from("<q", head, body)[0]


def _is_compressed(head: memoryview, batch: int) -> bool:
    return _slot(head, batch, 3) is not None


def _unpacked_bytes(head: memoryview, batch: int, body: memoryview) -> int:
    """What the buffers of a compressed record batch say that they become: each begins with that number, or
    with -1 where it is as it is."""
    total = 0
    for offset, size in _pairs(head, _slot(head, batch, 2)):
        if size == 0:
            continue
        said = struct.unpack_from("<q", body[offset : offset + size])[0]
        if said < -1:
            raise ValueError("a compressed buffer has a negative length.")
        total += size if said == -1 else said
    return total


def _batch_rows(
    head: memoryview, batch: int, body_bytes: int, columns_max: int, may_be_compressed: bool
) -> int:
    """The rows of a record batch, after its buffers were found inside its body."""
    if not may_be_compressed and _is_compressed(head, batch):
        raise ValueError("record batches must not be compressed.")
    length = _slot(head, batch, 0)
    rows = 0 if length is None else struct.unpack_from("<q", head, length)[0]
    if rows < 0:
        raise ValueError("a record batch has a negative length.")
    for position, (node_rows, nulls) in enumerate(_pairs(head, _slot(head, batch, 1))):
        if node_rows != rows or not 0 <= nulls <= rows or position >= columns_max * 2:
            raise ValueError("a column is not as long as its record batch.")
    for offset, size in _pairs(head, _slot(head, batch, 2)):
        if offset < 0 or size < 0 or offset % 8 or offset + size > body_bytes:
            raise ValueError("a buffer lies outside its record batch.")
    return int(rows)


def _slot(head: memoryview, table: int, number: int) -> int | None:
    """Where the field `number` of a flatbuffers table lies."""
    vtable = table - struct.unpack_from("<i", head, table)[0]
    if vtable < 0 or table < 0:
        raise ValueError("a table lies outside its message.")
    size = struct.unpack_from("<H", head, vtable)[0]
    if 4 + 2 * number + 2 > size:
        return None
    offset = struct.unpack_from("<H", head, vtable + 4 + 2 * number)[0]
    return table + offset if offset else None


def _pairs(head: memoryview, slot: int | None) -> Iterator[tuple[int, int]]:
    if slot is None:
        return
    start = slot + struct.unpack_from("<I", head, slot)[0]
    count = struct.unpack_from("<I", head, start)[0]
    raw = head[start + 4 : start + 4 + 16 * count]
    if len(raw) != 16 * count:
        raise ValueError("a list is longer than its message.")
    yield from struct.iter_unpack("<qq", raw)


def _check_types(schema: pa.Schema, field: str) -> None:
    types = pa.types
    allowed = (types.is_boolean, types.is_integer, types.is_floating, types.is_timestamp, types.is_string)
    for column in schema:
        is_elsewhere = types.is_timestamp(column.type) and column.type.tz not in _ZONES
        if is_elsewhere or not any(is_kind(column.type) for is_kind in allowed):
            raise _undecodable(field, f"column {column.name[:100]!r} has the type {str(column.type)[:100]}.")
    if len(set(schema.names)) != len(schema.names):
        raise _undecodable(field, "two columns have the same name.")


def _undecodable(field: str, what: str) -> InvalidArgument:
    sentence = f"must be an Arrow IPC stream of flat columns: {what[:200]}"
    return InvalidArgument.of(field, "undecodable", sentence, Reason.UNDECODABLE)


def _too_many(field: str, what: str, count: int, limit: int) -> ResourceExhausted:
    return ResourceExhausted(f"frame_{what}", f"{field}: at most {limit} {what} are taken, not {count}.")
