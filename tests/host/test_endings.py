"""How calls end before their time: the deadline, the caller who leaves, the reader or writer who stalls."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from marketml.rpc import refusals
from marketml.rpc.refusals import Reason
from services.host import Call
from tests.host.echo_service import SERVICE, Echo, Word, call, refusal_of, serving
from tests.support.servers import Served
from tests.support.waiting import eventually


def stream_count(served: Served) -> float:
    return served.metric("marketml_rpc_in_flight", kind="stream")


@pytest.fixture
def echo() -> Echo:
    made = Echo()
    made.stopped = threading.Event()

    def work(of: Call) -> None:
        """Work in steps, which looks up between them."""
        try:
            while True:
                of.check()
                of.cancelled.wait(0.01)
        finally:
            made.stopped.set()

    made.on["work"] = work
    return made


@pytest.mark.parametrize("name", ["GetWord", "ListWords"])
def test_the_work_stops_at_the_callers_deadline(echo: Echo, name: str) -> None:
    with serving(echo) as (served, channel):
        answer = lambda: call(channel, name)(Word(text="work"), timeout=0.5)  # noqa: E731
        refusal = refusal_of(lambda: list(answer()) if name == "ListWords" else answer())
        assert isinstance(refusal, refusals.DeadlineExceeded)
        assert echo.stopped.wait(20)
        kind = "stream" if name == "ListWords" else "unary"
        eventually(lambda: served.metric("marketml_rpc_in_flight", kind=kind) == 0)


@pytest.mark.parametrize("name", ["GetWord", "ListWords", "TalkWords"])
def test_a_call_without_a_deadline_gets_the_servers(echo: Echo, name: str) -> None:
    bounds = {"unary_deadline_seconds": 0.5, "stream_deadline_seconds": 0.5, "upload_deadline_seconds": 0.5}
    with serving(echo, **bounds) as (served, _), grpc.insecure_channel(served.target) as plain:
        sent = iter([Word(text="work")]) if name == "TalkWords" else Word(text="work")
        with pytest.raises(grpc.RpcError) as raised:
            list(call(plain, name)(sent))
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert raised.value.details() == "The deadline of the call passed; its work was stopped."
        assert echo.stopped.wait(20)


@pytest.mark.parametrize("seconds", [3600.0 * 24 * 365, 1e9])
def test_a_deadline_of_years_is_taken(echo: Echo, seconds: float) -> None:
    with serving(echo) as (_, channel):
        assert call(channel, "GetWord")(Word(text="hello"), timeout=seconds).text == "hello"
        assert echo.calls[0].remaining_seconds() > 3600


@pytest.mark.parametrize("name", ["GetWord", "ListWords", "TalkWords"])
def test_the_work_stops_when_the_caller_leaves(echo: Echo, name: str) -> None:
    with serving(echo) as (served, channel):
        method = call(channel, name)
        if name == "GetWord":
            leaving = method.future(Word(text="work"))
        else:
            leaving = method(iter([Word(text="work")]) if name == "TalkWords" else Word(text="work"))
        eventually(lambda: echo.entered == ["work"])
        leaving.cancel()
        assert echo.stopped.wait(20)
        assert echo.calls[0].cancelled.is_set()
        eventually(
            lambda: (
                served.metric(
                    "marketml_rpc_handled_total", service=SERVICE.full_name, method=name, code="CANCELLED"
                )
                == 1
            )
        )


def test_what_waited_for_a_thread_past_its_deadline_never_starts(echo: Echo) -> None:
    gate = threading.Event()
    echo.on["block"] = lambda _call: gate.wait(60)
    with serving(echo, threads_count=1) as (served, channel):
        first = call(channel, "GetWord").future(Word(text="block"))
        eventually(lambda: echo.entered == ["block"])
        refusal = refusal_of(lambda: call(channel, "GetWord")(Word(text="late"), timeout=0.3))
        assert isinstance(refusal, refusals.DeadlineExceeded)
        gate.set()
        first.result(60)
        eventually(lambda: served.metric("marketml_rpc_in_flight", kind="unary") == 0)
        assert echo.entered == ["block"]


def test_a_reader_who_stops_early_closes_the_generator(echo: Echo) -> None:
    with serving(echo) as (served, channel):
        with call(channel, "ListWords")(Word(text="some", count=1_000_000, payload=b"x" * 10_000)) as words:
            assert next(words).count == 0
        assert echo.closed.wait(20)
        eventually(lambda: stream_count(served) == 0)


@pytest.mark.parametrize("name", ["WatchWords", "ListWords"])
def test_a_reader_who_takes_nothing_loses_the_stream_and_its_place(echo: Echo, name: str) -> None:
    payload = b"x" * 1_000_000
    with serving(echo, stream_write_seconds=0.5, streams_count=1) as (served, channel):
        sent = Word(text="flood", count=1_000_000, payload=payload)
        with call(channel, name)(sent) as stalled:
            assert next(stalled)
            assert echo.closed.wait(30)
            eventually(lambda: stream_count(served) == 0)
            with call(channel, "WatchWords")(Word(text="next")) as watch:
                assert next(watch).text == "next"
            refusal = refusal_of(lambda: [None for _ in stalled])
            assert isinstance(refusal, refusals.ResourceExhausted)
            assert refusal.subject == "stream_write"


def test_an_idle_stream_is_not_a_stalled_one(echo: Echo) -> None:
    with serving(echo, stream_write_seconds=0.2) as (served, channel):
        with call(channel, "WatchWords")(Word(text="idle")) as watch:
            assert next(watch).text == "idle"
            assert not echo.closed.wait(1)
            assert stream_count(served) == 1
        assert echo.closed.wait(20)


@pytest.mark.parametrize("sent_count", [0, 1])
@pytest.mark.parametrize("name", ["IngestWords", "TalkWords"])
def test_an_uploader_who_falls_silent_loses_the_call(echo: Echo, name: str, sent_count: int) -> None:
    left = threading.Event()

    def requests() -> Iterator[Any]:
        for _ in range(sent_count):
            yield Word(text="first")
        left.wait(60)

    with serving(echo, stream_read_seconds=0.5) as (served, channel):
        try:
            answer = call(channel, name)
            refusal = refusal_of(
                lambda: list(answer(requests())) if name == "TalkWords" else answer(requests())
            )
            assert isinstance(refusal, refusals.DeadlineExceeded)
            assert "0.5 s" in refusal.message
            eventually(lambda: stream_count(served) == 0)
        finally:
            left.set()


def test_an_upload_without_any_message_is_an_empty_one(echo: Echo) -> None:
    with serving(echo) as (_, channel):
        assert call(channel, "IngestWords")(iter([])).count == 0
        assert list(call(channel, "TalkWords")(iter([]))) == []


def test_a_refusal_from_the_middle_of_an_upload_arrives_while_the_caller_still_sends(echo: Echo) -> None:
    def refuse(_call: Call) -> None:
        raise refusals.InvalidArgument.of("rows[0].open", "finite", "must be finite, not nan.")

    echo.on["bad"] = refuse
    sent = (Word(text="bad" if number == 3 else "good", payload=b"x" * 100_000) for number in range(10_000))
    with serving(echo) as (_, channel):
        refusal = refusal_of(lambda: call(channel, "IngestWords")(sent))
        assert refusal.reason is Reason.INVALID_FIELD
        assert len(echo.entered) == 4


@pytest.mark.parametrize("name", ["GetWord", "ListWords"])
def test_work_that_stops_because_its_caller_left_is_no_news(
    echo: Echo, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(echo) as (served, channel):
        method = call(channel, name)
        left = method(Word(text="work")) if name == "ListWords" else method.future(Word(text="work"))
        eventually(lambda: echo.entered == ["work"])
        left.cancel()
        assert echo.stopped.wait(20)
        kind = "stream" if name == "ListWords" else "unary"
        eventually(lambda: served.metric("marketml_rpc_in_flight", kind=kind) == 0)
        gc.collect()  # a future whose outcome nobody took complains when it goes
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


def test_a_bug_in_work_whose_caller_left_is_in_the_log(echo: Echo, caplog: pytest.LogCaptureFixture) -> None:
    def fail(of: Call) -> None:
        of.cancelled.wait(20)
        raise RuntimeError("a bug")

    echo.on["bug"] = fail
    with serving(echo) as (served, channel):
        left = call(channel, "GetWord").future(Word(text="bug"))
        eventually(lambda: echo.entered == ["bug"])
        left.cancel()
        eventually(lambda: served.metric("marketml_rpc_in_flight", kind="unary") == 0)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "A bug ended work whose caller had left."
    ]
