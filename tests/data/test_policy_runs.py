"""Policies run: by one room of several, again and again, over failures, kills and restarts, until stopped."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from datetime import timedelta

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from marketml.clients.data import DataClient
from tests.data.market import data_room
from tests.support.exchange_server import HOUR
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually

VENUE, SYMBOL = "binanceusdm", "BTC/USDT:USDT"
BARS = ("candles", VENUE, SYMBOL, "1h")
LISTED, BARS_COUNT = pd.Timestamp("2024-01-01", tz="UTC"), 24  # what the exchange has at first


def settings_for(exchange, **given):
    asking = {"exchange_urls": f"{VENUE}={exchange.url}", "exchange_attempts_count": 2}
    return asking | {"exchange_backoff_seconds": 0.05, "collection_lease_seconds": 1.0} | given


@pytest.fixture
def start(exchange, tmp_path):
    """Start a room on a database, collecting from the exchange. All are stopped at the end."""
    with ExitStack() as rooms:
        yield lambda url, **given: rooms.enter_context(
            data_room(url, tmp_path, **settings_for(exchange, **given))
        )


def made(client, *series, **given):
    return client.create_collection_policy(*(series or BARS), **({"interval": timedelta(days=1)} | given))


def status(client, policy):
    return client.get_collection_policy(policy.policy_id).status


def run_count(client, policy):
    """The begin of the last run, 0 before one."""
    return status(client, policy).last_run_time.ToMicroseconds()


def make_due(database_url, policy):
    """Let the policy's interval pass."""
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        passed = text("UPDATE collection_policies SET next_run_us = create_time_us WHERE policy_id = :id")
        connection.execute(passed, {"id": policy.policy_id})
    engine.dispose()


def next_run(client, database_url, policy):
    """Have the policy run again, and how that went."""
    before = run_count(client, policy)
    make_due(database_url, policy)
    eventually(lambda: run_count(client, policy) > before, 30, "the next run")
    return status(client, policy)


def row_count(client):
    return sum(series.row_count for series in client.list_series())


def test_a_policy_is_run_at_once_and_again_and_takes_what_is_new(database_url, exchange, start):
    client = start(database_url).client
    policy = made(client)
    eventually(lambda: run_count(client, policy), 60, "the first run")
    first = status(client, policy)
    assert (first.inserted, first.error, first.failed_runs_count) == (BARS_COUNT, "", 0)
    assert first.last_success_time == first.last_run_time
    assert first.next_run_time.seconds == policy.create_time.seconds + 86_400
    exchange.now += 3 * HOUR
    again = next_run(client, database_url, policy)
    assert again.inserted == 3
    [series] = client.list_series()
    assert series.row_count == BARS_COUNT + 3
    assert series.missing_bars_count == 0
    assert series.collection.last_run_time == again.last_run_time
    assert series.collection.lag.seconds > again.last_run_time.seconds - exchange.now // 1000


def test_an_error_is_shown_until_a_run_goes_to_the_end(database_url, exchange, start):
    client = start(database_url).client
    exchange.is_down = True
    policy = made(client)
    eventually(lambda: run_count(client, policy), 60, "the first run")
    failed = status(client, policy)
    assert VENUE in failed.error
    assert "503" in failed.error
    assert exchange.url not in failed.error
    assert (failed.failed_runs_count, failed.inserted) == (1, 0)
    assert not failed.HasField("last_success_time")
    assert 0 < failed.next_run_time.seconds - failed.last_run_time.seconds <= 120
    assert next_run(client, database_url, policy).failed_runs_count == 2
    exchange.is_down = False
    well = next_run(client, database_url, policy)
    assert (well.error, well.failed_runs_count, well.inserted) == ("", 0, BARS_COUNT)
    assert well.last_success_time == well.last_run_time


def test_a_symbol_that_the_exchange_does_not_have_is_told(database_url, start):
    client = start(database_url).client
    policy = made(client, "candles", VENUE, "NOPE/USDT:USDT", "1h")
    eventually(lambda: run_count(client, policy), 60, "the first run")
    assert status(client, policy).error.startswith(f"symbol: must be a market of {VENUE}")
    assert client.list_series() == []


def test_a_paused_run_stops_and_goes_on_when_it_is_resumed(database_url, exchange, start):
    client = start(database_url).client
    exchange.rows_max = 5
    exchange.hold.clear()
    policy = made(client, start=LISTED)
    eventually(lambda: exchange.asked, 60, "the first page asked for")
    assert status(client, policy).is_running
    client.update_collection_policy(policy.policy_id, paused=True)
    eventually(lambda: not status(client, policy).is_running, 30, "the end of the run")
    assert not status(client, policy).HasField("last_run_time")
    exchange.hold.set()
    client.update_collection_policy(policy.policy_id, paused=False)
    eventually(lambda: run_count(client, policy), 60, "the run after the pause")
    assert row_count(client) == BARS_COUNT
    assert status(client, policy).error == ""


def test_a_run_ends_with_its_policy(database_url, exchange, start):
    client = start(database_url, collection_runs_count=1).client
    exchange.rows_max = 5
    exchange.hold.clear()
    policy = made(client, start=LISTED)
    eventually(lambda: exchange.asked, 60, "the first page asked for")
    client.delete_collection_policy(policy.policy_id)
    other = made(client, "funding_rates", VENUE, SYMBOL, start=LISTED)
    eventually(lambda: exchange.asked[-1].what == "funding", 60, "the turn of another policy")
    exchange.hold.set()
    eventually(lambda: run_count(client, other), 60, "the other policy's run")
    assert [one.what for one in exchange.asked].count("klines") == 1
    assert client.list_collection_policies()[0].policy_id == other.policy_id


def test_two_rooms_on_one_database_run_each_policy_once(postgresql_url, exchange, start):
    rooms = [start(postgresql_url), start(postgresql_url)]
    client = rooms[0].client
    policies = [
        made(rooms[number % 2].client, "candles", VENUE, f"{base}/USDT:USDT", timeframe)
        for number, base in enumerate(("BTC", "ETH", "SOL"))
        for timeframe in ("1h", "4h")
    ]
    eventually(lambda: all(run_count(client, policy) for policy in policies), 60, "all first runs")
    assert [status(client, policy).inserted for policy in policies] == [BARS_COUNT, BARS_COUNT // 4] * 3
    # A series is asked for its oldest row, then for a page: twice as much would be a second run.
    assert Counter(one.symbol for one in exchange.asked) == dict.fromkeys(
        ("BTCUSDT", "ETHUSDT", "SOLUSDT"), 4
    )
    for policy in policies:
        make_due(postgresql_url, policy)
    before = [run_count(client, policy) for policy in policies]
    eventually(
        lambda: all(run_count(client, policy) > seen for policy, seen in zip(policies, before, strict=True)),
        60,
        "all second runs",
    )
    assert [status(client, policy).inserted for policy in policies] == [0] * 6


def test_no_more_runs_at_once_than_the_operator_allows(database_url, exchange, start):
    client = start(database_url, collection_runs_count=1).client
    exchange.hold.clear()
    policies = [made(client, "candles", VENUE, f"{base}/USDT:USDT", "1h") for base in ("BTC", "ETH", "SOL")]
    eventually(lambda: exchange.asked, 60, "the first page asked for")
    assert {one.symbol for one in exchange.asked} == {"BTCUSDT"}
    assert [status(client, policy).is_running for policy in policies] == [True, False, False]
    exchange.hold.set()
    eventually(lambda: all(run_count(client, policy) for policy in policies), 60, "all runs")


def test_a_run_that_ends_with_its_room_is_taken_up_by_the_next_one(database_url, exchange, tmp_path):
    exchange.rows_max = 5
    long = settings_for(exchange, collection_lease_seconds=3600.0)
    with data_room(database_url, tmp_path, **long) as room:
        policy = made(room.client, start=LISTED)
        eventually(lambda: row_count(room.client), 60, "the first page stored")
        exchange.hold.clear()
        eventually(lambda: status(room.client, policy).is_running or run_count(room.client, policy), 30)
    exchange.hold.set()
    with data_room(database_url, tmp_path, **long) as room:
        assert row_count(room.client) % 5 in (0, BARS_COUNT % 5)
        eventually(lambda: run_count(room.client, policy), 60, "the run's end")
        assert row_count(room.client) == BARS_COUNT
        assert status(room.client, policy).error == ""


def test_a_killed_room_loses_its_runs_to_another(postgresql_url, exchange, start, tmp_path):
    idle = start(postgresql_url, runs_policies=False).client
    policy = made(idle)
    exchange.hold.clear()
    with RoomProcess("data", tmp_path, database_url=postgresql_url, **settings_for(exchange)) as killed:
        eventually(lambda: exchange.asked, 60, "the first page asked for")
        assert status(idle, policy).is_running
        killed.kill()
    exchange.hold.set()
    assert run_count(idle, policy) == 0
    start(postgresql_url)
    eventually(lambda: run_count(idle, policy), 60, "the run of the other room")
    taken = status(idle, policy)
    assert (taken.inserted, taken.error, taken.is_running) == (BARS_COUNT, "", False)


def test_policies_outlive_a_kill_and_catch_up(database_url, exchange, tmp_path):
    # A file belongs to one process, and the next one waits for no lease; on a server, others might run still.
    lease_seconds = 3600.0 if database_url.startswith("sqlite:") else 1.0
    given = settings_for(exchange, collection_lease_seconds=lease_seconds, database_url=database_url)
    exchange.rows_max = 5
    with RoomProcess("data", tmp_path, **given) as room, DataClient(room.target) as client:
        policy = made(client, start=LISTED)
        other = made(client, "funding_rates", VENUE, SYMBOL)
        eventually(lambda: run_count(client, policy) and run_count(client, other), 60, "the first runs")
        exchange.now += 30 * HOUR
        exchange.hold.clear()
        make_due(database_url, policy)
        eventually(lambda: status(client, policy).is_running, 30, "the second run")
        room.kill()
    exchange.hold.set()
    with RoomProcess("data", tmp_path, **given) as room, DataClient(room.target) as client:
        eventually(lambda: status(client, policy).inserted == 30, 60, "the second run's end")
        assert status(client, policy).error == ""
        [bars] = client.list_series(kind="candles")
        assert bars.row_count == BARS_COUNT + 30
        assert len(client.list_collection_policies()) == 2
        assert room.stop() == 0


def test_the_schedule_outlives_an_outage_of_the_database(postgresql, postgresql_url, exchange, start):
    client = start(postgresql_url).client
    policy = made(client)
    eventually(lambda: run_count(client, policy), 60, "the first run")
    name = postgresql_url.partition("@/")[2].partition("?")[0]
    postgresql.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgresql.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    with pytest.raises(Exception, match="did not answer"):
        client.get_collection_policy(policy.policy_id)
    postgresql.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    exchange.now += HOUR
    assert next_run(client, postgresql_url, policy).inserted == 1
