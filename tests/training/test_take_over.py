"""Training rooms that share a PostgreSQL database: each takes what it may, none runs a job of another, and
the jobs of one that vanished or slept are ended by the others, once."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import accumulate, pairwise
from pathlib import Path

import psutil
import pytest

from marketml.clients.training import TrainingClient
from marketml.training.v1 import training_pb2 as pb
from services.host.database import open_database
from services.training.jobs import FINAL_STATES, Draft, Event, Job, JobState
from services.training.store import Store
from tests.support.postgresql import PostgreSQL
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually
from tests.training.crews import MIGRATIONS, filled_config
from tests.training.test_store import assert_sound

NOWHERE = "127.0.0.1:1"
LEASE_SECONDS = 2.0
# A room that was stopped in the middle of a transaction keeps its job's row until PostgreSQL ends the idle
# session, after a minute.
WAIT_SECONDS = 100.0


class Pair:
    """Two rooms over one database; one that a test killed comes back for the next."""

    def __init__(self, store: Store, url: str, folder: Path) -> None:
        self.store = store
        self._url = url
        self._folder = folder
        self._rooms: dict[str, RoomProcess] = {}
        self._opened = ExitStack()

    def rooms(self) -> list[RoomProcess]:
        """Both rooms, running. The first runs one job at a time, the second two."""
        for name, jobs_count in (("one", 1), ("two", 2)):
            if name not in self._rooms or self._rooms[name].process.poll() is not None:
                self._rooms[name] = room = self._start(name, jobs_count)
                self._opened.push(room)
        return [room.wait_ready() for room in self._rooms.values()]

    def _start(self, name: str, jobs_count: int) -> RoomProcess:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return RoomProcess(
            "training",
            folder,
            module="tests.training.scripted_room",
            database_url=self._url,
            lease_seconds=LEASE_SECONDS,
            jobs_count=jobs_count,
            job_threads_count=1,
            **dict.fromkeys(("data_target", "features_target", "registry_target"), NOWHERE),
        )

    def close(self) -> None:
        self._opened.close()

    def queue(self, script: str) -> str:
        """Put a job into the database, where either room finds it."""
        return self.store.start_job("", b"", Draft(script, filled_config(), 1), 1000)[0].job_id

    def metrics(self, job_id: str, name: str) -> list[tuple[int, float]]:
        """The attempt and the value of each time that a worker told it."""
        found = [(event.attempt, json.loads(event.detail).get("metric")) for event in self.events(job_id)]
        return [(attempt, told["value"]) for attempt, told in found if told and told["name"] == name]

    def events(self, job_id: str) -> list[Event]:
        return self.store.events_after(job_id, 0, 100_000)

    def holder(self, job_id: str, attempt: int) -> tuple[RoomProcess, psutil.Process]:
        """The room that has the job, and its worker, once that has told its process id."""

        def told() -> tuple[float, float] | None:
            pids = [dict(self.metrics(job_id, name)).get(attempt) for name in ("server", "pid")]
            return None if None in pids else (pids[0], pids[1])  # type: ignore[return-value]

        server, worker = eventually(told, WAIT_SECONDS, f"attempt {attempt}")
        return self._room(server), psutil.Process(int(worker))

    def ran(self, job_id: str) -> RoomProcess:
        """The room whose worker ran a job to its end."""
        return self._room(self.metrics(job_id, "server")[-1][1])

    def _room(self, pid: float) -> RoomProcess:
        (room,) = [each for each in self._rooms.values() if each.pid == int(pid)]
        return room

    def until(self, job_id: str, *states: JobState) -> Job:
        def reached() -> Job | None:
            job = self.store.get(job_id)
            return job if job.state in states else None

        return eventually(reached, WAIT_SECONDS, f"{states}")


@pytest.fixture(scope="module")
def started(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with (
        postgresql.new_database() as url,
        open_database(url, migrations=MIGRATIONS, connections=2) as database,
    ):
        pair = Pair(Store(database), url, tmp_path_factory.mktemp("rooms"))
        try:
            yield pair
        finally:
            pair.close()


@pytest.fixture
def pair(started: Pair) -> Pair:
    started.rooms()
    return started


def test_rooms_that_share_a_database_run_every_job_once_and_no_more_than_each_may(pair: Pair) -> None:
    one, two = pair.rooms()
    held = [pair.queue("murmurs") for _ in range(3)]
    waiting = [pair.queue("succeeds") for _ in range(4)]
    holders = [pair.holder(job_id, 1)[0] for job_id in held]
    assert (holders.count(one), holders.count(two)) == (1, 2)
    assert {pair.store.get(job_id).state for job_id in waiting} == {JobState.QUEUED}
    for job_id in held:
        end(one, job_id)
    for job_id in (*held, *waiting):
        job = pair.until(job_id, *FINAL_STATES)
        assert (job.state, job.attempt) == (JobState.SUCCEEDED, 1)
        numbers = [value for _, value in pair.metrics(job_id, "n")]
        assert numbers == list(range(len(numbers)))
        assert_sound(pair.store, job_id)
    for room, jobs_count in ((one, 1), (two, 2)):
        taken = [pair.store.get(each) for each in (*held, *waiting) if pair.ran(each) is room]
        moves = [(job.start_time_us, 1) for job in taken] + [(job.end_time_us, -1) for job in taken]
        assert max(accumulate(change for _, change in sorted(moves))) == jobs_count


def test_the_job_of_a_killed_room_is_taken_over_and_ends_once(pair: Pair) -> None:
    job_id = pair.queue("murmurs")
    room, worker = pair.holder(job_id, 1)
    (other,) = [each for each in pair.rooms() if each is not room]
    room.kill()
    eventually(lambda: not worker.is_running(), 10, "the end of the orphan")
    survivor, second = pair.holder(job_id, 2)
    assert survivor is other
    with TrainingClient(other.target) as client:
        client.stop_training(job_id, pb.STOP_MODE_KEEP_BEST)
        seen = list(client.watch_training(job_id, timeout=WAIT_SECONDS))
    job = pair.store.get(job_id)
    assert (job.state, job.attempt, job.death_count) == (JobState.SUCCEEDED, 2, 1)
    assert [event.sequence for event in seen] == list(range(1, job.last_sequence + 1))
    assert [each.state for each in states(seen)] == [
        pb.JOB_STATE_QUEUED,
        pb.JOB_STATE_RUNNING,
        pb.JOB_STATE_QUEUED,
        pb.JOB_STATE_RUNNING,
        pb.JOB_STATE_STOPPING,
        pb.JOB_STATE_SUCCEEDED,
    ]
    assert_sound(pair.store, job_id)
    eventually(lambda: not second.is_running(), 10, "the end of the worker")


def test_a_room_that_slept_beyond_its_lease_is_fenced_when_it_wakes(pair: Pair) -> None:
    one, two = pair.rooms()
    busy, *asleep = sorted(
        (pair.queue("murmurs") for _ in range(3)), key=lambda job_id: pair.holder(job_id, 1)[0] is two
    )
    workers = [pair.holder(job_id, 1)[1] for job_id in asleep]
    two.process.send_signal(signal.SIGSTOP)
    try:
        end(one, busy)
        again = [lambda each=each: pair.store.get(each).attempt == 2 and each for each in asleep]
        ended = eventually(lambda: again[0]() or again[1](), WAIT_SECONDS, "a job that is taken over")
        end(one, ended)
        before = pair.until(ended, JobState.SUCCEEDED)
        (runs,) = set(asleep) - {ended}
        survivor, second = pair.holder(runs, 2)
        assert survivor is one
        assert all(worker.is_running() for worker in workers)  # their words wait in the pipes
    finally:
        two.process.send_signal(signal.SIGCONT)
    eventually(
        lambda: not any(worker.is_running() for worker in workers), 30, "the end of the fenced workers"
    )
    assert pair.store.get(ended) == before
    assert second.is_running()
    end(two, runs)
    assert pair.until(runs, *FINAL_STATES).state is JobState.SUCCEEDED
    for job_id in asleep:
        assert pair.store.get(job_id).attempt == 2
        attempts = [event.attempt for event in pair.events(job_id)]
        assert attempts == sorted(attempts), "nothing of the first attempt is stored after the second began"
        told = [value for attempt, value in pair.metrics(job_id, "n") if attempt == 1]
        assert all(after == before + 1 for before, after in pairwise(told))
        assert_sound(pair.store, job_id)
    # The room goes on: it takes what the other one has no place for.
    waiting = [pair.queue("murmurs") for _ in range(3)]
    assert {pair.holder(each, 1)[0] for each in waiting} == {one, two}
    for each in waiting:
        end(two, each)
    for each in waiting:
        assert pair.until(each, *FINAL_STATES).state is JobState.SUCCEEDED


def end(room: RoomProcess, job_id: str) -> None:
    """Tell a job to keep its best, at whichever room."""
    with TrainingClient(room.target) as client:
        client.stop_training(job_id, pb.STOP_MODE_KEEP_BEST)


def states(events: list[pb.Event]) -> list[pb.StateChanged]:
    return [event.state_changed for event in events if event.HasField("state_changed")]
