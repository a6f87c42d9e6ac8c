"""What the workers of one collection have to tell, between them and whoever reads it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

from marketml.rpc.refusals import Refusal
from services.data.collection.outcomes import SeriesOutcome, SeriesProgress, Tally
from services.data.series import Series


class Board:
    """What the workers of a call have to tell: of each series the newest progress alone, so that a slow
    reader slows nobody and never finds more than a message for each series waiting."""

    def __init__(self, series: Sequence[Series]) -> None:
        self.tallies = [Tally(each) for each in series]
        self._began = [time.monotonic()] * len(series)
        self._waiting: dict[int, SeriesProgress] = {}
        self._ended: list[SeriesOutcome] = []
        self._news = asyncio.Event()
        self._is_closed = False

    def teller(self, position: int) -> Callable[[str], None]:
        self._began[position] = time.monotonic()
        return lambda text: self.put_progress(position, text)

    def put_progress(self, position: int, waiting_for: str) -> None:
        tally = self.tallies[position]
        remaining_seconds = None
        if tally.fraction:
            elapsed = time.monotonic() - self._began[position]
            remaining_seconds = elapsed * (1 - tally.fraction) / tally.fraction
        self._waiting[position] = SeriesProgress(
            tally.series, tally.report, tally.missing_count, tally.fraction, remaining_seconds, waiting_for
        )
        self._news.set()

    def put_outcome(self, position: int, failure: Refusal | None) -> None:
        tally = self.tallies[position]
        if failure is None:
            self.put_progress(position, "")
        self._ended.append(
            SeriesOutcome(
                tally.series,
                tally.report,
                tally.missing_count,
                "" if failure is None else failure.message,
                "" if failure is None else str(failure.reason),
                tuple(tally.notes),
            )
        )
        self._news.set()

    def close(self) -> None:
        self._is_closed = True
        self._news.set()

    async def parts(self) -> AsyncIterator[SeriesProgress | SeriesOutcome]:
        """Until closed: what is new, progress before outcomes."""
        while True:
            await self._news.wait()
            self._news.clear()
            is_closed = self._is_closed
            waiting, self._waiting = self._waiting, {}
            ended, self._ended = self._ended, []
            for progress in waiting.values():
                yield progress
            for outcome in ended:
                yield outcome
            if is_closed:
                return
