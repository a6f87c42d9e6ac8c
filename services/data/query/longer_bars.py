"""The bars of a longer timeframe, out of the pieces of a view of shorter ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.data.blocks import BLOCK_ROWS
from services.data.query.resampling import opens, resampled_pages
from services.data.query.views import END_US, Piece, Selection, View, paged, rows_of
from services.data.revisions import Rows, joined
from services.data.series import TIMEFRAMES_US, open_after, open_before

_PAGE_BLOCKS = 16


@dataclass(frozen=True)
class LongerBars:
    """The bars of a longer timeframe that the closed bars of a view make up; see `resampling`."""

    shorter: View
    timeframe: str

    def pieces(self, selection: Selection) -> Iterator[Piece]:
        """As `Source` says; the range and the limit are of the bars given."""
        selection = self._from_its_start(self._of_shorter(selection), selection)
        left = selection.limit or END_US
        span = Selection(selection.start_us, selection.end_us)
        pages = self._pages(span)
        step_us = self.shorter.closed_us
        for bars in resampled_pages(pages, self.timeframe, step_us, self.shorter.has_row_from):
            for start in range(0, len(bars), BLOCK_ROWS):
                piece = bars.take(slice(start, start + min(left, BLOCK_ROWS)))
                left -= len(piece)
                yield piece
                if not left:
                    return

    def sure_count(self, selection: Selection) -> int:
        """As `Source` says."""
        span = dataclasses.replace(self._of_shorter(selection), limit=0)
        ratio = TIMEFRAMES_US[self.timeframe] // self.shorter.closed_us
        # The last one may not be over.
        bars_count = max(0, -(-self.shorter.sure_count(span) // ratio) - 1)
        return min(bars_count, selection.limit or END_US)

    def _pages(self, span: Selection) -> Iterator[Rows]:
        for page in paged(self.shorter.pieces(span), _PAGE_BLOCKS):
            yield joined(rows_of(self.shorter.kind, piece) for piece in page)

    def _of_shorter(self, selection: Selection) -> Selection:
        """The range of the bars that open in it, whole."""
        step_us = TIMEFRAMES_US[self.timeframe]
        return dataclasses.replace(
            selection,
            start_us=open_after(selection.start_us, self.timeframe),
            end_us=open_before(selection.end_us - 1, self.timeframe) + step_us,
        )

    def _from_its_start(self, span: Selection, selection: Selection) -> Selection:
        """The span, the newest `limit` bars in it turned into a start time."""
        if not (selection.newest_first and selection.limit):
            return span
        step_us = TIMEFRAMES_US[self.timeframe]
        slot_us = self.shorter.closed_us
        blocks_count = selection.limit * (step_us // slot_us) // BLOCK_ROWS + 2
        left, earliest_us = selection.limit, END_US
        for rows in self.shorter.cut_from_the_end(span, blocks_count):
            found = np.unique(opens(rows.times, self.timeframe))
            if earliest_us == END_US:
                last_slot_us = int(found[-1]) + step_us - slot_us
                is_over = rows.times[-1] >= last_slot_us or self.shorter.has_row_from(last_slot_us)
                earliest_us = int(found[-1]) + (1 if is_over else 0)
            found = found[found < earliest_us]
            if len(found) >= left:
                return dataclasses.replace(span, start_us=int(found[-left]))
            if len(found):
                left, earliest_us = left - len(found), int(found[0])
        return span
