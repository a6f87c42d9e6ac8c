"""Deaths of processes: what an exit status tells, and whether the kernel killed because memory ran out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class End:
    """How a process ended; `is_of_memory` if the kernel counted a kill for lack of it."""

    words: str
    is_of_memory: bool


def end_of(status: int, kills: tuple[int | None, int | None]) -> End:
    """What an exit status tells; a signal is negative. `kills` are those for lack of memory that the kernel
    had counted when the process began, and when it was dead."""
    if status >= 0:
        return End(f"with status {status}", is_of_memory=False)
    by = f"by {signal_name(-status)}"
    if was_for_memory(status, kills):
        return End(f"{by} of the kernel, for memory ran out", is_of_memory=True)
    return End(by, is_of_memory=False)


def was_for_memory(status: int, kills: tuple[int | None, int | None]) -> bool:
    """Whether the kernel is known to have killed a process for lack of memory."""
    before, after = kills
    return status == -signal.SIGKILL and before is not None and after is not None and after > before


def memory_kills_count(root: Path = Path("/")) -> int | None:
    """How often the kernel has killed for lack of memory: in the memory group of this process, which its
    workers share, or where that is not told on this machine; None where neither can be read."""
    for path in _counters(root):
        try:
            text = path.read_text()
        except OSError:
            continue
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill" and value.isdecimal():
                return int(value)
    return None


def _counters(root: Path) -> Iterator[Path]:
    groups = root / "sys/fs/cgroup"
    try:
        memberships = (root / "proc/self/cgroup").read_text()
    except OSError:
        memberships = ""
    for line in memberships.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        # In a container the path may be that of the host: then the mounted root is the group.
        if not controllers:
            yield groups / path.lstrip("/") / "memory.events"
            yield groups / "memory.events"
        elif "memory" in controllers.split(","):
            yield groups / "memory" / path.lstrip("/") / "memory.oom_control"
            yield groups / "memory" / "memory.oom_control"
    yield root / "proc/vmstat"


def signal_name(number: int) -> str:
    """`SIGKILL`, or the number of one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
