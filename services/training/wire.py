"""Requests and answers of the training room, read and written."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from marketml.market.v1 import market_pb2
from marketml.rpc.refusals import InvalidArgument, Violation
from marketml.rpc.unknown_fields import unknown_fields
from marketml.training.v1 import training_pb2 as pb
from services.training.forecasting.planned import Planned
from services.training.jobs import Event, Job, JobState, Page, Start, StopMode, Tree, Validated
from services.training.reproducing import Verdict
from services.training.wire_trees import read_tree, write_tree

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 100, 1000
PRIORITY_MAX = 100
PAGE_BYTES_MAX = 3 * 1024 * 1024  # a message has 4 MiB
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True)
class PageRequest:
    """A request for a page, well formed."""

    state: JobState | None
    model_name: str
    before: tuple[int, str] | None
    count: int


def read_start(request: pb.StartTrainingRequest) -> Start:
    """A request to train. What is wrong with it goes on: the config may hold more."""
    words = "1 to 64 of a-z 0-9 . _ -, a letter or digit first"
    found = [
        *_broken("request_id", request.request_id, _REQUEST_ID, "1 to 128 of A-Z a-z 0-9 . _ : -"),
        *_broken("model_name", request.model_name, _MODEL_NAME, words),
    ]
    if not request.HasField("config"):
        raise InvalidArgument([*found, Violation("config", "required", "must be set.")])
    if not -PRIORITY_MAX <= request.priority <= PRIORITY_MAX:
        words = f"must be from {-PRIORITY_MAX} to {PRIORITY_MAX}, is {request.priority}."
        found.append(Violation("priority", "range", words))
    config, broken = _read_config(request.config)
    body = pb.StartTrainingRequest(
        model_name=request.model_name, config=request.config, priority=request.priority or None
    )
    return Start(
        request_id=request.request_id,
        body=body.SerializeToString(deterministic=True),
        model_name=request.model_name,
        config=config,
        broken=(*found, *broken),
        priority=request.priority,
    )


def read_config(request: pb.ValidateTrainingConfigRequest) -> tuple[Tree, list[Violation]]:
    """The config, and what of it means nothing."""
    if not request.HasField("config"):
        raise InvalidArgument.of("config", "required", "must be set.")
    return _read_config(request.config)


def read_job_id(job_id: str) -> str:
    _raise(_broken("job_id", job_id, _JOB_ID, "32 lower-case hexadecimal digits"))
    return job_id


def read_watch(request: pb.WatchTrainingRequest) -> tuple[str, int]:
    found = _broken("job_id", request.job_id, _JOB_ID, "32 lower-case hexadecimal digits")
    if request.after_sequence < 0:
        words = f"must be 0 or more, is {request.after_sequence}."
        found.append(Violation("after_sequence", "range", words))
    _raise(found)
    return request.job_id, request.after_sequence


def read_stop(request: pb.StopTrainingRequest) -> tuple[str, StopMode]:
    found = _broken("job_id", request.job_id, _JOB_ID, "32 lower-case hexadecimal digits")
    known = pb.StopMode.DESCRIPTOR.values_by_number.get(request.mode)
    if request.mode == pb.STOP_MODE_UNSPECIFIED or known is None:
        rule = "unknown" if request.mode else "required"
        words = f"must be {' or '.join(StopMode)}, is {known.name if known else request.mode}."
        found.append(Violation("mode", rule, words))
    _raise(found)
    return request.job_id, StopMode(pb.StopMode.Name(request.mode))


def read_list(request: pb.ListTrainingsRequest) -> PageRequest:
    found: list[Violation] = []
    state = None
    if request.HasField("state"):
        known = pb.JobState.DESCRIPTOR.values_by_number.get(request.state)
        if known is None or not request.state:
            words = f"must be {' or '.join(JobState)}, is {known.name if known else request.state}."
            found.append(Violation("state", "unknown", words))
        else:
            state = JobState(known.name)
    if request.model_name:
        found += _broken("model_name", request.model_name, _MODEL_NAME, "1 to 64 of a-z 0-9 . _ -")
    if not 0 <= request.page_size <= MAX_PAGE_SIZE:
        words = f"must be from 0 to {MAX_PAGE_SIZE}, is {request.page_size}."
        found.append(Violation("page_size", "range", words))
    before = None
    if request.page_token:
        before = _read_token(request.page_token, _listing(state, request.model_name))
        if before is None:
            words = f"must be the next_page_token of the same listing, is {request.page_token[:60]!r}."
            found.append(Violation("page_token", "page_token", words))
    _raise(found)
    return PageRequest(state, request.model_name, before, request.page_size or DEFAULT_PAGE_SIZE)


def write_job(job: Job, *, is_brief: bool = False) -> pb.Job:
    """The job; a brief one is without proofs, importances and backtest paths."""
    message = pb.Job(
        job_id=job.job_id,
        model_name=job.model_name,
        state=job.state.value,
        stage=job.stage.value if job.stage is not None else None,
        progress_fraction=job.fraction,
        attempt=job.attempt,
        create_time=_timestamp(job.create_time_us),
        start_time=_timestamp(job.start_time_us),
        end_time=_timestamp(job.end_time_us),
        config_version=job.config_version,
        snapshot_id=job.snapshot_id,
        last_sequence=job.last_sequence,
        priority=job.priority,
        resources=None if job.resources is None else pb.ResourceUse(**asdict(job.resources)),
    )
    if job.remaining_seconds is not None:
        message.remaining.FromNanoseconds(round(job.remaining_seconds * 1e9))
    write_tree(job.config, message.config)
    if job.reproduces is not None:
        write_tree(_reproduction(job), message.reproduction)
    elif job.result is not None:
        left_out = {"proofs", "importances", "paths"} if is_brief else set()
        write_tree(
            {name: value for name, value in job.result.items() if name not in left_out}, message.result
        )
    if job.failure is not None:
        write_tree(job.failure, message.failure)
    return message


def write_page(page: Page, asked: PageRequest) -> pb.ListTrainingsResponse:
    """A page; one that would not fit a message is shorter."""
    following, response, size = page.next_before, pb.ListTrainingsResponse(), 0
    for position, job in enumerate(page.jobs):
        message = write_job(job, is_brief=True)
        size += message.ByteSize()
        if position and size > PAGE_BYTES_MAX:
            last = page.jobs[position - 1]
            following = (last.create_time_us, last.job_id)
            break
        response.jobs.append(message)
    if following is not None:
        response.next_page_token = _write_token(following, _listing(asked.state, asked.model_name))
    return response


@lru_cache(maxsize=1024)
def write_event(event: Event) -> bytes:
    """The message of a watch that carries the event, serialised once for all watchers."""
    message = pb.WatchTrainingResponse()
    write_tree(json.loads(event.detail), message.event)
    message.event.sequence = event.sequence
    message.event.attempt = event.attempt
    message.event.time.FromMicroseconds(event.time_us)
    return message.SerializeToString()


def write_heartbeat(last_sequence: int, time_ns: int) -> pb.WatchTrainingResponse:
    message = pb.WatchTrainingResponse()
    message.heartbeat.time.FromNanoseconds(time_ns)
    message.heartbeat.last_sequence = last_sequence
    return message


def write_validated(validated: Validated) -> pb.ValidateTrainingConfigResponse:
    response = pb.ValidateTrainingConfigResponse(
        violations=[
            market_pb2.Violation(field=each.field, rule=each.rule, description=each.description)
            for each in validated.violations
        ],
        warnings=validated.warnings,
    )
    if not validated.violations:
        write_tree(validated.filled, response.config)
    return response


def read_plan(request: pb.PlanTrainingRequest) -> tuple[Tree, list[Violation], str]:
    """The config, what of it means nothing, and the name of the model or nothing."""
    found: list[Violation] = []
    if request.model_name:
        found += _broken("model_name", request.model_name, _MODEL_NAME, "1 to 64 of a-z 0-9 . _ -")
    if not request.HasField("config"):
        raise InvalidArgument([*found, Violation("config", "required", "must be set.")])
    config, broken = _read_config(request.config)
    return config, [*found, *broken], request.model_name


def write_planned(planned: Planned) -> pb.PlanTrainingResponse:
    forecast = planned.forecast
    response = pb.PlanTrainingResponse(
        config_version=planned.config_version,
        row_count=forecast.row_count,
        feature_count=forecast.feature_count,
        fit_count=forecast.fit_count,
        cpu_seconds=forecast.seconds.cpu,
        peak_memory_bytes=forecast.peak_memory_bytes,
        bundle_bytes=forecast.bundle_bytes,
        expected_rounds=planned.expected_rounds,
        refusals=[
            pb.ExceededBound(
                field=each.field, forecast=each.forecast, bound=each.bound, description=each.description
            )
            for each in planned.refusals
        ],
        assumptions=planned.assumptions,
    )
    write_tree(planned.config, response.config)
    response.duration.FromNanoseconds(round(forecast.seconds.wall * 1e9))
    response.duration_at_most.FromNanoseconds(round(forecast.seconds_at_most.wall * 1e9))
    for each in forecast.stages:
        stage = response.stages.add(stage=each.stage.value, cpu_seconds=each.seconds.cpu)
        stage.duration.FromNanoseconds(round(each.seconds.wall * 1e9))
    return response


def read_reproduce(request: pb.ReproduceModelRequest) -> tuple[str, int, Tree | None]:
    """Name, version (0: the newest) and bounds, if there are any."""
    found = _broken("model_name", request.model_name, _MODEL_NAME, "1 to 64 of a-z 0-9 . _ -")
    if request.model_version < 0:
        words = f"must be 0 or more, is {request.model_version}."
        found.append(Violation("model_version", "range", words))
    budget = None
    if request.HasField("budget"):
        budget, broken = read_tree(request.budget, "budget")
        found += broken
    _raise(found)
    return request.model_name, request.model_version, budget


def write_reproducing(told: Job | Verdict) -> pb.ReproduceModelResponse:
    """How far a reproduction is, or what came of it."""
    response = pb.ReproduceModelResponse()
    if isinstance(told, Job):
        progress = pb.ReproductionProgress(
            job_id=told.job_id,
            state=told.state.value,
            stage=told.stage.value if told.stage is not None else None,
            fraction=told.fraction,
        )
        if told.remaining_seconds is not None:
            progress.remaining.FromNanoseconds(round(told.remaining_seconds * 1e9))
        response.progress.CopyFrom(progress)
        return response
    write_tree(
        {
            "model_name": told.model_name,
            "model_version": told.model.version,
            "model_digest": told.model.digest,
            "job_id": told.job_id,
            **told.found,
        },
        response.result,
    )
    return response


def _reproduction(job: Job) -> Tree:
    """What a job repeats, and what came of it."""
    known = job.reproduces or {}
    return {
        "model_name": job.model_name,
        "model_version": known["model_version"],
        "model_digest": known["model_digest"],
        "job_id": job.job_id,
        **(job.result or {}),
    }


def write_defaults(config: Tree, version: int) -> pb.GetDefaultTrainingConfigResponse:
    response = pb.GetDefaultTrainingConfigResponse(config_version=version)
    write_tree(config, response.config)
    return response


def _read_config(config: pb.TrainingConfig) -> tuple[Tree, list[Violation]]:
    """The config, and what of it means nothing or is none of this contract's."""
    tree, broken = read_tree(config, "config")
    return tree, [*unknown_fields(config, "config"), *broken]


def _broken(field: str, value: str, pattern: re.Pattern[str], words: str) -> list[Violation]:
    if pattern.fullmatch(value):
        return []
    if not value:
        return [Violation(field, "required", "must be set.")]
    return [Violation(field, "pattern", f"must be {words}, is {value[:80]!r}.")]


def _raise(found: list[Violation]) -> None:
    if found:
        raise InvalidArgument(found)


def _timestamp(time_us: int | None) -> Timestamp | None:
    if time_us is None:
        return None
    stamp = Timestamp()
    stamp.FromMicroseconds(time_us)
    return stamp


def _listing(state: JobState | None, model_name: str) -> str:
    """What a page token belongs to."""
    return hashlib.sha256(f"{state}/{model_name}".encode()).hexdigest()[:16]


def _write_token(before: tuple[int, str], listing: str) -> str:
    return base64.urlsafe_b64encode(f"{before[0]}/{before[1]}/{listing}".encode()).decode()


def _read_token(token: str, listing: str) -> tuple[int, str] | None:
    """Where the page begins, or None for a token that is none of this listing."""
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    found = re.fullmatch(rf"([0-9]{{1,18}})/({_JOB_ID.pattern})/{listing}", text)
    return None if found is None else (int(found[1]), found[2])
