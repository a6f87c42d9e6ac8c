"""The reproducer: has a registered version trained again by a job, and tells what came of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict, replace

from marketml.rpc.refusals import (
    Aborted,
    DataLoss,
    FailedPrecondition,
    NotFound,
    Reason,
    Refusal,
    ResourceExhausted,
    Unavailable,
)
from services.host.logs import problems
from services.training.feeds import Feeds, OnPool
from services.training.jobs import Draft, Event, Job, JobStage, JobState, StopMode, Tree
from services.training.reproducing import Difference, InputKind, Origin, Verdict, config_of
from services.training.rooms import ForRequests, RegisteredModel
from services.training.store import Store


class Reproducer:
    """Begins jobs that register nothing, and follows them.

    Parameters
    ----------
    begun
        Takes the first event of a job that was queued; from any thread.
    stop
        Stops a job; from any thread.
    """

    def __init__(
        self,
        store: Store,
        rooms: ForRequests,
        feeds: Feeds,
        queued_jobs_count: int,
        *,
        begun: Callable[[Event], None],
        stop: Callable[[str, StopMode], Job],
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._feeds = feeds
        self._queued_jobs_count = queued_jobs_count
        self._begun = begun
        self._stop = stop

    async def reproduce(
        self, model_name: str, version: int, budget: Tree | None, pool: OnPool
    ) -> AsyncGenerator[Job | Verdict, None]:
        """The job as it goes on, then the verdict. Whoever leaves before it stops the job.

        Raises
        ------
        NotFound
            No such model.
        FailedPrecondition
            Its manifest does not decide it, or the job failed.
        InvalidArgument
            The budget breaks a rule.
        ResourceExhausted
            The queue is full, or the job broke a bound.
        Aborted
            The job was stopped.
        """
        model, begun = await pool.run(self._begin, model_name, version, budget)
        if isinstance(begun, Difference):
            yield Verdict(model_name, model, "", _differing(begun))
            return
        job = begun
        try:
            yield job
            async for event in self._feeds.follow(job.job_id, job.last_sequence, pool):
                job = await pool.run(self._store.get, job.job_id) if event is None else _moved(job, event)
                if not job.is_final:
                    yield job
            job = await pool.run(self._store.get, job.job_id)
        finally:
            if not job.is_final:
                asyncio.get_running_loop().run_in_executor(None, self._abandon, job.job_id)
        yield Verdict(model_name, model, job.job_id, _found(job))

    def _begin(
        self, model_name: str, version: int, budget: Tree | None
    ) -> tuple[RegisteredModel, Job | Difference]:
        """Queue the job, or say which input is gone."""
        model = self._rooms.get_model(model_name, version)
        trained = self._job(model)
        bounds = budget if budget is not None else {} if trained is None else trained.config["budget"]
        limits = {} if trained is None else trained.config["features"].get("limits", {})
        config, unreadable = config_of(model.manifest, bounds, limits)
        difference = self._missing_data(config) or unreadable
        if difference is not None:
            return model, difference
        result = (None if trained is None else trained.result) or {}
        origin = Origin(model.version, model.digest, result.get("code_digest"), result.get("machine_kind"))
        draft = Draft(model_name, config, config_version=0, reproduces=asdict(origin))
        job, event = self._store.start_job("", b"", draft, self._queued_jobs_count)
        if event is not None:
            self._begun(event)
        return model, job

    def _job(self, model: RegisteredModel) -> Job | None:
        """The job that trained a model, where this room still has it."""
        try:
            return self._store.get(model.job_id) if model.job_id else None
        except NotFound:
            return None

    def _missing_data(self, config: Tree) -> Difference | None:
        snapshot_id = config["dataset"]["snapshot_id"]
        try:
            self._rooms.require_dataset(config["dataset"])
        except (NotFound, DataLoss) as refusal:
            return _lost(snapshot_id, refusal.message)
        return None

    def _abandon(self, job_id: str) -> None:
        try:
            self._stop(job_id, StopMode.DISCARD)
        except Refusal as refusal:
            problems.warning("A reproduction goes on that nobody waits for: %s", refusal)


def _moved(job: Job, event: Event) -> Job:
    """A job after one of its events."""
    detail = json.loads(event.detail)
    if "state_changed" in detail:
        return replace(job, state=JobState(detail["state_changed"]["state"]))
    if "stage_started" in detail:
        return replace(job, stage=JobStage(detail["stage_started"]["stage"]))
    if "progress" in detail:
        progress = detail["progress"]
        return replace(job, fraction=progress["fraction"], remaining_seconds=progress.get("remaining"))
    return job


def _found(job: Job) -> Tree:
    """What a job came to that has ended."""
    if job.state is JobState.SUCCEEDED and job.result is not None:
        return job.result
    failure = job.failure
    if failure is None:
        raise Aborted(f"Job {job.job_id} was stopped before the model was trained again.", Reason.WRONG_STATE)
    message = failure["message"]
    match failure["code"]:
        case "NOT_FOUND" | "DATA_LOSS":
            return _differing(_lost(job.config["dataset"]["snapshot_id"], message))
        case "RESOURCE_EXHAUSTED":
            raise ResourceExhausted("job", message)
        case "UNAVAILABLE":
            raise Unavailable(message)
        case code:
            raise FailedPrecondition("job", f"Job {job.job_id} failed with {code}: {message}")


def _lost(snapshot_id: str, message: str) -> Difference:
    words = f"The snapshot {snapshot_id} is not what it was: {message}"
    return Difference(InputKind.DATA, "data.snapshot_id", snapshot_id, "", words)


def _differing(difference: Difference) -> Tree:
    return {"is_equal": False, "first_difference": asdict(difference)}
