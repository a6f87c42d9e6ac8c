"""What SQLite and PostgreSQL say when they fail, as refusals. The same trouble has the same name on both."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from marketml.rpc.refusals import Aborted, DataLoss, Reason, Refusal, ResourceExhausted, Unavailable

READ_ONLY_TRANSACTION = "25006"

_SQLITE_DOWN = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_INTERRUPT,
}
_SQLITE_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

# Connection lost, resources short, operator's or system's intervention, I/O error.
_POSTGRESQL_DOWN_CLASSES = {"08", "53", "57", "58"}
# Lock not available, idle in transaction, transaction too long.
_POSTGRESQL_DOWN = {"55P03", "25P03", "25P04"}
_POSTGRESQL_LOST_RACE = {"40001", "40P01"}  # serialisation failure, deadlock
_POSTGRESQL_DISK_FULL = "53100"
_POSTGRESQL_DAMAGED = {"XX001", "XX002"}


def refusal_of(error: Exception, *, writing: bool) -> Refusal | None:
    """The refusal that says what happened to the database, or None when `error` is nothing of that kind.

    None also covers broken constraints, which mean something only to the store that declared them, and wrong
    SQL (writing in a read transaction is that), which is a bug and has to look like one. `error` may come
    from SQLAlchemy or straight from a driver. The refusal's text holds no SQL, path or address.
    """
    if isinstance(error, PoolTimeoutError):
        return ResourceExhausted(
            "database_connections",
            "All connections to the database are in use; try again.",
            retry_after_seconds=1.0,
            reason=Reason.OVERLOADED,
        )
    driver_error = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(driver_error, sqlite3.Error):
        return _of_sqlite(driver_error, writing)
    if driver_error is not None and hasattr(driver_error, "sqlstate"):
        return _of_postgresql(driver_error.sqlstate, type(driver_error).__name__, writing)
    return None


def _of_sqlite(error: sqlite3.Error, writing: bool) -> Refusal | None:
    extended = getattr(error, "sqlite_errorcode", None)  # absent when the Python module itself complains
    code = None if extended is None else extended & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return _disk_full()
    if code in _SQLITE_DAMAGED:
        return _damaged()
    if code in _SQLITE_DOWN or (code == sqlite3.SQLITE_READONLY and writing):
        return _down()
    return None


def _of_postgresql(state: str | None, kind: str, writing: bool) -> Refusal | None:
    if state is None:  # libpq has no code for a connection that broke or was never made
        return _down() if kind in {"OperationalError", "InterfaceError", "ConnectionTimeout"} else None
    if state == _POSTGRESQL_DISK_FULL:
        return _disk_full()
    if state in _POSTGRESQL_DAMAGED:
        return _damaged()
    if state in _POSTGRESQL_LOST_RACE:
        return Aborted("Another transaction won; read again and decide again.", Reason.LOST_RACE)
    down = state in _POSTGRESQL_DOWN or state[:2] in _POSTGRESQL_DOWN_CLASSES
    if down or (state == READ_ONLY_TRANSACTION and writing):
        return _down()
    return None


def _down() -> Refusal:
    return Unavailable("The database did not answer; send the same request again.", reason=Reason.STORE_DOWN)


def _disk_full() -> Refusal:
    return ResourceExhausted("disk", "The disk of the database is full.", reason=Reason.DISK_FULL)


def _damaged() -> Refusal:
    return DataLoss("The database is damaged; it was left as it is: restore a backup.")
