"""The store of jobs: legal moves only, no lost update, numbers without gaps, one job per request."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

import services.training
from marketml.rpc.refusals import Aborted, AlreadyExists, InvalidArgument, NotFound, ResourceExhausted
from services.host.database import open_database
from services.training.jobs import (
    FINAL_STATES,
    MOVES,
    Changes,
    Death,
    Draft,
    Ending,
    Event,
    Job,
    JobStage,
    JobState,
    LogEntry,
    Resources,
    StopMode,
    failed,
)
from services.training.store import Store
from services.training.store_tables import typed_job

MIGRATIONS = Path(services.training.__file__).with_name("migrations")
DRAFT = Draft("model", {"seed": 7}, 3)
GONE, DRAINED = Death("Gone."), Death("Drained.", counts=False)
PROGRESS = json.dumps({"progress": {"fraction": 0.5}})


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_database(database_url, migrations=MIGRATIONS) as database:
        yield Store(database)


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    with open_database(f"sqlite:///{tmp_path}/training.sqlite", migrations=MIGRATIONS) as database:
        yield Store(database)


def queue(store: Store, request_id: str = "", draft: Draft = DRAFT) -> Job:
    return store.start_job(request_id, b"body", draft, queue_count=1000)[0]


def running(store: Store) -> Job:
    queue(store)
    claimed = store.claim(60)
    assert claimed is not None
    return claimed[0]


def events_of(store: Store, job_id: str) -> list[Event]:
    return store.events_after(job_id, 0, 100_000)


def assert_sound(store: Store, job_id: str) -> None:
    """The invariants: numbers without gaps, legal moves only, the last event ends the job."""
    job, events = store.get(job_id), events_of(store, job_id)
    assert [event.sequence for event in events] == list(range(1, job.last_sequence + 1))
    details = [json.loads(event.detail) for event in events]
    moves = [detail["state_changed"] for detail in details if "state_changed" in detail]
    assert moves[0]["state"] == JobState.QUEUED
    for before, after in itertools.pairwise(moves):
        assert after["previous_state"] == before["state"]
        assert JobState(after["state"]) in MOVES[JobState(before["state"])]
    assert moves[-1]["state"] == job.state
    assert [event.is_last for event in events] == [False] * (len(events) - 1) + [job.is_final]
    assert (job.end_time_us is not None) == job.is_final


def test_a_job_waits_runs_tells_and_ends(store: Store) -> None:
    job = queue(store)
    assert (job.state, job.attempt, job.last_sequence, job.config) == (JobState.QUEUED, 0, 1, {"seed": 7})
    claimed, _ = store.claim(60) or (None, None)
    assert claimed is not None
    assert (claimed.job_id, claimed.state, claimed.attempt) == (job.job_id, JobState.RUNNING, 1)
    store.record(
        job.job_id, 1, [PROGRESS], Changes(JobStage.FEATURES, 0.25, remaining_seconds=9.0, snapshot_id="ab")
    )
    seen = store.get(job.job_id)
    assert (seen.stage, seen.fraction, seen.remaining_seconds) == (JobStage.FEATURES, 0.25, 9.0)
    store.end(job.job_id, 1, Ending(JobState.SUCCEEDED, "Done.", result={"rounds": 3}))
    ended = store.get(job.job_id)
    assert (ended.state, ended.result, ended.fraction) == (JobState.SUCCEEDED, {"rounds": 3}, 1.0)
    assert (ended.stage, ended.remaining_seconds, ended.snapshot_id) == (None, None, "ab")
    assert_sound(store, job.job_id)


def test_an_unknown_job_is_not_found(store: Store) -> None:
    for ask in (store.get, lambda job_id: store.stop(job_id, StopMode.DISCARD)):
        with pytest.raises(NotFound, match="job"):
            ask("0" * 32)


def test_a_repeated_request_has_one_effect_and_one_answer(store: Store) -> None:
    job = queue(store, "once")
    store.claim(60)
    again, event = store.start_job("once", b"body", DRAFT, queue_count=1000)
    assert again == job  # the first answer, though the job runs by now
    assert event is None
    assert store.recall("once", b"body") == job
    assert store.recall("another", b"body") is None
    assert len(store.page(None, "", None, 10)) == 1
    for ask in (
        lambda: store.start_job("once", b"other", DRAFT, queue_count=1000),
        lambda: store.recall("once", b"other"),
    ):
        with pytest.raises(AlreadyExists):
            ask()
    with pytest.raises(InvalidArgument, match="request_id"):
        queue(store, "no spaces")
    assert len(store.page(None, "", None, 10)) == 1


def test_one_request_from_many_callers_at_once_starts_one_job(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = {job.job_id for job in pool.map(lambda _: queue(store, "once"), range(24))}
    assert len(found) == 1
    assert len(store.page(None, "", None, 100)) == 1


def test_an_answer_is_forgotten_after_its_retention(store: Store) -> None:
    job = queue(store, "old")
    assert store.sweep(3600) == 0
    assert store.recall("old", b"body") == job
    assert store.sweep(-1) == 1
    assert store.recall("old", b"body") is None


def test_a_full_queue_refuses_and_forgets(store: Store) -> None:
    queue(store, "first")
    with pytest.raises(ResourceExhausted) as refused:
        store.start_job("second", b"body", DRAFT, queue_count=1)
    assert refused.value.retry_after_seconds
    assert len(store.page(None, "", None, 10)) == 1
    store.claim(60)
    store.start_job("second", b"body", DRAFT, queue_count=1)  # the refusal was not remembered


def test_fifty_claims_at_once_take_each_job_once(store: Store) -> None:
    ids = {queue(store).job_id for _ in range(20)}
    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(lambda _: _claim_patiently(store), range(50)))
    taken = [job.job_id for job in claims if job is not None]
    assert sorted(taken) == sorted(ids)
    for job_id in ids:
        assert_sound(store, job_id)


def _claim_patiently(store: Store) -> Job | None:
    """A lost race on PostgreSQL is None too: ask until nothing waits."""
    while store.page(JobState.QUEUED, "", None, 1):
        claimed = store.claim(60)
        if claimed is not None:
            return claimed[0]
    return None


def test_jobs_are_taken_in_the_order_they_came(store: Store) -> None:
    ids = [queue(store).job_id for _ in range(3)]
    assert [claimed[0].job_id for _ in ids if (claimed := store.claim(60))] == ids
    assert store.claim(60) is None


def test_the_highest_priority_is_taken_first_and_a_job_that_comes_back_keeps_its_turn(store: Store) -> None:
    priorities = [0, -100, 7, 0, 100, 7]
    ids = [queue(store, draft=Draft("model", {}, 1, priority)).job_id for priority in priorities]
    in_turn = [ids[number] for number in (4, 2, 5, 0, 3, 1)]
    first, _ = store.claim(60) or pytest.fail("no job waits")
    assert (first.job_id, first.priority) == (in_turn[0], 100)
    store.release(first.job_id, 1, GONE, 3)
    assert [claimed[0].job_id for _ in ids if (claimed := store.claim(60))] == in_turn
    assert store.get(ids[1]).priority == -100


def test_what_the_workers_took_is_kept_over_all_attempts_and_by_none_that_is_over(store: Store) -> None:
    job = running(store)
    assert job.resources is None
    store.renew(job.job_id, 1, 60, Resources(1.5, 2**40, 2.25))
    assert store.get(job.job_id).resources == Resources(1.5, 2**40, 2.25)
    store.renew(job.job_id, 1, 60)
    store.release(job.job_id, 1, GONE, 3)  # by a server that knows nothing of it
    again, _ = store.claim(60) or pytest.fail("no job waits")
    assert again.resources == Resources(1.5, 2**40, 2.25)
    with pytest.raises(Aborted):
        store.renew(job.job_id, 1, 60, Resources(99.0, 99, 99.0))
    store.end(job.job_id, 2, Ending(JobState.SUCCEEDED, "Done.", result={}), Resources(3.0, 2**41, 5.0))
    assert store.get(job.job_id).resources == Resources(3.0, 2**41, 5.0)


def test_a_job_whose_last_worker_the_kernel_killed_for_memory_fails_for_that(store: Store) -> None:
    job = running(store)
    store.release(job.job_id, 1, Death("Out of memory.", is_of_memory=True), 1)
    failure = store.get(job.job_id).failure
    assert failure is not None
    assert (failure["code"], failure["reason"]) == ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED")
    assert_sound(store, job.job_id)


def test_the_answer_that_an_earlier_version_remembered_is_still_read() -> None:
    """It was stored before jobs had a priority and resources."""
    values = asdict(Job(**_BEFORE))  # type: ignore[arg-type]
    del values["priority"], values["resources"]
    old = typed_job(json.loads(json.dumps(values)))
    assert (old.job_id, old.priority, old.resources) == ("a" * 32, 0, None)


_BEFORE = {
    **dict.fromkeys(("stage", "remaining_seconds", "start_time_us", "end_time_us", "snapshot_id")),
    **dict.fromkeys(("stop_mode", "result", "failure")),
    **dict.fromkeys(("attempt", "death_count", "fraction", "create_time_us", "config_version"), 0),
    **{"job_id": "a" * 32, "model_name": "m", "state": JobState.QUEUED, "config": {}, "last_sequence": 1},
}


def test_fifty_writers_at_once_lose_no_event_and_leave_no_gap(store: Store) -> None:
    job = running(store)

    def write(number: int) -> None:
        details = [json.dumps({"metric": {"name": "n", "value": number}})] * (1 + number % 3)
        store.record(job.job_id, 1, details, Changes(fraction=number / 50))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(50)))
    assert_sound(store, job.job_id)
    numbers = [
        json.loads(event.detail)["metric"]["value"]
        for event in events_of(store, job.job_id)
        if "metric" in event.detail
    ]
    assert sorted(numbers) == sorted(number for number in range(50) for _ in range(1 + number % 3))


def test_only_one_of_many_endings_holds(store: Store) -> None:
    job = running(store)
    endings: list[Callable[[], object]] = [
        lambda: store.end(job.job_id, 1, Ending(JobState.SUCCEEDED, "Done.", result={})),
        lambda: store.end(job.job_id, 1, failed("INTERNAL", "BUG", "Broken.")),
        lambda: store.release(job.job_id, 1, GONE, 1),
        lambda: store.stop(job.job_id, StopMode.DISCARD),
    ] * 5
    begin = threading.Barrier(len(endings))

    def run(ending: Callable[[], object]) -> int:
        begin.wait(30)
        try:
            ending()
        except Aborted:
            return 0
        return 1

    with ThreadPoolExecutor(len(endings)) as pool:
        list(pool.map(run, endings))
    assert_sound(store, job.job_id)
    assert store.get(job.job_id).state in FINAL_STATES


def test_a_worker_of_an_older_attempt_can_write_nothing(store: Store) -> None:
    job = running(store)
    store.release(job.job_id, 1, GONE, attempts_count=3)
    writes: list[Callable[[], object]] = [
        lambda: store.record(job.job_id, 1, [PROGRESS], Changes(fraction=0.9)),
        lambda: store.end(job.job_id, 1, Ending(JobState.SUCCEEDED, "Done.", result={})),
        lambda: store.release(job.job_id, 1, GONE, 3),
        lambda: store.renew(job.job_id, 1, 60),
    ]
    for is_claimed in (False, True):
        if is_claimed:
            assert store.claim(60)
        before, events = store.get(job.job_id), events_of(store, job.job_id)
        for write in writes:
            with pytest.raises(Aborted):
                write()
        assert store.get(job.job_id) == before
        assert events_of(store, job.job_id) == events
    store.record(job.job_id, 2, [PROGRESS])
    assert_sound(store, job.job_id)


def test_a_job_is_tried_again_until_it_has_killed_too_many_workers(store: Store) -> None:
    job = running(store)
    store.release(job.job_id, 1, Death("Killed by SIGKILL."), attempts_count=2)
    assert store.get(job.job_id).state is JobState.QUEUED
    assert store.claim(60)
    store.release(job.job_id, 2, DRAINED, attempts_count=2)
    assert store.get(job.job_id).state is JobState.QUEUED
    assert store.claim(60)
    store.release(job.job_id, 3, Death("Killed by SIGKILL."), attempts_count=2)
    ended = store.get(job.job_id)
    assert (ended.state, ended.attempt) == (JobState.FAILED, 3)
    assert ended.failure is not None
    assert (ended.failure["code"], ended.failure["reason"]) == ("ABORTED", "WORKER_DIED")
    assert "Killed by SIGKILL." in ended.failure["message"]
    assert_sound(store, job.job_id)


def test_what_stopping_means_depends_on_the_state(store: Store) -> None:
    waiting = queue(store)
    stopped, _ = store.stop(waiting.job_id, StopMode.KEEP_BEST)
    assert stopped.state is JobState.STOPPED

    job = running(store)
    stopping, event = store.stop(job.job_id, StopMode.KEEP_BEST)
    assert (stopping.state, stopping.stop_mode) == (JobState.STOPPING, StopMode.KEEP_BEST)
    assert event is not None
    harder, nothing = store.stop(job.job_id, StopMode.DISCARD)
    assert (harder.stop_mode, nothing) == (StopMode.DISCARD, None)
    softer, _ = store.stop(job.job_id, StopMode.KEEP_BEST)
    assert softer.stop_mode is StopMode.DISCARD
    store.release(job.job_id, 1, GONE, attempts_count=3)
    ended = store.get(job.job_id)
    assert ended.state is JobState.STOPPED
    assert store.stop(job.job_id, StopMode.DISCARD) == (ended, None)
    for job_id in (waiting.job_id, job.job_id):
        assert_sound(store, job_id)


def test_a_final_state_is_frozen(store: Store) -> None:
    for ending in (
        Ending(JobState.SUCCEEDED, "Done.", result={"rounds": 1}),
        failed("INTERNAL", "BUG", "Broken."),
        Ending(JobState.STOPPED, "Stopped."),
    ):
        job = running(store)
        if ending.state is JobState.STOPPED:
            store.stop(job.job_id, StopMode.DISCARD)
        store.end(job.job_id, 1, ending)
        ended, events = store.get(job.job_id), events_of(store, job.job_id)
        for write in (
            lambda job=job: store.record(job.job_id, 1, [PROGRESS]),
            lambda job=job: store.end(job.job_id, 1, failed("INTERNAL", "BUG", "Again.")),
            lambda job=job: store.release(job.job_id, 1, GONE, 3),
            lambda job=job: store.renew(job.job_id, 1, 60),
        ):
            with pytest.raises(Aborted):
                write()
        store.stop(job.job_id, StopMode.DISCARD)
        assert store.get(job.job_id) == ended
        assert events_of(store, job.job_id) == events
        assert_sound(store, job.job_id)


def test_a_running_job_does_not_end_stopped_unless_it_was_told_to_stop(sqlite_store: Store) -> None:
    job = running(sqlite_store)
    with pytest.raises(ValueError, match="cannot go"):
        sqlite_store.end(job.job_id, 1, Ending(JobState.STOPPED, "Unasked."))
    assert sqlite_store.get(job.job_id) == job


def test_a_job_whose_lease_ran_out_is_found_and_a_renewed_one_is_not(store: Store) -> None:
    first, second = queue(store), queue(store)
    store.claim(-1)
    store.claim(-1)
    store.renew(second.job_id, 1, 60)
    assert [job.job_id for job in store.abandoned(all_held=False)] == [first.job_id]
    assert {job.job_id for job in store.abandoned(all_held=True)} == {first.job_id, second.job_id}


def test_an_abandoned_job_whose_row_somebody_holds_is_found_later_and_nobody_waits(
    postgresql_url: str,
) -> None:
    """A server may fall asleep in a transaction."""
    with open_database(postgresql_url, migrations=MIGRATIONS) as database:
        store = Store(database)
        held, free = queue(store), queue(store)
        store.claim(-1)
        store.claim(-1)
        with database.write() as connection:
            connection.execute(text(f"SELECT 1 FROM jobs WHERE job_id = '{held.job_id}' FOR UPDATE"))
            assert [job.job_id for job in store.abandoned(all_held=False)] == [free.job_id]
        found = {job.job_id for job in store.abandoned(all_held=False)}
        assert found == {held.job_id, free.job_id}


def test_pages_are_newest_first_and_filters_hold(store: Store) -> None:
    jobs = [queue(store, draft=Draft(f"model-{number % 2}", {}, 1)) for number in range(7)]
    store.claim(60)
    newest_first = [job.job_id for job in reversed(jobs)]
    found: list[str] = []
    before = None
    while page := store.page(None, "", before, 3):
        found += [job.job_id for job in page]
        before = (page[-1].create_time_us, page[-1].job_id)
    assert found == newest_first
    assert [job.job_id for job in store.page(JobState.RUNNING, "", None, 10)] == [jobs[0].job_id]
    assert len(store.page(None, "model-1", None, 10)) == 3
    assert not store.page(None, "model-2", None, 10)


_STEPS: dict[str, Callable[[Store, str, int], object]] = {
    "claim": lambda store, job, attempt: store.claim(60),
    "renew": lambda store, job, attempt: store.renew(job, attempt, 60, Resources(1.0, 1, 1.0)),
    "log": lambda store, job, attempt: store.logs.append(job, attempt, [LogEntry(1, "INFO", "x", "y")]),
    "end unasked": lambda store, job, attempt: store.end(job, attempt, Ending(JobState.STOPPED, "Why?")),
    "wait again": lambda store, job, attempt: store.end(job, attempt, Ending(JobState.RUNNING, "No.")),
    "record": lambda store, job, attempt: store.record(job, attempt, [PROGRESS] * 2),
    "succeed": lambda store, job, attempt: store.end(
        job, attempt, Ending(JobState.SUCCEEDED, "Done.", result={})
    ),
    "fail": lambda store, job, attempt: store.end(job, attempt, failed("INTERNAL", "BUG", "Broken.")),
    "die": lambda store, job, attempt: store.release(job, attempt, GONE, 3),
    "leave": lambda store, job, attempt: store.release(job, attempt, DRAINED, 3),
    "keep": lambda store, job, attempt: store.stop(job, StopMode.KEEP_BEST),
    "discard": lambda store, job, attempt: store.stop(job, StopMode.DISCARD),
}


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(sorted(_STEPS)), st.integers(0, 1), st.sampled_from([-1, 0, 0, 0, 1])),
        max_size=12,
    )
)
def test_whatever_happens_in_whatever_order_jobs_stay_sound_and_refusals_change_nothing(
    sqlite_store: Store, steps: list[tuple[str, int, int]]
) -> None:
    for job in sqlite_store.page(JobState.QUEUED, "", None, 1000):
        sqlite_store.stop(job.job_id, StopMode.DISCARD)  # what the example before left waiting
    ids = [queue(sqlite_store).job_id for _ in range(2)]

    def seen() -> list[tuple[Job, list[Event], int]]:
        """All that there is of the two jobs."""
        logs = sqlite_store.logs
        return [(sqlite_store.get(each), events_of(sqlite_store, each), logs.last_line(each)) for each in ids]

    after = seen()
    for name, which, behind in steps:
        before = after
        attempt = before[which][0].attempt - behind
        try:
            _STEPS[name](sqlite_store, ids[which], attempt)
        except (Aborted, ValueError):  # a move that MOVES does not have is a bug of the caller
            assert seen() == before
        after = seen()
        for then, now in zip(before, after, strict=True):
            assert then == now or not then[0].is_final
            assert now[1][: len(then[1])] == then[1]
            assert now[0].attempt - then[0].attempt in (0, 1)
            assert now[0].state == then[0].state or now[0].state in MOVES[then[0].state]
    for job_id in ids:
        assert_sound(sqlite_store, job_id)
