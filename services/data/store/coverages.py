"""What is stored of series, in numbers: sums over the heads of their blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Select, func, select, tuple_

from services.data.records import Coverage
from services.data.series import KINDS, Kind, Series
from services.data.store.tables import BLOCKS, HEAD_COLUMNS, SERIES, SERIES_KEY


def totals(
    *, venue: str, symbol: str, kind: Kind | None, after: Sequence[Any] | None, count: int
) -> Select[Any]:
    """Series by venue, symbol, kind and timeframe, after the key `after`, with their sums."""
    key = [SERIES.c[name] for name in SERIES_KEY]
    page = select(SERIES).order_by(*key).limit(count)
    if venue:
        page = page.where(SERIES.c.venue == venue)
    if symbol:
        page = page.where(SERIES.c.symbol == symbol)
    if kind is not None:
        page = page.where(SERIES.c.kind == kind.number)
    if after is not None:
        page = page.where(tuple_(*key) > tuple_(*after))
    mine = page.subquery()
    return (
        select(
            *mine.c,
            func.coalesce(func.sum(BLOCKS.c.row_count), 0),
            func.min(BLOCKS.c.first_time_us),
            func.max(BLOCKS.c.last_time_us),
            func.coalesce(func.sum(BLOCKS.c.revised_count), 0),
            func.coalesce(func.sum(BLOCKS.c.missing_count), 0),
        )
        .join_from(mine, BLOCKS, BLOCKS.c.series_id == mine.c.id, isouter=True)
        .group_by(*mine.c)
        .order_by(*(mine.c[name] for name in SERIES_KEY))
    )


def coverage_of(row: Any, end_of: Callable[[int, Kind, bool], int | None]) -> Coverage:
    """A row of `totals` as what it means. `end_of` finds the first or last time that is no mark."""
    rows_count, first_us, last_us, revised_count, marked_count = row[-5:]
    kind = KINDS[row.kind]
    if marked_count:
        first_us, last_us = (end_of(row.id, kind, is_last) for is_last in (False, True))
    return Coverage(
        Series(kind, row.venue, row.symbol, row.timeframe),
        int(rows_count - marked_count),
        first_us,
        last_us,
        int(revised_count),
        row.newest_capture_us,
        row.source,
        int(marked_count),
    )


def end_block(series_id: int, is_last: bool) -> Select[Any]:
    """The head of a series' first or last block that has rows that are no marks."""
    order = BLOCKS.c.last_time_us
    mine = select(BLOCKS.c.id, *HEAD_COLUMNS).where(BLOCKS.c.series_id == series_id)
    with_rows = mine.where(BLOCKS.c.row_count > BLOCKS.c.missing_count)
    return with_rows.order_by(order.desc() if is_last else order).limit(1)
