"""Series and their blocks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select, tuple_, update

from marketml.rpc.refusals import (
    Aborted,
    AlreadyExists,
    DataLoss,
    FailedPrecondition,
    Reason,
    ResourceExhausted,
)
from services.data.blocks import BLOCK_ROWS, TAIL_ROWS, Block, Head, decode, encode
from services.data.checks import Checked
from services.data.records import Coverage, SeriesState, no_series
from services.data.revisions import (
    ConflictError,
    Counts,
    OnConflict,
    Rows,
    Stored,
    Times,
    are_marks,
    empty_rows,
    in_order,
    marks,
    merge,
)
from services.data.series import CANDLES, KINDS, Kind, Series, grid_times
from services.data.store.cache import BlockCache
from services.data.store.tables import BLOCKS, HEAD_COLUMNS, SERIES, SNAPSHOTS, insert_on
from services.host.database import Database
from services.host.mutations import check_request_id, once


class SeriesStore:
    """Series and blocks in one database. `cache_bytes` of blocks are kept in memory."""

    def __init__(self, database: Database, cache_bytes: int) -> None:
        self._database = database
        self._cache = BlockCache(cache_bytes)

    def find(self, series: Series) -> SeriesState | None:
        """The stored series, None when there is none."""
        with self._database.read() as connection:
            return _found(connection, series)

    def newest_time_us(self, series: Series) -> int | None:
        """Event time of the newest row, marks included; None without any."""
        newest = select(func.max(BLOCKS.c.last_time_us)).join(SERIES, SERIES.c.id == BLOCKS.c.series_id)
        with self._database.read() as connection:
            found: int | None = connection.scalar(newest.where(*_where(series)))
        return found

    def ingest(
        self,
        series: Series,
        rows: Checked,
        *,
        source: str,
        captured_us: int | None,
        clock: Callable[[], int],
        on_conflict: OnConflict,
        check: Callable[[], None],
    ) -> Counts:
        """Join rows to a series, in one transaction; the series is made when it is new.

        Parameters
        ----------
        rows
            At least one.
        captured_us
            When the rows became known; None is now, and later than everything captured before, whatever the
            clock says. It is read when the series is locked: captures follow each other as commits do.
        check
            Called before the commit; raises when nobody waits for it any more.
        """
        with self._database.write() as connection:
            state = _locked(connection, series)
            if captured_us is None:
                captured_us = max(clock(), state.newest_capture_us + 1)
            captured = np.full(len(rows.times), captured_us, np.int64)
            try:
                new = Rows(rows.times, rows.columns, captured)
                counts = self._join(connection, series, state.id, new, on_conflict)
            except ConflictError as conflict:
                raise _stored_otherwise(series, conflict.time_us) from None
            if counts.inserted or counts.revised:
                newest_us = max(state.newest_capture_us, captured_us)
                renewed = update(SERIES).where(SERIES.c.id == state.id)
                connection.execute(renewed.values(source=source, newest_capture_us=newest_us))
            check()
        return counts

    def mark_missing(
        self,
        series: Series,
        start_us: int,
        end_us: int,
        *,
        clock: Callable[[], int],
        times_max: int,
        request_id: str,
        body: bytes,
        check: Callable[[], None],
    ) -> int:
        """Mark each grid time in [start, end) of candles, each stored time of the others, as missing.

        In one transaction; a repeat of the request, told by its id and body, has the first answer.

        Returns
        -------
        int
            Times that were not marked before.

        Raises
        ------
        NotFound
            There is no such series.
        ResourceExhausted
            More than `times_max` rows are stored there.
        """

        def effect(connection: Connection) -> bytes:
            state = _found(connection, series, lock=True)
            if state is None:
                raise no_series(series)
            if series.step_us:
                times = grid_times(series.timeframe, start_us, end_us)
            else:
                times = self._times(connection, series.kind, state.id, start_us, end_us, times_max)
            captured_us = max(clock(), state.newest_capture_us + 1)
            counts = Counts()
            if len(times):
                new = marks(times, len(series.kind.columns), captured_us)
                counts = self._join(connection, series, state.id, new, OnConflict.REVISE)
            if marked_count := counts.inserted + counts.revised:
                renewed = update(SERIES).where(SERIES.c.id == state.id)
                connection.execute(renewed.values(newest_capture_us=captured_us))
            check()
            return json.dumps(marked_count).encode()

        with self._database.write() as connection:
            return int(json.loads(once(connection, request_id, "RepairSeries", body, effect)))

    def _times(
        self, connection: Connection, kind: Kind, series_id: int, start_us: int, end_us: int, times_max: int
    ) -> Times:
        """The stored times in [start, end), marked ones included."""
        mine = select(BLOCKS.c.id, *HEAD_COLUMNS).where(BLOCKS.c.series_id == series_id)
        inside = mine.where(BLOCKS.c.last_time_us >= start_us, BLOCKS.c.first_time_us < end_us)
        found, count = [np.empty(0, np.int64)], 0
        for head in _heads(connection, inside.order_by(BLOCKS.c.last_time_us)):
            [block] = self._loaded(connection, [head])
            times = decode(kind, block).current.times
            first, end = np.searchsorted(times, [start_us, end_us])
            count += int(end - first)
            if count > times_max:
                raise ResourceExhausted(
                    "repair_times",
                    f"The range holds more than the {times_max:,} rows that one action takes; divide it.",
                )
            found.append(times[first:end])
        return np.concatenate(found)

    def _join(
        self, connection: Connection, series: Series, series_id: int, new: Rows, on_conflict: OnConflict
    ) -> Counts:
        near = _near(connection, series_id, int(new.times[0]), int(new.times[-1]))
        starts = np.array([head.first_time_us for _, head in near], np.int64)
        owner = np.maximum(np.searchsorted(starts, new.times, "right") - 1, 0)
        edges = np.searchsorted(owner, np.arange(max(1, len(near)) + 1))
        counts = Counts()
        for position, (start, end) in enumerate(pairwise(edges)):
            if start == end:
                continue
            mine = new.take(slice(start, end))
            at = near[position] if near else None
            is_append = at is None or int(mine.times[0]) > at[1].last_time_us
            if at is not None and is_append and len(mine) < TAIL_ROWS <= at[1].row_count:
                at = None  # a block of their own
            gone = [] if at is None else [at]
            stored = self._stored(connection, series.kind, gone)
            merged, joined = merge(stored, mine, on_conflict, series.step_us)
            counts += joined
            if merged is stored:
                continue
            if at is not None and is_append and at[1].row_count < TAIL_ROWS <= len(merged.current):
                earlier = _room_before(connection, series_id, at[1].first_time_us)
                merged = in_order([self._stored(connection, series.kind, earlier), merged])
                gone += earlier
            if gone:
                connection.execute(delete(BLOCKS).where(BLOCKS.c.id.in_([block_id for block_id, _ in gone])))
            _write_blocks(connection, series, series_id, merged, is_append)
        return counts

    def _stored(self, connection: Connection, kind: Kind, heads: list[tuple[int, Head]]) -> Stored:
        """The rows of at most one block."""
        for block in self._loaded(connection, heads):
            return decode(kind, block)
        nothing = empty_rows(len(kind.columns))
        return Stored(nothing, nothing)

    def blocks(self, state: SeriesState, start_us: int, end_us: int, count: int) -> list[Block]:
        """The first `count` blocks that may have rows in [start, end), by time.

        Raises
        ------
        Aborted
            The series was deleted since it was found.
        """
        return self._page(state, start_us, end_us, count, BLOCKS.c.last_time_us)

    def last_blocks(self, state: SeriesState, start_us: int, end_us: int, count: int) -> list[Block]:
        """The last `count` blocks that may have rows in [start, end), the last one first; as `blocks`."""
        return self._page(state, start_us, end_us, count, BLOCKS.c.last_time_us.desc())

    def sure_count(self, state: SeriesState, start_us: int, end_us: int, as_of_us: int) -> int:
        """How many rows lie in blocks that are in [start, end) whole, and were known and closed then."""
        rows = BLOCKS.c.row_count - BLOCKS.c.forming_count - BLOCKS.c.missing_count
        total = select(func.sum(rows)).where(
            BLOCKS.c.series_id == state.id,
            BLOCKS.c.first_time_us >= start_us,
            BLOCKS.c.last_time_us < end_us,
            BLOCKS.c.newest_capture_us <= as_of_us,
        )
        with self._database.read() as connection:
            return int(connection.scalar(total) or 0)

    def _page(self, state: SeriesState, start_us: int, end_us: int, count: int, order: Any) -> list[Block]:
        mine = BLOCKS.c.series_id == state.id
        page = (
            select(BLOCKS.c.id, *HEAD_COLUMNS)
            .where(mine, BLOCKS.c.last_time_us >= start_us, BLOCKS.c.first_time_us < end_us)
            .order_by(order)
            .limit(count)
        )
        with self._database.read() as connection:
            _refuse_gone(connection, state)
            return self._loaded(connection, _heads(connection, page))

    def _loaded(self, connection: Connection, heads: list[tuple[int, Head]]) -> list[Block]:
        known = dict(heads)
        blocks = {block_id: block for block_id in known if (block := self._cache.get(block_id))}
        missing = [block_id for block_id in known if block_id not in blocks]
        if missing:
            bodies = select(
                BLOCKS.c.id, BLOCKS.c.batch, BLOCKS.c.captured, BLOCKS.c.history, BLOCKS.c.checksum
            )
            for row in connection.execute(bodies.where(BLOCKS.c.id.in_(missing))):
                read = Block(known[row.id], bytes(row.batch), row.captured, row.history, row.checksum)
                if not read.is_intact:
                    raise DataLoss("Stored rows of the series are damaged; restore a backup of the database.")
                blocks[row.id] = read
                self._cache.put(row.id, read)
        return [blocks[block_id] for block_id in known if block_id in blocks]

    def coverage(
        self,
        *,
        venue: str = "",
        symbol: str = "",
        kind: Kind | None = None,
        after: Sequence[Any] | None = None,
        count: int,
    ) -> list[Coverage]:
        """Series by venue, symbol, kind and timeframe, from the first after the key `after` on."""
        key = (SERIES.c.venue, SERIES.c.symbol, SERIES.c.kind, SERIES.c.timeframe)
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
        totals = (
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
            .order_by(mine.c.venue, mine.c.symbol, mine.c.kind, mine.c.timeframe)
        )
        with self._database.read() as connection:
            return [self._coverage_of(connection, row) for row in connection.execute(totals).all()]

    def _coverage_of(self, connection: Connection, row: Any) -> Coverage:
        rows_count, first_us, last_us, revised_count, marked_count = row[-5:]
        kind = KINDS[row.kind]
        if marked_count:
            first_us, last_us = (self._end(connection, kind, row.id, is_last) for is_last in (False, True))
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

    def _end(self, connection: Connection, kind: Kind, series_id: int, is_last: bool) -> int | None:
        """The time of a series' first or last row that is no mark."""
        order = BLOCKS.c.last_time_us
        with_rows = select(BLOCKS.c.id, *HEAD_COLUMNS).where(
            BLOCKS.c.series_id == series_id, BLOCKS.c.row_count > BLOCKS.c.missing_count
        )
        heads = _heads(connection, with_rows.order_by(order.desc() if is_last else order).limit(1))
        for block in self._loaded(connection, heads):
            rows = decode(kind, block).current
            return int(rows.times[~are_marks(rows)][-1 if is_last else 0])
        return None

    def symbols(self) -> list[str]:
        """Every stored symbol, once."""
        with self._database.read() as connection:
            return list(connection.scalars(select(SERIES.c.symbol).distinct()))

    def delete_series(
        self, series: Series, *, dry_run: bool, force: bool, request_id: str, body: bytes
    ) -> int:
        """Delete a series, or count what that would delete. Returns the rows, all revisions included.

        Raises
        ------
        NotFound
            There is no such series.
        FailedPrecondition
            A snapshot was made from it and `force` is not set.
        """

        def effect(connection: Connection) -> bytes:
            state = _found(connection, series)
            if state is None:
                raise no_series(series)
            if not force:
                _refuse_needed(connection, series)
            mine = BLOCKS.c.series_id == state.id
            total = func.sum(BLOCKS.c.row_count + BLOCKS.c.history_count)
            deleted_count = int(connection.scalar(select(total).where(mine)) or 0)
            if not dry_run:
                connection.execute(delete(SERIES).where(SERIES.c.id == state.id))
            return json.dumps(deleted_count).encode()

        check_request_id(request_id)
        if dry_run:
            with self._database.read() as connection:
                return int(json.loads(effect(connection)))
        with self._database.write() as connection:
            return int(json.loads(once(connection, request_id, "DeleteSeries", body, effect)))


def _where(series: Series) -> list[Any]:
    return [
        SERIES.c.venue == series.venue,
        SERIES.c.symbol == series.symbol,
        SERIES.c.kind == series.kind.number,
        SERIES.c.timeframe == series.timeframe,
    ]


def _found(connection: Connection, series: Series, *, lock: bool = False) -> SeriesState | None:
    query = select(SERIES.c.id, SERIES.c.newest_capture_us).where(*_where(series))
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else SeriesState(row.id, row.newest_capture_us)


def _locked(connection: Connection, series: Series) -> SeriesState:
    """The series' row, made when it is new, locked until the end of the transaction."""
    values = {
        "venue": series.venue,
        "symbol": series.symbol,
        "kind": series.kind.number,
        "timeframe": series.timeframe,
        "source": "",
        "newest_capture_us": 0,
    }
    if (state := _found(connection, series, lock=True)) is None:
        connection.execute(insert_on(connection, SERIES).on_conflict_do_nothing().values(values))
        state = _found(connection, series, lock=True)
    if state is None:
        raise Aborted("The series was deleted at the same moment; send the rows again.", Reason.LOST_RACE)
    return state


def _near(connection: Connection, series_id: int, first_us: int, last_us: int) -> list[tuple[int, Head]]:
    """The blocks that rows from `first_us` to `last_us` may join, by time: those they overlap, the one
    before, and without these the next one."""
    mine = select(BLOCKS.c.id, *HEAD_COLUMNS).where(BLOCKS.c.series_id == series_id)
    by_time = mine.order_by(BLOCKS.c.last_time_us)
    before = mine.where(BLOCKS.c.last_time_us < first_us).order_by(BLOCKS.c.last_time_us.desc()).limit(1)
    found = _heads(connection, before)
    found += _heads(
        connection,
        by_time.where(BLOCKS.c.last_time_us >= first_us, BLOCKS.c.first_time_us <= last_us),
    )
    return found or _heads(connection, by_time.limit(1))


def _room_before(connection: Connection, series_id: int, first_us: int) -> list[tuple[int, Head]]:
    """The block before a time, unless there is none or it is full."""
    mine = select(BLOCKS.c.id, *HEAD_COLUMNS).where(BLOCKS.c.series_id == series_id)
    before = mine.where(BLOCKS.c.last_time_us < first_us).order_by(BLOCKS.c.last_time_us.desc()).limit(1)
    return [each for each in _heads(connection, before) if each[1].row_count < BLOCK_ROWS]


def _heads(connection: Connection, query: Any) -> list[tuple[int, Head]]:
    return [(row[0], Head(*row[1:])) for row in connection.execute(query)]


def _write_blocks(
    connection: Connection, series: Series, series_id: int, stored: Stored, is_append: bool
) -> None:
    made = []
    for block in encode(series, stored, is_append=is_append):
        body = {name: getattr(block, name) for name in ("batch", "captured", "history", "checksum")}
        made.append({"series_id": series_id} | dataclasses.asdict(block.head) | body)
        if len(made) == 16:
            connection.execute(insert(BLOCKS), made)
            made = []
    if made:
        connection.execute(insert(BLOCKS), made)


def _refuse_gone(connection: Connection, state: SeriesState) -> None:
    if connection.scalar(select(SERIES.c.id).where(SERIES.c.id == state.id)) is None:
        raise Aborted("The series was deleted while it was read.", Reason.LOST_RACE)


def _refuse_needed(connection: Connection, series: Series) -> None:
    made = select(SNAPSHOTS.c.snapshot_id).where(
        SNAPSHOTS.c.venue == series.venue, SNAPSHOTS.c.symbol == series.symbol
    )
    if series.kind is CANDLES:
        bars = func.coalesce(SNAPSHOTS.c.base_timeframe, SNAPSHOTS.c.timeframe)
        made = made.where(bars == series.timeframe)
    needed = connection.scalar(made.limit(1))
    if needed is not None:
        raise FailedPrecondition(
            "series",
            f"The snapshot {needed} was made from {series.name}; delete it first, or set force to keep it "
            "without its source.",
            Reason.IN_USE,
        )


def _stored_otherwise(series: Series, time_us: int) -> AlreadyExists:
    name = f"{series.name} at {np.datetime64(time_us, 'us')}Z"
    return AlreadyExists("row", name, f"The row of {name} is stored with other values; nothing was changed.")
