"""The attendant of a job: one thread that starts its worker process, stores what it tells, and sees it end.

The worker never opens the database. It dies with its server: the kernel kills it when the thread that started
it ends (`PR_SET_PDEATHSIG`, which the worker sets first of all), and the end of its stdin ends it too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil

from marketml.rpc.refusals import Aborted, Reason, Refusal
from services.host.logs import problems
from services.training.job_plan import read_plan
from services.training.jobs import Ending, Event, Job, JobStage, StopMode, failed
from services.training.store import Store
from services.training.worker_lines import (
    Assignment,
    Report,
    UnreadableLineError,
    read_worker_line,
    write_assignment,
    write_stop,
)

T = TypeVar("T")

# A worker told to discard leaves by itself, then by SIGTERM, then by SIGKILL. One whose bundle is on its way
# to the registry gets longer: it may still learn whether it is done.
TERMINATE_AFTER_SECONDS, REGISTER_SECONDS = 1.5, 4.0
KILL_AFTER_SECONDS = 1.5  # since SIGTERM; at once for one that registers
LEAVE_SECONDS = 5.0  # between a worker's last word and its end
STORE_RETRY_SECONDS = 0.5


class Attendant:
    """Attends one attempt of one job. All methods may be called from any thread.

    Parameters
    ----------
    publish
        Takes the events after they are stored, in order.
    on_end
        Called when all is over: the process is gone and the job has moved on.
    patience_seconds
        How long the database may be away before the attempt is given up.
    """

    def __init__(
        self,
        store: Store,
        job: Job,
        assignment: Assignment,
        command: Sequence[str],
        *,
        publish: Callable[[Sequence[Event]], None],
        on_end: Callable[[], None],
        attempts_count: int,
        patience_seconds: float,
    ) -> None:
        self.job_id, self.attempt = job.job_id, job.attempt
        self._store = store
        self._assignment = assignment
        self._command = command
        self._publish = publish
        self._on_end = on_end
        self._attempts_count = attempts_count
        self._patience_seconds = patience_seconds
        plan = read_plan(job.config)
        self._max_seconds, self._max_bytes = plan.max_duration_seconds, plan.max_memory_bytes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = time.monotonic()
        self._stop_mode: StopMode | None = None
        self._discard_since: float | None = None
        self._verdict: Ending | None = None
        self._is_drained = False
        self._stage: JobStage | None = None
        self.is_over = False
        self._thread = threading.Thread(target=self._run, name=f"job-{job.job_id[:8]}", daemon=True)

    def start(self) -> None:
        """Start the worker."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the end."""
        self._thread.join(seconds)

    def stop(self, mode: StopMode) -> None:
        """Tell the worker to stop; `watch` makes sure that one told to discard is gone in time."""
        with self._lock:
            if self._stop_mode in (mode, StopMode.DISCARD):
                return
            self._stop_mode = mode
            if mode is StopMode.DISCARD:
                self._discard_since = time.monotonic()
            self._tell(write_stop(mode))

    def drain(self) -> None:
        """End the worker because this server ends: the job waits for the next one."""
        with self._lock:
            self._is_drained = True
        self._kill()

    def fence(self) -> None:
        """End the worker because its attempt is over; nothing of it is stored any more."""
        self._kill()

    def watch(self) -> None:
        """Enforce the budget and the deadline of a stop; called a few times a second."""
        with self._lock:
            process, since = self._process, self._discard_since
        if process is None or process.poll() is not None:
            return
        if since is not None:
            waited = time.monotonic() - since
            registers = self._stage is JobStage.REGISTER
            if waited > (REGISTER_SECONDS if registers else TERMINATE_AFTER_SECONDS + KILL_AFTER_SECONDS):
                self._kill()
            elif waited > TERMINATE_AFTER_SECONDS and not registers:
                _signal(process, signal.SIGTERM)
            return
        elapsed = time.monotonic() - self._begun
        if elapsed > self._max_seconds:
            self._give_up("max_duration", f"ran longer than {self._max_seconds:g} s")
        elif self._max_bytes is not None and (used := _memory_bytes(process.pid)) > self._max_bytes:
            self._give_up("max_memory_bytes", f"used {used:,} of {self._max_bytes:,} bytes")

    def _give_up(self, term: str, what: str) -> None:
        message = f"config.budget.{term}: the job {what}."
        with self._lock:
            self._verdict = failed("RESOURCE_EXHAUSTED", str(Reason.LIMIT_EXCEEDED), message)
        self._kill()

    def _run(self) -> None:
        try:
            self._conclude(self._attend())
        except Aborted:
            problems.warning("A worker was fenced: its attempt is over.", extra=self._fields())
        except Exception:
            problems.exception("An attempt was given up; its lease will run out.", extra=self._fields())
        finally:
            self._kill()
            self._reap()
            self.is_over = True
            self._on_end()

    def _attend(self) -> Ending | str:
        """Start the worker and store what it tells until it ends; its last word, or how it died."""
        process = self._spawn()
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = read_worker_line(line)
                if isinstance(said, Ending):
                    return said
                self._record(said)
        except UnreadableLineError as error:
            self._kill()
            return f"The worker wrote nonsense: {error}"
        self._reap()
        return _death_of(process.returncode)

    def _spawn(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(self._assignment.threads_count),
            start_new_session=True,  # a Ctrl-C in the server's terminal is the server's business
        )
        with self._lock:
            self._process = process
            self._tell(write_assignment(self._assignment))
            if self._stop_mode is not None:
                self._tell(write_stop(self._stop_mode))
            is_late = self._is_drained
        if is_late:
            self._kill()
        return process

    def _record(self, report: Report) -> None:
        self._stage = report.changes.stage or self._stage
        details = [json.dumps(detail, separators=(",", ":")) for detail in report.details]
        self._publish(
            self._patiently(lambda: self._store.record(self.job_id, self.attempt, details, report.changes))
        )

    def _conclude(self, said: Ending | str) -> None:
        """Move the job to where the worker's end leaves it, once the process is gone."""
        self._reap()
        with self._lock:
            verdict, is_drained = self._verdict, self._is_drained
        ending = said if isinstance(said, Ending) else verdict
        if ending is not None:
            event = self._patiently(lambda: self._store.end(self.job_id, self.attempt, ending))
        else:
            cause = "The server ends." if is_drained else str(said)
            event = self._patiently(
                lambda: self._store.release(
                    self.job_id, self.attempt, cause, self._attempts_count, is_death=not is_drained
                )
            )
        self._publish([event])

    def _patiently(self, write: Callable[[], T]) -> T:
        """Write, again and again while the database is away."""
        until = time.monotonic() + self._patience_seconds
        while True:
            try:
                return write()
            except Aborted:
                raise
            except Refusal:
                if time.monotonic() > until:
                    raise
                time.sleep(STORE_RETRY_SECONDS)

    def _tell(self, line: bytes) -> None:
        """Write to the worker's stdin; under the lock. A worker that is gone hears nothing."""
        stdin = None if self._process is None else self._process.stdin
        if stdin is None or stdin.closed:
            return
        with suppress(OSError):
            stdin.write(line)
            stdin.flush()

    def _kill(self) -> None:
        with self._lock:
            process = self._process
        if process is not None and process.returncode is None:
            _signal(process, signal.SIGKILL)

    def _reap(self) -> None:
        """Wait until the process is gone; it is killed when it does not leave by itself."""
        process = self._process
        if process is None:
            return
        try:
            process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            process.wait()
        with self._lock:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    with suppress(OSError):  # what was written to a worker that is gone
                        pipe.close()

    def _fields(self) -> dict[str, object]:
        return {"fields": {"job_id": self.job_id, "attempt": self.attempt}}


def _environment(threads_count: int) -> dict[str, str]:
    """The worker's: without this server's settings, which hold what it must not know."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MARKETML_")}
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
        str(threads_count),
    )
    ours = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (ours, kept.get("PYTHONPATH", "")) if part)
    return kept | threads | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": path}


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the worker and whatever it started; it leads a group of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _memory_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _death_of(status: int | None) -> str:
    if status is not None and status < 0:
        return f"The worker was killed by {signal.Signals(-status).name}."
    return f"The worker ended with status {status} without a last word."
