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
from functools import partial
from typing import TypeVar

import psutil

from marketml.rpc.refusals import Aborted, Reason, Refusal
from services.host.children import child_environment
from services.host.deaths import memory_kills_count
from services.host.logs import problems
from services.training.crew.resource_meter import ResourceMeter
from services.training.crew.worker_deaths import death_of
from services.training.crew.worker_lines import (
    Assignment,
    Report,
    UnreadableLineError,
    read_worker_line,
    write_assignment,
    write_stop,
)
from services.training.crew.worker_log import WorkerLog
from services.training.job_plan import read_plan
from services.training.jobs import Death, Ending, Event, Job, JobStage, Resources, StopMode, failed
from services.training.store import Store

T = TypeVar("T")

# A worker told to discard leaves by itself, then by SIGTERM, then by SIGKILL; one that still starts does not
# listen yet, and gets SIGTERM at once. One whose bundle is on its way to the registry gets longer: it may
# still learn whether it is done.
TERMINATE_AFTER_SECONDS, REGISTER_SECONDS = 1.0, 4.0
KILL_AFTER_SECONDS = 1.5  # since SIGTERM; at once for one that registers
LEAVE_SECONDS = 5.0  # between a worker's last word and its end
LOG_SECONDS = 2.0  # between a worker's end and that of its log, which a process that got away may hold open
STORE_RETRY_SECONDS = 0.5
LOOK_SECONDS = 1.0  # between looks at a worker without a bound on its memory; with one, at every watch


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
        self._meter = ResourceMeter(job.resources)
        self.log = WorkerLog(partial(store.logs.append, job.job_id, job.attempt))
        self._log_thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = time.monotonic()
        self._next_look = self._begun
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

    def used(self) -> Resources | None:
        """What the workers of the job took until now, if that is known."""
        return self._meter.used()

    def watch(self) -> None:
        """Look what the worker takes, enforce the budget and the deadline of a stop; called a few times a
        second."""
        with self._lock:
            process, since = self._process, self._discard_since
            if process is None or process.returncode is not None:
                return
            bytes_now = self._look(process.pid)  # under the lock: nobody has waited for it yet
        if since is not None:
            waited = time.monotonic() - since
            registers = self._stage is JobStage.REGISTER
            if waited > (REGISTER_SECONDS if registers else TERMINATE_AFTER_SECONDS + KILL_AFTER_SECONDS):
                self._kill()
            elif self._stage is None or (waited > TERMINATE_AFTER_SECONDS and not registers):
                _signal(process, signal.SIGTERM)
            return
        elapsed = time.monotonic() - self._begun
        if elapsed > self._max_seconds:
            self._give_up("max_duration", f"ran longer than {self._max_seconds:g} s")
        elif self._max_bytes is not None and bytes_now > self._max_bytes:
            self._give_up("max_memory_bytes", f"used {bytes_now:,} of {self._max_bytes:,} bytes")

    def _look(self, pid: int) -> int:
        """The bytes that the worker has now; 0 where no bound asks for them and the last look is not old,
        for a look takes time that the server's answers wait for."""
        now = time.monotonic()
        if self._max_bytes is None and now < self._next_look:
            return 0
        self._next_look = now + LOOK_SECONDS
        return self._meter.look(pid)

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

    def _attend(self) -> Ending | Death:
        """Start the worker and store what it tells until it ends; its last word, or how it died."""
        kills = memory_kills_count()
        process = self._spawn()
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = read_worker_line(line)
                if isinstance(said, Ending) or not self._meter.peak_bytes:
                    self._meter.look(process.pid)
                if isinstance(said, Ending):
                    return said
                self._record(said)
        except UnreadableLineError as error:
            self._kill()
            return Death(f"The worker wrote nonsense: {error}")
        self._reap()
        return death_of(process.returncode, (kills, memory_kills_count()), self._meter.peak_bytes)

    def _spawn(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(self._assignment.threads_count),
            start_new_session=True,  # a Ctrl-C in the server's terminal is the server's business
        )
        assert process.stderr is not None
        reads = partial(self.log.read, process.stderr)
        self._log_thread = threading.Thread(target=reads, name=f"log-{self.job_id[:8]}", daemon=True)
        self._log_thread.start()
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

    def _conclude(self, said: Ending | Death) -> None:
        """Move the job to where the worker's end leaves it, once the process is gone."""
        self._reap()
        self.log.flush()
        with self._lock:
            verdict, is_drained = self._verdict, self._is_drained
        used = self._meter.used()
        if isinstance(said, Death) and verdict is not None:
            said = verdict
        if isinstance(said, Ending):
            ending = said
            event = self._patiently(lambda: self._store.end(self.job_id, self.attempt, ending, used))
        else:
            death = Death("The server ends.", counts=False) if is_drained else said
            event = self._patiently(
                lambda: self._store.release(self.job_id, self.attempt, death, self._attempts_count, used)
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
        if process.returncode is None:
            if not _ends(process.pid, LEAVE_SECONDS):
                self._kill()
                _ends(process.pid, None)
            _signal(process, signal.SIGKILL)  # what it left behind
            with self._lock:
                self._meter.look(process.pid)  # once more, for a dead process keeps its times
                process.wait()
        if self._log_thread is not None:
            self._log_thread.join(LOG_SECONDS)
        with self._lock:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    with suppress(OSError):  # what was written to a worker that is gone
                        pipe.close()

    def _fields(self) -> dict[str, object]:
        return {"fields": {"job_id": self.job_id, "attempt": self.attempt}}


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the worker and whatever it started; it leads a group of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _ends(pid: int, seconds: float | None) -> bool:
    """Wait until a process has ended, without taking its status: until then nobody else gets its number."""
    until, pause = None if seconds is None else time.monotonic() + seconds, 0.001
    while psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
        if until is not None and time.monotonic() > until:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    return True
