"""The disk of the data room is full: callers are told, nothing acknowledged is lost, reading goes on, and so
does the rest as soon as there is space, without a restart."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from marketml.rpc.refusals import Reason, ResourceExhausted
from tests.data.market import VENUE, DataRoom, candles, data_room, same
from tests.support.postgresql import PostgreSQL
from tests.support.small_disk import Disk, small_disk

MINUTE = pd.Timedelta(minutes=1)
LONG_AGO = pd.Timestamp("2010-01-01", tz="UTC")
MEGABYTE = 2**20
CALL_ROWS = 20_000  # 1.5 MB


@pytest.fixture(params=["sqlite", "postgresql"])
def database_on_disk(request: pytest.FixtureRequest) -> Iterator[tuple[str, Disk]]:
    """The URL of a database whose rows lie on a small disk, and the disk."""
    with small_disk(48 * MEGABYTE) as disk:
        if request.param == "sqlite":
            yield f"sqlite:///{disk.folder}/data.sqlite", disk
            return
        server: PostgreSQL = request.getfixturevalue("postgresql")
        with on_postgresql(server, disk) as url:
            yield url, disk


@contextmanager
def on_postgresql(server: PostgreSQL, disk: Disk) -> Iterator[str]:
    """A database whose tables lie on the disk; PostgreSQL's log stays where it is."""
    place = disk.folder / "tables"
    place.mkdir()
    shutil.chown(place, "postgres", "postgres")
    server.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
    try:
        with server.new_database(tablespace="small") as url:
            yield url
    finally:
        server.execute("DROP TABLESPACE small")


def part(number: int, count: int = CALL_ROWS) -> pd.DataFrame:
    return candles(count, LONG_AGO + CALL_ROWS * number * MINUTE, step=MINUTE, seed=number)


def ingest(room: DataRoom, frame: pd.DataFrame) -> None:
    room.client.ingest_candles(frame, VENUE, "BTC/USDT", "1m")


def is_stored(room: DataRoom, frame: pd.DataFrame) -> bool:
    """Try to store rows; False when they were refused, which must be for the disk."""
    refusal: ResourceExhausted | None = None
    try:
        ingest(room, frame)
    except ResourceExhausted as refused:
        refusal = refused
    assert refusal is None or refusal.reason is Reason.DISK_FULL
    return refusal is None


def assert_stored(room: DataRoom, parts_count: int) -> None:
    same(room.client.query_candles(VENUE, "BTC/USDT", "1m"), pd.concat(map(part, range(parts_count))))


def test_a_full_disk_keeps_what_was_acknowledged_and_goes_on_when_there_is_space(
    database_on_disk: tuple[str, Disk], tmp_path: Path
) -> None:
    url, disk = database_on_disk
    with data_room(url, tmp_path, cache_bytes=1) as room:
        disk.fill(16 * MEGABYTE)
        refused = next(number for number in range(60) if not is_stored(room, part(number)))
        assert refused > 0
        for _ in range(3):
            assert not is_stored(room, part(refused))
            assert_stored(room, refused)
        [listed] = room.client.list_series()
        assert listed.row_count == refused * CALL_ROWS
        disk.free()
        ingest(room, part(refused))
        assert_stored(room, refused + 1)
    with data_room(url, tmp_path) as room:
        assert_stored(room, refused + 1)


def test_calls_of_every_size_on_a_full_disk_are_stored_or_refused_for_it(
    database_on_disk: tuple[str, Disk], tmp_path: Path
) -> None:
    url, disk = database_on_disk
    with data_room(url, tmp_path, cache_bytes=1) as room:
        ingest(room, part(0))
        stored, refused_count = [part(0)], 0
        for left_bytes in (0, 4096, 16_384, 40_000, 100_000, 400_000, 1_000_000):
            disk.fill(left_bytes)
            for count in (1, 300, 5_000):
                frame = part(len(stored) + refused_count, count)
                if is_stored(room, frame):
                    stored.append(frame)
                else:
                    refused_count += 1
                same(room.client.query_candles(VENUE, "BTC/USDT", "1m"), pd.concat(stored))
            disk.free()
        assert refused_count > 0
        ingest(room, part(99))
        same(room.client.query_candles(VENUE, "BTC/USDT", "1m"), pd.concat([*stored, part(99)]))


def test_snapshots_on_a_full_disk_are_refused_whole_and_made_when_there_is_space(tmp_path: Path) -> None:
    with (
        small_disk(24 * MEGABYTE) as disk,
        data_room(f"sqlite:///{tmp_path}/data.sqlite", disk.folder) as room,
    ):
        ingest(room, part(0))
        ingest(room, part(1))
        make = lambda **more: room.client.create_snapshot(VENUE, "BTC/USDT", "1m", **more)  # noqa: E731
        first = make(end=LONG_AGO + CALL_ROWS * MINUTE)
        disk.fill(MEGABYTE)
        free_bytes = disk.free_bytes
        for _ in range(3):
            with pytest.raises(ResourceExhausted) as refused:
                make(request_id="job-1")
            assert refused.value.reason is Reason.DISK_FULL
        assert disk.free_bytes == free_bytes
        assert room.client.list_snapshots() == [first]
        assert len(room.client.read_snapshot(first.snapshot_id)) == CALL_ROWS
        disk.free()
        assert len(room.client.read_snapshot(make(request_id="job-1").snapshot_id)) == 2 * CALL_ROWS
