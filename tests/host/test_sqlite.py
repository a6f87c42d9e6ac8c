"""What is SQLite's own: durability, one process, one writer, damage, a full disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from marketml.rpc.refusals import (
    DataLoss,
    FailedPrecondition,
    Reason,
    ResourceExhausted,
    Unavailable,
)
from services.host import database as module
from tests.host.accounts import MIGRATIONS, accounts, balance_of_all, opened
from tests.support.programs import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "room.sqlite"


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


def test_sqlite_is_asked_for_damage_before_it_is_migrated(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(DataLoss):
        opened(path)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(path).execute("SELECT 1 FROM sqlite_master")
