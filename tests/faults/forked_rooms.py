"""A room that is imported once and started often: for tests that kill it a hundred times.

`python -m tests.faults.forked_rooms services.registry.__main__` imports the module, forks a room for every
line it reads, and says how each one ended. It forks before anything of gRPC or OpenMP runs; nothing in
production forks.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.programs import ROOT, dying_with_us

DEADLINE_SECONDS = 120.0


class ForkedRooms:
    """One after the other, rooms of one module with the same environment and working directory."""

    def __init__(self, module: str, folder: Path, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "tests.faults.forked_rooms", module]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MARKETML_")}
        with (folder / "forks.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*dying_with_us("KILL"), *command],
                cwd=folder,
                env=inherited | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"} | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._pid = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(json.loads(line))
        self._process.stdout.close()

    def start(self) -> str:
        """Fork a room and wait until it is ready; its address."""
        assert self._process.stdin is not None
        self._process.stdin.write("fork\n")
        self._process.stdin.flush()
        self._pid = self._told("forked")["pid"]
        return str(self._told("ready")["address"])

    def wait(self) -> int:
        """Wait for the end of the room; its exit status, negative for a signal."""
        return int(self._told("ended")["status"])

    def stop(self) -> int:
        """SIGTERM, and wait."""
        os.kill(self._pid, signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL, and wait."""
        os.kill(self._pid, signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    def _told(self, event: str) -> dict[str, Any]:
        said = self._said.get(timeout=DEADLINE_SECONDS)
        assert said["event"] == event, f"{said} instead of {event}"
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        if error is not None and self._pid:
            subprocess.run(["kill", "-KILL", str(self._pid)], check=False, capture_output=True)
        self._process.stdin.close()
        self._process.wait(DEADLINE_SECONDS)


def serve_forks(module: str) -> None:
    """Fork, wait, tell; until stdin ends."""
    main = importlib.import_module(module).main
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os.close(sys.stdin.fileno())
            status = main()
            sys.stdout.flush()
            os._exit(status)
        _tell(event="forked", pid=child)
        _, ended = os.waitpid(child, 0)
        _tell(event="ended", status=os.waitstatus_to_exitcode(ended))


def _tell(**said: Any) -> None:
    """Write a line at once: an unbuffered `print` writes its end apart, and a child's words come between."""
    sys.stdout.write(f"{json.dumps(said)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve_forks(sys.argv[1])
