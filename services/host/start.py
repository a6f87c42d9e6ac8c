"""The start of a room's process: what keeps it from starting is one sentence in the log, not a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from marketml.rpc.refusals import Refusal
from services.host import logs
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
