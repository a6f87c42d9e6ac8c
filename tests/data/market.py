"""Rows for tests of the data room, and the room served inside the test process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd

from marketml.clients.data import DataClient
from marketml.data.v1 import data_pb2 as pb
from marketml.data.v1.data_pb2_grpc import DataServiceStub
from marketml.market.v1 import market_pb2
from marketml.rpc.channels import open_channel
from services.data.__main__ import MIGRATIONS, build
from services.data.settings import DataSettings
from services.host.database import open_database
from tests.support.servers import Served, serve_in_process

VENUE, SYMBOL, TIMEFRAME = "binance", "BTC/USDT:USDT", "1h"
KEY = market_pb2.SeriesKey(venue=VENUE, symbol=SYMBOL, timeframe=TIMEFRAME)
START = pd.Timestamp("2024-01-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)
CANDLE_COLUMNS = ["open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume"]


class Clock:
    """The room's clock: the machine's until a test sets it."""

    def __init__(self) -> None:
        self.now: pd.Timestamp | None = None

    def __call__(self) -> int:
        return time.time_ns() // 1000 if self.now is None else self.now.value // 1000


class DataRoom:
    """A served data room and a connection to it."""

    def __init__(self, served: Served, client: DataClient, channel: grpc.Channel, clock: Clock) -> None:
        self.served = served
        self.client = client
        self.stub: Any = DataServiceStub(channel)
        self.clock = clock

    def contents(self) -> tuple[Any, ...]:
        """Everything that can be read: what a refused call must not have changed."""
        series = self.client.list_series()
        return (
            [each.SerializeToString(deterministic=True) for each in series],
            [each.SerializeToString(deterministic=True) for each in self.client.list_snapshots()],
            [(each.policy_id, each.etag) for each in self.client.list_collection_policies()],
        )


@contextmanager
def data_room(database_url: str, folder: Path, **settings: Any) -> Iterator[DataRoom]:
    """Serve the room on a database and a folder."""
    clock = Clock()
    given = DataSettings(
        address="127.0.0.1:0", database_url=database_url, folder=folder / "files", **settings
    )
    with (
        open_database(database_url, migrations=MIGRATIONS) as database,
        serve_in_process(build(given, database, clock), given) as served,
        DataClient(served.target) as client,
        open_channel(served.target) as channel,
    ):
        yield DataRoom(served, client, channel, clock)


def candles(
    count: int = 4, start: pd.Timestamp = START, *, step: pd.Timedelta = HOUR, seed: int = 0
) -> pd.DataFrame:
    """Possible candles."""
    index = pd.date_range(start, periods=count, freq=step, name="open_time", unit="us")
    random = np.random.default_rng(seed)
    prices = 100 + random.random((count, 4)).cumsum(axis=0)
    frame = pd.DataFrame(random.random((count, 8)), index=index, columns=CANDLE_COLUMNS)
    frame["open"], frame["close"] = prices[:, 0], prices[:, 1]
    frame["high"], frame["low"] = prices.max(axis=1), prices.min(axis=1)
    return frame


def funding(count: int = 3, start: pd.Timestamp = START, *, step: pd.Timedelta = 8 * HOUR) -> pd.DataFrame:
    """Possible funding rates."""
    index = pd.date_range(start, periods=count, freq=step, name="time", unit="us")
    return pd.DataFrame({"funding_rate": 0.0001 * np.arange(1, count + 1), "mark_price": 100.0}, index=index)


def open_interest(count: int = 3, start: pd.Timestamp = START, *, step: pd.Timedelta = HOUR) -> pd.DataFrame:
    """Possible open interest."""
    index = pd.date_range(start, periods=count, freq=step, name="time", unit="us")
    return pd.DataFrame(
        {"open_interest": 1000.0 + np.arange(count), "open_interest_value": np.nan}, index=index
    )


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Fail unless both frames hold the same bits."""
    pd.testing.assert_frame_equal(one, other, check_exact=True, check_freq=False, check_index_type=False)


def candle_rows(frame: pd.DataFrame) -> pb.CandleRows:
    """Candles as typed rows."""
    rows = pb.CandleRows()
    for stamp, row in frame.iterrows():
        message = rows.rows.add()
        message.open_time.FromNanoseconds(stamp.as_unit("ns").value)
        for name, value in row.items():
            if not np.isnan(value):
                setattr(message, str(name), value)
    return rows


def header(**changes: Any) -> pb.IngestHeader:
    """The header of the candles' series."""
    return pb.IngestHeader(**({"venue": VENUE, "symbol": SYMBOL, "timeframe": TIMEFRAME} | changes))
