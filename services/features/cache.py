"""Results on disk: found by what they follow from, bounded by bytes, computed once for all who ask at once.

    with cache.entry(name, names, label, first, stop) as kept:
        values = kept.rows_from(row)          # from the file, or from what another call wrote so far
        with kept.turn(look):                 # to compute the next rows; nobody else does meanwhile
            kept.add(row, open_time, values)

The folder is the whole truth: a file is there whole or not at all, its modification time says when it was
last used. Whatever the disk refuses only means that a result is not kept.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pandas as pd

from services.features.cache_file import (
    DamagedError,
    Draft,
    Entry,
    forecast_bytes,
    is_left_over,
    opened,
)
from services.features.cached import CacheFilter, CacheLabel, CacheStatus, CacheUse
from services.features.columns import Rows
from services.features.source import SeriesKey
from services.host.logs import problems

SUFFIX, DRAFT_SUFFIX = ".arrow", ".part"
LOOK_SECONDS = 0.05  # between looks of a call that waits for its turn


@dataclass(frozen=True)
class _File:
    """An entry that is whole, as the folder shows it."""

    path: Path
    label: CacheLabel
    size_bytes: int
    used_at: int


@dataclass
class _Shared:
    """A draft, the calls that are at it, and the turn to go on with it."""

    draft: Draft
    size_bytes: int
    calls_count: int
    turn: threading.Lock
    is_over: bool = False


class Cache:
    """The folder. All methods may be called from any thread; other processes may use the same folder.

    Parameters
    ----------
    folder
        None keeps nothing.
    limit_bytes
        Of all files together; a result that is larger is not kept.
    """

    def __init__(self, folder: Path | None, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._labels: dict[str, CacheLabel] = {}
        self._shared: dict[str, _Shared] = {}
        self._hits = self._misses = self._evictions = 0
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                for path in folder.glob(f"*{DRAFT_SUFFIX}"):
                    if is_left_over(path):
                        path.unlink(missing_ok=True)
            except OSError as error:
                problems.warning("Features are not cached: %s.", error.strerror)
                self._folder = None

    @contextmanager
    def entry(
        self,
        name: str,
        names: Sequence[str],
        label: CacheLabel,
        first: int,
        stop: int,
        whole: str | None = None,
    ) -> Iterator[Kept]:
        """One call's view of the entry `name`: the rows from `first` to `stop` of these features.

        An entry `whole`, when there is one, has them too.
        """
        kept = self._open(name, names, label, first, stop, whole or name)
        try:
            yield kept
        finally:
            self._leave(name, kept)

    def clear(self, which: CacheFilter, *, dry_run: bool) -> CacheUse:
        """Remove entries, or only say what would go. Who reads one reads on."""
        with self._lock:
            found = [file for file in self._files() if which.holds(file.label)]
            if not dry_run:
                for file in found:
                    self._remove(file.path)
        return CacheUse(len(found), sum(file.size_bytes for file in found))

    def status(self, which: CacheFilter) -> CacheStatus:
        """What it holds; the series that take most first."""
        with self._lock:
            found = [file for file in self._files() if which.holds(file.label)]
            counts = self._hits, self._misses, self._evictions
        of_series: dict[SeriesKey, list[int]] = {}
        for file in found:
            of_series.setdefault(file.label.key, []).append(file.size_bytes)
        uses = [(key, CacheUse(len(sizes), sum(sizes))) for key, sizes in of_series.items()]
        uses.sort(key=lambda use: (-use[1].size_bytes, use[0].venue, use[0].symbol, use[0].timeframe))
        size_bytes = sum(file.size_bytes for file in found)
        return CacheStatus(CacheUse(len(found), size_bytes), tuple(uses), self._limit_bytes, *counts)

    def count(self, *, is_hit: bool) -> None:
        """An answer came from the cache, or was computed."""
        with self._lock:
            self._hits += is_hit
            self._misses += not is_hit

    def _open(
        self, name: str, names: Sequence[str], label: CacheLabel, first: int, stop: int, whole: str
    ) -> Kept:
        with self._lock:
            if self._folder is None:
                return Kept(self, None, None)
            if (shared := self._shared.get(name)) is not None:
                shared.calls_count += 1
                return Kept(self, shared.draft, shared)
            for known in (whole, name):
                entry = self._opened(known)
                if entry is not None:
                    return Kept(self, entry, None)
            size_bytes = forecast_bytes(names, stop - first)
            try:
                if not self._make_room(size_bytes):
                    return Kept(self, None, None)
                path = self._folder / f"{name}.{uuid4().hex}{DRAFT_SUFFIX}"
                draft = Draft(path, names, label, first, stop)
            except OSError as error:
                problems.warning("Features are not cached: %s.", error.strerror)
                return Kept(self, None, None)
            shared = self._shared[name] = _Shared(draft, size_bytes, 1, threading.Lock())
            return Kept(self, draft, shared)

    def _opened(self, name: str) -> Entry | None:
        """An entry that is whole; a file that is not is removed."""
        path = self._path(name)
        entry = opened(path)
        if entry is None:
            self._remove(path)
        else:
            with suppress(OSError):
                os.utime(path)
        return entry

    def _leave(self, name: str, kept: Kept) -> None:
        shared = kept.shared
        if shared is None:
            if kept.file is not None:
                kept.file.close()
            return
        with self._lock:
            shared.calls_count -= 1
            if shared.calls_count:
                return
            self._end(shared)
            shared.draft.discard()
            shared.draft.close()

    def _end(self, shared: _Shared) -> None:
        """Nobody joins this draft any more. Under the lock."""
        shared.is_over = True
        self._shared = {name: each for name, each in self._shared.items() if each is not shared}

    def _added(self, shared: _Shared, open_time: pd.DatetimeIndex, values: Rows) -> None:
        """Write to a draft, and give it its name when it is whole."""
        draft = shared.draft
        try:
            draft.append(open_time, values)
            if draft.next_row < draft.stop:
                return
            draft.seal()
            with self._lock:
                (name,) = (name for name, each in self._shared.items() if each is shared)
                draft.publish(self._path(name))
                self._labels[f"{name}{SUFFIX}"] = draft.label
                self._end(shared)
                self._make_room(0)
        except OSError as error:
            problems.warning("Features are not cached: %s.", error.strerror)
            with self._lock:
                self._end(shared)
            draft.discard()

    def _damaged(self, kept: Kept) -> None:
        """Forget a file that is not what was written."""
        problems.warning("A cached result was damaged and is computed again.")
        with self._lock:
            if kept.shared is not None:
                self._end(kept.shared)
                kept.shared.draft.discard()
            elif kept.file is not None and self._folder is not None:
                for file in self._files():
                    if kept.file.is_at(file.path):
                        self._remove(file.path)

    def _make_room(self, size_bytes: int) -> bool:
        """Remove what was not used for longest until so much fits beside the drafts; whether it does."""
        of_drafts = sum(shared.size_bytes for shared in self._shared.values())
        allowed = self._limit_bytes - size_bytes - of_drafts
        if allowed < 0:
            return False
        files = sorted(self._files(), key=lambda file: file.used_at)
        total = sum(file.size_bytes for file in files)
        for file in files:
            if total <= allowed:
                break
            self._remove(file.path)
            self._evictions += 1
            total -= file.size_bytes
        return True

    def _files(self) -> list[_File]:
        """What the folder holds; files that say nothing of themselves are removed."""
        found: list[_File] = []
        if self._folder is None:
            return found
        for path in self._folder.glob(f"*{SUFFIX}"):
            with suppress(OSError):
                state = path.stat()
                if path.name not in self._labels:
                    entry = opened(path)
                    if entry is None:
                        self._remove(path)
                        continue
                    self._labels[path.name] = entry.label
                    entry.close()
                found.append(_File(path, self._labels[path.name], state.st_size, state.st_mtime_ns))
        return found

    def _remove(self, path: Path) -> None:
        self._labels.pop(path.name, None)
        with suppress(OSError):
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{name}{SUFFIX}"


class Kept:
    """One call's view of an entry. Its methods belong to one call; others have their own."""

    def __init__(self, cache: Cache, file: Entry | None, shared: _Shared | None) -> None:
        self._cache = cache
        self._is_read = True
        self.file = file
        self.shared = shared

    def rows_from(self, row: int) -> Rows | None:
        """The values from the row `row` on, as far as they are there; None when they are to be computed."""
        if self.file is None or not self._is_read:
            return None
        try:
            return self.file.rows_from(row)
        except DamagedError:
            self._is_read = False
            self._cache._damaged(self)
            return None

    @contextmanager
    def turn(self, look: Callable[[], None]) -> Iterator[None]:
        """The turn to go on with the entry: nobody else who shares it computes meanwhile. `look` is called
        while this waits."""
        if self.shared is None or not self._is_read or self.shared.is_over:
            yield
            return
        turn = self.shared.turn
        while not turn.acquire(timeout=LOOK_SECONDS):
            look()
        try:
            yield
        finally:
            turn.release()

    def add(self, row: int, open_time: pd.DatetimeIndex, values: Rows) -> None:
        """Keep the rows from `row` on, computed in this call's turn."""
        shared = self.shared
        if shared is not None and self._is_read and not shared.is_over and shared.draft.next_row == row:
            self._cache._added(shared, open_time, values)
