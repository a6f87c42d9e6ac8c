"""The features room at work behind its port: a large result in bounded memory, one new vector at once.

    python benchmarks/features_served.py [--minutes 525600] [--calls 1000] [--postgresql]

A data room and a features room run as processes. The efficient set of tsfresh over five columns and
three windows of a year of 1-minute bars goes through a client that keeps nothing: seconds, bytes, and the
largest memory that the features room ever had. Before that `GetLatestFeatures` of 250 features of an hourly
series, again and for the first time after a bar was stored, beside an empty call of the same server.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pandas as pd
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from benchmarks.features import walk
from benchmarks.rolling import QUADRATIC
from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb
from services.features.rolling.calculators import CALCULATORS
from tests.support.postgresql import serve_postgresql
from tests.support.servers import RoomProcess

VENUE, SYMBOL = "binance", "BTC/USDT:USDT"
COLUMNS = ("open", "high", "low", "close", "volume")
WINDOWS = (24, 72, 168)
VECTOR_FEATURES = 250
HOURS = 20_000  # of the series whose vector is asked for
COLD_SHARE = 10  # every so manieth call comes after a new bar


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=int, default=525_600, help="bars of the large result, 0 for none")
    parser.add_argument("--calls", type=int, default=1_000, help="of one vector")
    parser.add_argument("--postgresql", action="store_true", help="the data room on PostgreSQL, not SQLite")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folders = [Path(folder) / name for name in ("data", "features")]
        for each in folders:
            each.mkdir()
        with (
            database(is_postgresql=given.postgresql) as where,
            RoomProcess("data", folders[0], **where) as data,
            RoomProcess("features", folders[1], data_target=data.target) as features,
            DataClient(data.target) as client,
        ):
            client.ingest_candles(candles(HOURS, "1h"), VENUE, SYMBOL, "1h")
            with FeaturesClient(features.target) as room:
                vector(features, client, room, given.calls)
                if given.minutes:
                    client.ingest_candles(candles(given.minutes, "1min"), VENUE, SYMBOL, "1m")
                    stream(features, room)


@contextmanager
def database(*, is_postgresql: bool) -> Iterator[dict[str, str]]:
    """Where the rows lie, as a setting of the data room."""
    if not is_postgresql:
        yield {}
        return
    with serve_postgresql() as server, server.new_database() as url:
        yield {"database_url": url}


def candles(count: int, step: str) -> pd.DataFrame:
    """A random walk whose bars hold their open."""
    bars = walk(count)
    bars["high"], bars["low"] = bars[["open", "high"]].max(axis=1), bars[["open", "low"]].min(axis=1)
    bars.index = pd.date_range("2020-01-01", periods=count, freq=step, tz="UTC", name="open_time")
    return bars[list(COLUMNS)]


def vector(process: RoomProcess, data: DataClient, room: FeaturesClient, calls: int) -> None:
    """One vector beside an empty call, in turns: again, and for the first time after a bar was stored."""
    everything = [info.name for info in room.list_features() if info.is_default]
    held = room.get_latest_features(VENUE, SYMBOL, "1h").index
    config = pb.FeatureConfig(only=[name for name in held if name in everything][:VECTOR_FEATURES])
    bars = candles(HOURS + calls // COLD_SHARE + 21, "1h")

    def newest() -> pd.Series:
        return room.get_latest_features(VENUE, SYMBOL, "1h", config=config)

    with grpc.insecure_channel(process.target) as channel:
        health = HealthStub(channel)
        works: dict[str, Callable[[], object]] = {
            "empty call": lambda: health.Check(HealthCheckRequest()),
            "GetLatestFeatures, again": newest,
            "GetLatestFeatures, new bar": newest,
        }
        seconds: dict[str, list[float]] = {name: [] for name in works}
        stored = HOURS
        for turn in range(calls + 20):
            is_new = turn < 20 or turn % COLD_SHARE == 0
            if is_new:
                data.ingest_candles(bars.iloc[[stored]], VENUE, SYMBOL, "1h")
                stored += 1
            for name, work in list(works.items())[2:] if is_new else list(works.items())[:2]:
                started = time.perf_counter()
                work()
                if turn >= 20:
                    seconds[name].append(time.perf_counter() - started)
    assert newest().name == bars.index[stored - 1]
    print(f"{len(config.only)} features, one call, ms  {'p50':>8}{'p99':>8}{'of empty: p50':>16}{'p99':>8}")
    empty = [float(np.quantile(seconds["empty call"], level)) for level in (0.5, 0.99)]
    for name, each in seconds.items():
        p50, p99 = (float(np.quantile(each, level)) for level in (0.5, 0.99))
        ratios = f"{p50 / empty[0]:14.1f} ×{p99 / empty[1]:6.1f} ×"
        print(f"{name:28}{1e3 * p50:8.2f}{1e3 * p99:8.2f}{ratios}", flush=True)


def stream(process: RoomProcess, room: FeaturesClient) -> None:
    """The large result, of which the client keeps nothing."""
    chosen = [name for name in CALCULATORS if name not in QUADRATIC]
    off = pb.FamilyConfig(enabled=False)
    config = pb.FeatureConfig(
        technical=off,
        statistical=off,
        series=off,
        market=off,
        calendar=off,
        tsfresh=pb.TsfreshConfig(enabled=True, windows=WINDOWS, columns=COLUMNS, calculators=chosen),
        limits=pb.FeatureLimits(max_features=20_000, timeout_seconds=3_600),
    )
    started, values = time.monotonic(), 0
    with room.stream_features(venue=VENUE, symbol=SYMBOL, timeframe="1m", config=config) as answer:
        for table in answer.tables():
            values += table.num_rows * (table.num_columns - 1)
        header = answer.header
    seconds = time.monotonic() - started
    size = f"{header.row_count:,} bars × {len(header.feature_names):,} features, {8 * values / 2**30:.1f} GiB"
    print(f"{size}: {seconds:,.0f} s, largest memory of the room {most_memory(process) / 2**20:,.0f} MiB")


def most_memory(process: RoomProcess) -> int:
    """Bytes of the largest resident set so far."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    main()
