"""Statements on series and blocks, built once: SQLAlchemy takes half a millisecond to build one of them, and
a twentieth of that to run it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, bindparam, delete, func, insert, select, update

from services.data.store.tables import BLOCKS, HEAD_COLUMNS, SERIES, SERIES_KEY


def _given(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


def _within() -> list[Any]:
    """What is true of the blocks of a series that may have rows in [start, end).

    Blocks do not overlap: none begins before the end behind the first that ends there or later. Without that
    bound a page in the middle read the heads of all later blocks.
    """
    other = BLOCKS.alias("other")
    last = select(func.min(other.c.last_time_us)).where(
        other.c.series_id == _given("series_id"), other.c.last_time_us >= _given("end_us") - 1
    )
    end = func.coalesce(last.scalar_subquery(), 2**63 - 1)
    return [_mine, _end.between(_given("start_us"), end), BLOCKS.c.first_time_us < _given("end_us")]


_mine = BLOCKS.c.series_id == _given("series_id")
_end = BLOCKS.c.last_time_us
_heads = select(BLOCKS.c.id, *HEAD_COLUMNS)
_these = BLOCKS.c.id.in_(bindparam("block_ids", expanding=True))

# Ids and heads: series_id, and where named first_us, or start_us and end_us, and count.
ALL_HEADS = _heads.where(_mine).order_by(_end)
FIRST_HEAD = ALL_HEADS.limit(1)
HEAD_BEFORE = _heads.where(_mine, _end < _given("first_us")).order_by(_end.desc()).limit(1)
HEADS_WITHIN = _heads.where(*_within()).order_by(_end)
FIRST_HEADS_WITHIN = HEADS_WITHIN.limit(_given("count"))
LAST_HEADS_WITHIN = _heads.where(*_within()).order_by(_end.desc()).limit(_given("count"))

# The bodies of blocks, in any order: block_ids.
BODIES = (
    select(BLOCKS.c.id, BLOCKS.c.batch, BLOCKS.c.captured, BLOCKS.c.history, BLOCKS.c.checksum)
    .where(_these)
    .execution_options(binary_results=True)
)
DELETE_BLOCKS = delete(BLOCKS).where(_these)
INSERT_BLOCKS = insert(BLOCKS)

# Rows of blocks that lie in [start_us, end_us) whole and were known and closed at as_of_us: series_id.
SURE_COUNT = select(func.sum(BLOCKS.c.row_count - BLOCKS.c.forming_count - BLOCKS.c.missing_count)).where(
    _mine,
    BLOCKS.c.first_time_us >= _given("start_us"),
    _end < _given("end_us"),
    BLOCKS.c.newest_capture_us <= _given("as_of_us"),
)

# A series by venue, symbol, kind and timeframe; whether there is one with this series_id.
_named = [SERIES.c[name] == bindparam(name) for name in SERIES_KEY]
_state = select(SERIES.c.id, SERIES.c.newest_capture_us, SERIES.c.change_key)
SERIES_STATE = _state.where(*_named)
LOCKED_SERIES_STATE = SERIES_STATE.with_for_update()
# All series of a venue and symbol.
SERIES_STATES = _state.add_columns(SERIES.c.kind, SERIES.c.timeframe).where(*_named[:2])
SERIES_ID = select(SERIES.c.id).where(SERIES.c.id == _given("series_id"))
# After rows were stored: series_id, new_capture_us, new_change_key; of an ingest new_source, too.
RENEW_SERIES = (
    update(SERIES)
    .where(SERIES.c.id == _given("series_id"))
    .values(newest_capture_us=_given("new_capture_us"), change_key=_given("new_change_key"))
)
RENEW_SERIES_OF_SOURCE = RENEW_SERIES.values(source=bindparam("new_source"))
