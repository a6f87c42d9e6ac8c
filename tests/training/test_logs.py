"""The logs of a job: what its workers wrote, in order, bounded, without what is nobody's business, and of no
attempt that is over."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from marketml.cli.main import cli
from marketml.rpc.refusals import Aborted, InvalidArgument, NotFound, OutOfRange, Unavailable
from marketml.training.v1 import training_pb2 as pb
from services.host.database import open_database
from services.training import store_logs
from services.training.crew import worker_log
from services.training.crew.worker_log import WorkerLog, entry_of, shown
from services.training.jobs import Death, Ending, JobState, LogEntry
from services.training.store import Store
from tests.support.waiting import eventually
from tests.training.crews import MIGRATIONS, sqlite_store
from tests.training.test_store import queue, running
from tests.training.test_watch import Watched, serving

GONE = Death("Gone.")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_database(database_url, migrations=MIGRATIONS) as database:
        yield Store(database)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with serving(tmp_path_factory.mktemp("room"), heartbeat_seconds=0.2) as served:
        yield served


def entries(*messages: str) -> list[LogEntry]:
    return [LogEntry(1_700_000_000_000_000, "INFO", "marketml.test", message) for message in messages]


def told(store: Store, job_id: str, **more: Any) -> list[tuple[int, int, str]]:
    asked = {"attempt": None, "line": 0, "count": 10_000} | more
    return [(each.line, each.attempt, each.entry.message) for each in store.logs.after(job_id, **asked)]


def test_lines_are_numbered_over_all_attempts_and_an_attempt_that_is_over_adds_none(store: Store) -> None:
    job = running(store)
    store.logs.append(job.job_id, 1, entries("a", "b"))
    store.release(job.job_id, 1, GONE, 3)
    for is_claimed in (False, True):
        if is_claimed:
            assert store.claim(60)
        with pytest.raises(Aborted):
            store.logs.append(job.job_id, 1, entries("late"))
    store.logs.append(job.job_id, 2, entries("c"))
    assert told(store, job.job_id) == [(1, 1, "a"), (2, 1, "b"), (3, 2, "c")]
    assert told(store, job.job_id, attempt=1) == [(1, 1, "a"), (2, 1, "b")]
    assert told(store, job.job_id, line=1, count=1) == [(2, 1, "b")]
    assert store.logs.last_line(job.job_id) == 3
    store.end(job.job_id, 2, Ending(JobState.SUCCEEDED, "Done.", result={}))
    with pytest.raises(Aborted):
        store.logs.append(job.job_id, 2, entries("after the end"))


def test_only_the_newest_lines_of_a_job_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_logs, "LINES_MAX", 5)
    job, other = running(store), running(store)
    store.logs.append(other.job_id, 1, entries("other"))
    store.logs.append(job.job_id, 1, entries(*"abcd"))
    store.logs.append(job.job_id, 1, entries("e", "f"), lost_count=3)
    assert told(store, job.job_id) == [(8, 1, "e"), (9, 1, "f")]
    store.logs.append(job.job_id, 1, entries(*"ghijklm"))
    assert told(store, job.job_id) == [(12 + n, 1, name) for n, name in enumerate("ijklm")]
    assert told(store, other.job_id) == [(1, 1, "other")]


def test_the_lines_of_jobs_that_ended_long_ago_are_forgotten(store: Store) -> None:
    ended, runs = running(store), running(store)
    for job in (ended, runs):
        store.logs.append(job.job_id, 1, entries("a", "b"))
    store.end(ended.job_id, 1, Ending(JobState.SUCCEEDED, "Done.", result={}))
    assert store.logs.sweep(3600) == 0
    assert store.logs.sweep(-1) == 2
    assert told(store, ended.job_id) == []
    assert store.logs.last_line(ended.job_id) == 2
    assert len(told(store, runs.job_id)) == 2


def test_what_a_worker_writes_is_read_while_it_runs_without_paths_and_secrets(room: Watched) -> None:
    job_id = room.queue("chats")

    def first_words(attempt: int) -> list[pb.LogEntry]:
        if room.client.get_training(job_id).attempt < attempt:
            return []
        found = list(room.client.read_training_logs(job_id, attempt=attempt))
        return found[:6] if len(found) >= 6 else []

    first = eventually(lambda: first_words(2), 30, "the lines of the second attempt, which runs")
    assert room.client.get_training(job_id).state == pb.JOB_STATE_RUNNING
    assert [(entry.level, entry.logger) for entry in first] == [
        ("INFO", "marketml.chat"),
        ("ERROR", "marketml.chat"),
        ("INFO", "stderr"),
        ("INFO", "stderr"),
        ("INFO", "stderr"),
        ("WARNING", "marketml.chat"),
    ]
    assert first[0].message == "Reads …/rows.parquet of postgresql://…@host/name."
    assert first[1].message == "It is broken."
    assert first[2].message == "printed with password=…"
    assert first[3].message == "\ufffd\ufffd not UTF-8 \ufffd and NUL"
    assert first[4].message == "x" * 1997 + "…"
    assert len(first[5].message.encode()) <= 2_000
    assert "canary" not in str(first)
    assert "Traceback" not in str(first)
    times = [entry.time.ToNanoseconds() for entry in first]
    assert min(times) > room.client.get_training(job_id).create_time.ToNanoseconds() - 10**9
    handle = room.client.handle(job_id)
    follower: list[pb.LogEntry] = []
    thread = threading.Thread(target=lambda: follower.extend(handle.logs(follow=True)))
    thread.start()
    eventually(lambda: len(follower) >= 13, 30, "what is there so far")
    room.client.stop_training(job_id, pb.STOP_MODE_KEEP_BEST)
    assert handle.result(60).state == pb.JOB_STATE_SUCCEEDED
    thread.join(60)
    kept = list(handle.logs())
    assert follower == kept
    assert [entry.line for entry in kept] == list(range(1, len(kept) + 1))
    assert [entry.attempt for entry in kept] == sorted(entry.attempt for entry in kept)
    assert [entry.message for entry in kept if "last words" in entry.message] == [
        "The last words of attempt 1.",
        "The last words of attempt 2.",
    ]
    assert list(handle.logs(after_line=len(kept))) == []
    assert list(handle.logs(after_line=3, attempt=1)) == [each for each in kept[3:] if each.attempt == 1]


def test_a_worker_that_prints_a_lot_is_not_held_up_and_its_newest_lines_are_there(room: Watched) -> None:
    job_id = room.queue("floods")
    assert room.client.handle(job_id).result(60).state == pb.JOB_STATE_SUCCEEDED
    kept = list(room.client.read_training_logs(job_id))
    assert 0 < len(kept) <= 2_000
    assert [entry.line for entry in kept] == list(range(6_001 - len(kept), 6_001))
    assert [entry.message for entry in kept] == [f"line {entry.line - 1}" for entry in kept]


def test_what_cannot_be_read_is_refused(room: Watched) -> None:
    job_id = room.queue("succeeds")
    room.client.handle(job_id).result(60)
    for arguments, kind, field in (
        ({"job_id": "x"}, InvalidArgument, "job_id"),
        ({"job_id": "0" * 32}, NotFound, "job"),
        ({"job_id": job_id, "after_line": -1}, InvalidArgument, "after_line"),
        ({"job_id": job_id, "attempt": 0}, InvalidArgument, "attempt"),
        ({"job_id": job_id, "attempt": 2}, OutOfRange, "attempt: must be at most 1"),
        ({"job_id": job_id, "after_line": 2**62}, OutOfRange, "after_line: must be at most "),
    ):
        with pytest.raises(kind, match=field):
            list(room.client.read_training_logs(**arguments))  # type: ignore[arg-type]


def test_the_command_shows_the_lines_and_follows_a_job_to_its_end(room: Watched) -> None:
    job_id = room.queue("floods")
    words = ["train", "logs", job_id, "--training-endpoint", room.served.target]
    followed = CliRunner().invoke(cli, [*words, "--follow"])
    assert followed.exit_code == 0, followed.output
    assert followed.stdout.splitlines()[-1].endswith(" 1 INFO line 5999")
    some = CliRunner().invoke(cli, [*words, "--after", "5990", "--json"])
    shown_lines = [json.loads(line) for line in some.stdout.splitlines()]
    assert [(each["line"], each["message"]) for each in shown_lines] == [
        (number + 1, f"line {number}") for number in range(5990, 6000)
    ]
    refused = CliRunner().invoke(cli, [*words[:2], "0" * 32, *words[3:]])
    assert refused.exit_code == 3


def test_what_cannot_be_stored_now_waits_and_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_log, "PENDING_COUNT", 3)
    stored: list[tuple[list[str], int]] = []
    refusals: list[Exception] = [Unavailable("Away."), Unavailable("Away.")]

    def append(found: Any, lost_count: int) -> None:
        if refusals:
            raise refusals.pop()
        stored.append(([each.message for each in found], lost_count))

    log = WorkerLog(append)
    log.read(io.BytesIO(b"a\nb\n"))
    log.flush()
    log.read(io.BytesIO(b"c\nd\n"))
    log.flush()
    log.read(io.BytesIO(b"e"))
    log.flush()
    log.flush()
    assert stored == [(["c", "d", "e"], 2)]
    refusals.append(Aborted("Over."))
    log.read(io.BytesIO(b"f\n"))
    log.flush()
    log.flush()
    assert len(stored) == 1


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ('File "/work/main/services/x.py", line 3', 'File "…/x.py", line 3'),
        ("open(./a/b/c.txt) and ~/models/m.bin", "open(…/c.txt) and …/m.bin"),
        ("file:///root/.ssh/id_rsa", "file://…/id_rsa"),
        ("BTC/USDT:USDT at 12 rows/s, 1/2 done", "BTC/USDT:USDT at 12 rows/s, 1/2 done"),
        ("see https://host.name:8/a/b?c=d", "see https://host.name:8/a/b?c=d"),
        ("api_key: abc, Token=x y", "api_key: … Token=… y"),
        ("s3://key:word@bucket/x", "s3://…@bucket/x"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_paths_and_credentials_are_left_out_and_nothing_else(text: str, instead: str) -> None:
    assert shown(text) == instead


_SAID = st.fixed_dictionaries(
    {},
    optional={
        name: st.none()
        | st.text(max_size=30)
        | st.integers()
        | st.sampled_from(["INFO", "2024-01-01T00:00:00"])
        for name in ("time", "level", "logger", "message")
    },
)


@given(st.binary(max_size=200) | _SAID.map(lambda said: json.dumps(said).encode()))
def test_any_line_becomes_an_entry_that_every_database_takes(line: bytes) -> None:
    entry = entry_of(line, 5)
    assert "\0" not in entry.message + entry.logger
    assert entry.message.encode().decode() == entry.message
    assert len(entry.message.encode()) <= 2_000
    assert len(entry.logger) <= 100
    assert entry.level in worker_log.LEVELS
    assert 0 <= entry.time_us < 2**62


def test_the_largest_entry_is_stored_and_read(store: Store) -> None:
    job = running(store)
    largest = LogEntry(2**62 - 1, "CRITICAL", "l" * 100, shown("€" * 10_000))
    store.logs.append(job.job_id, 1, [largest])
    assert [each.entry for each in store.logs.after(job.job_id, None, 0, 10)] == [largest]


def test_a_job_that_waits_has_no_lines(tmp_path: Path) -> None:
    with sqlite_store(tmp_path) as store:
        job = queue(store)
        assert store.logs.last_line(job.job_id) == 0
        with pytest.raises(Aborted):
            store.logs.append(job.job_id, 0, entries("nobody's"))
