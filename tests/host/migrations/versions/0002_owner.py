"""A later revision: SQLite rebuilds the table for it."""

import sqlalchemy as sa
from alembic import op

revision = "test_2"
down_revision = "test_1"


def upgrade() -> None:
    with op.batch_alter_table("accounts") as accounts:
        accounts.add_column(sa.Column("owner", sa.String))
