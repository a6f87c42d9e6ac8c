"""Jobs and their events."""

import sqlalchemy as sa
from alembic import op

from services.host.migrations import refuse_rows
from services.host.mutations import mutations_columns

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("model_name", sa.String(64), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("stage", sa.String(32)),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("death_count", sa.Integer, nullable=False),
        sa.Column("fraction", sa.Float(53), nullable=False),
        sa.Column("remaining_seconds", sa.Float(53)),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("start_time_us", sa.BigInteger),
        sa.Column("end_time_us", sa.BigInteger),
        sa.Column("lease_until_us", sa.BigInteger),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("config_version", sa.BigInteger, nullable=False),
        sa.Column("snapshot_id", sa.String(64)),
        sa.Column("stop_mode", sa.String(32)),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("failure", sa.Text),
    )
    op.create_index("jobs_by_time", "jobs", ["create_time_us", "job_id"])
    op.create_index("jobs_by_state", "jobs", ["state", "create_time_us"])
    op.create_index("jobs_by_model", "jobs", ["model_name", "create_time_us"])
    op.create_table(
        "events",
        sa.Column("job_id", sa.String(32), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("is_last", sa.Boolean, nullable=False),
    )
    op.create_table("mutations", *mutations_columns())


def downgrade() -> None:
    refuse_rows("jobs", "TRUE", "jobs; keep this revision")
    for table in ("mutations", "events", "jobs"):
        op.drop_table(table)
