"""How a server ends: NOT_SERVING first, nothing new, what runs finishes, then the process is gone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from marketml.rpc import channels, refusals
from marketml.rpc.refusals import Reason
from tests.host.echo_service import Echo, Word, call, refusal_of, serving
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def echo_room(tmp_path: Path) -> Iterator[Callable[..., RoomProcess]]:
    """Starts the echo service as a process."""
    rooms = []

    def start(**settings: object) -> RoomProcess:
        rooms.append(RoomProcess("echo", tmp_path, module="tests.host.echo_room", **settings))
        return rooms[-1].wait_ready()

    yield start
    for room in rooms:
        if room.process.poll() is None:
            room.kill()
        room.assert_nothing_left()


def health_of(target: str) -> int:
    with grpc.insecure_channel(target) as channel:
        request = health_pb2.HealthCheckRequest()
        return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=20, wait_for_ready=True).status)


def test_a_draining_server_finishes_what_runs_and_refuses_what_is_new() -> None:
    gate = threading.Event()
    echo = Echo()
    echo.on["wait"] = lambda _call: gate.wait(60)
    with serving(echo) as (served, channel):
        running = call(channel, "GetWord").future(Word(text="wait"))
        listing = call(channel, "ListWords")(Word(text="wait", count=2))
        watch = call(channel, "WatchWords")(Word(text="watch"))
        assert [next(listing).count, next(listing).count, next(watch).text] == [0, 1, "watch"]
        eventually(lambda: sorted(echo.entered) == ["wait", "wait", "watch"])
        stopped = served.begin_stop(60)

        ended = refusal_of(lambda: next(watch))
        assert isinstance(ended, refusals.Unavailable)
        assert ended.reason is Reason.DRAINING
        assert echo.closed.is_set()
        assert health_of(served.target) == health_of(served.health_target) == NOT_SERVING
        refused = refusal_of(lambda: call(channel, "GetWord")(Word(text="new")))
        assert isinstance(refused, refusals.Unavailable)
        assert (refused.reason, refused.retry_after_seconds) == (Reason.DRAINING, 1.0)
        assert "new" not in echo.entered
        assert not stopped.done()

        gate.set()
        assert running.result(60).text == "wait"
        assert list(listing) == []
        stopped.result(60)
        assert served.server.is_clean


def test_calls_that_outlive_the_grace_are_told_so_and_stopped() -> None:
    echo = Echo()
    echo.on["work"] = lambda of: of.cancelled.wait(60)
    with serving(echo) as (served, channel):
        running = call(channel, "GetWord").future(Word(text="work"))
        eventually(lambda: echo.entered == ["work"])
        served.begin_stop(0.2).result(60)
        refusal = refusal_of(running.result)
        assert isinstance(refusal, refusals.Unavailable)
        assert refusal.reason is Reason.DRAINING
        assert echo.calls[0].cancelled.is_set()
        assert served.server.is_clean


@pytest.mark.parametrize("text", ["a word", "flood"])
def test_every_stream_that_writes_during_a_drain_is_told_so(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        echo = Echo()
        with serving(echo) as (served, channel):
            watches = [call(channel, "WatchWords")(Word(text=text)) for _ in range(20)]
            eventually(lambda: len(echo.entered) == 20)  # noqa: B023
            stopped = served.begin_stop(60)
            for watch in watches:
                ended = refusal_of(lambda: list(watch))  # noqa: B023
                assert isinstance(ended, refusals.Unavailable)
                assert (ended.reason, ended.retry_after_seconds) == (Reason.DRAINING, 1.0)
            stopped.result(60)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_messages_that_nobody_takes_leave_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    echo = Echo()
    with serving(echo) as (served, channel):
        sent = Word(text="flood", payload=b"x" * 1_000_000)
        unread = [call(channel, "WatchWords")(sent) for _ in range(10)]
        eventually(lambda: len(echo.entered) == 10)
        served.begin_stop(0.2).result(60)
        for stream in unread:
            assert isinstance(refusal_of(lambda: list(stream)), refusals.Unavailable)  # noqa: B023
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_health_watchers_learn_of_the_drain() -> None:
    with serving(Echo()) as (served, _), grpc.insecure_channel(served.health_target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
        assert next(watch).status == SERVING
        stopped = served.begin_stop(5)
        assert next(watch).status == NOT_SERVING
        stopped.result(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_call_finish_and_the_process_ends_with_0(
    echo_room: Callable[..., RoomProcess], tmp_path: Path, number: int
) -> None:
    room = echo_room()
    with channels.open_channel(room.target) as channel, grpc.insecure_channel(room.health_target) as apart:
        running = call(channel, "GetWord").future(Word(text="until the file"))
        health = health_pb2_grpc.HealthStub(apart)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == SERVING
        with call(channel, "WatchWords")(Word(text="sees the other call run")) as endless:
            next(endless)
            room.process.send_signal(number)
            assert next(watch).status == NOT_SERVING
            assert isinstance(refusal_of(lambda: next(endless)), refusals.Unavailable)
        assert room.process.poll() is None
        (tmp_path / "go").touch()
        assert running.result(60).text == "until the file"
    assert room.wait() == 0


def test_an_idle_process_ends_at_once_and_its_ports_can_be_taken_again(
    echo_room: Callable[..., RoomProcess],
) -> None:
    first = echo_room()
    ready = first.ready
    assert first.stop() == 0
    addresses = {name: ready[name] for name in ("address", "health_address", "metrics_address")}
    second = echo_room(**addresses)
    assert {name: second.ready[name] for name in addresses} == addresses
    assert second.stop() == 0


def test_a_second_signal_ends_the_process_at_once(echo_room: Callable[..., RoomProcess]) -> None:
    room = echo_room(grace_seconds=3600)
    with channels.open_channel(room.target) as channel:
        running = call(channel, "GetWord").future(Word(text="until the file"))
        with grpc.insecure_channel(room.health_target) as apart:
            health = health_pb2_grpc.HealthStub(apart)
            watch = health.Watch(health_pb2.HealthCheckRequest())
            assert next(watch).status == SERVING
            with call(channel, "WatchWords")(Word()) as endless:
                next(endless)
            room.terminate()
            assert next(watch).status == NOT_SERVING
        assert room.process.poll() is None
        room.terminate()
        assert room.wait() == 128 + signal.SIGTERM
        assert isinstance(refusal_of(running.result), refusals.Unavailable)


def test_a_thread_that_does_not_listen_cannot_keep_the_process(
    echo_room: Callable[..., RoomProcess], tmp_path: Path
) -> None:
    room = echo_room(grace_seconds=0.2)
    with channels.open_channel(room.target) as channel:
        running = call(channel, "GetWord").future(Word(text="deaf"))
        eventually((tmp_path / "deaf").exists, 60, "the call to run")
        assert room.stop() == 1
        assert isinstance(refusal_of(running.result), refusals.Unavailable)
    assert "did not stop when told to" in room.log()


def test_a_port_that_is_taken_is_said_in_one_sentence(
    echo_room: Callable[..., RoomProcess], tmp_path: Path
) -> None:
    first = echo_room()
    other = tmp_path / "other"
    other.mkdir()
    for name in ("address", "health_address", "metrics_address"):
        second = RoomProcess("echo", other, module="tests.host.echo_room", **{name: first.ready[name]})
        assert second.wait() == 1
        assert f"MARKETML_ECHO_{name.upper()} cannot be bound" in second.log().splitlines()[-1]
        assert "Traceback" not in second.log()


def test_a_killed_process_leaves_its_caller_with_unavailable(echo_room: Callable[..., RoomProcess]) -> None:
    room = echo_room()
    with channels.open_channel(room.target) as channel:
        watch: Any = call(channel, "WatchWords")(Word(text="watch"))
        assert next(watch).text == "watch"
        room.kill()
        assert isinstance(refusal_of(lambda: next(watch)), refusals.Unavailable)
