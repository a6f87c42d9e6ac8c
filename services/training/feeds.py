"""Feeds: stored events on their way to the watchers. A watcher never waits on a job, nor a job on a watcher.

The newest events of a watched job stay in memory; who is further behind reads the store. A watcher holds no
thread while it waits, and what it has not taken waits for it in the store alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import ParamSpec, Protocol, TypeVar

from services.training.jobs import Event

RECENT_COUNT = 256
READ_COUNT = 500

P = ParamSpec("P")
T = TypeVar("T")
ReadEvents = Callable[[str, int, int], list[Event]]


class OnPool(Protocol):
    """Runs blocking work away from the loop."""

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...


class Feed:
    """The newest events of one job, and a way to wait for more. On the server's loop only."""

    def __init__(self) -> None:
        self.followers_count = 0
        self.changed = asyncio.Event()
        self._recent: deque[Event] = deque(maxlen=RECENT_COUNT)

    def add(self, events: Sequence[Event]) -> None:
        """Remember events and wake the watchers."""
        for event in events:
            expected = self._recent[-1].sequence + 1 if self._recent else event.sequence
            if event.sequence != expected:
                self._recent.clear()  # one thread overtook another: the store knows the order
            if event.sequence >= expected:
                self._recent.append(event)
        self.changed.set()
        self.changed = asyncio.Event()

    def after(self, sequence: int) -> list[Event] | None:
        """The events after a number; None when only the store knows."""
        if not self._recent or self._recent[0].sequence > sequence + 1:
            return None
        return [event for event in self._recent if event.sequence > sequence]


class Feeds:
    """The feeds of the jobs that are being watched."""

    def __init__(self, read_events: ReadEvents, heartbeat_seconds: float) -> None:
        self._read_events = read_events
        self._heartbeat_seconds = heartbeat_seconds
        self._feeds: dict[str, Feed] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop on which the watchers run."""
        self._loop = loop

    def publish(self, events: Sequence[Event]) -> None:
        """Pass on events that are stored; from any thread."""
        if self._loop is not None and events:
            with suppress(RuntimeError):  # the loop is closed: nobody watches any more
                self._loop.call_soon_threadsafe(self._add, events)

    async def follow(self, job_id: str, sequence: int, pool: OnPool) -> AsyncIterator[Event | None]:
        """The events of a job after a number, up to its last; None when nothing happened for a while."""
        with self._followed(job_id) as feed:
            must_read = False
            while True:
                changed = feed.changed
                events = None if must_read else feed.after(sequence)
                if events is None:
                    events = await pool.run(self._read_events, job_id, sequence, READ_COUNT)
                must_read = False
                for event in events:
                    sequence = event.sequence
                    yield event
                    if event.is_last:
                        return
                if events:
                    continue
                try:
                    await asyncio.wait_for(changed.wait(), self._heartbeat_seconds)
                except TimeoutError:
                    must_read = True  # another server may have the job
                    yield None

    def _add(self, events: Sequence[Event]) -> None:
        feed = self._feeds.get(events[0].job_id)
        if feed is not None:
            feed.add(events)

    @contextmanager
    def _followed(self, job_id: str) -> Iterator[Feed]:
        feed = self._feeds.setdefault(job_id, Feed())
        feed.followers_count += 1
        try:
            yield feed
        finally:
            feed.followers_count -= 1
            if not feed.followers_count:
                del self._feeds[job_id]
