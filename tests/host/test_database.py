"""The promises of a room's database, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from marketml.rpc.refusals import (
    Aborted,
    FailedPrecondition,
    Reason,
    ResourceExhausted,
)
from services.host import database as module
from services.host import explained_start
from services.host.database import Database, compare_and_set, database_now, open_database
from tests.host.accounts import MIGRATIONS, accounts


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url, migrations=MIGRATIONS) as opened:
        with opened.write() as connection:
            connection.execute(insert(accounts), {"id": 1, "balance": 0, "etag": 0})
        yield opened


def balance(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(accounts.c.balance).where(accounts.c.id == 1)).scalar_one())


def test_a_write_is_there_after_the_block_and_for_everybody(database: Database) -> None:
    with database.write() as connection:
        connection.execute(update(accounts).values(balance=7))
    assert balance(database) == 7


def test_an_exception_rolls_the_whole_block_back_and_passes_through(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(update(accounts).values(balance=7))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    assert balance(database) == 0


def test_fifty_concurrent_writers_lose_no_update(database: Database) -> None:
    barrier = threading.Barrier(50, timeout=60)

    def add_one() -> int:
        """Read, decide, compare and set; read again when someone else was first. Returns the attempts."""
        barrier.wait()
        for attempt in range(1, 10_000):
            with database.read() as connection:
                seen = connection.execute(select(accounts).where(accounts.c.id == 1)).one()
            try:
                with database.write() as connection:
                    mine = update(accounts).where(accounts.c.id == 1, accounts.c.etag == seen.etag)
                    changed = {"balance": seen.balance + 1, "etag": seen.etag + 1}
                    compare_and_set(connection, mine.values(changed), what="account")
                return attempt
            except (Aborted, ResourceExhausted):
                continue
        raise AssertionError("10,000 races lost")

    with ThreadPoolExecutor(50) as pool:
        attempts = [future.result() for future in [pool.submit(add_one) for _ in range(50)]]
    assert balance(database) == 50
    assert sum(attempts) >= 50


def test_a_lost_compare_and_set_says_what_to_do_and_changes_nothing(database: Database) -> None:
    def lose() -> None:
        with database.write() as connection:
            connection.execute(insert(accounts), {"id": 2, "balance": 0, "etag": 0})
            late = update(accounts).where(accounts.c.etag == 9).values(balance=1)
            compare_and_set(connection, late, what="job")

    with pytest.raises(Aborted) as raised:
        lose()
    assert raised.value.message == "The job was changed by someone else; read it again and decide again."
    assert raised.value.reason is Reason.STALE_ETAG
    with database.read() as connection:
        assert connection.execute(select(accounts.c.id)).scalars().all() == [1]


def test_every_statement_of_a_read_sees_the_same_state(database: Database) -> None:
    with database.read() as connection:
        query = select(accounts.c.balance)
        before = connection.execute(query).scalar_one()
        with database.write() as other:
            other.execute(update(accounts).values(balance=99))
        assert connection.execute(query).scalar_one() == before
    assert balance(database) == 99


def test_writing_in_a_read_is_a_bug_and_looks_like_one(database: Database) -> None:
    with pytest.raises(DBAPIError), database.read() as connection:
        connection.execute(update(accounts).values(balance=1))
    assert balance(database) == 0


def test_a_broken_constraint_passes_through_for_the_store_to_name(database: Database) -> None:
    with pytest.raises(IntegrityError) as raised, database.write() as connection:
        connection.execute(insert(accounts), {"id": 1, "balance": 0, "etag": 0, "owner": "c4n4ry"})
    assert "c4n4ry" not in str(raised.value).split("\n")[0]
    assert "parameters hidden" in str(raised.value)


def test_wrong_sql_passes_through_as_the_bug_it_is(database: Database) -> None:
    with pytest.raises(DBAPIError), database.read() as connection:
        connection.execute(text("SELECT nothing FROM nowhere"))


def test_the_clock_of_the_database_is_near_ours_and_does_not_run_backwards(database: Database) -> None:
    with database.read() as connection:
        stamps = [database_now(connection) for _ in range(50)]
    assert stamps == sorted(stamps)
    assert abs(stamps[0] / 1e6 - time.time()) < 60


def test_callers_wait_for_a_free_connection_and_are_told_when_none_comes(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS_MAX", 0.3)
    if database_url.startswith("postgresql"):
        monkeypatch.setattr(module, "WAIT_SECONDS_MAX", 2.0)  # PostgreSQL's own timeout is in whole seconds
    with open_database(database_url, migrations=MIGRATIONS, connections=1) as database:
        with database.read(), pytest.raises(ResourceExhausted) as raised, database.read():
            pass
        assert raised.value.reason is Reason.OVERLOADED
        assert raised.value.retry_after_seconds == 1.0
        with database.read() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_second_migration_folder_of_another_room_is_refused(database_url: str, tmp_path: Path) -> None:
    with open_database(database_url, migrations=MIGRATIONS):
        pass
    versions = tmp_path / "other" / "versions"
    versions.mkdir(parents=True)
    (versions / "other.py").write_text('revision = "other_1"\ndown_revision = None\ndef upgrade(): ...\n')
    with pytest.raises(FailedPrecondition) as raised:
        open_database(database_url, migrations=tmp_path / "other")
    assert "revision test_2, which this version does not know" in raised.value.message


@pytest.mark.parametrize(
    "url",
    [
        "mysql://localhost/x",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x?mode=ro",
        "",
        "s3cret",
        "x://:99999999/",
    ],
)
def test_a_url_of_another_kind_is_refused_by_its_variable(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"^database_url (must|needs|cannot)"):
        open_database(url, migrations=MIGRATIONS)
    with pytest.raises(SystemExit), explained_start("echo"):
        open_database(url, migrations=MIGRATIONS)
    said = json.loads(capsys.readouterr().err)["message"]
    assert said.startswith("The echo room cannot start: MARKETML_ECHO_DATABASE_URL ")
    assert "s3cret" not in said


def test_a_connection_in_use_when_the_database_closes_is_closed_when_it_comes_back(
    database: Database,
) -> None:
    with database.read() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        database.close()
        assert connection.execute(select(accounts.c.balance)).scalar_one() == 0
    if database.dialect == "sqlite":
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            driver.total_changes  # noqa: B018
    else:
        assert driver.closed
