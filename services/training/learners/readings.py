"""Readings that are kept while a search fits other parameters on the same rows again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from services.training.learners.fitting import Reading

MOST_BYTES = 1 << 30


class Readings(threading.local):
    """Readings by what they are of; each thread has its own, for no library says that two may look at one.

    What does not fit beside those that are kept is read anew each time: rows come in turns, and making room
    for the next by letting go of the oldest would always let go of the one that is wanted next.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: dict[Hashable, Reading] = {}

    @property
    def size_bytes(self) -> int:
        """Of all that are kept."""
        return sum(reading.size_bytes for reading in self._kept.values())

    def get(self, key: Hashable, read: Callable[[], Reading]) -> Reading:
        """The reading of this key, read now if it is not kept."""
        found = self._kept.get(key)
        if found is None:
            found = read()
            if self.size_bytes + found.size_bytes <= self._most_bytes:
                self._kept[key] = found
        return found

    def clear(self) -> None:
        """Let go of all."""
        self._kept.clear()
