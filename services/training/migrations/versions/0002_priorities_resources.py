"""Jobs with a priority, and what their workers took."""

import sqlalchemy as sa
from alembic import op

from services.host.migrations import refuse_rows

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
        # None: no worker has been looked at yet.
        jobs.add_column(sa.Column("cpu_seconds", sa.Float(53)))
        jobs.add_column(sa.Column("peak_memory_bytes", sa.BigInteger))
        jobs.add_column(sa.Column("wall_seconds", sa.Float(53)))
    op.create_index("jobs_by_turn", "jobs", ["state", sa.text("priority DESC"), "create_time_us", "job_id"])


def downgrade() -> None:
    waiting = "state = 'JOB_STATE_QUEUED' AND priority <> 0"
    refuse_rows("jobs", waiting, "waiting jobs with a priority; stop them")
    op.drop_index("jobs_by_turn", "jobs")
    with op.batch_alter_table("jobs") as jobs:
        for name in ("wall_seconds", "peak_memory_bytes", "cpu_seconds", "priority"):
            jobs.drop_column(name)
