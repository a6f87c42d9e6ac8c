"""The database of the tests of the host: one table, and the folder of its migrations."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, String, Table, select

from services.host.database import Database, open_database

MIGRATIONS = Path(__file__).with_name("migrations")
accounts = Table(
    "accounts",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("balance", Integer, nullable=False),
    Column("etag", Integer, nullable=False),
    Column("owner", String),
)


def balance_of_all(database: Database) -> int:
    """The sum over all rows."""
    with database.read() as connection:
        return sum(connection.execute(select(accounts.c.balance)).scalars())


def opened(path: Path) -> Database:
    """The database in a SQLite file."""
    return open_database(f"sqlite:///{path}", migrations=MIGRATIONS)
