"""A fitter: a process that fits units for a worker, started as `python -m services.training.workshop.fitter`.

worker → fitter   {"fit": NUMBER, "bytes": SIZE, "matrix": {"path", "dtype", "shape"}}, SIZE bytes of a task
                  {"end": NUMBER} ends it with the rounds it has, {"withdraw": NUMBER} with nothing
fitter → worker   {"round": NUMBER, "number", "loss"}, merged
                  {"answer": NUMBER, "bytes": SIZE}, SIZE bytes, for every task; see `fit_answers`

Numbers grow, and tasks are done in their order. The matrix is a file that is mapped into memory.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from services.host.children import die_with_parent, take_stdout

if TYPE_CHECKING:
    from services.training.learners.fitting import Matrix

TELL_SECONDS = 0.1  # at most one round so often


def main() -> int:
    """Fit until stdin ends."""
    die_with_parent()
    orders, answers = sys.stdin.buffer, take_stdout()

    from services.host import logs

    logs.write_json_lines("training", "INFO")
    inbox = Inbox()
    threading.Thread(target=inbox.follow, args=(orders,), daemon=True).start()

    import sklearn.utils  # noqa: F401  before there is a task: every learner's library takes it along

    while True:
        order, task = inbox.next()
        answered = _answer(order, task, inbox, answers)
        _tell(answers, {"answer": order["fit"], "bytes": len(answered)}, answered)


class Inbox:
    """What the worker says."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[tuple[dict[str, Any], bytes]] = queue.SimpleQueue()
        self._ended = 0  # what is said of the end of one task holds for those before it
        self._withdrawn: set[int] = set()

    def next(self) -> tuple[dict[str, Any], bytes]:
        """The next task, when it comes."""
        return self._tasks.get()

    def is_withdrawn(self, number: int) -> bool:
        """Whether nobody wants this task any more."""
        return number in self._withdrawn

    def is_ended(self, number: int) -> bool:
        """Whether this task is to end with the rounds it has."""
        return number <= self._ended

    def follow(self, lines: BinaryIO) -> None:
        """Read orders; when the stream ends the worker is gone, and so is this process."""
        for line in lines:
            said = json.loads(line)
            if "withdraw" in said:
                self._withdrawn.add(said["withdraw"])
            elif "end" in said:
                self._ended = said["end"]
            else:
                self._tasks.put((said, lines.read(said["bytes"])))
        os._exit(0)


def _answer(order: dict[str, Any], task: bytes, inbox: Inbox, answers: BinaryIO) -> bytes:
    from services.training.workshop.fit_answers import Withdrawn, answer

    number, told_at = order["fit"], 0.0

    def on_round(finished: int, loss: float | None) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= TELL_SECONDS:
            told_at = time.monotonic()
            _tell(answers, {"round": number, "number": finished, "loss": loss})

    def check() -> bool:
        if inbox.is_withdrawn(number):
            raise Withdrawn
        return inbox.is_ended(number)

    return answer(task, lambda: _mapped(**order["matrix"]), on_round, check)


def _mapped(path: str, dtype: str, shape: list[int]) -> Matrix:
    import numpy as np

    if not min(shape):
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(path, dtype, "r", shape=tuple(shape)))


def _tell(answers: BinaryIO, said: dict[str, Any], content: bytes = b"") -> None:
    answers.write(json.dumps(said).encode() + b"\n")
    answers.write(content)
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
