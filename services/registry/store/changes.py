"""Rows changed, within the caller's transaction."""

from __future__ import annotations

import json
import secrets
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from marketml.rpc.refusals import Aborted, AlreadyExists, NotFound
from services.host.database import compare_and_set, database_now
from services.registry.models import Model, NewModel, Switched
from services.registry.store.rows import one_alias
from services.registry.store.tables import alias_switches, aliases, model_files, model_names, models


def insert_name(connection: Connection, model_name: str) -> None:
    """See that a name has its row."""
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    row = {"model_name": model_name, "newest_version": 0, "changes": 0}
    connection.execute(make(model_names).on_conflict_do_nothing(), row)


def take_turn(connection: Connection, model_name: str, version: int = 0) -> int:
    """Wait for the turn to change what is under a name, and keep it; returns the newest version."""
    mine = model_names.c.model_name == model_name
    if (
        connection.execute(update(model_names).where(mine).values(changes=model_names.c.changes + 1)).rowcount
        == 0
    ):
        raise NotFound("model", f"{model_name}/{version}" if version else model_name)
    return int(connection.execute(select(model_names.c.newest_version).where(mine)).scalar_one())


def require_free_job(connection: Connection, new: NewModel, version: int | None) -> None:
    """Refuse when the job has registered another version than `version`, the one with these bytes."""
    if not new.job_id:
        return
    row = connection.execute(select(models).where(models.c.job_id == new.job_id)).one_or_none()
    if row is not None and (row.model_name, row.version) != (new.model_name, version):
        raise AlreadyExists(
            "model",
            f"{row.model_name}/{row.version}",
            f"Job {new.job_id} has registered version {row.version} of {row.model_name}, "
            "and a job registers one version.",
        )


def insert_version(connection: Connection, new: NewModel, version: int) -> None:
    """Write the rows of a version."""
    key = {"model_name": new.model_name, "version": version}
    row: dict[str, Any] = {
        **key,
        "digest": new.digest,
        "create_time_us": database_now(connection),
        "class_names": json.dumps(new.class_names),
        "feature_count": new.feature_count,
        "job_id": new.job_id or None,
        "snapshot_id": new.snapshot_id,
    }
    mine = model_names.c.model_name == new.model_name
    connection.execute(update(model_names).where(mine).values(newest_version=version))
    connection.execute(insert(models), row)
    connection.execute(
        insert(model_files),
        [
            {**key, "name": file.name, "size_bytes": file.size_bytes, "sha256": file.sha256}
            for file in new.files
        ],
    )


def point(connection: Connection, model: Model, alias: str, etag: str) -> Switched:
    """Point an alias at a version, and remember since when; Aborted when `etag` is not the alias's."""
    key = {"model_name": model.model_name, "alias": alias}
    mine = (aliases.c.model_name == model.model_name) & (aliases.c.alias == alias)
    before = connection.execute(select(aliases).where(mine)).one_or_none()
    if etag and (before is None or before.etag != etag):
        raise Aborted(f"The alias {alias!r} of {model.model_name} has moved; read it again and decide again.")
    row: dict[str, Any] = {
        "version": model.version,
        "since_time_us": database_now(connection),
        "etag": secrets.token_hex(8),
        "switch": 1 if before is None else before.switch + 1,
    }
    if before is None:
        connection.execute(insert(aliases), {**key, **row})
    else:
        seen = mine & (aliases.c.etag == before.etag)
        compare_and_set(connection, update(aliases).where(seen).values(row), what="alias")
    history = {"switch": row["switch"], "version": model.version, "digest": model.digest}
    connection.execute(insert(alias_switches), {**key, **history, "since_time_us": row["since_time_us"]})
    now = one_alias(connection, model.model_name, alias)
    return Switched(now, 0 if before is None else before.version)
