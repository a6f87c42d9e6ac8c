"""Series that tell by a number whether anything was stored since.

A process of the version before stores rows and leaves the number as it is: replace all processes of a
database before anybody asks for states.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "data0007"
down_revision = "data0006"


def upgrade() -> None:
    # Drawn by whoever stores something, and for all that is here now: no state of before a downgrade comes
    # again.
    now = str(secrets.randbits(62))
    op.add_column("series", sa.Column("change_key", sa.BigInteger, nullable=False, server_default=now))


def downgrade() -> None:
    # No loss: the next upgrade draws another one.
    op.drop_column("series", "change_key")
