"""Runs of policies: each is one process's at a time, by the database's clock; a dead one's fall due again."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from sqlalchemy import update

from services.data.__main__ import MIGRATIONS
from services.data.collection.policies import ERROR_LENGTH_MAX, Change, Draft, Ending, storable_sentence
from services.data.series import CANDLES, FUNDING_RATES, Series
from services.data.store import PolicyStore
from services.data.store.policy_store import POLICIES
from services.host.database import Database, open_database
from tests.support.waiting import eventually

BARS = Series(CANDLES, "binance", "BTC/USDT", "1h")
RATES = Series(FUNDING_RATES, "binance", "BTC/USDT:USDT")
LONG_US, SHORT_US = 60 * 10**6, 50_000
HOUR_US = 3600 * 10**6


class Store(PolicyStore):
    """With its database, for tests that let time pass."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.database = database


@pytest.fixture
def stores(database_url):
    """Two rooms' stores: on PostgreSQL each has connections of its own, a SQLite file belongs to one."""
    with ExitStack() as opened:
        count = 2 if database_url.startswith("postgresql") else 1
        found = [
            opened.enter_context(open_database(database_url, migrations=MIGRATIONS)) for _ in range(count)
        ]
        yield Store(found[0]), Store(found[-1])


def made(store, series=BARS, **given):
    return store.create_policy(Draft(series, **({"interval_us": HOUR_US} | given)), request_id="", body=b"")


def claimed(store, lease_us=LONG_US):
    [lease] = store.claim(8, lease_us)
    return lease


def now_us() -> int:
    return time.time_ns() // 1000


def test_a_new_policy_is_due_at_once_and_once(stores):
    one, other = stores
    policy = made(one)
    lease = claimed(one)
    assert (lease.policy_id, lease.series, lease.due_us) == (policy.policy_id, BARS, policy.create_time_us)
    assert other.claim(8, LONG_US) == []
    assert other.policy(policy.policy_id).status.is_running


def test_of_many_who_claim_at_once_one_gets_each_run(stores):
    series = [
        Series(CANDLES, "binance", "BTC/USDT", frame) for frame in ("1m", "5m", "15m", "1h", "4h", "1d")
    ]
    for each in series:
        made(stores[0], each)
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda number: stores[number % 2].claim(2, LONG_US), range(16)))
    taken = [lease.series for leases in runs for lease in leases]
    assert sorted(taken, key=lambda one: one.name) == sorted(series, key=lambda one: one.name)
    assert all(len(leases) <= 2 for leases in runs)


def test_the_longest_due_is_taken_first(stores):
    first, second = made(stores[0]), made(stores[0], RATES)
    assert [lease.policy_id for lease in stores[1].claim(1, LONG_US)] == [first.policy_id]
    assert [lease.policy_id for lease in stores[1].claim(1, LONG_US)] == [second.policy_id]


def test_a_run_whose_lease_is_over_is_taken_over_and_the_late_one_changes_nothing(stores):
    one, other = stores
    made(one)
    dead = claimed(one, SHORT_US)
    taken = eventually(lambda: other.claim(1, LONG_US))[0]
    assert taken.policy_id == dead.policy_id
    assert not one.renew(dead, LONG_US)
    assert not one.end_run(dead, Ending(7, "late"))
    one.give_back(dead)
    assert other.renew(taken, LONG_US)
    assert other.end_run(taken, Ending(5))
    status = one.policy(taken.policy_id).status
    assert (status.inserted_count, status.error) == (5, "")


def test_the_next_process_of_a_file_takes_up_what_the_last_one_held(stores):
    one, other = stores
    made(one)
    lease = claimed(one)
    other.free_dead()
    is_file = one.database.dialect == "sqlite"
    assert len(other.claim(1, LONG_US)) == is_file
    assert one.renew(lease, LONG_US) == (not is_file)


def test_a_renewed_lease_lasts(stores):
    one, other = stores
    made(one)
    lease = claimed(one, SHORT_US)
    assert one.renew(lease, LONG_US)
    eventually(lambda: now_us() > lease.begin_us + 2 * SHORT_US)
    assert other.claim(1, LONG_US) == []


def test_a_run_that_went_to_the_end_is_due_again_an_interval_after_it_was(stores):
    policy = made(stores[0])
    lease = claimed(stores[1])
    assert stores[1].end_run(lease, Ending(42))
    status = stores[0].policy(policy.policy_id).status
    assert status.next_run_us == lease.due_us + HOUR_US
    assert status.last_run_us == status.last_success_us == lease.begin_us
    assert (status.inserted_count, status.error, status.failed_runs_count) == (42, "", 0)
    assert not status.is_running
    assert stores[0].claim(1, LONG_US) == []
    assert stores[0].policy(policy.policy_id).etag == policy.etag


def test_failed_runs_are_counted_and_told_until_one_goes_to_the_end(stores):
    store, _ = stores
    policy = made(store, interval_us=10 * 10**6)
    for count in (1, 2):
        lease = claimed(store)
        assert store.end_run(lease, Ending(count, "The exchange is closed."))
        status = store.policy(policy.policy_id).status
        assert (status.error, status.failed_runs_count) == ("The exchange is closed.", count)
        assert status.inserted_count == count
        assert status.last_success_us is None
        assert now_us() < status.next_run_us <= now_us() + 10 * 10**6
        _make_due(store, policy)
    lease = claimed(store)
    assert store.end_run(lease, Ending(0))
    status = store.policy(policy.policy_id).status
    assert (status.error, status.failed_runs_count) == ("", 0)
    assert status.last_success_us == lease.begin_us


def _make_due(store, policy):
    """Let a policy's interval pass, as far as the store can tell."""
    with store.database.write() as connection:
        mine = update(POLICIES).where(POLICIES.c.policy_id == policy.policy_id)
        connection.execute(mine.values(next_run_us=now_us() - 1))


def test_a_paused_policy_is_not_run_and_a_run_under_way_is_lost(stores):
    one, other = stores
    policy = made(one, is_paused=True)
    assert one.claim(1, LONG_US) == []
    one.update_policy(Change(policy.policy_id, is_paused=False), request_id="", body=b"")
    lease = claimed(one)
    other.update_policy(Change(policy.policy_id, is_paused=True), request_id="", body=b"")
    assert not one.renew(lease, LONG_US)
    one.give_back(lease)
    other.update_policy(Change(policy.policy_id, is_paused=False), request_id="", body=b"")
    again = claimed(other)
    assert again.due_us == lease.due_us


def test_a_deleted_policy_ends_its_run(stores):
    one, other = stores
    policy = made(one)
    lease = claimed(one)
    other.delete_policy(policy.policy_id, request_id="", body=b"")
    assert not one.renew(lease, LONG_US)
    assert not one.end_run(lease, Ending(1))
    one.give_back(lease)
    assert one.policies(None, 10) == []


def test_a_run_given_back_is_due_at_once_and_counts_as_none(stores):
    policy = made(stores[0])
    lease = claimed(stores[0])
    stores[0].give_back(lease)
    assert stores[1].policy(policy.policy_id).status.last_run_us is None
    assert claimed(stores[1]).due_us == lease.due_us


def test_a_new_interval_counts_from_the_last_run(stores):
    store, _ = stores
    policy = made(store)
    lease = claimed(store)
    store.end_run(lease, Ending(0))
    changed = store.update_policy(Change(policy.policy_id, 2 * HOUR_US), request_id="", body=b"")
    assert changed.status.next_run_us == lease.begin_us + 2 * HOUR_US
    store.update_policy(Change(policy.policy_id, 10 * 10**6), request_id="", body=b"")
    assert store.policy(policy.policy_id).status.next_run_us <= now_us() + 10 * 10**6


def test_an_error_of_any_text_is_stored(stores):
    store, _ = stores
    policy = made(store)
    text = storable_sentence("a\0b \ud800 é " + "x" * 2000)
    store.end_run(claimed(store), Ending(0, text))
    assert store.policy(policy.policy_id).status.error == text
    assert text.startswith("ab ? é x")
    assert len(text) == ERROR_LENGTH_MAX
