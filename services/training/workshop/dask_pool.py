"""Units on a Dask cluster: tasks and outcomes as bytes, each matrix sent to the workers once."""

from __future__ import annotations

import queue
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import distributed

from marketml.rpc.refusals import Aborted, Reason
from services.host.cluster import (
    CONNECT_SECONDS,
    LOST,
    SENDS,
    Cluster,
    Outbox,
    TooManyDeaths,
    is_unwanted,
)
from services.training.learners.fitting import Matrix
from services.training.workshop.fit_answers import Withdrawn, answer, read_answer
from services.training.workshop.together import Fit, Round
from services.training.workshop.unit_files import write_task
from services.training.workshop.units import FitTask

_dask: Any = distributed  # the library says nothing of its types
LOOK_SECONDS = 0.25  # between looks of a task whether it is to end early
TELL_SECONDS = 0.1  # between rounds that a task tells
COUNT_SECONDS = 5.0  # between counts of the workers
TOPIC = "marketml-training-rounds"


class DaskPool:
    """The workers of one scheduler. A run waits `patience_seconds` for one that does not answer or has no
    workers, and goes on when it is back."""

    def __init__(self, address: str, patience_seconds: float = CONNECT_SECONDS) -> None:
        self.cluster = Cluster(address, patience_seconds)
        self._matrices: dict[int, tuple[weakref.ref[Matrix], Any]] = {}
        self._runs: dict[str, DaskWork] = {}

    @contextmanager
    def opened(self) -> Iterator[DaskWork]:
        """Fit the units of one run."""
        work = DaskWork(self)
        self._runs[work.name] = work
        try:
            yield work
        finally:
            del self._runs[work.name]
            work.withdraw()

    def close(self) -> None:
        """Close the connection; the cluster stays."""
        self._matrices = {}
        self.cluster.close()

    def listen(self, client: Any) -> None:
        """Have the scheduler pass on what tasks tell."""
        client.subscribe_topic(TOPIC, self._hear)

    def sent(self, client: Any, matrix: Matrix) -> Any:
        """The matrix on the workers, sent if it is not there yet or any more."""
        known = self._matrices.get(id(matrix))
        if known is not None and known[0]() is matrix and known[1].status == "finished":
            return known[1]
        remote = client.scatter(matrix, broadcast=True, hash=False)
        # No reference to the array is kept: what nobody takes any more leaves the workers.
        self._matrices = {number: each for number, each in self._matrices.items() if each[0]() is not None}
        self._matrices[id(matrix)] = (weakref.ref(matrix), remote)
        return remote

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        said = event[1]
        run = self._runs.get(said["run"])
        if run is not None:
            run.hear(Round(said["ticket"], said["number"], said["loss"]))


@dataclass(frozen=True, eq=False)
class _Unit:
    """A unit on its way: the cluster has it for the `tries`-th time, or is to have it."""

    ticket: int
    task: FitTask
    tries: int = 1
    remote: Any = None


class DaskWork:
    """Units of one run; see `together.Work`."""

    def __init__(self, pool: DaskPool) -> None:
        self._pool = pool
        self.name = f"marketml-training-{uuid4().hex}"
        self._said: queue.SimpleQueue[Round | int] = queue.SimpleQueue()
        self._outbox = Outbox(pool.cluster, self._send)
        self._sent: dict[int, _Unit] = {}
        self._is_ended = False
        self._width, self._counted_at = 1, float("-inf")

    @property
    def width(self) -> int:
        """As many as the workers have threads, each unit with one of them; as before while nobody answers."""
        if time.monotonic() - self._counted_at >= COUNT_SECONDS:
            with suppress(*LOST):
                self._width = max(1, sum(self._pool.cluster.client().nthreads().values()))
                self._counted_at = time.monotonic()
        return self._width

    def submit(self, ticket: int, task: FitTask) -> None:
        """Have a unit fitted.

        Raises
        ------
        Unavailable
            The cluster does not answer.
        """
        self._outbox.put(_Unit(ticket, replace(task, threads=1)))
        self._outbox.send()

    def drop(self, ticket: int) -> None:
        """Have a unit that was submitted not fitted: nothing more is heard of it."""
        self._outbox.waiting = deque(each for each in self._outbox.waiting if each.ticket != ticket)
        unit = self._sent.pop(ticket, None)
        if unit is not None:
            self._pool.cluster.cancel([unit.remote])

    def end_early(self) -> None:
        """End what is fitted, and what is submitted from now on, with the rounds that it has."""
        self._is_ended = True
        with suppress(*LOST):  # a scheduler that comes back is told with what is sent again
            self._tell_end(self._pool.cluster.client())

    def next(self, seconds: float) -> Round | Fit | None:
        """What happened next.

        Raises
        ------
        Refusal
            Why a unit cannot be fitted: `Unavailable` when the cluster is gone, `Aborted` when too many
            workers died with it.
        """
        self._outbox.send()
        try:
            said = self._said.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(said, Round):
            return said if said.ticket in self._sent else None
        unit = self._sent.pop(said, None)
        return None if unit is None else self._fitted(unit)

    def hear(self, said: Round) -> None:
        """Take what a worker of the cluster told; called from any thread."""
        self._said.put(said)

    def withdraw(self) -> None:
        """Have nothing more fitted."""
        self._pool.cluster.cancel([each.remote for each in self._sent.values()])
        self._sent = {}

    def _send(self, client: Any, unit: _Unit) -> None:
        self._pool.listen(client)  # each time: the scheduler may be another one, which knows of nothing
        if self._is_ended:
            self._tell_end(client)
        remote = client.submit(
            fit_here,
            write_task(unit.task),
            self._pool.sent(client, unit.task.matrix),
            self.name,
            unit.ticket,
            key=f"{unit.task.key}-{self.name}-{unit.tries}",
            pure=False,
        )
        self._sent[unit.ticket] = replace(unit, remote=remote)
        remote.add_done_callback(lambda _: self._said.put(unit.ticket))

    def _tell_end(self, client: Any) -> None:
        _dask.Event(f"{self.name}-end", client=client).set()

    def _lose(self, unit: _Unit) -> None:
        """Have a unit wait that the cluster has lost."""
        if unit.tries == SENDS:
            raise self._pool.cluster.away()
        self._outbox.put(replace(unit, tries=unit.tries + 1, remote=None))

    def _fitted(self, unit: _Unit) -> Fit | None:
        try:
            fitted = read_answer(unit.remote.result())
        except TooManyDeaths:
            message = f"Too many workers of the cluster died that fitted {unit.task.key}."
            raise Aborted(message, Reason.WORKER_DIED) from None
        except LOST:
            self._lose(unit)
            return None
        except Withdrawn:
            return None
        return Fit(unit.ticket, fitted.outcome, fitted.is_whole)


def fit_here(task: bytes, matrix: Matrix, run: str, ticket: int) -> bytes:
    """A unit, on a worker of the cluster."""
    worker = _dask.get_worker()
    looked_at = told_at = float("-inf")
    is_ended = False

    def on_round(number: int, loss: float | None) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= TELL_SECONDS:
            told_at = time.monotonic()
            worker.log_event(TOPIC, {"run": run, "ticket": ticket, "number": number, "loss": loss})

    def check() -> bool:
        nonlocal looked_at, is_ended
        if is_unwanted():
            raise Withdrawn
        if time.monotonic() - looked_at >= LOOK_SECONDS:
            looked_at = time.monotonic()
            is_ended = _is_set(f"{run}-end")
        return is_ended

    return answer(task, lambda: matrix, on_round, check)


def _is_set(event: str) -> bool:
    """Whether an event is set, asked over the connection of the worker that runs the task: a client would
    make another one first, which fails on a busy machine (`assert len(msg) == 1` of distributed 2026.8). Not
    while nobody answers."""
    worker = _dask.get_worker()
    try:
        return bool(_dask.sync(worker.loop, worker.scheduler.event_is_set, name=event))
    except OSError:
        return False
