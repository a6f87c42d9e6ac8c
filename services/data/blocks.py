"""Blocks: how rows lie in the store. A block holds up to `BLOCK_ROWS` neighbouring rows of one series, its
current rows as the Arrow record batch that travels to callers, so that most of a query is copying bytes.

A block never changes: rows that join it make new blocks in its place.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from services.data.revisions import Rows, Stored, Times, are_marks, empty_rows, forming, revised_count
from services.data.series import Kind, Series

BLOCK_ROWS = 4800  # three of candles fill a message of 1 MiB
# Fewer new rows than this make a block of their own at the end, or join the one there; when that has so many
# rows it goes into the one before it. A new bar rewrites 10 KB and not 350.
TAIL_ROWS = 256
_CAPTURED = "captured"
_ZSTD = pa.Codec("zstd")


@dataclass(frozen=True)
class Head:
    """What is known of a block without its rows. `newest_capture_us` covers the history too; of the
    `row_count` current rows `missing_count` are marks."""

    first_time_us: int
    last_time_us: int
    row_count: int
    revised_count: int
    history_count: int
    forming_count: int
    newest_capture_us: int
    missing_count: int


@dataclass(frozen=True)
class Block:
    """An encoded block. `batch` is an IPC message of the kind's schema, without that schema.

    `captured` is None when all current rows were captured at the head's `newest_capture_us`; `history` is
    None without older revisions.
    """

    head: Head
    batch: bytes
    captured: bytes | None
    history: bytes | None
    checksum: int

    @property
    def is_intact(self) -> bool:
        """Whether the bytes are those that were stored."""
        return self.checksum == _checksum(self.batch, self.captured, self.history)


def encode(series: Series, stored: Stored, *, is_append: bool) -> Iterator[Block]:
    """Cut rows into blocks: full ones when they were appended, else of equal size, which leaves room."""
    count = len(stored.current)
    pieces = max(1, -(-count // BLOCK_ROWS))
    step = BLOCK_ROWS if is_append else -(-count // pieces)
    for start in range(0, count, step):
        current = stored.current.take(slice(start, start + step))
        history = stored.history
        if len(history):
            edges = np.searchsorted(history.times, [current.times[0], current.times[-1] + 1])
            history = history.take(slice(edges[0], edges[1]))
        yield _encoded(series, Stored(current, history))


def decode(kind: Kind, block: Block) -> Stored:
    """The rows of a block. The arrays refer to its bytes."""
    batch = pa.ipc.read_record_batch(pa.py_buffer(block.batch), kind.schema)
    if block.captured is None:
        captured = np.full(block.head.row_count, block.head.newest_capture_us, np.int64)
    else:
        plain = _ZSTD.decompress(block.captured, decompressed_size=8 * block.head.row_count, asbytes=True)
        captured = np.frombuffer(plain, np.int64)
    if block.history is None:
        history = empty_rows(len(kind.columns))
    else:
        older = pa.ipc.read_record_batch(pa.py_buffer(block.history), _history_schema(kind))
        history = Rows(*_arrays(kind, older), older.column(_CAPTURED).to_numpy())
    return Stored(Rows(*_arrays(kind, batch), captured), history)


def batch_of(kind: Kind, rows: Rows) -> Any:
    """Current rows as a record batch of the kind's schema."""
    times = pa.array(rows.times).view(kind.schema.field(0).type)
    return pa.RecordBatch.from_arrays([times, *map(pa.array, rows.columns)], schema=kind.schema)


def _encoded(series: Series, stored: Stored) -> Block:
    current, history = stored.current, stored.history
    newest_us = int(max(current.captured.max(), history.captured.max(initial=-(2**63))))
    is_uniform = bool((current.captured == newest_us).all())
    older: bytes | None = None
    if len(history):
        columns = [*batch_of(series.kind, history).columns, pa.array(history.captured)]
        batch = pa.RecordBatch.from_arrays(columns, schema=_history_schema(series.kind))
        older = batch.serialize().to_pybytes()
    head = Head(
        first_time_us=int(current.times[0]),
        last_time_us=int(current.times[-1]),
        row_count=len(current),
        revised_count=revised_count(stored, series.step_us),
        history_count=len(history),
        forming_count=int(forming(current, series.step_us).sum()) if series.step_us else 0,
        newest_capture_us=newest_us,
        missing_count=int(are_marks(current).sum()),
    )
    batch = batch_of(series.kind, current).serialize().to_pybytes()
    captured = None if is_uniform else _ZSTD.compress(current.captured.tobytes(), asbytes=True)
    return Block(head, batch, captured, older, _checksum(batch, captured, older))


def _checksum(*parts: bytes | None) -> int:
    """CRC-32: neither SQLite nor PostgreSQL by default notices a flipped bit."""
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part or b"", checksum)
    return checksum


def _history_schema(kind: Kind) -> pa.Schema:
    return kind.schema.append(pa.field(_CAPTURED, pa.int64()))


def _arrays(kind: Kind, batch: Any) -> tuple[Times, tuple[Any, ...]]:
    times = batch.column(0).view(pa.int64()).to_numpy()
    return times, tuple(batch.column(name).to_numpy() for name in kind.columns)
