"""The data room's numbers: `python benchmarks/data.py [--rows N] [--repeats N]`.

The room is a process on SQLite, the peers stand beside it in the same run, and their runs alternate: Arrow
Flight in another process with the same table in memory, `executemany` in one transaction on the same SQLite
settings, `pandas.read_sql`, `pandas.read_parquet`, `pandas.merge_asof`. Medians of wall time, and of the CPU
time of all processes together. A ratio above 1 is faster than the peer.
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
import pyarrow.parquet as pq

from marketml.clients.data import DataClient
from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.frames import to_table
from services.data.blocks import batch_of
from services.data.query.alignment import aligned, newest_known
from services.data.revisions import Rows
from services.data.series import CANDLES
from services.data.snapshots.files import SnapshotFiles, schema_of

ROOT = Path(__file__).resolve().parents[1]
MINUTE = pd.Timedelta(minutes=1)
SERIES = ("binance", "BTC/USDT:USDT", "1m")
FLIGHT_BATCH_ROWS = 65_536
ONE_BAR_REPEATS = 500
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
    names = ("pyarrow", "pandas", "numpy", "grpcio", "protobuf", "sqlalchemy", "xxhash")
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
        rates, interest = known(client, frame)
        join(frame, rates, interest, given.repeats)
        query_frame(client, frame, rates, interest, given.repeats)
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
    """A series as a table and as a DataFrame, against Flight and against SQL."""
    ticket = pa.flight.Ticket(b"candles")
    with flight(frame, folder) as peer:

        def table(_run: int) -> None:
            assert client.tables.query_candles(*SERIES).num_rows == len(frame)

        def peer_table(_run: int) -> None:
            assert peer.do_get(ticket).read_all().num_rows == len(frame)

        def read(_run: int) -> None:
            assert len(client.query_candles(*SERIES)) == len(frame)

        def peer_read(_run: int) -> None:
            assert len(peer.do_get(ticket).read_all().to_pandas().set_index("open_time")) == len(frame)

        compare("QueryCandles to a table", table, peer_table, repeats, "Arrow Flight to a table")
        compare("QueryCandles to a DataFrame", read, peer_read, repeats, "Arrow Flight to a DataFrame")
    database = connect(folder / "peer.sqlite")
    read_sql = lambda _run: pd.read_sql("SELECT * FROM run0 ORDER BY open_time", database)  # noqa: E731
    compare("QueryCandles to a DataFrame", read, read_sql, 3, "pandas.read_sql, SQLite")
    database.close()


def known(client: DataClient, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Funding rates every 8 hours and open interest every 5 minutes, stored and in memory."""
    span = len(frame) * MINUTE
    rates = observations(frame.index[0], span, pd.Timedelta(hours=8), "funding_rate", 1e-4)
    interest = observations(frame.index[0], span, 5 * MINUTE, "open_interest", 1000.0)
    client.ingest_funding_rates(rates, *SERIES[:2])
    client.ingest_open_interest(interest, *SERIES[:2])
    return rates, interest


def merged(frame: pd.DataFrame, rates: pd.DataFrame, interest: pd.DataFrame) -> pd.DataFrame:
    """What `pandas.merge_asof` makes of frames in memory."""
    bars = frame.reset_index()
    bars["close_time"] = bars["open_time"] + MINUTE
    for newest, age in ((rates, "12h"), (interest, "2h")):
        bars = pd.merge_asof(
            bars, newest.reset_index(), left_on="close_time", right_on="time",
            tolerance=pd.Timedelta(age), suffixes=("", "_other"),
        )  # fmt: skip
    return bars


def join(frame: pd.DataFrame, rates: pd.DataFrame, interest: pd.DataFrame, repeats: int) -> None:
    """The as-of join alone: everything in memory on both sides, and the same values."""
    batch = batch_of(CANDLES, in_rows(frame))
    closes = in_rows(frame).times + MINUTE // pd.Timedelta(microseconds=1)
    observed = in_rows(rates), in_rows(interest)
    ages = tuple(pd.Timedelta(age) // pd.Timedelta(microseconds=1) for age in ("12h", "2h"))

    def ours(_run: int = 0) -> pa.RecordBatch:
        return aligned(batch, *(newest_known(closes, *each) for each in zip(observed, ages, strict=True)), 0)

    expected = merged(frame, rates, interest)
    for name in ("funding_rate", "open_interest"):
        assert np.array_equal(ours().column(name).to_numpy(), expected[name].to_numpy())
    peer = lambda _run: merged(frame, rates, interest)  # noqa: E731
    compare(
        "as-of join, funding and open interest, alone", ours, peer, repeats, "pandas.merge_asof, in memory"
    )


def query_frame(
    client: DataClient, frame: pd.DataFrame, rates: pd.DataFrame, interest: pd.DataFrame, repeats: int
) -> None:
    """The same from the store and over the wire, against pandas in memory and in no process but its own."""
    ours = lambda _run: client.query_frame(*SERIES)  # noqa: E731
    peer = lambda _run: merged(frame, rates, interest)  # noqa: E731
    compare("QueryFrame to a DataFrame, over the wire", ours, peer, repeats, "pandas.merge_asof, in memory")


def snapshot(client: DataClient, frame: pd.DataFrame, folder: Path, repeats: int) -> None:
    """A snapshot verified and read, against a Parquet file of the same rows, read and not verified."""
    made = client.create_snapshot(*SERIES)
    parquet = folder / "peer.parquet"
    client.query_frame(*SERIES).to_parquet(parquet)
    print(f"snapshot {made.size_bytes:,} bytes, Parquet {parquet.stat().st_size:,} bytes")
    snapshots = folder / ".run/data/snapshots"
    seal = SnapshotFiles(snapshots).seal(made.snapshot_id, made.size_bytes)
    opened = SnapshotFiles(snapshots)
    open_all(opened, made, seal)
    state = opened.verified_state(made.snapshot_id)
    table = lambda _run: pq.read_table(parquet)  # noqa: E731
    read = lambda _run: pd.read_parquet(parquet)  # noqa: E731
    compare(
        "snapshot opened and verified, touched since",
        lambda _run: open_all(SnapshotFiles(snapshots), made, seal),
        table,
        repeats,
        "pyarrow.parquet to a table",
    )
    compare(
        "snapshot opened and verified, first time",
        lambda _run: open_all(SnapshotFiles(snapshots), made, seal, state),
        table,
        repeats,
        "pyarrow.parquet to a table",
    )
    again = lambda _run: open_all(opened, made, seal)  # noqa: E731
    compare("snapshot opened and verified, later", again, table, repeats, "pyarrow.parquet to a table")
    compare("snapshot opened and verified, later", again, read, repeats, "pandas.read_parquet")
    over_wire = lambda _run: client.tables.read_snapshot(made.snapshot_id)  # noqa: E731
    compare("ReadSnapshot to a table, over the wire", over_wire, table, repeats, "pyarrow.parquet to a table")
    over_wire = lambda _run: client.read_snapshot(made.snapshot_id)  # noqa: E731
    compare("ReadSnapshot to a DataFrame, over the wire", over_wire, read, repeats, "pandas.read_parquet")


def open_all(files: SnapshotFiles, made: pb.Snapshot, seal: bytes, state: str | None = None) -> None:
    """Every byte of a snapshot verified, and every record batch opened."""
    pieces = files.read(made.snapshot_id, made.size_bytes, seal, state)
    schema, rows = schema_of(next(pieces)), 0
    for piece in pieces:
        rows += pa.ipc.read_record_batch(pa.py_buffer(piece), schema).num_rows
    assert rows == made.row_count


def one_bar(client: DataClient, frame: pd.DataFrame) -> None:
    """One new bar stored and read back, against an empty answer of the same server."""
    last = frame.iloc[[-1]]
    seconds: dict[str, list[float]] = {"empty": [], "stored": [], "read back": []}
    for number in range(1, ONE_BAR_REPEATS + 1):
        bar = last.set_axis(last.index + number * MINUTE).rename_axis("open_time")
        seconds["empty"].append(timed(lambda: client.list_series(venue="nobody")))
        seconds["stored"].append(timed(lambda bar=bar: client.ingest_candles(bar, *SERIES)))
        read = lambda: client.query_candles(*SERIES, limit=1, newest_first=True)  # noqa: E731
        seconds["read back"].append(timed(read))
    seconds["stored and read back"] = list(np.add(seconds["stored"], seconds["read back"]))
    for quantile in (0.5, 0.99):
        peer = float(np.quantile(seconds["empty"], quantile))
        for what in ("stored", "read back", "stored and read back"):
            ours = float(np.quantile(seconds[what], quantile))
            name = f"one new bar, durable: {what}, p{quantile * 100:.0f}"
            print(f"{name:44} {ours:8.4f} {peer:8.4f} {peer / ours:7.2f}  ListSeries without a match")


def compare(
    what: str, ours: Callable[[int], None], peer: Callable[[int], object], repeats: int, name: str
) -> None:
    """Alternate both and print the medians."""
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


def in_rows(frame: pd.DataFrame) -> Rows:
    """A frame as the room has it in memory."""
    times = frame.index.as_unit("us").asi8
    return Rows(times, tuple(np.ascontiguousarray(frame[name]) for name in frame.columns), times)


@contextmanager
def room(folder: Path, **settings: str) -> Iterator[DataClient]:
    """The room as a process in a folder, with these settings."""
    given = {"address": "127.0.0.1:0"} | settings
    variables = {f"MARKETML_DATA_{name.upper()}": value for name, value in given.items()}
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
