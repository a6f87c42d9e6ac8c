"""What a job took: measured from outside, over all attempts; and deaths for lack of memory, told as such."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.training.crew.resource_meter import ResourceMeter
from services.training.crew.worker_deaths import death_of
from services.training.jobs import FINAL_STATES, JobState, StopMode
from services.training.store import Store
from services.training.wire import write_job
from tests.support.waiting import eventually
from tests.training.crews import crewed, sqlite_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with sqlite_store(tmp_path) as opened:
        yield opened


def test_a_job_tells_what_its_workers_and_their_children_took_over_all_attempts(store: Store) -> None:
    with crewed(store, lease_seconds=1.0) as jobs:
        job_id = jobs.queue("burns")
        assert store.get(job_id).resources is None
        assert not write_job(store.get(job_id)).HasField("resources")
        for attempt in (1, 2):
            eventually(lambda count=attempt: len(jobs.metrics(job_id, "eaten")) == count, 30)
            seen = eventually(lambda: store.get(job_id).resources, 30, "what the running job takes")
            jobs.supervisor.stop(job_id, StopMode.KEEP_BEST)  # ends the pause of this worker
            eventually(lambda count=attempt: store.get(job_id).attempt > count or store.get(job_id).is_final)
        job = jobs.until(job_id, *FINAL_STATES)
        assert (job.state, job.attempt) == (JobState.SUCCEEDED, 2)
        assert job.resources is not None
        told = sum(jobs.metrics(job_id, "cpu_seconds"))
        assert job.resources.cpu_seconds > told - 0.1  # the kernel counts in hundredths
        assert job.resources.cpu_seconds < 2 * told + 2.0
        assert 60_000_000 < job.resources.peak_memory_bytes < 2_000_000_000
        assert job.resources.wall_seconds >= seen.wall_seconds
        written = write_job(job).resources
        assert written.cpu_seconds == job.resources.cpu_seconds
        assert written.peak_memory_bytes == job.resources.peak_memory_bytes
        assert written.wall_seconds == job.resources.wall_seconds


def test_memory_of_children_is_the_jobs_and_breaks_its_budget(store: Store) -> None:
    with crewed(store) as jobs:
        job = jobs.until(jobs.queue("fosters", budget={"max_memory_bytes": 150_000_000}), *FINAL_STATES)
        assert job.failure is not None
        assert job.failure["message"].startswith("config.budget.max_memory_bytes")
        assert job.resources is not None
        assert job.resources.peak_memory_bytes > 150_000_000


_MAPS = """
import mmap, subprocess, sys
code, path, children_count = sys.argv[1], sys.argv[2], int(sys.argv[3])
file = open(path, "rb")
mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
assert not any(mapped[0::4096])
words, pipe = [sys.executable, "-c", code, code, path, "0"], subprocess.PIPE
children = [subprocess.Popen(words, stdin=pipe, stdout=pipe) for _ in range(children_count)]
for child in children:
    child.stdout.readline()
print("mapped", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process tells what is its own")
def test_a_file_that_all_processes_of_a_job_map_counts_once(tmp_path: Path) -> None:
    size = 40_000_000
    (tmp_path / "matrix").write_bytes(bytes(size))
    words = [sys.executable, "-c", _MAPS, _MAPS, str(tmp_path / "matrix"), "2"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"mapped\n"
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        apart = sum(each.memory_info().rss for each in family)
        together = ResourceMeter(None).look(process.pid)
        assert len(family) == 3
        assert apart > 3 * size
        assert size < together < apart - 2 * size + 1_000_000


_FOSTERS_BY_A_THREAD = """
import subprocess, sys, threading
code, generations = sys.argv[1], int(sys.argv[2])
held = b"x" * (0 if generations else 40_000_000)
def foster():
    words = [sys.executable, "-c", code, code, str(generations - 1)]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    print("there", flush=True)
    child.communicate()
threading.Thread(target=foster).start() if generations else print("there", flush=True)
sys.stdin.read()
"""


def test_what_a_thread_starts_and_what_that_starts_counts() -> None:
    words = [sys.executable, "-c", _FOSTERS_BY_A_THREAD, _FOSTERS_BY_A_THREAD, "2"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        own = psutil.Process(process.pid).memory_info().rss
        assert own < 40_000_000 < ResourceMeter(None).look(process.pid)


def test_what_a_worker_leaves_behind_ends_with_it(store: Store) -> None:
    with crewed(store) as jobs:
        job_id = jobs.queue("fosters")
        (pid,) = eventually(lambda: jobs.metrics(job_id, "child"), 30)
        child = psutil.Process(int(pid))
        store.stop(job_id, StopMode.KEEP_BEST)
        jobs.supervisor.stop(job_id, StopMode.KEEP_BEST)
        assert jobs.until(job_id, *FINAL_STATES).state is JobState.SUCCEEDED
        eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told whom to kill")
def test_where_memory_runs_out_the_worker_goes_and_where_cores_do_it_waits_and_not_its_server(
    store: Store,
) -> None:
    with crewed(store) as jobs:
        job_id = jobs.queue("waits")
        worker = jobs.worker(job_id)
        ours, its = (int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (os.getpid(), worker.pid))
        assert its == 500 > ours
        assert worker.nice() > os.nice(0)
        store.stop(job_id, StopMode.DISCARD)
        jobs.supervisor.stop(job_id, StopMode.DISCARD)
        jobs.until(job_id, *FINAL_STATES)


def test_a_process_that_is_gone_takes_nothing_more() -> None:
    meter = ResourceMeter(None)
    assert meter.look(2**22 + 1) == 0
    assert meter.used() is None
    assert meter.look(psutil.Process().pid) > 0
    before = meter.used()
    assert before is not None
    meter.look(2**22 + 1)
    after = meter.used()
    assert after is not None
    assert (after.cpu_seconds, after.peak_memory_bytes) == (before.cpu_seconds, before.peak_memory_bytes)


@pytest.mark.parametrize(
    ("kills", "said", "is_of_memory"),
    [
        ((3, 4), "The kernel killed the worker because memory ran out; it had used 12,345 bytes.", True),
        ((3, 3), "The worker was killed by SIGKILL; the kernel counted no kill for lack of memory.", False),
        (
            (None, None),
            "The worker was killed by SIGKILL, signal 9, which the kernel uses when memory runs out; "
            "it had used 12,345 bytes.",
            False,
        ),
    ],
)
def test_a_kill_is_told_as_one_for_memory_where_the_kernel_counted_one(
    kills: tuple[int | None, int | None], said: str, is_of_memory: bool
) -> None:
    death = death_of(-signal.SIGKILL, kills, 12_345)
    assert (death.cause, death.is_of_memory, death.counts) == (said, is_of_memory, True)
    failure = death.ending(3, 3).failure or {}
    assert failure["code"] == ("RESOURCE_EXHAUSTED" if is_of_memory else "ABORTED")
    assert said in failure["message"]


@pytest.mark.parametrize(
    ("status", "said"),
    [(3, "ended with status 3"), (-signal.SIGSEGV, "killed by SIGSEGV"), (-50, "killed by signal 50")],
)
def test_other_deaths_are_not_for_memory(status: int, said: str) -> None:
    death = death_of(status, (3, 4), 1)
    assert said in death.cause
    assert not death.is_of_memory
