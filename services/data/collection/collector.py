"""Collecting series from exchanges: after the newest stored row, page by page, each page stored whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from marketml.rpc.refusals import InvalidArgument, Refusal, Violation
from services.data.collection.board import Board
from services.data.collection.exchange import Exchange, Exchanges, Tell
from services.data.collection.outcomes import (
    CollectionRequest,
    SeriesOutcome,
    SeriesProgress,
    Tally,
    days_text,
    grid_ceiling,
    grid_floor,
    joined_pieces,
    without_repeats,
)
from services.data.collection.policies import Ending
from services.data.collection.venues import grain_us, venue_violation
from services.data.quality import repairs
from services.data.revisions import OnConflict
from services.data.series import Series
from services.data.store import SeriesStore
from services.data.uploads import Header, Piece, Report, Upload

Run = Callable[..., Awaitable[Any]]
Check = Callable[[], None]


class Collector:
    """Pulls series from exchanges.

    Parameters
    ----------
    upload
        Begins an ingest.
    clock
        Microseconds since 1970 UTC.
    at_once_max
        Series of one call that are asked for at the same time.
    """

    def __init__(
        self,
        exchanges: Exchanges,
        store: SeriesStore,
        upload: Callable[[Header], Upload],
        clock: Callable[[], int],
        at_once_max: int = 8,
    ) -> None:
        self._exchanges = exchanges
        self._store = store
        self._upload = upload
        self._clock = clock
        self._at_once_max = at_once_max

    async def collect(
        self, request: CollectionRequest, run: Run, check: Check, field: str = "series"
    ) -> AsyncGenerator[SeriesProgress | SeriesOutcome, None]:
        """Collect several series at once: how far each is, and once for each how it ended.

        Parameters
        ----------
        run
            Calls a function on a thread that may block.
        check
            Raises when nobody waits any more.
        field
            The path of the list of series, for refusals.

        Raises
        ------
        InvalidArgument
            A series that its exchange does not have. Nothing was collected.
        Refusal
            After the outcomes of all: why the first that failed did.
        """
        prefixes = [f"{field}[{position}]." for position in range(len(request.series))]
        _refuse([venue_violation(*each) for each in zip(request.series, prefixes, strict=True)])
        board = Board(request.series)
        failures: dict[int, Refusal] = {}
        turns = asyncio.Semaphore(self._at_once_max)

        async def work(position: int) -> None:
            tally = board.tallies[position]
            failure: Refusal | None = None
            try:
                async with turns:
                    await self._collect(tally, request, board.teller(position), run, check)
            except Refusal as refusal:
                check()  # what ended the call is no outcome of a series
                failure = failures[position] = refusal
            board.put_outcome(position, failure)

        async def work_all() -> None:
            unreachable = await self._load(request.series, prefixes, board)
            async with asyncio.TaskGroup() as group:
                for position in range(len(request.series)):
                    if refusal := unreachable.get(request.series[position].venue):
                        failures[position] = refusal
                        board.put_outcome(position, refusal)
                    else:
                        group.create_task(work(position))

        task = asyncio.create_task(work_all())
        task.add_done_callback(lambda _: board.close())
        try:
            async for part in board.parts():
                yield part
            await _unpacked(task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if failures:
            position = min(failures)
            raise _of_all(failures[position], request.series[position], len(failures), len(request.series))

    async def collect_one(self, series: Series, start_us: int | None) -> AsyncGenerator[Ending, None]:
        """Collect one series: after every page what is inserted so far, and at the end why it ended early."""
        parts = self.collect(CollectionRequest((series,), start_us), asyncio.to_thread, lambda: None)
        async with aclosing(parts):
            async for part in parts:
                error = part.failure if isinstance(part, SeriesOutcome) else ""
                yield Ending(part.report.counts.inserted, error)

    def can_refetch(self, series: Series) -> bool:
        """Whether its venue is an exchange that can be asked for it."""
        return venue_violation(series, "") is None

    async def refetch(
        self, series: Series, start_us: int, end_us: int, run: Run, check: Check
    ) -> repairs.Outcome:
        """Ask for [start, end) again; what the exchange says now becomes the newest revision, whole or not.

        Raises
        ------
        InvalidArgument
            The exchange does not have the series.
        Unavailable
            It did not answer. Nothing was stored.
        """
        exchange = self._exchanges.of(series.venue)
        tell: Tell = lambda _: None  # noqa: E731
        await exchange.load([series.symbol], tell)
        _refuse([exchange.violation(series, "")])
        begin_us = grid_ceiling(series, start_us)
        end_us = min(grid_ceiling(series, end_us), self._closed_us(series))
        pieces: list[Piece] = []
        async for piece, _ in self._pages(exchange, series, begin_us, end_us, tell):
            check()
            pieces.append(without_repeats(piece)[0])
        report: Report = await run(self._stored, series, pieces, check)
        still_missing_count = 0
        if series.step_us and end_us > begin_us:
            said_count = report.received_count - report.rejected_count
            still_missing_count = (end_us - begin_us) // series.step_us - said_count
        counts = report.counts
        return repairs.Outcome(
            inserted=counts.inserted,
            revised=counts.revised,
            unchanged=counts.unchanged,
            still_missing_count=still_missing_count,
        )

    async def _load(
        self, series: Sequence[Series], prefixes: Sequence[str], board: Board
    ) -> dict[str, Refusal]:
        """Load the markets of all venues; why some cannot be asked."""
        positions: dict[str, list[int]] = {}
        for position, each in enumerate(series):
            positions.setdefault(each.venue, []).append(position)
        unreachable: dict[str, Refusal] = {}

        async def load(venue: str) -> None:
            def tell(text: str) -> None:
                for position in positions[venue]:
                    board.put_progress(position, text)

            symbols = [series[position].symbol for position in positions[venue]]
            try:
                await self._exchanges.of(venue).load(symbols, tell)
            except Refusal as refusal:
                unreachable[venue] = refusal

        async with asyncio.TaskGroup() as group:
            for venue in positions:
                group.create_task(load(venue))
        _refuse(
            [
                self._exchanges.of(each.venue).violation(each, prefix)
                for each, prefix in zip(series, prefixes, strict=True)
                if each.venue not in unreachable
            ]
        )
        return unreachable

    async def _collect(
        self, tally: Tally, request: CollectionRequest, tell: Tell, run: Run, check: Check
    ) -> None:
        series = tally.series
        exchange = self._exchanges.of(series.venue)
        end_us = self._closed_us(series)
        if request.end_us is not None:
            end_us = min(end_us, grid_ceiling(series, request.end_us))
        begin_us = await self._begin_us(exchange, tally, request.start_us, end_us, tell, run)
        tally.begin(begin_us, max(begin_us, end_us))
        tally.advance(begin_us)
        tell("")
        async for piece, cursor_us in self._pages(exchange, series, begin_us, end_us, tell):
            piece, repeats_count, differing_count = without_repeats(piece)
            if len(piece.times):
                tally.add(await run(self._stored, series, [piece], check))
            if repeats_count:
                tally.add_repeats(repeats_count)
            if differing_count:
                tally.note("Rows came twice in one answer with different values: the later ones were taken.")
            tally.advance(cursor_us)
            tell("")
        tally.advance(tally.end_us)

    async def _begin_us(
        self,
        exchange: Exchange,
        tally: Tally,
        start_us: int | None,
        end_us: int,
        tell: Tell,
        run: Run,
    ) -> int:
        """Where to begin: after the newest stored row, else at the start, else at the oldest there is."""
        series = tally.series
        newest_us: int | None = await run(self._store.newest_time_us, series)
        begin_us = None
        if newest_us is not None:
            begin_us = newest_us + (series.step_us or 1)
        elif start_us is not None:
            begin_us = grid_ceiling(series, start_us)
        kept_us = exchange.venue.kept_us(series)
        if kept_us is not None:
            kept_from_us = grid_ceiling(series, end_us - kept_us)
            if begin_us is None or begin_us < kept_from_us:
                tally.note(f"{series.venue} gives the newest {days_text(kept_us)} of these rows alone.")
            return max(begin_us or 0, kept_from_us)
        if begin_us is not None:
            return begin_us
        oldest_us = await exchange.oldest_us(series, end_us, tell)
        return end_us if oldest_us is None else grid_floor(series, oldest_us)

    async def _pages(
        self, exchange: Exchange, series: Series, begin_us: int, end_us: int, tell: Tell
    ) -> AsyncIterator[tuple[Piece, int]]:
        """What the exchange has in [begin, end), in order, and up to where everything was asked for.

        A page may be short, at either side: what it leaves out at its begin is asked for before it is handed
        on, what it leaves out at its end comes next. So nothing that the exchange has is passed over.
        """
        cursor_us, grain, window_us = begin_us, grain_us(series), exchange.venue.window_us(series)
        while cursor_us < end_us:
            until_us = min(cursor_us + window_us, end_us)
            page = await exchange.page(series, cursor_us, until_us, tell)
            piece, is_full = page.rows, len(page.rows.times) >= exchange.venue.rows_max(series.kind)
            while len(piece.times) and int(piece.times[0]) - cursor_us >= grain:
                earlier = await exchange.page(series, cursor_us, int(piece.times[0]), tell)
                if not len(earlier.rows.times):
                    break
                piece = joined_pieces(earlier.rows, piece)
            if page.exchange_us is not None and series.step_us:
                open_us = grid_floor(series, page.exchange_us)
                if open_us < until_us:  # by its clock these bars are not over, whatever ours says
                    closed_count = int((piece.times < open_us).sum())
                    piece = Piece(piece.times[:closed_count], tuple(c[:closed_count] for c in piece.columns))
                    end_us = until_us = max(open_us, cursor_us)
            if len(piece.times):
                after_us = int(piece.times[-1]) + (series.step_us or 1)
                is_short = is_full or until_us - int(piece.times[-1]) > grain
                cursor_us = min(after_us if is_short else until_us, end_us)
            elif until_us < end_us and exchange.can_look_ahead(series):
                next_us = await exchange.following_us(series, until_us, tell)
                cursor_us = end_us if next_us is None else min(end_us, grid_floor(series, next_us))
            else:
                cursor_us = until_us
            yield piece, cursor_us

    def _stored(self, series: Series, pieces: Sequence[Piece], check: Check) -> Report:
        """One transaction. Rows that cannot be true are left out and reported."""
        header = Header(series, f"ccxt {series.venue}", OnConflict.REVISE, True, None)
        upload = self._upload(header)
        try:
            for piece in pieces:
                upload.add(piece)
            return upload.finish(check)
        finally:
            upload.close()

    def _closed_us(self, series: Series) -> int:
        """The first event time that may not be collected yet."""
        return grid_floor(series, self._clock()) if series.step_us else self._clock() + 1


async def _unpacked(task: asyncio.Task[None]) -> None:
    """Await; of several errors that ended it together the first."""
    try:
        await task
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


def _refuse(found: Sequence[Violation | None]) -> None:
    if violations := [violation for violation in found if violation is not None]:
        raise InvalidArgument(violations)


def _of_all(first: Refusal, series: Series, failed_count: int, count: int) -> Refusal:
    if count > 1:
        first.message = (
            f"{failed_count} of {count} series failed, the first is {series.name}: {first.message}"
        )
    return first
