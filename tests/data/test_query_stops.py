"""Queries that nobody waits for any more stop at the next block, even while they find nothing to give."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from marketml.rpc.refusals import Cancelled
from services.data.__main__ import MIGRATIONS
from services.data.blocks import BLOCK_ROWS
from services.data.checks import Checked
from services.data.query.alignment import FrameSpec
from services.data.query.bounds import Bounds
from services.data.query.reading import FrameQuery, Query, Reader
from services.data.query.views import Selection
from services.data.revisions import OnConflict
from services.data.series import CANDLES, HOUR_US, MINUTE_US, Series
from services.data.store import SeriesStore
from services.host.database import open_database

BARS = Series(CANDLES, "binance", "BTC/USDT", "1m")
COUNT = 12 * BLOCK_ROWS
CAPTURED_US = 10**15


def test_a_query_stops_at_the_next_block_even_while_it_finds_nothing(database_url):
    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks == 4:
            raise Cancelled("The caller went away.")

    with open_database(database_url, migrations=MIGRATIONS) as database:
        store = SeriesStore(database, 2**20)
        times = np.arange(COUNT, dtype=np.int64) * MINUTE_US
        store.ingest(
            BARS,
            Checked(times, (np.ones(COUNT),) * 8, 0, 0, ()),
            source="",
            captured_us=CAPTURED_US,
            clock=lambda: CAPTURED_US,
            on_conflict=OnConflict.REVISE,
            check=lambda: None,
        )
        reader, bounds = Reader(store), Bounds(10**9, check)
        early = Selection(as_of_us=CAPTURED_US - 1)  # of all that is stored nothing was known
        last = dataclasses.replace(early, limit=9, newest_first=True)
        hours = dataclasses.replace(BARS, timeframe="1h")
        for streams in (
            reader.streams(Query((BARS,), early), bounds),
            reader.streams(Query((BARS,), last), bounds),
            reader.streams(Query((BARS,), early, timeframe="1h"), bounds),
            reader.streams(Query((BARS,), last, timeframe="1h"), bounds),
            reader.frames(FrameQuery((FrameSpec(hours, None, None, None, HOUR_US, early.as_of_us),)), bounds),
        ):
            looks = 0
            with pytest.raises(Cancelled):
                next(streams)
            assert looks == 4
