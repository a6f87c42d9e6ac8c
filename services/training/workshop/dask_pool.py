"""Units on a Dask cluster: tasks and outcomes as bytes, each matrix sent to the workers once.

The cluster's machines have this package installed. A worker that dies is Dask's business: it has the unit
fitted elsewhere, and gives up after a few deaths. A matrix that went with its workers is sent again.
"""

from __future__ import annotations

import queue
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import dask
import distributed

from marketml.rpc.refusals import Aborted, Reason, Unavailable
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
SENDS = 4  # of a unit whose matrix was lost with its workers
TOPIC = "marketml-training-rounds"
_LOST = (OSError, TimeoutError)


class DaskPool:
    """The workers of one scheduler. It connects at the first run."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: Any = None
        self._matrices: dict[int, tuple[weakref.ref[Matrix], Any]] = {}
        self._runs: dict[str, DaskWork] = {}

    @contextmanager
    def opened(self) -> Iterator[DaskWork]:
        """Fit the units of one run.

        Raises
        ------
        Unavailable
            The scheduler does not answer.
        """
        work = DaskWork(self, self._connected())
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

    def sent(self, matrix: Matrix, *, again: bool) -> Any:
        """The matrix on the workers, sent if it is not there yet; `again` if it was lost."""
        known = self._matrices.get(id(matrix))
        if known is not None and known[0]() is matrix and not (again and known[1].status != "finished"):
            return known[1]
        remote = self._client.scatter(matrix, broadcast=True, hash=False)
        # No reference to the array is kept: what nobody takes any more leaves the workers.
        self._matrices = {number: each for number, each in self._matrices.items() if each[0]() is not None}
        self._matrices[id(matrix)] = (weakref.ref(matrix), remote)
        return remote

    def _connected(self) -> Any:
        if self._client is None:
            # Rows, classes and weights of a unit go with its task: a few bytes a row, and no mistake.
            _config.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"})
            try:
                self._client = _dask.Client(self._address, timeout=CONNECT_SECONDS, set_as_default=False)
                self._client.subscribe_topic(TOPIC, self._listen)
            except (OSError, TimeoutError, ValueError):
                raise _away() from None
        return self._client

    def _listen(self, event: tuple[float, dict[str, Any]]) -> None:
        said = event[1]
        run = self._runs.get(said["run"])
        if run is not None:
            run.hear(Round(said["ticket"], said["number"], said["loss"]))


@dataclass(frozen=True, eq=False)
class _Sent:
    """A unit that the cluster has."""

    ticket: int
    task: FitTask
    remote: Any
    tries: int


class DaskWork:
    """Units of one run; see `together.Work`."""

    def __init__(self, pool: DaskPool, client: Any) -> None:
        self._pool = pool
        self._client = client
        self.name = f"marketml-training-{uuid4().hex}"
        self._said: queue.SimpleQueue[Round | int] = queue.SimpleQueue()
        self._sent: dict[int, _Sent] = {}
        self._is_ended = False
        self._width, self._counted_at = 1, float("-inf")

    @property
    def width(self) -> int:
        """As many as the workers have threads, each unit with one of them."""
        if time.monotonic() - self._counted_at >= COUNT_SECONDS:
            self._counted_at = time.monotonic()
            workers = self._asked(self._client.nthreads)
            self._width = max(1, sum(workers.values()))
        return self._width

    def submit(self, ticket: int, task: FitTask) -> None:
        """Have a unit fitted.

        Raises
        ------
        Unavailable
            The cluster does not answer.
        """
        self._send(ticket, replace(task, threads=1), tries=1)

    def end_early(self) -> None:
        """End what is fitted, and what is submitted from now on, with the rounds that it has."""
        self._is_ended = True
        self._asked(_dask.Event(f"{self.name}-end", client=self._client).set)

    def next(self, seconds: float) -> Round | Fit | None:
        """What happened next.

        Raises
        ------
        Refusal
            Why a unit cannot be fitted: `Unavailable` when the cluster is gone, `Aborted` when too many
            workers died with it.
        """
        try:
            said = self._said.get(timeout=seconds)
        except queue.Empty:
            if self._client.status in ("closing", "closed"):
                raise _away() from None
            return None
        if isinstance(said, Round):
            return said if said.ticket in self._sent else None
        sent = self._sent.pop(said, None)
        return None if sent is None else self._fitted(sent)

    def hear(self, said: Round) -> None:
        """Take what a worker of the cluster told; called from any thread."""
        self._said.put(said)

    def withdraw(self) -> None:
        """Have nothing more fitted."""
        running = [each.remote for each in self._sent.values()]
        self._sent = {}
        if not running or self._client.status != "running":
            return
        with suppress(*_LOST, RuntimeError, CancelledError):
            _dask.Event(f"{self.name}-withdraw", client=self._client).set()
            self._client.cancel(running, force=True)

    def _send(self, ticket: int, task: FitTask, tries: int) -> None:
        matrix = self._asked(lambda: self._pool.sent(task.matrix, again=tries > 1))
        remote = self._asked(
            lambda: self._client.submit(
                fit_here,
                write_task(task),
                matrix,
                self.name,
                ticket,
                key=f"{task.key}-{self.name}-{tries}",
                pure=False,
            )
        )
        self._sent[ticket] = _Sent(ticket, task, remote, tries)
        remote.add_done_callback(lambda _: self._said.put(ticket))

    def _fitted(self, sent: _Sent) -> Fit | None:
        try:
            fitted = read_answer(sent.remote.result())
        except _dask.KilledWorker:
            message = f"Too many workers of the cluster died that fitted {sent.task.key}."
            raise Aborted(message, Reason.WORKER_DIED) from None
        except CancelledError:
            if sent.tries == SENDS or self._client.status != "running":
                raise _away() from None
            self._send(sent.ticket, sent.task, sent.tries + 1)
            return None
        except Withdrawn:
            return None
        except _LOST:
            raise _away() from None
        return Fit(sent.ticket, fitted.outcome, fitted.is_whole)

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except (*_LOST, CancelledError):
            raise _away() from None


def fit_here(task: bytes, matrix: Matrix, run: str, ticket: int) -> bytes:
    """A unit, on a worker of the cluster."""
    client, worker = _dask.get_client(), _dask.get_worker()
    withdrawn, ended = (_dask.Event(f"{run}-{word}", client=client) for word in ("withdraw", "end"))
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
            if state is None or state.state == "cancelled" or withdrawn.is_set():
                raise Withdrawn
            is_ended = ended.is_set()
        return is_ended

    return answer(task, lambda: matrix, on_round, check)


def _away() -> Unavailable:
    return Unavailable("The cluster that fits models does not answer, or has no workers.")
