"""Rooms for tests: served inside the test process, or as the processes they are in production.

with serve_in_process(room, settings) as served:               # a Room built by the test
    open_channel(served.target)

with RoomProcess("data", tmp_path) as data:                    # python -m services.data
    DataClient(data.target)
    data.stop()                                                # SIGTERM; returns the exit status

with four_rooms(tmp_path) as rooms:                            # all of them, each knowing its neighbours
    TrainingClient(rooms.training.target)
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psutil

from services.host import Room, Server, ServerSettings
from tests.support.programs import ROOT, dying_with_us
from tests.support.waiting import eventually

T = TypeVar("T")

START_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 40.0
_MARK = "TEST_ROOM"  # an environment variable that every descendant of a room process inherits
_CALM: dict[str, dict[str, object]] = {"training": {"measures_host_at_start": False}}  # seconds of every core


class Served:
    """A room served on a loop of its own thread, on free ports."""

    def __init__(self, room: Room, settings: ServerSettings) -> None:
        self.room = room
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._is_stopped = False
        try:
            self.server: Server = self.run(_started(room, settings))
        except BaseException:
            self._end_loop()
            raise

    def run(self, coroutine: Coroutine[Any, Any, T], deadline_seconds: float = 60) -> T:
        """Run a coroutine on the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(deadline_seconds)

    def begin_stop(self, grace_seconds: float) -> concurrent.futures.Future[None]:
        """Start to drain; the future ends with the server."""
        self._is_stopped = True
        return asyncio.run_coroutine_threadsafe(self.server.stop(grace_seconds), self._loop)

    def close(self) -> None:
        """Stop the server, unless that began already, and end its thread."""
        if not self._is_stopped:
            self.begin_stop(0.5).result(STOP_SECONDS_MAX)
        self._end_loop()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def health_target(self) -> str:
        return f"127.0.0.1:{self.server.health_port}"

    @property
    def metrics_target(self) -> str:
        return f"127.0.0.1:{self.server.metrics_port}"

    def metric(self, name: str, **labels: str) -> float:
        """The value of one of the room's metrics, 0 while it has none."""
        return self.room.metrics.registry.get_sample_value(name, labels) or 0.0


async def _started(room: Room, settings: ServerSettings) -> Server:
    server = Server(room, settings)
    await server.start()
    return server


@contextmanager
def serve_in_process(room: Room, settings: ServerSettings | None = None) -> Iterator[Served]:
    """Serve a room inside the test process; the default settings take free ports on loopback."""
    served = Served(room, settings or ServerSettings())
    try:
        yield served
    finally:
        served.close()


class RoomProcess:
    """`python -m services.<name>` on free ports, with its files below `folder`.

    The process is started by the constructor and waited for by `wait_ready` (which a `with` block does), so
    that several rooms can start side by side. Its working directory is `folder`: default settings put their
    files there, and a second RoomProcess on the same folder continues where the first one was. It dies with
    the thread that started it.

    Parameters
    ----------
    settings
        The room's settings by name: `database_url=…` becomes `MARKETML_<ROOM>_DATABASE_URL`.
    environment
        More variables, as they are.
    module
        What to start instead of `services.<name>`.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        environment: dict[str, str] | None = None,
        module: str | None = None,
        **settings: object,
    ) -> None:
        self.name = name
        self.folder = folder
        self.log_path = folder / f"{name}.log"
        self._mark = secrets.token_hex(8)
        self._ready: dict[str, str] | None = None
        # Else a room on a port it had before takes the ports beside it, which may be others' by then.
        beside = {"health_address": "127.0.0.1:0", "metrics_address": "127.0.0.1:0"}
        given = {"address": "127.0.0.1:0"} | beside | _CALM.get(name, {}) | settings
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("MARKETML_")}
        variables = {f"MARKETML_{name.upper()}_{key.upper()}": str(value) for key, value in given.items()}
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*dying_with_us("KILL"), sys.executable, "-m", module or f"services.{name}"],
                cwd=folder,
                env=inherited
                | {"PYTHONPATH": str(ROOT), _MARK: self._mark}
                | variables
                | (environment or {}),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)

    def wait_ready(self, deadline_seconds: float = START_SECONDS_MAX) -> Self:
        """Wait for the ready line; fail with the log when the process ends or the deadline passes."""
        try:
            self._ready = eventually(self._find_ready, deadline_seconds, f"{self.name}'s ready line")
        except AssertionError as late:
            self.kill()
            raise AssertionError(f"{late}\n{self.log()[-4000:]}") from None
        return self

    def _find_ready(self) -> dict[str, str] | None:
        for line in list(self._lines):
            if line.startswith("{") and (said := json.loads(line)).get("event") == "ready":
                return dict(said)
        assert self.process.poll() is None, (
            f"{self.name} ended with {self.process.returncode} before it was ready"
        )
        return None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ready(self) -> dict[str, str]:
        """The ready line: `address`, `health_address`, `metrics_address`."""
        if self._ready is None:
            self.wait_ready()
        assert self._ready is not None
        return self._ready

    @property
    def target(self) -> str:
        return self.ready["address"]

    @property
    def health_target(self) -> str:
        return self.ready["health_address"]

    @property
    def metrics_target(self) -> str:
        return self.ready["metrics_address"]

    def log(self) -> str:
        """Everything the room wrote to stderr, over all its starts in this folder."""
        return self.log_path.read_text(errors="replace")

    def output(self) -> str:
        """Everything this process wrote to stdout so far."""
        return "".join(self._lines)

    def descendants(self) -> list[psutil.Process]:
        """The processes alive that the room started, whoever their parent is now."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != self.pid and process.environ().get(_MARK) == self._mark:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return [process for process in found if process.is_running()]

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self._end(STOP_SECONDS_MAX)

    def stop(self, deadline_seconds: float = STOP_SECONDS_MAX) -> int:
        """SIGTERM, wait, and see that nothing is left running. Returns the exit status."""
        self.terminate()
        return self.wait(deadline_seconds)

    def wait(self, deadline_seconds: float = STOP_SECONDS_MAX) -> int:
        """Wait for the end, and see that nothing is left running. Returns the exit status."""
        status = self._end(deadline_seconds)
        self.assert_nothing_left()
        return status

    def assert_nothing_left(self, deadline_seconds: float = 10.0) -> None:
        """Fail when a process that this ended room started still runs after the deadline."""
        eventually(
            lambda: not self.descendants(), deadline_seconds, f"the end of what {self.name} had started"
        )

    def _end(self, deadline_seconds: float) -> int:
        status = self.process.wait(deadline_seconds)
        self._reader.join(10)
        if self.process.stdout is not None and not self._reader.is_alive():
            self.process.stdout.close()
        return status

    def __enter__(self) -> Self:
        return self.wait_ready()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self.process.poll() is None:
                self.stop()
            else:
                self.wait()
        finally:
            if self.process.poll() is None:
                self.kill()
            for left in self.descendants():
                left.kill()


@dataclass(frozen=True)
class Rooms:
    """The four rooms as processes."""

    data: RoomProcess
    features: RoomProcess
    training: RoomProcess
    registry: RoomProcess

    def all(self) -> tuple[RoomProcess, ...]:
        return (self.data, self.features, self.training, self.registry)


@contextmanager
def four_rooms(folder: Path, settings: dict[str, dict[str, object]] | None = None) -> Iterator[Rooms]:
    """Start the four rooms below `folder`, a folder for each, and stop them in the opposite order.

    Parameters
    ----------
    settings
        More settings of a room, by its name: `{"training": {"jobs_count": 2}}`.
    """
    given = settings or {}
    with ExitStack() as started:

        def start(name: str, **more: object) -> RoomProcess:
            (folder / name).mkdir(parents=True, exist_ok=True)
            room = RoomProcess(name, folder / name, **(more | given.get(name, {})))  # type: ignore[arg-type]
            started.push(room)
            return room

        data, registry = start("data"), start("registry")
        features = start("features", data_target=data.target)
        targets = {"data": data.target, "features": features.target, "registry": registry.target}
        training = start("training", **{f"{name}_target": target for name, target in targets.items()})
        rooms = Rooms(data, features, training, registry)
        for room in rooms.all():
            room.wait_ready()
        yield rooms
