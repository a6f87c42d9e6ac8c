"""The database of a room: a SQLite file, or PostgreSQL when the URL says so, with the same promises on both.

    database = open_database(settings.database_url, migrations=Path(__file__).with_name("migrations"))
    with database.write() as connection:  # a transaction: commits at the end, rolls back on any exception
        compare_and_set(connection, update(jobs).where(jobs.c.id == job, jobs.c.etag == seen).values(...))

Acknowledged means durable: SQLite runs in WAL mode with `synchronous=FULL` (NORMAL lost acknowledged rows in
59 of 60 simulated power cuts), PostgreSQL with its own default. Neither database keeps two read-modify-writes
apart by itself, so every mutable row is changed by `compare_and_set`.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, Update, create_engine, event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from marketml.rpc.refusals import Aborted, DataLoss, FailedPrecondition, Reason, Unavailable
from services.host.database_errors import READ_ONLY_TRANSACTION, refusal_of
from services.host.migrations import NEWEST, migrate
from services.host.settings import SettingsError

WAIT_SECONDS_MAX = 5.0  # for a connection, for a lock, for the one writer of a SQLite file
STATEMENT_SECONDS_MAX = 30.0


class Database:
    """Transactions on one database. Every method may be called from any thread; connections are pooled."""

    def __init__(self, engine: Engine, lock_descriptor: int | None = None) -> None:
        self._lock_descriptor = lock_descriptor
        self._engine = engine
        self._is_closed = False
        event.listen(engine, "checkin", self._close_late)
        self._writes: Engine = engine
        self.dialect = engine.dialect.name
        self.is_ours = lock_descriptor is not None  # no other process can write to it
        if self.dialect == "sqlite":
            self._reads = engine.execution_options(sqlite_begin="DEFERRED")
            self._writes = engine.execution_options(sqlite_begin="IMMEDIATE")
        else:
            # The same snapshot for every statement of a read, which is what a read transaction of SQLite is.
            self._reads = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        # SQLite has one writer. Its own waiting is polling, in which the unlucky starve; this is a queue.
        self._writer = threading.Lock() if self.dialect == "sqlite" else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only transaction in which every statement sees the same state.

        Raises
        ------
        Unavailable, ResourceExhausted, DataLoss
            As `refusal_of` translates what the driver said. Other exceptions pass through.
        """
        with _translated(writing=False), self._reads.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A writing transaction; it has committed when the `with` block has been left without an exception.

        Raises
        ------
        Unavailable
            The database did not answer, or not in time. When that happened at the commit the outcome is
            unknown: only the same `request_id` sent again can tell.
        ResourceExhausted, Aborted, DataLoss
            As `refusal_of` translates what the driver said. Other exceptions roll back and pass through.
        """
        with _translated(writing=True), self._turn(), self._writes.begin() as connection:
            yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._writer is None:
            yield
            return
        if not self._writer.acquire(timeout=WAIT_SECONDS_MAX):
            raise Unavailable(
                f"The database was busy with other writers for {WAIT_SECONDS_MAX:g} s; "
                "send the same request again.",
                reason=Reason.STORE_DOWN,
            )
        try:
            yield
        finally:
            self._writer.release()

    def migrate(self, folder: Path, revision: str = NEWEST) -> tuple[str, str]:
        """Bring the schema to a revision in `folder`; see `services.host.migrations.migrate`."""
        with _translated(writing=True), self._turn():
            return migrate(self._writes, folder, revision)

    def close(self) -> None:
        """Close every connection and give the SQLite file free for another process. May be called twice.

        One that a thread is still using is closed when that thread gives it back.
        """
        self._is_closed = True
        self._engine.dispose()
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
            self._lock_descriptor = None

    def _close_late(self, driver_connection: Any, record: ConnectionPoolEntry) -> None:
        if self._is_closed and driver_connection is not None:
            record.invalidate()  # the pool it goes back to is nobody's

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_database(url: str, *, migrations: Path, connections: int = 16) -> Database:
    """Open, check and migrate the database of a room.

    Parameters
    ----------
    url
        `sqlite:///relative.sqlite`, `sqlite:////absolute.sqlite` or `postgresql://user:password@host/name`.
        One database per room: revisions of two rooms in one database are refused as unknown.
    migrations
        The room's folder that holds `versions/*.py`.
    connections
        How many connections may be open at once; callers wait for a free one.

    Raises
    ------
    SettingsError
        The URL names no database that is supported.
    FailedPrecondition
        Another process uses the SQLite file, or the schema is newer than this code.
    DataLoss
        The SQLite file is damaged. It is left as it is.
    Unavailable
        PostgreSQL did not answer.
    """
    database = _open(url, connections)
    try:
        database.migrate(migrations)
    except BaseException:
        database.close()
        raise
    return database


def migrate_database(url: str, *, migrations: Path, revision: str) -> tuple[str, str]:
    """Bring a room's database to a revision, up or down; see `services.host.migrations.migrate` and
    `open_database`. On SQLite no process may use it, on PostgreSQL none should."""
    with _open(url, connections=1) as database:
        return database.migrate(migrations, revision)


def _open(url: str, connections: int) -> Database:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError("database_url cannot be read as a URL.") from None
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, connections)
    if parsed.get_backend_name() == "postgresql":
        return Database(_postgresql_engine(parsed, connections))
    kind = parsed.get_backend_name()
    raise SettingsError(f"database_url must start with sqlite: or postgresql:, not {kind}:.")


def compare_and_set(
    connection: Connection, statement: Update, *, what: str = "row", reason: Reason = Reason.STALE_ETAG
) -> None:
    """Run an UPDATE whose WHERE names what the caller has seen (etag, attempt, state).

    Raises
    ------
    Aborted
        It matched no row: someone else changed `what` first. Leaving `Database.write` this way rolls back.
    """
    if connection.execute(statement).rowcount == 0:
        raise Aborted(f"The {what} was changed by someone else; read it again and decide again.", reason)


def database_now(connection: Connection) -> int:
    """The database's clock in microseconds since 1970 UTC, which is the clock of every lease.

    SQLite has no clock of its own: one process holds the file, and its clock is the one.
    """
    if connection.dialect.name == "sqlite":
        return time.time_ns() // 1_000
    microseconds = connection.execute(
        text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
    )
    return int(microseconds.scalar_one())


@contextmanager
def _translated(*, writing: bool) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        refusal = refusal_of(error, writing=writing)
        if refusal is None:
            raise
        raise refusal from error


def _open_sqlite(url: URL, connections: int) -> Database:
    if not url.database or url.database == ":memory:" or url.query:
        raise SettingsError("database_url needs a plain file for SQLite, as in sqlite:///data.sqlite.")
    path = Path(url.database).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    database = Database(_sqlite_engine(path, connections), _lock(path))
    try:
        with database.write() as connection:
            damage = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
            if damage != "ok":
                raise DataLoss(
                    f"The database {path.name} is damaged; it was left as it is: restore a backup."
                )
    except BaseException:
        database.close()
        raise
    return database


def _lock(path: Path) -> int:
    """Take the lock beside `path`. It goes with the process, however that ends; the file stays."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode("ascii", "replace") or "unknown"
        os.close(descriptor)
        raise FailedPrecondition(
            "database",
            f"The database {path.name} is in use by process {holder}; a SQLite file belongs to one process.",
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _sqlite_engine(path: Path, connections: int) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=WAIT_SECONDS_MAX,
        connect_args={"timeout": WAIT_SECONDS_MAX},  # the busy timeout
        hide_parameters=True,  # what callers sent stays out of the log
    )

    @event.listens_for(engine, "connect")
    def prepare(driver_connection: Any, _record: object) -> None:
        driver_connection.isolation_level = None  # the driver would begin late and DEFERRED; we say BEGIN
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            driver_connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        kind = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if kind == 'DEFERRED' else 'OFF'}")
        connection.exec_driver_sql(f"BEGIN {kind}")

    return engine


def _postgresql_engine(url: URL, connections: int) -> Engine:
    limits = {
        "statement_timeout": f"{STATEMENT_SECONDS_MAX:g}s",
        "lock_timeout": f"{WAIT_SECONDS_MAX:g}s",
        "idle_in_transaction_session_timeout": "60s",
        "timezone": "UTC",
    }
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    given = url.query.get("options", "")  # the operator's options come last: they win
    engine = create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        isolation_level="READ COMMITTED",
        pool_size=connections,
        max_overflow=0,
        pool_timeout=WAIT_SECONDS_MAX,
        pool_pre_ping=True,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={
            "options": f"{options} {given if isinstance(given, str) else ' '.join(given)}".strip(),
            "connect_timeout": int(WAIT_SECONDS_MAX),
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,  # milliseconds
        },
    )

    @event.listens_for(engine, "handle_error")
    def leave_a_standby(context: ExceptionContext) -> None:
        # After a failover the old connections may point at a read-only node: drop them all.
        if getattr(context.original_exception, "sqlstate", None) == READ_ONLY_TRANSACTION:
            context.is_disconnect = True

    @event.listens_for(engine, "checkin")
    def begin_as_the_server_says(driver_connection: Any, _record: object) -> None:
        # After a read SQLAlchemy leaves False behind, and psycopg begins the next transaction READ WRITE,
        # over the default_transaction_read_only with which an operator stops all writing. Of a connection
        # that is lost or at work psycopg refuses the change, and the pool would lose it open.
        if driver_connection is None or driver_connection.read_only is not False:
            return
        if driver_connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE:
            driver_connection.read_only = None

    @event.listens_for(engine, "before_cursor_execute")
    def read_in_binary(
        _connection: Connection, cursor: Any, _sql: str, _given: Any, context: Any, _many: bool
    ) -> None:
        # As text every byte of a bytea is two digits.
        if context is not None and context.execution_options.get("binary_results"):
            cursor.format = psycopg.pq.Format.BINARY

    return engine
