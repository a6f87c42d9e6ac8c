"""Processes that serve this one over pipes and must not outlive it: how they begin, and what both sides need.

What is said in either direction is a line of JSON with a number of `bytes`, and so many bytes. A child is
told {"task": NUMBER, …} to do something, in the order of the numbers, and {"word": WORD, "of": NUMBER} of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from services.host.deaths import End, end_of, memory_kills_count

TRIES = 2  # of a task whose child died
_PR_SET_PDEATHSIG = 1
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Child:
    """One process and the pipes to it. It dies with the thread that starts it.

    Parameters
    ----------
    leads_group
        Whether it is in a group of its own: a Ctrl-C in the terminal of this process is not its business. One
        that is not is killed by who kills the group of this process.

    Raises
    ------
    OSError
        It cannot be started.
    """

    def __init__(self, command: Sequence[str], threads_count: int, *, leads_group: bool) -> None:
        self._kills_before = memory_kills_count()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(threads_count),
            start_new_session=leads_group,
        )
        self._telling = threading.Lock()
        self.pid = self._process.pid

    def tell(self, said: dict[str, Any], content: bytes = b"") -> None:
        """Say something, from any thread; a child that is gone hears nothing."""
        assert self._process.stdin is not None
        with self._telling, suppress(OSError, ValueError):
            write_message(self._process.stdin, said, content)

    def hear(self) -> tuple[dict[str, Any], bytes] | None:
        """What it says next; None when it is gone."""
        assert self._process.stdout is not None
        try:
            return read_message(self._process.stdout)
        except (OSError, ValueError):  # it was killed meanwhile
            return None

    def kill(self) -> End:
        """End it if it has not ended, and wait for that; how it ended."""
        self._process.kill()
        status = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        return end_of(status, (self._kills_before, memory_kills_count()))


class Inbox:
    """What a child is told, read by a thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._tasks: queue.SimpleQueue[tuple[dict[str, Any], bytes]] = queue.SimpleQueue()
        self._words: set[tuple[str, int]] = set()
        threading.Thread(target=self._follow, args=(stream,), daemon=True).start()

    def next(self) -> tuple[dict[str, Any], bytes]:
        """The next task, when it comes."""
        said, content = self._tasks.get()
        for word, number in tuple(self._words):
            if number < said["task"]:
                self._words.discard((word, number))
        return said, content

    def is_said(self, word: str, number: int) -> bool:
        """Whether this was said of a task."""
        return (word, number) in self._words

    def _follow(self, stream: BinaryIO) -> None:
        """Read; when the stream ends the parent is gone, and so is this process."""
        while (message := read_message(stream)) is not None:
            said, _ = message
            if "task" in said:
                self._tasks.put(message)
            else:
                self._words.add((said["word"], said["of"]))
        os._exit(0)


def write_message(stream: IO[bytes], said: dict[str, Any], content: bytes | memoryview = b"") -> None:
    """Say something, with content."""
    stream.write(json.dumps(said | {"bytes": len(content)}).encode() + b"\n")
    stream.write(content)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """What is said next, and its content; None when the stream has ended."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    said: dict[str, Any] = json.loads(line)
    content = stream.read(said["bytes"])
    return (said, content) if len(content) == said["bytes"] else None


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends, however it ends. Elsewhere than
    on Linux the end of stdin has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def take_stdout() -> BinaryIO:
    """The pipe to the parent, taken away from libraries that print."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def child_environment(threads_count: int) -> dict[str, str]:
    """A child's: with so many threads, and without the settings of this process, which it must not know."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MARKETML_")}
    ours = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (ours, kept.get("PYTHONPATH", "")) if part)
    threads = dict.fromkeys(_THREADS, str(threads_count))
    return kept | threads | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": path}
