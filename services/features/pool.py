"""Local processes that compute pieces: started fresh, told by lines, they read the bars from one shared file.

A worker is started by the thread that talks to it, at that thread's first piece, and dies with it. What a
worker finds comes back as bytes on its pipe. A piece whose worker died is done again by a new one, once.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from marketml.rpc.refusals import ResourceExhausted, Unavailable
from services.features.cache_file import is_left_over
from services.features.columns import Floats
from services.features.pieces import Inputs, Piece, written_piece
from services.host.children import child_environment

BARS_SUFFIX = ".bars"
BAR_NUMBERS = "bar_number"  # a column of the shared file; no frame column is called so
WORKER = (sys.executable, "-m", "services.features.worker")
TRIES = 2


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
        self._workers: set[_Worker] = set()
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
            try:
                return worker.compute(task)
            except _WorkerDiedError:
                worker.kill()
                with self._lock:
                    self._workers.discard(worker)
                self._mine.worker = None
                if self._is_closing:
                    raise CancelledError from None
        raise Unavailable("The processes that compute features died: send the same request again.")

    def _worker(self) -> _Worker:
        worker: _Worker | None = getattr(self._mine, "worker", None)
        if worker is None:
            try:
                worker = _Worker(self._command)
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


class _WorkerDiedError(Exception):
    """The worker ended in the middle of a task."""


class _Worker:
    """One process and the pipes to it."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(1),
            start_new_session=True,  # a Ctrl-C in the server's terminal is the server's business
        )
        self._number = 0
        self._telling = threading.Lock()
        self.pid = self._process.pid

    def compute(self, task: Task) -> Floats:
        """Have a task done.

        Raises
        ------
        CancelledError
            It was cancelled.
        """
        self._number += 1
        number, piece = self._number, task.piece
        self._tell({"compute": number, "path": str(task.path)} | written_piece(piece))
        task.begin(lambda: self._tell({"cancel": number}))
        try:
            answer = self._answer()
            if "error" in answer:
                raise RuntimeError(f"A worker failed: {answer['error']}")  # its log has the rest
            if "cancelled" in answer:
                raise CancelledError
            values = np.empty((len(piece.rolling.names), piece.stop - piece.start))
            self._read_into(values.data.cast("B"))
            return values
        finally:
            task.end()

    def kill(self) -> None:
        """End the process, and wait for it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _tell(self, said: dict[str, Any]) -> None:
        """A line to the worker; one that is gone hears nothing."""
        assert self._process.stdin is not None
        with self._telling, suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(said).encode() + b"\n")
            self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            line = self._process.stdout.readline()
        except (OSError, ValueError):
            raise _WorkerDiedError from None
        if not line.endswith(b"\n"):
            raise _WorkerDiedError
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _read_into(self, view: memoryview) -> None:
        reader: Any = self._process.stdout
        done = 0
        while done < len(view):
            try:
                count = reader.readinto(view[done:])
            except (OSError, ValueError):
                raise _WorkerDiedError from None
            if not count:
                raise _WorkerDiedError
            done += count


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
