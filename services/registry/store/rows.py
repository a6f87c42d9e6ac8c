"""Rows read back as values, within the caller's transaction."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, select

from marketml.bundle import FileEntry
from marketml.rpc.refusals import NotFound
from services.registry.models import Alias, Model
from services.registry.store.tables import aliases, model_files, models

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PORTION = 400  # values in one IN: both databases have a limit


def one_model(connection: Connection, model_name: str, version: int) -> Model:
    """A version, 0 for the newest; NotFound when there is none."""
    chosen = select(models).where(models.c.model_name == model_name)
    if version:
        chosen = chosen.where(models.c.version == version)
    row = connection.execute(chosen.order_by(models.c.version.desc()).limit(1)).one_or_none()
    if row is None:
        raise NotFound("model", f"{model_name}/{version}" if version else model_name)
    return whole_models(connection, [row])[0]


def whole_models(connection: Connection, rows: Sequence[Row[Any]]) -> list[Model]:
    """Rows of `models` with their files and aliases."""
    files: dict[tuple[str, int], list[FileEntry]] = defaultdict(list)
    pointing: dict[tuple[str, int], list[str]] = defaultdict(list)
    for names in portions(sorted({row.model_name for row in rows})):
        versions = {row.version for row in rows if row.model_name in names}
        those_files = select(model_files).where(model_files.c.model_name.in_(names))
        if len(versions) <= _PORTION:
            those_files = those_files.where(model_files.c.version.in_(versions))
        for file in connection.execute(those_files.order_by(model_files.c.name)):
            entry = FileEntry(file.name, file.size_bytes, file.sha256)
            files[file.model_name, file.version].append(entry)
        those = select(aliases).where(aliases.c.model_name.in_(names)).order_by(aliases.c.alias)
        for alias in connection.execute(those):
            pointing[alias.model_name, alias.version].append(alias.alias)
    return [
        Model(
            model_name=row.model_name,
            version=row.version,
            digest=row.digest,
            create_time=time_of(row.create_time_us),
            class_names=tuple(json.loads(row.class_names)),
            feature_count=row.feature_count,
            files=tuple(files[row.model_name, row.version]),
            job_id=row.job_id or "",
            snapshot_id=row.snapshot_id,
            aliases=tuple(pointing[row.model_name, row.version]),
        )
        for row in rows
    ]


def one_alias(connection: Connection, model_name: str, alias: str) -> Alias:
    """An alias; NotFound when it points nowhere."""
    mine = (aliases.c.model_name == model_name) & (aliases.c.alias == alias)
    row = connection.execute(select(aliases).where(mine)).one_or_none()
    if row is None:
        raise NotFound("alias", f"{model_name}@{alias}")
    return Alias(
        model_name=row.model_name,
        alias=row.alias,
        model=one_model(connection, row.model_name, row.version),
        since_time=time_of(row.since_time_us),
        etag=row.etag,
        switch=row.switch,
    )


def needed_files(connection: Connection, digests: Sequence[str]) -> set[str]:
    """Which of these files some version has."""
    found: set[str] = set()
    for some in portions(digests):
        those = select(model_files.c.sha256).where(model_files.c.sha256.in_(some)).distinct()
        found.update(connection.execute(those).scalars())
    return found


def portions(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in lists that one statement takes."""
    for start in range(0, len(values), _PORTION):
        yield values[start : start + _PORTION]


def time_of(microseconds: int) -> datetime:
    """A stored time."""
    return _EPOCH + timedelta(microseconds=microseconds)
