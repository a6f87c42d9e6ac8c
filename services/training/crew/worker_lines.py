"""The lines between a server and its worker process: one JSON object each, on the worker's stdin and stdout.

server → worker   the assignment, then perhaps {"stop": MODE}; the end of the stream ends the worker
worker → server   {"details": […], "changes": {…}} any number of times, then {"ending": {…}} once
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from services.training.jobs import NO_CHANGES, Changes, Ending, JobStage, JobState, StopMode, Tree


@dataclass(frozen=True)
class Assignment:
    """Everything a worker needs to know. `neighbours` is what `services.training.neighbours` reads;
    `checkpoint_folder` is this job's alone, holds what its earlier attempts left there, and goes when the job
    has ended; None keeps nothing. `processes_count` processes of its own fit what can be fitted at once, or
    the Dask cluster of `dask_scheduler`. `reproduces` is as for `Job`."""

    job_id: str
    attempt: int
    model_name: str
    config: Tree
    snapshot_id: str | None
    threads_count: int
    neighbours: Tree = field(default_factory=dict)
    checkpoint_folder: str | None = None
    processes_count: int = 1
    dask_scheduler: str | None = None
    reproduces: Tree | None = None


@dataclass(frozen=True)
class Report:
    """What happened since the last report: details of events, in order, and what they change on the job."""

    details: tuple[Tree, ...]
    changes: Changes = NO_CHANGES


class UnreadableLineError(ValueError):
    """A line that is none of these."""


def write_assignment(assignment: Assignment) -> bytes:
    return _line(asdict(assignment))


def read_assignment(line: bytes) -> Assignment:
    return Assignment(**json.loads(line))


def write_stop(mode: StopMode) -> bytes:
    return _line({"stop": mode})


def read_stop(line: bytes) -> StopMode:
    return StopMode(json.loads(line)["stop"])


def write_report(details: Sequence[Tree], changes: Changes) -> bytes:
    given = {name: value for name, value in asdict(changes).items() if value is not None}
    return _line({"details": list(details), "changes": given})


def write_ending(ending: Ending) -> bytes:
    return _line({"ending": asdict(ending)})


def read_worker_line(line: bytes) -> Report | Ending:
    """What a worker wrote.

    Raises
    ------
    UnreadableLineError
    """
    try:
        found = json.loads(line)
        if "ending" in found:
            ending = found["ending"]
            return Ending(**ending | {"state": JobState(ending["state"])})
        changes = found["changes"]
        if "stage" in changes:
            changes["stage"] = JobStage(changes["stage"])
        return Report(tuple(found["details"]), Changes(**changes))
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableLineError(f"{len(line)} bytes are no line of a worker: {error}.") from error


def _line(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, separators=(",", ":"), allow_nan=False).encode() + b"\n"
