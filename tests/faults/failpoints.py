"""Crashes on demand: a process is killed at the n-th operation that changes a file below a folder.

failpoints = Failpoints(tmp_path, watched=tmp_path / "registry")
with RoomProcess("registry", folder, environment=failpoints.environment) as room:
    failpoints.arm(kill_at=7)
    …                                # the room dies by SIGKILL before its seventh operation
    failpoints.operations()          # the seven, in order
"""

from __future__ import annotations

import mmap
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import need_program

_SOURCE = Path(__file__).with_name("failpoints.c")
_NEVER = 2**62


@dataclass(frozen=True)
class Operation:
    """One operation: `open` (to write or create), `write`, `fsync`, `truncate`, `rename`, `link`, `unlink`,
    `mkdir` or `rmdir`, and the path it changes."""

    kind: str
    path: Path


class Failpoints:
    """The library, compiled into `folder`, and the switch that it shares with the test.

    Parameters
    ----------
    folder
        Holds the library, the switch and the log; not below `watched`.
    watched
        Operations below it count.
    """

    def __init__(self, folder: Path, watched: Path) -> None:
        library = folder / "failpoints.so"
        self._log = folder / "failpoints.log"
        self._log.touch()
        control = folder / "failpoints.control"
        control.write_bytes(bytes(32))
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), 32)
        compile_it = [need_program("gcc"), "-shared", "-fPIC", "-O1", "-Wall", "-o", library, _SOURCE, "-ldl"]
        subprocess.run(compile_it, check=True, capture_output=True)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAILPOINT_FOLDER": str(watched.absolute()),
            "FAILPOINT_CONTROL": str(control),
            "FAILPOINT_LOG": str(self._log),
        }

    def arm(self, kill_at: int | None = None, half: bool = False) -> None:
        """Count from here; kill before operation `kill_at`, or amid it when that is a write and `half`."""
        self._log.write_bytes(b"")
        self._control[:] = struct.pack("<4q", 1, kill_at or _NEVER, half, 0)

    def disarm(self) -> None:
        """Count no more."""
        self._control[:8] = struct.pack("<q", 0)

    def operations(self) -> list[Operation]:
        """The operations since the arming, in order; the last of them is the one that was not done."""
        lines = [line.split(" ", 2) for line in self._log.read_text().splitlines()]
        ordered = sorted(lines, key=lambda line: int(line[0]))
        return [Operation(kind, Path(path)) for _, kind, path in ordered]
