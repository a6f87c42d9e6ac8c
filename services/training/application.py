"""The application of the training room: what each call does, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from marketml.rpc.refusals import InvalidArgument, OutOfRange, Unavailable, Violation
from services.training.config import default_config, fill_config, warnings
from services.training.config.rules import one_per_field
from services.training.crew.supervisor import Supervisor
from services.training.feeds import Feeds, OnPool
from services.training.forecasting.planned import Planned
from services.training.forecasting.planner import Planner
from services.training.jobs import (
    Draft,
    Event,
    Job,
    JobState,
    LogLine,
    Page,
    Start,
    StopMode,
    Tree,
    Validated,
)
from services.training.reproducer import Reproducer
from services.training.reproducing import Verdict
from services.training.rooms import ForRequests
from services.training.store import Store

LOG_LINES_COUNT = 500  # read at once


class TrainingApplication:
    """Everything the room does, run on any thread; `watch_training` and `background` on the server's loop."""

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        feeds: Feeds,
        rooms: ForRequests,
        planner: Planner,
        queued_jobs_count: int,
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._feeds = feeds
        self._rooms = rooms
        self._planner = planner
        self._queued_jobs_count = queued_jobs_count
        self._reproducer = Reproducer(
            store, rooms, feeds, queued_jobs_count, begun=self._begun, stop=self.stop_training
        )

    @asynccontextmanager
    async def background(self) -> AsyncIterator[None]:
        """Runs jobs while it is entered."""
        self._feeds.attach(asyncio.get_running_loop())
        await asyncio.to_thread(self._supervisor.start)
        self._planner.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self._planner.close)
            await asyncio.to_thread(self._supervisor.close)

    def start_training(self, start: Start) -> Job:
        """Queue a job; a request that was answered before gets that answer, whatever has changed since.

        Raises
        ------
        InvalidArgument
            Every broken rule of the request.
        NotFound
            No such series or snapshot.
        AlreadyExists
            The `request_id` was used for another request.
        ResourceExhausted
            The queue is full.
        Unavailable
            A room that has to be asked does not answer: nothing is taken by default.
        """
        if not start.broken:
            known = self._store.recall(start.request_id, start.body)
            if known is not None:
                return known
        validated = self._validate(start.config, start.broken)
        if validated.violations:
            raise InvalidArgument(validated.violations)
        self._rooms.require_dataset(validated.filled["dataset"])
        draft = Draft(start.model_name, validated.filled, validated.config_version, start.priority)
        job, event = self._store.start_job(start.request_id, start.body, draft, self._queued_jobs_count)
        if event is not None:
            self._begun(event)
        return job

    def get_training(self, job_id: str) -> Job:
        """One job, or `NotFound`."""
        return self._store.get(job_id)

    def list_trainings(
        self, state: JobState | None, model_name: str, before: tuple[int, str] | None, count: int
    ) -> Page:
        """A page of jobs, newest first."""
        found = self._store.page(state, model_name, before, count + 1)
        jobs = tuple(found[:count])
        last = (jobs[-1].create_time_us, jobs[-1].job_id) if len(found) > count else None
        return Page(jobs, last)

    async def watch_training(
        self, job_id: str, after_sequence: int, pool: OnPool
    ) -> AsyncIterator[Event | None]:
        """The events after a number, to the last; None when nothing happened for a while.

        Raises
        ------
        NotFound
        OutOfRange
            The number is beyond the newest event.
        """
        job: Job = await pool.run(self._store.get, job_id)
        if after_sequence > job.last_sequence:
            raise OutOfRange(
                f"after_sequence: must be at most {job.last_sequence}, the newest event of job {job_id}, "
                f"is {after_sequence}."
            )
        if job.is_final and after_sequence == job.last_sequence:
            return
        async for event in self._feeds.follow(job_id, after_sequence, pool):
            yield event

    def read_training_logs(
        self, job_id: str, attempt: int | None, after_line: int
    ) -> Iterator[Sequence[LogLine]]:
        """What is kept of what the workers of a job logged, after a line, of one attempt if that is given.

        Raises
        ------
        NotFound
        OutOfRange
            The line or the attempt is beyond the newest.
        """
        job = self._store.get(job_id)
        newest = {"after_line": self._store.logs.last_line(job_id), "attempt": job.attempt}
        for field, given in (("after_line", after_line), ("attempt", attempt or 0)):
            if given > newest[field]:
                raise OutOfRange(
                    f"{field}: must be at most {newest[field]}, the newest of job {job_id}, is {given}."
                )
        while lines := self._store.logs.after(job_id, attempt, after_line, LOG_LINES_COUNT):
            after_line = lines[-1].line
            yield lines

    def stop_training(self, job_id: str, mode: StopMode) -> Job:
        """Tell a job to stop; one that has ended stays as it is."""
        job, event = self._store.stop(job_id, mode)
        if event is not None:
            self._supervisor.tell([event])
        if job.stop_mode is not None and not job.is_final:
            self._supervisor.stop(job_id, job.stop_mode)
        return job

    def validate_training_config(self, given: Tree, broken: Sequence[Violation]) -> Validated:
        """Fill a config from the defaults in force and check it, its features with the features room.

        `broken` is what was found wrong while it was read.
        """
        return self._validate(given, broken)

    def plan_training(self, given: Tree, broken: Sequence[Violation], model_name: str) -> Planned:
        """Forecast a job of a config; `broken` is what was found wrong while it was read.

        Raises
        ------
        InvalidArgument
            Every broken rule of the config.
        NotFound, FailedPrecondition, Unavailable
            See `Planner.plan`.
        """
        validated = self._validate(given, broken)
        if validated.violations:
            raise InvalidArgument(validated.violations)
        return self._planner.plan(validated.filled, validated.config_version, model_name)

    def reproduce_model(
        self, model_name: str, version: int, budget: Tree | None, pool: OnPool
    ) -> AsyncGenerator[Job | Verdict, None]:
        """Train a registered version again (0: the newest); see `Reproducer.reproduce`."""
        return self._reproducer.reproduce(model_name, version, budget, pool)

    def get_default_training_config(self) -> tuple[Tree, int]:
        """The defaults in force, without a dataset, and their version."""
        platform, version = self._rooms.defaults()
        return default_config(platform), version

    def _begun(self, event: Event) -> None:
        """A job was queued."""
        self._supervisor.tell([event])
        self._supervisor.wake()

    def _validate(self, given: Tree, broken: Sequence[Violation]) -> Validated:
        try:
            platform, version = self._rooms.defaults()
            filled, violations = fill_config(given, platform)
            found, notes = self._rooms.check_features(filled["features"])
        except Unavailable:
            if broken:
                raise InvalidArgument(broken) from None
            raise
        violations = one_per_field([*broken, *violations, *found])
        if not violations:
            notes = [*warnings(filled), *notes]
        return Validated(filled, version, tuple(violations), tuple(notes))
