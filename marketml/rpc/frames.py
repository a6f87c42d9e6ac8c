"""Frames on the wire: Arrow tables cut into self-contained IPC streams of at most 1 MiB, and back.

    for message in pack_table(table):                   # a servicer that streams a response with a FrameChunk
        yield message
    query = stream_bytes(channel, SERVICE.methods_by_name["QueryCandles"])
    frame = to_frame(read_chunks(query(request)))       # its client
    table = read_ipc(request.arrow_ipc, "arrow_ipc")    # a servicer that takes Arrow bytes from outside

A chunk travels as `marketml.market.v1.FrameChunk`, which is one field of a response. `pack_chunk` writes
such a response's bytes directly and `unpack_chunk` finds the Arrow bytes in them without a copy: a million
candles pass protobuf's own parser twice otherwise. What comes from outside is checked before it is touched:
one bad offset in an Arrow buffer is a segmentation fault, a declared length is an allocation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pyarrow as pa
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from marketml.market.v1 import market_pb2
from marketml.rpc.arrow import DEFAULT_LIMITS, Limits, read_ipc
from marketml.rpc.refusals import DataLoss, InvalidArgument, Reason, ResourceExhausted

__all__ = [
    "CHUNK_BYTES_MAX",
    "DEFAULT_LIMITS",
    "END_OF_STREAM",
    "TIME_COLUMN",
    "TIME_COLUMNS",
    "TIME_TYPE",
    "Limits",
    "cut",
    "cut_parts",
    "pack_chunk",
    "pack_parts",
    "pack_table",
    "read_chunks",
    "read_frames",
    "read_ipc",
    "read_tables",
    "stream_bytes",
    "to_frame",
    "to_table",
    "unpack_chunk",
]

CHUNK_BYTES_MAX = 1024 * 1024
TIME_COLUMN = "open_time"
TIME_COLUMNS = (TIME_COLUMN, "time")  # the one a table has becomes the index of its DataFrame
TIME_TYPE = pa.timestamp("us", tz="UTC")

END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_BATCH_OVERHEAD_BYTES = 512  # of a record batch's own metadata, before its columns
_COLUMN_OVERHEAD_BYTES = 96  # node, buffer descriptions, padding


def cut(table: pa.Table, bytes_max: int = CHUNK_BYTES_MAX) -> Iterator[bytes]:
    """Cut a table into self-contained IPC streams of at most `bytes_max`; a table without rows gives one.

    Raises
    ------
    ResourceExhausted
        One row and the schema do not fit.
    """
    for parts in cut_parts(table, bytes_max):
        yield b"".join(parts)


def cut_parts(table: pa.Table, bytes_max: int = CHUNK_BYTES_MAX) -> Iterator[list[Any]]:
    """The same as `cut`, each stream as the buffers whose concatenation it is, for `pack_parts`."""
    schema = table.schema.serialize()
    fixed_bytes = schema.size + len(END_OF_STREAM) + _BATCH_OVERHEAD_BYTES
    fixed_bytes += _COLUMN_OVERHEAD_BYTES * table.num_columns
    row_bytes = max(1.0, table.nbytes / max(1, table.num_rows))
    step = max(1, min(table.num_rows, int((bytes_max - fixed_bytes) / row_bytes)))
    if 64 < step < table.num_rows:
        step -= step % 64  # whole bytes of bitmaps: slices then need no shifting
    start = 0
    while start < table.num_rows or start == 0:
        batch = _batch(table.slice(start, step))
        parts = [schema, batch.serialize(), END_OF_STREAM]
        if sum(len(part) for part in parts) > bytes_max:
            if step == 1 or table.num_rows == 0:
                raise ResourceExhausted(
                    "frame_columns",
                    f"A row of {table.num_columns} columns does not fit a chunk of {bytes_max} bytes.",
                )
            step = max(1, step // 2)  # text that is longer here than on average
            continue
        yield parts
        start += step


def pack_chunk(ipc: bytes | pa.Buffer, sequence: int, field_number: int = 1) -> bytes:
    """The serialised response whose field `field_number` (1 to 15) is this FrameChunk."""
    return pack_parts([ipc], sequence, field_number)


def pack_parts(parts: Sequence[Any], sequence: int, field_number: int = 1) -> bytes:
    """The same as `pack_chunk` for an IPC stream in pieces: buffers that are concatenated once, here."""
    if not 1 <= field_number <= 15:
        raise ValueError(f"field_number must be 1 to 15, the tags of one byte: {field_number}.")
    tail = b"" if sequence == 0 else b"\x10" + _written(sequence)
    ipc_bytes = sum(len(part) for part in parts)
    inner_bytes = 4 + ipc_bytes + len(tail)
    # With lengths padded to three bytes the Arrow bytes start 8 bytes in: aligned wherever the message is.
    head = bytes((field_number << 3 | 2, *_padded(inner_bytes), 1 << 3 | 2, *_padded(ipc_bytes)))
    return b"".join([head, *parts, tail])


def pack_table(table: pa.Table, field_number: int = 1, first_sequence: int = 0) -> Iterator[bytes]:
    """The serialised responses of a stream that carries `table`, as `pack_chunk` writes them."""
    for sequence, parts in enumerate(cut_parts(table), first_sequence):
        yield pack_parts(parts, sequence, field_number)


def unpack_chunk(message: bytes, field_number: int = 1) -> tuple[pa.Buffer, int] | None:
    """The Arrow bytes (not copied) and the sequence in a serialised response; None when its first field is
    another one than `field_number`, as in a `oneof`.

    Raises
    ------
    DataLoss
        The bytes are no such message.
    """
    try:
        if _varint(message, 0)[0] != field_number << 3 | 2:
            return None
        start, end = _span(message, _varint(message, 0)[1], len(message))
        ipc, sequence = pa.py_buffer(b""), 0
        while start < end:
            tag, start = _varint(message, start)
            if tag == 1 << 3 | 2:
                first, start = _span(message, start, end)
                ipc = pa.py_buffer(message).slice(first, start - first)
            elif tag == 2 << 3:
                sequence, start = _varint(message, start)
            else:
                start = _skipped(message, tag, start, end)
        if start != end:
            raise ValueError
    except (ValueError, IndexError):
        raise _damaged(f"These {len(message)} bytes are no response with a frame chunk.") from None
    return ipc, sequence


def read_chunks(
    chunks: Iterable[market_pb2.FrameChunk | bytes],
    limits: Limits = DEFAULT_LIMITS,
    field_number: int = 1,
) -> pa.Table:
    """Read a whole frame from the messages of a response stream, as FrameChunk or as serialised responses.

    Raises
    ------
    DataLoss
        A chunk is absent, out of order, undecodable or has another schema than the first.
    ResourceExhausted
        More rows, columns or bytes than `limits` allow.
    """
    tables: list[pa.Table] = []
    for table in read_tables(chunks, limits, field_number):
        if tables and not table.schema.equals(tables[0].schema):
            raise _damaged(f"The frame's chunk {len(tables)} has other columns than the first.")
        tables.append(table)
    return _joined(tables)


def read_frames(
    chunks: Iterable[market_pb2.FrameChunk | bytes],
    limits: Limits = DEFAULT_LIMITS,
    field_number: int = 1,
) -> list[pa.Table]:
    """Read a stream of several frames, one after the other, told apart by the metadata of their schemas. The
    limits hold for all together; raises as `read_chunks`."""
    frames: list[list[pa.Table]] = []
    for table in read_tables(chunks, limits, field_number):
        if frames and frames[-1][0].schema.equals(table.schema, check_metadata=True):
            frames[-1].append(table)
        else:
            frames.append([table])
    return [_joined(tables) for tables in frames]


def read_tables(
    chunks: Iterable[market_pb2.FrameChunk | bytes], limits: Limits, field_number: int
) -> Iterator[pa.Table]:
    """The chunks' tables, at least one, in sequence, each as it comes; limits and refusals as in
    `read_chunks`."""
    rows_left, bytes_left = limits.rows_max, limits.bytes_max
    expected = 0
    for chunk in chunks:
        opened, sequence = _opened(chunk, field_number)
        ipc = _moved(opened)
        if sequence != expected:
            raise _damaged(f"The frame's chunk {expected} is missing: chunk {sequence} came in its place.")
        try:
            table = read_ipc(ipc, "chunk.arrow_ipc", Limits(rows_left, limits.columns_max, bytes_left))
        except InvalidArgument as error:
            raise _damaged(f"The frame's chunk {sequence} is damaged: {error.message}") from None
        rows_left -= table.num_rows
        bytes_left -= ipc.size
        expected += 1
        yield table
    if not expected:
        raise _damaged("The stream ended before the frame's first chunk.")


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).replace_schema_metadata(tables[0].schema.metadata)


def stream_bytes(channel: grpc.Channel, method: MethodDescriptor) -> Callable[..., Any]:
    """A stub's method whose responses stay bytes, for `read_chunks` and `unpack_chunk`."""
    assert method.containing_service is not None
    call: Callable[..., Any] = channel.unary_stream(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=None,
    )
    return call


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A table as a DataFrame: index `open_time` or `time` (UTC, strictly increasing), the other columns as
    they are; absent numbers are NaN. `attrs` holds the schema's metadata as text.

    Raises
    ------
    DataLoss
        There is no time column, or its values are absent or do not increase.
    """
    names = [name for name in TIME_COLUMNS if name in table.schema.names]
    if not names or not pa.types.is_timestamp(table.schema.field(names[0]).type):
        raise _damaged(f"The frame has no time column: {', '.join(table.schema.names[:20])}.")
    name = names[0]
    stamps = table.column(name).cast(TIME_TYPE)
    if stamps.null_count:
        raise _damaged(f"The frame's column {name} has {stamps.null_count} absent values.")
    microseconds = stamps.cast(pa.int64()).to_numpy()
    if not (microseconds[1:] > microseconds[:-1]).all():
        raise _damaged(f"The frame's column {name} does not increase strictly.")
    index = pd.DatetimeIndex(microseconds.view("datetime64[us]"), tz="UTC", name=name)
    # Arrow fills pandas' block with all threads and from its own pool: three times faster than from NumPy.
    frame: pd.DataFrame = table.drop_columns([name]).replace_schema_metadata().to_pandas()
    frame.index = index
    frame.attrs = {
        key.decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for key, value in (table.schema.metadata or {}).items()
    }
    return frame


def to_table(
    frame: pd.DataFrame, *, metadata: dict[str, str] | None = None, increasing: bool = True
) -> pa.Table:
    """A DataFrame as the table that travels: its index is the first column, `open_time` or `time`.

    Parameters
    ----------
    frame
        Index named `open_time` or `time`, timezone-aware. Columns: numbers (become float64), bool,
        timezone-aware times, text.
    metadata
        Becomes the schema's: `symbol`, `timeframe`, `digest`.
    increasing
        Refuse an index that does not increase strictly.

    Raises
    ------
    InvalidArgument
        The index or a column is none of these; the field is `frame.index` or `frame.<column>`.
    """
    index = frame.index
    if index.name not in TIME_COLUMNS or not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise InvalidArgument.of(
            "frame.index",
            "time_index",
            f"must be a UTC DatetimeIndex named open_time or time, not {index.name!r} of {index.dtype}.",
        )
    if index.hasnans or (increasing and not (index.is_monotonic_increasing and index.is_unique)):
        raise InvalidArgument.of(
            "frame.index", "increasing", "must increase strictly and have no absent value."
        )
    arrays = [_timestamps(index, "frame.index")]
    names = [str(index.name)]
    for position, label in enumerate(frame.columns):
        if not isinstance(label, str) or label in names:
            raise InvalidArgument.of(
                f"frame.columns[{position}]", "unique", f"must be text that is there once, not {label!r}."
            )
        names.append(label)
        arrays.append(_column(frame.iloc[:, position], f"frame.{label}"))
    return pa.table(arrays, names=names).replace_schema_metadata(metadata or None)


def _batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.to_batches()
    if len(batches) > 1:
        batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _padded(number: int) -> tuple[int, int, int]:
    if number >= 1 << 21:
        raise ValueError(f"A chunk must be shorter than 2 MiB: {number}.")
    return number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14


def _written(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _varint(message: bytes, start: int) -> tuple[int, int]:
    """The number at `start` and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        byte = message[start]
        start += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, start
    raise ValueError


def _span(message: bytes, start: int, end: int) -> tuple[int, int]:
    length, start = _varint(message, start)
    if start + length > end:
        raise ValueError
    return start, start + length


def _skipped(message: bytes, tag: int, start: int, end: int) -> int:
    kind = tag & 7
    if kind == 0:
        return _varint(message, start)[1]
    if kind == 2:
        return _span(message, start, end)[1]
    if kind in (1, 5):
        return start + (8 if kind == 1 else 4)
    raise ValueError


def _moved(ipc: Any) -> pa.Buffer:
    """A copy in Arrow's own memory. A frame that keeps its messages alive pays more for fresh pages, a
    megabyte at a time, than copying costs: the messages' memory and Arrow's are both used again."""
    source = pa.py_buffer(ipc)
    target = pa.allocate_buffer(source.size)
    memoryview(target)[:] = memoryview(source)
    return target


def _opened(chunk: market_pb2.FrameChunk | bytes, field_number: int) -> tuple[Any, int]:
    if isinstance(chunk, market_pb2.FrameChunk):
        return chunk.arrow_ipc, chunk.sequence
    opened = unpack_chunk(chunk, field_number)
    if opened is None:
        raise _damaged("A message of the stream carries no frame chunk.")
    return opened


def _column(series: pd.Series[Any], field: str) -> pa.Array:
    kind = series.dtype
    if isinstance(kind, pd.DatetimeTZDtype):
        return _timestamps(series, field)
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_string_dtype(kind):
        try:
            wanted = pa.bool_() if pd.api.types.is_bool_dtype(kind) else pa.string()
            return pa.Array.from_pandas(series, type=wanted)
        except (pa.ArrowException, TypeError, ValueError):
            pass
    elif pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind):
        return pa.array(series.to_numpy(dtype="float64", na_value=np.nan))
    raise InvalidArgument.of(
        field, "type", f"must hold numbers, true/false, times with a zone or text, not {kind}."
    )


def _timestamps(values: Any, field: str) -> pa.Array:
    try:
        return pa.Array.from_pandas(values).cast(TIME_TYPE)
    except pa.ArrowException:
        raise InvalidArgument.of(field, "microseconds", "must be whole microseconds.") from None


def _damaged(sentence: str) -> DataLoss:
    return DataLoss(sentence, Reason.UNDECODABLE)
