"""A worker of the features room, started as `python -m services.features.worker`: computes pieces.

room → worker   {"task": NUMBER, "path": where the bars are, …} a piece; {"word": "cancel", "of": NUMBER}
worker → room   {"done": NUMBER} and the bytes of its values, {"cancelled": NUMBER} or {"error": NAME}

The bars are in a file that is mapped into memory.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from services.host.children import Inbox, die_with_parent, take_stdout, write_message

if TYPE_CHECKING:
    import pyarrow as pa


def main() -> int:
    """Compute until stdin ends; the exit status."""
    die_with_parent()
    orders, results = sys.stdin.buffer, take_stdout()

    from services.host import logs

    logs.write_json_lines("features", "INFO")
    inbox, bars = Inbox(orders), Bars()
    while True:
        task, _ = inbox.next()
        write_message(results, *_done(task, inbox, bars))


class Cancelled(Exception):
    """Nobody wants the task any more."""


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


def _done(task: dict[str, Any], inbox: Inbox, bars: Bars) -> tuple[dict[str, Any], bytes | memoryview]:
    import logging

    from services.features.pieces import compute_piece, read_piece
    from services.features.pool import BAR_NUMBERS

    number = task["task"]

    def check() -> None:
        if inbox.is_said("cancel", number):
            raise Cancelled

    try:
        check()
        piece = read_piece(task)
        part = bars.batch(task["path"]).slice(piece.first, piece.stop - piece.first)
        x = part.column(piece.rolling.column).to_numpy()
        values = compute_piece(piece, x, part.column(BAR_NUMBERS).to_numpy(), check)
    except Cancelled:
        return {"cancelled": number}, b""
    except FileNotFoundError:  # its call ended before the task began
        return {"cancelled": number}, b""
    except Exception as error:
        logging.getLogger("marketml.problems").exception("A bug ended a piece of features.")
        return {"error": type(error).__name__}, b""
    return {"done": number}, values.data.cast("B")


if __name__ == "__main__":
    sys.exit(main())
