"""The states of series in memory, for a process that alone can change them."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from services.data.records import SeriesState
from services.data.series import Series

COUNT_MAX = 1024

States: TypeAlias = Mapping[Series, SeriesState]
_Instrument: TypeAlias = tuple[str, str]


class StateMemory:
    """What was read of instruments, each by venue and symbol, as long as nobody writes.

    From before a write begins until its outcome is known nothing is remembered of its instrument: who asks in
    between asks the database, which alone knows whether it has happened.
    """

    def __init__(self) -> None:
        self._states: OrderedDict[_Instrument, States] = OrderedDict()
        self._writers: Counter[_Instrument] = Counter()
        self._writes_count = 0
        self._lock = threading.Lock()

    def get(self, venue: str, symbol: str) -> States | None:
        """The series of an instrument, None where that is not known."""
        with self._lock:
            states = self._states.get((venue, symbol))
            if states is not None:
                self._states.move_to_end((venue, symbol))
            return states

    def begun(self) -> int:
        """Before reading: what `put` takes."""
        with self._lock:
            return self._writes_count

    def put(self, venue: str, symbol: str, states: States, begun: int) -> None:
        """Remember what was read since `begun`, unless somebody wrote in the meantime."""
        with self._lock:
            if begun == self._writes_count and not self._writers[venue, symbol]:
                self._states[venue, symbol] = states
                if len(self._states) > COUNT_MAX:
                    self._states.popitem(last=False)

    @contextmanager
    def writing(self, venue: str, symbol: str) -> Iterator[None]:
        """Around a transaction that may change series of the instrument."""
        with self._lock:
            self._writers[venue, symbol] += 1
            self._states.pop((venue, symbol), None)
        try:
            yield
        finally:
            with self._lock:
                self._writes_count += 1
                self._writers[venue, symbol] -= 1
                if not self._writers[venue, symbol]:
                    del self._writers[venue, symbol]
