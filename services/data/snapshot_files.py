"""Snapshot files: one Arrow file per snapshot, named by its SHA-256, that either is whole or is not there.

    draft = SnapshotFiles(folder).draft(schema)
    draft.write(table)                     # any number of times
    digest, size = draft.finish()          # written, hashed and synced under a temporary name
    draft.publish()                        # renamed to its digest, folder synced; then the row is committed
    draft.discard()                        # what is left of the temporary file, if anything

The bytes depend on the rows and the schema alone, not on how the rows were cut when they were written.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from marketml.rpc.refusals import DataLoss, Reason, ResourceExhausted, Unavailable

BATCH_ROWS = 8192  # of an aligned frame: 0.85 MB, a chunk
_SUFFIX = ".arrow"
_DRAFT = ".draft"
_PIECE_BYTES = 4 * 1024 * 1024


class SnapshotFiles:
    """The folder that holds them. Ids are digests; the caller checks that they look like one."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def draft(self, schema: pa.Schema) -> Draft:
        """Begin a file."""
        with _told():
            return Draft(self._folder, schema)

    def open(self, snapshot_id: str, size_bytes: int) -> Iterator[pa.Table]:
        """The batches of a snapshot, after its bytes were found to be those its name says.

        Raises
        ------
        DataLoss
            The file is absent, damaged or cannot be read.
        """
        try:
            with pa.OSFile(str(self._path(snapshot_id))) as source:
                if source.size() != size_bytes or _digest(source) != snapshot_id:
                    raise _lost(snapshot_id, "is not what it was")
                with pa.ipc.open_file(source) as reader:
                    if reader.num_record_batches == 0:
                        yield reader.schema.empty_table()
                    for number in range(reader.num_record_batches):
                        yield pa.Table.from_batches([reader.get_batch(number)])
        except (OSError, pa.ArrowException):
            raise _lost(snapshot_id, "is not there or cannot be read") from None

    def remove(self, snapshot_id: str) -> None:
        """Remove a file, if it is there."""
        self._path(snapshot_id).unlink(missing_ok=True)

    def leftovers(self, until_us: int) -> list[str]:
        """Remove drafts last written before this time, and return the ids of all snapshots as old as that."""
        ids = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime_ns < until_us * 1000:
                    if path.suffix == _DRAFT:
                        path.unlink()
                    elif path.suffix == _SUFFIX:
                        ids.append(path.stem)
        return ids

    def _path(self, snapshot_id: str) -> Path:
        return self._folder / f"{snapshot_id}{_SUFFIX}"


class Draft:
    """A snapshot's file while it is written."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._path = folder / f"{secrets.token_hex(16)}{_DRAFT}"
        self._file = _Hashed(self._path.open("xb"))
        self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), schema)
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._digest = ""

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        with _told():
            self._pending.append(table)
            self._pending_rows += table.num_rows
            if self._pending_rows >= BATCH_ROWS:
                self._flush(self._pending_rows - self._pending_rows % BATCH_ROWS)

    def finish(self) -> tuple[str, int]:
        """End the file and make it durable under its temporary name; its digest and size."""
        with _told():
            self._flush(self._pending_rows)
            self._writer.close()
            self._digest = self._file.finish()
        return self._digest, self._file.size

    def publish(self) -> None:
        """Give the file its name, durably. Another one of that name has the same bytes and is replaced."""
        with _told():
            self._path.rename(self._folder / f"{self._digest}{_SUFFIX}")
            descriptor = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

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
            # A slice of a bitmap keeps what lies beside it in its bytes: copied, the bytes are the rows' own.
            piece = piece.take(pa.array(np.arange(piece.num_rows)))
            self._writer.write_batch(piece.combine_chunks().to_batches()[0])
        self._pending = [table.slice(rows)]
        self._pending_rows -= rows


def _digest(source: pa.NativeFile) -> str:
    digest = hashlib.sha256()
    while piece := source.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _lost(snapshot_id: str, what: str) -> DataLoss:
    return DataLoss(f"The file of snapshot {snapshot_id} {what}; delete the snapshot and make it again.")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceExhausted(
                "disk", "The disk of the snapshots is full.", reason=Reason.DISK_FULL
            ) from error
        raise Unavailable(
            "The folder of the snapshots did not take the file; send the same request again.",
            reason=Reason.STORE_DOWN,
        ) from error


class _Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        self._digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def finish(self) -> str:
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        self.closed = True
        self._file.close()
