"""What repairs of a request have been done: each action is remembered by itself, so that a repeat goes on
after the last one that was."""

from __future__ import annotations

import dataclasses
import json

from sqlalchemy import Connection

from services.data.repairs import Outcome
from services.host.database import Database
from services.host.mutations import check_request_id, once

_METHOD = "RepairSeries"


class _NotRemembered(Exception):
    """The action was not done yet."""


class RepairStore:
    """Remembered repairs in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, request_id: str, body: bytes) -> None:
        """Claim a request's id for its body.

        Raises
        ------
        InvalidArgument, AlreadyExists
            As `once` says.
        """
        check_request_id(request_id)
        if request_id:
            with self._database.write() as connection:
                once(connection, request_id, _METHOD, body, lambda _connection: b"")

    def remembered(self, step_id: str, body: bytes) -> Outcome | None:
        """What an action did, None when it was not done yet."""

        def effect(_connection: Connection) -> bytes:
            raise _NotRemembered

        if not step_id:
            return None
        try:
            with self._database.write() as connection:
                return Outcome(**json.loads(once(connection, step_id, _METHOD, body, effect)))
        except _NotRemembered:
            return None

    def remember(self, step_id: str, body: bytes, outcome: Outcome) -> Outcome:
        """Keep what an action did; returns the first such outcome."""
        said = json.dumps(dataclasses.asdict(outcome)).encode()
        with self._database.write() as connection:
            return Outcome(**json.loads(once(connection, step_id, _METHOD, body, lambda _connection: said)))
