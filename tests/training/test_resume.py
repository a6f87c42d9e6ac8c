"""Jobs whose workers and servers are killed: they go on from their checkpoints, to the same model."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psutil

from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.features.v1 import features_pb2
from marketml.training.v1 import training_pb2 as pb
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually
from tests.training.conftest import WAIT_SECONDS, quick_config


def kept(room: RoomProcess, suffix: str = "outcome") -> list[Path]:
    """What the jobs of a room have kept."""
    return sorted((room.folder / ".run" / "training" / "checkpoints").glob(f"*/*.{suffix}"))


def metrics(events: list[pb.Event], name: str) -> list[float]:
    return [event.metric.value for event in events if event.HasField("metric") and event.metric.name == name]


def kill_worker(room: RoomProcess) -> int:
    """Kill the worker; how many units its job had kept."""
    (worker,) = room.descendants()
    worker.suspend()
    worker_status = eventually(lambda: worker.status() == psutil.STATUS_STOPPED, 10, "the worker's rest")
    assert worker_status
    count = len(kept(room))
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    return count


def test_a_job_whose_worker_and_server_are_killed_repeats_at_most_one_unit_each_time(
    start_training_room: Callable[..., RoomProcess], registry: RegistryClient, training: TrainingClient
) -> None:
    config = quick_config(split__folds=5, model__lightgbm__rounds=400, early_stopping__enabled=False)
    config.early_stopping.ClearField("patience_rounds")
    calm = training.start_training("resumed.calm", config).result(WAIT_SECONDS)

    room = start_training_room(attempts_count=5)
    with TrainingClient(room.target) as client:
        job_id = client.start_training("resumed", config).job_id
        for count in (1, 2):
            eventually(lambda count=count: len(kept(room)) >= count, 60, f"{count} units")
            had = kill_worker(room)
            assert had >= count
        eventually(lambda: len(kept(room)) > had, 60, "a unit more")
    room.kill()
    had = len(kept(room))
    room = start_training_room(attempts_count=5)
    with TrainingClient(room.target) as client:
        job = client.handle(job_id).result(WAIT_SECONDS)
        events = list(client.watch_training(job_id))
    assert job.attempt == 4
    assert job.result.model_digest == calm.result.model_digest
    assert job.result.fold_table == calm.result.fold_table
    assert metrics(events, "units_recalled") == [had]
    assert [event.sequence for event in events] == list(range(1, job.last_sequence + 1))
    for attempt in range(1, 5):
        told = [event for event in events if event.attempt == attempt]
        fractions = [event.progress.fraction for event in told if event.HasField("progress")]
        assert fractions == sorted(fractions)
    finished = [event.fold_finished for event in events if event.HasField("fold_finished")]
    each = {fold.fold: fold.SerializeToString(deterministic=True) for fold in finished}
    assert len(each) == 5
    assert all(fold.SerializeToString(deterministic=True) == each[fold.fold] for fold in finished)
    assert [model.version for model in registry.list_models("resumed")] == [1]
    assert not kept(room)


def test_a_job_that_goes_on_does_not_choose_again_what_it_has_chosen(
    start_training_room: Callable[..., RoomProcess], neighbourhood: object
) -> None:
    config = quick_config(model__lightgbm__rounds=400, early_stopping__enabled=False)
    config.early_stopping.ClearField("patience_rounds")
    config.features.CopyFrom(
        features_pb2.FeatureConfig(
            selection=features_pb2.SelectionConfig(enabled=True, feature_count_limit=12)
        )
    )
    room = start_training_room()
    with TrainingClient(room.target) as client:
        handle = client.start_training("chosen", config)
        eventually(lambda: len(kept(room)) >= 1, 90, "a unit")
        kill_worker(room)
        chosen = {path: path.stat().st_mtime_ns for path in kept(room, "record")}
        assert chosen
        eventually(lambda: len(kept(room, "record")) > len(chosen), 90, "another choice")
        assert {path: path.stat().st_mtime_ns for path in chosen} == chosen
        job = handle.result(WAIT_SECONDS)
        events = list(client.watch_training(job.job_id))
    assert job.attempt == 2
    looked = metrics(events, "fold_1.selection.chosen")
    assert len(looked) == 2
    assert looked[0] == looked[1]
