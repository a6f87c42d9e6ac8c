"""The store of the training room: jobs, their events, and every move of a state.

A state moves only as `MOVES` allows, and only from what the mover has seen: `UPDATE … WHERE state, attempt`.
An event is inserted in the transaction of its effect and takes its number from the job's row, so numbers have
no gaps and the event of a final state is the last.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Update, and_, func, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from marketml.rpc.refusals import Aborted, NotFound, Reason, ResourceExhausted
from services.host.database import Database, compare_and_set, database_now
from services.host.mutations import once, sweep_mutations
from services.training.jobs import (
    FINAL_STATES,
    HELD_STATES,
    MOVES,
    NO_CHANGES,
    Changes,
    Death,
    Draft,
    Ending,
    Event,
    Job,
    JobState,
    Resources,
    StopMode,
    Tree,
)
from services.training.store_logs import LogStore
from services.training.store_tables import events, held_by, job_of, jobs, typed_job

QUEUE_RETRY_SECONDS = 10.0
LOST_RACES_MAX = 20
NAMED_COUNT = 500  # ids in one statement


class Store:
    """All SQL of the room. Every method is one transaction and may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.logs = LogStore(database)
        self.is_alone = database.dialect == "sqlite"  # no other process can hold a job of this database

    def recall(self, request_id: str, request_bytes: bytes) -> Job | None:
        """The first answer of a `start_job` with this `request_id`, if there was one.

        Raises
        ------
        InvalidArgument, AlreadyExists
            See `services.host.mutations.once`.
        """

        def nothing(_connection: Connection) -> bytes:
            raise _NeverAskedError

        try:
            with self._database.write() as connection:
                return _read_job(once(connection, request_id, "StartTraining", request_bytes, nothing))
        except _NeverAskedError:
            return None

    def start_job(
        self, request_id: str, request_bytes: bytes, draft: Draft, queue_count: int
    ) -> tuple[Job, Event | None]:
        """Queue a job, once per `request_id`; a repeat gets the first answer and no event.

        Raises
        ------
        InvalidArgument, AlreadyExists
            See `services.host.mutations.once`.
        ResourceExhausted
            `queue_count` jobs wait already.
        """
        stored: list[Event] = []

        def effect(connection: Connection) -> bytes:
            waiting = select(func.count()).select_from(jobs).where(jobs.c.state == JobState.QUEUED)
            if connection.execute(waiting).scalar_one() >= queue_count:
                raise ResourceExhausted(
                    "queued_jobs",
                    f"{queue_count} jobs wait already; try again in {QUEUE_RETRY_SECONDS:g} s.",
                    retry_after_seconds=QUEUE_RETRY_SECONDS,
                    reason=Reason.OVERLOADED,
                )
            job_id = uuid.uuid4().hex
            connection.execute(
                jobs.insert().values(
                    job_id=job_id,
                    model_name=draft.model_name,
                    state=JobState.QUEUED,
                    attempt=0,
                    death_count=0,
                    fraction=0.0,
                    create_time_us=database_now(connection),
                    config=_text(draft.config),
                    config_version=draft.config_version,
                    last_sequence=0,
                    priority=draft.priority,
                    last_log_line=0,
                    reproduces=None if draft.reproduces is None else _text(draft.reproduces),
                )
            )
            moved = _state_changed(None, JobState.QUEUED, "Accepted.")
            stored.extend(_append(connection, job_id, [moved]))
            return _text(asdict(_get(connection, job_id))).encode()

        with self._database.write() as connection:
            job = _read_job(once(connection, request_id, "StartTraining", request_bytes, effect))
        return job, stored[0] if stored else None

    def get(self, job_id: str) -> Job:
        """One job, or `NotFound`."""
        with self._database.read() as connection:
            return _get(connection, job_id)

    def page(
        self, state: JobState | None, model_name: str, before: tuple[int, str] | None, count: int
    ) -> list[Job]:
        """At most `count` jobs, newest first, older than the creation time and id in `before`; none that
        train a version again."""
        query = select(jobs).order_by(jobs.c.create_time_us.desc(), jobs.c.job_id.desc()).limit(count)
        query = query.where(jobs.c.reproduces.is_(None))
        if state is not None:
            query = query.where(jobs.c.state == state)
        if model_name:
            query = query.where(jobs.c.model_name == model_name)
        if before is not None:
            time_us, job_id = before
            same_moment = and_(jobs.c.create_time_us == time_us, jobs.c.job_id < job_id)
            query = query.where(or_(jobs.c.create_time_us < time_us, same_moment))
        with self._database.read() as connection:
            return [job_of(row) for row in connection.execute(query)]

    def events_after(self, job_id: str, sequence: int, count: int) -> list[Event]:
        """At most `count` events of a job with numbers above `sequence`, ascending."""
        later = select(events).where(events.c.job_id == job_id, events.c.sequence > sequence)
        with self._database.read() as connection:
            rows = connection.execute(later.order_by(events.c.sequence).limit(count))
            return [Event(**row._mapping) for row in rows]

    def claim(self, lease_seconds: float) -> tuple[Job, Event] | None:
        """Take the waiting job of the highest priority, of equals the oldest, and begin its next attempt;
        None when none waits that no other server is just taking."""
        in_turn = (jobs.c.priority.desc(), jobs.c.create_time_us, jobs.c.job_id)
        waiting = select(jobs).where(jobs.c.state == JobState.QUEUED).order_by(*in_turn).limit(1)
        try:
            with self._database.write() as connection:
                row = connection.execute(waiting.with_for_update(skip_locked=True)).one_or_none()
                if row is None:
                    return None
                seen, now = job_of(row), database_now(connection)
                event = _move(
                    connection,
                    seen,
                    JobState.RUNNING,
                    f"Attempt {seen.attempt + 1} begins.",
                    attempt=seen.attempt + 1,
                    start_time_us=now,
                    lease_until_us=now + _microseconds(lease_seconds),
                    fraction=0.0,
                    remaining_seconds=None,
                    stage=None,
                )
                return _get(connection, seen.job_id), event
        except Aborted:
            return None

    def record(
        self, job_id: str, attempt: int, details: Sequence[str], changes: Changes = NO_CHANGES
    ) -> list[Event]:
        """Store what the worker of an attempt tells, and what that changes on its job.

        Raises
        ------
        Aborted
            The attempt is over: another one began, or the job ended. The worker has to end.
        """
        given = {name: value for name, value in asdict(changes).items() if value is not None}
        with self._database.write() as connection:
            # The update takes the row, so that nobody moves the job between it and the events.
            told = _counting(held_by(job_id, attempt).values(**given), details)
            numbered = connection.execute(told).one_or_none()
            if numbered is None:
                raise Aborted(f"Attempt {attempt} of job {job_id} is over.", Reason.LOST_RACE)
            return _insert(connection, job_id, attempt, numbered.last_sequence, details)

    def end(self, job_id: str, attempt: int, ending: Ending, used: Resources | None = None) -> Event:
        """Put a job into a final state, on the word of the worker of `attempt` or of who watched it. `used`
        is what its workers took until now, if that is known.

        Raises
        ------
        Aborted
            The attempt is over.
        """
        values = _resources(used)
        if ending.result is not None:
            values |= {"result": _text(ending.result), "fraction": 1.0}
        if ending.failure is not None:
            values |= {"failure": _text(ending.failure)}
        with self._database.write() as connection:
            seen = _held(connection, job_id, attempt)
            return _end(connection, seen, ending.state, ending.cause, **values)

    def release(
        self,
        job_id: str,
        attempt: int,
        death: Death,
        attempts_count: int,
        used: Resources | None = None,
    ) -> Event:
        """Give a job back whose worker is gone: it waits again, or it has ended.

        A job that was being stopped is STOPPED. One that `attempts_count` workers died with has FAILED.
        `used` is as for `end`.

        Raises
        ------
        Aborted
            The attempt is over.
        """
        with self._database.write() as connection:
            seen = _held(connection, job_id, attempt)
            if seen.state is JobState.STOPPING:
                return _end(connection, seen, JobState.STOPPED, death.cause, **_resources(used))
            values = _resources(used) | {"death_count": seen.death_count + (1 if death.counts else 0)}
            if values["death_count"] >= attempts_count:
                said = death.ending(values["death_count"], attempts_count)
                values |= {"failure": _text(said.failure or {})}
                return _end(connection, seen, said.state, said.cause, **values)
            values |= {"stage": None, "lease_until_us": None}
            return _move(connection, seen, JobState.QUEUED, death.cause, **values)

    def stop(self, job_id: str, mode: StopMode) -> tuple[Job, Event | None]:
        """Tell a job to stop: it is STOPPED at once while it waits, STOPPING while a worker has it, and
        unchanged when it has ended. DISCARD replaces KEEP_BEST, never the other way."""
        for _ in range(LOST_RACES_MAX):
            try:
                with self._database.write() as connection:
                    event = _stop(connection, _get(connection, job_id), mode)
                    return _get(connection, job_id), event
            except Aborted:
                continue
        raise Aborted(f"Job {job_id} moved {LOST_RACES_MAX} times meanwhile.", Reason.LOST_RACE)

    def renew(
        self, job_id: str, attempt: int, lease_seconds: float, used: Resources | None = None
    ) -> StopMode | None:
        """Keep a job for its worker; how it was told to stop, if it was. `used` is as for `end`.

        Raises
        ------
        Aborted
            The attempt is over.
        """
        with self._database.write() as connection:
            until = database_now(connection) + _microseconds(lease_seconds)
            kept = held_by(job_id, attempt).values(lease_until_us=until, **_resources(used))
            compare_and_set(connection, kept, what="job", reason=Reason.LOST_RACE)
            return _get(connection, job_id).stop_mode

    def sweep(self, retention_seconds: float) -> int:
        """Forget the answers of requests older than this; a request repeated after that is a new one."""
        with self._database.write() as connection:
            return sweep_mutations(connection, retention_seconds)

    def ended(self, job_ids: Collection[str]) -> set[str]:
        """Those of these jobs that have ended."""
        asked, found = sorted(job_ids), set[str]()
        with self._database.read() as connection:
            for begin in range(0, len(asked), NAMED_COUNT):
                named = jobs.c.job_id.in_(asked[begin : begin + NAMED_COUNT])
                query = select(jobs.c.job_id).where(named, jobs.c.state.in_(FINAL_STATES))
                found.update(connection.execute(query).scalars())
        return found

    def abandoned(self, *, all_held: bool) -> list[Job]:
        """Jobs that no worker has any more: their lease ran out, or (`all_held`, at the start of the only
        process of this database) whoever held them is gone. None whose row a transaction holds: of a server
        that sleeps in one the next look will find it."""
        held = select(jobs).where(jobs.c.state.in_(HELD_STATES))
        with self._database.write() as connection:
            if not all_held:
                held = held.where(jobs.c.lease_until_us < database_now(connection))
            free = held.with_for_update(skip_locked=True)
            return [job_of(row) for row in connection.execute(free)]


class _NeverAskedError(Exception):
    """This `request_id` is new."""


def _move(connection: Connection, seen: Job, to: JobState, cause: str, **values: Any) -> Event:
    """Move a job from the state and attempt in which it was seen, with its event."""
    if to not in MOVES[seen.state]:
        raise ValueError(f"A job cannot go from {seen.state} to {to}.")
    as_seen = update(jobs).where(
        jobs.c.job_id == seen.job_id, jobs.c.state == seen.state, jobs.c.attempt == seen.attempt
    )
    compare_and_set(connection, as_seen.values(state=to, **values), what="job", reason=Reason.LOST_RACE)
    detail = _state_changed(seen.state, to, cause)
    return _append(connection, seen.job_id, [detail], is_last=to in FINAL_STATES)[0]


def _resources(used: Resources | None) -> dict[str, Any]:
    return {} if used is None else asdict(used)


def _end(connection: Connection, seen: Job, to: JobState, cause: str, **values: Any) -> Event:
    ended = {"end_time_us": database_now(connection), "lease_until_us": None, "stage": None}
    return _move(connection, seen, to, cause, **ended, remaining_seconds=None, **values)


def _stop(connection: Connection, seen: Job, mode: StopMode) -> Event | None:
    if seen.state is JobState.QUEUED:
        return _end(connection, seen, JobState.STOPPED, "Told to stop while it waited.", stop_mode=mode)
    if seen.state is JobState.RUNNING:
        cause = "Told to keep the best." if mode is StopMode.KEEP_BEST else "Told to discard."
        return _move(connection, seen, JobState.STOPPING, cause, stop_mode=mode)
    if seen.state is JobState.STOPPING and mode is StopMode.DISCARD:
        as_seen = update(jobs).where(
            jobs.c.job_id == seen.job_id, jobs.c.state == seen.state, jobs.c.attempt == seen.attempt
        )
        compare_and_set(connection, as_seen.values(stop_mode=mode), what="job", reason=Reason.LOST_RACE)
    return None


def _append(
    connection: Connection, job_id: str, details: Sequence[str], *, is_last: bool = False
) -> list[Event]:
    """Number and insert events. The update of the counter takes the job's row until the commit."""
    numbered = connection.execute(_counting(update(jobs).where(jobs.c.job_id == job_id), details)).one()
    return _insert(connection, job_id, numbered.attempt, numbered.last_sequence, details, is_last=is_last)


def _counting(told: Update, details: Sequence[str]) -> ReturningUpdate[tuple[int, int]]:
    """The update of a job that also counts its events, and gives the last one's number and the attempt."""
    counted = told.values(last_sequence=jobs.c.last_sequence + len(details))
    return counted.returning(jobs.c.last_sequence, jobs.c.attempt)


def _insert(
    connection: Connection,
    job_id: str,
    attempt: int,
    last_sequence: int,
    details: Sequence[str],
    *,
    is_last: bool = False,
) -> list[Event]:
    """Insert events, the last of which has the number `last_sequence`."""
    if not details:
        return []
    now, first = database_now(connection), last_sequence - len(details) + 1
    told = [
        Event(job_id, first + offset, attempt, now, detail, is_last) for offset, detail in enumerate(details)
    ]
    connection.execute(events.insert(), [asdict(event) for event in told])
    return told


def _held(connection: Connection, job_id: str, attempt: int) -> Job:
    seen = _get(connection, job_id)
    if seen.attempt != attempt or seen.state not in HELD_STATES:
        raise Aborted(f"Attempt {attempt} of job {job_id} is over.", Reason.LOST_RACE)
    return seen


def _get(connection: Connection, job_id: str) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.job_id == job_id)).one_or_none()
    if row is None:
        raise NotFound("job", job_id)
    return job_of(row)


def _read_job(answer: bytes) -> Job:
    return typed_job(json.loads(answer))


def _state_changed(previous: JobState | None, state: JobState, cause: str) -> str:
    moved: Tree = {"state": state, "cause": cause}
    if previous is not None:
        moved["previous_state"] = previous
    return _text({"state_changed": moved})


def _text(tree: Tree) -> str:
    return json.dumps(tree, separators=(",", ":"), allow_nan=False)


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)
