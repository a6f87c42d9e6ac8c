"""Deaths of workers: what an exit status tells, and whether the kernel killed because memory ran out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

from services.training.jobs import Death


def death_of(status: int, kills: tuple[int | None, int | None], peak_bytes: int) -> Death:
    """Why a worker died that said no last word.

    Parameters
    ----------
    status
        Its exit status; a signal is negative.
    kills
        `memory_kills_count` when it began and when it was dead.
    peak_bytes
        The most memory it was seen with.
    """
    if status >= 0:
        return Death(f"The worker ended with status {status} without a last word.")
    if status != -signal.SIGKILL:
        return Death(f"The worker was killed by {signal_name(-status)}.")
    if None in kills:
        said = "signal 9, which the kernel uses when memory runs out"
        return Death(f"The worker was killed by SIGKILL, {said}; it had used {peak_bytes:,} bytes.")
    if was_for_memory(status, kills):
        said = f"The kernel killed the worker because memory ran out; it had used {peak_bytes:,} bytes."
        return Death(said, is_of_memory=True)
    return Death("The worker was killed by SIGKILL; the kernel counted no kill for lack of memory.")


def was_for_memory(status: int, kills: tuple[int | None, int | None]) -> bool:
    """Whether the kernel is known to have killed a process for lack of memory; see `death_of`."""
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
