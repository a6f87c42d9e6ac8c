"""Rows marked as missing: how many of a block's current rows are that."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from alembic import op

from services.host.migrations import no_place, refuse_rows

revision = "data0002"
down_revision = "data0001"

_COLUMNS_COUNT = {1: 8, 2: 2, 3: 2}  # by kind: candles, funding rates, open interest


def upgrade() -> None:
    op.add_column("blocks", sa.Column("missing_count", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    refuse_rows("blocks", "missing_count > 0", "stretches of rows marked as missing; delete their series")
    if count := sum(_marks_count(row.kind, row.history) for row in op.get_bind().execute(_histories())):
        raise no_place(f"{count} older revisions that mark rows as missing; delete their series")
    op.drop_column("blocks", "missing_count")


def _histories() -> sa.TextClause:
    return sa.text(
        "SELECT series.kind, blocks.history FROM blocks JOIN series ON series.id = blocks.series_id "
        "WHERE blocks.history IS NOT NULL"
    )


def _marks_count(kind: int, history: bytes) -> int:
    """How many of a block's older revisions have no number where every row has one."""
    values = [pa.field(f"column{number}", pa.float64()) for number in range(_COLUMNS_COUNT[kind])]
    schema = pa.schema(
        [pa.field("time", pa.timestamp("us", "UTC")), *values, pa.field("captured", pa.int64())]
    )
    batch = pa.ipc.read_record_batch(pa.py_buffer(bytes(history)), schema)
    return int(np.isnan(batch.column(1).to_numpy()).sum())
