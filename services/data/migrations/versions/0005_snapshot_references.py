"""Snapshots with the bars of a reference beside the series' own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.host.migrations import refuse_rows

revision = "data0005"
down_revision = "data0004"

_COLUMNS = {"reference_venue": 32, "reference_symbol": 80}


def upgrade() -> None:
    with op.batch_alter_table("snapshots") as snapshots:
        # None: no reference. Its timeframe is the series'.
        for name, length in _COLUMNS.items():
            snapshots.add_column(sa.Column(name, sa.String(length)))


def downgrade() -> None:
    refuse_rows("snapshots", "reference_venue IS NOT NULL", "snapshots with a reference; delete them")
    with op.batch_alter_table("snapshots") as snapshots:
        for name in reversed(_COLUMNS):
            snapshots.drop_column(name)
