"""Models, aliases, config."""

import time

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Integer,
    String,
    Text,
    UniqueConstraint,
)

from services.host.migrations import refuse_rows
from services.host.mutations import mutations_columns

revision = "registry_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("mutations", *mutations_columns())
    op.create_table(
        "model_names",
        Column("model_name", String(64), primary_key=True),
        Column("newest_version", BigInteger, nullable=False),
        Column("changes", BigInteger, nullable=False),
    )
    op.create_table(
        "models",
        Column(
            "sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        Column("model_name", String(64), nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("create_time_us", BigInteger, nullable=False),
        Column("class_names", Text, nullable=False),
        Column("feature_count", Integer, nullable=False),
        Column("job_id", String(32), nullable=True, unique=True),
        Column("snapshot_id", String(64), nullable=False),
        UniqueConstraint("model_name", "version", name="models_version"),
        UniqueConstraint("model_name", "digest", name="models_digest"),
        ForeignKeyConstraint(["model_name"], ["model_names.model_name"], name="models_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "model_files",
        Column("model_name", String(64), primary_key=True),
        Column("version", BigInteger, primary_key=True),
        Column("name", String(64), primary_key=True),
        Column("size_bytes", BigInteger, nullable=False),
        Column("sha256", String(64), nullable=False, index=True),
        ForeignKeyConstraint(
            ["model_name", "version"],
            ["models.model_name", "models.version"],
            name="model_files_model",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "aliases",
        Column("model_name", String(64), primary_key=True),
        Column("alias", String(64), primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("since_time_us", BigInteger, nullable=False),
        Column("etag", String(32), nullable=False),
        Column("switch", BigInteger, nullable=False),
        ForeignKeyConstraint(
            ["model_name", "version"], ["models.model_name", "models.version"], name="aliases_model"
        ),
    )
    op.create_table(
        "alias_switches",
        Column("model_name", String(64), primary_key=True),
        Column("alias", String(64), primary_key=True),
        Column("switch", BigInteger, primary_key=True, autoincrement=False),
        Column("version", BigInteger, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("since_time_us", BigInteger, nullable=False),
    )
    head = op.create_table(
        "config_head",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("version", BigInteger, nullable=False),
        Column("etag", String(32), nullable=False),
    )
    versions = op.create_table(
        "config_versions",
        Column("version", BigInteger, primary_key=True, autoincrement=False),
        Column("etag", String(32), nullable=False),
        Column("overrides", Text, nullable=False),
        Column("update_time_us", BigInteger, nullable=False),
    )
    # Version 1 is the built-in defaults: nothing differs from them.
    op.bulk_insert(head, [{"id": 1, "version": 1, "etag": "built-in"}])
    now_us = time.time_ns() // 1_000
    op.bulk_insert(
        versions, [{"version": 1, "etag": "built-in", "overrides": "{}", "update_time_us": now_us}]
    )


def downgrade() -> None:
    refuse_rows("model_names", "TRUE", "names of models; keep this revision")
    refuse_rows("config_versions", "version > 1", "versions of the configuration; keep this revision")
    for table in (
        "config_versions", "config_head", "alias_switches", "aliases", "model_files", "models",
        "model_names", "mutations",
    ):  # fmt: skip
        op.drop_table(table)
