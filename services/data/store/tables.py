"""The tables, as the migrations leave them."""

from __future__ import annotations

import dataclasses
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, MetaData, SmallInteger, String, Table
from sqlalchemy.dialects import postgresql, sqlite

from services.data.blocks import Head
from services.data.series import Series

_metadata = MetaData()
SERIES = Table(
    "series",
    _metadata,
    Column("id", BigInteger, primary_key=True),
    Column("venue", String),
    Column("symbol", String),
    Column("kind", SmallInteger),
    Column("timeframe", String),
    Column("source", String),
    Column("newest_capture_us", BigInteger),
    Column("change_key", BigInteger),
)
HEAD = [field.name for field in dataclasses.fields(Head)]
BLOCKS = Table(
    "blocks",
    _metadata,
    Column("id", BigInteger, primary_key=True),
    Column("series_id", BigInteger),
    *(Column(name, BigInteger) for name in HEAD),
    Column("batch", LargeBinary),
    Column("captured", LargeBinary),
    Column("history", LargeBinary),
    Column("checksum", BigInteger),
)
HEAD_COLUMNS = [BLOCKS.c[name] for name in HEAD]
_FRAME_TIMES = ["start_us", "end_us", "funding_max_age_us", "open_interest_max_age_us", "as_of_us"]
FRAME = [*_FRAME_TIMES, "base_timeframe"]
REFERENCE = ("reference_venue", "reference_symbol")
SNAPSHOTS = Table(
    "snapshots",
    _metadata,
    Column("snapshot_id", String, primary_key=True),
    *(Column(name, String) for name in ("venue", "symbol", "timeframe")),
    *(Column(name, BigInteger) for name in _FRAME_TIMES),
    Column("base_timeframe", String),
    *(Column(name, String) for name in REFERENCE),
    Column("seal", LargeBinary),
    Column("verified_state", String),
    *(Column(n, BigInteger) for n in ("row_count", "size_bytes", "first_time_us", "last_time_us")),
    Column("create_time_us", BigInteger),
)


SERIES_KEY = ("venue", "symbol", "kind", "timeframe")


def key_values(series: Series) -> dict[str, Any]:
    """What names a series in a row."""
    return dict(zip(SERIES_KEY, series.key, strict=True))


def insert_on(connection: Connection, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the dialect of the connection."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
