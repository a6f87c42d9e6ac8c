"""Memory that one chunk after the other takes anew: kept by the process between them.

The C library gives what a chunk's intermediates lay in back to the system when they are dropped, and a thread
other than the first does always; the next chunk then pays for every page again, a third of its time and more.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

KEPT_BYTES = 256 * 1024**2
# Larger ones, as what a pass of many features fills, are given back when they are dropped.
KEPT_ARRAY_BYTES = 32 * 1024**2

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h of the GNU C library


def keep_between_chunks() -> None:
    """To be called while the process has one thread; does nothing where the C library has no such choice."""
    with suppress(AttributeError):
        choose = ctypes.CDLL(None).mallopt
        choose(_TRIM_THRESHOLD, KEPT_BYTES)
        choose(_MMAP_THRESHOLD, KEPT_ARRAY_BYTES)
        choose(_ARENA_MAX, 1)
