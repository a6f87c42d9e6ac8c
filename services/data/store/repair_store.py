"""What repairs of a request have been done: each action is remembered by itself, so that a repeat goes on
after the last one that was."""

from __future__ import annotations

import dataclasses
import json

from services.data.quality.repairs import Outcome
from services.host.database import Database
from services.host.mutations import check_request_id, once, remembered

_METHOD = "RepairSeries"


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
        answer = remembered(self._database, step_id, _METHOD, body)
        return None if answer is None else Outcome(**json.loads(answer))

    def remember(self, step_id: str, body: bytes, outcome: Outcome) -> Outcome:
        """Keep what an action did; returns the first such outcome."""
        said = json.dumps(dataclasses.asdict(outcome)).encode()
        with self._database.write() as connection:
            return Outcome(**json.loads(once(connection, step_id, _METHOD, body, lambda _connection: said)))
