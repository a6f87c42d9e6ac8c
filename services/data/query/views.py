"""Views of a series as it was known at one time: its pieces in order, from the first or from the last.

A piece is a block as it lies, or rows cut out of one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from services.data.blocks import BLOCK_ROWS, Block, Head, batch_of, decode
from services.data.records import SeriesState
from services.data.revisions import Rows, Times, empty_rows, forming, joined, known_at, revisions_at
from services.data.series import Kind, Series

PAGE_BLOCKS = 64  # 22 MB
_LAST_ROWS = 8 * BLOCK_ROWS
BEGINNING_US = -(2**62)
END_US = 2**62

Piece = Block | Rows


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

    def find_all(self, venue: str, symbol: str) -> Mapping[Series, SeriesState]:
        """The stored series of an instrument, all as they were at one moment."""

    def remembered(self, venue: str, symbol: str) -> Mapping[Series, SeriesState] | None:
        """The same where that takes no time, else None."""

    def blocks(self, state: SeriesState, start_us: int, end_us: int, count: int) -> list[Block]:
        """The first `count` blocks that may have rows in [start, end), by time."""

    def last_blocks(self, state: SeriesState, start_us: int, end_us: int, count: int) -> list[Block]:
        """The last `count` of them, the last one first."""

    def sure_count(self, state: SeriesState, start_us: int, end_us: int, as_of_us: int) -> int:
        """How many rows lie in blocks that are in the range whole, and were known and closed then."""


class Source(Protocol):
    """What gives the pieces of a series."""

    def pieces(self, selection: Selection) -> Iterator[Piece]:
        """The selected rows, by time. The selection's own `as_of_us` plays no part here."""

    def sure_count(self, selection: Selection) -> int:
        """So many rows at least are selected, as far as that is known without reading them."""


@dataclass(frozen=True)
class View:
    """What is stored of a series, as it was known at `as_of_us`.

    Attributes
    ----------
    check
        Called between blocks; raises when the reading has to end.
    closed_us
        The length of a bar, to leave out bars captured before their close; 0 to give them too.
    """

    shelf: Shelf
    kind: Kind
    state: SeriesState
    as_of_us: int
    check: Callable[[], None]
    closed_us: int = 0

    def pieces(self, selection: Selection) -> Iterator[Piece]:
        """As `Source` says: whole blocks as they lie, the others cut."""
        if selection.newest_first and selection.limit:
            if selection.limit <= _LAST_ROWS:
                yield from self._last_pieces(selection)
                return
            selection = self._from_its_start(selection)
        left = selection.limit or END_US
        for block in self._blocks(selection, left // BLOCK_ROWS + 2):
            piece = self._piece(block, selection)
            if (count := _count(piece)) > left:
                piece, count = rows_of(self.kind, piece).take(slice(0, left)), left
            if count:
                left -= count
                yield piece
            if not left:
                return

    def sure_count(self, selection: Selection) -> int:
        """As `Source` says."""
        found = self.shelf.sure_count(self.state, selection.start_us, selection.end_us, self.as_of_us)
        return min(found, selection.limit or END_US)

    def rows(self, start_us: int, end_us: int) -> Rows:
        """The rows in [start, end), all at once."""
        found = [rows_of(self.kind, piece) for piece in self.pieces(Selection(start_us, end_us))]
        return joined(found or [empty_rows(len(self.kind.columns))])

    def revisions(self, start_us: int, end_us: int) -> Iterator[Rows]:
        """What is known of each time in [start, end), block by block, marks included."""
        for block in self._blocks(Selection(start_us, end_us), PAGE_BLOCKS):
            rows = revisions_at(decode(self.kind, block), self.as_of_us)
            yield rows.take(slice(*np.searchsorted(rows.times, [start_us, end_us])))

    def has_row_from(self, time_us: int) -> bool:
        """Whether a row at this time or later is known."""
        selection = Selection(time_us)
        return any(len(self._cut(block, selection)) for block in self._blocks(selection, 1))

    def had_been_stored(self) -> bool:
        """Whether anything had been captured at `as_of_us`, be it a bar that had not closed."""
        if self.state.newest_capture_us <= self.as_of_us:
            return True
        for block in self._blocks(Selection(), 1):
            stored = decode(self.kind, block)
            for rows in (stored.current, stored.history):
                if rows.captured.min(initial=END_US) <= self.as_of_us:
                    return True
        return False

    def rows_from_before(self, time_us: int, count: int, end_us: int = END_US) -> Rows:
        """The rows until `end_us`, from the last `count` ones before a time on, all at once."""
        found, left = [empty_rows(len(self.kind.columns))], count
        for rows in self.cut_from_the_end(Selection(end_us=end_us), 1):
            earlier = int(np.searchsorted(rows.times, time_us))
            found.append(rows.take(slice(max(0, earlier - left), None)))
            left -= min(left, earlier)
            if not left:
                break
        return joined(found[::-1])

    def cut_from_the_end(self, selection: Selection, count: int) -> Iterator[Rows]:
        """The rows of the range block by block, the last block first; `count` blocks to begin with."""
        for block in self._blocks_from_the_end(selection, count):
            if len(rows := self._cut(block, selection)):
                yield rows

    @property
    def _horizon_us(self) -> int:
        """Bars that open at this time or later had not closed at `as_of_us`."""
        return self.as_of_us - self.closed_us + 1 if self.closed_us else END_US

    def _blocks(self, selection: Selection, count: int) -> Iterator[Block]:
        start_us, count = selection.start_us, min(PAGE_BLOCKS, count)
        end_us = min(selection.end_us, self._horizon_us)
        while start_us < end_us:
            page = self.shelf.blocks(self.state, start_us, end_us, count)
            for block in page:
                self.check()
                yield block
            if len(page) < count:
                return
            start_us, count = page[-1].head.last_time_us + 1, PAGE_BLOCKS

    def _blocks_from_the_end(self, selection: Selection, count: int) -> Iterator[Block]:
        """The blocks that may have rows in the range, the last one first; `count` of them to begin with."""
        end_us, count = min(selection.end_us, self._horizon_us), min(PAGE_BLOCKS, count)
        while selection.start_us < end_us:
            page = self.shelf.last_blocks(self.state, selection.start_us, end_us, count)
            for block in page:
                self.check()
                yield block
            if len(page) < count:
                return
            end_us, count = page[-1].head.first_time_us, PAGE_BLOCKS

    def _last_pieces(self, selection: Selection) -> list[Piece]:
        """The pieces of few rows at the end: what was read to find where they begin is given."""
        found: list[Piece] = []
        left = selection.limit
        for block in self._blocks_from_the_end(selection, left // BLOCK_ROWS + 2):
            piece = self._piece(block, selection)
            if (count := _count(piece)) > left:
                piece, count = rows_of(self.kind, piece).take(slice(-left, None)), left
            if count:
                left -= count
                found.append(piece)
            if not left:
                break
        return found[::-1]

    def _from_its_start(self, selection: Selection) -> Selection:
        """The selection, its newest `limit` rows turned into a start time."""
        left = selection.limit
        for block in self._blocks_from_the_end(selection, PAGE_BLOCKS):
            piece = self._piece(block, selection)
            if (count := _count(piece)) >= left:
                return dataclasses.replace(selection, start_us=int(rows_of(self.kind, piece).times[-left]))
            left -= count
        return selection

    def _piece(self, block: Block, selection: Selection) -> Piece:
        return block if self._is_whole(block.head, selection) else self._cut(block, selection)

    def _is_whole(self, head: Head, selection: Selection) -> bool:
        """Whether every row of the block is in the range and is known as it lies."""
        is_inside = head.first_time_us >= selection.start_us and head.last_time_us < selection.end_us
        is_closed = not (self.closed_us and head.forming_count)
        return is_inside and is_closed and not head.missing_count and head.newest_capture_us <= self.as_of_us

    def _cut(self, block: Block, selection: Selection) -> Rows:
        """The block's rows in the range that were known."""
        rows = known_at(decode(self.kind, block), self.as_of_us)
        start, end = np.searchsorted(rows.times, [selection.start_us, selection.end_us])
        rows = rows.take(slice(start, end))
        if self.closed_us and (open_bars := forming(rows, self.closed_us)).any():
            rows = rows.take(~open_bars)
        return rows


def paged(pieces: Iterable[Piece], count: int = PAGE_BLOCKS) -> Iterator[list[Piece]]:
    """So many pieces at a time."""
    page: list[Piece] = []
    for piece in pieces:
        page.append(piece)
        if len(page) == count:
            yield page
            page = []
    if page:
        yield page


def rows_of(kind: Kind, piece: Piece) -> Rows:
    """A piece as rows."""
    return decode(kind, piece).current if isinstance(piece, Block) else piece


def _count(piece: Piece) -> int:
    return piece.head.row_count if isinstance(piece, Block) else len(piece)


def batch_of_piece(kind: Kind, piece: Piece) -> Any:
    """A piece as a record batch."""
    if isinstance(piece, Block):
        return pa.ipc.read_record_batch(pa.py_buffer(piece.batch), kind.schema)
    return batch_of(kind, piece)


def times_of(batch: Any) -> Times:
    """The times of a record batch."""
    times: Times = batch.column(0).view(pa.int64()).to_numpy()
    return times
