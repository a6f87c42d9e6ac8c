"""Remembered mutations: one effect per `request_id`, however often the request arrives.

A retry after a killed server runs a handler twice, and a commit reported as failed may have happened. So the
request's hash and its answer are stored in the transaction of its effect:

    with database.write() as connection:
        answer = once(connection, request.request_id, "StartTraining", canonical_bytes, effect)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from marketml.rpc.refusals import AlreadyExists, InvalidArgument, Reason
from services.host.database import Database, database_now

REQUEST_ID_LENGTH_MAX = 128
_REQUEST_ID = re.compile(rf"[A-Za-z0-9._:-]{{1,{REQUEST_ID_LENGTH_MAX}}}")


def mutations_columns() -> list[Column[Any]]:
    """The columns, for `op.create_table("mutations", *mutations_columns())` in a room's first migration.

    They are as frozen as a migration is: what is added later comes with a function of its own.
    """
    return [
        Column("request_id", String(REQUEST_ID_LENGTH_MAX), primary_key=True),
        Column("method", String(128), nullable=False),
        Column("request_sha256", String(64), nullable=False),
        Column("response", LargeBinary, nullable=False),
        Column("created_time_us", BigInteger, nullable=False, index=True),  # the database's clock, 1970 UTC
    ]


def mutations_table(metadata: MetaData) -> Table:
    """Declare the table in a room's metadata."""
    return Table("mutations", metadata, *mutations_columns())


_mutations = mutations_table(MetaData())


def once(
    connection: Connection,
    request_id: str,
    method: str,
    request_bytes: bytes,
    effect: Callable[[Connection], bytes],
) -> bytes:
    """Run `effect` unless this request already had it, and answer what it answered.

    Parameters
    ----------
    connection
        A transaction of `Database.write`; effect and memory of it are committed together, or neither is.
    request_id
        1 to 128 of `A-Z a-z 0-9 . _ : -`. Empty runs the effect and remembers nothing.
    method
        The RPC's name.
    request_bytes
        A serialisation that is equal for equal requests.
    effect
        Does the work on the same connection and returns the serialised answer. A refusal it raises is not
        remembered: nothing happened, and the same request may succeed later.

    Raises
    ------
    InvalidArgument
        The `request_id` breaks its grammar.
    AlreadyExists
        The `request_id` belongs to another method or another body; reason REQUEST_ID_REUSED.
    """
    check_request_id(request_id)
    if not request_id:
        return effect(connection)
    digest = hashlib.sha256(request_bytes).hexdigest()
    if not _claim(connection, request_id, method, digest):
        return _remembered(connection, request_id, method, digest)
    response = effect(connection)
    mine = update(_mutations).where(_mutations.c.request_id == request_id)
    connection.execute(mine.values(response=response))
    return response


class _NotRememberedError(Exception):
    """The request had no effect yet; rolls the claim of its id back."""


def remembered(database: Database, request_id: str, method: str, request_bytes: bytes) -> bytes | None:
    """What a request was answered, None when it had no effect yet (or has no id): for effects whose work is
    too long for one transaction. Raises as `once` does, and waits for a racing duplicate as it does."""

    def nothing_yet(_connection: Connection) -> bytes:
        raise _NotRememberedError

    if not request_id:
        return None
    try:
        with database.write() as connection:
            return once(connection, request_id, method, request_bytes, nothing_yet)
    except _NotRememberedError:
        return None


def check_request_id(request_id: str, field: str = "request_id") -> None:
    """Refuse a `request_id` that breaks the grammar of `once`; `field` is its path in the request."""
    if request_id and not _REQUEST_ID.fullmatch(request_id):
        raise InvalidArgument.of(
            field,
            "request_id",
            f"must be 1 to {REQUEST_ID_LENGTH_MAX} of A-Z a-z 0-9 . _ : -, "
            f"not {len(request_id)} characters {request_id[:REQUEST_ID_LENGTH_MAX]!r}.",
        )


def sweep_mutations(connection: Connection, retention_seconds: float) -> int:
    """Forget answers older than `retention_seconds` by the database's clock; returns how many.

    A request repeated after that is a new one.
    """
    oldest_us = database_now(connection) - int(retention_seconds * 1_000_000)
    return connection.execute(delete(_mutations).where(_mutations.c.created_time_us < oldest_us)).rowcount


def _claim(connection: Connection, request_id: str, method: str, digest: str) -> bool:
    """Take the id for this transaction; False when it is taken.

    A racing duplicate waits here for the first one's commit or rollback, so it never starts its effect.
    """
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    # Without the option the row count of an INSERT on PostgreSQL is -1.
    claim = insert(_mutations).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    values = {
        "request_id": request_id,
        "method": method,
        "request_sha256": digest,
        "response": b"",
        "created_time_us": database_now(connection),
    }
    return connection.execute(claim, values).rowcount == 1


def _remembered(connection: Connection, request_id: str, method: str, digest: str) -> bytes:
    row = connection.execute(select(_mutations).where(_mutations.c.request_id == request_id)).one()
    if (row.method, row.request_sha256) != (method, digest):
        raise AlreadyExists(
            "request",
            request_id,
            f"request_id {request_id!r} was used for another request; take a new one.",
            Reason.REQUEST_ID_REUSED,
        )
    return bytes(row.response)
