"""Whole jobs over the four rooms: from bars to a registered model, the same whatever happens on the way."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import psutil
import pytest

from marketml.clients.registry import RegistryClient
from marketml.clients.training import JobFailed, JobHandle, JobStopped, TrainingClient
from marketml.rpc.refusals import Unavailable
from marketml.training.v1 import training_pb2 as pb
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually
from tests.training.conftest import WAIT_SECONDS, Neighbourhood, quick_config


def slow_config() -> pb.TrainingConfig:
    """A config that trains for minutes, to be stopped or killed."""
    config = quick_config()
    config.model.lightgbm.rounds = 20_000
    config.model.lightgbm.learning_rate = 0.0001
    config.early_stopping.enabled = False
    config.early_stopping.ClearField("patience_rounds")
    return config


def kinds(events: list[pb.Event]) -> list[str]:
    return [str(event.WhichOneof("detail")) for event in events]


def workers(room: RoomProcess) -> list[psutil.Process]:
    return room.descendants()


def wait_for_stage(handle: JobHandle, stage: pb.JobStage) -> None:
    for event in handle.watch(timeout=WAIT_SECONDS):
        if event.HasField("stage_started") and event.stage_started.stage == stage:
            return
    raise AssertionError(f"the job ended before {pb.JobStage.Name(stage)}: {handle.job()}")


def test_a_job_trains_tells_and_registers(training: TrainingClient, registry: RegistryClient) -> None:
    handle = training.start_training("whole", quick_config())
    events = list(handle.watch(timeout=WAIT_SECONDS))
    job = handle.result()
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert [event.sequence for event in events] == list(range(1, job.last_sequence + 1))
    stages = [event.stage_started.stage for event in events if event.HasField("stage_started")]
    assert stages == sorted(set(stages)) == list(range(pb.JOB_STAGE_SNAPSHOT, pb.JOB_STAGE_REGISTER + 1))
    assert kinds(events).count("fold_finished") == 2
    assert kinds(events)[-1] == "state_changed"
    fractions = [event.progress.fraction for event in events if event.HasField("progress")]
    assert fractions == sorted(fractions)
    assert job.progress_fraction == 1.0
    assert job.resources.cpu_seconds > 0.1
    assert job.resources.peak_memory_bytes > 50_000_000
    assert 0.0 < job.resources.wall_seconds < WAIT_SECONDS
    logged = [entry.message for entry in handle.logs()]
    assert logged[0].startswith("Attempt 1 begins with ")
    assert logged[-1].startswith("Attempt 1 ends: Version ")
    assert [line for line in logged if line.endswith(" begins.")] == [
        f"{pb.JobStage.Name(stage).removeprefix('JOB_STAGE_')} begins." for stage in stages
    ]

    result = job.result
    assert result.row_count > 500
    assert result.feature_count == len(registry.get_model("whole")[1]["feature_names"])
    rows = {(row.baseline, row.metric): row for row in result.fold_table}
    assert rows["", "balanced_accuracy"].fold_count == 2
    assert {baseline for baseline, _ in rows} == {"", "majority", "persistence"}
    absent = rows["persistence", "log_loss"]
    assert not absent.HasField("mean")
    assert absent.absent_reason
    test = {row.metric: row for row in result.test if not row.baseline}
    assert test["log_loss"].low < test["log_loss"].value < test["log_loss"].high
    consumers = [proof.consumer for proof in result.proofs]
    assert consumers[0] == "final_test"
    assert all(proof.gap.ToNanoseconds() > 0 for proof in result.proofs)
    assert sum(each.share for each in result.importances) <= 1.0 + 1e-9

    model, manifest = registry.get_model("whole")
    assert (model.version, model.digest) == (result.model_version, result.model_digest)
    assert (model.job_id, model.snapshot_id) == (job.job_id, job.snapshot_id)
    assert job.job_id not in str(manifest)  # which would make every job's model another one
    assert manifest["seeds"] == {"run": 7}
    assert manifest["config"]["model"]["lightgbm"]["num_leaves"] == 7
    assert manifest["config"]["model"]["lightgbm"]["max_bin"] == 255  # a default, recorded
    assert manifest["data"]["snapshot_id"] == job.snapshot_id
    assert manifest["data"]["rows"] == 1500


def test_the_same_seed_and_snapshot_give_the_same_model_whatever_the_limits_and_another_seed_another(
    training: TrainingClient, registry: RegistryClient
) -> None:
    first = training.start_training("first", quick_config(model__lightgbm__subsample=0.5)).result(
        WAIT_SECONDS
    )
    again = quick_config(model__lightgbm__subsample=0.5)
    again.dataset.snapshot_id = first.snapshot_id  # the same rows, named otherwise
    again.features.limits.timeout_seconds = 77
    again.features.limits.max_rows = 5_000
    again.budget.max_duration.seconds = 777
    second = training.start_training("second", again).result(WAIT_SECONDS)
    again.seed = 8
    third = training.start_training("third", again).result(WAIT_SECONDS)
    assert first.result.model_digest == second.result.model_digest
    assert first.result.fold_table == second.result.fold_table
    assert third.result.model_digest != first.result.model_digest
    assert second.config.features.limits.timeout_seconds == 77
    _, manifest = registry.get_model("second")
    assert "limits" not in manifest["config"]["features"].keys() | manifest["features"]["config"].keys()


def test_a_job_walks_forward_and_scores_the_blocks_it_was_asked_for(training: TrainingClient) -> None:
    config = quick_config(split__walk_forward__folds=3, split__walk_forward__test_row_count=100)
    config.split.ClearField("folds")
    config.split.walk_forward.train_row_count = 250
    handle = training.start_training("walker", config)
    events = list(handle.watch(timeout=WAIT_SECONDS))
    finished = [event.fold_finished for event in events if event.HasField("fold_finished")]
    job = handle.result()
    assert job.config.split.walk_forward == config.split.walk_forward
    assert [(fold.fold, fold.fold_count) for fold in finished] == [(1, 3), (2, 3), (3, 3)]
    proofs = {proof.consumer: proof for proof in job.result.proofs}
    for number in (1, 2, 3):
        proof = proofs[f"fold_{number}"]
        assert (proof.held_out_row_count, proof.train_row_count) == (100, 250)
        assert proof.gap.ToNanoseconds() > 4 * 3600 * 1_000_000_000, "the embargo of four bars"
    assert {row.fold_count for row in job.result.fold_table if row.metric == "accuracy"} == {3}
    assert not job.result.paths
    assert not job.result.path_table


def test_a_job_of_combinatorial_folds_tells_the_scores_of_every_path(
    training: TrainingClient, registry: RegistryClient
) -> None:
    config = quick_config()
    config.split.ClearField("folds")
    config.split.combinatorial_purged.groups = 4
    handle = training.start_training("combined", config)
    job = handle.result(WAIT_SECONDS)
    assert job.config.split.combinatorial_purged.test_groups == 2
    assert not job.config.split.HasField("folds")
    assert [list(path.folds) for path in job.result.paths] == [[1, 1, 2, 3], [2, 4, 4, 5], [3, 5, 6, 6]]
    proofs = {proof.consumer: proof for proof in job.result.proofs}
    assert len([name for name in proofs if re.fullmatch("fold_[1-6]", name)]) == 6
    assert {path.row_count for path in job.result.paths} == {proofs["final_test"].train_row_count}
    table = {(row.baseline, row.metric): row for row in job.result.path_table}
    for path in job.result.paths:
        scores = {(one.baseline, one.metric): one for one in path.metrics}
        assert set(scores) == set(table)
        row = table["", "log_loss"]
        assert row.min <= scores["", "log_loss"].value <= row.max
    _, manifest = registry.get_model("combined")
    assert [path["number"] for path in manifest["scores"]["paths"]] == [1, 2, 3]
    assert {proof["consumer"] for proof in manifest["proof"]["splits"]} == set(proofs)
    assert all(proof["gap_microseconds"] > 0 for proof in manifest["proof"]["splits"])
    assert manifest["config"]["split"]["combinatorial_purged"] == {"groups": 4, "test_groups": 2}
    (brief,) = [each for each in training.list_trainings() if each.job_id == job.job_id]
    assert not brief.result.paths


@pytest.mark.parametrize("kind", ["xgboost", "random_forest"])
def test_the_other_models_train_too(training: TrainingClient, kind: str) -> None:
    config = quick_config()
    config.model.ClearField("lightgbm")
    if kind == "xgboost":
        config.model.xgboost.rounds = 20
        config.label.binary = True
    else:
        config.model.random_forest.trees = 20
        config.ClearField("early_stopping")
    job = training.start_training(kind, config).result(WAIT_SECONDS)
    assert len(job.result.class_names) == (2 if kind == "xgboost" else 3)
    assert job.config.early_stopping.enabled == (kind == "xgboost")


def test_a_job_whose_worker_was_killed_gives_the_model_it_would_have_given(
    start_training_room: Callable[..., RoomProcess], registry: RegistryClient, calm_job: pb.Job
) -> None:
    room = start_training_room()
    with TrainingClient(room.target) as training:
        handle = training.start_training("killed", quick_config())
        wait_for_stage(handle, pb.JOB_STAGE_FEATURES)
        workers(room)[0].send_signal(signal.SIGKILL)
        job = handle.result(WAIT_SECONDS)
        assert job.attempt == 2
        assert job.result.model_digest == calm_job.result.model_digest
        assert len(registry.list_models("killed")) == 1
        sequences = [event.sequence for event in handle.watch()]
        assert sequences == list(range(1, job.last_sequence + 1))


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_server_that_ends_leaves_no_orphan_and_its_job_runs_again_after_the_restart(
    start_training_room: Callable[..., RoomProcess], registry: RegistryClient, calm_job: pb.Job, end: str
) -> None:
    room = start_training_room()
    with TrainingClient(room.target) as training:
        handle = training.start_training(f"orphaned-{end}", quick_config())
        seen = []
        for event in handle.watch(timeout=WAIT_SECONDS):
            seen.append(event)
            if event.HasField("stage_started") and event.stage_started.stage == pb.JOB_STAGE_FEATURES:
                break
        assert workers(room)
        if end == "kill":
            room.kill()
            room.assert_nothing_left(10)
        else:
            assert room.stop() == 0  # which sees that nothing is left

    restarted = start_training_room()
    with TrainingClient(restarted.target) as training:
        job = training.handle(handle.job_id).result(WAIT_SECONDS)
        assert job.attempt == 2
        assert job.result.model_digest == calm_job.result.model_digest
        assert len(registry.list_models(f"orphaned-{end}")) == 1
        events = list(training.watch_training(handle.job_id))
        assert events[: len(seen)] == seen
        assert [event.sequence for event in events] == list(range(1, job.last_sequence + 1))


@pytest.mark.parametrize(
    "stage", [pb.JOB_STAGE_SNAPSHOT, pb.JOB_STAGE_FEATURES, pb.JOB_STAGE_CROSS_VALIDATION]
)
def test_a_discarded_job_leaves_no_process_and_no_model(
    shared_room: RoomProcess, training: TrainingClient, registry: RegistryClient, stage: pb.JobStage
) -> None:
    handle = training.start_training("discarded", slow_config())
    wait_for_stage(handle, stage)
    (worker,) = workers(shared_room)
    assert handle.stop(pb.STOP_MODE_DISCARD).state in (pb.JOB_STATE_STOPPING, pb.JOB_STATE_STOPPED)
    eventually(lambda: not worker.is_running(), 5.0, "the worker's end")
    with pytest.raises(JobStopped):
        handle.result(WAIT_SECONDS)
    assert handle.stop(pb.STOP_MODE_KEEP_BEST).state == pb.JOB_STATE_STOPPED
    assert not registry.list_models("discarded")


@pytest.mark.parametrize("stage", [pb.JOB_STAGE_FINAL_FIT, pb.JOB_STAGE_REGISTER])
def test_a_job_discarded_near_its_end_has_a_model_if_it_was_done_and_none_if_it_was_not(
    shared_room: RoomProcess, training: TrainingClient, registry: RegistryClient, stage: pb.JobStage
) -> None:
    name = f"late-{stage}"
    handle = training.start_training(name, quick_config())
    wait_for_stage(handle, stage)
    handle.stop(pb.STOP_MODE_DISCARD)
    eventually(lambda: not workers(shared_room), 5.0, "the worker's end")
    state = list(handle.watch(timeout=WAIT_SECONDS))[-1].state_changed.state
    assert state in (pb.JOB_STATE_STOPPED, pb.JOB_STATE_SUCCEEDED)
    assert len(registry.list_models(name)) == (1 if state == pb.JOB_STATE_SUCCEEDED else 0)


def test_a_job_told_to_keep_its_best_registers_what_it_has(
    training: TrainingClient, registry: RegistryClient
) -> None:
    handle = training.start_training("kept", slow_config())
    wait_for_stage(handle, pb.JOB_STAGE_CROSS_VALIDATION)
    handle.stop(pb.STOP_MODE_KEEP_BEST)
    job = handle.result(WAIT_SECONDS)
    assert job.result.stopped_early
    assert job.result.rounds < 20_000
    assert len(registry.list_models("kept")) == 1


def test_a_job_waits_for_a_room_that_comes_back(
    start_training_room: Callable[..., RoomProcess], neighbourhood: Neighbourhood
) -> None:
    folder = neighbourhood.registry.folder / "away"
    folder.mkdir()
    with RoomProcess("registry", folder) as registry:
        target = registry.target
        room = start_training_room(registry_target=target)
        with TrainingClient(room.target) as training:
            handle = training.start_training("patient", quick_config())
            wait_for_stage(handle, pb.JOB_STAGE_SNAPSHOT)
            registry.kill()
            wait_for_stage(handle, pb.JOB_STAGE_REGISTER)
            with RoomProcess("registry", folder, address=target):
                job = handle.result(WAIT_SECONDS)
            assert job.attempt == 1
            assert job.result.model_version == 1


def test_too_little_data_fails_with_need_and_have(training: TrainingClient) -> None:
    config = quick_config()
    config.label.fixed_horizon.horizon_bars = 1_400
    handle = training.start_training("short", config)
    with pytest.raises(JobFailed) as failed:
        handle.result(WAIT_SECONDS)
    assert (failed.value.code, failed.value.reason) == ("FAILED_PRECONDITION", "TOO_LITTLE_DATA")


def test_a_job_fails_with_the_neighbours_code_when_a_room_stays_away(
    start_training_room: Callable[..., RoomProcess], neighbourhood: Neighbourhood
) -> None:
    """The registry is asked at the start of the job, and is gone when the model is to be registered."""
    folder = neighbourhood.registry.folder / "gone"
    folder.mkdir()
    registry = RoomProcess("registry", folder)
    with registry:
        room = start_training_room(registry_target=registry.target, neighbour_retry_seconds=1)
        with TrainingClient(room.target) as training:
            handle = training.start_training("lonely", quick_config())
            wait_for_stage(handle, pb.JOB_STAGE_SNAPSHOT)
            registry.kill()
            with pytest.raises(JobFailed) as failed:
                handle.result(WAIT_SECONDS)
            assert (failed.value.code, failed.value.reason) == ("UNAVAILABLE", "NEIGHBOUR_DOWN")
            with pytest.raises(Unavailable, match="registry"):
                training.start_training("lonely", quick_config())


def test_the_room_does_the_same_on_postgresql(
    start_training_room: Callable[..., RoomProcess], postgresql_url: str, calm_job: pb.Job
) -> None:
    room = start_training_room(database_url=postgresql_url)
    with TrainingClient(room.target) as training:
        handle = training.start_training("postgresql", quick_config(), "once")
        assert training.start_training("postgresql", quick_config(), "once").job_id == handle.job_id
        job = handle.result(WAIT_SECONDS)
        assert job.result.model_digest == calm_job.result.model_digest
        assert [event.sequence for event in handle.watch()] == list(range(1, job.last_sequence + 1))
        stopped = training.start_training("postgresql", slow_config())
        wait_for_stage(stopped, pb.JOB_STAGE_FEATURES)
        (worker,) = workers(room)
        stopped.stop()
        eventually(lambda: not worker.is_running(), 5.0, "the worker's end")
        with pytest.raises(JobStopped):
            stopped.result(WAIT_SECONDS)
