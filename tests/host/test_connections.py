"""Connections grow old and are replaced; the calls on them are not cut off."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from services.host import ServerSettings
from tests.host.echo_service import Echo, Word, call, serving
from tests.support.waiting import eventually


def test_a_call_outlives_the_age_of_its_connection() -> None:
    echo, go = Echo(), threading.Event()
    echo.on["long"] = lambda _call: go.wait(60)
    with (
        serving(echo, connection_age_seconds=0.2) as (_, channel),
        ThreadPoolExecutor() as callers,
    ):
        get_word = call(channel, "GetWord")
        long = callers.submit(get_word, Word(text="long"))
        eventually(lambda: echo.entered == ["long"])
        old = echo.calls[0].peer

        def is_replaced() -> bool:
            get_word(Word(text="short"))
            return echo.calls[-1].peer != old

        eventually(is_replaced, 30)
        go.set()
        assert long.result(30).text == "long"


def test_a_connection_is_kept_as_long_as_a_call_on_it_may_last() -> None:
    settings = ServerSettings()
    longest = max(settings.stream_deadline_seconds, settings.upload_deadline_seconds)
    assert settings.connection_grace_seconds >= longest
