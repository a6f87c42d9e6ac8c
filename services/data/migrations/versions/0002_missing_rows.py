"""Rows marked as missing: how many of a block's current rows are that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "data0002"
down_revision = "data0001"


def upgrade() -> None:
    op.add_column("blocks", sa.Column("missing_count", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("blocks", "missing_count")
