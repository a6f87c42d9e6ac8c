"""The data room is killed at random moments of an ingest of a million rows, on SQLite and on PostgreSQL: all
of the call's rows are there afterwards or none, and the same call, sent again, completes.

`make kill-ingest` kills it 50 times on each; INGEST_KILLS and INGEST_KILLS_SEED say how often and when.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import text

from marketml.clients.data import DataClient
from marketml.rpc.refusals import Refusal
from services.data.__main__ import MIGRATIONS
from services.data.series import CANDLES, Series
from services.data.store import SeriesStore
from services.host.database import Database, open_database
from tests.data.market import candles
from tests.faults.forked_rooms import ForkedRooms

ROWS, STORED_EACH = 1_000_000, 20  # every twentieth of the rows is there before, with another value
KILLS = int(os.environ.get("INGEST_KILLS", "2"))
SEED = int(os.environ.get("INGEST_KILLS_SEED", "0"))
MINUTE = pd.Timedelta(minutes=1)
EARLIER, LATER = (pd.Timestamp(day, tz="UTC") for day in ("2020-01-01", "2020-01-02"))
CAPTURED_US = {"none": EARLIER.value // 1000, "all": LATER.value // 1000}
REVISED = {"none": 0, "all": ROWS // STORED_EACH}
ROWS_OF = {"none": ROWS // STORED_EACH, "all": ROWS}


class Room:
    """A data room's database, over the deaths of its processes."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder, self.url = folder, database_url
        self.frame = candles(ROWS, pd.Timestamp("2010-01-01", tz="UTC"), step=MINUTE)
        self.digests: dict[str, str] = {}  # of a series that has none, and all, of the rows

    def serve_often(self) -> ForkedRooms:
        environment = {"MARKETML_DATA_ADDRESS": "127.0.0.1:0", "MARKETML_DATA_DATABASE_URL": self.url}
        return ForkedRooms("services.data.__main__", self.folder, environment)

    def prepare(self, client: DataClient, symbol: str) -> None:
        """Store what is there before the call that is killed."""
        before = self.frame[::STORED_EACH] + 1.0
        client.ingest_candles(before, "binance", symbol, "1m", capture_time=EARLIER)

    def ingest(self, client: DataClient, symbol: str) -> None:
        """The call that is killed; it is acknowledged when this returns."""
        report = client.ingest_candles(self.frame, "binance", symbol, "1m", capture_time=LATER)
        assert report.inserted + report.revised + report.unchanged == report.received == ROWS

    def found(self, symbol: str) -> str:
        """`all` or `none`, by the digest, the sums and the newest capture; anything else fails."""
        with open_database(self.url, migrations=MIGRATIONS) as database:
            assert_intact(database)
            store = SeriesStore(database, 0)
            digest = store.digest(Series(CANDLES, "binance", symbol, "1m"))
            [coverage] = store.coverage(symbol=symbol, count=2)
        [outcome] = [each for each, known in self.digests.items() if known == digest]
        assert coverage.newest_capture_us == CAPTURED_US[outcome]
        assert (coverage.row_count, coverage.revised_count) == (ROWS_OF[outcome], REVISED[outcome])
        return outcome


def assert_intact(database: Database) -> None:
    """The database's own check, and no block without its series."""
    with database.read() as connection:
        if database.dialect == "sqlite":
            assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
        orphans = "SELECT count(*) FROM blocks WHERE series_id NOT IN (SELECT id FROM series)"
        assert connection.execute(text(orphans)).scalar_one() == 0


def digest_now(room: Room, symbol: str) -> str:
    with open_database(room.url, migrations=MIGRATIONS) as database:
        return SeriesStore(database, 0).digest(Series(CANDLES, "binance", symbol, "1m"))


@pytest.mark.slow
@pytest.mark.timeout(120 + 60 * KILLS)
def test_killed_at_any_moment_of_an_ingest_all_rows_are_there_or_none(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = Room(tmp_path, database_url)
    moments = random.Random(SEED)
    outcomes: Counter[str] = Counter()
    with room.serve_often() as rooms:
        with DataClient(rooms.start()) as client:
            room.prepare(client, "QUIET/USDT")
        assert rooms.stop() == 0
        room.digests["none"] = digest_now(room, "QUIET/USDT")
        with DataClient(rooms.start()) as client:
            started = time.monotonic()
            room.ingest(client, "QUIET/USDT")
            seconds = time.monotonic() - started
        assert rooms.stop() == 0
        room.digests["all"] = digest_now(room, "QUIET/USDT")
        assert room.found("QUIET/USDT") == "all"

        for number in range(KILLS):
            symbol = f"KILLED{number}/USDT"
            with DataClient(rooms.start()) as client, ThreadPoolExecutor(1) as pool:
                room.prepare(client, symbol)
                sending = pool.submit(room.ingest, client, symbol)
                wait([sending], timeout=moments.uniform(0, 1.1 * seconds))
                rooms.kill()
                error = sending.exception(60)
                assert error is None or isinstance(error, Refusal)
            outcome = room.found(symbol)
            assert error is not None or outcome == "all"
            outcomes["acknowledged" if error is None else outcome] += 1
            with DataClient(rooms.start()) as client:
                room.ingest(client, symbol)
                room.ingest(client, symbol)  # once more: nothing changes
                if number:
                    client.delete_series("candles", "binance", f"KILLED{number - 1}/USDT", "1m")
            assert rooms.stop() == 0
            assert room.found(symbol) == "all"
    with capsys.disabled():
        kind = database_url.partition(":")[0]
        print(f"\n{kind}: killed {KILLS} times, seed {SEED}, within {1.1 * seconds:.1f} s: {dict(outcomes)}")
    assert outcomes.total() == KILLS
