"""PostgreSQL fails under the data room: callers are told UNAVAILABLE and when to try again, nothing that was
acknowledged is lost, and the room goes on without a restart."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pandas as pd
import psycopg
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from marketml.data.v1 import data_pb2 as pb
from marketml.data.v1.data_pb2_grpc import DataServiceStub
from marketml.rpc.frames import cut, to_table
from tests.data.market import KEY, DataRoom, candles, data_room, header, same
from tests.support.cut_wire import CutWire
from tests.support.postgresql import PostgreSQL, serve_postgresql, serve_standby
from tests.support.waiting import eventually

SERIES = (KEY.venue, KEY.symbol, KEY.timeframe)
LONG_AGO = pd.Timestamp("1990-01-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)
CALL_ROWS = 12_000
QUERY = pb.QueryCandlesRequest(series=KEY)
BLOCKED = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """A server that the tests of this file may stop."""
    with serve_postgresql() as started:
        yield started


@pytest.fixture
def url(server: PostgreSQL) -> Iterator[str]:
    with server.new_database() as created:
        yield created


def part(number: int, count: int = CALL_ROWS) -> pd.DataFrame:
    return candles(count, LONG_AGO + CALL_ROWS * number * HOUR, seed=number)


def parts(count: int) -> pd.DataFrame:
    return pd.concat(map(part, range(count)))


class Caller:
    """Calls without any retry of their own."""

    def __init__(self, room: DataRoom) -> None:
        self._channel = grpc.insecure_channel(room.served.target, options=[("grpc.enable_retries", 0)])
        self._stub: Any = DataServiceStub(self._channel)

    def ingest(self, frame: pd.DataFrame) -> None:
        messages = [pb.IngestCandlesRequest(header=header())]
        messages += [pb.IngestCandlesRequest(arrow_ipc=piece) for piece in cut(to_table(frame))]
        self._stub.IngestCandles(iter(messages), timeout=60)

    def query(self) -> int:
        return len(list(self._stub.QueryCandles(QUERY, timeout=60)))

    def close(self) -> None:
        self._channel.close()


@contextmanager
def served(url: str, folder: Path, **settings: Any) -> Iterator[tuple[DataRoom, Caller]]:
    # Without a cache every query asks the database for its rows.
    with data_room(url, folder, cache_bytes=1, runs_policies=False, **settings) as room:
        caller = Caller(room)
        try:
            yield room, caller
        finally:
            caller.close()


def refused(call: Callable[[], object]) -> str:
    """Fail unless the call is UNAVAILABLE with the time of another try; the sentence."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return assert_unavailable(raised.value)


def assert_unavailable(error: Any) -> str:
    assert error.code() is grpc.StatusCode.UNAVAILABLE, error
    status = rpc_status.from_call(error)
    assert status is not None, error  # the room said it, not the channel
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToTimedelta().total_seconds() > 0
    return str(error.details())


def wait_blocked(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        eventually(lambda: connection.execute(BLOCKED).fetchone() != (0,), 30, "a session that waits")


def end_blocked(url: str) -> None:
    """Terminate the session that waits for a lock."""
    wait_blocked(url)
    ending = BLOCKED.replace("count(*)", "pg_terminate_backend(pid)")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(ending.encode())


@pytest.mark.parametrize(
    "lock",
    ["SELECT * FROM series FOR UPDATE", "LOCK TABLE blocks IN EXCLUSIVE MODE"],
    ids=["begin", "middle"],
)
def test_a_session_that_is_ended_within_an_ingest_leaves_nothing_of_it(url: str, tmp_path: Path, lock: str):
    with served(url, tmp_path) as (room, caller), ThreadPoolExecutor(1) as pool:
        caller.ingest(part(0))
        with psycopg.connect(url) as other:
            other.execute(lock.encode())
            ingesting = pool.submit(refused, lambda: caller.ingest(part(1)))
            end_blocked(url)
            assert "did not answer" in ingesting.result(60)
        same(room.client.query_candles(*SERIES), part(0))
        caller.ingest(part(1))
        same(room.client.query_candles(*SERIES), parts(2))


def test_a_session_that_is_ended_within_a_query_is_told_and_replaced(url: str, tmp_path: Path):
    with served(url, tmp_path) as (room, caller), ThreadPoolExecutor(1) as pool:
        caller.ingest(part(0))
        with psycopg.connect(url) as other:
            other.execute("LOCK TABLE blocks IN ACCESS EXCLUSIVE MODE")
            querying = pool.submit(refused, caller.query)
            end_blocked(url)
            assert "did not answer" in querying.result(60)
        assert caller.query() > 0
        same(room.client.query_candles(*SERIES), part(0))


def test_whoever_waits_too_long_for_a_series_is_told_and_changes_nothing(url: str, tmp_path: Path):
    with served(f"{url}&options=-c%20lock_timeout%3D300ms", tmp_path) as (room, caller):
        caller.ingest(part(0))
        with psycopg.connect(url) as other:
            other.execute("SELECT * FROM series FOR UPDATE")
            refused(lambda: caller.ingest(part(1)))
            same(room.client.query_candles(*SERIES), part(0))  # readers wait for nobody
            other.execute("ROLLBACK")
        caller.ingest(part(1))
        same(room.client.query_candles(*SERIES), parts(2))


@pytest.mark.parametrize("words", [[], [b"INSERT INTO blocks"], [b"UPDATE series"], [b"COMMIT"]])
def test_a_wire_cut_within_an_ingest_means_maybe_and_the_repeat_completes(
    server: PostgreSQL, url: str, tmp_path: Path, words: list[bytes]
):
    with CutWire(server.folder) as wire:
        through = url.partition("?")[0] + f"?host={quote(str(wire.folder), safe='')}"
        with served(through, tmp_path) as (room, caller):
            wire.cut_at(b"INSERT INTO series", *words)
            refused(lambda: caller.ingest(part(0)))
            assert wire.cuts_count == 1
            is_stored = bool(room.client.list_series())
            assert not is_stored or words == [b"COMMIT"]
            caller.ingest(part(0))
            same(room.client.query_candles(*SERIES), part(0))


def test_a_wire_cut_within_an_answer_is_told(server: PostgreSQL, url: str, tmp_path: Path):
    with CutWire(server.folder) as wire:
        through = url.partition("?")[0] + f"?host={quote(str(wire.folder), safe='')}"
        with served(through, tmp_path) as (room, caller):
            caller.ingest(part(0))
            for words, answer_bytes in (
                (b"FROM blocks", 0),
                (b"blocks.batch", 0),
                (b"blocks.batch", 300_000),
            ):
                wire.cut_at(words, answer_bytes=answer_bytes)
                refused(caller.query)
                same(room.client.query_candles(*SERIES), part(0))


def test_a_server_that_crashes_and_comes_again_loses_nothing(server: PostgreSQL, url: str, tmp_path: Path):
    with served(url, tmp_path) as (room, caller):
        acknowledged: list[int] = []
        is_over = threading.Event()

        def send() -> int:
            refused_count, number = 0, 0
            while not is_over.is_set():
                try:
                    caller.ingest(part(number, 500))
                except grpc.RpcError as error:
                    assert_unavailable(error)
                    refused_count += 1
                else:
                    acknowledged.append(number)
                    number += 1
            return refused_count

        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send)
            try:
                eventually(lambda: len(acknowledged) > 5 or sending.done(), 60)
                server.stop(signal.SIGQUIT)
                refused(caller.query)
                server.start()
                before = len(acknowledged)
                eventually(lambda: len(acknowledged) > before + 2 or sending.done(), 60)
            finally:
                is_over.set()
            assert sending.result(60) > 0
        stored = pd.concat(part(number, 500) for number in acknowledged)
        same(room.client.query_candles(*SERIES), stored)


def test_a_server_that_only_reads_serves_queries_and_refuses_the_rest(
    server: PostgreSQL, url: str, tmp_path: Path
):
    with served(url, tmp_path) as (room, caller):
        caller.ingest(part(0))
        snapshot = room.client.create_snapshot(*SERIES)
        [file] = tmp_path.glob("**/*.arrow")
        os.utime(file, (0, 0))  # what is found of it cannot be told to the database
        try:
            server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            server.execute("SELECT pg_reload_conf()")
            reads_only = "SELECT current_setting('default_transaction_read_only') = 'on'"
            eventually(lambda: server.answers(reads_only), 30, "a server that only reads")
            refused(lambda: caller.ingest(part(1)))
            same(room.client.query_candles(*SERIES), part(0))
            assert len(room.client.read_snapshot(snapshot.snapshot_id)) == len(part(0))
        finally:
            server.execute("ALTER SYSTEM RESET default_transaction_read_only")
            server.execute("SELECT pg_reload_conf()")
        eventually(lambda: not server.answers(reads_only), 30, "a server that writes")
        caller.ingest(part(1))
        same(room.client.query_candles(*SERIES), parts(2))


def test_the_room_follows_a_failover_to_the_standby(tmp_path: Path):
    with serve_postgresql(synchronous_standby_names="*") as primary, serve_standby(primary) as standby:
        follows = "SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'sync'"
        eventually(lambda: primary.answers(follows), 60, "a standby that follows")
        hosts = "&".join(f"host={quote(str(each.folder), safe='')}" for each in (primary, standby))
        url = f"postgresql://postgres@/postgres?{hosts}&target_session_attrs=read-write"
        with served(url, tmp_path) as (room, caller):
            caller.ingest(part(0))
            primary.stop(signal.SIGQUIT)
            refused(lambda: caller.ingest(part(1)))
            refused(caller.query)
            standby.execute("SELECT pg_promote()")
            eventually(lambda: standby.answers("SELECT NOT pg_is_in_recovery()"), 30, "the new primary")
            same(room.client.query_candles(*SERIES), part(0))
            caller.ingest(part(1))
            same(room.client.query_candles(*SERIES), parts(2))
