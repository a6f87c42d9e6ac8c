"""Series and their blocks."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, select

from marketml.rpc.refusals import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    Reason,
)
from services.data.blocks import Block, decode
from services.data.checks import Checked
from services.data.digests import revisions_digest
from services.data.query.resampling import divides
from services.data.records import Coverage, SeriesState, no_series
from services.data.revisions import (
    ConflictError,
    Counts,
    OnConflict,
    Rows,
    Stored,
    are_marks,
    marks,
)
from services.data.series import CANDLES, KINDS, TIMEFRAMES_US, Kind, Series, grid_times
from services.data.store.block_store import BlockStore, heads
from services.data.store.coverages import coverage_of, end_block, totals
from services.data.store.state_memory import StateMemory
from services.data.store.statements import (
    ALL_HEADS,
    FIRST_HEADS_WITHIN,
    LAST_HEADS_WITHIN,
    LOCKED_SERIES_STATE,
    RENEW_SERIES,
    RENEW_SERIES_OF_SOURCE,
    SERIES_ID,
    SERIES_STATE,
    SERIES_STATES,
    SURE_COUNT,
)
from services.data.store.tables import BLOCKS, SERIES, SNAPSHOTS, insert_on, key_values
from services.host.database import Database
from services.host.mutations import check_request_id, once


class SeriesStore:
    """Series and blocks in one database. `cache_bytes` of blocks are kept in memory."""

    def __init__(self, database: Database, cache_bytes: int) -> None:
        self._database = database
        self._blocks = BlockStore(cache_bytes)
        self._memory = StateMemory() if database.is_ours else None

    def find(self, series: Series) -> SeriesState | None:
        """The stored series, None when there is none."""
        with self._database.read() as connection:
            return _found(connection, series)

    def find_all(self, venue: str, symbol: str) -> Mapping[Series, SeriesState]:
        """The stored series of an instrument, of every kind and timeframe, all as they were at one moment."""
        if (known := self.remembered(venue, symbol)) is not None:
            return known
        begun = 0 if self._memory is None else self._memory.begun()
        with self._database.read() as connection:
            rows = connection.execute(SERIES_STATES, {"venue": venue, "symbol": symbol}).all()
        found = {
            Series(KINDS[row.kind], venue, symbol, row.timeframe): SeriesState(
                row.id, row.newest_capture_us, row.change_key
            )
            for row in rows
        }
        if self._memory is not None:
            self._memory.put(venue, symbol, found, begun)
        return found

    def remembered(self, venue: str, symbol: str) -> Mapping[Series, SeriesState] | None:
        """The same where it is known without asking the database, else None."""
        return None if self._memory is None else self._memory.get(venue, symbol)

    def newest_time_us(self, series: Series) -> int | None:
        """Event time of the newest row, marks included; None without any."""
        newest = select(func.max(BLOCKS.c.last_time_us)).join(SERIES, SERIES.c.id == BLOCKS.c.series_id)
        mine = [SERIES.c[name] == value for name, value in key_values(series).items()]
        with self._database.read() as connection:
            found: int | None = connection.scalar(newest.where(*mine))
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
            When the rows became known; then those that repeat stored values are kept, too. None is now, and
            later than everything captured before, whatever the clock says. It is read when the series is
            locked: captures follow each other as commits do.
        check
            Called before the commit; raises when nobody waits for it any more.
        """
        with self._write(series) as connection:
            state = _locked(connection, series)
            is_stamped = captured_us is None
            if captured_us is None:
                captured_us = max(clock(), state.newest_capture_us + 1)
            captured = np.full(len(rows.times), captured_us, np.int64)
            try:
                new = Rows(rows.times, rows.columns, captured)
                counts, is_stored = self._blocks.join(
                    connection, series, state.id, new, on_conflict, is_stamped=is_stamped
                )
            except ConflictError as conflict:
                raise _stored_otherwise(series, conflict.time_us) from None
            if is_stored:
                renewed = _renewed(state, captured_us) | {"new_source": source}
                connection.execute(RENEW_SERIES_OF_SOURCE, renewed)
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
        only_absent: bool = False,
        request_id: str,
        body: bytes,
        check: Callable[[], None],
    ) -> int:
        """Mark each grid time in [start, end) of candles, each stored time of the others, as missing; with
        `only_absent` those alone at which there is no row.

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
                times = self._blocks.times(connection, series.kind, state.id, start_us, end_us, times_max)
            captured_us = max(clock(), state.newest_capture_us + 1)
            counts = Counts()
            if len(times):
                new = marks(times, len(series.kind.columns), captured_us)
                on_conflict = OnConflict.KEEP if only_absent else OnConflict.REVISE
                counts, _ = self._blocks.join(connection, series, state.id, new, on_conflict, is_stamped=True)
            if marked_count := counts.inserted + counts.revised:
                connection.execute(RENEW_SERIES, _renewed(state, captured_us))
            check()
            return json.dumps(marked_count).encode()

        with self._write(series) as connection:
            return int(json.loads(once(connection, request_id, "RepairSeries", body, effect)))

    def blocks(self, state: SeriesState, start_us: int, end_us: int, count: int) -> list[Block]:
        """The first `count` blocks that may have rows in [start, end), by time.

        Raises
        ------
        Aborted
            The series was deleted since it was found.
        """
        return self._page(state, start_us, end_us, count, FIRST_HEADS_WITHIN)

    def last_blocks(self, state: SeriesState, start_us: int, end_us: int, count: int) -> list[Block]:
        """The last `count` blocks that may have rows in [start, end), the last one first; as `blocks`."""
        return self._page(state, start_us, end_us, count, LAST_HEADS_WITHIN)

    def sure_count(self, state: SeriesState, start_us: int, end_us: int, as_of_us: int) -> int:
        """How many rows lie in blocks that are in [start, end) whole, and were known and closed then."""
        given = {"start_us": start_us, "end_us": end_us, "as_of_us": as_of_us}
        with self._database.read() as connection:
            return int(connection.scalar(SURE_COUNT, {"series_id": state.id} | given) or 0)

    def _page(self, state: SeriesState, start_us: int, end_us: int, count: int, query: Any) -> list[Block]:
        given = {"series_id": state.id, "start_us": start_us, "end_us": end_us, "count": count}
        with self._database.read() as connection:
            _refuse_gone(connection, state)
            return self._blocks.loaded(connection, heads(connection, query, **given))

    def digest(self, series: Series) -> str:
        """The digest of every revision of a series, however it was told and lies in blocks; see
        `revisions_digest`. One state of the series, whoever writes meanwhile.

        Raises
        ------
        NotFound
            There is no such series.
        """

        def parts(connection: Connection, series_id: int) -> Iterator[Stored]:
            for head in heads(connection, ALL_HEADS, series_id=series_id):
                for block in self._blocks.loaded(connection, [head]):
                    yield decode(series.kind, block)

        with self._database.read() as connection:
            if (state := _found(connection, series)) is None:
                raise no_series(series)
            return revisions_digest(parts(connection, state.id))

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
        asked = totals(venue=venue, symbol=symbol, kind=kind, after=after, count=count)
        with self._database.read() as connection:

            def end_of(series_id: int, of: Kind, is_last: bool) -> int | None:
                end = heads(connection, end_block(series_id, is_last))
                for block in self._blocks.loaded(connection, end):
                    rows = decode(of, block).current
                    return int(rows.times[~are_marks(rows)][-1 if is_last else 0])
                return None

            return [coverage_of(row, end_of) for row in connection.execute(asked).all()]

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
        with self._write(series) as connection:
            return int(json.loads(once(connection, request_id, "DeleteSeries", body, effect)))

    @contextmanager
    def _write(self, series: Series) -> Iterator[Connection]:
        """A transaction that may change the state of a series. Every one goes through here."""
        with ExitStack() as around:
            if self._memory is not None:
                around.enter_context(self._memory.writing(series.venue, series.symbol))
            yield around.enter_context(self._database.write())


def _found(connection: Connection, series: Series, *, lock: bool = False) -> SeriesState | None:
    query = LOCKED_SERIES_STATE if lock else SERIES_STATE
    row = connection.execute(query, key_values(series)).one_or_none()
    return None if row is None else SeriesState(row.id, row.newest_capture_us, row.change_key)


def _renewed(state: SeriesState, captured_us: int) -> dict[str, Any]:
    """What `RENEW_SERIES` takes. A number that is drawn, and not one that is counted: of a backup that was
    restored, and then written to, it is another one than what was told before."""
    newest_us = max(state.newest_capture_us, captured_us)
    drawn = {"new_capture_us": newest_us, "new_change_key": secrets.randbits(62)}
    return {"series_id": state.id} | drawn


def _locked(connection: Connection, series: Series) -> SeriesState:
    """The series' row, made when it is new, locked until the end of the transaction."""
    values = key_values(series) | {"source": "", "newest_capture_us": 0, "change_key": 0}
    if (state := _found(connection, series, lock=True)) is None:
        connection.execute(insert_on(connection, SERIES).on_conflict_do_nothing().values(values))
        state = _found(connection, series, lock=True)
    if state is None:
        raise Aborted("The series was deleted at the same moment; send the rows again.", Reason.LOST_RACE)
    return state


def _refuse_gone(connection: Connection, state: SeriesState) -> None:
    if connection.scalar(SERIES_ID, {"series_id": state.id}) is None:
        raise Aborted("The series was deleted while it was read.", Reason.LOST_RACE)


def _refuse_needed(connection: Connection, series: Series) -> None:
    snapshots = SNAPSHOTS.c
    of_own = (snapshots.venue == series.venue) & (snapshots.symbol == series.symbol)
    of_reference = (snapshots.reference_venue == series.venue) & (snapshots.reference_symbol == series.symbol)
    if series.kind is CANDLES:
        of_own &= func.coalesce(snapshots.base_timeframe, snapshots.timeframe) == series.timeframe
        # Of what a reference's bars are made is not stored: of all that they may be made of.
        made_of_it = [name for name in TIMEFRAMES_US if divides(series.timeframe, name)]
        of_reference &= snapshots.timeframe.in_([series.timeframe, *made_of_it])
    needed = connection.scalar(select(snapshots.snapshot_id).where(of_own | of_reference).limit(1))
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
