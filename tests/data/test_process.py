"""The room as a process: it starts from its settings, outlives kills without loss, and stops when told to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pandas as pd
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketml.clients.data import DataClient
from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.refusals import Refusal, Unavailable
from services.data.settings import DataSettings
from services.host import SettingsError, read_settings
from tests.data.market import START, SYMBOL, TIMEFRAME, VENUE, candles, open_interest, same
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually

MINUTE = pd.Timedelta(minutes=1)
SERIES = (VENUE, SYMBOL, TIMEFRAME)
LONG_AGO = pd.Timestamp("2010-01-01", tz="UTC")


def test_the_room_starts_from_nothing_serves_and_stops_cleanly(database_url, tmp_path):
    with RoomProcess("data", tmp_path, database_url=database_url) as room:
        with grpc.insecure_channel(room.health_target) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            answer = health.Check(health_pb2.HealthCheckRequest(service="marketml.data.v1.DataService"))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with DataClient(room.target) as client:
            client.ingest_candles(candles(5), *SERIES)
            snapshot = client.create_snapshot(*SERIES)
        assert room.stop() == 0
    with (
        RoomProcess("data", tmp_path, database_url=database_url) as room,
        DataClient(room.target) as client,
    ):
        same(client.query_candles(*SERIES), candles(5))
        assert len(client.read_snapshot(snapshot.snapshot_id)) == 5


def test_without_a_setting_the_rows_lie_in_a_file_below_the_working_directory(tmp_path):
    with RoomProcess("data", tmp_path):
        assert (tmp_path / ".run/data/data.sqlite").exists()


def test_a_setting_that_cannot_be_used_is_named_and_nothing_starts(tmp_path):
    room = RoomProcess("data", tmp_path, database_url="mysql://x")
    assert room.wait() == 1
    assert "MARKETML_DATA_DATABASE_URL must start with" in room.log()
    assert "Traceback" not in room.log()


@pytest.mark.parametrize(
    ("name", "value"),
    [("INGEST_ROWS_COUNT", "many"), ("OPEN_INTEREST_LAG_MS", "-1"), ("NO_SUCH_SETTING", "1")],
)
def test_every_setting_is_checked_by_name(name, value):
    with pytest.raises(SettingsError, match=f"MARKETML_DATA_{name}"):
        read_settings(DataSettings, "data", {f"MARKETML_DATA_{name}": value})


def written_to(request: pytest.FixtureRequest, url: str) -> Callable[[], bool]:
    """Whether a transaction has written to the database and not ended."""
    if url.startswith("sqlite:"):
        # More rows than SQLite keeps in memory: the log grows before the commit.
        log = Path(f"{url.removeprefix('sqlite:///')}-wal")
        size = log.stat().st_size
        return lambda: log.stat().st_size != size
    server = request.getfixturevalue("postgresql")
    name = url.partition("@/")[2].partition("?")[0]
    sessions = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
    return lambda: server.answers(f"{sessions} AND backend_xid IS NOT NULL")


@pytest.mark.parametrize("moment", ["between calls", "within a transaction"])
def test_a_kill_while_rows_come_in_leaves_all_of_a_call_or_nothing(request, database_url, tmp_path, moment):
    calls = [candles(100_000, LONG_AGO + 100_000 * number * MINUTE, step=MINUTE) for number in range(4)]
    acknowledged: list[int] = []
    with RoomProcess("data", tmp_path, database_url=database_url) as room:

        def send() -> None:
            with DataClient(room.target) as client:
                for number, frame in enumerate(calls):
                    client.ingest_candles(frame, VENUE, SYMBOL, "1m")
                    acknowledged.append(number)

        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send)
            eventually(lambda: acknowledged, 60)
            if moment == "within a transaction":
                is_writing = written_to(request, database_url)
                eventually(lambda: is_writing() or len(acknowledged) == len(calls), 60)
            room.kill()
            assert sending.exception(60) is None or isinstance(sending.exception(), Refusal)

    with (
        RoomProcess("data", tmp_path, database_url=database_url) as room,
        DataClient(room.target) as client,
    ):
        back = client.query_candles(VENUE, SYMBOL, "1m")
        stored = [frame for frame in calls if frame.index[0] in back.index]
        assert len(stored) >= len(acknowledged)
        same(back, pd.concat(stored))
        client.ingest_candles(pd.concat(calls), VENUE, SYMBOL, "1m")
        same(client.query_candles(VENUE, SYMBOL, "1m"), pd.concat(calls))


@pytest.mark.parametrize("suffix", [".draft", ".arrow"])
def test_a_kill_while_a_snapshot_is_made_leaves_no_snapshot_without_its_file(database_url, tmp_path, suffix):
    folder = tmp_path / ".run/data/snapshots"
    frame = candles(200_000, LONG_AGO, step=MINUTE)
    with RoomProcess("data", tmp_path, database_url=database_url) as room:

        def make() -> None:
            with DataClient(room.target) as client:
                client.ingest_candles(frame, VENUE, SYMBOL, "1m")
                client.create_snapshot(VENUE, SYMBOL, "1m", request_id="job-1")

        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(make)
            eventually(lambda: making.done() or any(each.suffix == suffix for each in folder.iterdir()), 60)
            room.kill()
            assert making.exception(60) is None or isinstance(making.exception(), Refusal)

    with (
        RoomProcess("data", tmp_path, database_url=database_url) as room,
        DataClient(room.target) as client,
    ):
        for snapshot in client.list_snapshots():
            assert len(client.read_snapshot(snapshot.snapshot_id)) == len(frame)
        again = client.create_snapshot(VENUE, SYMBOL, "1m", request_id="job-1")
        assert len(client.read_snapshot(again.snapshot_id)) == len(frame)
        assert client.list_snapshots() == [again]


def test_fifty_callers_at_once_lose_no_row(room):
    frame = candles(2_000, LONG_AGO)
    start = threading.Barrier(50)

    def send(number: int) -> int:
        with DataClient(room.served.target) as client:
            start.wait(60)
            return eventually(lambda: attempt(client, number), 120, "an acknowledged ingest")

    def attempt(client: DataClient, number: int) -> int:
        try:
            return client.ingest_candles(frame[number::50], *SERIES).received
        except Unavailable:
            return 0

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(send, range(50))) == [40] * 50
    same(room.client.query_candles(*SERIES), frame)


def test_a_slow_reader_holds_no_transaction_and_stops_nobody(room):
    room.client.ingest_candles(candles(100_000, LONG_AGO), *SERIES)
    key = pb.QueryCandlesRequest(series={"venue": VENUE, "symbol": SYMBOL, "timeframe": TIMEFRAME})
    streams = [room.stub.QueryCandles(key) for _ in range(40)]
    try:
        for stream in streams:
            next(stream)
        room.client.ingest_open_interest(open_interest(5), VENUE, SYMBOL)
        assert len(room.client.query_open_interest(VENUE, SYMBOL)) == 5
        assert len(room.client.list_series()) == 2
    finally:
        for stream in streams:
            stream.cancel()


DOCUMENTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_requests = {method.name: method for method in pb.DESCRIPTOR.services_by_name["DataService"].methods}


@given(name=st.sampled_from(sorted(_requests)), raw=st.binary(max_size=120), cut=st.integers(0, 60))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_to_any_method_get_a_documented_answer(room, name, raw, cut):
    method = _requests[name]
    shape = ("stream" if method.client_streaming else "unary") + (
        "_stream" if method.server_streaming else "_unary"
    )
    good = pb.IngestCandlesRequest(
        header={"venue": VENUE, "symbol": SYMBOL, "timeframe": TIMEFRAME}
    ).SerializeToString()
    message = good[:cut] + raw
    with grpc.insecure_channel(room.served.target) as channel:
        call = getattr(channel, shape)(f"/marketml.data.v1.DataService/{name}")
        try:
            answer = call(iter([good, message]) if method.client_streaming else message, timeout=30)
            if method.server_streaming:
                list(answer)
            code = grpc.StatusCode.OK
        except grpc.RpcError as error:
            code = error.code()
    assert code in DOCUMENTED, (name, message)


def test_numbers_of_a_call_add_up(room):
    random = np.random.default_rng(3)
    frame = candles(500)
    for _ in range(5):
        sent = frame.iloc[random.integers(0, 500, 300)].copy()
        sent.loc[sent.index[:20], "low"] = -1.0
        report = room.client.ingest_candles(sent, *SERIES, on_invalid="skip")
        assert report.received == 300
        assert report.received == (
            report.inserted + report.revised + report.unchanged + report.rejected_count
        )
    assert START in room.client.query_candles(*SERIES).index
