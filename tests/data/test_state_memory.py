"""What is remembered of series is what the database would say, whoever writes meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from marketml.rpc.refusals import AlreadyExists, NotFound
from services.data.records import SeriesState
from services.data.series import CANDLES, Series
from services.data.store.state_memory import COUNT_MAX, StateMemory
from tests.data.market import HOUR, START, SYMBOL, TIMEFRAME, VENUE, candles, data_room

ASKED = (VENUE, SYMBOL, TIMEFRAME)
WHOSE = (VENUE, SYMBOL)
OLD = {Series(CANDLES, *ASKED): SeriesState(1, 2, 3)}
NEW = {Series(CANDLES, *ASKED): SeriesState(1, 2, 4)}


def test_what_was_read_is_remembered_until_somebody_writes():
    memory = StateMemory()
    assert memory.get(*WHOSE) is None
    memory.put(*WHOSE, OLD, memory.begun())
    assert memory.get(*WHOSE) is OLD
    with memory.writing("other", SYMBOL):
        assert memory.get(*WHOSE) is OLD
    with memory.writing(*WHOSE):
        assert memory.get(*WHOSE) is None
    assert memory.get(*WHOSE) is None
    memory.put(*WHOSE, NEW, memory.begun())
    assert memory.get(*WHOSE) is NEW


def test_what_was_read_while_somebody_wrote_is_not_remembered():
    memory = StateMemory()
    before = memory.begun()
    with memory.writing(*WHOSE):
        memory.put(*WHOSE, OLD, before)
        memory.put(*WHOSE, OLD, memory.begun())
        assert memory.get(*WHOSE) is None
        inside = memory.begun()
    for begun in (before, inside):
        memory.put(*WHOSE, OLD, begun)
        assert memory.get(*WHOSE) is None


def test_a_write_that_fails_and_one_beside_another_are_writes():
    memory = StateMemory()
    memory.put(*WHOSE, OLD, memory.begun())
    with memory.writing(*WHOSE):
        with pytest.raises(ZeroDivisionError), memory.writing(*WHOSE):
            raise ZeroDivisionError
        memory.put(*WHOSE, OLD, memory.begun())
        assert memory.get(*WHOSE) is None
    memory.put(*WHOSE, NEW, memory.begun())
    assert memory.get(*WHOSE) is NEW


def test_the_memory_is_bounded_and_those_that_nobody_asks_for_go():
    memory = StateMemory()
    for number in range(COUNT_MAX + 2):
        memory.put(VENUE, f"A{number}/USDT", OLD, memory.begun())
        assert memory.get(VENUE, "A0/USDT") is not None
    assert memory.get(VENUE, "A2/USDT") is None
    assert memory.get(VENUE, "A3/USDT") is not None


def test_a_call_that_stored_is_seen_by_all_calls_after_it(tmp_path: Path):
    with data_room(f"sqlite:///{tmp_path}/data.sqlite", tmp_path) as room, ThreadPoolExecutor(4) as readers:
        room.client.ingest_candles(candles(3), *ASKED)
        seen = set()
        for number in range(3, 40):
            under_way = [readers.submit(room.client.get_frame_state, *ASKED) for _ in range(4)]
            room.client.ingest_candles(candles(1, START + number * HOUR), *ASKED)
            state = room.client.get_frame_state(*ASKED)
            assert state not in seen
            seen |= {state, *(each.result() for each in under_way)}
            assert room.client.get_frame_state(*ASKED) == state
            assert len(room.client.query_frame(*ASKED)) == number + 1


def test_a_call_that_is_refused_or_deletes_leaves_no_wrong_memory(tmp_path: Path):
    with data_room(f"sqlite:///{tmp_path}/data.sqlite", tmp_path) as room:
        room.client.ingest_candles(candles(3), *ASKED)
        before = room.client.get_frame_state(*ASKED)
        with pytest.raises(AlreadyExists):
            room.client.ingest_candles(candles(3, seed=1), *ASKED, on_conflict="refuse")
        assert room.client.get_frame_state(*ASKED) == before
        room.client.delete_series("candles", *ASKED)
        for _ in range(2):
            with pytest.raises(NotFound):
                room.client.get_frame_state(*ASKED)
            with pytest.raises(NotFound):
                room.client.query_frame(*ASKED)
        room.client.ingest_candles(candles(3), *ASKED)
        assert room.client.get_frame_state(*ASKED) != before
