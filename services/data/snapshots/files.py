"""Snapshot files: one Arrow file per snapshot, named by its SHA-256, that either is whole or is not there.

    draft = files.draft(schema)
    draft.write(table)                     # any number of times
    written = draft.finish()               # written, hashed and synced under a temporary name
    state = draft.publish()                # renamed to its digest, folder synced; then the row is committed
    draft.discard()                        # what is left of the temporary file, if anything
    head, *batches = files.read(...)       # each piece verified, as it lies in the file

The bytes depend on the rows and the schema alone, not on how the rows were cut when they were written. The
file is plain Arrow, aligned and not compressed: a program beside the room maps it into memory without a copy.

The room itself reads with read(2), not through a mapping: a mapped file that is cut short, or a disk that
fails, kills the process with SIGBUS, and what a mapping shows may change after it was verified. Reading into
one buffer that is used again costs 2 ms more in 100 MB than the page faults of a mapping, and what was
verified is what is sent.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from marketml.rpc.refusals import DataLoss, Reason, Unavailable
from services.data.snapshots.draft import ARROW_SUFFIX, DRAFT_SUFFIX, MAGIC_BYTES, Draft
from services.data.snapshots.seals import Piece, read_seal, state_of, written_seal

_BLOCK_BYTES = 1024 * 1024
_PREFIX_BYTES = 8  # of a message: marker and length
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # says nothing about the file


class SnapshotFiles:
    """The folder that holds them. Ids are digests; the caller checks that they look like one."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._verified: dict[str, str] = {}  # the states in which this process found files right

    def draft(self, schema: pa.Schema) -> Draft:
        """Begin a file."""
        return Draft(self._folder, schema)

    def read(
        self, snapshot_id: str, size_bytes: int, seal: bytes, verified_state: str | None = None
    ) -> Iterator[memoryview]:
        """The pieces of a snapshot's file, each found to be what its seal says: what stands before the first
        record batch (see `schema_of`), then each record batch's message. A piece's bytes are good until the
        next is asked for.

        The reading of a file that was touched since its SHA-256 was last found to be its name ends with the
        SHA-256 of everything: nobody reads to the end of bytes that are not the snapshot's.

        Parameters
        ----------
        verified_state
            The file's state when another process last found that (see `verified_state`).

        Raises
        ------
        DataLoss
            The file is absent, damaged or cannot be read.
        Unavailable
            The process has no descriptor or memory left.
        """
        with self._opened(snapshot_id, size_bytes) as (descriptor, state):
            try:
                pieces = read_seal(seal)
            except struct.error:
                raise _lost(snapshot_id, "has a damaged seal") from None
            if sum(piece.size_bytes for piece in pieces) != size_bytes:
                raise _lost(snapshot_id, "is not what it was")
            is_verified = state in (verified_state, self._verified.get(snapshot_id))
            whole = None if is_verified else hashlib.sha256()
            buffer = memoryview(bytearray(max(piece.size_bytes for piece in pieces)))
            position = 0
            for number, piece in enumerate(pieces, 1):
                read = buffer[: piece.size_bytes]
                if not _filled(descriptor, read, position) or Piece.of(read) != piece:
                    raise _lost(snapshot_id, "is not what it was")
                position += piece.size_bytes
                if whole is not None:
                    whole.update(read)
                if number < len(pieces):
                    yield read
            if whole is not None and whole.hexdigest() != snapshot_id:
                raise _lost(snapshot_id, "is not what it was")
            self._verified[snapshot_id] = state

    def verified_state(self, snapshot_id: str) -> str | None:
        """The state in which this process last read a file to its end; None when it never has."""
        return self._verified.get(snapshot_id)

    def seal(self, snapshot_id: str, size_bytes: int) -> bytes:
        """The seal of a file that was written before there were seals, after its SHA-256 was found to be its
        name.

        Raises
        ------
        DataLoss, Unavailable
            As `read`.
        """
        with self._opened(snapshot_id, size_bytes) as (descriptor, _):
            whole, buffer = hashlib.sha256(), memoryview(bytearray(_BLOCK_BYTES))
            for position in range(0, size_bytes, _BLOCK_BYTES):
                read = buffer[: min(_BLOCK_BYTES, size_bytes - position)]
                if not _filled(descriptor, read, position):
                    break
                whole.update(read)
            if whole.hexdigest() != snapshot_id:
                raise _lost(snapshot_id, "is not what it was")
            pieces, position = [], 0
            for length in _lengths(descriptor, size_bytes):
                pieces.append(Piece.of(os.pread(descriptor, length, position)))
                position += length
            return written_seal(pieces)

    def remove(self, snapshot_id: str) -> None:
        """Remove a file, if it is there."""
        self._verified.pop(snapshot_id, None)
        self._path(snapshot_id).unlink(missing_ok=True)

    def leftovers(self, until_us: int) -> list[str]:
        """Remove drafts last written before this time, and return the ids of all snapshots as old as that."""
        ids = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime_ns < until_us * 1000:
                    if path.suffix == DRAFT_SUFFIX:
                        path.unlink()
                    elif path.suffix == ARROW_SUFFIX:
                        ids.append(path.stem)
        return ids

    @contextmanager
    def _opened(self, snapshot_id: str, size_bytes: int) -> Iterator[tuple[int, str]]:
        """The file's descriptor and state: a plain file of that size, not a link to one."""
        try:
            # Not blocking: a pipe that somebody put there would wait for its writer.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._path(snapshot_id), flags)
            try:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode) or found.st_size != size_bytes:
                    raise _lost(snapshot_id, "is not what it was")
                yield descriptor, state_of(found)
            finally:
                os.close(descriptor)
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno in _OURS:
                raise Unavailable(
                    "The room has no file or memory left to read a snapshot with; try again.",
                    reason=Reason.STORE_DOWN,
                ) from error
            raise _lost(snapshot_id, "is not there or cannot be read") from None

    def _path(self, snapshot_id: str) -> Path:
        return self._folder / f"{snapshot_id}{ARROW_SUFFIX}"


def schema_of(head: memoryview) -> pa.Schema:
    """The schema in the first piece of a snapshot's file."""
    return pa.ipc.read_schema(pa.py_buffer(head[MAGIC_BYTES:]))


def _filled(descriptor: int, buffer: memoryview, position: int) -> bool:
    """Whether the file had bytes for the whole buffer, which are in it now."""
    while buffer:
        count = os.preadv(descriptor, [buffer], position)
        if count == 0:
            return False
        buffer, position = buffer[count:], position + count
    return True


def _lengths(descriptor: int, size_bytes: int) -> Iterator[int]:
    """The lengths of the pieces of a file whose bytes are known to be right."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(MAGIC_BYTES)
        messages = pa.ipc.MessageReader.open_stream(pa.PythonFile(file, "r"))
        position, before = 0, MAGIC_BYTES
        with contextlib.suppress(StopIteration):
            while True:
                message = messages.read_next_message()
                length = before + _PREFIX_BYTES + message.metadata.size + message.body.size
                yield length
                position, before = position + length, 0
    yield size_bytes - position


def _lost(snapshot_id: str, what: str) -> DataLoss:
    return DataLoss(f"The file of snapshot {snapshot_id} {what}; delete the snapshot and make it again.")
