"""The features room at work behind its port: a large result in bounded memory, one new vector at once.

    python benchmarks/features_served.py [--minutes 525600] [--calls 1000]

A data room and a features room run as processes. First the efficient set of tsfresh over five columns and
three windows of a year of 1-minute bars goes through a client that keeps nothing: seconds, bytes, and the
largest memory that the features room ever had. Then `GetLatestFeatures` of 250 features of an hourly series,
beside an empty call of the same server.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
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
from tests.support.servers import RoomProcess

VENUE, SYMBOL = "binance", "BTC/USDT:USDT"
COLUMNS = ("open", "high", "low", "close", "volume")
WINDOWS = (24, 72, 168)
VECTOR_FEATURES = 250


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=int, default=525_600, help="bars of the large result")
    parser.add_argument("--calls", type=int, default=1_000, help="of one vector")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folders = [Path(folder) / name for name in ("data", "features")]
        for each in folders:
            each.mkdir()
        with (
            RoomProcess("data", folders[0]) as data,
            RoomProcess("features", folders[1], data_target=data.target) as features,
            DataClient(data.target) as client,
        ):
            client.ingest_candles(candles(given.minutes, "1min"), VENUE, SYMBOL, "1m")
            client.ingest_candles(candles(20_000, "1h"), VENUE, SYMBOL, "1h")
            with FeaturesClient(features.target) as room:
                vector(features, room, given.calls)
                stream(features, room)


def candles(count: int, step: str) -> pd.DataFrame:
    """A random walk whose bars hold their open."""
    bars = walk(count)
    bars["high"], bars["low"] = bars[["open", "high"]].max(axis=1), bars[["open", "low"]].min(axis=1)
    bars.index = pd.date_range("2020-01-01", periods=count, freq=step, tz="UTC", name="open_time")
    return bars[list(COLUMNS)]


def vector(process: RoomProcess, room: FeaturesClient, calls: int) -> None:
    """One new vector beside an empty call, in turns."""
    everything = [info.name for info in room.list_features() if info.is_default]
    held = room.get_latest_features(VENUE, SYMBOL, "1h").index
    config = pb.FeatureConfig(only=[name for name in held if name in everything][:VECTOR_FEATURES])
    with grpc.insecure_channel(process.target) as channel:
        health = HealthStub(channel)
        works: dict[str, Callable[[], object]] = {
            "empty call": lambda: health.Check(HealthCheckRequest()),
            "GetLatestFeatures": lambda: room.get_latest_features(VENUE, SYMBOL, "1h", config=config),
        }
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for turn in range(calls + 20):
            for name, work in works.items():
                started = time.perf_counter()
                work()
                if turn >= 20:
                    seconds[name].append(time.perf_counter() - started)
    print(f"{'one call, ms':30}{'p50':>8}{'p99':>8}")
    for name, each in seconds.items():
        print(f"{name:30}{1e3 * statistics.median(each):8.2f}{1e3 * float(np.quantile(each, 0.99)):8.2f}")
    ratios = [
        float(np.quantile(seconds["GetLatestFeatures"], level) / np.quantile(seconds["empty call"], level))
        for level in (0.5, 0.99)
    ]
    print(f"{len(config.only)} features: {ratios[0]:.1f} × at p50, {ratios[1]:.1f} × at p99\n", flush=True)


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
