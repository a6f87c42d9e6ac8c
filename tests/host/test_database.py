"""The promises of a room's database, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from marketml.rpc.refusals import (
    Aborted,
    DataLoss,
    FailedPrecondition,
    Reason,
    Refusal,
    ResourceExhausted,
    Unavailable,
)
from services.host import database as module
from services.host import explained_start
from services.host.database import Database, compare_and_set, database_now, open_database
from tests.support.programs import ROOT

MIGRATIONS = Path(__file__).with_name("migrations")
accounts = Table(
    "accounts",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("balance", Integer, nullable=False),
    Column("etag", Integer, nullable=False),
    Column("owner", String),
)


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


# ── SQLite ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "room.sqlite"


def opened(path: Path) -> Database:
    return open_database(f"sqlite:///{path}", migrations=MIGRATIONS)


def test_sqlite_is_durable_and_keeps_foreign_keys(path: Path) -> None:
    with opened(path) as database:
        for transaction in (database.read, database.write):
            with transaction() as connection:

                def pragma(name: str, connection: Any = connection) -> Any:
                    return connection.execute(text(f"PRAGMA {name}")).scalar_one()

                assert pragma("journal_mode") == "wal"
                assert pragma("synchronous") == 2
                assert pragma("foreign_keys") == 1
                assert pragma("busy_timeout") == 5000


def test_a_sqlite_file_belongs_to_one_process(path: Path) -> None:
    with opened(path):
        with pytest.raises(FailedPrecondition) as raised:
            opened(path)
        assert f"in use by process {os.getpid()}" in raised.value.message
        assert str(path.parent) not in raised.value.message
    opened(path).close()


def test_the_lock_of_a_killed_process_is_free_again(path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom services.host.database import open_database\n"
        f"d = open_database('sqlite:///{path}', migrations=Path({str(MIGRATIONS)!r}))\n"
        "print('open', flush=True)\nsys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(FailedPrecondition, match=rf"in use by process {holder.pid};"):
            opened(path)
        holder.send_signal(signal.SIGKILL)
        holder.wait(20)
    opened(path).close()


@pytest.mark.parametrize("keep_header", [False, True])
def test_a_damaged_sqlite_file_is_data_loss_and_left_as_it_is(path: Path, keep_header: bool) -> None:
    with opened(path) as database, database.write() as connection:
        rows = [{"id": row, "balance": 0, "etag": 0, "owner": "x" * 500} for row in range(200)]
        connection.execute(insert(accounts), rows)
    content = path.read_bytes()
    damaged = (content[:4096] if keep_header else b"\x07" * 4096) + b"\x07" * (len(content) - 4096)
    path.write_bytes(damaged)
    with pytest.raises(DataLoss) as raised:
        opened(path)
    assert "damaged" in raised.value.message
    assert str(path.parent) not in raised.value.message
    assert path.read_bytes() == damaged


def test_writers_of_sqlite_queue_and_one_who_waits_too_long_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as database:
        monkeypatch.setattr(module, "WAIT_SECONDS_MAX", 0.2)
        entered, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with database.write():
                entered.set()
                leave.wait(60)

        holder = threading.Thread(target=hold)
        holder.start()
        try:
            assert entered.wait(20)
            with pytest.raises(Unavailable) as raised, database.write():
                pass
            assert raised.value.reason is Reason.STORE_DOWN
            assert balance_of_all(database) == 0  # readers do not wait for the writer
        finally:
            leave.set()
            holder.join(20)
        with database.write() as connection:
            connection.execute(insert(accounts), {"id": 1, "balance": 5, "etag": 0})
        assert balance_of_all(database) == 5


def balance_of_all(database: Database) -> int:
    with database.read() as connection:
        return sum(connection.execute(select(accounts.c.balance)).scalars())


def test_a_full_disk_is_resource_exhausted_and_the_file_stays_whole(path: Path) -> None:
    with opened(path) as database:
        rows = [{"id": row, "balance": 0, "etag": 0, "owner": "x" * 500} for row in range(1000)]

        def fill() -> None:
            with database.write() as connection:
                connection.execute(text("PRAGMA max_page_count=20"))
                connection.execute(insert(accounts), rows)

        with pytest.raises(ResourceExhausted) as raised:
            fill()
        assert raised.value.reason is Reason.DISK_FULL
    with opened(path) as database:
        assert balance_of_all(database) == 0


# ── PostgreSQL ──────────────────────────────────────────────────────────────────────────────────────────────


def test_postgresql_runs_in_utc_with_bounded_waits(postgresql_url: str) -> None:
    with open_database(postgresql_url, migrations=MIGRATIONS) as database, database.write() as connection:

        def setting(name: str) -> Any:
            return connection.execute(text(f"SHOW {name}")).scalar_one()

        assert setting("timezone") == "UTC"
        assert setting("statement_timeout") == "30s"
        assert setting("lock_timeout") == "5s"
        assert setting("transaction_isolation") == "read committed"
        assert setting("synchronous_commit") == "on"


def test_a_lost_connection_is_unavailable_once_and_then_replaced(postgresql_url: str) -> None:
    with open_database(postgresql_url, migrations=MIGRATIONS) as database:
        with pytest.raises(Unavailable) as raised, database.write() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        assert raised.value.reason is Reason.STORE_DOWN
        assert "postgres" not in raised.value.message.lower()
        with database.read() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_connection_that_died_in_the_pool_is_not_seen_by_anyone(postgresql_url: str) -> None:
    with open_database(postgresql_url, migrations=MIGRATIONS) as database:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        with database.read(), database.read():  # two more connections, given back by the next line
            pass
        with database.write() as connection:
            connection.execute(text(f"{others} AND pid <> pg_backend_pid()"))
        for _ in range(3):
            with database.read() as connection:
                assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as raised:
        open_database(f"postgresql://someone:s3cret@/x?host={tmp_path}", migrations=MIGRATIONS)
    assert "s3cret" not in raised.value.message
    assert str(tmp_path) not in raised.value.message


@pytest.mark.parametrize(
    ("state", "refusal", "reason"),
    [
        ("40001", Aborted, Reason.LOST_RACE),
        ("40P01", Aborted, Reason.LOST_RACE),
        ("53100", ResourceExhausted, Reason.DISK_FULL),
        ("53300", Unavailable, Reason.STORE_DOWN),
        ("57P01", Unavailable, Reason.STORE_DOWN),
        ("57014", Unavailable, Reason.STORE_DOWN),
        ("55P03", Unavailable, Reason.STORE_DOWN),
        ("25006", Unavailable, Reason.STORE_DOWN),
        ("08006", Unavailable, Reason.STORE_DOWN),
        ("XX001", DataLoss, Reason.DIGEST_MISMATCH),
    ],
)
def test_what_postgresql_says_has_one_translation(
    postgresql_url: str, state: str, refusal: type[Refusal], reason: Reason
) -> None:
    with open_database(postgresql_url, migrations=MIGRATIONS) as database:
        raising = f"DO $$ BEGIN RAISE EXCEPTION 'secret' USING ERRCODE = '{state}'; END $$"
        with pytest.raises(refusal) as raised, database.write() as connection:
            connection.execute(text(raising))
        assert raised.value.reason is reason
        assert "secret" not in raised.value.message


def test_a_deadlock_is_a_lost_race_for_one_and_a_success_for_the_other(postgresql_url: str) -> None:
    with open_database(postgresql_url, migrations=MIGRATIONS) as database:
        with database.write() as connection:
            rows = [{"id": row, "balance": 0, "etag": 0} for row in (1, 2)]
            connection.execute(insert(accounts), rows)
        both_hold_one = threading.Barrier(2, timeout=30)

        def swap(first: int, second: int) -> str:
            try:
                with database.write() as connection:
                    connection.execute(update(accounts).where(accounts.c.id == first).values(balance=1))
                    both_hold_one.wait()
                    connection.execute(update(accounts).where(accounts.c.id == second).values(balance=1))
            except Aborted as lost:
                return str(lost.reason)
            return "won"

        with ThreadPoolExecutor(2) as pool:
            outcomes: Callable[[], list[str]] = lambda: sorted(pool.map(swap, (1, 2), (2, 1)))  # noqa: E731
            assert outcomes() == ["LOST_RACE", "won"]


# ── Migrations ──────────────────────────────────────────────────────────────────────────────────────────────


def test_processes_that_start_at_once_migrate_once(postgresql_url: str) -> None:
    script = (
        "from pathlib import Path\nfrom services.host.database import open_database\n"
        f"open_database({postgresql_url!r}, migrations=Path({str(MIGRATIONS)!r})).close()\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) for _ in range(6)]
    assert [process.wait(120) for process in started] == [0] * 6
    with open_database(postgresql_url, migrations=MIGRATIONS) as database, database.read() as connection:
        revisions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        assert revisions == ["test_2"]


def test_threads_that_open_databases_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        databases = list(pool.map(lambda number: opened(tmp_path / f"{number}.sqlite"), range(8)))
    for database in databases:
        assert balance_of_all(database) == 0
        database.close()


def test_a_migration_that_fails_leaves_the_schema_as_it_was(database_url: str, tmp_path: Path) -> None:
    with open_database(database_url, migrations=MIGRATIONS):
        pass
    versions = tmp_path / "later" / "versions"
    versions.mkdir(parents=True)
    for source in (MIGRATIONS / "versions").glob("*.py"):
        (versions / source.name).write_bytes(source.read_bytes())
    (versions / "0003_broken.py").write_text(
        'from alembic import op\nrevision = "test_3"\ndown_revision = "test_2"\n'
        'def upgrade():\n    op.execute("CREATE TABLE half (id INTEGER)")\n    raise KeyError("broken")\n'
    )
    with pytest.raises(KeyError, match="broken"):
        open_database(database_url, migrations=tmp_path / "later")
    with open_database(database_url, migrations=MIGRATIONS) as database, database.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "test_2"
        assert not sqlalchemy.inspect(connection).has_table("half")


def test_a_folder_with_two_newest_revisions_is_refused(tmp_path: Path) -> None:
    versions = tmp_path / "split" / "versions"
    versions.mkdir(parents=True)
    for name in ("a", "b"):
        (versions / f"{name}.py").write_text(
            f'revision = "{name}"\ndown_revision = None\ndef upgrade(): ...\n'
        )
    with pytest.raises(ValueError, match="must have one newest revision, has 2"):
        open_database(f"sqlite:///{tmp_path}/x.sqlite", migrations=tmp_path / "split")


def test_sqlite_is_asked_for_damage_before_it_is_migrated(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(DataLoss):
        opened(path)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(path).execute("SELECT 1 FROM sqlite_master")
