"""A fitter: a process that fits units for a worker, started as `python -m services.training.workshop.fitter`.

worker → fitter   {"task": NUMBER, "matrix": {"path", "dtype", "shape"}} and the bytes of a task
                  {"word": "end", "of": NUMBER} ends it with the rounds it has, "withdraw" with nothing
fitter → worker   {"round": NUMBER, "number", "loss"}, merged
                  {"answer": NUMBER} and its bytes, for every task; see `fit_answers`

The matrix is a file that is mapped into memory.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from services.host.children import Inbox, die_with_parent, take_stdout, write_message

if TYPE_CHECKING:
    from services.training.learners.fitting import Matrix

TELL_SECONDS = 0.1  # at most one round so often


def main() -> int:
    """Fit until stdin ends."""
    die_with_parent()
    orders, answers = sys.stdin.buffer, take_stdout()

    from services.host import logs

    logs.write_json_lines("training", "INFO")
    inbox = Inbox(orders)

    import sklearn.utils  # noqa: F401  before there is a task: every learner's library takes it along

    while True:
        order, task = inbox.next()
        write_message(answers, {"answer": order["task"]}, _answer(order, task, inbox, answers))


def _answer(order: dict[str, Any], task: bytes, inbox: Inbox, answers: BinaryIO) -> bytes:
    from services.training.workshop.fit_answers import Withdrawn, answer

    number, told_at = order["task"], 0.0

    def on_round(finished: int, loss: float | None) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= TELL_SECONDS:
            told_at = time.monotonic()
            write_message(answers, {"round": number, "number": finished, "loss": loss})

    def check() -> bool:
        if inbox.is_said("withdraw", number):
            raise Withdrawn
        return inbox.is_said("end", number)

    return answer(task, lambda: _mapped(**order["matrix"]), on_round, check)


def _mapped(path: str, dtype: str, shape: list[int]) -> Matrix:
    import numpy as np

    if not min(shape):
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(path, dtype, "r", shape=tuple(shape)))


if __name__ == "__main__":
    sys.exit(main())
