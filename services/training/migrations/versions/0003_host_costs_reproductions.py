"""What fits cost on a host, and jobs that train a registered version again."""

import sqlalchemy as sa
from alembic import op

from services.host.migrations import refuse_rows

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "host_costs",
        sa.Column("host_key", sa.String(64), primary_key=True),
        sa.Column("measure_time_us", sa.BigInteger, nullable=False),
        sa.Column("costs", sa.Text, nullable=False),
    )
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("reproduces", sa.Text))  # None: the job trains a version of its own


def downgrade() -> None:
    refuse_rows("jobs", "reproduces IS NOT NULL", "jobs that train a version again; keep this revision")
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_column("reproduces")
    op.drop_table("host_costs")
