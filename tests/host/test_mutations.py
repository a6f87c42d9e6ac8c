"""One effect per request_id, however often and however concurrently the request arrives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, func, insert, select, update

from marketml.rpc.refusals import AlreadyExists, FailedPrecondition, InvalidArgument, Reason, Unavailable
from services.host.database import Database, open_database
from services.host.mutations import check_request_id, mutations_table, once, sweep_mutations
from tests.host.accounts import MIGRATIONS, accounts

mutations = mutations_table(accounts.metadata)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url, migrations=MIGRATIONS, connections=24) as opened:
        yield opened


def insert_account(connection: Connection) -> bytes:
    """An effect that shows when it happens twice, and an answer that shows which time it was."""
    number = connection.execute(select(func.count()).select_from(accounts)).scalar_one() + 1
    connection.execute(insert(accounts), {"id": number, "balance": 0, "etag": 0})
    return f"account {number}".encode()


def send(
    database: Database,
    request_id: str,
    body: bytes = b"body",
    method: str = "Open",
    effect: Callable[[Connection], bytes] = insert_account,
) -> bytes:
    with database.write() as connection:
        return once(connection, request_id, method, body, effect)


def accounts_count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(accounts)).scalar_one())


def test_a_repeated_request_has_one_effect_and_the_same_answer(database: Database) -> None:
    assert send(database, "r-1") == send(database, "r-1") == b"account 1"
    assert accounts_count(database) == 1
    assert send(database, "r-2") == b"account 2"


def test_twenty_equal_requests_at_once_have_one_effect_and_one_answer(database: Database) -> None:
    barrier = threading.Barrier(20, timeout=60)

    def attempt(_number: int) -> bytes:
        barrier.wait()
        return send(database, "r-1")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(attempt, range(20)))
    assert answers == [b"account 1"] * 20
    assert accounts_count(database) == 1


@pytest.mark.parametrize(("body", "method"), [(b"other", "Open"), (b"body", "Close")])
def test_the_same_id_with_another_body_or_method_is_refused_and_changes_nothing(
    database: Database, body: bytes, method: str
) -> None:
    send(database, "r-1")
    with pytest.raises(AlreadyExists) as raised:
        send(database, "r-1", body, method)
    assert raised.value.reason is Reason.REQUEST_ID_REUSED
    assert raised.value.name == "r-1"
    assert accounts_count(database) == 1


def test_a_refused_request_is_not_remembered_and_may_succeed_later(database: Database) -> None:
    def refuse(connection: Connection) -> bytes:
        insert_account(connection)
        raise FailedPrecondition("alias", "The alias points here.")

    with pytest.raises(FailedPrecondition):
        send(database, "r-1", effect=refuse)
    assert accounts_count(database) == 0
    assert send(database, "r-1") == b"account 1"


def test_without_an_id_every_request_has_its_effect(database: Database) -> None:
    assert [send(database, "") for _ in range(3)] == [b"account 1", b"account 2", b"account 3"]


def test_a_retry_after_a_lost_answer_gets_that_answer(database: Database) -> None:
    def commit_and_lose_the_answer() -> None:
        send(database, "r-1")
        raise Unavailable("The connection broke after the commit.")

    with pytest.raises(Unavailable):
        commit_and_lose_the_answer()
    assert send(database, "r-1") == b"account 1"
    assert accounts_count(database) == 1


def test_an_answer_of_any_bytes_is_given_back(database: Database) -> None:
    answer = bytes(range(256)) * 100
    assert send(database, "r-1", effect=lambda _connection: answer) == answer
    assert send(database, "r-1", effect=lambda _connection: b"never") == answer


def test_old_answers_are_forgotten_by_the_databases_clock(database: Database) -> None:
    send(database, "old")
    send(database, "new")
    with database.write() as connection:
        aged = update(mutations).where(mutations.c.request_id == "old")
        connection.execute(aged.values(created_time_us=mutations.c.created_time_us - 100_000_000))
    with database.write() as connection:
        assert sweep_mutations(connection, retention_seconds=50) == 1
    assert send(database, "new") == b"account 2"
    assert send(database, "old") == b"account 3"


@given(st.text(max_size=200))
def test_an_id_is_in_the_grammar_or_refused_with_its_field(request_id: str) -> None:
    plain = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-")
    if len(request_id) <= 128 and set(request_id) <= plain:
        check_request_id(request_id)
        return
    with pytest.raises(InvalidArgument) as raised:
        check_request_id(request_id, "header.request_id")
    assert raised.value.violations[0].field == "header.request_id"


def test_a_request_id_that_breaks_the_grammar_changes_nothing(tmp_path: Path) -> None:
    with open_database(f"sqlite:///{tmp_path}/x.sqlite", migrations=MIGRATIONS) as database:
        with pytest.raises(InvalidArgument):
            send(database, "a b")
        assert accounts_count(database) == 0
