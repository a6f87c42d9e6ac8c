"""A snapshot's file while it is written: under a temporary name until it is whole and durable."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from marketml.rpc.refusals import Reason, ResourceExhausted, Unavailable
from services.data.snapshots.seals import Piece, state_of, written_seal
from services.host.durable import sync_folder

BATCH_ROWS = 8192  # of an aligned frame: 0.85 MB, a chunk
MAGIC_BYTES = 8  # ARROW1 and padding, before the schema
ARROW_SUFFIX = ".arrow"
DRAFT_SUFFIX = ".draft"


@dataclass(frozen=True)
class Written:
    """A finished file: its SHA-256, which is its id, its size, and its seal (`snapshots.seals`)."""

    snapshot_id: str
    size_bytes: int
    seal: bytes


class Draft:
    """Write any number of times, finish, publish; discard at the end whatever happened."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        with _told():
            self._folder = folder
            self._path = folder / f"{secrets.token_hex(16)}{DRAFT_SUFFIX}"
            # Arrow writes what stands before the first record batch together with it.
            self._file = _Sealed(self._path, MAGIC_BYTES + schema.serialize().size)
            self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), schema)
            self._pending: list[pa.Table] = []
            self._pending_rows = 0
            self._snapshot_id = ""
            self._finished: os.stat_result | None = None

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        with _told():
            self._pending.append(table)
            self._pending_rows += table.num_rows
            if self._pending_rows >= BATCH_ROWS:
                self._flush(self._pending_rows - self._pending_rows % BATCH_ROWS)

    def finish(self) -> Written:
        """End the file and make it durable under its temporary name."""
        with _told():
            self._flush(self._pending_rows)
            self._writer.close()
            self._file.end_piece()
            self._snapshot_id, self._finished = self._file.finish()
        return Written(self._snapshot_id, self._file.size_bytes, written_seal(self._file.pieces))

    def publish(self) -> str | None:
        """Give the file its name, durably. Another one of that name has the same bytes and is replaced.
        Returns the state of the file (`seals.state_of`), None if somebody touched it since it was hashed."""
        with _told():
            path = self._folder / f"{self._snapshot_id}{ARROW_SUFFIX}"
            self._path.rename(path)
            sync_folder(self._folder)
            found = path.lstat()
        # Its new name has set the time of the last change to what is known of it, the rest is as it was.
        hashed = self._finished
        if hashed and os.path.samestat(found, hashed) and found.st_mtime_ns == hashed.st_mtime_ns:
            return state_of(found)
        return None

    def discard(self) -> None:
        """Leave nothing under the temporary name."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _flush(self, rows: int) -> None:
        if not rows:
            return
        table = pa.concat_tables(self._pending).combine_chunks()
        for start in range(0, rows, BATCH_ROWS):
            piece = table.slice(start, min(BATCH_ROWS, rows - start))
            if piece.num_rows < BATCH_ROWS:
                # The last byte of a bitmap keeps what lay beside the slice: copied, it is the rows' own.
                piece = piece.take(pa.array(np.arange(piece.num_rows)))
            self._writer.write_batch(piece.combine_chunks().to_batches()[0])
            self._file.end_piece()
        self._pending = [table.slice(rows)]
        self._pending_rows -= rows


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceExhausted(
                "disk", "The disk of the snapshots is full.", reason=Reason.DISK_FULL
            ) from error
        raise Unavailable(
            "The folder of the snapshots did not take the file; send the same request again.",
            reason=Reason.STORE_DOWN,
        ) from error


class _Sealed:
    """A new file that hashes what is written to it, as a whole and in pieces, the first of `head_bytes`."""

    def __init__(self, path: Path, head_bytes: int) -> None:
        self._file = path.open("xb", buffering=0)
        self._digest = hashlib.sha256()
        self._gathered: list[Any] = []
        self._head_bytes = head_bytes
        self.pieces: list[Piece] = []
        self.size_bytes = 0
        self.closed = False

    def write(self, data: Any) -> int:
        self._gathered.append(data)
        return len(data)

    def flush(self) -> None:
        """Nothing: a piece is written when it is whole."""

    def end_piece(self) -> None:
        data = memoryview(b"".join(self._gathered))
        self._gathered.clear()
        if not self.pieces:
            self._write(data[: self._head_bytes])
            data = data[self._head_bytes :]
        self._write(data)

    def _write(self, piece: memoryview) -> None:
        self._digest.update(piece)
        self.pieces.append(Piece.of(piece))
        self.size_bytes += len(piece)
        while piece:
            piece = piece[self._file.write(piece) :]

    def finish(self) -> tuple[str, os.stat_result]:
        os.fsync(self._file.fileno())
        finished = os.fstat(self._file.fileno())
        self.close()
        return self._digest.hexdigest(), finished

    def close(self) -> None:
        self.closed = True
        self._file.close()
