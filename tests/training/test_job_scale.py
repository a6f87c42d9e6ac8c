"""Whole jobs whose units are fitted elsewhere than in their worker: the same model, and no process left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import psutil

from marketml.clients.training import JobHandle, TrainingClient
from marketml.training.v1 import training_pb2 as pb
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually
from tests.training.conftest import WAIT_SECONDS, quick_config


def fitters(room: RoomProcess) -> list[psutil.Process]:
    """The processes that fit for the room's workers."""
    found = []
    for process in room.descendants():
        with suppress(psutil.NoSuchProcess):
            if "services.training.workshop.fitter" in process.cmdline():
                found.append(process)
    return found


def wait_for_round(handle: JobHandle) -> None:
    """Wait until something is fitted."""
    for event in handle.watch(timeout=WAIT_SECONDS):
        if event.progress.HasField("round"):
            return
    raise AssertionError(f"the job ended before its first round: {handle.job()}")


def test_a_job_of_two_processes_that_is_killed_ends_with_the_model_of_one(
    start_training_room: Callable[..., RoomProcess], calm_job: pb.Job
) -> None:
    room = start_training_room(job_processes_count=2, job_threads_count=2)
    with TrainingClient(room.target) as client:
        handle = client.start_training("two", quick_config())
        first = eventually(lambda: len(found := fitters(room)) == 2 and found, 120, "two fitters")
        [worker] = {process.parent() for process in first}
        assert worker is not None
        worker.kill()
        eventually(lambda: not any(process.is_running() for process in first), 5, "the fitters' end")
        job = handle.result(WAIT_SECONDS)
        events = list(client.watch_training(job.job_id))
        eventually(lambda: not fitters(room), 10, "the end of the second attempt's fitters")
    assert job.attempt == 2
    assert job.result.model_digest == calm_job.result.model_digest
    assert job.result.fold_table == calm_job.result.fold_table
    assert [event.sequence for event in events] == list(range(1, job.last_sequence + 1))
    assert [proof.consumer for proof in job.result.proofs] == [
        proof.consumer for proof in calm_job.result.proofs
    ]


def test_a_job_of_two_processes_that_is_discarded_leaves_none(
    start_training_room: Callable[..., RoomProcess],
) -> None:
    room = start_training_room(job_processes_count=2, job_threads_count=2)
    config = quick_config(
        model__lightgbm__rounds=20_000,
        model__lightgbm__learning_rate=0.0001,
        early_stopping__enabled=False,
    )
    config.early_stopping.ClearField("patience_rounds")
    with TrainingClient(room.target) as client:
        handle = client.start_training("discarded", config)
        wait_for_round(handle)
        handle.stop(pb.STOP_MODE_DISCARD)
        eventually(lambda: handle.job().state == pb.JOB_STATE_STOPPED, 5, "the job's end")
        eventually(lambda: not room.descendants(), 5, "the end of worker and fitters")
