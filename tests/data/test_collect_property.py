"""Whatever an exchange leaves out, cuts short or says twice: the room holds what it has, once."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from tests.data.collecting import SYMBOL, VENUE, assert_holds_all, collect, collecting_room, follow, hours
from tests.support.exchange_server import HOUR, ExchangeServer

BARS_COUNT = 700  # more than a page

positions = st.integers(0, BARS_COUNT - 1)
holes = st.lists(st.tuples(positions, st.integers(1, 600)), max_size=4)


def test_the_room_holds_what_the_exchange_has_whatever_its_quirks(database_url: str, tmp_path: Path) -> None:
    with (
        ExchangeServer(now="2024-02-01T00:10Z") as exchange,
        collecting_room(exchange, database_url, tmp_path) as room,
    ):
        end = exchange.now // HOUR * HOUR

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            absent=holes,
            rows_max=st.sampled_from([120, 333, 499, 1500]),
            overlap_count=st.integers(0, 3),
            repeated=st.sets(positions, max_size=5),
            contradicted=st.sets(positions, max_size=5),
            shows_open_bar=st.booleans(),
            is_halved=st.booleans(),
        )
        def holds(
            absent: list[tuple[int, int]],
            rows_max: int,
            overlap_count: int,
            repeated: set[int],
            contradicted: set[int],
            shows_open_bar: bool,
            is_halved: bool,
        ) -> None:
            def at(position: int) -> int:
                return end - (BARS_COUNT - position) * HOUR

            exchange.listed, exchange.now = at(0), end + 10 * 60_000
            exchange.absent = {at(first + more) for first, count in absent for more in range(count)}
            exchange.rows_max, exchange.overlap_count = rows_max, overlap_count
            exchange.repeated = {at(position) for position in repeated}
            exchange.contradicted = {at(position) for position in contradicted}
            exchange.shows_open_bar = shows_open_bar
            if is_halved:  # in two calls
                exchange.now = at(BARS_COUNT // 2)
                follow(room, exchange)
                collect(room, hours())
                exchange.now = end + 10 * 60_000
            follow(room, exchange)
            outcome = collect(room, hours())
            told = exchange.bars(0, 2**60, HOUR)
            if told:
                assert_holds_all(room, exchange, "1h")
                assert outcome.report.revised == 0
                room.client.delete_series("candles", VENUE, SYMBOL, "1h")
            exchange.asked.clear()

        holds()
