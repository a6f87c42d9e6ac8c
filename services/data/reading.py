"""Reading series: which blocks a query touches, which of them travel as they lie, and aligned frames of them.

A stream reads page by page, each in a transaction of its own, so that a slow reader holds nothing. What was
captured after the stream began is left out by its capture time: the pages together are one state of a series.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from marketml.rpc.frames import CHUNK_BYTES_MAX, END_OF_STREAM
from services.data.alignment import FrameSpec, Known, aligned, newest_known
from services.data.blocks import BLOCK_ROWS, Block, Head, batch_of, decode
from services.data.records import SeriesState, no_series
from services.data.revisions import Rows, Times, empty_rows, forming, joined, known_at
from services.data.series import FUNDING_RATES, OPEN_INTEREST, Kind, Series

PAGE_BLOCKS = 64  # 22 MB
BEGINNING_US = -(2**62)
END_US = 2**62


@dataclass(frozen=True)
class Selection:
    """Which rows of a series: those in [start_us, end_us), at most `limit` of them (0 is all), counted from
    the end with `newest_first`; as they were known at `as_of_us` (None is now)."""

    start_us: int = BEGINNING_US
    end_us: int = END_US
    limit: int = 0
    newest_first: bool = False
    as_of_us: int | None = None


class Shelf(Protocol):
    """Where the blocks of series lie."""

    def find(self, series: Series) -> SeriesState | None:
        """The stored series, None when there is none."""

    def blocks(self, state: SeriesState, start_us: int, end_us: int, count: int) -> list[Block]:
        """The first `count` blocks that may have rows in [start, end), by time."""

    def last_blocks(self, state: SeriesState, start_us: int, end_us: int, count: int) -> list[Block]:
        """The last `count` of them, the last one first."""


class Reader:
    """Reads what a store holds. `open_interest_lag_us` is how long after its observation it is known."""

    def __init__(self, store: Shelf, open_interest_lag_us: int = 0) -> None:
        self._store = store
        self._lag_us = open_interest_lag_us

    def streams(self, series: Series, selection: Selection) -> Iterator[list[Any]]:
        """The rows as Arrow IPC streams of at most 1 MiB, each in parts to be concatenated; at least one.

        Raises
        ------
        NotFound
            There is no such series.
        """
        state = self._found(series)
        as_of_us = self._as_of(selection.as_of_us, state)
        selection = self._from_its_start(series, state, selection, as_of_us)
        schema = series.kind.schema.with_metadata(series.metadata()).serialize()
        parts: list[Any] = [schema]
        size = empty_size = len(schema) + len(END_OF_STREAM)
        for message in self._messages(series.kind, state, selection, as_of_us):
            if size + len(message) > CHUNK_BYTES_MAX:
                yield [*parts, END_OF_STREAM]
                parts, size = [schema], empty_size
            parts.append(message)
            size += len(message)
        yield [*parts, END_OF_STREAM]

    def resolved(self, spec: FrameSpec) -> FrameSpec:
        """The spec with `as_of_us` filled in.

        Raises
        ------
        NotFound
            There are no such candles.
        """
        states = [self._found(spec.series)]
        for kind in (FUNDING_RATES, OPEN_INTEREST):
            if (state := self._store.find(spec.series.sibling(kind))) is not None:
                states.append(state)
        return dataclasses.replace(spec, as_of_us=self._as_of(spec.as_of_us, *states))

    def frame(self, spec: FrameSpec, limit: int = 0, *, newest_first: bool = False) -> Iterator[pa.Table]:
        """The aligned frame of a resolved spec, in pieces; none when it has no rows."""
        assert spec.as_of_us is not None
        series, state = spec.series, self._found(spec.series)
        last_end_us = spec.as_of_us - series.step_us + 1  # bars that open later had not closed
        selection = Selection(
            BEGINNING_US if spec.start_us is None else spec.start_us,
            last_end_us if spec.end_us is None else min(spec.end_us, last_end_us),
            limit,
            newest_first,
        )
        selection = self._from_its_start(series, state, selection, spec.as_of_us, series.step_us)
        others = {kind: self._store.find(series.sibling(kind)) for kind in (FUNDING_RATES, OPEN_INTEREST)}
        for candles in self._closed_pages(series, state, selection, spec.as_of_us):
            closes = candles.times + series.step_us
            funding = self._known(
                FUNDING_RATES, others[FUNDING_RATES], closes, spec.funding_max_age_us, spec.as_of_us
            )
            interest = self._known(
                OPEN_INTEREST,
                others[OPEN_INTEREST],
                closes,
                spec.open_interest_max_age_us,
                spec.as_of_us,
                self._lag_us,
            )
            yield aligned(series, candles, funding, interest)

    def _found(self, series: Series) -> SeriesState:
        state = self._store.find(series)
        if state is None:
            raise no_series(series)
        return state

    def _as_of(self, asked_us: int | None, *states: SeriesState) -> int:
        """As asked, else the newest capture: all that is known now. Not the clock's now, which a call that is
        being committed may have read already: the same question would have another answer later."""
        return max(state.newest_capture_us for state in states) if asked_us is None else asked_us

    def _blocks(self, state: SeriesState, start_us: int, end_us: int) -> Iterator[Block]:
        while start_us < end_us:
            page = self._store.blocks(state, start_us, end_us, PAGE_BLOCKS)
            yield from page
            if len(page) < PAGE_BLOCKS:
                return
            start_us = page[-1].head.last_time_us + 1

    def _messages(
        self, kind: Kind, state: SeriesState, selection: Selection, as_of_us: int
    ) -> Iterator[bytes]:
        """Record batches: whole blocks as they lie, the others cut."""
        left = selection.limit or END_US
        for block in self._blocks(state, selection.start_us, selection.end_us):
            if _is_whole(block.head, selection, as_of_us) and block.head.row_count <= left:
                left -= block.head.row_count
                yield block.batch
            else:
                rows = _cut(kind, block, selection, as_of_us).take(slice(0, left))
                left -= len(rows)
                if len(rows):
                    yield batch_of(kind, rows).serialize()
            if not left:
                return

    def _closed_pages(
        self, series: Series, state: SeriesState, selection: Selection, as_of_us: int
    ) -> Iterator[Rows]:
        """Bars known to be closed, a page of blocks at a time."""
        left = selection.limit or END_US
        gathered: list[Rows] = []
        for block in self._blocks(state, selection.start_us, selection.end_us):
            rows = _cut(series.kind, block, selection, as_of_us, series.step_us).take(slice(0, left))
            left -= len(rows)
            gathered.append(rows)
            if len(gathered) == PAGE_BLOCKS or not left:
                page, gathered = joined(gathered), []
                if len(page):
                    yield page
            if not left:
                return
        if gathered and len(page := joined(gathered)):
            yield page

    def _known(
        self,
        kind: Kind,
        state: SeriesState | None,
        closes: Times,
        max_age_us: int,
        as_of_us: int,
        lag_us: int = 0,
    ) -> Known:
        found = [empty_rows(len(kind.columns))]
        if state is not None:
            around = Selection(int(closes[0]) - max_age_us, int(closes[-1]) - lag_us + 1)
            for block in self._blocks(state, around.start_us, around.end_us):
                found.append(_cut(kind, block, around, as_of_us))
        return newest_known(closes, joined(found), max_age_us, lag_us)

    def _from_its_start(
        self, series: Series, state: SeriesState, selection: Selection, as_of_us: int, closed_us: int = 0
    ) -> Selection:
        """The selection, its newest `limit` rows turned into a start time."""
        if not (selection.newest_first and selection.limit):
            return selection
        left, end_us = selection.limit, selection.end_us
        while selection.start_us < end_us:
            count = min(PAGE_BLOCKS, left // BLOCK_ROWS + 2)
            page = self._store.last_blocks(state, selection.start_us, end_us, count)
            for block in page:
                is_whole = _is_whole(block.head, selection, as_of_us)
                if is_whole and not (closed_us and block.head.forming_count) and block.head.row_count < left:
                    left -= block.head.row_count
                    continue
                rows = _cut(series.kind, block, selection, as_of_us, closed_us)
                if len(rows) >= left:
                    return dataclasses.replace(selection, start_us=int(rows.times[-left]))
                left -= len(rows)
            if len(page) < count:
                break
            end_us = page[-1].head.first_time_us
        return selection


def _is_whole(head: Head, selection: Selection, as_of_us: int) -> bool:
    """Whether every row of the block is in the range and is known as it lies."""
    is_inside = head.first_time_us >= selection.start_us and head.last_time_us < selection.end_us
    return is_inside and head.newest_capture_us <= as_of_us


def _cut(kind: Kind, block: Block, selection: Selection, as_of_us: int, closed_us: int = 0) -> Rows:
    """The block's rows in the range that were known; with `closed_us` only bars closed when captured."""
    rows = known_at(decode(kind, block), as_of_us)
    start, end = np.searchsorted(rows.times, [selection.start_us, selection.end_us])
    rows = rows.take(slice(start, end))
    if closed_us and (open_bars := forming(rows, closed_us)).any():
        rows = rows.take(~open_bars)
    return rows
