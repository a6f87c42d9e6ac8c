"""Forecasts of whole jobs over the four rooms, beside the jobs themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result
from google.protobuf.json_format import MessageToDict

from marketml.cli.main import cli
from marketml.clients.training import TrainingClient
from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from marketml.rpc.statuses import from_rpc_error
from marketml.training.v1 import training_pb2 as pb
from marketml.training.v1.training_pb2_grpc import TrainingServiceStub
from services.host.database import open_database
from services.training.__main__ import MIGRATIONS, cores_count
from services.training.forecasting.cost_store import CostStore
from services.training.forecasting.planner import expected_rounds
from services.training.jobs import Job
from services.training.machine import host_key
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually
from tests.training.conftest import Neighbourhood, quick_config
from tests.training.costs import made_costs
from tests.training.crews import filled_config


@pytest.fixture(scope="module")
def planning_room(
    neighbourhood: Neighbourhood, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RoomProcess]:
    """A room whose database knows what this host costs."""
    folder = tmp_path_factory.mktemp("planning")
    url = f"sqlite:///{folder}/training.sqlite"
    with open_database(url, migrations=MIGRATIONS) as database:
        CostStore(database).keep_costs(host_key(cores_count(), 1), made_costs())
    settings = neighbourhood.settings() | {"database_url": url, "job_threads_count": 1}
    with RoomProcess("training", folder, **settings) as room:  # type: ignore[arg-type]
        yield room


@pytest.fixture
def planning(planning_room: RoomProcess) -> Iterator[TrainingClient]:
    with TrainingClient(planning_room.target) as client:
        yield client


def test_a_plan_counts_the_rows_features_and_fits_that_the_job_has(
    planning: TrainingClient, calm_job: pb.Job
) -> None:
    planned = planning.plan_training(quick_config())
    assert planned.config == calm_job.config
    assert planned.row_count == calm_job.result.row_count
    assert planned.feature_count == calm_job.result.feature_count
    assert planned.fit_count == 3


def test_stages_add_up_and_a_snapshot_is_planned_as_its_series(
    planning: TrainingClient, calm_job: pb.Job
) -> None:
    planned = planning.plan_training(quick_config())
    stages = [each.duration.ToTimedelta().total_seconds() for each in planned.stages]
    assert min(stages) > 0
    assert sum(stages) == pytest.approx(planned.duration.ToTimedelta().total_seconds(), rel=1e-3)
    assert planned.duration_at_most == planned.duration, "nothing tells how many rounds its fits take"
    assert not planned.HasField("expected_rounds")
    assert planned.peak_memory_bytes > 2 * planned.row_count * planned.feature_count * 8
    assert planned.bundle_bytes > 0
    assert not planned.refusals
    assert planned.assumptions
    of_snapshot = quick_config()
    of_snapshot.dataset.snapshot_id = calm_job.snapshot_id
    again = planning.plan_training(of_snapshot, "calm")
    for each in (planned, again):
        each.ClearField("config")
    assert again == planned


def test_every_bound_that_would_break_is_named_with_what_it_would_take(planning: TrainingClient) -> None:
    config = quick_config()
    config.budget.max_duration.FromMilliseconds(1)
    config.budget.max_memory_bytes = 64 * 2**20
    config.features.limits.max_features = 3
    config.features.limits.max_rows = 100
    planned = planning.plan_training(config)
    calm = planning.plan_training(quick_config())
    refusals = {each.field: each for each in planned.refusals}
    assert set(refusals) == {
        "config.budget.max_duration",
        "config.budget.max_memory_bytes",
        "config.features.limits.max_features",
        "config.features.limits.max_rows",
    }
    for each in planned.refusals:
        assert each.forecast > each.bound
        assert each.description
    assert refusals["config.features.limits.max_features"].forecast == calm.feature_count
    assert refusals["config.features.limits.max_rows"].forecast == 1_500
    assert refusals["config.budget.max_memory_bytes"].bound == 64 * 2**20
    assert planned.row_count == calm.row_count


def test_what_no_job_would_take_is_refused(planning: TrainingClient) -> None:
    config = quick_config(model__lightgbm__rounds=0)
    with pytest.raises(InvalidArgument) as refused:
        planning.plan_training(config, "No Name")
    assert {each.field for each in refused.value.violations} == {
        "config.model.lightgbm.rounds",
        "model_name",
    }
    with pytest.raises(InvalidArgument):
        planning.plan_training(pb.TrainingConfig())
    config = quick_config()
    config.dataset.series.series.symbol = "ETH/USDT:USDT"
    with pytest.raises(NotFound):
        planning.plan_training(config)
    with pytest.raises(FailedPrecondition):
        planning.plan_training(quick_config(label__fixed_horizon__horizon_bars=1_490))


def test_a_room_that_does_not_know_its_host_measures_it_when_it_is_asked_and_says_how_long_to_wait(
    start_training_room: Callable[..., RoomProcess],
) -> None:
    room = start_training_room()
    # Not the client, which waits as it is told and asks again.
    with grpc.insecure_channel(room.target, options=[("grpc.enable_retries", 0)]) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            TrainingServiceStub(channel).PlanTraining(
                pb.PlanTrainingRequest(config=quick_config()), timeout=60
            )
        refusal = from_rpc_error(refused.value)
    assert isinstance(refusal, Unavailable)
    assert "being measured" in refusal.message
    assert refusal.retry_after_seconds is not None
    assert refusal.retry_after_seconds > 1
    eventually(room.descendants, 30, "the process that measures")
    assert room.stop() == 0


def test_jobs_of_the_same_model_tell_how_many_rounds_its_fits_take() -> None:
    filled = filled_config(model={"lightgbm": {"rounds": 400}})
    ended = Job(
        **dict.fromkeys([field.name for field in fields(Job)])
        | {"config": filled, "result": {"rounds": 30, "stopped_early": False}}
    )
    patience = filled["early_stopping"]["patience_rounds"]
    assert expected_rounds(filled, [ended]) == 30 + patience
    assert (
        expected_rounds(filled, [ended, replace(ended, result=ended.result | {"rounds": 40})])
        == 35 + patience
    )
    other = filled_config(model={"lightgbm": {"rounds": 401}})
    assert expected_rounds(other, [ended]) is None
    assert expected_rounds(filled, []) is None
    stopped = replace(ended, result={"rounds": 30, "stopped_early": True})
    assert expected_rounds(filled, [stopped]) is None
    endless = filled_config(model={"lightgbm": {"rounds": 400}}, early_stopping={"enabled": False})
    assert expected_rounds(endless, [replace(ended, config=endless)]) is None


def test_the_command_shows_a_plan_and_fails_when_a_bound_would_break(
    planning_room: RoomProcess, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    fields_of = MessageToDict(quick_config(), preserving_proto_field_name=True)

    def plan(*more: str, **changes: object) -> Result:
        path.write_text(json.dumps({"model_name": "calm", **fields_of, **changes}))
        asked = ["train", "plan", str(path), "--training-endpoint", planning_room.target, *more]
        return CliRunner().invoke(cli, asked)

    done = plan()
    assert done.exit_code == 0, done.output
    assert "cross validation" in done.output
    said = json.loads(plan("--json").stdout)
    assert f"{said['row_count']:,} at most" in done.output
    tight = plan(budget={"max_memory_bytes": 64 * 2**20})
    assert tight.exit_code == 1
    assert "Would be refused: config.budget.max_memory_bytes is 67,108,864." in tight.output
