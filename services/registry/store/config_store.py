"""Every platform config there was, and which one is in force.

Kept is what differs from the built-in defaults, so that a default that a later release improves reaches
whoever has not decided otherwise.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from marketml.rpc.refusals import Aborted
from services.host.database import Database, compare_and_set, database_now
from services.host.mutations import once
from services.registry.config import ConfigVersion
from services.registry.store.rows import time_of
from services.registry.store.tables import config_head, config_versions

_HEAD = 1


class ConfigStore:
    """The config in a database. Every method is one transaction, from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> ConfigVersion:
        """The config in force."""
        with self._database.read() as connection:
            return _version_of(_in_force(connection))

    def change(
        self,
        decide: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        etag: str,
        method: str,
        request_id: str,
        request_bytes: bytes,
    ) -> ConfigVersion:
        """Put `decide(overrides in force)` in force.

        Parameters
        ----------
        decide
            Returns the new overrides; a refusal it raises changes nothing.
        etag
            That of the version the caller saw; empty for whichever is in force.
        method, request_id, request_bytes
            See `services.host.mutations.once`.

        Raises
        ------
        Aborted
            Another version is in force.
        """

        def effect(connection: Connection) -> bytes:
            now = _in_force(connection)
            if etag and etag != now.etag:
                raise Aborted("The config was changed by someone else; read it again and decide again.")
            overrides = json.dumps(decide(json.loads(now.overrides)), sort_keys=True)
            version, fresh = now.version + 1, secrets.token_hex(8)
            seen = (config_head.c.id == _HEAD) & (config_head.c.etag == now.etag)
            change = update(config_head).where(seen).values(version=version, etag=fresh)
            compare_and_set(connection, change, what="config")
            _insert(connection, version, fresh, overrides)
            return str(version).encode()

        with self._database.write() as connection:
            version = int(once(connection, request_id, method, request_bytes, effect))
            chosen = select(config_versions).where(config_versions.c.version == version)
            return _version_of(connection.execute(chosen).one())


def _insert(connection: Connection, version: int, etag: str, overrides: str) -> None:
    row = {"version": version, "etag": etag, "overrides": overrides}
    connection.execute(insert(config_versions), {**row, "update_time_us": database_now(connection)})


def _in_force(connection: Connection) -> Row[Any]:
    joined = config_versions.join(config_head, config_head.c.version == config_versions.c.version)
    return connection.execute(select(config_versions).select_from(joined)).one()


def _version_of(row: Row[Any]) -> ConfigVersion:
    return ConfigVersion(row.version, row.etag, json.loads(row.overrides), time_of(row.update_time_us))
