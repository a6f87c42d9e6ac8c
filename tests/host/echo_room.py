"""The echo service as a process of its own: `python -m tests.host.echo_room`, settings in MARKETML_ECHO_*."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from services.host import Call, Room, explained_start, read_settings, serve
from services.host import ServerSettings as EchoSettings
from tests.host.echo_service import SERVICE, Echo
from tests.support.waiting import eventually


def main() -> int:
    """Serve; `text` of a request says what to do."""
    with explained_start("echo"):
        settings = read_settings(EchoSettings, "echo")
    echo = Echo()
    echo.on["until the file"] = lambda _call: eventually(Path("go").exists, 60)
    echo.on["until the end"] = lambda call: call.cancelled.wait(60)
    echo.on["deaf"] = _hear_nothing
    echo.on["child"] = lambda _call: subprocess.Popen(["sleep", "600"])
    echo.on["bug"] = _fail
    room = Room("echo", ((SERVICE, echo),), endless=frozenset({"WatchWords"}))
    return serve(room, settings)


def _hear_nothing(call: Call) -> None:
    Path("deaf").touch()
    threading.Event().wait()


def _fail(call: Call) -> None:
    raise RuntimeError(f"password=hunter2 in /etc/secret at {time.time()} for {call.peer}")


if __name__ == "__main__":
    sys.exit(main())
