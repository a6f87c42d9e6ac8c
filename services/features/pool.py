"""Local processes that compute pieces: started fresh, told by lines, they read the bars from one shared file.

A worker is started by the thread that talks to it, at that thread's first piece, and dies with it. What a
worker finds comes back as bytes on its pipe. A piece whose worker died is done again by a new one, once.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa

from marketml.rpc.refusals import ResourceExhausted, Unavailable
from services.features.cache_file import is_left_over
from services.features.columns import Floats
from services.features.pieces import Inputs, Piece, written_piece
from services.host.children import TRIES, Child

BARS_SUFFIX = ".bars"
BAR_NUMBERS = "bar_number"  # a column of the shared file; no frame column is called so
WORKER = (sys.executable, "-m", "services.features.worker")


class LocalPool:
    """At most `processes_count` processes of this machine.

    Parameters
    ----------
    folder
        Where the files are that workers read. Other processes may use the same.
    command
        Starts a worker.
    """

    def __init__(self, folder: Path, processes_count: int, command: tuple[str, ...] = WORKER) -> None:
        self._folder = folder
        self._command = command
        self._executor = ThreadPoolExecutor(processes_count, thread_name_prefix="feature-worker")
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._workers: set[Child] = set()
        self._numbers = itertools.count(1)
        self._is_closing = False
        with suppress(OSError):
            for path in folder.glob(f"*{BARS_SUFFIX}"):
                if is_left_over(path):
                    path.unlink(missing_ok=True)

    @contextmanager
    def opened(self, inputs: Callable[[], Inputs]) -> Iterator[LocalWork]:
        """Work on these inputs; what runs when it is left stops."""
        work = LocalWork(self, self._folder, inputs)
        try:
            yield work
        finally:
            work.cancel()

    def shutdown(self) -> None:
        """Kill the workers."""
        with self._lock:
            self._is_closing = True
            workers = list(self._workers)
        self._executor.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()
        self._executor.shutdown(wait=True)

    def workers_pids(self) -> list[int]:
        """The workers that there are."""
        with self._lock:
            return [worker.pid for worker in self._workers]

    def run(self, task: Task) -> Future[Floats]:
        """Have a task run when a thread is free.

        Raises
        ------
        Unavailable
            The pool is shut down.
        """
        try:
            return self._executor.submit(self._run, task)
        except RuntimeError:
            raise Unavailable("This server ends: send the same request again.") from None

    def _run(self, task: Task) -> Floats:
        for _ in range(TRIES):
            if task.is_cancelled:
                raise CancelledError
            worker = self._worker()
            values = _computed(task, next(self._numbers), worker)
            if values is not None:
                return values
            end = worker.kill()
            with self._lock:
                self._workers.discard(worker)
            self._mine.worker = None
            if self._is_closing:
                raise CancelledError
        raise Unavailable(
            f"{TRIES} processes that computed features died, the last one {end.words}: send the same request "
            "again."
        )

    def _worker(self) -> Child:
        worker: Child | None = getattr(self._mine, "worker", None)
        if worker is None:
            try:
                worker = Child(self._command, 1, leads_group=True)
            except OSError as error:
                raise Unavailable(f"No process for features could be started: {error.strerror}.") from None
            self._mine.worker = worker
            with self._lock:
                self._workers.add(worker)
                is_late = self._is_closing
            if is_late:
                worker.kill()
        return worker


class LocalWork:
    """Pieces of one call. `submit` and `cancel` are called by one thread at a time."""

    def __init__(self, pool: LocalPool, folder: Path, inputs: Callable[[], Inputs]) -> None:
        self._pool = pool
        self._path = folder / f"{uuid4().hex}{BARS_SUFFIX}"
        self._inputs = inputs
        self._descriptor: int | None = None
        self._tasks: list[tuple[Task, Future[Floats]]] = []

    def submit(self, piece: Piece) -> Future[Floats]:
        """Have a piece computed.

        Raises
        ------
        ResourceExhausted
            The disk does not hold what the workers read.
        """
        if self._descriptor is None:
            try:
                self._descriptor = _shared(self._path, self._inputs())
            except OSError as error:
                raise ResourceExhausted(
                    "disk", f"The bars could not be written for the workers: {error.strerror}."
                ) from None
        task = Task(self._path, piece)
        future = self._pool.run(task)
        self._tasks = [(each, running) for each, running in self._tasks if not running.done()]
        self._tasks.append((task, future))
        return future

    def check(self) -> None:
        """A worker that is gone is told by its piece."""

    def cancel(self) -> None:
        """Stop what waits and what runs, and remove the file."""
        for task, future in self._tasks:
            future.cancel()
            task.cancel()
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


class Task:
    """A piece on its way through a thread and a worker."""

    def __init__(self, path: Path, piece: Piece) -> None:
        self.path = path
        self.piece = piece
        self.is_cancelled = False
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None

    def begin(self, stop: Callable[[], None]) -> None:
        """It runs where `stop` stops it."""
        with self._lock:
            self._stop = stop
            if self.is_cancelled:
                stop()

    def end(self) -> None:
        """It does not run any more."""
        with self._lock:
            self._stop = None

    def cancel(self) -> None:
        """Nobody wants it any more."""
        with self._lock:
            self.is_cancelled = True
            if self._stop is not None:
                self._stop()


def _computed(task: Task, number: int, worker: Child) -> Floats | None:
    """What a worker finds; None if it died.

    Raises
    ------
    CancelledError
        The task was cancelled.
    """
    piece = task.piece
    worker.tell({"task": number, "path": str(task.path)} | written_piece(piece))
    task.begin(lambda: worker.tell({"word": "cancel", "of": number}))
    try:
        heard = worker.hear()
    finally:
        task.end()
    if heard is None:
        return None
    said, content = heard
    if "error" in said:
        raise RuntimeError(f"A worker failed: {said['error']}")  # its log has the rest
    if "cancelled" in said:
        raise CancelledError
    return np.frombuffer(content).reshape(len(piece.rolling.names), piece.stop - piece.start)


def _shared(path: Path, inputs: Inputs) -> int:
    """Write what the workers read as an Arrow file; its descriptor, locked while the file is needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        arrays = {name: pa.array(values) for name, values in inputs.columns.items()}
        batch = pa.record_batch(arrays | {BAR_NUMBERS: pa.array(inputs.bar_numbers)})
        with os.fdopen(os.dup(descriptor), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
    except OSError:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return descriptor
