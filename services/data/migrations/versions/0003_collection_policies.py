"""Series that the room collects by itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.host.migrations import refuse_rows

revision = "data0003"
down_revision = "data0002"


def _word(length: int) -> sa.types.TypeEngine[str]:
    """Text that is ordered by its bytes on both databases."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "collection_policies",
        sa.Column("policy_id", sa.String(32), primary_key=True),
        sa.Column("venue", _word(32), nullable=False),
        sa.Column("symbol", _word(80), nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("timeframe", _word(8), nullable=False),
        sa.Column("interval_us", sa.BigInteger, nullable=False),
        sa.Column("start_us", sa.BigInteger),
        sa.Column("is_paused", sa.Boolean, nullable=False),
        sa.Column("etag", sa.String(32), nullable=False),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("update_time_us", sa.BigInteger, nullable=False),
        sa.Column("next_run_us", sa.BigInteger, nullable=False),
        sa.Column("last_run_us", sa.BigInteger),
        sa.Column("last_success_us", sa.BigInteger),
        sa.Column("inserted_count", sa.BigInteger, nullable=False),
        sa.Column("error", sa.String(1000), nullable=False),
        sa.Column("failed_runs_count", sa.Integer, nullable=False),
        # Who runs it now, and until when by the database's clock unless they say so again.
        sa.Column("lease_holder", sa.String(32)),
        sa.Column("lease_until_us", sa.BigInteger),
        sa.UniqueConstraint("venue", "symbol", "kind", "timeframe"),
    )
    op.create_index("collection_policies_by_next_run", "collection_policies", ["next_run_us"])


def downgrade() -> None:
    refuse_rows("collection_policies", "TRUE", "collection policies; delete them")
    op.drop_table("collection_policies")
