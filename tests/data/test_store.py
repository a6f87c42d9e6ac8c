"""The stores on SQLite and on PostgreSQL: the same promises, told without a server around them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from marketml.rpc.frames import read_chunks
from marketml.rpc.refusals import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    FailedPrecondition,
    NotFound,
    Unavailable,
)
from services.data.__main__ import MIGRATIONS
from services.data.blocks import BLOCK_ROWS
from services.data.checks import Checked
from services.data.query.alignment import FrameSpec
from services.data.query.bounds import Bounds
from services.data.query.reading import Query, Reader
from services.data.query.views import PAGE_BLOCKS, Selection
from services.data.records import Snapshot
from services.data.revisions import Counts, OnConflict
from services.data.series import CANDLES, FUNDING_RATES, MINUTE_US, OPEN_INTEREST, Series
from services.data.store import SeriesStore, SnapshotStore
from services.data.wire import written_chunks
from services.host.database import open_database
from tests.support.waiting import eventually

MORE_THAN_A_PAGE = BLOCK_ROWS * (PAGE_BLOCKS + 1)

BARS = Series(CANDLES, "binance", "BTC/USDT:USDT", "1m")
RATES = BARS.sibling(FUNDING_RATES)
NOW = 10**15
SEAL = b"seal"


@contextmanager
def stores(url: str, cache_bytes: int = 2**20) -> Iterator[tuple[SeriesStore, SnapshotStore]]:
    with open_database(url, migrations=MIGRATIONS) as database:
        yield SeriesStore(database, cache_bytes), SnapshotStore(database)


def bars(first: int, count: int, value: float = 1.0) -> Checked:
    times = np.arange(first, first + count, dtype=np.int64) * MINUTE_US
    return Checked(times, (np.full(count, value),) * 8, 0, 0, ())


def told(store: SeriesStore, rows: Checked, series: Series = BARS, **more: object) -> Counts:
    given = {"source": "test", "captured_us": None, "clock": lambda: NOW, "check": lambda: None}
    return store.ingest(series, rows, **(given | {"on_conflict": OnConflict.REVISE} | more))


def patiently(store: SeriesStore, rows: Checked) -> Counts | None:
    """A try to store rows; None when the database was busy too long, which is no loss: try again."""
    try:
        return told(store, rows)
    except Unavailable:
        return None


def streams(store: SeriesStore, selection: Selection) -> Iterator[Any]:
    return Reader(store).streams(Query((BARS,), selection), Bounds(10**9, lambda: None))


def read(store: SeriesStore, selection: Selection = Selection()) -> list[tuple[int, float]]:  # noqa: B008
    table = read_chunks(written_chunks(streams(store, selection)))
    times = table.column("open_time").cast("int64").to_numpy() // MINUTE_US
    return list(zip(times.tolist(), table.column("close").to_pylist(), strict=True))


def test_rows_outlive_the_process_that_stored_them(database_url):
    with stores(database_url) as (store, _):
        told(store, bars(0, 5_000))
    with stores(database_url) as (store, _):
        assert read(store) == [(minute, 1.0) for minute in range(5_000)]
        assert told(store, bars(0, 5_000)) == Counts(unchanged=5_000)


def test_a_call_that_nobody_waits_for_any_more_changes_nothing(database_url):
    def gone() -> None:
        raise Cancelled("The caller went away.")

    with stores(database_url) as (store, _):
        with pytest.raises(Cancelled):
            told(store, bars(0, 10), check=gone)
        assert store.find(BARS) is None
        told(store, bars(0, 10))
        with pytest.raises(Cancelled):
            told(store, bars(5, 10_000, 2.0), check=gone)
        assert read(store) == [(minute, 1.0) for minute in range(10)]


def test_fifty_writers_at_once_lose_no_row(database_url):
    writers, each = 50, 40
    with stores(database_url) as (store, _):
        start = threading.Barrier(writers)

        def write(number: int) -> Counts:
            start.wait(30)
            # Interleaved rows: every writer changes the block that every other writer changes.
            times = (np.arange(each, dtype=np.int64) * writers + number) * MINUTE_US
            rows = Checked(times, (np.full(each, float(number)),) * 8, 0, 0, ())
            return eventually(lambda: patiently(store, rows), 120, "a turn to write")

        with ThreadPoolExecutor(writers) as pool:
            results = list(pool.map(write, range(writers)))
        assert results == [Counts(inserted=each)] * writers
        assert read(store) == [(minute, float(minute % writers)) for minute in range(writers * each)]


def test_writers_that_revise_the_same_rows_leave_every_revision(database_url):
    with stores(database_url) as (store, _):
        with ThreadPoolExecutor(12) as pool:
            results = list(pool.map(lambda number: told(store, bars(0, 3, float(number))), range(12)))
        assert sum(result.inserted for result in results) == 3
        assert sum(result.revised for result in results) == 33
        [coverage] = store.coverage(count=10)
        assert (coverage.row_count, coverage.revised_count) == (3, 3)
        assert store.delete_series(BARS, dry_run=True, force=False, request_id="", body=b"") == 36


def test_a_reader_sees_one_state_of_the_series_while_it_is_revised(database_url):
    count = MORE_THAN_A_PAGE
    with stores(database_url, cache_bytes=1) as (store, _):
        told(store, bars(0, count))
        reading = streams(store, Selection())
        parts = [next(reading)]
        told(store, bars(0, count, 2.0))
        told(store, bars(count, 10, 2.0))
        parts += reading
        table = read_chunks(written_chunks(parts))
        assert table.num_rows == count
        assert set(table.column("close").to_pylist()) == {1.0}


def test_a_reader_of_a_series_that_is_deleted_meanwhile_is_told_and_not_given_less(database_url):
    with stores(database_url, cache_bytes=1) as (store, _):
        told(store, bars(0, MORE_THAN_A_PAGE))
        reading = streams(store, Selection())
        next(reading)
        store.delete_series(BARS, dry_run=False, force=False, request_id="", body=b"")
        with pytest.raises(Aborted, match="deleted"):
            list(reading)


def test_blocks_in_memory_are_never_stale(database_url):
    with stores(database_url) as (store, _):
        for value in range(5):
            told(store, bars(value * 100, 6_000, float(value)))
            found = dict(read(store))
            assert [found[minute] for minute in (value * 100, value * 100 + 5_999)] == [value, value]


def test_a_flipped_bit_in_the_database_is_data_loss_and_not_an_answer(database_url):
    with stores(database_url) as (store, _):
        told(store, bars(0, 9_000))
    with open_database(database_url, migrations=MIGRATIONS) as database, database.write() as connection:
        query = text("SELECT id, batch FROM blocks ORDER BY first_time_us LIMIT 1")
        block_id, batch = connection.execute(query).one()
        batch = bytes(batch[:-100]) + bytes([batch[-100] ^ 1]) + bytes(batch[-99:])
        connection.execute(
            text("UPDATE blocks SET batch = :batch WHERE id = :id"), {"batch": batch, "id": block_id}
        )
    with stores(database_url) as (store, _):
        with pytest.raises(DataLoss, match="damaged"):
            read(store)
        with pytest.raises(DataLoss, match="damaged"):
            told(store, bars(0, 1, 2.0))
        assert read(store, Selection(start_us=5_000 * MINUTE_US))[0] == (5_000, 1.0)


def test_the_newest_rows_are_found_without_reading_the_others(database_url):
    with stores(database_url) as (store, _):
        told(store, bars(0, 30_000))
        for limit in (1, 4_799, 4_800, 4_801, 29_999, 30_000, 31_000):
            found = read(store, Selection(limit=limit, newest_first=True))
            assert len(found) == min(limit, 30_000)
            assert found[-1][0] == 29_999


def test_coverage_is_paged_in_order_and_filtered(database_url):
    keys = [
        Series(kind, venue, symbol, "1m" if kind is CANDLES else "")
        for venue in ("a", "B".lower() + "-1", "b_1")
        for symbol in ("BTC/USDT", "BTC/USDT:USDT", "ETH/USDT")
        for kind in (CANDLES, FUNDING_RATES, OPEN_INTEREST)
    ]
    with stores(database_url) as (store, _):
        for key in reversed(keys):
            columns = (np.full(2, 0.5),) * len(key.kind.columns)
            told(store, Checked(np.array([0, 3 * MINUTE_US]), columns, 0, 0, ()), key)
        found, after = [], None
        while page := store.coverage(after=after, count=4):
            found += page
            last = page[-1].series
            after = (last.venue, last.symbol, last.kind.number, last.timeframe)
        order = sorted(keys, key=lambda key: (key.venue, key.symbol, key.kind.number, key.timeframe))
        assert [each.series for each in found] == order
        assert {(each.row_count, each.first_time_us, each.last_time_us) for each in found} == {
            (2, 0, 3 * MINUTE_US)
        }
        assert len(store.coverage(venue="a", count=99)) == 9
        assert len(store.coverage(symbol="ETH/USDT", kind=CANDLES, count=99)) == 3
        assert sorted(store.symbols()) == ["BTC/USDT", "BTC/USDT:USDT", "ETH/USDT"]


def a_snapshot(name: str, created: int = 7) -> Snapshot:
    frame = FrameSpec(BARS, None, 5, 1, 2, 3)
    return Snapshot(name * 64, frame, 4, 100, None, 9, created)


def test_a_series_that_a_snapshot_needs_is_deleted_only_by_force(database_url):
    with stores(database_url) as (store, snapshots):
        told(store, bars(0, 5))
        told(store, Checked(np.array([0]), (np.zeros(1), np.ones(1)), 0, 0, ()), RATES)
        snapshots.add_snapshot(a_snapshot("a"), SEAL, lambda: None, request_id="", body=b"")
        for series in (BARS, RATES):
            for dry_run in (False, True):
                with pytest.raises(FailedPrecondition, match="aaaa"):
                    store.delete_series(series, dry_run=dry_run, force=False, request_id="", body=b"")
        other = Series(CANDLES, BARS.venue, BARS.symbol, "1h")
        with pytest.raises(NotFound):
            store.delete_series(other, dry_run=False, force=False, request_id="", body=b"")
        assert store.delete_series(BARS, dry_run=False, force=True, request_id="", body=b"") == 5
        assert store.find(BARS) is None
        assert store.find(RATES) is not None


def test_a_repeated_request_id_has_one_effect(database_url):
    with stores(database_url) as (store, snapshots):
        told(store, bars(0, 5))
        arguments = {"dry_run": False, "force": False, "request_id": "r1", "body": b"x"}
        assert store.delete_series(BARS, **arguments) == 5
        told(store, bars(0, 9))
        assert store.delete_series(BARS, **arguments) == 5  # remembered: the new rows stay
        assert store.find(BARS) is not None
        with pytest.raises(AlreadyExists, match="r1"):
            store.delete_series(BARS, **arguments | {"body": b"y"})

        published: list[str] = []

        def add(name: str) -> Snapshot:
            snapshot = a_snapshot(name)
            return snapshots.add_snapshot(
                snapshot, SEAL, lambda: published.append(name), request_id="s", body=b"1"
            )

        first = add("a")
        assert snapshots.remembered_snapshot("s", b"1") == first
        assert add("b") == first
        assert published == ["a"]
        assert snapshots.remembered_snapshot("t", b"1") is None
        with pytest.raises(AlreadyExists):
            snapshots.remembered_snapshot("s", b"2")
        assert snapshots.delete_snapshot(first.snapshot_id, request_id="d", body=b"") == 100
        assert snapshots.delete_snapshot(first.snapshot_id, request_id="d", body=b"") == 100
        with pytest.raises(NotFound):
            snapshots.delete_snapshot(first.snapshot_id, request_id="", body=b"")


def test_a_snapshot_that_is_there_stays_the_first_one(database_url):
    with stores(database_url) as (_, snapshots):
        first = snapshots.add_snapshot(a_snapshot("a", 7), SEAL, lambda: None, request_id="", body=b"")
        second = snapshots.add_snapshot(a_snapshot("a", 8), SEAL, lambda: None, request_id="", body=b"")
        assert second == first == snapshots.snapshot(first.snapshot_id)
        for name in "bcd":
            snapshots.add_snapshot(a_snapshot(name, 8), SEAL, lambda: None, request_id="", body=b"")
        assert [each.snapshot_id[0] for each in snapshots.snapshots(None, 10)] == ["d", "c", "b", "a"]
        assert [each.snapshot_id[0] for each in snapshots.snapshots((8, "c" * 64), 10)] == ["b", "a"]


def test_a_snapshot_whose_file_cannot_be_published_leaves_no_row(database_url):
    def full() -> None:
        raise OSError("disk full")

    with stores(database_url) as (_, snapshots):
        with pytest.raises(OSError, match="disk full"):
            snapshots.add_snapshot(a_snapshot("a"), SEAL, full, request_id="s", body=b"")
        assert snapshots.snapshots(None, 10) == []
        assert snapshots.remembered_snapshot("s", b"") is None


def test_old_requests_are_forgotten(database_url):
    with stores(database_url) as (_, snapshots):
        snapshots.add_snapshot(a_snapshot("a"), SEAL, lambda: None, request_id="s", body=b"")
        assert snapshots.sweep(3_600) == 0
        assert snapshots.sweep(-1) == 1
        assert snapshots.remembered_snapshot("s", b"") is None
