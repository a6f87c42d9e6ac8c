"""The supervisor: takes waiting jobs, keeps their leases, and sees that limits and stops are obeyed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from marketml.rpc.refusals import Aborted, InvalidArgument, Refusal
from services.host.logs import problems
from services.training.crew.attendant import Attendant
from services.training.crew.checkpoint_folders import CheckpointFolders
from services.training.crew.worker_lines import Assignment
from services.training.jobs import Death, Event, Job, StopMode, Tree, failed
from services.training.store import Store

TICK_SECONDS = 0.25
POLL_SECONDS = 2.0  # for jobs that another server of the same database queued or stopped
SWEEP_SECONDS = 3600.0
LOGS_SECONDS = 1.0
JOIN_SECONDS = 15.0


@dataclass(frozen=True)
class Crew:
    """How workers are run: their command, how many at once, threads of each, tries a job has, the lease, what
    a worker is told of the neighbours, how long an answered request is remembered, where workers keep what
    they have done, how long what they logged is kept after a job's end, and where they fit what can be fitted
    at once: in processes of their own, or on a cluster."""

    command: tuple[str, ...]
    jobs_count: int
    threads_count: int
    attempts_count: int
    lease_seconds: float
    neighbours: Tree
    retention_seconds: float
    checkpoints: CheckpointFolders
    log_retention_seconds: float
    processes_count: int = 1
    dask_scheduler: str | None = None


class Supervisor:
    """One thread beside the attendants. `start` and `close` bracket its life.

    Parameters
    ----------
    publish
        Takes events after they are stored, in order for each job.
    """

    def __init__(self, store: Store, crew: Crew, publish: Callable[[Sequence[Event]], None]) -> None:
        self._store = store
        self._crew = crew
        self._publish = publish
        self._lock = threading.Lock()
        self._attendants: list[Attendant] = []
        self._woken = threading.Event()
        self._is_closing = False
        self._next_poll = 0.0
        self._next_renewal = 0.0
        self._next_sweep = 0.0
        self._next_logs = 0.0
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Give jobs free whose server is gone, and begin to take jobs."""
        self._give_back_abandoned(all_held=self._store.is_alone)
        self._thread.start()

    def tell(self, events: Sequence[Event]) -> None:
        """Pass on events that are stored; what a job kept goes when it has ended."""
        self._publish(events)
        for event in events:
            if event.is_last:
                try:
                    self._crew.checkpoints.remove(event.job_id)
                except OSError as error:
                    problems.warning("Checkpoints stay until the next sweep: %s.", error.strerror)

    def wake(self) -> None:
        """A job was queued."""
        self._next_poll = 0.0
        self._woken.set()

    def stop(self, job_id: str, mode: StopMode) -> None:
        """A job was told to stop. Another server's job is found by its renewal."""
        with self._lock:
            attendants = [each for each in self._attendants if each.job_id == job_id]
        for attendant in attendants:
            attendant.stop(mode)

    def workers_count(self) -> int:
        """Workers that have a job."""
        with self._lock:
            return sum(not each.is_over for each in self._attendants)

    def close(self) -> None:
        """End the workers; their jobs wait for the next server."""
        self._is_closing = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)
        with self._lock:
            attendants = list(self._attendants)
        for attendant in attendants:
            attendant.drain()
        for attendant in attendants:
            attendant.join(JOIN_SECONDS)

    def _run(self) -> None:
        while not self._is_closing:
            try:
                self._tick()
            except Refusal as refusal:
                problems.warning("The supervisor will try again: %s", refusal)
            except Exception:
                problems.exception("The supervisor will try again.")
            self._woken.wait(TICK_SECONDS)
            self._woken.clear()

    def _tick(self) -> None:
        with self._lock:
            self._attendants = [each for each in self._attendants if not each.is_over]
            attendants = list(self._attendants)
        for attendant in attendants:
            attendant.watch()
        now = time.monotonic()
        if now >= self._next_logs:
            self._next_logs = now + LOGS_SECONDS
            for attendant in attendants:
                attendant.log.flush()
        if now >= self._next_renewal:
            self._next_renewal = now + self._crew.lease_seconds / 3
            self._renew(attendants)
            self._give_back_abandoned(all_held=False)
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            self._sweep()
        if now >= self._next_poll:
            self._next_poll = now + POLL_SECONDS
            self._claim()

    def _sweep(self) -> None:
        self._store.sweep(self._crew.retention_seconds)
        self._store.logs.sweep(self._crew.log_retention_seconds)
        try:
            self._crew.checkpoints.sweep(self._store.ended)
        except OSError as error:
            problems.warning("Checkpoints stay until the next sweep: %s.", error.strerror)

    def _renew(self, attendants: Sequence[Attendant]) -> None:
        for attendant in attendants:
            try:
                mode = self._store.renew(
                    attendant.job_id, attendant.attempt, self._crew.lease_seconds, attendant.used()
                )
            except Aborted:
                if not attendant.is_over:
                    attendant.fence()
            else:
                if mode is not None:
                    attendant.stop(mode)

    def _give_back_abandoned(self, *, all_held: bool) -> None:
        for job in self._store.abandoned(all_held=all_held):
            death = Death("The server that had it is gone.")
            try:
                event = self._store.release(job.job_id, job.attempt, death, self._crew.attempts_count)
            except Aborted:
                continue
            self.tell([event])

    def _claim(self) -> None:
        while len(self._attendants) < self._crew.jobs_count and not self._is_closing:
            claimed = self._store.claim(self._crew.lease_seconds)
            if claimed is None:
                return
            job, event = claimed
            self.tell([event])
            self._begin(job)

    def _begin(self, job: Job) -> None:
        assignment = Assignment(
            job_id=job.job_id,
            attempt=job.attempt,
            model_name=job.model_name,
            config=job.config,
            snapshot_id=job.snapshot_id,
            threads_count=self._crew.threads_count,
            neighbours=self._crew.neighbours,
            checkpoint_folder=self._open_folder(job),
            processes_count=self._crew.processes_count,
            dask_scheduler=self._crew.dask_scheduler,
            reproduces=job.reproduces,
        )
        try:
            attendant = Attendant(
                self._store,
                job,
                assignment,
                self._crew.command,
                publish=self.tell,
                on_end=self.wake,
                attempts_count=self._crew.attempts_count,
                patience_seconds=self._crew.lease_seconds,
            )
        except InvalidArgument as refusal:  # a job that waited through an update of this room
            ending = failed("INVALID_ARGUMENT", str(refusal.reason), refusal.message)
            self.tell([self._store.end(job.job_id, job.attempt, ending)])
            return
        with self._lock:
            self._attendants.append(attendant)
        attendant.start()
        # A stop that came between the claim and the line above found no attendant.
        mode = self._store.get(job.job_id).stop_mode
        if mode is not None:
            attendant.stop(mode)

    def _open_folder(self, job: Job) -> str | None:
        """Where the job keeps what it has done. It runs without when there is no place, and says so."""
        try:
            return str(self._crew.checkpoints.open(job.job_id))
        except OSError as error:
            message = f"This attempt keeps no checkpoint: its folder cannot be made: {error.strerror}."
        detail = json.dumps({"warning": {"message": message}})
        with suppress(Refusal):  # a database that is away, or an attempt that is over, is noticed elsewhere
            self.tell(self._store.record(job.job_id, job.attempt, [detail]))
        return None
