"""Clients that are killed around their StartTraining call, and how far the call was when they were."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from threading import Timer
from types import TracebackType
from typing import Self

from marketml.clients.training import TrainingClient
from marketml.training.v1 import training_pb2 as pb
from tests.support.programs import ROOT, dying_with_us

UNSENT, ARRIVED, STORED, ANSWERED = "unsent", "arrived", "stored", "answered"
BEYOND = 1.2  # a kill comes at most so many times later than the answer of a calm call


@dataclass(frozen=True)
class CallSeconds:
    """How long a client that nobody disturbs waits until its job is stored, and for its answer."""

    stored: float
    answered: float

    def draw(self, moments: random.Random) -> float:
        """A moment of a call: as often before the job is stored, until the answer, and shortly after."""
        edges = (0.0, self.stored, self.answered, BEYOND * self.answered)
        return moments.uniform(*moments.choice(list(pairwise(edges))))


@dataclass(frozen=True)
class KilledCall:
    """A call whose client was killed: its name in the rooms' logs, when, and what was answered before."""

    call_id: str
    time_ns: int
    answer: str | None

    def reached(self, job: pb.Job, logs: str) -> str:
        """How far it was, by the job that came of it and by what the rooms logged."""
        if self.answer is not None:
            return ANSWERED
        if job.create_time.ToNanoseconds() < self.time_ns:
            return STORED
        return ARRIVED if f'"{self.call_id}"' in logs else UNSENT


class StartingClient:
    """A client as a process, which has not called yet."""

    def __init__(self, target: str, request: pb.StartTrainingRequest, call_name: str) -> None:
        self.call_id = f"{request.request_id}.{call_name}"
        program = [sys.executable, "-m", "tests.training.starting_client", target, self.call_id]
        self._process = subprocess.Popen(
            [*dying_with_us("KILL"), *program],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._tell(request.SerializeToString().hex())

    def wait_ready(self) -> None:
        """Wait until it only has to be told to call."""
        assert self._stdout.readline() == "ready\n"

    def call(self) -> None:
        """Have it call; returns at once."""
        self._tell("call")

    def answer(self) -> str | None:
        """The job that it was answered; None when it died before."""
        return self._stdout.readline().strip() or None

    def kill(self) -> KilledCall:
        """SIGKILL, and wait for the end."""
        time_ns = time.time_ns()
        self._process.kill()
        self._process.wait()
        return KilledCall(self.call_id, time_ns, self.answer())

    def _tell(self, line: str) -> None:
        self._stdin.write(f"{line}\n")
        self._stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._stdout.close()


def start_calmly(target: str, request: pb.StartTrainingRequest) -> tuple[str, CallSeconds]:
    """Start a job by a client process that nobody kills: its id, and how long that took."""
    with StartingClient(target, request, "calm") as caller:
        caller.wait_ready()
        begun_ns = time.time_ns()
        caller.call()
        job_id = caller.answer()
        answered_ns = time.time_ns()
    assert job_id is not None
    with TrainingClient(target) as client:
        stored_ns = client.get_training(job_id).create_time.ToNanoseconds()
    return job_id, CallSeconds((stored_ns - begun_ns) / 1e9, (answered_ns - begun_ns) / 1e9)


def start_over_a_kill(
    target: str,
    request: pb.StartTrainingRequest,
    moment: float,
    other_kills: Sequence[tuple[float, Callable[[], object]]] = (),
    mend: Callable[[], None] = lambda: None,
) -> tuple[str, KilledCall]:
    """Have a client ask for a job and kill it; then have another one ask again, and see that both were
    answered the same.

    Parameters
    ----------
    moment
        Seconds from the call to the kill.
    other_kills
        Who else is killed, each after so many seconds.
    mend
        Done between the last kill and the second client's call.
    """
    killed: list[KilledCall] = []
    first, second = (StartingClient(target, request, name) for name in ("first", "second"))
    with first, second:
        first.wait_ready()
        second.wait_ready()
        kills = [Timer(moment, lambda: killed.append(first.kill()))]
        kills += [Timer(seconds, kill) for seconds, kill in other_kills]
        first.call()
        for each in kills:
            each.start()
        for each in kills:
            each.join()
        mend()
        second.call()
        job_id = second.answer()
    assert job_id is not None
    assert killed[0].answer in (None, job_id)
    return job_id, killed[0]


def written(found: Mapping[str, int]) -> str:
    """How often each outcome was found, as a line of a report says it."""
    return " ".join(f"{outcome} {count}" for outcome, count in sorted(found.items()) if count)
