"""The four rooms as processes of this machine: started in order, watched, restarted, stopped."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

ROOMS = ("data", "features", "training", "registry")
PORTS: Mapping[str, int] = {"data": 50051, "features": 50052, "training": 50053, "registry": 50054}
# Which rooms a room calls: they start before it, and it is told their addresses.
NEIGHBOURS: Mapping[str, tuple[str, ...]] = {
    "data": (),
    "registry": (),
    "features": ("data",),
    "training": ("data", "features", "registry"),
}
_KEEPS_FILES = ("data", "registry")
START_SECONDS = 60.0
STOP_SECONDS = 30.0
_LEASH = Path(__file__).with_name("leash.py")
_BACKOFF_SECONDS, _BACKOFF_SECONDS_MAX, _STEADY_SECONDS = 1.0, 30.0, 60.0
_POLL_SECONDS = 0.05


class RoomsFailed(Exception):
    """A room cannot be started, or did not become ready. One sentence, with the last words of its log."""


def require_servers() -> None:
    """Refuse when the servers' libraries are not installed.

    Raises
    ------
    RoomsFailed
        One of them is absent.
    """
    needed = ("services", "grpc_health", "sqlalchemy", "alembic", "numba", "lightgbm", "sklearn")
    absent = [name for name in needed if importlib.util.find_spec(name) is None]
    if absent:
        raise RoomsFailed(
            f"The servers are not installed here ({', '.join(absent)} is missing): "
            "pip install 'marketml[server]', or in the repository: make up."
        )


@dataclass
class Room:
    """One room's process. `address` is None until it is ready, and `doors` (health, metrics) are known then;
    `log` is where it writes what happens."""

    name: str
    log: Path
    process: subprocess.Popen[str]
    started: float = field(default_factory=time.monotonic)
    address: str | None = None
    doors: dict[str, str] = field(default_factory=dict)

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def last_words(self) -> str:
        """The message of its log's last line."""
        try:
            line = self.log.read_text(errors="replace").strip().splitlines()[-1]
        except (OSError, IndexError):
            return "it wrote nothing"
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            return str(said.get("message") or said.get("event") or line) if isinstance(said, dict) else line
        return line


class Rooms:
    """Starts rooms and ends them; as a context manager it ends all of them, whatever happens.

    Use it on the main thread: a room dies with the thread that started it.

    Parameters
    ----------
    folder
        Holds the rooms' files, and their logs under `logs`.
    ports
        Port by room; 0 takes any free one.
    say
        Called with (event, room, text) when a room is ready, died or was restarted.
    settings
        More environment variables for all rooms; those of this process win where `folder` and `ports` only
        give defaults.
    """

    def __init__(
        self,
        folder: Path,
        ports: Mapping[str, int],
        say: Callable[[str, str, str], None],
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._ports = ports
        self._say = say
        self._settings = dict(settings or {})
        self._rooms: dict[str, Room] = {}
        self._addresses: dict[str, str] = {}  # of the first start: a restarted room keeps its ports
        self._doors: dict[str, dict[str, str]] = {}
        self._restarts: dict[str, tuple[float, float]] = {}  # backoff, and when to start again

    def start(self) -> dict[str, str]:
        """Start all rooms and wait until they serve; returns their addresses.

        Raises
        ------
        RoomsFailed
            One ended or did not become ready.
        """
        require_servers()
        expected = {name: self._address(name) for name in NEIGHBOURS}
        known = {name for name, address in expected.items() if not address.endswith(":0")}
        self._addresses = {name: expected[name] for name in known}
        waiting = list(NEIGHBOURS)
        while waiting:
            batch = [name for name in waiting if set(NEIGHBOURS[name]) <= set(self._addresses)]
            for name in batch:
                self._launch(name)
            for name in batch:
                self._await(name)
            waiting = [name for name in waiting if name not in batch]
        return dict(self._addresses)

    def watch(self) -> None:
        """Restart rooms that die, for ever; returns by the exception of a signal."""
        while True:
            for name, room in list(self._rooms.items()):
                self._look_after(name, room)
            time.sleep(_POLL_SECONDS * 4)

    def stop(self) -> None:
        """End all rooms: SIGTERM, and after a while SIGKILL. A second Ctrl-C does not wait."""
        alive = [room for room in self._rooms.values() if _is_running(room.process.pid)]
        for room in alive:
            _signal(room.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        with contextlib.suppress(KeyboardInterrupt):
            while time.monotonic() < deadline and any(_is_running(room.process.pid) for room in alive):
                time.sleep(_POLL_SECONDS)
        for room in self._rooms.values():
            if room.process.returncode is None:
                # The room leads a process group of its own, and its number is ours until it is waited for.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(room.process.pid, signal.SIGKILL)
                room.process.wait()
            if room.process.stdout is not None:
                room.process.stdout.close()
        self._rooms.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, name: str) -> None:
        logs = self._folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        if name != "features":  # it keeps nothing
            (self._folder / name).mkdir(exist_ok=True)
        log = logs / f"{name}.log"
        command = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid())]
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [*command, sys.executable, "-m", f"services.{name}"],
                env=self._environment(name),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # a terminal's Ctrl-C reaches us alone, and we stop them in order
            )
        room = Room(name, log, process)
        self._rooms[name] = room
        threading.Thread(target=_read_ready_line, args=(room,), daemon=True).start()

    def _environment(self, name: str) -> dict[str, str]:
        prefix = f"MARKETML_{name.upper()}_"
        folder = self._folder / name
        defaults = {"ADDRESS": self._address(name)}
        if name in _KEEPS_FILES:
            defaults["FOLDER"] = str(folder)
        if name != "features":
            defaults["DATABASE_URL"] = f"sqlite:///{folder}/{name}.sqlite"
        defaults |= {f"{other.upper()}_TARGET": self._addresses[other] for other in NEIGHBOURS[name]}
        # One spinning thread a core beside a busy neighbour made a fit forty times slower.
        shared = {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}
        given = {prefix + key: value for key, value in defaults.items()}
        # A room that served keeps its ports: the others know it by one, and any free one may be a neighbour's
        # plus 1000, where its health would go.
        kept = {f"{prefix}ADDRESS": self._addresses[name]} if name in self._addresses else {}
        kept |= {prefix + door: address for door, address in self._doors.get(name, {}).items()}
        return shared | given | dict(os.environ) | self._settings | kept

    def _address(self, name: str) -> str:
        """Where a room will serve; port 0 is found out once it does."""
        setting = f"MARKETML_{name.upper()}_ADDRESS"
        return self._settings.get(setting) or os.environ.get(setting) or f"127.0.0.1:{self._ports[name]}"

    def _await(self, name: str) -> None:
        room = self._rooms[name]
        deadline = time.monotonic() + START_SECONDS
        while room.address is None:
            if not room.is_alive():
                raise RoomsFailed(f"The {name} room did not start: {room.last_words()} (its log: {room.log})")
            if time.monotonic() > deadline:
                raise RoomsFailed(
                    f"The {name} room was not ready after {START_SECONDS:g} s (its log: {room.log})"
                )
            time.sleep(_POLL_SECONDS)
        self._addresses[name] = room.address
        self._doors[name] = room.doors
        self._say("ready", name, room.address)

    def _look_after(self, name: str, room: Room) -> None:
        now = time.monotonic()
        backoff, due = self._restarts.get(name, (_BACKOFF_SECONDS, 0.0))
        if due:
            if now >= due:
                self._restarts[name] = (min(backoff * 2, _BACKOFF_SECONDS_MAX), 0.0)
                self._launch(name)
            return
        if room.is_alive():
            if now - room.started > _STEADY_SECONDS:
                self._restarts.pop(name, None)
            return
        self._say("died", name, f"{room.last_words()}; starting it again in {backoff:g} s")
        self._restarts[name] = (backoff, now + backoff)


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP what Ctrl-C is: a KeyboardInterrupt on the main thread. So is SIGINT where a
    script started us in its background, and Python had left it ignored."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read_ready_line(room: Room) -> None:
    """Take the room's output: the ready line, and then whatever it says, so that its pipe never fills."""
    assert room.process.stdout is not None
    with contextlib.suppress(ValueError, OSError):  # closed by stop
        for line in room.process.stdout:
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict) and said.get("event") == "ready":
                    room.doors = {
                        "HEALTH_ADDRESS": str(said["health_address"]),
                        "METRICS_ADDRESS": str(said["metrics_address"]),
                    }
                    room.address = str(said["address"])


def _is_running(pid: int) -> bool:
    """Whether a child of ours runs; one that ended is left to be waited for, so that its number stays
    ours."""
    try:
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return ended is None


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
