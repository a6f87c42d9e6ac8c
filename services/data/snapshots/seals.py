"""Seals: what tells at the speed of memory that a file's pieces are what they were.

A snapshot's name is the SHA-256 of its file, 2 GB/s. Its seal is the length and the XXH3-128, 25 GB/s, of
each piece of the file from when it was written: a piece is known to be right as soon as it is read, the first
after a millisecond, and no caller waits for the rest or gets a byte that nobody looked at.

A seal finds every accident, and not somebody who makes other bytes with the same XXH3. Whoever changes a file
moves its times, one of which (ctime) only the kernel sets, by steps of milliseconds: while a file's state is
the one in which its SHA-256 was found right, its seal is enough. Who may write to the folder and to the
database is not found out: that is the room itself.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import xxhash

_PIECE = struct.Struct("<Q16s")


@dataclass(frozen=True)
class Piece:
    """A stretch of a file: how long it is, and its XXH3-128."""

    size_bytes: int
    digest: bytes

    @classmethod
    def of(cls, data: Any) -> Piece:
        """The piece that these bytes are."""
        return cls(len(data), xxhash.xxh3_128_digest(data))


def written_seal(pieces: Iterable[Piece]) -> bytes:
    """A seal as it is stored."""
    return b"".join(_PIECE.pack(piece.size_bytes, piece.digest) for piece in pieces)


def read_seal(raw: bytes) -> list[Piece]:
    """A seal's pieces, in the order in which they lie in the file: what stands before the first record batch,
    each record batch, what follows the last."""
    return [Piece(*values) for values in _PIECE.iter_unpack(raw)]


def state_of(found: os.stat_result) -> str:
    """What is another once a file was written to or replaced: its number, size and both times. Without the
    device, whose number is given anew at a reboot."""
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
