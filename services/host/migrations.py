"""Alembic without `alembic.ini` and `env.py`, only `versions/*.py`: at a room's start, and when asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import op
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument

NEWEST, OLDEST = "head", "base"
_LOCK_KEY = 0x6D6B746D6C  # "mktml": any number, the same in every process
_one_at_a_time = threading.Lock()  # `alembic.op` is a module-wide proxy


def migrate(engine: Engine, folder: Path, revision: str = NEWEST) -> tuple[str, str]:
    """Bring the schema to a revision in `folder/versions`, up or down: the whole way or not at all, in one
    transaction.

    Processes that start at the same moment take turns (advisory lock on PostgreSQL, the file's writer on
    SQLite); the later ones find nothing left to do. Foreign keys of SQLite are off while tables are rebuilt
    (`op.batch_alter_table`) and are checked before the commit.

    Parameters
    ----------
    revision
        `head` is the newest, `base` is before the first one.

    Returns
    -------
    (str, str)
        The revision before, and now.

    Raises
    ------
    FailedPrecondition
        The database is at a revision this code does not know: a newer version, or another room, wrote it. Or
        it holds something that the older revision has no place for.
    InvalidArgument
        There is no such revision.
    ValueError
        The folder has no single newest revision.
    """
    script = ScriptDirectory(str(folder))
    if len(script.get_heads()) != 1:
        raise ValueError(f"{folder}: must have one newest revision, has {len(script.get_heads())}.")
    known = [OLDEST, *(each.revision for each in reversed(list(script.walk_revisions())))]
    if revision not in known and revision != NEWEST:
        raise InvalidArgument.of(
            "revision", "unknown", f"must be {NEWEST} or one of {', '.join(known)}, not {revision!r}."
        )
    wanted = known[-1] if revision == NEWEST else revision
    with _one_at_a_time, _schema_transaction(engine) as connection:
        _refuse_unknown(script, connection)
        heads = MigrationContext.configure(connection).get_current_heads()
        found = heads[0] if heads else OLDEST

        def steps(current: Any, _context: object) -> Any:
            if known.index(wanted) < known.index(found):
                return script._downgrade_revs(wanted, current)
            return script._upgrade_revs(wanted, current) if wanted != found else []

        with EnvironmentContext(Config(), script, fn=steps) as environment:
            environment.configure(connection=connection, transactional_ddl=True)
            environment.run_migrations()
    return found, wanted


def refuse_rows(table: str, condition: str, what: str) -> None:
    """In a downgrade: refuse it while a table has rows that the older schema has no place for. Nobody adds
    one until the downgrade is over.

    Parameters
    ----------
    condition
        SQL. Like the others a constant of the migration.
    what
        The rows as a plural, and what to do about them: "collection policies; delete them".
    """
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
    query = text(f"SELECT count(*) FROM {table} WHERE {condition}")
    if count := connection.execute(query).scalar_one():
        raise no_place(f"{count} {what}")


def no_place(what: str) -> FailedPrecondition:
    """The refusal of a downgrade; `what` as in `refuse_rows`."""
    return FailedPrecondition(
        "database",
        f"The older revision has no place for {what}, or restore a backup; nothing was changed.",
    )


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
