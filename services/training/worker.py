"""The worker: the process of one attempt of one job, started as `python -m services.training.worker`.

Its assignment comes as the first line of stdin; what happens goes as lines to stdout. It knows no database.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from services.host.children import die_with_parent, take_stdout
from services.training.crew.pace import Pace

if TYPE_CHECKING:
    from services.training.crew.worker_lines import Assignment
    from services.training.jobs import Changes, Ending, StopMode, Tree

# Progress is told once in a tenth of the time under way: who watches sees a short job move, and a long one
# does not keep its server busy, whose other answers would wait for what it stores.
SHARE_BETWEEN_TICKS = 0.1
SHORTEST_TICK_SECONDS, LONGEST_TICK_SECONDS = 0.1, 1.0
NICENESS = 10
_SAME_PACE = frozenset({"JOB_STAGE_FINAL_FIT", "JOB_STAGE_FINAL_TEST", "JOB_STAGE_REGISTER"})  # as the folds
_news = logging.getLogger("marketml.job")


def main() -> int:
    """Run the job; the exit status."""
    die_with_parent()
    _come_last()
    told_to, lines = sys.stdin.buffer, take_stdout()

    from services.host import logs
    from services.training.crew.worker_lines import read_assignment

    logs.write_json_lines("training", "INFO")
    logging.captureWarnings(True)
    first = told_to.readline()
    if not first:
        return 1
    assignment = read_assignment(first)
    outbox, orders = Outbox(lines), Orders()
    threading.Thread(target=orders.follow, args=(told_to,), daemon=True).start()
    threading.Thread(target=outbox.tick, daemon=True).start()
    _news.info("Attempt %d begins with %d threads.", assignment.attempt, assignment.threads_count)
    ending = _run(assignment, outbox, orders)
    _news.info("Attempt %d ends: %s", assignment.attempt, ending.cause)
    outbox.end(ending)
    return 0


class Outbox:
    """Writes what happens, whole lines at a time. Progress is merged: the newest goes, at every tick."""

    def __init__(self, lines: BinaryIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines = lines
        self._clock = clock
        self._writing = threading.Lock()
        self._merging = threading.Lock()
        self._pace = Pace(clock())
        self._fraction = 0.0
        self._newest: Tree | None = None

    def tell(self, detail: Tree, changes: Changes | None = None) -> None:
        """Write an event at once."""
        from services.training.jobs import NO_CHANGES

        with self._merging:
            if "stage_started" in detail:
                if self._newest is not None:
                    self._newest = {"fraction": self._fraction}  # fold and round were the last stage's
                if detail["stage_started"]["stage"] not in _SAME_PACE:
                    self._pace.begin(self._clock(), self._fraction)
        self._write([detail], changes or NO_CHANGES)
        _log(detail)

    def progress(self, fraction: float, **more: int | float | None) -> None:
        """Keep the newest progress for the next tick; the fraction never falls."""
        with self._merging:
            self._fraction = max(self._fraction, fraction)
            known = (self._newest or {}) if not more else {}
            given = {name: value for name, value in more.items() if value is not None}
            self._newest = known | given | {"fraction": self._fraction}

    def tick(self) -> None:
        """Write the newest progress, if any, again and again; for a thread of its own."""
        begun = self._clock()
        while True:
            time.sleep(seconds_between_ticks(self._clock() - begun))
            self.flush()

    def flush(self) -> None:
        """Write the newest progress, if there is any."""
        from services.training.jobs import Changes

        with self._merging:
            newest, self._newest = self._newest, None
            if newest is None:
                return
            remaining = self._pace.remaining_seconds(self._clock(), newest["fraction"])
        if remaining is not None:
            newest["remaining"] = remaining = round(remaining, 3)
        self._write([{"progress": newest}], Changes(fraction=newest["fraction"], remaining_seconds=remaining))

    def end(self, ending: Ending) -> None:
        """Write the last word."""
        from services.training.crew.worker_lines import write_ending

        with self._merging:
            self._newest = None
        line = write_ending(ending)
        with self._writing:
            self._lines.write(line)
            self._lines.close()

    def _write(self, details: list[Tree], changes: Changes) -> None:
        from services.training.crew.worker_lines import write_report

        line = write_report(details, changes)
        with self._writing:
            if self._lines.closed:
                return
            try:
                self._lines.write(line)
                self._lines.flush()
            except OSError:
                os._exit(1)  # nobody listens: this attempt is over


class Orders:
    """What the server says while the job runs."""

    def __init__(self) -> None:
        self._mode: StopMode | None = None
        self._changed = threading.Event()

    @property
    def mode(self) -> StopMode | None:
        """How to stop, once told to."""
        return self._mode

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than until an order comes."""
        self._changed.wait(seconds)
        self._changed.clear()

    def follow(self, lines: BinaryIO) -> None:
        """Read orders; when the stream ends the server is gone, and so is this process."""
        from services.training.crew.worker_lines import read_stop

        for line in lines:
            self._mode = read_stop(line)
            self._changed.set()
        os._exit(1)


def _run(assignment: Assignment, outbox: Outbox, orders: Orders) -> Ending:
    from marketml.rpc.refusals import Reason, Refusal
    from marketml.rpc.statuses import code_of
    from services.training.jobs import failed
    from services.training.neighbours import Neighbours, read_endpoints
    from services.training.runner import Runner

    given = dict(assignment.neighbours)
    retry_seconds = given.pop("retry_seconds")
    rooms = Neighbours(read_endpoints(given))
    try:
        return Runner(assignment, rooms, outbox, orders, retry_seconds).run()
    except Refusal as refusal:
        return failed(code_of(refusal).name, str(refusal.reason), refusal.message)
    except MemoryError:
        message = "The machine gave no more memory."
        return failed("RESOURCE_EXHAUSTED", str(Reason.LIMIT_EXCEEDED), message)
    except Exception:
        reference = secrets.token_hex(8)
        fields = {"job_id": assignment.job_id, "reference": reference}
        logging.getLogger("marketml.problems").exception("A bug ended a job.", extra={"fields": fields})
        message = f"Internal error; the server's log has the details under reference {reference}."
        return failed("INTERNAL", str(Reason.BUG), message)
    finally:
        rooms.close()


def _log(detail: Tree) -> None:
    """What of an event belongs into the log of the job, too."""
    match detail:
        case {"stage_started": {"stage": stage}}:
            _news.info("%s begins.", stage.removeprefix("JOB_STAGE_"))
        case {"fold_finished": {"fold": fold, "fold_count": count, "rounds": rounds}}:
            _news.info("Fold %d of %d is scored; its model kept %d rounds.", fold, count, rounds)
        case {"warning": {"message": message}}:
            _news.warning("%s", message)


def seconds_between_ticks(under_way: float) -> float:
    """How long progress may wait to be told, in a job that has been under way for so many seconds."""
    return min(max(SHARE_BETWEEN_TICKS * under_way, SHORTEST_TICK_SECONDS), LONGEST_TICK_SECONDS)


def _come_last() -> None:
    """Have the servers of this host live and answer first: where memory runs out the kernel kills this
    process, whose job comes back, and where cores do it waits, with those it starts."""
    os.nice(NICENESS)
    # Where Linux groups processes by session, it weighs this one's group against the others.
    for name, value in (("oom_score_adj", 500), ("autogroup", NICENESS)):
        with contextlib.suppress(OSError), open(f"/proc/self/{name}", "w") as file:
            file.write(str(value))


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # an orderly end would wait for the thread that reads stdin
