"""Frames on the wire: Arrow tables cut into self-contained IPC streams of at most 1 MiB, and back.

A chunk travels as `marketml.market.v1.FrameChunk`, which is one field of a response. `pack_chunk` writes such a
response's bytes directly and `unpack_chunk` finds the Arrow bytes in them without a copy: a million candles
pass protobuf's own parser twice otherwise. What comes from outside is checked before it is touched: one bad
offset in an Arrow buffer is a segmentation fault, a declared length is an allocation.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

CHUNK_BYTES_MAX = 1024 * 1024
TIME_COLUMN = "open_time"
TIME_TYPE = pa.timestamp("us", tz="UTC")

# Tag and length of the response's field, tag and length of `arrow_ipc`, with lengths padded to three bytes: the
# Arrow bytes start 8 bytes in, so that they are aligned wherever the message is.
_HEAD_BYTES = 8
_END_OF_STREAM_BYTES = 8


@dataclass(frozen=True)
class Limits:
    """What a receiver accepts of one frame, all its chunks together."""

    rows_max: int = 50_000_000
    columns_max: int = 4_096
    bytes_max: int = 8 * 1024**3


DEFAULT_LIMITS = Limits()
