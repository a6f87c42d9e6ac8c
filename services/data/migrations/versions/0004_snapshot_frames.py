"""Snapshots whose bars are made of shorter ones, whose funding age is read from the data, and a seal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.host.migrations import refuse_rows

revision = "data0004"
down_revision = "data0003"


def upgrade() -> None:
    with op.batch_alter_table("snapshots") as snapshots:
        # None: the series' own bars.
        snapshots.add_column(sa.Column("base_timeframe", sa.String(8)))
        # Lengths and XXH3-128 of the file's pieces. None: not known yet, the SHA-256 alone tells.
        snapshots.add_column(sa.Column("seal", sa.LargeBinary))
        # None: read from the data.
        snapshots.alter_column("funding_max_age_us", existing_type=sa.BigInteger, nullable=True)


def downgrade() -> None:
    refuse_rows(
        "snapshots",
        "base_timeframe IS NOT NULL",
        "snapshots whose bars are made of shorter ones; delete them",
    )
    refuse_rows(
        "snapshots", "funding_max_age_us IS NULL", "snapshots whose funding age is the data's; delete them"
    )
    # The seal is no loss: it tells faster what the snapshot's name tells.
    with op.batch_alter_table("snapshots") as snapshots:
        snapshots.alter_column("funding_max_age_us", existing_type=sa.BigInteger, nullable=False)
        snapshots.drop_column("seal")
        snapshots.drop_column("base_timeframe")
