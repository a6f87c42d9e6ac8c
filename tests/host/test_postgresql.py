"""What is PostgreSQL's own: bounded waits, lost connections, and one translation of what it says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text, update

from marketml.rpc.refusals import (
    Aborted,
    DataLoss,
    Reason,
    Refusal,
    ResourceExhausted,
    Unavailable,
)
from services.host.database import open_database
from tests.host.accounts import MIGRATIONS, accounts


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
