"""The newest vectors in memory, so that the vector of one bar is computed once.

A vector is kept with the state of the frame it was computed from, a word of the data room that is another
one as soon as anything was stored there. The state is asked for at each call: no vector is given by its age.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from services.features.answer import Latest
from services.features.config import FeatureConfig
from services.features.plan import Plan
from services.features.source import SeriesKey

COUNT_MAX = 4096
# Of a feature: its name, value, row, look back, and what is sent of it; of a character of its config's text.
_FEATURE_BYTES, _CHARACTER_BYTES = 512, 4


@dataclass(frozen=True)
class Question:
    """Whose newest bar, with what reference beside it, which features, and as known when; None is now."""

    key: SeriesKey
    reference: SeriesKey | None
    config: FeatureConfig
    as_of: datetime | None


@dataclass(frozen=True, eq=False)
class Planned:
    """What a config means on so many bars of which these columns have values."""

    plan: Plan
    config_digest: str
    bars: int
    columns: frozenset[str]


@dataclass(frozen=True, eq=False)
class Kept:
    """A vector, the state of what it was computed from, and what helps to compute the next one: how many bars
    are read and what is done with them."""

    latest: Latest
    state: str
    rows: int
    planned: Planned


class Vectors:
    """The vectors that were asked for last, one a question, up to a number of bytes. May be called from any
    thread."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._kept: OrderedDict[Question, tuple[Kept, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Of all that is kept, as it is reckoned."""
        return self._bytes

    def find(self, question: Question) -> Kept | None:
        """The last vector of a question, of whatever state."""
        with self._lock:
            found = self._kept.get(question)
            if found is None:
                return None
            self._kept.move_to_end(question)
            return found[0]

    def keep(self, question: Question, kept: Kept) -> None:
        """Keep a vector in place of the question's last one; those that nobody asked for longest go."""
        size_bytes = _size_bytes(question, kept)
        with self._lock:
            self._drop(question)
            if size_bytes > self._bytes_max:
                return
            self._kept[question] = kept, size_bytes
            self._bytes += size_bytes
            while self._bytes > self._bytes_max or len(self._kept) > COUNT_MAX:
                self._drop(next(iter(self._kept)))

    def _drop(self, question: Question) -> None:
        if (found := self._kept.pop(question, None)) is not None:
            self._bytes -= found[1]


def _size_bytes(question: Question, kept: Kept) -> int:
    features = len(kept.latest.names) + len(kept.latest.omitted)
    return _FEATURE_BYTES * (1 + features) + _CHARACTER_BYTES * len(repr(question))
