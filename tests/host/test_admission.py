"""How many calls at once: bounded, with a bounded queue that nobody fills without asking for anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from marketml.rpc.refusals import Reason, Refusal, ResourceExhausted
from tests.host.echo_service import SERVICE, Echo, Word, call, refusal_of, serving
from tests.support.servers import Served
from tests.support.waiting import eventually


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def echo(gate: threading.Event) -> Echo:
    made = Echo()
    made.on["wait"] = lambda _call: gate.wait(60)
    return made


def in_flight(served: Served, kind: str) -> float:
    return served.metric("marketml_rpc_in_flight", kind=kind)


def health_of(target: str) -> int:
    with grpc.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return int(stub.Check(health_pb2.HealthCheckRequest(), timeout=20).status)


def test_the_queue_is_bounded_and_says_when_to_try_again(echo: Echo, gate: threading.Event) -> None:
    with serving(echo, unary_in_flight_count=2, unary_queue_count=1) as (served, channel):
        waiting = [call(channel, "GetWord").future(Word(text="wait")) for _ in range(3)]
        eventually(lambda: in_flight(served, "unary") == 2 and served.metric("marketml_rpc_queued") == 1)
        refusal = refusal_of(lambda: call(channel, "GetWord")(Word(text="one too many")))
        assert isinstance(refusal, ResourceExhausted)
        assert (refusal.subject, refusal.reason) == ("unary_in_flight", Reason.OVERLOADED)
        assert refusal.retry_after_seconds == 0.5
        assert "one too many" not in echo.entered
        gate.set()
        assert [future.result(60).text for future in waiting] == ["wait"] * 3
        eventually(lambda: in_flight(served, "unary") == 0 and served.metric("marketml_rpc_queued") == 0)
        assert call(channel, "GetWord")(Word(text="again")).text == "again"


def test_health_is_answered_while_every_place_is_taken(echo: Echo, gate: threading.Event) -> None:
    with serving(echo, unary_in_flight_count=1, unary_queue_count=0, threads_count=1) as (served, channel):
        taken = call(channel, "GetWord").future(Word(text="wait"))
        eventually(lambda: in_flight(served, "unary") == 1)
        for target in (served.target, served.health_target):
            assert health_of(target) == health_pb2.HealthCheckResponse.SERVING
        gate.set()
        taken.result(60)


def test_streams_have_places_of_their_own(echo: Echo) -> None:
    with serving(echo, streams_count=2) as (served, channel), ExitStack() as open_calls:
        watches = [
            open_calls.enter_context(call(channel, "WatchWords")(Word(text=text))) for text in ("one", "two")
        ]
        assert [next(watch).text for watch in watches] == ["one", "two"]
        refusal = refusal_of(lambda: list(call(channel, "WatchWords")(Word(text="three"))))
        assert isinstance(refusal, ResourceExhausted)
        assert refusal.subject == "stream_in_flight"
        assert call(channel, "GetWord")(Word(text="unary")).text == "unary"
        watches[0].cancel()
        eventually(lambda: in_flight(served, "stream") == 1)
        with call(channel, "WatchWords")(Word(text="four")) as watch:
            assert next(watch).text == "four"


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("GetWord", {"unary_in_flight_count": 1, "unary_queue_count": 0}),
        ("IngestWords", {"streams_count": 1}),
        ("TalkWords", {"streams_count": 1}),
    ],
)
def test_callers_who_never_send_a_message_take_no_place(echo: Echo, name: str, bounds: Any) -> None:
    left = threading.Event()

    def silence() -> Iterator[Any]:
        left.wait(60)
        yield from ()

    with serving(echo, **bounds) as (served, channel), grpc.insecure_channel(served.target) as silent_channel:
        silent = silent_channel.stream_unary(
            f"/{SERVICE.full_name}/{name}", request_serializer=None, response_deserializer=None
        )
        silent_calls = [silent.future(silence()) for _ in range(20)]
        try:
            sent = Word(text="real")
            method = SERVICE.methods_by_name[name]
            answer = call(channel, name)(iter([sent]) if method.client_streaming else sent)
            assert list(answer) if method.server_streaming else answer
            assert in_flight(served, "unary") + in_flight(served, "stream") <= 1
        finally:
            left.set()
            for one in silent_calls:
                one.cancel()


def test_a_hundred_callers_at_once_are_answered_or_told_to_wait(echo: Echo) -> None:
    echo.on["short"] = lambda of: of.cancelled.wait(0.005)
    with serving(echo, unary_in_flight_count=4, unary_queue_count=8) as (served, channel):
        futures = [call(channel, "GetWord").future(Word(text="short")) for _ in range(100)]
        answered, refused = 0, []
        for future in futures:
            try:
                future.result(60)
                answered += 1
            except Refusal as refusal:
                refused.append(refusal)
        assert answered >= 4
        assert {refusal.reason for refusal in refused} <= {Reason.OVERLOADED}
        assert answered + len(refused) == 100
        eventually(lambda: in_flight(served, "unary") == 0)


def test_a_place_is_kept_until_the_work_of_a_gone_caller_has_stopped(
    echo: Echo, gate: threading.Event
) -> None:
    with serving(echo, unary_in_flight_count=1, unary_queue_count=0) as (served, channel):
        deaf = call(channel, "GetWord").future(Word(text="wait"))
        eventually(lambda: echo.entered == ["wait"])
        deaf.cancel()
        eventually(echo.calls[0].cancelled.is_set)
        assert in_flight(served, "unary") == 1
        assert refusal_of(lambda: call(channel, "GetWord")(Word())).reason is Reason.OVERLOADED
        gate.set()
        eventually(lambda: in_flight(served, "unary") == 0)
        assert call(channel, "GetWord")(Word(text="again")).text == "again"


def test_streams_leave_half_of_the_threads_to_unary_calls(echo: Echo, gate: threading.Event) -> None:
    with serving(echo, threads_count=2) as (_, channel), ExitStack() as open_calls:
        for _ in range(4):
            open_calls.enter_context(call(channel, "ListWords")(Word(text="wait", count=1)))
        eventually(lambda: echo.entered == ["wait"])  # the other three wait for a turn, not for a thread
        assert call(channel, "GetWord")(Word(text="unary")).text == "unary"
        gate.set()
