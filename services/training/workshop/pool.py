"""Fitters of this machine: processes started fresh that fit units for a worker, and die with it.

A task goes to a fitter as bytes on its pipe, and what comes of it comes back so. Its matrix goes through one
file that the fitters map into memory, however many tasks take it. A task whose fitter died is fitted again by
a new one, once.
"""

from __future__ import annotations

import queue
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from marketml.rpc.refusals import Aborted, Reason, ResourceExhausted
from services.host.children import TRIES, Child
from services.host.deaths import End
from services.training.learners.fitting import Matrix
from services.training.workshop.fit_answers import read_answer
from services.training.workshop.together import Fit, Round
from services.training.workshop.unit_files import write_task
from services.training.workshop.units import FitTask

FITTER = (sys.executable, "-m", "services.training.workshop.fitter")
MATRIX_SUFFIX = ".matrix"


class LocalPool:
    """`processes_count` fitters that share `threads_count` threads. They are started by the thread that
    submits, with `begin` or at the first units, and have to be: they die with it.

    Parameters
    ----------
    folder
        Where the matrices are; only this process has files of this kind there.
    command
        Starts a fitter.
    """

    def __init__(
        self, folder: Path, processes_count: int, threads_count: int, command: tuple[str, ...] = FITTER
    ) -> None:
        self.processes_count = processes_count
        self.threads_each = max(1, threads_count // processes_count)
        self._command = command
        self._matrices = Matrices(folder)
        self._numbers = 0
        self._fitters: list[_Fitter] = []

    @contextmanager
    def opened(self) -> Iterator[LocalWork]:
        """Fit the units of one run."""
        work = LocalWork(self)
        try:
            yield work
        finally:
            work.withdraw()

    def close(self) -> None:
        """Kill the fitters, and remove what they read."""
        for fitter in self._fitters:
            fitter.kill()
        self._fitters = []
        self._matrices.close()

    def pids(self) -> list[int]:
        """The fitters that there are."""
        return [fitter.pid for fitter in self._fitters]

    def begin(self) -> None:
        """Start the fitters before there are units: a second or two until they are ready is not waited for.

        Raises
        ------
        ResourceExhausted
            No process could be started.
        """
        while len(self._fitters) < self.processes_count:
            self._begin_one()

    def _begin_one(self) -> None:
        try:
            self._fitters.append(_Fitter(self._command, self.threads_each))
        except OSError as error:
            message = f"No process could be started that fits models: {error.strerror}."
            raise ResourceExhausted("processes", message) from None

    def place(self, task: FitTask) -> dict[str, Any]:
        """Where a fitter finds the matrix of a task."""
        return self._matrices.place(task.matrix)

    def number(self) -> int:
        """A number for a task; each is greater than those before."""
        self._numbers += 1
        return self._numbers

    def fitter(self) -> _Fitter:
        """The one with the least to do, started if there are not all yet."""
        for fitter in [each for each in self._fitters if each.is_dead and not each.tasks]:
            self.bury(fitter)
        if len(self._fitters) < self.processes_count and all(each.tasks for each in self._fitters):
            self._begin_one()
        return min(self._fitters, key=lambda each: (each.wanted_count(), len(each.tasks)))

    def bury(self, fitter: _Fitter) -> End:
        """Be done with a fitter that is dead; how it died."""
        if fitter in self._fitters:
            self._fitters.remove(fitter)
        return fitter.kill()


@dataclass
class _Ordered:
    """A task that a fitter has."""

    ticket: int
    task: FitTask
    said: queue.SimpleQueue[_Said]
    tries: int = 1
    is_wanted: bool = True


@dataclass(frozen=True, eq=False)
class _Said:
    """What a fitter said of a task: a round, its answer, or nothing more because it died."""

    number: int
    fitter: _Fitter
    round: Round | None = None
    answer: bytes | None = None


class LocalWork:
    """Units of one run; see `together.Work`."""

    def __init__(self, pool: LocalPool) -> None:
        self._pool = pool
        self._said: queue.SimpleQueue[_Said] = queue.SimpleQueue()
        self._running: dict[int, tuple[_Fitter, _Ordered]] = {}
        self._is_ended = False

    @property
    def width(self) -> int:
        return self._pool.processes_count

    def submit(self, ticket: int, task: FitTask) -> None:
        """Have a unit fitted.

        Raises
        ------
        ResourceExhausted
            The disk does not hold its matrix, or no process could be started.
        """
        self._order(_Ordered(ticket, replace(task, threads=self._pool.threads_each), self._said))

    def drop(self, ticket: int) -> None:
        """Have a unit that was submitted not fitted: nothing more is heard of it."""
        for number, (fitter, ordered) in tuple(self._running.items()):
            if ordered.ticket == ticket:
                del self._running[number]
                fitter.withdraw(number, ordered)

    def end_early(self) -> None:
        """End what is fitted, and what is submitted from now on, with the rounds that it has."""
        self._is_ended = True
        for number, (fitter, _) in self._running.items():
            fitter.tell({"word": "end", "of": number})

    def next(self, seconds: float) -> Round | Fit | None:
        """What happened next.

        Raises
        ------
        Refusal
            Why a unit cannot be fitted; `Aborted` when two fitters died with it, `ResourceExhausted` when the
            second one did for lack of memory.
        """
        try:
            said = self._said.get(timeout=seconds)
        except queue.Empty:
            return None
        if said.number not in self._running:
            return None
        if said.round is not None:
            return said.round
        _, ordered = self._running.pop(said.number)
        if said.answer is None:
            self._again(ordered, self._pool.bury(said.fitter))
            return None
        fit = read_answer(said.answer)
        return Fit(ordered.ticket, fit.outcome, fit.is_whole)

    def withdraw(self) -> None:
        """Have nothing more fitted."""
        for number, (fitter, ordered) in self._running.items():
            fitter.withdraw(number, ordered)
        self._running = {}

    def _order(self, ordered: _Ordered) -> None:
        place = self._pool.place(ordered.task)
        fitter, number = self._pool.fitter(), self._pool.number()
        self._running[number] = (fitter, ordered)
        fitter.fit(number, ordered, place)
        if self._is_ended:
            fitter.tell({"word": "end", "of": number})

    def _again(self, ordered: _Ordered, end: End) -> None:
        if ordered.tries == TRIES:
            message = f"{TRIES} processes that fitted {ordered.task.key} died; the last one {end.words}."
            if end.is_of_memory:
                raise ResourceExhausted("memory", message)
            raise Aborted(message, Reason.WORKER_DIED)
        ordered.tries += 1
        self._order(ordered)


class _Fitter:
    """A child, and a thread that hears what it says. It is in the worker's own group: who kills that kills
    its fitters."""

    def __init__(self, command: tuple[str, ...], threads_count: int) -> None:
        self._child = Child(command, threads_count, leads_group=False)
        self.pid, self.tell, self.kill = self._child.pid, self._child.tell, self._child.kill
        self.tasks: dict[int, _Ordered] = {}
        self._lock = threading.Lock()
        self.is_dead = False
        threading.Thread(target=self._listen, name=f"fitter-{self.pid}", daemon=True).start()

    def fit(self, number: int, ordered: _Ordered, place: dict[str, Any]) -> None:
        """Have a task fitted; what is said of it comes to its queue."""
        task = write_task(ordered.task)
        with self._lock:
            self.tasks[number] = ordered
            is_dead = self.is_dead
        if is_dead:
            self._drop()
        self.tell({"task": number, "matrix": place}, task)

    def withdraw(self, number: int, ordered: _Ordered) -> None:
        """Have a task not fitted, or no further: it is answered soon."""
        ordered.is_wanted = False
        self.tell({"word": "withdraw", "of": number})

    def wanted_count(self) -> int:
        """Tasks of whose answers somebody waits."""
        with self._lock:
            return sum(each.is_wanted for each in self.tasks.values())

    def _listen(self) -> None:
        while self._hear():
            pass
        with self._lock:
            self.is_dead = True
        self._drop()

    def _hear(self) -> bool:
        """Pass on one thing that the fitter says; False when it is gone. No task outlives this call here."""
        heard = self._child.hear()
        if heard is None:
            return False
        said, content = heard
        if "round" in said:
            number = said["round"]
            ordered = self.tasks[number]
            ordered.said.put(_Said(number, self, Round(ordered.ticket, said["number"], said["loss"])))
            return True
        with self._lock:
            ordered = self.tasks.pop(said["answer"])
        ordered.said.put(_Said(said["answer"], self, answer=content))
        return True

    def _drop(self) -> None:
        """Say of each task that it will not be answered."""
        with self._lock:
            tasks, self.tasks = self.tasks, {}
        for number, ordered in tasks.items():
            ordered.said.put(_Said(number, self))


@dataclass
class Matrices:
    """Matrices as files, each written once and there as long as its array is."""

    folder: Path
    _paths: dict[int, tuple[weakref.ref[Matrix], Path]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with suppress(OSError):
            for path in self.folder.glob(f"*{MATRIX_SUFFIX}"):  # of an attempt that was killed
                path.unlink(missing_ok=True)

    def place(self, matrix: Matrix) -> dict[str, Any]:
        """Path, dtype and shape of a matrix.

        Raises
        ------
        ResourceExhausted
            The disk does not hold it.
        """
        known = self._paths.get(id(matrix))
        if known is None or known[0]() is not matrix:
            known = self._paths[id(matrix)] = (weakref.ref(matrix), self._write(matrix))
            weakref.finalize(matrix, _unlink, known[1])
        return {"path": str(known[1]), "dtype": matrix.dtype.name, "shape": list(matrix.shape)}

    def close(self) -> None:
        """Remove the files."""
        for _, path in self._paths.values():
            _unlink(path)
        self._paths = {}

    def _write(self, matrix: Matrix) -> Path:
        path = self.folder / f"{uuid4().hex}{MATRIX_SUFFIX}"
        try:
            np.ascontiguousarray(matrix).tofile(path)
        except OSError as error:
            _unlink(path)
            message = f"The rows could not be written for the processes that fit: {error.strerror}."
            raise ResourceExhausted("disk", message, reason=Reason.DISK_FULL) from None
        return path


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
