"""The folder of a job: there for every attempt, gone when the job has ended, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.training.__main__ import main
from services.training.crew.checkpoint_folders import CheckpointFolders
from services.training.jobs import FINAL_STATES, JobState, StopMode
from services.training.store import Store
from tests.support.waiting import eventually
from tests.training.crews import Crewed, crewed, sqlite_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with sqlite_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def stop(jobs: Crewed, job_id: str) -> None:
    """As the application does."""
    job, event = jobs.store.stop(job_id, StopMode.DISCARD)
    if event is not None:
        jobs.supervisor.tell([event])
    if not job.is_final:
        jobs.supervisor.stop(job_id, StopMode.DISCARD)


def test_an_attempt_finds_what_the_one_before_left_and_nothing_is_left_of_an_ended_job(
    store: Store, root: Path
) -> None:
    with crewed(store, root) as jobs:
        job_id = jobs.queue("keeps")
        job = jobs.until(job_id, *FINAL_STATES)
        assert (job.state, job.attempt) == (JobState.SUCCEEDED, 3)
        assert jobs.metrics(job_id, "kept") == [0, 1, 2]
        eventually(lambda: not list(root.iterdir()), what="the end of the folder")


def test_the_folder_goes_when_the_job_fails_or_is_stopped(store: Store, root: Path) -> None:
    with crewed(store, root, attempts_count=2) as jobs:
        assert jobs.until(jobs.queue("keeps"), *FINAL_STATES).state is JobState.FAILED
        job_id = jobs.queue("waits")
        jobs.worker(job_id)
        assert (root / job_id).stat().st_mode & 0o077 == 0
        stop(jobs, job_id)
        assert jobs.until(job_id, *FINAL_STATES).state is JobState.STOPPED
        eventually(lambda: not list(root.iterdir()), what="the end of the folders")


def test_a_server_that_ends_leaves_the_folder_for_the_next_one_and_a_stop_before_that_removes_it(
    store: Store, root: Path
) -> None:
    with crewed(store, root) as jobs:
        job_id = jobs.queue("deaf")
        jobs.worker(job_id)
    assert (root / job_id).is_dir()
    assert store.get(job_id).state is JobState.QUEUED
    with crewed(store, root, jobs_count=0) as jobs:
        stop(jobs, job_id)
        assert not (root / job_id).exists()


def test_a_start_sweeps_what_ended_jobs_left_and_nothing_else(store: Store, root: Path) -> None:
    with crewed(store, root) as jobs:
        jobs.supervisor.close()
        ended, waiting = jobs.queue("succeeds"), jobs.queue("waits")
        store.stop(ended, StopMode.DISCARD)  # by another server
    unknown = "f" * 32
    for name in (ended, waiting, unknown, "lost+found"):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_bytes(b"kept")
    (root / "note").write_text("of the operator")
    with crewed(store, root, jobs_count=0):
        eventually(lambda: not (root / ended).exists(), what="the sweep")
    assert {entry.name for entry in root.iterdir()} == {waiting, unknown, "lost+found", "note"}
    assert (root / waiting / "file").read_bytes() == b"kept"


def test_many_leftovers_are_swept_in_one_go(store: Store, root: Path) -> None:
    with crewed(store, root) as jobs:
        jobs.supervisor.close()
        job_id = jobs.queue("succeeds")
        store.stop(job_id, StopMode.DISCARD)
    folders = CheckpointFolders(root)
    for number in range(1200):
        folders.open(f"{number:032x}")
    folders.open(job_id)
    assert folders.sweep(store.ended) == 1
    assert len(list(root.iterdir())) == 1200


def test_a_job_runs_without_checkpoints_where_none_can_be_kept_and_says_so(
    store: Store, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with crewed(store, blocked) as jobs:
        job = jobs.until(jobs.queue("keeps"), *FINAL_STATES)
        assert (job.state, job.attempt) == (JobState.SUCCEEDED, 1)
        (warned,) = [each["warning"] for each in jobs.details(job.job_id) if "warning" in each]
        assert warned["message"].startswith("This attempt keeps no checkpoint")
        assert str(tmp_path) not in warned["message"]


def test_a_room_whose_checkpoints_have_no_place_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKETML_TRAINING_CHECKPOINTS_FOLDER", "file/below")
    with pytest.raises(SystemExit):
        main()
    said = json.loads(capsys.readouterr().err)["message"]
    assert said.endswith("MARKETML_TRAINING_CHECKPOINTS_FOLDER cannot be made: Not a directory.")
