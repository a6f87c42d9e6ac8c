"""A worker of the features room, started as `python -m services.features.worker`: computes pieces.

Tasks and their cancellations come as lines on stdin. To each task goes one line to stdout, and after the line
of one that is done the bytes of its values. The bars are in a file that is mapped into memory.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from services.host.children import die_with_parent, take_stdout

if TYPE_CHECKING:
    import pyarrow as pa


def main() -> int:
    """Compute until stdin ends; the exit status."""
    die_with_parent()
    orders, results = sys.stdin.buffer, take_stdout()

    from services.host import logs

    logs.write_json_lines("features", "INFO")
    inbox = Inbox()
    threading.Thread(target=inbox.follow, args=(orders,), daemon=True).start()
    bars = Bars()
    while True:
        task = inbox.next()
        header, values = _done(task, inbox, bars)
        results.write(json.dumps(header).encode() + b"\n")
        if values is not None:
            results.write(values)
        results.flush()


class Cancelled(Exception):
    """Nobody wants the task any more."""


class Inbox:
    """What the server says."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled = 0  # tasks come one after the other: the number of the newest is enough

    def next(self) -> dict[str, Any]:
        """The next task, when it comes."""
        return self._tasks.get()

    def is_cancelled(self, number: int) -> bool:
        """Whether nobody wants this task any more."""
        return number <= self._cancelled

    def follow(self, lines: BinaryIO) -> None:
        """Read orders; when the stream ends the server is gone, and so is this process."""
        for line in lines:
            said = json.loads(line)
            if "cancel" in said:
                self._cancelled = said["cancel"]
            else:
                self._tasks.put(said)
        os._exit(0)


class Bars:
    """The file of the newest task, mapped."""

    def __init__(self) -> None:
        self._path = ""
        self._batch: pa.RecordBatch | None = None

    def batch(self, path: str) -> pa.RecordBatch:
        """The columns in a file."""
        import pyarrow as pa

        if self._batch is None or path != self._path:
            self._batch = pa.ipc.open_file(pa.memory_map(path)).get_batch(0)
            self._path = path
        return self._batch


def _done(task: dict[str, Any], inbox: Inbox, bars: Bars) -> tuple[dict[str, Any], memoryview | None]:
    import logging

    from services.features.pieces import compute_piece, read_piece
    from services.features.pool import BAR_NUMBERS

    number = task["compute"]

    def check() -> None:
        if inbox.is_cancelled(number):
            raise Cancelled

    try:
        check()
        piece = read_piece(task)
        part = bars.batch(task["path"]).slice(piece.first, piece.stop - piece.first)
        x = part.column(piece.rolling.column).to_numpy()
        values = compute_piece(piece, x, part.column(BAR_NUMBERS).to_numpy(), check)
    except Cancelled:
        return {"cancelled": number}, None
    except FileNotFoundError:  # its call ended before the task began
        return {"cancelled": number}, None
    except Exception as error:
        logging.getLogger("marketml.problems").exception("A bug ended a piece of features.")
        return {"error": type(error).__name__}, None
    return {"done": number}, values.data.cast("B")


if __name__ == "__main__":
    sys.exit(main())
