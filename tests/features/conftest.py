"""The features room with a real data room behind it, as processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pytest

from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from tests.features.frames import random_walk
from tests.support.servers import RoomProcess

VENUE, SYMBOL, TIMEFRAME = "binance", "BTC/USDT:USDT", "1h"
LEADER = "SOL/USDT:USDT"
CANDLES = ["open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume"]
BARS = 1200


@dataclass(frozen=True)
class Rooms:
    """Both rooms, and what the data room holds: `snapshot_id` is the whole series of `frame`, which has
    funding and open interest; SPOT/USDT has candles only; `leader`, of LEADER, lacks bars."""

    data: RoomProcess
    features: RoomProcess
    frame: pd.DataFrame
    leader: pd.DataFrame
    snapshot_id: str


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    """Started once: no test changes what they hold."""
    frame = random_walk(17, BARS)
    leader = random_walk(18, BARS, 2_000.0)
    leader = leader.drop(leader.index[[500, 501, 900]])
    with (
        RoomProcess("data", tmp_path_factory.mktemp("data")) as data,
        RoomProcess("features", tmp_path_factory.mktemp("features"), data_target=data.target) as features,
        DataClient(data.target) as client,
    ):
        ingest(client, frame)
        ingest(client, leader, LEADER)
        client.ingest_candles(frame[CANDLES], VENUE, "SPOT/USDT", TIMEFRAME)
        snapshot = client.create_snapshot(VENUE, SYMBOL, TIMEFRAME)
        yield Rooms(data, features, frame, leader, snapshot.snapshot_id)


def ingest(client: DataClient, frame: pd.DataFrame, symbol: str = SYMBOL) -> None:
    """Candles, funding and open interest of an aligned frame, as they were before they were aligned."""
    client.ingest_candles(frame[CANDLES], VENUE, symbol, TIMEFRAME)
    for prefix, name, store in (
        ("funding", "funding_rate", client.ingest_funding_rates),
        ("open_interest", "open_interest", client.ingest_open_interest),
    ):
        rows = frame[[f"{prefix}_time", name]].drop_duplicates(f"{prefix}_time")
        store(rows.set_index(f"{prefix}_time").rename_axis("time"), VENUE, symbol)


@pytest.fixture
def client(rooms: Rooms) -> Iterator[FeaturesClient]:
    """A client of the features room."""
    with FeaturesClient(rooms.features.target) as connected:
        yield connected
