"""The platform as its users have it: `marketml up` as a process, and whatever it starts."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.cli.command_line import run, start
from tests.support.waiting import eventually

MARK = "TEST_PLATFORM"  # an environment variable that every process of a platform inherits
START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 60.0


def marked(mark: str) -> list[psutil.Process]:
    """The processes alive that carry a mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def new_mark() -> str:
    return secrets.token_hex(8)


class Platform:
    """`marketml up --free-ports` in a folder. Leaving it stops it and fails when a process stays behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = new_mark()
        self._lines: list[dict[str, Any]] = []
        self.process = start("up", "--free-ports", "--json", cwd=folder, **{MARK: self.mark})
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(json.loads(line))

    def events(self, event: str, room: str | None = None) -> list[dict[str, Any]]:
        """What `up` said so far."""
        return [one for one in self._lines if one["event"] == event and room in (None, one["room"])]

    @property
    def endpoints(self) -> dict[str, str]:
        return {one["room"]: one["text"] for one in self.events("ready")}

    def run(self, *arguments: str, seconds: float = 180) -> subprocess.CompletedProcess[str]:
        """`marketml ARGUMENTS` against these rooms."""
        return run(*arguments, cwd=self.folder, seconds=seconds, **self.variables())

    def variables(self) -> dict[str, str]:
        """The environment in which the command finds these rooms."""
        found = {f"MARKETML_ENDPOINT_{room.upper()}": target for room, target in self.endpoints.items()}
        return found | {MARK: self.mark}

    def __enter__(self) -> Self:
        try:
            eventually(self._is_ready, START_SECONDS_MAX, "the four rooms' readiness")
        except AssertionError:
            self.process.kill()
            raise
        return self

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"up ended: {self.process.communicate()[1]}"
        return len(self.endpoints) == 4

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS_MAX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        left = marked(self.mark)
        for process in left:
            process.kill()
        assert not left, f"left running: {left}"
