"""Registered models trained again over the four rooms, and held against what they were."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from marketml.bundle import MANIFEST, Bundle, read_manifest, write_manifest
from marketml.cli.main import cli
from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.rpc.refusals import Aborted, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from marketml.training.v1 import training_pb2 as pb
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually
from tests.training.conftest import WAIT_SECONDS


def tampered(
    registry: RegistryClient, job: pb.Job, name: str, change: Callable[[dict[str, Any]], None]
) -> None:
    """Register the model of a job under another name, with a manifest that says something else."""
    contents = dict(registry.download_model(job.model_name, job.result.model_version).contents)
    manifest = read_manifest(contents[MANIFEST])
    sections = json.loads(json.dumps(dict(manifest.sections)))
    change(sections)
    contents[MANIFEST] = write_manifest(replace(manifest, sections=sections))
    registry.upload_model(name, Bundle(contents))


def test_a_model_comes_out_equal_and_is_not_registered_again(
    training: TrainingClient, registry: RegistryClient, calm_job: pb.Job
) -> None:
    told: list[pb.ReproductionProgress] = []
    found = training.reproduce_model("calm", on_progress=told.append, timeout=WAIT_SECONDS)
    assert found.is_equal
    assert found.reproduced_digest == found.model_digest == calm_job.result.model_digest
    assert found.model_version == calm_job.result.model_version
    assert not found.HasField("first_difference")
    assert not found.differing_parts
    assert [each.fraction for each in told] == sorted(each.fraction for each in told)
    assert {each.job_id for each in told} == {found.job_id}
    assert len(registry.list_models("calm")) == 1
    job = training.get_training(found.job_id)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert job.reproduction == found
    assert not job.HasField("result")
    assert found.job_id not in {each.job_id for each in training.list_trainings()}


def gone_snapshot(sections: dict[str, Any]) -> None:
    sections["data"]["snapshot_id"] = "0" * 64


def impossible_rounds(sections: dict[str, Any]) -> None:
    sections["config"]["model"]["lightgbm"]["rounds"] = 0


def other_library(sections: dict[str, Any]) -> None:
    sections["libraries"]["numpy"] = "0.0.1"


@pytest.mark.parametrize(
    ("change", "kind", "name", "then"),
    [
        (gone_snapshot, pb.INPUT_KIND_DATA, "data.snapshot_id", "0" * 64),
        (impossible_rounds, pb.INPUT_KIND_CONFIG, "config.model.lightgbm.rounds", ""),
        (other_library, pb.INPUT_KIND_LIBRARY, "numpy", "0.0.1"),
    ],
)
def test_the_first_input_that_differs_is_named(
    training: TrainingClient,
    registry: RegistryClient,
    calm_job: pb.Job,
    change: Callable[[dict[str, Any]], None],
    kind: pb.InputKind,
    name: str,
    then: str,
) -> None:
    model_name = change.__name__.replace("_", "-")
    tampered(registry, calm_job, model_name, change)
    found = training.reproduce_model(model_name, timeout=WAIT_SECONDS)
    assert not found.is_equal
    difference = found.first_difference
    assert (difference.kind, difference.name, difference.then) == (kind, name, then)
    assert difference.description
    if found.job_id:
        assert found.reproduced_digest == calm_job.result.model_digest, "the inputs are what they were"


def test_whoever_leaves_a_reproduction_stops_its_job(
    training: TrainingClient, registry: RegistryClient, calm_job: pb.Job
) -> None:
    def long_fit(sections: dict[str, Any]) -> None:
        sections["config"]["model"]["lightgbm"] |= {"rounds": 20_000, "learning_rate": 0.0001}
        sections["config"]["early_stopping"] = {"enabled": False}

    tampered(registry, calm_job, "long-fit", long_fit)
    job_ids: list[str] = []

    def leave_in_the_fits(progress: pb.ReproductionProgress) -> None:
        job_ids.append(progress.job_id)
        if progress.stage == pb.JOB_STAGE_CROSS_VALIDATION:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.reproduce_model("long-fit", on_progress=leave_in_the_fits, timeout=WAIT_SECONDS)
    eventually(
        lambda: training.get_training(job_ids[-1]).state == pb.JOB_STATE_STOPPED, 30, "the end of the job"
    )


def test_a_stopped_reproduction_and_a_broken_budget_are_told(
    training: TrainingClient, registry: RegistryClient, calm_job: pb.Job
) -> None:
    def stop(progress: pb.ReproductionProgress) -> None:
        training.stop_training(progress.job_id)

    with pytest.raises(Aborted, match="was stopped"):
        training.reproduce_model("calm", on_progress=stop, timeout=WAIT_SECONDS)
    tight = pb.Budget(max_memory_bytes=64 * 2**20)
    with pytest.raises(ResourceExhausted, match="max_memory_bytes"):
        training.reproduce_model("calm", budget=tight, timeout=WAIT_SECONDS)


def test_what_cannot_be_reproduced_is_refused(
    training: TrainingClient, registry: RegistryClient, calm_job: pb.Job
) -> None:
    def stopped(sections: dict[str, Any]) -> None:
        sections["scores"]["model"]["stopped"] = True

    def nameless(sections: dict[str, Any]) -> None:
        del sections["config"]

    for change in (stopped, nameless):
        tampered(registry, calm_job, change.__name__, change)
        with pytest.raises(FailedPrecondition):
            training.reproduce_model(change.__name__)
    with pytest.raises(NotFound):
        training.reproduce_model("never-trained")
    with pytest.raises(NotFound):
        training.reproduce_model("calm", 99)
    for budget, field in (
        (pb.Budget(max_memory_bytes=1), "budget.max_memory_bytes"),
        (pb.Budget(max_duration={"seconds": 10**8}), "budget.max_duration"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            training.reproduce_model("calm", budget=budget)
        assert [each.field for each in refused.value.violations] == [field]
    with pytest.raises(InvalidArgument):
        training.reproduce_model("No Name")


def test_the_command_names_the_input_that_is_gone_and_fails(
    shared_room: RoomProcess, registry: RegistryClient, calm_job: pb.Job
) -> None:
    def gone(sections: dict[str, Any]) -> None:
        sections["data"]["snapshot_id"] = "f" * 64

    tampered(registry, calm_job, "gone", gone)
    asked = ["train", "reproduce", "gone", "--training-endpoint", shared_room.target]
    done = CliRunner().invoke(cli, asked)
    assert done.exit_code == 1
    assert f"data: The snapshot {'f' * 64} is not what it was" in done.output
    said = json.loads(CliRunner().invoke(cli, [*asked, "--json"]).stdout)
    assert said["first_difference"]["kind"] == "data"
    assert said["is_equal"] is False
