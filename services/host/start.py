"""The start of a room's process: what keeps it from starting is one sentence in the log, not a traceback;
and what else an operator may ask of it: another revision of its database."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from marketml.rpc.refusals import Refusal
from services.host import logs
from services.host.database import migrate_database
from services.host.settings import SettingsError


@contextmanager
def explained_start(room: str) -> Iterator[None]:
    """Around everything a `__main__` builds: a setting, a database or a file that cannot be used ends the
    process with status 1 and a sentence that names it."""
    logs.write_json_lines(room, "INFO")
    try:
        yield
    except (SettingsError, Refusal) as error:
        sentence = str(error)
        if isinstance(error, SettingsError) and sentence[0].islower():
            name, _, rest = sentence.partition(" ")
            sentence = f"MARKETML_{room.upper()}_{name.upper()} {rest}"
        logs.problems.error("The %s room cannot start: %s", room, sentence)
        sys.exit(1)


def revision_asked(room: str, arguments: Sequence[str]) -> str | None:
    """The revision that a room's command line asks for; None when the room is to serve."""
    parser = argparse.ArgumentParser(
        f"python -m services.{room}",
        description=f"Serve the {room} room until SIGTERM. Its settings are MARKETML_{room.upper()}_*.",
    )
    parser.add_argument(
        "--migrate",
        metavar="REVISION",
        help="instead bring the database to a revision, up or down, and end: head is the newest, where every "
        "start brings it; an older one is for an older version of the room. All of it or nothing: refused "
        "while there are rows that the older revision has no place for.",
    )
    asked: str | None = parser.parse_args(arguments).migrate
    return asked


def migrate_room(room: str, database_url: str, migrations: Path, revision: str) -> int:
    """Bring a room's database to a revision and print one line about it; the exit status."""
    before, now = migrate_database(database_url, migrations=migrations, revision=revision)
    print(json.dumps({"event": "migrated", "room": room, "from": before, "to": now}), flush=True)
    return 0
