"""The log of a worker: what it writes to stderr goes on to the server's own, and without paths and secrets
where callers can read it."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import IO

from marketml.rpc.refusals import Aborted, Refusal
from services.host.logs import problems
from services.training.jobs import LogEntry

PENDING_COUNT = 2_000
LINE_BYTES_MAX = 64 * 1024
MESSAGE_BYTES_MAX = 2_000
LOGGER_LENGTH_MAX = 100
LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})
PRINTED = "stderr"

_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+@")
_SECRET = re.compile(r"(?i)\b(password|passwd|secret|token|api_?key|authorization)(\"?'?\s*[=:]\s*)\S+")
_FOLDERS = re.compile(r"(?:(?<![\w/])|(?<=://))(?:~|\.{1,2})?/(?:[^\s/:'\",;()<>]+/)+")


class WorkerLog:
    """Reads what one worker writes. `read` runs on a thread of its own and never waits for the database;
    `flush` stores what has come, from any thread. What comes faster than it is stored is lost, and counted.

    Parameters
    ----------
    append
        Stores entries; its second argument counts those that were lost before them.
    """

    def __init__(self, append: Callable[[Sequence[LogEntry], int], None]) -> None:
        self._append = append
        self._pending: deque[LogEntry] = deque()
        self._lost_count = 0
        self._changing = threading.Lock()
        self._flushing = threading.Lock()

    def read(self, stream: IO[bytes]) -> None:
        """Read to the end, which is the end of the last process that writes here, and close."""
        is_rest = False  # of a line that is longer than anybody reads
        with stream:
            while line := stream.readline(LINE_BYTES_MAX):
                with suppress(OSError):
                    os.write(2, line)
                if not is_rest:
                    self._add(entry_of(line, time.time_ns() // 1_000))
                is_rest = not line.endswith(b"\n")

    def _add(self, entry: LogEntry) -> None:
        if not entry.message:
            return
        with self._changing:
            self._pending.append(entry)
            while len(self._pending) > PENDING_COUNT:
                self._pending.popleft()
                self._lost_count += 1

    def flush(self) -> None:
        """Store what has come. While the database is away it waits; when the attempt is over it goes."""
        with self._flushing:
            with self._changing:
                entries, self._pending = self._pending, deque()
                lost_count, self._lost_count = self._lost_count, 0
            if not entries:
                return
            try:
                self._append(list(entries), lost_count)
            except Aborted:
                return
            except Refusal:
                with self._changing:
                    self._pending.extendleft(reversed(entries))
                    self._lost_count += lost_count
            except Exception:  # which must not be the job's end
                problems.exception("%d lines of a worker's log are lost.", len(entries))


def entry_of(line: bytes, time_us: int) -> LogEntry:
    """A line as callers may read it; `time_us` is its time unless it tells its own."""
    text = line.decode(errors="replace").rstrip()
    entry = LogEntry(time_us, "INFO", PRINTED, shown(text))
    try:
        said = json.loads(text)
        own_us = round(datetime.fromisoformat(said["time"]).timestamp() * 1_000_000)
        level, logger, message = said["level"], str(said["logger"]), str(said["message"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return entry
    if level not in LEVELS or not 0 <= own_us < 2**62:
        return entry
    return LogEntry(own_us, level, shown(logger)[:LOGGER_LENGTH_MAX], shown(message))


def shown(text: str) -> str:
    """A message without folders and credentials, as long as a line may be, as every database takes it."""
    text = text.encode(errors="replace").decode().replace("\0", "\ufffd")
    text = text[: 4 * MESSAGE_BYTES_MAX]
    for pattern, instead in ((_CREDENTIALS, "…@"), (_SECRET, r"\1\2…"), (_FOLDERS, "…/")):
        text = pattern.sub(instead, text)
    cut = text.encode()
    if len(cut) <= MESSAGE_BYTES_MAX:
        return text
    return cut[: MESSAGE_BYTES_MAX - 3].decode(errors="ignore") + "…"
