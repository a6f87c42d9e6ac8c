"""Snapshots: what is known of them, and the order in which their files come and go."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, text, tuple_, update

from marketml.rpc.refusals import NotFound
from services.data.query.alignment import FrameSpec
from services.data.records import Snapshot
from services.data.series import CANDLES, KINDS, Series
from services.data.store.tables import FRAME, REFERENCE, SNAPSHOTS, insert_on
from services.host.database import Database
from services.host.mutations import once, remembered, sweep_mutations

_PUBLISHING = 0x736E6170  # "snap": the advisory lock of PostgreSQL under which snapshot files come and go
_OWN = ("snapshot_id", "row_count", "size_bytes", "first_time_us", "last_time_us", "create_time_us")
_OF_THE_FILE = [SNAPSHOTS.c.seal, SNAPSHOTS.c.verified_state]
_KNOWN = [column for column in SNAPSHOTS.c if column not in set(_OF_THE_FILE)]


class SnapshotStore:
    """Snapshots in one database; their files are elsewhere."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remembered_snapshot(self, request_id: str, body: bytes) -> Snapshot | None:
        """The answer that this CreateSnapshot request had, None when it is new."""
        answer = remembered(self._database, request_id, "CreateSnapshot", body)
        return None if answer is None else _read_snapshot(answer)

    def add_snapshot(
        self,
        snapshot: Snapshot,
        seal: bytes,
        publish: Callable[[], str | None],
        *,
        request_id: str,
        body: bytes,
    ) -> Snapshot:
        """Publish a snapshot's file and add its row, unless it is there; returns the first one.

        `publish` puts the file in its place durably and returns its state there, see `seal`. It runs inside
        the transaction: no deletion of the same snapshot can come between file and row.
        """

        def effect(connection: Connection) -> bytes:
            state = {"verified_state": publish()}
            values = {name: getattr(snapshot.frame, name) for name in FRAME}
            series = snapshot.frame.series
            values |= {"venue": series.venue, "symbol": series.symbol, "timeframe": series.timeframe}
            if (reference := snapshot.frame.reference) is not None:
                values |= dict(zip(REFERENCE, (reference.venue, reference.symbol), strict=True))
            values |= {name: getattr(snapshot, name) for name in _OWN} | {"seal": seal} | state
            insert = insert_on(connection, SNAPSHOTS).values(values)
            connection.execute(insert.on_conflict_do_update(index_elements=["snapshot_id"], set_=state))
            stored = _snapshot(connection, snapshot.snapshot_id)
            assert stored is not None
            return _written_snapshot(stored)

        with self._database.write() as connection:
            _lock_publishing(connection)
            return _read_snapshot(once(connection, request_id, "CreateSnapshot", body, effect))

    def snapshot(self, snapshot_id: str) -> Snapshot:
        """A snapshot by its digest.

        Raises
        ------
        NotFound
            There is none.
        """
        with self._database.read() as connection:
            found = _snapshot(connection, snapshot_id)
        if found is None:
            raise NotFound("snapshot", snapshot_id)
        return found

    def seal(self, snapshot_id: str) -> tuple[bytes | None, str | None]:
        """The seal of a snapshot's file, None when it was written before there were seals or is gone; and the
        state of the file when its SHA-256 was last found to be its name, None when that is not known."""
        with self._database.read() as connection:
            mine = SNAPSHOTS.c.snapshot_id == snapshot_id
            row = connection.execute(select(*_OF_THE_FILE).where(mine)).one_or_none()
        return (None, None) if row is None else (row.seal, row.verified_state)

    def add_seal(self, snapshot_id: str, seal: bytes, verified_state: str | None) -> None:
        """Remember both for the next process."""
        with self._database.write() as connection:
            mine = SNAPSHOTS.c.snapshot_id == snapshot_id
            found = {"seal": seal, "verified_state": verified_state}
            connection.execute(update(SNAPSHOTS).where(mine).values(found))

    def snapshots(self, after: Sequence[Any] | None, count: int) -> list[Snapshot]:
        """Snapshots, newest first, from the first after the key (create_time_us, snapshot_id) on."""
        key = (SNAPSHOTS.c.create_time_us, SNAPSHOTS.c.snapshot_id)
        page = select(*_KNOWN).order_by(*(column.desc() for column in key)).limit(count)
        if after is not None:
            page = page.where(tuple_(*key) < tuple_(*after))
        with self._database.read() as connection:
            return [_snapshot_of(row) for row in connection.execute(page)]

    def delete_snapshot(self, snapshot_id: str, *, request_id: str, body: bytes) -> int:
        """Delete a snapshot's row. Returns its size. The file is removed by `remove_unnamed` afterwards.

        Raises
        ------
        NotFound
            There is none.
        """

        def effect(connection: Connection) -> bytes:
            found = _snapshot(connection, snapshot_id)
            if found is None:
                raise NotFound("snapshot", snapshot_id)
            connection.execute(delete(SNAPSHOTS).where(SNAPSHOTS.c.snapshot_id == snapshot_id))
            return json.dumps(found.size_bytes).encode()

        with self._database.write() as connection:
            return int(json.loads(once(connection, request_id, "DeleteSnapshot", body, effect)))

    def remove_unnamed(self, snapshot_id: str, remove: Callable[[str], None]) -> None:
        """Call `remove` with the id if the snapshot has no row, while it cannot be published."""
        with self._database.write() as connection:
            _lock_publishing(connection)
            if _snapshot(connection, snapshot_id) is None:
                remove(snapshot_id)

    def sweep(self, retention_seconds: float) -> int:
        """Forget requests older than this; returns how many."""
        with self._database.write() as connection:
            return sweep_mutations(connection, retention_seconds)


def _lock_publishing(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PUBLISHING})


def _snapshot(connection: Connection, snapshot_id: str) -> Snapshot | None:
    row = connection.execute(select(*_KNOWN).where(SNAPSHOTS.c.snapshot_id == snapshot_id)).one_or_none()
    return None if row is None else _snapshot_of(row)


def _snapshot_of(row: Any) -> Snapshot:
    series, reference = Series(CANDLES, row.venue, row.symbol, row.timeframe), None
    if row.reference_venue is not None:
        reference = Series(CANDLES, row.reference_venue, row.reference_symbol, row.timeframe)
    return Snapshot(
        row.snapshot_id,
        FrameSpec(series, **{name: getattr(row, name) for name in FRAME}, reference=reference),
        row.row_count,
        row.size_bytes,
        row.first_time_us,
        row.last_time_us,
        row.create_time_us,
    )


def _written_snapshot(snapshot: Snapshot) -> bytes:
    plain = dataclasses.asdict(snapshot)
    frame = plain["frame"]
    if frame["reference"] is None:
        del frame["reference"]  # an older version reads it too
    for name in frame.keys() & {"series", "reference"}:
        frame[name]["kind"] = CANDLES.number
    return json.dumps(plain).encode()


def _read_snapshot(raw: bytes) -> Snapshot:
    plain = json.loads(raw)
    frame = plain.pop("frame")
    for name in frame.keys() & {"series", "reference"}:
        frame[name] = Series(**frame[name] | {"kind": KINDS[frame[name]["kind"]]})
    return Snapshot(frame=FrameSpec(**frame), **plain)
