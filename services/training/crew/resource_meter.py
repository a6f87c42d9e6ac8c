"""The meter of a worker: what its process and whatever that started take, looked at from outside."""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from services.training.jobs import Resources


class ResourceMeter:
    """Adds up one attempt of a job, on top of what earlier ones took. From any thread.

    Parameters
    ----------
    before
        What earlier attempts took, if that is known.
    """

    def __init__(self, before: Resources | None) -> None:
        self._before = before or Resources(0.0, 0, 0.0)
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._cpu_seconds = 0.0
        self._peak_bytes = 0

    def look(self, pid: int) -> int:
        """Look at a process that nobody has waited for yet; the resident bytes of it and its descendants.

        What they have in common, pages of files and of shared memory, counts for the one that has most of it.
        Time of children that ended is in their parents' once these have waited for them, so the sum may fall
        when one goes without that: the highest counts.
        """
        cpu_seconds, own_bytes, common_bytes, high_bytes = 0.0, 0, 0, 0
        for process in _family(pid):
            with suppress(psutil.Error):
                times = process.cpu_times()
                cpu_seconds += times.user + times.system + times.children_user + times.children_system
                memory = _memory(process)
                own_bytes += memory.own_bytes
                common_bytes = max(common_bytes, memory.common_bytes)
                high_bytes = max(high_bytes, memory.high_bytes)
        bytes_now = own_bytes + common_bytes
        peak_bytes = max(bytes_now, high_bytes)
        with self._lock:
            self._cpu_seconds = max(self._cpu_seconds, cpu_seconds)
            self._peak_bytes = max(self._peak_bytes, peak_bytes)
        return bytes_now

    @property
    def peak_bytes(self) -> int:
        """The highest memory of this attempt so far, 0 before it was seen with any."""
        with self._lock:
            return self._peak_bytes

    def used(self) -> Resources | None:
        """What all attempts took until now; None while this one was not seen with any memory."""
        seconds = time.monotonic() - self._begun
        with self._lock:
            if not self._peak_bytes:
                return None
            return Resources(
                self._before.cpu_seconds + self._cpu_seconds,
                max(self._before.peak_memory_bytes, self._peak_bytes),
                self._before.wall_seconds + seconds,
            )


def _family(pid: int) -> list[psutil.Process]:
    """A process and its descendants, those that are still there."""
    try:
        process = psutil.Process(pid)
        children = _children(pid)
        if children is None:
            return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []
    return [process, *(each for child in children for each in _family(child))]


def _children(pid: int) -> list[int] | None:
    """Those that the threads of a process started, as the kernel lists them; None where it does not. Else
    every process of the host is looked at for its parent."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(ProcessLookupError):  # the thread has ended
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    except OSError:
        return None
    return found


@dataclass(frozen=True)
class _Memory:
    """Resident bytes of a process: its own, those of files and shared memory, and the most that both were."""

    own_bytes: int
    common_bytes: int
    high_bytes: int


def _memory(process: psutil.Process) -> _Memory:
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        status = ""
    found = dict(re.findall(r"^(VmHWM|RssAnon|RssFile|RssShmem):\s+(\d+) kB$", status, re.MULTILINE))
    if "RssAnon" not in found:  # not Linux, or a process that is dead
        resident = int(process.memory_info().rss)
        return _Memory(resident, 0, resident)
    own, of_files, shared, high = (
        1024 * int(found.get(name, 0)) for name in ("RssAnon", "RssFile", "RssShmem", "VmHWM")
    )
    return _Memory(own, of_files + shared, high)
