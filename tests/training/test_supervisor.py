"""The supervisor: jobs run in processes that are noticed when they die, obey limits, and leave when told."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.host.database import open_database
from services.training.crew.attendant import Attendant
from services.training.crew.worker_lines import Assignment
from services.training.jobs import FINAL_STATES, Death, Draft, JobState, StopMode
from services.training.store import Store
from tests.support.waiting import eventually
from tests.training.crews import (
    COMMAND,
    MIGRATIONS,
    Crewed,
    crewed,
    filled_config,
    sqlite_store,
    workers,
)
from tests.training.test_store import assert_sound

GONE_SECONDS = 5.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with sqlite_store(tmp_path) as opened:
        yield opened


def stop(jobs: Crewed, job_id: str, mode: StopMode) -> None:
    job, _ = jobs.store.stop(job_id, mode)
    if job.stop_mode is not None:
        jobs.supervisor.stop(job_id, job.stop_mode)


def test_a_job_runs_in_a_process_of_its_own_and_succeeds(store: Store) -> None:
    with crewed(store) as jobs:
        job_id = jobs.queue("succeeds")
        job = jobs.until(job_id, *FINAL_STATES)
        assert (job.state, job.attempt, job.fraction) == (JobState.SUCCEEDED, 1, 1.0)
        assert job.result is not None
        assert job.result["rounds"] == 3
        assert jobs.metrics(job_id, "n") == [0, 1, 2, 3, 4]
        assert jobs.metrics(job_id, "pid") != [os.getpid()]
        assert_sound(store, job_id)
        told = [event for event in jobs.published if event.job_id == job_id]
        assert told == store.events_after(job_id, 1, 100)  # 1 is the queueing, which the application tells


def test_a_failed_job_says_why_and_is_not_tried_again(store: Store) -> None:
    with crewed(store) as jobs:
        job = jobs.until(jobs.queue("fails"), *FINAL_STATES)
        assert (job.state, job.attempt) == (JobState.FAILED, 1)
        assert job.failure == {
            "code": "FAILED_PRECONDITION",
            "reason": "TOO_LITTLE_DATA",
            "message": "7 rows are too few.",
        }


def test_a_killed_worker_is_noticed_and_the_job_runs_again(store: Store) -> None:
    with crewed(store) as jobs:
        job = jobs.until(jobs.queue("dies-once"), *FINAL_STATES)
        assert (job.state, job.attempt, job.death_count) == (JobState.SUCCEEDED, 2, 1)
        causes = [
            detail["state_changed"]["cause"]
            for detail in jobs.details(job.job_id)
            if detail.get("state_changed", {}).get("state") == JobState.QUEUED
        ]
        assert causes[0] == "Accepted."
        assert causes[1].startswith("The worker was killed by SIGKILL")
        assert_sound(store, job.job_id)


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("dies", "killed by SIGKILL"),
        ("exits", "ended with status 3"),
        ("babbles", "no line of a worker"),
    ],
)
def test_a_job_that_keeps_killing_its_workers_fails_with_the_cause(
    store: Store, script: str, cause: str
) -> None:
    with crewed(store, attempts_count=2) as jobs:
        job = jobs.until(jobs.queue(script), *FINAL_STATES)
        assert (job.state, job.attempt) == (JobState.FAILED, 2)
        assert job.failure is not None
        assert job.failure["reason"] == "WORKER_DIED"
        assert cause in job.failure["message"]
        assert_sound(store, job.job_id)


def test_what_libraries_print_does_not_disturb_the_lines(store: Store) -> None:
    with crewed(store) as jobs:
        assert jobs.until(jobs.queue("prints"), *FINAL_STATES).state is JobState.SUCCEEDED


def test_progress_is_stored_ten_times_a_second_and_never_falls(store: Store) -> None:
    with crewed(store) as jobs:
        job_id = jobs.queue("progresses")
        assert jobs.until(job_id, *FINAL_STATES).state is JobState.SUCCEEDED
        stored = [event for event in store.events_after(job_id, 0, 10_000) if '"progress"' in event.detail]
        fractions = [json.loads(event.detail)["progress"]["fraction"] for event in stored]
        seconds = (stored[-1].time_us - stored[0].time_us) / 1e6
        assert 2 <= len(stored) <= 10 * seconds + 2
        assert fractions == sorted(fractions)


def test_the_fraction_falls_only_where_an_attempt_begins_and_ends_at_one(store: Store) -> None:
    with crewed(store) as jobs:
        job_id = jobs.queue("advances")
        job = jobs.until(job_id, *FINAL_STATES)
        assert (job.state, job.attempt, job.fraction, job.remaining_seconds) == (
            JobState.SUCCEEDED,
            2,
            1.0,
            None,
        )
        told: dict[int, list[float]] = {1: [], 2: []}
        for event in store.events_after(job_id, 0, 10_000):
            progress = json.loads(event.detail).get("progress")
            if progress is not None:
                told[event.attempt].append(progress["fraction"])
        for fractions in told.values():
            assert len(fractions) > 10
            assert fractions == sorted(fractions)
        assert told[1][0] == 0.0
        assert 0.4 < told[1][-1] < 0.5 <= told[2][1]
        assert told[2][-1] < 1.0


@pytest.mark.parametrize("script", ["waits", "deaf", "counts"])
def test_a_discarded_job_is_gone_within_five_seconds_for_good(store: Store, script: str) -> None:
    with crewed(store) as jobs:
        job_id = jobs.queue(script)
        process = jobs.worker(job_id)
        if script == "deaf":
            eventually(lambda: jobs.metrics(job_id, "deaf"))
        stop(jobs, job_id, StopMode.DISCARD)
        eventually(lambda: not process.is_running(), GONE_SECONDS, "the worker's end")
        job = jobs.until(job_id, *FINAL_STATES)
        assert (job.state, job.result) == (JobState.STOPPED, None)
        assert_sound(store, job_id)
        stop(jobs, job_id, StopMode.DISCARD)
        assert store.get(job_id) == job


def test_a_job_that_keeps_its_best_succeeds(store: Store) -> None:
    with crewed(store) as jobs:
        job_id = jobs.queue("waits")
        jobs.worker(job_id)
        stop(jobs, job_id, StopMode.KEEP_BEST)
        assert jobs.until(job_id, *FINAL_STATES).state is JobState.SUCCEEDED
        assert_sound(store, job_id)


def test_discard_overrules_keep_best(store: Store) -> None:
    with crewed(store) as jobs:
        job_id = jobs.queue("deaf")
        process = jobs.worker(job_id)
        stop(jobs, job_id, StopMode.KEEP_BEST)
        assert store.get(job_id).state is JobState.STOPPING
        stop(jobs, job_id, StopMode.DISCARD)
        eventually(lambda: not process.is_running(), GONE_SECONDS, "the worker's end")
        assert jobs.until(job_id, *FINAL_STATES).state is JobState.STOPPED


def test_jobs_wait_for_their_turn_and_a_waiting_one_stops_at_once(store: Store) -> None:
    with crewed(store) as jobs:
        first, second, third = (jobs.queue(script) for script in ("waits", "succeeds", "succeeds"))
        jobs.worker(first)
        stop(jobs, third, StopMode.DISCARD)
        assert store.get(third).state is JobState.STOPPED
        assert store.get(second).state is JobState.QUEUED
        stop(jobs, first, StopMode.KEEP_BEST)
        assert jobs.until(second, *FINAL_STATES).state is JobState.SUCCEEDED
        assert jobs.until(first, *FINAL_STATES).end_time_us < store.get(second).start_time_us  # type: ignore[operator]


def test_two_jobs_run_side_by_side_when_two_may(store: Store) -> None:
    with crewed(store, jobs_count=2) as jobs:
        first, second = jobs.queue("waits"), jobs.queue("waits")
        assert jobs.worker(first).pid != jobs.worker(second).pid
        for job_id in (first, second):
            stop(jobs, job_id, StopMode.DISCARD)
            jobs.until(job_id, JobState.STOPPED)


@pytest.mark.parametrize(
    ("script", "budget", "term"),
    [
        ("deaf", {"max_duration": 0.5}, "config.budget.max_duration"),
        ("eats", {"max_memory_bytes": 150_000_000}, "config.budget.max_memory_bytes"),
    ],
)
def test_a_job_that_breaks_its_budget_fails_and_names_the_term(
    store: Store, script: str, budget: dict[str, Any], term: str
) -> None:
    with crewed(store) as jobs:
        job = jobs.until(jobs.queue(script, budget=budget), *FINAL_STATES)
        assert (job.state, job.attempt) == (JobState.FAILED, 1)
        assert job.failure is not None
        assert (job.failure["code"], job.failure["reason"]) == ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED")
        assert job.failure["message"].startswith(term)


def test_a_fenced_worker_is_ended_and_the_next_attempt_is_not_disturbed(store: Store) -> None:
    """Another server took the job, which it does when a lease ran out: the worker's next write is refused."""
    with crewed(store) as jobs:
        job_id = jobs.queue("counts")
        process = jobs.worker(job_id)
        store.release(job_id, 1, Death("Its lease ran out."), attempts_count=3)
        is_elsewhere = store.claim(60) is not None  # else our own supervisor was quicker to begin again
        eventually(lambda: not process.is_running(), 10, "the fenced worker's end")
        eventually(lambda: store.get(job_id).attempt == 2, 10, "the next attempt")
        attempts = [event.attempt for event in store.events_after(job_id, 0, 100_000)]
        assert attempts == sorted(attempts)
        assert store.get(job_id).state is JobState.RUNNING
        stop(jobs, job_id, StopMode.DISCARD)
        if is_elsewhere:
            store.release(job_id, 2, Death("Gone."), 3)
        jobs.until(job_id, JobState.STOPPED)
        assert_sound(store, job_id)


def test_a_stop_that_comes_when_the_worker_has_left_changes_nothing(store: Store) -> None:
    draft = Draft("succeeds", filled_config(), 1)
    job_id = store.start_job("", b"", draft, 1000)[0].job_id
    job, _ = store.claim(60) or pytest.fail("no job waits")
    said: list[BaseException | None] = []

    def stop_it() -> None:  # told at the end, when the worker is gone and its pipes are closed
        try:
            attendant.stop(StopMode.DISCARD)
            said.append(None)
        except BaseException as error:
            said.append(error)

    attendant = Attendant(
        store,
        job,
        Assignment(job_id, job.attempt, job.model_name, job.config, None, 1),
        COMMAND,
        publish=lambda _events: None,
        on_end=stop_it,
        attempts_count=3,
        patience_seconds=15.0,
    )
    attendant.start()
    eventually(lambda: said, 30, "the worker's end")
    assert said == [None]
    assert store.get(job_id).state is JobState.SUCCEEDED
    assert_sound(store, job_id)


def test_a_silent_fenced_worker_is_ended_by_its_lease(store: Store) -> None:
    with crewed(store, lease_seconds=1.0) as jobs:
        job_id = jobs.queue("waits")
        process = jobs.worker(job_id)
        store.release(job_id, 1, Death("Its lease ran out."), attempts_count=3)
        store.claim(60)  # or our own supervisor begins again: the first worker is fenced either way
        eventually(lambda: not process.is_running(), 10, "the fenced worker's end")


def test_a_closed_supervisor_leaves_no_worker_and_its_jobs_wait(store: Store) -> None:
    with crewed(store) as jobs:
        job_id = jobs.queue("deaf")
        process = jobs.worker(job_id)
    assert not process.is_running()
    job = store.get(job_id)
    assert (job.state, job.attempt, job.death_count) == (JobState.QUEUED, 1, 0)
    with crewed(store) as jobs:
        jobs.until(job_id, JobState.RUNNING)
        stop(jobs, job_id, StopMode.DISCARD)
        jobs.until(job_id, JobState.STOPPED)
    assert_sound(store, job_id)


def test_jobs_of_a_server_that_vanished_run_again_and_stopping_ones_are_stopped(store: Store) -> None:
    with crewed(store) as jobs:  # only for its queue
        jobs.supervisor.close()
        running, stopping = jobs.queue("succeeds"), jobs.queue("succeeds")
    assert store.claim(60)
    assert store.claim(60)
    store.stop(stopping, StopMode.KEEP_BEST)
    with crewed(store) as jobs:
        assert store.get(stopping).state is JobState.STOPPED
        assert jobs.until(running, *FINAL_STATES).state is JobState.SUCCEEDED
    for job_id in (running, stopping):
        assert_sound(store, job_id)


def test_on_postgresql_a_job_whose_lease_ran_out_is_taken_by_another_server(postgresql_url: str) -> None:
    with open_database(postgresql_url, migrations=MIGRATIONS) as database:
        store = Store(database)
        with crewed(store, lease_seconds=1.0) as jobs:
            held = jobs.queue("waits")
            process = jobs.worker(held)
            lost = jobs.queue("succeeds")
            assert store.claim(-1)  # a server that dies at once
            assert store.get(lost).state is JobState.RUNNING
            jobs.until(lost, JobState.QUEUED)
            assert process.is_running()  # whose lease was renewed all the time
            stop(jobs, held, StopMode.DISCARD)
            assert jobs.until(lost, *FINAL_STATES).state is JobState.SUCCEEDED


def test_a_stop_at_another_server_reaches_the_worker(postgresql_url: str) -> None:
    with open_database(postgresql_url, migrations=MIGRATIONS) as database:
        store = Store(database)
        with crewed(store, lease_seconds=1.0) as jobs:
            job_id = jobs.queue("waits")
            jobs.worker(job_id)
            store.stop(job_id, StopMode.DISCARD)
            assert jobs.until(job_id, *FINAL_STATES).state is JobState.STOPPED


def test_a_stopped_worker_that_died_is_not_tried_again(store: Store) -> None:
    with crewed(store) as jobs:
        job_id = jobs.queue("deaf")
        process = jobs.worker(job_id)
        stop(jobs, job_id, StopMode.KEEP_BEST)
        process.send_signal(signal.SIGKILL)
        assert jobs.until(job_id, *FINAL_STATES).state is JobState.STOPPED
        assert store.get(job_id).attempt == 1


def test_jobs_leave_no_descriptor_thread_or_process_behind(store: Store) -> None:
    with crewed(store) as jobs:
        process = psutil.Process()
        for script in ("succeeds", "dies", "fails"):  # so that everything lazy is there
            jobs.until(jobs.queue(script), *FINAL_STATES)
        eventually(lambda: not workers())
        descriptors, threads = process.num_fds(), process.num_threads()
        for script in ("succeeds", "dies", "fails", "babbles", "exits"):
            jobs.until(jobs.queue(script), *FINAL_STATES)
        eventually(lambda: not workers())
        eventually(lambda: process.num_fds() <= descriptors, 10, "the descriptors' end")
        eventually(lambda: process.num_threads() <= threads, 10, "the threads' end")


def test_the_worker_does_not_see_the_settings_of_its_server(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETML_TRAINING_DATABASE_URL", "postgresql://user:canary@host/name")
    with crewed(store) as jobs:
        job_id = jobs.queue("waits")
        process = jobs.worker(job_id)
        assert "canary" not in str(process.environ()) + str(process.cmdline())
        assert process.environ()["OMP_WAIT_POLICY"] == "PASSIVE"
        assert psutil.Process().pid == process.ppid()
        stop(jobs, job_id, StopMode.DISCARD)
        jobs.until(job_id, JobState.STOPPED)
