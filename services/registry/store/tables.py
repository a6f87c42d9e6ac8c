"""The registry's tables.

model_names      a row per name ever used; its lock is the turn of who changes anything under the name
models           a row per version that is READY; nothing else is ever written here
model_files      the files of a version, by SHA-256
aliases          who answers now: points at an existing version, by foreign key
alias_switches   who answered when
config_head      one row: the config version in force
config_versions  every config there was
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from services.host.mutations import mutations_table

metadata = MetaData()
mutations = mutations_table(metadata)

_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself there

model_names = Table(
    "model_names",
    metadata,
    Column("model_name", String(64), primary_key=True),
    Column("newest_version", BigInteger, nullable=False),  # never falls, so that no number is used twice
    Column("changes", BigInteger, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),  # the order of registration
    Column("model_name", String(64), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("create_time_us", BigInteger, nullable=False),
    Column("class_names", Text, nullable=False),  # JSON
    Column("feature_count", Integer, nullable=False),
    Column("job_id", String(32), nullable=True, unique=True),
    Column("snapshot_id", String(64), nullable=False),
    UniqueConstraint("model_name", "version", name="models_version"),
    UniqueConstraint("model_name", "digest", name="models_digest"),
    ForeignKeyConstraint(["model_name"], ["model_names.model_name"], name="models_name"),
    sqlite_autoincrement=True,
)

model_files = Table(
    "model_files",
    metadata,
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

aliases = Table(
    "aliases",
    metadata,
    Column("model_name", String(64), primary_key=True),
    Column("alias", String(64), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("since_time_us", BigInteger, nullable=False),
    Column("etag", String(32), nullable=False),
    Column("switch", BigInteger, nullable=False),  # 1, 2, 3… per alias
    ForeignKeyConstraint(
        ["model_name", "version"], ["models.model_name", "models.version"], name="aliases_model"
    ),
)

alias_switches = Table(
    "alias_switches",
    metadata,
    Column("model_name", String(64), primary_key=True),
    Column("alias", String(64), primary_key=True),
    Column("switch", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("since_time_us", BigInteger, nullable=False),
)

config_head = Table(
    "config_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # 1: there is one config
    Column("version", BigInteger, nullable=False),
    Column("etag", String(32), nullable=False),
)

config_versions = Table(
    "config_versions",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("etag", String(32), nullable=False),
    Column("overrides", Text, nullable=False),  # JSON: what differs from the built-in defaults
    Column("update_time_us", BigInteger, nullable=False),
)
