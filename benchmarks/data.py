"""The data room's numbers: `python benchmarks/data.py [--rows N] [--repeats N]`.

The room is a process on SQLite, the peers stand beside it in the same run, and their runs alternate: Arrow
Flight in another process with the same table in memory, `executemany` in one transaction on the same SQLite
settings, `pandas.read_sql`, `pandas.read_parquet`, `pandas.merge_asof`. Medians of wall time, and of the CPU
time of all processes together.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.flight

from marketml.clients.data import DataClient
from marketml.rpc.frames import to_table

ROOT = Path(__file__).resolve().parents[1]
MINUTE = pd.Timedelta(minutes=1)
SERIES = ("binance", "BTC/USDT:USDT", "1m")
FLIGHT_BATCH_ROWS = 65_536
RUNNING: list[psutil.Process] = []  # the processes of the room and of Flight
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--repeats", type=int, default=7)
    arguments.add_argument("--flight-server", metavar="FILE", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.flight_server:
        serve_flight(Path(given.flight_server))
        return
    frame = candles(given.rows)
    names = ("pyarrow", "pandas", "numpy", "grpcio", "protobuf", "sqlalchemy")
    print(
        f"{given.rows:,} candles, {given.rows * 72:,} bytes, seed 0; medians of {given.repeats}; "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores; "
        + ", ".join(f"{name} {version(name)}" for name in names)
        + "\n"
    )
    print(f"{'':44} {'seconds of wall time':^25} {'seconds of CPU':^25}")
    print(f"{'what':44} {'room':>8} {'peer':>8} {'ratio':>7} {'room':>8} {'peer':>8} {'ratio':>7}  peer")
    with tempfile.TemporaryDirectory() as folder, room(Path(folder)) as client:
        ingest(client, frame, Path(folder), given.repeats)
        query(client, frame, Path(folder), given.repeats)
        aligned(client, frame, given.repeats)
        snapshot(client, frame, Path(folder), given.repeats)
        one_bar(client, frame)


def ingest(client: DataClient, frame: pd.DataFrame, folder: Path, repeats: int) -> None:
    """A frame into a new series, against rows into a new table."""
    rows = list(frame.reset_index().astype({"open_time": "int64"}).itertuples(index=False, name=None))
    database = connect(folder / "peer.sqlite")

    def peer(run: int) -> None:
        columns = ", ".join(f"{name} REAL" for name in frame.columns)
        key = "PRIMARY KEY (series_id, open_time)"
        database.execute(f"CREATE TABLE run{run} (series_id INT, open_time INT, {columns}, {key})")
        marks = ", ".join("?" for _ in rows[0])
        database.execute("BEGIN IMMEDIATE")
        database.executemany(f"INSERT INTO run{run} VALUES (1, {marks})", rows)
        database.execute("COMMIT")

    def ours(run: int) -> None:
        client.ingest_candles(frame, "binance", f"RUN{run}/USDT", "1m")

    compare("ingest of a new series", ours, peer, repeats, "executemany, one transaction")
    again = [timed(lambda: ours(0)) for _ in range(repeats)]
    print(f"{'  the same rows again (nothing changes)':44} {statistics.median(again):9.3f}")
    database.close()
    client.ingest_candles(frame, *SERIES)


def query(client: DataClient, frame: pd.DataFrame, folder: Path, repeats: int) -> None:
    """A series as a DataFrame, against Flight and against SQL."""
    with flight(frame, folder) as peer:

        def fetch(_run: int) -> None:
            read = peer.do_get(pa.flight.Ticket(b"candles")).read_all().to_pandas()
            assert len(read.set_index("open_time")) == len(frame)

        def fetch_table(_run: int) -> None:
            assert peer.do_get(pa.flight.Ticket(b"candles")).read_all().num_rows == len(frame)

        def ours(_run: int) -> None:
            assert len(client.query_candles(*SERIES)) == len(frame)

        compare("QueryCandles to a DataFrame", ours, fetch, repeats, "Arrow Flight to a DataFrame")
        compare("QueryCandles to a DataFrame", ours, fetch_table, repeats, "Arrow Flight to a table alone")
    database = connect(folder / "peer.sqlite")
    read_sql = lambda _run: pd.read_sql("SELECT * FROM run0 ORDER BY open_time", database)  # noqa: E731
    compare("QueryCandles to a DataFrame", ours, read_sql, 3, "pandas.read_sql")
    database.close()


def aligned(client: DataClient, frame: pd.DataFrame, repeats: int) -> None:
    """Candles with funding and open interest, against pandas on frames that are in memory already."""
    span = len(frame) * MINUTE
    rates = observations(frame.index[0], span, pd.Timedelta(hours=8), "funding_rate", 1e-4)
    interest = observations(frame.index[0], span, 5 * MINUTE, "open_interest", 1000.0)
    client.ingest_funding_rates(rates, *SERIES[:2])
    client.ingest_open_interest(interest, *SERIES[:2])

    def peer(_run: int) -> None:
        bars = frame.reset_index()
        bars["close_time"] = bars["open_time"] + MINUTE
        for known, age in ((rates, "12h"), (interest, "2h")):
            bars = pd.merge_asof(
                bars, known.reset_index(), left_on="close_time", right_on="time",
                tolerance=pd.Timedelta(age), suffixes=("", "_other"),
            )  # fmt: skip

    def ours(_run: int) -> None:
        client.query_frame(*SERIES)

    compare("QueryFrame, over the wire", ours, peer, repeats, "pandas.merge_asof in memory")


def snapshot(client: DataClient, frame: pd.DataFrame, folder: Path, repeats: int) -> None:
    """A snapshot verified and read, against a Parquet file of the same rows."""
    made = client.create_snapshot(*SERIES)
    rows = client.query_frame(*SERIES)
    rows.to_parquet(folder / "peer.parquet")

    def ours(_run: int) -> None:
        client.read_snapshot(made.snapshot_id)

    compare(
        "ReadSnapshot, verified, over the wire",
        ours,
        lambda _run: pd.read_parquet(folder / "peer.parquet"),
        repeats,
        f"pandas.read_parquet ({len(frame):,} rows)",
    )


def one_bar(client: DataClient, frame: pd.DataFrame) -> None:
    """One new bar stored and read back, against an empty answer of the same server."""
    last = frame.iloc[[-1]]
    empty, bars = [], []
    for number in range(1, 201):
        empty.append(timed(lambda: client.list_series(venue="nobody")))
        bar = last.set_axis(last.index + number * MINUTE).rename_axis("open_time")

        def stored_and_read(bar: pd.DataFrame = bar) -> None:
            client.ingest_candles(bar, *SERIES)
            client.query_candles(*SERIES, limit=1, newest_first=True)

        bars.append(timed(stored_and_read))
    for name, quantile in (("p50", 0.5), ("p99", 0.99)):
        ours, peer = float(np.quantile(bars, quantile)), float(np.quantile(empty, quantile))
        what = f"one new bar, durable and read back, {name}"
        print(f"{what:44} {ours:9.4f} {peer:9.4f} {peer / ours:7.2f}  ListSeries without a match")


def compare(
    what: str, ours: Callable[[int], None], peer: Callable[[int], object], repeats: int, name: str
) -> None:
    """Alternate both and print the medians; a ratio above 1 is faster than the peer."""
    wall: tuple[list[float], list[float]] = ([], [])
    cpu: tuple[list[float], list[float]] = ([], [])
    for run in range(repeats):
        for side, function in enumerate((ours, peer)):
            before = cpu_seconds()
            wall[side].append(timed(lambda function=function, run=run: function(run)))
            cpu[side].append(cpu_seconds() - before)
    (mine, others), (my_cpu, other_cpu) = map(statistics.median, wall), map(statistics.median, cpu)
    print(
        f"{what:44} {mine:8.3f} {others:8.3f} {others / mine:7.2f} "
        f"{my_cpu:8.3f} {other_cpu:8.3f} {other_cpu / my_cpu:7.2f}  {name}",
        flush=True,
    )


def cpu_seconds() -> float:
    """What this process and those it started have used; only one of them works at a time."""
    used = [process.cpu_times() for process in RUNNING]
    return time.process_time() + sum(times.user + times.system for times in used)


def timed(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def candles(count: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    prices = 100 + np.abs(random.standard_normal((count, 4)).cumsum(axis=0))
    index = pd.date_range("2020-01-01", periods=count, freq="min", tz="UTC", name="open_time", unit="us")
    frame = pd.DataFrame(
        {"open": prices[:, 0], "high": prices.max(axis=1), "low": prices.min(axis=1), "close": prices[:, 1]},
        index=index,
    )
    for name in ("volume", "quote_volume", "trade_count", "taker_buy_volume"):
        frame[name] = random.random(count)
    return frame.copy()


def observations(
    start: pd.Timestamp, span: pd.Timedelta, step: pd.Timedelta, name: str, value: float
) -> pd.DataFrame:
    index = pd.date_range(start, start + span, freq=step, name="time", unit="us")
    return pd.DataFrame({name: np.full(len(index), value)}, index=index)


def connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        database.execute(f"PRAGMA {pragma}")
    return database


@contextmanager
def room(folder: Path) -> Iterator[DataClient]:
    """The room as a process in a folder."""
    variables = {"MARKETML_DATA_ADDRESS": "127.0.0.1:0"}
    with (
        started(["-m", "services.data"], folder, variables) as line,
        DataClient(json.loads(line)["address"]) as client,
    ):
        yield client


@contextmanager
def flight(frame: pd.DataFrame, folder: Path) -> Iterator[pa.flight.FlightClient]:
    """A Flight server as a process, with the table in memory."""
    path, table = str(folder / "flight.arrow"), to_table(frame)
    with pa.OSFile(path, "w") as file, pa.ipc.new_file(file, table.schema) as out:
        out.write_table(table)
    with (
        started([__file__, "--flight-server", path], folder, {}) as port,
        pa.flight.connect(f"grpc://127.0.0.1:{int(port)}") as client,
    ):
        yield client


def serve_flight(path: Path) -> None:
    table = pa.ipc.open_file(path.read_bytes()).read_all()

    class Candles(pa.flight.FlightServerBase):
        def do_get(self, _context, _ticket):
            batches = table.to_batches(max_chunksize=FLIGHT_BATCH_ROWS)
            return pa.flight.GeneratorStream(table.schema, iter(batches))

    server = Candles("grpc://127.0.0.1:0")
    print(server.port, flush=True)
    server.serve()


@contextmanager
def started(arguments: list[str], folder: Path, variables: dict[str, str]) -> Iterator[str]:
    """A Python process and the first line it prints."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    watched = psutil.Process(process.pid)
    RUNNING.append(watched)
    try:
        assert process.stdout is not None
        yield process.stdout.readline()
    finally:
        RUNNING.remove(watched)
        process.terminate()
        process.wait(30)
        process.stdout.close()


if __name__ == "__main__":
    main()
