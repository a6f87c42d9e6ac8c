"""Rows marked as missing, in the store: queries leave them out, what was known before stays readable."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from marketml.clients.data import DataClient
from marketml.clients.data_quality import mark_missing
from marketml.rpc.refusals import AlreadyExists, NotFound, Refusal, ResourceExhausted
from services.data.__main__ import MIGRATIONS
from services.data.blocks import BLOCK_ROWS
from services.data.checks import Checked
from services.data.revisions import Counts, OnConflict
from services.data.series import CANDLES, FUNDING_RATES, HOUR_US, MINUTE_US, Series
from services.data.store import SeriesStore
from services.host.database import open_database
from tests.data.market import START, SYMBOL, VENUE, candles, same
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually

BARS = Series(CANDLES, "binance", "BTC/USDT:USDT", "1m")
RATES = BARS.sibling(FUNDING_RATES)
NOW = 10**15


@contextmanager
def stored(url: str) -> Iterator[SeriesStore]:
    with open_database(url, migrations=MIGRATIONS) as database:
        yield SeriesStore(database, 2**20)


def told(store: SeriesStore, series: Series, times: list[int], value: float = 1.0, **more: object) -> Counts:
    step = MINUTE_US if series is BARS else HOUR_US
    columns = (np.full(len(times), value),) * len(series.kind.columns)
    rows = Checked(np.array(times, np.int64) * step, columns, 0, 0, ())
    given = {"source": "test", "captured_us": None, "clock": lambda: NOW, "check": lambda: None}
    return store.ingest(series, rows, **(given | {"on_conflict": OnConflict.REVISE} | more))


def marked(store: SeriesStore, start: int, end: int, series: Series = BARS, **more: object) -> int:
    step = MINUTE_US if series is BARS else HOUR_US
    given = {"clock": lambda: NOW, "times_max": 10**6, "request_id": "", "body": b""}
    given["check"] = lambda: None
    return store.mark_missing(series, start * step, end * step, **(given | more))


def coverage(store: SeriesStore) -> tuple[object, ...]:
    [found] = store.coverage(count=10)
    step = found.series.step_us or HOUR_US
    ends = [None if time is None else time // step for time in (found.first_time_us, found.last_time_us)]
    return found.row_count, found.marked_count, *ends


def test_marked_rows_are_not_counted_and_the_ends_of_the_series_are_those_of_its_rows(database_url):
    with stored(database_url) as store:
        told(store, BARS, list(range(20)))
        assert marked(store, 0, 3) == 3
        assert coverage(store) == (17, 3, 3, 19)
        assert marked(store, 15, 40) == 25
        assert coverage(store) == (12, 28, 3, 14)
        assert marked(store, 15, 40) == 0  # they are already
        assert marked(store, 0, 20) == 12
        assert coverage(store) == (0, 40, None, None)
        assert told(store, BARS, [7]) == Counts(revised=1)  # the time was known to the series
        assert coverage(store) == (1, 39, 7, 7)


def test_marks_that_fill_a_gap_of_many_blocks_leave_the_rows_beside_it_as_they_are(database_url):
    end = 3 * BLOCK_ROWS
    with stored(database_url) as store:
        told(store, BARS, [0, 1, end, end + 1])
        assert marked(store, 0, end) == end
        assert coverage(store) == (2, end, end, end + 1)
        assert told(store, BARS, [5, BLOCK_ROWS]) == Counts(revised=2)
        assert coverage(store) == (4, end - 2, 5, end + 1)


def test_marks_of_what_is_absent_leave_rows_as_they_are(database_url):
    end = 2 * BLOCK_ROWS
    with stored(database_url) as store:
        told(store, BARS, list(range(0, end, 3)))
        assert marked(store, 1, end, only_absent=True) == end - len(range(0, end, 3))
        assert coverage(store) == (end // 3, end - end // 3, 0, end - 3)
        assert marked(store, 0, end, only_absent=True) == 0
        assert marked(store, 0, 6) == 2  # rows, now, too
        assert coverage(store) == (end // 3 - 2, end - end // 3 + 2, 6, end - 3)


def test_of_series_without_bars_only_stored_times_are_marked(database_url):
    with stored(database_url) as store:
        told(store, RATES, [0, 8, 16, 20, 24])
        assert marked(store, 8, 24, RATES) == 3
        assert coverage(store) == (2, 3, 0, 24)
        assert marked(store, 25, 100, RATES) == 0
        with pytest.raises(ResourceExhausted, match="2 rows"):
            marked(store, 0, 24, RATES, times_max=2)


def test_a_repeated_request_has_the_first_answer_and_marks_nothing_again(database_url):
    with stored(database_url) as store:
        told(store, BARS, list(range(5)))
        assert marked(store, 1, 3, request_id="r", body=b"1") == 2
        told(store, BARS, [1])
        assert marked(store, 1, 3, request_id="r", body=b"1") == 2
        assert coverage(store) == (4, 1, 0, 4)
        with pytest.raises(AlreadyExists):
            marked(store, 1, 3, request_id="r", body=b"2")


def test_nothing_is_marked_in_a_series_that_is_not_there(database_url):
    with stored(database_url) as store:
        with pytest.raises(NotFound):
            marked(store, 0, 1)
        assert store.coverage(count=1) == []


def test_a_kill_in_the_middle_of_a_repair_leaves_each_action_whole_or_not_and_the_repeat_ends_it(
    database_url, tmp_path
):
    minute = pd.Timedelta("1min")
    frame = candles(10, START - 10 * minute, step=minute)
    size = 20_000
    actions = [mark_missing(START + n * size * minute, START + (n + 1) * size * minute) for n in range(12)]
    series = ("candles", VENUE, SYMBOL, "1m")
    with (
        RoomProcess("data", tmp_path, database_url=database_url) as room,
        DataClient(room.target) as client,
    ):
        client.ingest_candles(frame, *series[1:])

        def send() -> None:
            with DataClient(room.target) as other:
                other.repair_series(*series, actions=actions, request_id="killed", deadline_seconds=60)

        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send)
            eventually(lambda: client.list_series()[0].marked_missing_count >= 2 * size, 60)
            room.kill()
            assert sending.exception(120) is None or isinstance(sending.exception(), Refusal)

    with (
        RoomProcess("data", tmp_path, database_url=database_url) as room,
        DataClient(room.target) as client,
    ):
        marked = client.list_series()[0].marked_missing_count
        assert 2 * size <= marked <= 12 * size
        assert marked % size == 0
        outcomes = client.repair_series(*series, actions=actions, request_id="killed", deadline_seconds=60)
        assert [outcome.marked_count for outcome in outcomes] == [size] * 12
        assert client.list_series()[0].marked_missing_count == 12 * size
        same(client.query_candles(*series[1:]), frame)
