"""A file of the cache: an Arrow IPC stream in pieces, each with its SHA-256, and a trailer that lists them.

    draft = Draft(path, names, label, first, stop)
    draft.append(open_time, values)          # from `first` to `stop`, any number of rows at a time
    draft.seal()                             # written to the end and synced
    draft.publish(path_of_the_entry)         # renamed: whole, or not there
    entry = opened(path_of_the_entry)        # None when the file is absent or not what was written
    entry.rows_from(row)                     # verified, or DamagedError

Pieces are verified before Arrow sees a byte of them. A draft is locked by the process that writes it, so that
another one knows leftovers from work under way.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from services.features.cached import CacheLabel
from services.features.columns import Rows
from services.features.source import SeriesKey
from services.host.durable import sync_folder

PIECE_BYTES = 2 * 1024**2
_MAGIC = b"MMFEAT01"
_TAIL = struct.Struct("<Q32s8s")  # of a file: the trailer's length, its SHA-256, the magic
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_TRAILER_BYTES_MAX = 64 * 1024**2
# Of a piece, a column: its node, descriptions of buffers and padding; of the schema, a name and its field.
_PIECE_COLUMN_BYTES, _SCHEMA_COLUMN_BYTES = 160, 160


class DamagedError(Exception):
    """A piece is not what was written."""


@dataclass(frozen=True)
class Piece:
    """`rows` rows from `first` on, and where they lie in the file."""

    first: int
    rows: int
    offset: int
    size_bytes: int
    digest: str


class Entry:
    """A file that is open: its rows from `first` to `stop`."""

    def __init__(self, descriptor: int, schema: pa.Schema, label: CacheLabel, first: int, stop: int) -> None:
        self.label = label
        self.first, self.stop = first, stop
        self.pieces: list[Piece] = []
        self._descriptor = descriptor
        self._schema = schema

    def rows_from(self, row: int) -> Rows | None:
        """The values from the row `row` on, to the end of its piece; None when they are not there yet.

        Raises
        ------
        DamagedError
            They are not what was written.
        """
        pieces = self.pieces
        at = bisect_right(pieces, row, key=lambda piece: piece.first) - 1
        if at < 0 or row >= pieces[at].first + pieces[at].rows:
            return None
        piece = pieces[at]
        read = _read(self._descriptor, piece.offset, piece.size_bytes)
        if read is None or hashlib.sha256(read).hexdigest() != piece.digest:
            raise DamagedError
        batch = pa.ipc.read_record_batch(pa.py_buffer(read), self._schema)
        return [column.to_numpy()[row - piece.first :] for column in batch.columns[1:]]

    def is_at(self, path: Path) -> bool:
        """Whether it is the file at `path`."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), path.stat())
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class Draft(Entry):
    """A file that is written and meanwhile read. One thread at a time may append."""

    def __init__(self, path: Path, names: Sequence[str], label: CacheLabel, first: int, stop: int) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        super().__init__(descriptor, _schema(names), label, first, stop)
        self._path = path
        self._end = 0
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._schema_digest = self._write(self._schema.serialize())
        except OSError:
            self.discard()
            self.close()
            raise

    @property
    def next_row(self) -> int:
        """The first row that is not there yet."""
        return self.pieces[-1].first + self.pieces[-1].rows if self.pieces else self.first

    def append(self, open_time: pd.DatetimeIndex, values: Rows) -> None:
        """Write the values of the next rows."""
        step = max(1, PIECE_BYTES // (8 * len(self._schema)))
        times = pa.Array.from_pandas(pd.Series(open_time)).cast(self._schema.field(0).type)
        for start in range(0, len(open_time), step):
            some = slice(start, start + step)
            arrays = [times[some], *(pa.array(row[some]) for row in values)]
            message = pa.RecordBatch.from_arrays(arrays, schema=self._schema).serialize()
            offset, digest = self._end, self._write(message)
            self.pieces.append(Piece(self.next_row, len(arrays[0]), offset, message.size, digest))

    def seal(self) -> None:
        """End the file and see it on disk."""
        trailer = {
            "key": asdict(self.label.key),
            "config": self.label.config,
            "first": self.first,
            "stop": self.stop,
            "names": self._schema.names[1:],
            "pieces": [list(asdict(piece).values()) for piece in self.pieces],
        }
        written = json.dumps(trailer, separators=(",", ":")).encode()
        self._write(_END_OF_STREAM + written)
        self._write(_TAIL.pack(len(written), hashlib.sha256(written).digest(), _MAGIC))
        os.fsync(self._descriptor)

    def publish(self, path: Path) -> None:
        """Give a sealed file its name."""
        os.rename(self._path, path)
        sync_folder(path.parent)

    def discard(self) -> None:
        """Remove the file, if it was not published; who has it open reads on."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write(self, content: Any) -> str:
        """Write at the end; the SHA-256 of what was written."""
        view = memoryview(content).cast("B")
        done = 0
        while done < len(view):
            done += os.pwrite(self._descriptor, view[done:], self._end + done)
        self._end += len(view)
        return hashlib.sha256(view).hexdigest()


def opened(path: Path) -> Entry | None:
    """The file of an entry, found to be whole by its trailer; None when it is absent or damaged."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    entry = _with_trailer(descriptor)
    if entry is None:
        os.close(descriptor)
    return entry


def is_left_over(path: Path) -> bool:
    """Whether nobody writes this draft any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def forecast_bytes(names: Sequence[str], rows: int) -> int:
    """What a file of so many rows will take at the most."""
    columns = len(names) + 1
    pieces = -(-rows // max(1, PIECE_BYTES // (8 * columns))) + rows // 256 + 1
    of_names = 2 * sum(len(name.encode()) for name in names) + _SCHEMA_COLUMN_BYTES * columns
    return rows * columns * 8 + pieces * columns * _PIECE_COLUMN_BYTES + of_names + 4096


def _with_trailer(descriptor: int) -> Entry | None:
    try:
        size = os.fstat(descriptor).st_size
        tail = _read(descriptor, size - _TAIL.size, _TAIL.size) if size > _TAIL.size else None
        if tail is None:
            return None
        length, digest, magic = _TAIL.unpack(tail)
        if magic != _MAGIC or length > min(size, _TRAILER_BYTES_MAX):
            return None
        written = _read(descriptor, size - _TAIL.size - length, length)
        if written is None or hashlib.sha256(written).digest() != digest:
            return None
    except OSError:
        return None
    trailer = json.loads(bytes(written))
    label = CacheLabel(SeriesKey(**trailer["key"]), trailer["config"])
    entry = Entry(descriptor, _schema(trailer["names"]), label, trailer["first"], trailer["stop"])
    entry.pieces = [Piece(*piece) for piece in trailer["pieces"]]
    return entry


def _read(descriptor: int, offset: int, size: int) -> bytearray | None:
    """So many bytes; None when they are not there or cannot be read."""
    buffer = bytearray(size)
    view, done = memoryview(buffer), 0
    try:
        while done < size:
            count = os.preadv(descriptor, [view[done:]], offset + done)
            if count == 0:
                return None
            done += count
    except OSError:
        return None
    return buffer


def _schema(names: Sequence[str]) -> pa.Schema:
    return pa.schema([("open_time", pa.timestamp("us", tz="UTC")), *((name, pa.float64()) for name in names)])
