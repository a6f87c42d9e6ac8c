"""Units on a Dask cluster: tasks and outcomes as bytes, each matrix sent to the workers once.

The cluster's machines have this package installed. A worker that dies is Dask's business: it has the unit
fitted elsewhere, and gives up after a few deaths. What went with its workers or its scheduler is sent again.
"""

from __future__ import annotations

import queue
import time
import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import dask
import distributed

from marketml.rpc.refusals import Aborted, Reason, Unavailable
from services.host.cluster_events import is_set
from services.training.learners.fitting import Matrix
from services.training.workshop.fit_answers import Withdrawn, answer, read_answer
from services.training.workshop.together import Fit, Round
from services.training.workshop.unit_files import write_task
from services.training.workshop.units import FitTask

# The library says nothing of its types.
_dask: Any = distributed
_config: Any = dask
CONNECT_SECONDS = 5.0
LOOK_SECONDS = 0.25  # between looks of a task at what is said to it
TELL_SECONDS = 0.1  # between rounds that a task tells
COUNT_SECONDS = 5.0  # between counts of the workers
SENDS = 4  # of a unit that was lost with its scheduler, or whose matrix was lost with its workers
TOPIC = "marketml-training-rounds"
_LOST = (OSError, CancelledError, _dask.client.ClosedClientError)


class DaskPool:
    """The workers of one scheduler. It connects when the first unit is sent.

    Parameters
    ----------
    patience_seconds
        How long a run waits for a scheduler that does not answer or has no workers. One that comes back knows
        of nothing: what it had is sent again.
    """

    def __init__(self, address: str, patience_seconds: float = 0.0) -> None:
        self.patience_seconds = patience_seconds
        self._address = address
        self._client: Any = None
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
        if self._client is not None:
            with suppress(*_LOST, RuntimeError):
                self._client.close(timeout=CONNECT_SECONDS)
            self._client = None

    def client(self) -> Any:
        """The connection, if it stands."""
        return self._client if self._client is not None and self._client.status == "running" else None

    def connected(self) -> Any:
        """The connection, made if there is none.

        Raises
        ------
        OSError
            There is none, or the last one still tries to come back.
        """
        if self._client is not None and self._client.status in ("closing", "closed"):
            self.close()
        if self._client is None:
            # Rows, classes and weights of a unit go with its task: a few bytes a row, and no mistake.
            _config.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"})
            try:
                self._client = _dask.Client(self._address, timeout=CONNECT_SECONDS, set_as_default=False)
            except ValueError as error:
                raise OSError(str(error)) from None
        if self._client.status != "running":
            raise OSError(f"The connection is {self._client.status}.")
        return self._client

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
        self._waiting: deque[_Unit] = deque()
        self._sent: dict[int, _Unit] = {}
        self._is_ended = False
        self._away_since: float | None = None
        self._width, self._counted_at = 1, float("-inf")

    @property
    def width(self) -> int:
        """As many as the workers have threads, each unit with one of them; as before while nobody answers."""
        client = self._pool.client()
        if client is not None and time.monotonic() - self._counted_at >= COUNT_SECONDS:
            with suppress(*_LOST):
                self._width = max(1, sum(client.nthreads().values()))
                self._counted_at = time.monotonic()
        return self._width

    def submit(self, ticket: int, task: FitTask) -> None:
        """Have a unit fitted.

        Raises
        ------
        Unavailable
            The cluster does not answer.
        """
        self._waiting.append(_Unit(ticket, replace(task, threads=1)))
        self._send_waiting()

    def drop(self, ticket: int) -> None:
        """Have a unit that was submitted not fitted: nothing more is heard of it."""
        self._waiting = deque(each for each in self._waiting if each.ticket != ticket)
        unit, client = self._sent.pop(ticket, None), self._pool.client()
        if unit is not None and client is not None:
            with suppress(*_LOST, RuntimeError):
                client.cancel([unit.remote], force=True)

    def end_early(self) -> None:
        """End what is fitted, and what is submitted from now on, with the rounds that it has."""
        self._is_ended = True
        client = self._pool.client()
        if client is not None:
            with suppress(*_LOST):  # a scheduler that comes back is told with what is sent again
                self._tell_end(client)

    def next(self, seconds: float) -> Round | Fit | None:
        """What happened next.

        Raises
        ------
        Refusal
            Why a unit cannot be fitted: `Unavailable` when the cluster is gone, `Aborted` when too many
            workers died with it.
        """
        self._send_waiting()
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
        running = [each.remote for each in self._sent.values()]
        self._sent = {}
        client = self._pool.client()
        if not running or client is None:
            return
        with suppress(*_LOST, RuntimeError):
            _dask.Event(f"{self.name}-withdraw", client=client).set()
            client.cancel(running, force=True)

    def _send_waiting(self) -> None:
        """Send what waits, if the cluster answers and has workers."""
        while self._waiting:
            try:
                self._send(self._pool.connected(), self._waiting[0])
            except _LOST:
                now = time.monotonic()
                self._away_since = self._away_since or now
                if now - self._away_since >= self._pool.patience_seconds:
                    raise _away() from None
                return
            self._waiting.popleft()
            self._away_since = None

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
            raise _away()
        self._waiting.append(replace(unit, tries=unit.tries + 1, remote=None))

    def _fitted(self, unit: _Unit) -> Fit | None:
        try:
            fitted = read_answer(unit.remote.result())
        except _dask.KilledWorker:
            message = f"Too many workers of the cluster died that fitted {unit.task.key}."
            raise Aborted(message, Reason.WORKER_DIED) from None
        except _LOST:
            self._lose(unit)
            return None
        except Withdrawn:
            return None
        return Fit(unit.ticket, fitted.outcome, fitted.is_whole)


def fit_here(task: bytes, matrix: Matrix, run: str, ticket: int) -> bytes:
    """A unit, on a worker of the cluster."""
    worker = _dask.get_worker()
    mine = worker.get_current_task()
    looked_at = told_at = float("-inf")
    is_ended = False

    def on_round(number: int, loss: float | None) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= TELL_SECONDS:
            told_at = time.monotonic()
            worker.log_event(TOPIC, {"run": run, "ticket": ticket, "number": number, "loss": loss})

    def check() -> bool:
        nonlocal looked_at, is_ended
        if time.monotonic() - looked_at >= LOOK_SECONDS:
            looked_at = time.monotonic()
            state = worker.state.tasks.get(mine)  # cancelled when who wants it is gone without a word
            if state is None or state.state == "cancelled" or is_set(f"{run}-withdraw"):
                raise Withdrawn
            is_ended = is_set(f"{run}-end")
        return is_ended

    return answer(task, lambda: matrix, on_round, check)


def _away() -> Unavailable:
    return Unavailable("The cluster that fits models does not answer, or has no workers.")
