"""Requests for the logs of a job, and their answers, read and written."""

from __future__ import annotations

from collections.abc import Sequence

from marketml.rpc.refusals import InvalidArgument, Violation
from marketml.training.v1 import training_pb2 as pb
from services.training.jobs import LogLine
from services.training.wire import read_job_id


def read_logs(request: pb.ReadTrainingLogsRequest) -> tuple[str, int | None, int]:
    """The job, the attempt if only one is wanted, and the last line already seen."""
    found: list[Violation] = []
    try:
        read_job_id(request.job_id)
    except InvalidArgument as refusal:
        found += refusal.violations
    attempt = request.attempt if request.HasField("attempt") else None
    if attempt is not None and attempt < 1:
        found.append(Violation("attempt", "range", f"must be 1 or more, is {attempt}."))
    if request.after_line < 0:
        found.append(Violation("after_line", "range", f"must be 0 or more, is {request.after_line}."))
    if found:
        raise InvalidArgument(found)
    return request.job_id, attempt, request.after_line


def write_logs(lines: Sequence[LogLine]) -> pb.ReadTrainingLogsResponse:
    response = pb.ReadTrainingLogsResponse()
    for each in lines:
        entry = each.entry
        written = response.entries.add(
            line=each.line,
            attempt=each.attempt,
            level=entry.level,
            logger=entry.logger,
            message=entry.message,
        )
        written.time.FromMicroseconds(entry.time_us)
    return response
