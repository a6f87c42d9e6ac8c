"""Models in memory: those that an alias points at stay, others as long as there is room.

A call asks once who answers and keeps that object to its end, so a switch never mixes two versions in one
answer.
"""

from __future__ import annotations

import statistics
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from services.registry.models import Alias, Model
from services.registry.predictor import Predictor, Rows

DURATIONS_KEPT = 512
SPARE_MAX = 1_000  # models that no alias points at

Key = tuple[str, int]


@dataclass(frozen=True)
class Usage:
    """What a loaded model has answered."""

    call_count: int
    row_count: int
    median_seconds: float | None
    last_time: datetime | None


class LoadedModel:
    """A version ready to answer. `row_seconds` is what one row took when it was warmed up."""

    def __init__(self, model: Model, predictor: Predictor, row_seconds: float) -> None:
        self.model = model
        self.predictor = predictor
        self.row_seconds = row_seconds
        self._lock = threading.Lock()
        self._calls = self._rows = 0
        self._last_time: datetime | None = None
        self._durations: deque[float] = deque(maxlen=DURATIONS_KEPT)

    @property
    def key(self) -> Key:
        return self.model.model_name, self.model.version

    def answer(self, rows: Rows, timer: Callable[[], float], now: Callable[[], datetime]) -> Rows:
        """Class probabilities, counted."""
        started = timer()
        probabilities = self.predictor.predict(rows)
        seconds = timer() - started
        with self._lock:
            self._calls += 1
            self._rows += rows.shape[0]
            self._durations.append(seconds)
            self._last_time = now()
        return probabilities

    def usage(self) -> Usage:
        """What it has answered since it was loaded."""
        with self._lock:
            median = statistics.median(self._durations) if self._durations else None
            return Usage(self._calls, self._rows, median, self._last_time)


class Memory:
    """The loaded models of one process, from any thread."""

    def __init__(self, spare_bytes: int) -> None:
        self._spare_bytes = spare_bytes
        self._lock = threading.Lock()
        self._pointing: dict[tuple[str, str], tuple[int, LoadedModel]] = {}  # alias: its switch, who answers
        self._loaded: OrderedDict[Key, LoadedModel] = OrderedDict()  # longest unused first
        self._loading: dict[Key, threading.Lock] = {}

    def of_alias(self, model_name: str, alias: str) -> LoadedModel | None:
        """Who answers under an alias, when it is in memory."""
        found = self._pointing.get((model_name, alias))  # one look-up: no lock on the way of every prediction
        return found[1] if found is not None else None

    def of_version(self, model_name: str, version: int) -> LoadedModel | None:
        """A version, when it is in memory."""
        with self._lock:
            return self._touched((model_name, version))

    def obtain(self, model: Model, load: Callable[[Model], LoadedModel]) -> LoadedModel:
        """A version, loaded now unless it is in memory; whoever asks meanwhile waits for that one loading."""
        key = (model.model_name, model.version)
        with self._lock:
            found = self._touched(key)
            if found is not None:
                return found
            turn = self._loading.setdefault(key, threading.Lock())
        try:
            with turn:
                with self._lock:
                    found = self._touched(key)
                if found is None:
                    found = load(model)
                    with self._lock:
                        self._loaded[key] = found
                        self._make_room()
                return found
        finally:
            with self._lock:
                self._loading.pop(key, None)

    def point(self, alias: Alias, loaded: LoadedModel) -> None:
        """An alias has switched. Switches that arrive late, after a newer one, change nothing."""
        key = (alias.model_name, alias.alias)
        with self._lock:
            before = self._pointing.get(key)
            if before is None or before[0] < alias.switch:
                self._pointing[key] = (alias.switch, loaded)
                self._loaded[loaded.key] = loaded
                self._make_room()

    def switch_of(self, model_name: str, alias: str) -> int:
        """The switch of an alias that memory knows, 0 for none."""
        found = self._pointing.get((model_name, alias))
        return 0 if found is None else found[0]

    def keys(self) -> set[Key]:
        """What is loaded."""
        with self._lock:
            return set(self._loaded)

    def has(self, model: Model) -> bool:
        """Whether a version is loaded."""
        return (model.model_name, model.version) in self.keys()

    def forget(self, keys: Iterable[Key]) -> None:
        """Versions that are no more."""
        with self._lock:
            for key in keys:
                self._loaded.pop(key, None)

    def loaded(self) -> list[tuple[LoadedModel, tuple[str, ...]]]:
        """Every loaded model with the aliases that point at it, by name and version."""
        with self._lock:
            pointing = [(alias, found.key) for (_, alias), (_, found) in self._pointing.items()]
            return [
                (found, tuple(sorted(alias for alias, at in pointing if at == key)))
                for key, found in sorted(self._loaded.items())
            ]

    def _touched(self, key: Key) -> LoadedModel | None:
        found = self._loaded.get(key)
        if found is not None:
            self._loaded.move_to_end(key)
        return found

    def _make_room(self) -> None:
        pinned = {found.key for _, found in self._pointing.values()}
        spare = [key for key in self._loaded if key not in pinned]
        used = sum(self._loaded[key].model.size_bytes for key in spare)
        for position, key in enumerate(spare):
            if used <= self._spare_bytes and len(spare) - position <= SPARE_MAX:
                return
            used -= self._loaded.pop(key).model.size_bytes
