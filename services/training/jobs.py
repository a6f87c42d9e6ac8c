"""Jobs: what a job is, which moves its state may make, and the events that tell of it.

Config, result, failure and event details are plain JSON objects with the field names of the contract, so that
the same text stands in the database, on the worker's pipe and in a manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from marketml.rpc.refusals import Reason, Violation

Tree: TypeAlias = dict[str, Any]
"""A message as JSON: field names of the contract, absent fields left out."""


class JobState(StrEnum):
    """The states, by their names in the contract."""

    QUEUED = "JOB_STATE_QUEUED"
    RUNNING = "JOB_STATE_RUNNING"
    STOPPING = "JOB_STATE_STOPPING"
    SUCCEEDED = "JOB_STATE_SUCCEEDED"
    FAILED = "JOB_STATE_FAILED"
    STOPPED = "JOB_STATE_STOPPED"


class JobStage(StrEnum):
    """The stages of a job, in order."""

    SNAPSHOT = "JOB_STAGE_SNAPSHOT"
    FEATURES = "JOB_STAGE_FEATURES"
    LABELS = "JOB_STAGE_LABELS"
    SEARCH = "JOB_STAGE_SEARCH"
    CROSS_VALIDATION = "JOB_STAGE_CROSS_VALIDATION"
    FINAL_FIT = "JOB_STAGE_FINAL_FIT"
    FINAL_TEST = "JOB_STAGE_FINAL_TEST"
    REGISTER = "JOB_STAGE_REGISTER"


class StopMode(StrEnum):
    """How a running job ends when told to."""

    KEEP_BEST = "STOP_MODE_KEEP_BEST"
    DISCARD = "STOP_MODE_DISCARD"


FINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED})
HELD_STATES = frozenset({JobState.RUNNING, JobState.STOPPING})
"""The states in which a worker process has the job."""

MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.STOPPED}),
    JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPING, JobState.QUEUED}),
    JobState.STOPPING: FINAL_STATES,
    **{state: frozenset() for state in FINAL_STATES},
}


@dataclass(frozen=True)
class Start:
    """A request to train as it was read: `body` is equal for equal requests, `broken` what is wrong."""

    request_id: str
    body: bytes
    model_name: str
    config: Tree
    broken: tuple[Violation, ...]
    priority: int = 0


@dataclass(frozen=True)
class Validated:
    """A config with every default filled in, the version of the defaults, what is wrong, what is unusual."""

    filled: Tree
    config_version: int
    violations: tuple[Violation, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """A job that is accepted and has no id yet; `config` has every default filled in. `reproduces` is as for
    `Job`."""

    model_name: str
    config: Tree
    config_version: int
    priority: int = 0
    reproduces: Tree | None = None


@dataclass(frozen=True)
class Resources:
    """What the workers of a job took together, over all its attempts; its waiting is in no `wall_seconds`."""

    cpu_seconds: float
    peak_memory_bytes: int
    wall_seconds: float


@dataclass(frozen=True)
class Job:
    """A job as it is stored. Times are microseconds since 1970 UTC by the database's clock.

    `attempt` counts how often a worker took it, and fences: a write that names another one is refused.
    `death_count` counts the workers that died with it. `reproduces` says which version of `model_name` is
    trained again (the fields of `reproducing.Origin`); such a job registers nothing.
    """

    job_id: str
    model_name: str
    state: JobState
    stage: JobStage | None
    attempt: int
    death_count: int
    fraction: float
    remaining_seconds: float | None
    create_time_us: int
    start_time_us: int | None
    end_time_us: int | None
    config: Tree
    config_version: int
    snapshot_id: str | None
    stop_mode: StopMode | None
    last_sequence: int
    result: Tree | None
    failure: Tree | None
    priority: int = 0
    resources: Resources | None = None
    reproduces: Tree | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in FINAL_STATES


@dataclass(frozen=True)
class Page:
    """Jobs, newest first, and where the next page begins, if there is one."""

    jobs: tuple[Job, ...]
    next_before: tuple[int, str] | None


@dataclass(frozen=True)
class Event:
    """An event as it is stored; `detail` is the JSON text of one branch of the contract's `Event.detail`.

    `is_last` marks the event of a final state, after which there is none.
    """

    job_id: str
    sequence: int
    attempt: int
    time_us: int
    detail: str
    is_last: bool


@dataclass(frozen=True)
class LogEntry:
    """What a worker logged or printed, as callers may read it; the time is microseconds since 1970 UTC."""

    time_us: int
    level: str
    logger: str
    message: str


@dataclass(frozen=True)
class LogLine:
    """An entry as it is stored: lines are numbered over all attempts of a job."""

    line: int
    attempt: int
    entry: LogEntry


@dataclass(frozen=True)
class Changes:
    """What a worker's events say about its job beside themselves; None leaves a field as it is."""

    stage: JobStage | None = None
    fraction: float | None = None
    remaining_seconds: float | None = None
    snapshot_id: str | None = None


NO_CHANGES = Changes()


@dataclass(frozen=True)
class Ending:
    """How a job's worker says that it ended."""

    state: JobState
    cause: str
    result: Tree | None = None
    failure: Tree | None = None


def failed(code: str, reason: str, message: str) -> Ending:
    """The ending of a job that failed: code of google.rpc, reason of the closed list, one sentence."""
    failure = {"code": code, "reason": reason, "message": message}
    return Ending(JobState.FAILED, message, failure=failure)


@dataclass(frozen=True)
class Death:
    """Why a worker is gone that said no last word.

    One that its own server ended in order does not count among a job's deaths. `is_of_memory` is set when the
    kernel counted a kill for lack of memory.
    """

    cause: str
    counts: bool = True
    is_of_memory: bool = False

    def ending(self, deaths: int, attempts_count: int) -> Ending:
        """How a job ends with which too many workers died, the last one like this."""
        message = f"{deaths} of {attempts_count} workers died; the last one: {self.cause}"
        if self.is_of_memory:
            return failed("RESOURCE_EXHAUSTED", str(Reason.LIMIT_EXCEEDED), message)
        return failed("ABORTED", str(Reason.WORKER_DIED), message)
