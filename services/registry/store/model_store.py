"""What the registry remembers: every version of every model, who answers, and the answers already given.

A version's row is written after its files are durable and in their places (`blobs` has the order), and
deleted before they go: a row means READY.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.exc import IntegrityError

from marketml.rpc.refusals import Aborted, DataLoss, FailedPrecondition, NotFound, Reason
from services.host.database import Database
from services.host.mutations import check_request_id, once, sweep_mutations
from services.registry.models import Alias, Deleted, Model, NewModel, Switched
from services.registry.store.answers import pack_model, pack_switched, unpack_model, unpack_switched
from services.registry.store.changes import (
    insert_name,
    insert_version,
    point,
    require_free_job,
    take_turn,
)
from services.registry.store.rows import (
    needed_files,
    one_alias,
    one_model,
    portions,
    whole_models,
)
from services.registry.store.tables import aliases, model_files, models


class _NotAnsweredError(Exception):
    """Rolls a look at the answers back."""


class ModelStore:
    """Models and aliases in a database. Every method is one transaction, from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def registered(self, request_id: str, request_bytes: bytes, field: str) -> Model | None:
        """What this very upload was answered before; None when it is new. `field` is where the id stands.

        Raises
        ------
        InvalidArgument, AlreadyExists
            As `services.host.mutations.once`.
        """
        check_request_id(request_id, field)
        answer = self._answered(request_id, "UploadModel", request_bytes)
        return None if answer is None else unpack_model(answer)

    def switched(self, request_id: str, request_bytes: bytes) -> Switched | None:
        """What this very LoadModel was answered before; None when it is new, or names no id."""
        check_request_id(request_id)
        answer = self._answered(request_id, "LoadModel", request_bytes) if request_id else None
        return None if answer is None else unpack_switched(answer)

    def register(self, new: NewModel, request_id: str, request_bytes: bytes) -> Model:
        """Make a version of a bundle whose files are in place; the one the name has, if it has these bytes.

        Raises
        ------
        AlreadyExists
            The job has registered another bundle, or under another name.
        Aborted
            It was registering one at the same moment.
        """

        def effect(connection: Connection) -> bytes:
            insert_name(connection, new.model_name)
            newest = take_turn(connection, new.model_name)
            same = (models.c.model_name == new.model_name) & (models.c.digest == new.digest)
            version = connection.execute(select(models.c.version).where(same)).scalar_one_or_none()
            require_free_job(connection, new, version)
            if version is None:
                version = newest + 1
                insert_version(connection, new, version)
            return pack_model(one_model(connection, new.model_name, version))

        try:
            with self._database.write() as connection:
                return unpack_model(once(connection, request_id, "UploadModel", request_bytes, effect))
        except IntegrityError:
            if not new.job_id:
                raise
            # Under two names at once: only the constraint on the job sees both.
            raise Aborted(
                f"Another bundle of job {new.job_id} was being registered; send the same request again.",
                Reason.LOST_RACE,
            ) from None

    def find(self, model_name: str, version: int = 0) -> Model:
        """One version, 0 for the newest.

        Raises
        ------
        NotFound
        """
        with self._database.read() as connection:
            return one_model(connection, model_name, version)

    @contextmanager
    def unless_deleted(self, model: Model) -> Iterator[None]:
        """Around reading a version's files: what is lost because the version was deleted is NotFound."""
        try:
            yield
        except DataLoss:
            self.find(model.model_name, model.version)
            raise

    def page(self, model_name: str, size: int, before: int | None) -> list[tuple[int, Model]]:
        """At most `size` versions, newest first, registered before the sequence number `before`; each with
        its own."""
        chosen = select(models).order_by(models.c.sequence.desc()).limit(size)
        if model_name:
            chosen = chosen.where(models.c.model_name == model_name)
        if before is not None:
            chosen = chosen.where(models.c.sequence < before)
        with self._database.read() as connection:
            rows = connection.execute(chosen).all()
            found = whole_models(connection, rows)
        return [(row.sequence, model) for row, model in zip(rows, found, strict=True)]

    def delete(self, model_name: str, version: int, request_id: str, request_bytes: bytes) -> Deleted:
        """Forget a version. Its files are the caller's to remove afterwards.

        Raises
        ------
        NotFound
        FailedPrecondition
            An alias points at it.
        """
        unneeded: list[str] = []

        def effect(connection: Connection) -> bytes:
            take_turn(connection, model_name, version)
            model = one_model(connection, model_name, version)
            if model.aliases:
                raise FailedPrecondition(
                    f"{model_name}/{version}",
                    f"Version {version} of {model_name} is what the alias {model.aliases[0]!r} points at; "
                    "load another one there first.",
                    Reason.IN_USE,
                )
            mine = (models.c.model_name == model_name) & (models.c.version == version)
            connection.execute(delete(models).where(mine))
            needed = needed_files(connection, [file.sha256 for file in model.files])
            gone = {file.sha256: file.size_bytes for file in model.files if file.sha256 not in needed}
            unneeded.extend(gone)
            return json.dumps(sum(gone.values())).encode()

        with self._database.write() as connection:
            freed = once(connection, request_id, "DeleteModel", request_bytes, effect)
        return Deleted(json.loads(freed), tuple(unneeded))

    def switch(self, model: Model, alias: str, etag: str, request_id: str, request_bytes: bytes) -> Switched:
        """Point an alias at a version.

        Raises
        ------
        NotFound
            The version was deleted meanwhile.
        Aborted
            `etag` is given and is not the alias's.
        """

        def effect(connection: Connection) -> bytes:
            take_turn(connection, model.model_name, model.version)
            now = one_model(connection, model.model_name, model.version)
            if now.digest != model.digest:
                raise NotFound("model", f"{model.model_name}/{model.version}")
            return pack_switched(point(connection, now, alias, etag))

        with self._database.write() as connection:
            return unpack_switched(once(connection, request_id, "LoadModel", request_bytes, effect))

    def current(self, model_name: str, alias: str) -> Alias:
        """Who answers.

        Raises
        ------
        NotFound
        """
        with self._database.read() as connection:
            return one_alias(connection, model_name, alias)

    def switches(self) -> list[tuple[str, str, int]]:
        """Model name, alias and newest switch of every alias, in order of name."""
        switch = select(aliases.c.model_name, aliases.c.alias, aliases.c.switch)
        with self._database.read() as connection:
            rows = connection.execute(switch.order_by(aliases.c.model_name, aliases.c.alias)).all()
        return [(row.model_name, row.alias, row.switch) for row in rows]

    def existing(self, wanted: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
        """Which of these versions there are."""
        keys = sorted(wanted)
        found: set[tuple[str, int]] = set()
        with self._database.read() as connection:
            for some in portions(keys):
                those = select(models.c.model_name, models.c.version).where(
                    models.c.model_name.in_({name for name, _ in some}),
                    models.c.version.in_({version for _, version in some}),
                )
                rows = connection.execute(those)
                found |= {(row.model_name, row.version) for row in rows}
        return found.intersection(keys)

    def needed(self, digests: list[str]) -> set[str]:
        """Which of these files some version needs."""
        with self._database.read() as connection:
            return needed_files(connection, digests)

    def totals(self) -> tuple[int, int]:
        """Versions, and bytes of their files, each counted once."""
        files = select(model_files.c.sha256, model_files.c.size_bytes).distinct().subquery()
        with self._database.read() as connection:
            versions = connection.execute(select(func.count()).select_from(models)).scalar_one()
            size = connection.execute(select(func.sum(files.c.size_bytes))).scalar_one()
        return versions, int(size or 0)

    def sweep(self, retention_seconds: float) -> None:
        """Forget the answers to old requests."""
        with self._database.write() as connection:
            sweep_mutations(connection, retention_seconds)

    def _answered(self, request_id: str, method: str, request_bytes: bytes) -> bytes | None:
        def refuse(_connection: Connection) -> bytes:
            raise _NotAnsweredError

        try:
            with self._database.write() as connection:
                return once(connection, request_id, method, request_bytes, refuse)
        except _NotAnsweredError:
            return None
