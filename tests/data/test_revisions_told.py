"""Values that repeat and come back, over the wire: what a caller is told of them, and what the room says."""

from __future__ import annotations

import itertools

import pytest

from tests.data.market import HOUR, START, SYMBOL, TIMEFRAME, VENUE, DataRoom, candles, same

SERIES = (VENUE, SYMBOL, TIMEFRAME)
FIRST, OTHER = candles(4, seed=1), candles(4, seed=2)
TOLD = {1: FIRST, 2: OTHER, 3: FIRST}  # hours after the bars: the first values come back


def ingest(room: DataRoom, hour: int | None) -> tuple[int, int, int]:
    """Inserted, revised and unchanged; None is told without a capture time."""
    capture = None if hour is None else START + (10 + hour) * HOUR
    report = room.client.ingest_candles(TOLD[hour or 3], *SERIES, capture_time=capture)
    return report.inserted, report.revised, report.unchanged


@pytest.mark.parametrize("order", list(itertools.permutations(TOLD)))
def test_a_value_that_came_back_is_current_in_whatever_order_it_was_told(room, order):
    for hour in order:
        ingest(room, hour)
    same(room.client.query_candles(*SERIES), FIRST)
    for hour, frame in TOLD.items():
        same(room.client.query_candles(*SERIES, as_of=START + (10 + hour) * HOUR), frame)
    [series] = room.client.list_series()
    assert series.revised_count == 4
    assert series.newest_capture_time.seconds == (START + 13 * HOUR).timestamp()


def test_a_value_told_again_at_a_later_capture_is_unchanged_and_no_revision(room):
    assert ingest(room, 1) == (4, 0, 0)
    assert ingest(room, 3) == (0, 0, 4)
    [series] = room.client.list_series()
    assert series.revised_count == 0
    assert series.newest_capture_time.seconds == (START + 13 * HOUR).timestamp()  # it was seen then
    assert ingest(room, 2) == (0, 4, 0)
    assert room.client.list_series()[0].revised_count == 4


@pytest.mark.parametrize("told", [(1, 2, 3), (None,), (1, 2, None)])
def test_the_same_import_again_changes_nothing(room, told):
    for hour in told:
        ingest(room, hour)
    before = room.contents()
    for hour in told:
        if hour is not None or told[-1] is None:
            assert ingest(room, hour) == (0, 0, 4)
    assert ingest(room, None) == (0, 0, 4)
    assert room.contents() == before
