"""Series, their blocks, snapshots and remembered requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.host.migrations import refuse_rows
from services.host.mutations import mutations_columns

revision = "data0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _word(length: int) -> sa.types.TypeEngine[str]:
    """Text that is ordered by its bytes on both databases."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "series",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("venue", _word(32), nullable=False),
        sa.Column("symbol", _word(80), nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("timeframe", _word(8), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("newest_capture_us", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("venue", "symbol", "kind", "timeframe"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "blocks",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("series_id", _ID, sa.ForeignKey("series.id", ondelete="CASCADE"), nullable=False),
        sa.Column("first_time_us", sa.BigInteger, nullable=False),
        sa.Column("last_time_us", sa.BigInteger, nullable=False),
        sa.Column("row_count", sa.Integer, nullable=False),
        sa.Column("revised_count", sa.Integer, nullable=False),
        sa.Column("history_count", sa.Integer, nullable=False),
        sa.Column("forming_count", sa.Integer, nullable=False),
        sa.Column("newest_capture_us", sa.BigInteger, nullable=False),
        sa.Column("checksum", sa.BigInteger, nullable=False),
        sa.Column("batch", sa.LargeBinary, nullable=False),
        sa.Column("captured", sa.LargeBinary),
        sa.Column("history", sa.LargeBinary),
        sa.UniqueConstraint("series_id", "last_time_us"),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "postgresql":
        # Numbers do not compress, and PostgreSQL would try with every block.
        for column in ("batch", "captured"):
            op.execute(f"ALTER TABLE blocks ALTER COLUMN {column} SET STORAGE EXTERNAL")
    op.create_table(
        "snapshots",
        sa.Column("snapshot_id", sa.String(64), primary_key=True),
        sa.Column("venue", _word(32), nullable=False),
        sa.Column("symbol", _word(80), nullable=False),
        sa.Column("timeframe", _word(8), nullable=False),
        sa.Column("start_us", sa.BigInteger),
        sa.Column("end_us", sa.BigInteger),
        sa.Column("funding_max_age_us", sa.BigInteger, nullable=False),
        sa.Column("open_interest_max_age_us", sa.BigInteger, nullable=False),
        sa.Column("as_of_us", sa.BigInteger, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("first_time_us", sa.BigInteger),
        sa.Column("last_time_us", sa.BigInteger),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
    )
    op.create_index("snapshots_by_age", "snapshots", ["create_time_us", "snapshot_id"])
    op.create_index("snapshots_by_symbol", "snapshots", ["venue", "symbol"])
    op.create_table("mutations", *mutations_columns())


def downgrade() -> None:
    for table in ("series", "snapshots"):
        refuse_rows(table, "TRUE", f"{table}; delete them")
    for table in ("mutations", "snapshots", "blocks", "series"):
        op.drop_table(table)
