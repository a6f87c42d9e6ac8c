"""Snapshots whose bars are made of shorter ones, whose funding age is read from the data, and a seal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

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
    # What the age was by default then.
    op.execute("UPDATE snapshots SET funding_max_age_us = 43200000000 WHERE funding_max_age_us IS NULL")
    with op.batch_alter_table("snapshots") as snapshots:
        snapshots.alter_column("funding_max_age_us", existing_type=sa.BigInteger, nullable=False)
        snapshots.drop_column("seal")
        snapshots.drop_column("base_timeframe")
