"""Alembic at the start of a room, without `alembic.ini` and `env.py`: just `migrations/versions/*.py`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from marketml.rpc.refusals import FailedPrecondition

_LOCK_KEY = 0x6D6B746D6C  # "mktml": any number, the same in every process
_one_at_a_time = threading.Lock()  # `alembic.op` is a module-wide proxy


def migrate(engine: Engine, folder: Path) -> None:
    """Bring the schema to the newest revision in `folder/versions`: all of it or nothing, in one transaction.

    Processes that start at the same moment take turns (advisory lock on PostgreSQL, the file's writer on
    SQLite); the later ones find nothing left to do. Foreign keys of SQLite are off while tables are rebuilt
    (`op.batch_alter_table`) and are checked before the commit.

    Raises
    ------
    FailedPrecondition
        The database is at a revision this code does not know: a newer version, or another room, wrote it.
    ValueError
        The folder has no single newest revision.
    """
    script = ScriptDirectory(str(folder))
    if len(script.get_heads()) != 1:
        raise ValueError(f"{folder}: must have one newest revision, has {len(script.get_heads())}.")
    with _one_at_a_time, _schema_transaction(engine) as connection:
        _refuse_unknown(script, connection)
        with EnvironmentContext(
            Config(), script, fn=lambda current, _context: script._upgrade_revs("head", current)
        ) as environment:
            environment.configure(connection=connection, transactional_ddl=True)
            environment.run_migrations()


def _refuse_unknown(script: ScriptDirectory, connection: Connection) -> None:
    for revision in MigrationContext.configure(connection).get_current_heads():
        try:
            script.get_revision(revision)
        except CommandError:
            raise FailedPrecondition(
                "database",
                f"The database is at revision {revision}, which this version does not know: "
                "start the version that wrote it, or restore a backup.",
            ) from None


@contextmanager
def _schema_transaction(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            with connection.begin():
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
                yield connection
            return
        driver_connection = connection.connection.driver_connection
        assert driver_connection is not None
        driver_connection.execute("PRAGMA foreign_keys=OFF")  # has no effect inside a transaction
        try:
            with connection.begin():
                yield connection
                orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
                if orphans:
                    raise ValueError(f"The migration leaves {len(orphans)} rows that refer to nothing.")
        finally:
            driver_connection.execute("PRAGMA foreign_keys=ON")
