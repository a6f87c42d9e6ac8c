"""Watching jobs: every event once and in order, from any number, for any number of watchers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from marketml.clients.training import JobFailed, JobStopped, TrainingClient
from marketml.rpc.channels import open_channel
from marketml.rpc.refusals import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    OutOfRange,
    Unavailable,
)
from marketml.training.v1 import training_pb2 as pb
from marketml.training.v1.training_pb2_grpc import TrainingServiceStub
from services.host.database import open_database
from services.training.__main__ import MIGRATIONS, build, endpoints
from services.training.jobs import Draft, JobState
from services.training.neighbours import Neighbours
from services.training.settings import TrainingSettings
from services.training.store import Store
from tests.support.servers import Served, serve_in_process
from tests.support.waiting import eventually
from tests.training.crews import COMMAND, filled_config

NOWHERE = "127.0.0.1:1"


class Watched:
    """A served training room whose jobs follow a script, and its client."""

    def __init__(self, served: Served, store: Store, client: TrainingClient) -> None:
        self.served = served
        self.store = store
        self.client = client

    def queue(self, script: str) -> str:
        """Put a job into the store as `StartTraining` does once the neighbours were asked."""
        return self.store.start_job("", b"", Draft(script, filled_config(), 1), 1000)[0].job_id


@contextmanager
def serving(folder: Path, **more: Any) -> Iterator[Watched]:
    settings = TrainingSettings(
        **{
            "address": "127.0.0.1:0",
            "database_url": f"sqlite:///{folder}/training.sqlite",
            "checkpoints_folder": folder / "checkpoints",
            **dict.fromkeys(("data_target", "features_target", "registry_target"), NOWHERE),
            "health_address": "127.0.0.1:0",
            "metrics_address": "127.0.0.1:0",
            "job_threads_count": 1,
            "measures_host_at_start": False,
        }
        | more
    )
    with (
        open_database(settings.database_url, migrations=MIGRATIONS) as database,
        closing(Neighbours(endpoints(settings))) as rooms,
        serve_in_process(build(settings, database, rooms, COMMAND), settings) as served,
        TrainingClient(served.target) as client,
    ):
        yield Watched(served, Store(database), client)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Watched]:
    with serving(tmp_path, heartbeat_seconds=0.2) as served:
        yield served


def test_a_watch_replays_follows_and_ends_with_the_job(room: Watched) -> None:
    job_id = room.queue("succeeds")
    events = list(room.client.watch_training(job_id, timeout=60))
    job = room.client.get_training(job_id)
    assert [event.sequence for event in events] == list(range(1, job.last_sequence + 1))
    assert events[-1].state_changed.state == pb.JOB_STATE_SUCCEEDED
    assert all(event.HasField("time") for event in events)
    assert events == list(room.client.watch_training(job_id))


def test_who_left_and_came_back_saw_the_same_events(room: Watched) -> None:
    job_id = room.queue("counts")
    seen: list[pb.Event] = []
    for _ in range(4):
        for event in room.client.watch_training(job_id, seen[-1].sequence if seen else 0, timeout=60):
            seen.append(event)
            if len(seen) % 40 == 0:
                break
    room.client.stop_training(job_id)
    seen += room.client.watch_training(job_id, seen[-1].sequence, timeout=60)
    assert seen == list(room.client.watch_training(job_id))


def test_a_watch_of_an_ended_job_starts_where_it_is_told(room: Watched) -> None:
    job_id = room.queue("succeeds")
    events = list(room.client.watch_training(job_id, timeout=60))
    last = events[-1].sequence
    for after in range(last + 1):
        assert list(room.client.watch_training(job_id, after)) == events[after:]
    with pytest.raises(OutOfRange, match=f"at most {last}"):
        list(room.client.watch_training(job_id, last + 1))


def test_what_cannot_be_watched_is_refused(room: Watched) -> None:
    job_id = room.queue("waits")
    for arguments, kind in (
        ((job_id, -1), InvalidArgument),
        ((job_id, 2**63 - 1), OutOfRange),
        (("", 0), InvalidArgument),
        (("../../etc/passwd", 0), InvalidArgument),
        (("0" * 32, 0), NotFound),
    ):
        with pytest.raises(kind):
            list(room.client.watch_training(*arguments))


def test_an_idle_watch_beats_and_holds_no_thread(tmp_path: Path) -> None:
    with serving(tmp_path, heartbeat_seconds=0.2, threads_count=2, grace_seconds=0) as room:
        job_id = room.queue("waits")
        with open_channel(room.served.target) as channel:
            stub: Any = TrainingServiceStub
            watches = [stub(channel).WatchTraining(pb.WatchTrainingRequest(job_id=job_id)) for _ in range(30)]
            for watch in watches:
                beat = next(part for part in watch if part.HasField("heartbeat"))
                assert beat.heartbeat.last_sequence >= 1
                assert beat.heartbeat.HasField("time")
            assert room.client.get_training(job_id).job_id == job_id  # a thread is free
            for watch in watches:
                watch.cancel()


def test_a_hundred_watchers_see_every_event_and_the_job_does_not_wait_for_the_slow_ones(
    room: Watched,
) -> None:
    job_id = room.queue("counts")
    go_on = threading.Event()

    def watch(number: int) -> list[int]:
        found = []
        for event in room.client.watch_training(job_id, timeout=120):
            found.append(event.sequence)
            if number % 10 == 0 and len(found) == 3:
                go_on.wait(60)  # reads nothing for a long while
        return found

    with ThreadPoolExecutor(100) as pool:
        watches = [pool.submit(watch, number) for number in range(100)]
        eventually(lambda: room.store.get(job_id).last_sequence > 200, 60, "200 events while ten stand still")
        room.client.stop_training(job_id)
        eventually(lambda: room.store.get(job_id).is_final, 30)
        go_on.set()
        seen = [watch.result(120) for watch in watches]
    last = room.store.get(job_id).last_sequence
    assert all(found == list(range(1, last + 1)) for found in seen)


def test_five_hundred_watchers_that_stand_still_do_not_hold_up_the_job_and_see_it_all_later(
    room: Watched,
) -> None:
    job_id = room.queue("murmurs")
    make: Any = TrainingServiceStub
    request = pb.WatchTrainingRequest(job_id=job_id)
    with ExitStack() as opened:
        options = [("grpc.use_local_subchannel_pool", 1)]  # else the channels were one connection
        channels = [opened.enter_context(open_channel(room.served.target, options=options)) for _ in range(4)]
        stubs = [make(channel) for channel in channels]
        watches = [stubs[number % 4].WatchTraining(request) for number in range(500)]
        firsts = [next(watch).event.sequence for watch in watches]
        assert firsts == [1] * 500
        seen = room.store.get(job_id).last_sequence
        eventually(lambda: room.store.get(job_id).last_sequence > seen + 10, 60, "events that nobody reads")
        room.client.stop_training(job_id)
        eventually(lambda: room.store.get(job_id).is_final, 30)
        last = room.store.get(job_id).last_sequence
        for watch in watches:
            rest = [part.event.sequence for part in watch if part.HasField("event")]
            assert rest == list(range(2, last + 1))


def test_thousands_of_events_are_replayed_in_order(room: Watched) -> None:
    job_id = room.queue("waits")
    eventually(lambda: room.store.get(job_id).state is JobState.RUNNING, 30)
    detail = json.dumps({"metric": {"name": "n", "value": 1.0}})
    for _ in range(10):
        room.store.record(job_id, 1, [detail] * 500)
    room.client.stop_training(job_id)
    events = list(room.client.watch_training(job_id, timeout=120))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert len(events) > 5_000
    assert list(room.client.watch_training(job_id, 4_321)) == events[4_321:]


def test_a_watch_survives_its_server(tmp_path: Path) -> None:
    """The client goes on from the last event it saw, at the same address."""
    with serving(tmp_path, heartbeat_seconds=0.2, grace_seconds=0) as room:
        job_id = room.queue("counts")
        target = room.served.target
        seen: list[pb.Event] = []
        client = TrainingClient(target)

        def watch() -> None:
            seen.extend(client.watch_training(job_id, timeout=120))

        watcher = threading.Thread(target=watch)
        watcher.start()
        eventually(lambda: room.store.get(job_id).last_sequence > 20, 30)
    with serving(tmp_path, address=target, heartbeat_seconds=0.2, grace_seconds=0) as room:
        eventually(lambda: room.store.get(job_id).attempt == 2, 30)
        room.client.stop_training(job_id)
        watcher.join(60)
        assert not watcher.is_alive()
        client.close()
        assert seen == list(room.client.watch_training(job_id))
        assert seen[-1].state_changed.state == pb.JOB_STATE_STOPPED


def test_a_drained_server_ends_its_watches_and_leaves_the_job_waiting(tmp_path: Path) -> None:
    with serving(tmp_path, grace_seconds=30) as room:
        job_id = room.queue("waits")
        eventually(lambda: room.store.get(job_id).state is JobState.RUNNING)
        with open_channel(room.served.target) as channel:
            stub: Any = TrainingServiceStub
            watch = stub(channel).WatchTraining(pb.WatchTrainingRequest(job_id=job_id))
            next(watch)
            stopped = room.served.begin_stop(600)
            stopped.result(60)  # an endless stream does not use up the grace
            with pytest.raises(Unavailable):
                list(watch)
        assert room.store.get(job_id).state is JobState.QUEUED


def test_a_handle_gives_the_result_or_says_why_there_is_none(room: Watched) -> None:
    done = room.client.handle(room.queue("succeeds")).result(60)
    assert done.result.rounds == 3
    with pytest.raises(JobFailed) as failed:
        room.client.handle(room.queue("fails")).result(60)
    assert (failed.value.code, failed.value.reason) == ("FAILED_PRECONDITION", "TOO_LITTLE_DATA")
    waiting = room.client.handle(room.queue("waits"))
    with pytest.raises(DeadlineExceeded):
        waiting.result(0.5)
    waiting.stop()
    with pytest.raises(JobStopped) as stopped:
        waiting.result(60)
    assert stopped.value.job.state == pb.JOB_STATE_STOPPED


def test_the_room_counts_its_jobs_and_workers(room: Watched) -> None:
    moves = "marketml_training_job_moves_total"
    job_id = room.queue("waits")
    eventually(lambda: room.served.metric("marketml_training_workers") == 1)
    assert room.served.metric(moves, state="RUNNING") == 1
    room.client.stop_training(job_id)
    eventually(lambda: room.served.metric(moves, state="STOPPED") == 1)
    eventually(lambda: room.served.metric("marketml_training_workers") == 0)


def test_jobs_are_listed_newest_first_in_pages_that_hold_together(room: Watched) -> None:
    ids = [room.queue("succeeds") for _ in range(5)]
    waiting = room.queue("waits")
    for job_id in ids:
        room.client.handle(job_id).result(60)
    assert [job.job_id for job in room.client.list_trainings()] == [waiting, *reversed(ids)]
    assert [job.job_id for job in room.client.list_trainings(limit=2)] == [waiting, ids[-1]]
    assert len(room.client.list_trainings(pb.JOB_STATE_SUCCEEDED)) == 5
    assert len(room.client.list_trainings(model_name="waits")) == 1
    with open_channel(room.served.target) as channel:
        make: Any = TrainingServiceStub
        stub = make(channel)
        first = stub.ListTrainings(pb.ListTrainingsRequest(page_size=4))
        second = stub.ListTrainings(pb.ListTrainingsRequest(page_size=4, page_token=first.next_page_token))
        assert [job.job_id for page in (first, second) for job in page.jobs] == [waiting, *reversed(ids)]
        assert not second.next_page_token
        for wrong in (
            pb.ListTrainingsRequest(page_token="nonsense"),
            pb.ListTrainingsRequest(page_token="x" * 100_000),
            pb.ListTrainingsRequest(page_token=first.next_page_token, model_name="waits"),
            pb.ListTrainingsRequest(page_token=first.next_page_token[:-4] + "AAAA"),
        ):
            with pytest.raises(InvalidArgument, match="page_token"):
                stub.ListTrainings(wrong)
