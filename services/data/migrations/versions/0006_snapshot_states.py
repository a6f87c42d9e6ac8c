"""Snapshots that tell how their files looked when their SHA-256 was last found right."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "data0006"
down_revision = "data0005"


def upgrade() -> None:
    with op.batch_alter_table("snapshots") as snapshots:
        # Number, size and times of the file. None: the next reading takes the SHA-256 of everything.
        snapshots.add_column(sa.Column("verified_state", sa.String(100)))


def downgrade() -> None:
    # No loss: every process finds it out again.
    with op.batch_alter_table("snapshots") as snapshots:
        snapshots.drop_column("verified_state")
