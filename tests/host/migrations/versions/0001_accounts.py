"""The tables of the tests."""

import sqlalchemy as sa
from alembic import op

from services.host.mutations import mutations_columns

revision = "test_1"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("balance", sa.Integer, nullable=False),
        sa.Column("etag", sa.Integer, nullable=False),
    )
    op.create_table("mutations", *mutations_columns())
