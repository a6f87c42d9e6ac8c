"""The channel of every client: deadlines, retries, push-back, and responses that leave nothing running."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import grpc
import pytest

from marketml.rpc import channels, correlation, refusals
from services.host import Call
from tests.host.echo_service import SERVICE, Echo, Word, call, refusal_of, served
from tests.support.waiting import eventually

GET = f"{SERVICE.full_name}/GetWord"


def failing(echo: Echo, times_max: int, refusal: refusals.Refusal) -> None:
    """Make "flaky" refuse the first `times_max` times."""

    def act(_call: Call) -> None:
        if echo.entered.count("flaky") <= times_max:
            raise refusal

    echo.on["flaky"] = act


def test_a_retryable_call_is_sent_again_while_the_server_is_unavailable() -> None:
    echo = Echo()
    failing(echo, 2, refusals.Unavailable("down", 0.01))
    with served(echo) as room, channels.open_channel(room.target, retryable=[GET]) as channel:
        assert call(channel, "GetWord")(Word(text="flaky")).text == "flaky"
    assert echo.entered == ["flaky"] * 3
    assert len({one.request_id for one in echo.calls}) == 1


def test_a_retryable_call_gives_up_after_four_attempts_with_the_servers_refusal() -> None:
    echo = Echo()
    failing(echo, 99, refusals.Unavailable("down", 0.01))
    with served(echo) as room, channels.open_channel(room.target, retryable=[GET]) as channel:
        refusal = refusal_of(lambda: call(channel, "GetWord")(Word(text="flaky")))
    assert (type(refusal), refusal.message) == (refusals.Unavailable, "down")
    assert echo.entered == ["flaky"] * 4


@pytest.mark.parametrize(
    ("retryable", "refusal"),
    [
        ([], refusals.Unavailable("down", 0.01)),
        ([GET], refusals.ResourceExhausted("queue", "full", 0.01)),
        ([GET], refusals.Aborted("lost")),
        ([f"{SERVICE.full_name}/ListWords"], refusals.Unavailable("down", 0.01)),
    ],
)
def test_nothing_else_is_sent_again(retryable: list[str], refusal: refusals.Refusal) -> None:
    echo = Echo()
    failing(echo, 1, refusal)
    with served(echo) as room, channels.open_channel(room.target, retryable=retryable) as channel:
        assert type(refusal_of(lambda: call(channel, "GetWord")(Word(text="flaky")))) is type(refusal)
    assert echo.entered == ["flaky"]


def test_a_call_that_names_no_deadline_gets_the_channels() -> None:
    echo = Echo()
    echo.on["work"] = lambda of: of.cancelled.wait(60)
    with (
        served(echo) as room,
        channels.open_channel(
            room.target, unary_deadline_seconds=0.3, stream_deadline_seconds=0.3
        ) as channel,
    ):
        sent = Word(text="work", count=1)
        for attempt in (
            lambda: call(channel, "GetWord")(sent),
            lambda: call(channel, "GetWord").future(sent).result(),
            lambda: list(call(channel, "ListWords")(sent)),
            lambda: list(call(channel, "TalkWords")(iter([sent]))),
        ):
            assert isinstance(refusal_of(attempt), refusals.DeadlineExceeded)
        assert all(one.remaining_seconds() <= 0.3 for one in echo.calls)


def test_a_call_whose_caller_has_no_time_left_is_not_made() -> None:
    echo = Echo()
    with served(echo) as room, channels.open_channel(room.target) as channel:

        def nested() -> None:
            correlation.enter(correlation.Correlation("late", deadline=0.0))
            refused.append(refusal_of(lambda: call(channel, "GetWord")(Word())))

        refused: list[refusals.Refusal] = []
        thread = threading.Thread(target=nested)  # a context of its own
        thread.start()
        thread.join(20)
    assert isinstance(refused[0], refusals.DeadlineExceeded)
    assert echo.calls == []


def test_leaving_a_stream_early_ends_it_on_the_server() -> None:
    echo = Echo()
    with served(echo) as room, channels.open_channel(room.target) as channel:
        with call(channel, "WatchWords")(Word(text="watch")) as watch:
            assert next(watch).text == "watch"
        assert echo.closed.wait(20)
        eventually(lambda: room.metric("marketml_rpc_in_flight", kind="stream") == 0)


def test_what_the_call_underneath_offers_stays_reachable() -> None:
    echo = Echo()
    with served(echo) as room, channels.open_channel(room.target) as channel:
        words: Any = call(channel, "ListWords")(Word(count=2))
        assert [word.count for word in words] == [0, 1]
        assert words.code() is grpc.StatusCode.OK


def test_a_channel_to_nobody_is_unavailable() -> None:
    with channels.open_channel("127.0.0.1:1") as channel:
        refusal = refusal_of(lambda: call(channel, "GetWord")(Word(), timeout=20))
    assert isinstance(refusal, refusals.Unavailable)


def test_connectivity_can_be_watched() -> None:
    ready = threading.Event()

    def told(state: grpc.ChannelConnectivity) -> None:
        if state is grpc.ChannelConnectivity.READY:
            ready.set()

    with served(Echo()) as room, channels.open_channel(room.target) as channel:
        channel.subscribe(told, try_to_connect=True)
        assert ready.wait(20)
        channel.unsubscribe(told)


def on_a_loop(
    target: str, text: str, *, seconds: float = 20, around: correlation.Correlation | None = None
) -> Any:
    """What a call on a loop gives: a word, or the refusal."""

    async def asked() -> Any:
        correlation.enter(around)
        channel = channels.LoopChannel(target, retryable=[GET], unary_deadline_seconds=seconds)
        try:
            return await call(channel, "GetWord")(Word(text=text))
        except refusals.Refusal as refusal:
            return refusal
        finally:
            await channel.close()

    return asyncio.run(asked())


def test_a_call_of_a_loop_is_sent_again_and_refused_like_any_other() -> None:
    echo = Echo()
    failing(echo, 2, refusals.Unavailable("down", 0.01))
    with served(echo) as room:
        assert on_a_loop(room.target, "flaky").text == "flaky"
        assert echo.entered == ["flaky"] * 3
        assert len({one.request_id for one in echo.calls}) == 1
        failing(echo, 99, refusals.InvalidArgument.of("text", "short", "must be shorter."))
        refusal = on_a_loop(room.target, "flaky")
    assert isinstance(refusal, refusals.InvalidArgument)
    assert [each.field for each in refusal.violations] == ["text"]


def test_a_call_of_a_loop_ends_at_its_deadline_and_at_that_of_its_caller() -> None:
    echo = Echo()
    echo.on["work"] = lambda of: of.cancelled.wait(60)
    with served(echo) as room:
        refusal = on_a_loop(room.target, "work", seconds=0.3)
        assert isinstance(refusal, refusals.DeadlineExceeded)
        assert [one.remaining_seconds() <= 0.3 for one in echo.calls] == [True]
        refusal = on_a_loop(room.target, "work", around=correlation.Correlation("late", deadline=0.0))
        assert isinstance(refusal, refusals.DeadlineExceeded)
        assert len(echo.calls) == 1


def test_a_loop_whose_server_is_not_there_is_told_so() -> None:
    refusal = on_a_loop("127.0.0.1:1", "work")
    assert isinstance(refusal, refusals.Unavailable)
