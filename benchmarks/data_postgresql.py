"""The data room's numbers on PostgreSQL: `python benchmarks/data_postgresql.py [--rows N] [--repeats N]`.

The server is started by this script in a temporary folder with its own defaults, `fsync` too. The room is a
process; the peers stand beside it in the same run, their runs alternate, each in its fastest form:
COPY in binary of rows that lie ready in memory, into a table without a key, and `pandas.read_sql` of it. CPU
time is that of this process and the room, without PostgreSQL's. A ratio above 1 is faster than the peer.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
from sqlalchemy import create_engine

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.data import SERIES, candles, compare, room  # noqa: E402
from tests.support.postgresql import serve_postgresql  # noqa: E402

DURABLE = {"fsync": "on", "max_wal_size": "1GB"}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--repeats", type=int, default=5)
    given = arguments.parse_args()
    frame = candles(given.rows)
    with serve_postgresql(**DURABLE) as server, server.new_database() as url, server.new_database() as peer:
        names = ("psycopg", "sqlalchemy", "pandas", "pyarrow", "grpcio")
        with psycopg.connect(url) as connection:
            number = connection.info.server_version // 10_000
        print(
            f"{given.rows:,} candles, {given.rows * 72:,} bytes, seed 0; medians of {given.repeats}; "
            f"Python {platform.python_version()}, PostgreSQL {number}, {os.cpu_count()} cores; "
            + ", ".join(f"{name} {version(name)}" for name in names)
            + "\n"
        )
        print(f"{'':44} {'seconds of wall time':^25} {'seconds of CPU':^25}")
        print(f"{'what':44} {'room':>8} {'peer':>8} {'ratio':>7} {'room':>8} {'peer':>8} {'ratio':>7}  peer")
        with tempfile.TemporaryDirectory() as folder, room(Path(folder), database_url=url) as client:
            stored = as_copied(frame)

            def ingest(run: int) -> None:
                client.ingest_candles(frame, "binance", f"RUN{run}/USDT", "1m")

            with psycopg.connect(peer) as connection:
                compare(
                    "ingest of a new series",
                    ingest,
                    lambda run: copy(connection, f"run{run}", frame, stored),
                    given.repeats,
                    "binary COPY, no key, no conflicts",
                )
            client.ingest_candles(frame, *SERIES)
            with engine(peer) as connected:
                compare(
                    "QueryCandles to a DataFrame",
                    lambda _run: same_count(client.query_candles(*SERIES), frame),
                    lambda _run: same_count(
                        pd.read_sql("SELECT * FROM run0 ORDER BY open_time", connected), frame
                    ),
                    min(3, given.repeats),
                    "pandas.read_sql, PostgreSQL",
                )


def as_copied(frame: pd.DataFrame) -> bytes:
    """The rows in the format of binary COPY: the number of fields, then each with its size before it."""
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for number in range(1 + frame.shape[1]):
        fields += [(f"size{number}", ">i4"), (f"value{number}", ">f8" if number else ">i8")]
    rows = np.empty(len(frame), fields)
    rows["count"] = 1 + frame.shape[1]
    rows["value0"] = frame.index.as_unit("us").asi8 - pd.Timestamp("2000-01-01").value // 1000
    for number, name in enumerate(frame.columns, start=1):
        rows[f"value{number}"] = frame[name]
    for number in range(1 + frame.shape[1]):
        rows[f"size{number}"] = 8
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff"


def copy(connection: psycopg.Connection, table: str, frame: pd.DataFrame, stored: bytes) -> None:
    """A new table, filled in one transaction."""
    columns = ", ".join(f"{name} double precision NOT NULL" for name in frame.columns)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} (open_time timestamptz NOT NULL, {columns})".encode())
        with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)".encode()) as copied:
            for start in range(0, len(stored), 2**20):
                copied.write(stored[start : start + 2**20])


def same_count(read: pd.DataFrame, frame: pd.DataFrame) -> None:
    assert len(read) == len(frame)


@contextmanager
def engine(url: str) -> Iterator[object]:
    made = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with made.connect() as connection:
        yield connection
    made.dispose()


if __name__ == "__main__":
    main()
