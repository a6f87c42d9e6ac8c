"""Work cut into pieces, so that a call that nobody waits for ends soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator

PIECE_VALUES = 2**20  # sorted in a tenth of a second


def spans(count: int, values_each: int, look: Callable[[], None]) -> Iterator[slice]:
    """Cut so many things, of so many values each, into pieces of at most `PIECE_VALUES`; a larger thing is a
    piece of its own.

    Parameters
    ----------
    look
        Called before each piece; what it raises ends the work.
    """
    size = max(1, PIECE_VALUES // max(1, values_each))
    for start in range(0, count, size):
        look()
        yield slice(start, min(start + size, count))
