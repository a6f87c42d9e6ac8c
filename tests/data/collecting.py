"""A room that collects from the local exchange, and what it must then hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1 import market_pb2
from marketml.rpc.refusals import Refusal
from tests.data.market import CANDLE_COLUMNS, DataRoom, data_room
from tests.support.exchange_server import BARS, ExchangeServer

VENUE, SYMBOL = "binanceusdm", "BTC/USDT:USDT"
QUICK: dict[str, Any] = {"exchange_backoff_seconds": 0.02, "exchange_request_seconds": 5.0}


@contextmanager
def collecting_room(
    exchange: ExchangeServer, database_url: str, folder: Path, **settings: Any
) -> Iterator[DataRoom]:
    """A room whose exchanges are the local one, and whose clock is its clock."""
    urls = f"binanceusdm={exchange.url} bybit={exchange.url}"
    with data_room(database_url, folder, **({"exchange_urls": urls} | QUICK | settings)) as room:
        follow(room, exchange)
        yield room


def follow(room: DataRoom, exchange: ExchangeServer) -> None:
    """Set the room's clock by the exchange's."""
    room.clock.now = moment(exchange.now)


def target(kind: str = "candles", timeframe: str = "", symbol: str = SYMBOL, venue: str = VENUE) -> Any:
    key = market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe)
    return pb.CollectionTarget(kind=pb.SeriesKind.Value(f"SERIES_KIND_{kind.upper()}"), key=key)


def hours(**more: Any) -> Any:
    return target("candles", "1h", **more)


def minutes(**more: Any) -> Any:
    return target("candles", "1m", **more)


def parts(room: DataRoom, *targets: Any, **span: str) -> Iterator[pb.CollectSeriesResponse]:
    """The stream of a call."""
    given = {name: market_time(text) for name, text in span.items()}
    return room.client.collect_series(pb.ExchangeSource(series=targets, **given))


def collect(room: DataRoom, *targets: Any, **span: str) -> Any:
    """The outcomes of a call that goes to the end; the one outcome when it has one."""
    found = [part.outcome for part in parts(room, *targets, **span) if part.HasField("outcome")]
    assert len(found) == len(targets)
    assert not any(outcome.failure for outcome in found)
    return found if len(found) > 1 else found[0]


def collect_failing(room: DataRoom, *targets: Any, **span: str) -> tuple[list[Any], Refusal]:
    """The outcomes of a call that ends with a refusal, and that."""
    found = []
    try:
        for part in parts(room, *targets, **span):
            if part.HasField("outcome"):
                found.append(part.outcome)
    except Refusal as refusal:
        return found, refusal
    raise AssertionError("The call went to the end.")


def market_time(text: str) -> Any:
    return {"seconds": int(pd.Timestamp(text).timestamp())}


def moment(stamp: int) -> pd.Timestamp:
    return pd.Timestamp(stamp, unit="ms", tz="UTC")


def told_bars(exchange: ExchangeServer, stamps: Sequence[int], timeframe: str) -> pd.DataFrame:
    """Bars as the exchange says them."""
    index = pd.DatetimeIndex([moment(at) for at in stamps], name="open_time").as_unit("us")
    rows = [exchange.bar(at, BARS[timeframe]) for at in stamps]
    return pd.DataFrame(rows, index=index, columns=CANDLE_COLUMNS, dtype=np.float64)


def stored_bars(room: DataRoom, timeframe: str, symbol: str = SYMBOL, venue: str = VENUE) -> pd.DataFrame:
    return room.client.query_candles(venue, symbol, timeframe)


def assert_holds_all(room: DataRoom, exchange: ExchangeServer, timeframe: str) -> None:
    """The room has every closed bar of the exchange, once, as it says it, and no other."""
    told = told_bars(exchange, exchange.bars(0, 2**60, BARS[timeframe]), timeframe)
    pd.testing.assert_frame_equal(stored_bars(room, timeframe), told, check_freq=False)
