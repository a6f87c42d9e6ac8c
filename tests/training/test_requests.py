"""What callers ask beside watching: answers from the defaults in force, and refusals that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.message import Message

from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.rpc.channels import open_channel
from marketml.rpc.refusals import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    OutOfRange,
    Refusal,
    ResourceExhausted,
    Unavailable,
)
from marketml.training.v1 import training_pb2 as pb
from marketml.training.v1.training_pb2_grpc import TrainingServiceStub
from tests.support.servers import RoomProcess
from tests.training.conftest import WAIT_SECONDS, quick_config


@pytest.fixture
def stub(shared_room: RoomProcess) -> Iterator[Any]:
    with open_channel(shared_room.target) as channel:
        make: Any = TrainingServiceStub
        yield make(channel)


def start(**more: Any) -> pb.StartTrainingRequest:
    values: dict[str, Any] = {"request_id": "r", "model_name": "m", "config": quick_config()}
    return pb.StartTrainingRequest(**values | more)


def wrong_config(change: Callable[[pb.TrainingConfig], object]) -> pb.TrainingConfig:
    config = quick_config()
    change(config)
    return config


def _unknown_snapshot(config: pb.TrainingConfig) -> None:
    config.dataset.snapshot_id = "0" * 64


def _no_family(config: pb.TrainingConfig) -> None:
    for family in ("technical", "statistical", "series", "market", "calendar"):
        getattr(config.features, family).enabled = False


def _known_in_the_future(config: pb.TrainingConfig) -> None:
    config.dataset.series.as_of_time.FromJsonString("9000-01-01T00:00:00Z")


WRONG: list[tuple[str, Message, type[Refusal], str]] = [
    ("StartTraining", pb.StartTrainingRequest(), InvalidArgument, "request_id model_name config"),
    ("StartTraining", start(request_id=""), InvalidArgument, "request_id"),
    ("StartTraining", start(request_id="a b"), InvalidArgument, "request_id"),
    ("StartTraining", start(request_id="x" * 129), InvalidArgument, "request_id"),
    ("StartTraining", start(model_name=""), InvalidArgument, "model_name"),
    ("StartTraining", start(model_name="../x"), InvalidArgument, "model_name"),
    ("StartTraining", start(model_name="Upper"), InvalidArgument, "model_name"),
    ("StartTraining", start(model_name="nul\x00"), InvalidArgument, "model_name"),
    ("StartTraining", start(config=pb.TrainingConfig()), InvalidArgument, "config.dataset"),
    ("StartTraining", start(priority=101), InvalidArgument, "priority"),
    ("StartTraining", start(priority=-(2**31)), InvalidArgument, "priority"),
    (
        "StartTraining",
        start(
            request_id="",
            config=wrong_config(lambda config: setattr(config.label.fixed_horizon, "horizon_bars", 0)),
        ),
        InvalidArgument,
        "request_id config.label.fixed_horizon.horizon_bars",
    ),
    (
        "StartTraining",
        start(config=wrong_config(lambda config: setattr(config.split, "folds", 1000))),
        InvalidArgument,
        "config.split.folds",
    ),
    (
        "StartTraining",
        start(config=wrong_config(lambda config: config.features.technical.features.append("no_such"))),
        InvalidArgument,
        "config.features.technical.features[0]",
    ),
    ("StartTraining", start(config=wrong_config(_no_family)), InvalidArgument, "config.features"),
    (
        "StartTraining",
        start(config=wrong_config(lambda config: setattr(config, "class_weight", 77))),
        InvalidArgument,
        "config.class_weight",
    ),
    ("StartTraining", start(config=wrong_config(_unknown_snapshot)), NotFound, "snapshot"),
    (
        "StartTraining",
        start(config=wrong_config(lambda config: setattr(config.dataset.series.series, "venue", "nowhere"))),
        NotFound,
        "series",
    ),
    (
        "StartTraining",
        start(config=wrong_config(lambda config: setattr(config.dataset.series.series, "venue", "b" * 33))),
        InvalidArgument,
        "config.dataset.series.series.venue",
    ),
    (
        "StartTraining",
        start(config=wrong_config(_known_in_the_future)),
        InvalidArgument,
        "config.dataset.series.as_of_time",
    ),
    ("GetTraining", pb.GetTrainingRequest(), InvalidArgument, "job_id"),
    ("GetTraining", pb.GetTrainingRequest(job_id="'; DROP TABLE jobs"), InvalidArgument, "job_id"),
    ("GetTraining", pb.GetTrainingRequest(job_id="f" * 32), NotFound, "job"),
    ("ListTrainings", pb.ListTrainingsRequest(page_size=-1), InvalidArgument, "page_size"),
    ("ListTrainings", pb.ListTrainingsRequest(page_size=1001), InvalidArgument, "page_size"),
    ("ListTrainings", pb.ListTrainingsRequest(page_token="x"), InvalidArgument, "page_token"),
    ("ListTrainings", pb.ListTrainingsRequest(model_name="\x00"), InvalidArgument, "model_name"),
    ("ListTrainings", pb.ListTrainingsRequest(state=0), InvalidArgument, "state"),  # type: ignore[arg-type]
    ("ListTrainings", pb.ListTrainingsRequest(state=99), InvalidArgument, "state"),  # type: ignore[arg-type]
    ("WatchTraining", pb.WatchTrainingRequest(), InvalidArgument, "job_id"),
    (
        "WatchTraining",
        pb.WatchTrainingRequest(job_id="x", after_sequence=-1),
        InvalidArgument,
        "job_id after_sequence",
    ),
    ("WatchTraining", pb.WatchTrainingRequest(job_id="f" * 32), NotFound, "job"),
    ("StopTraining", pb.StopTrainingRequest(), InvalidArgument, "job_id mode"),
    ("StopTraining", pb.StopTrainingRequest(job_id="f" * 32), InvalidArgument, "mode"),
    (
        "StopTraining",
        pb.StopTrainingRequest(job_id="f" * 32, mode=9),  # type: ignore[arg-type]
        InvalidArgument,
        "mode",
    ),
    (
        "StopTraining",
        pb.StopTrainingRequest(job_id="f" * 32, mode=pb.STOP_MODE_DISCARD),
        NotFound,
        "job",
    ),
    ("ValidateTrainingConfig", pb.ValidateTrainingConfigRequest(), InvalidArgument, "config"),
]


@pytest.mark.parametrize(
    ("method", "request_", "kind", "names"), WRONG, ids=[f"{each[0]}-{each[3]}" for each in WRONG]
)
def test_bad_input_is_refused_by_its_path_and_changes_nothing(
    stub: Any, method: str, request_: Message, kind: type[Refusal], names: str
) -> None:
    before = stub.ListTrainings(pb.ListTrainingsRequest())

    def ask() -> None:
        answer = getattr(stub, method)(request_)
        if method == "WatchTraining":
            list(answer)

    with pytest.raises(kind) as refused:
        ask()
    if isinstance(refused.value, InvalidArgument):
        assert [violation.field for violation in refused.value.violations] == names.split()
        assert all(violation.rule and violation.description for violation in refused.value.violations)
    else:
        assert isinstance(refused.value, NotFound)
        assert refused.value.kind == names
    assert stub.ListTrainings(pb.ListTrainingsRequest()) == before


def test_a_request_repeated_is_one_job_and_its_id_in_another_body_is_taken(training: TrainingClient) -> None:
    count = len(training.list_trainings(model_name="repeated"))
    first = training.start_training("repeated", quick_config(), "repeated-1")
    again = training.start_training("repeated", quick_config(), "repeated-1", priority=0)  # the default
    assert first.job_id == again.job_id
    with pytest.raises(AlreadyExists):
        training.start_training("repeated", quick_config(), "repeated-1", priority=1)
    with pytest.raises(AlreadyExists):
        training.start_training("repeated", quick_config(seed=8), "repeated-1")
    with pytest.raises(AlreadyExists):
        training.start_training("renamed", quick_config(), "repeated-1")
    assert len(training.list_trainings(model_name="repeated")) == count + 1
    job = first.result(WAIT_SECONDS)
    assert training.start_training("repeated", quick_config(), "repeated-1").job_id == job.job_id


def test_a_job_has_the_priority_it_was_started_with(training: TrainingClient) -> None:
    handle = training.start_training("prior", quick_config(), priority=-7)
    assert handle.job().priority == -7
    handle.stop()


def test_a_job_records_its_config_with_every_default_filled_in(calm_job: pb.Job) -> None:
    config = calm_job.config
    assert config.model.lightgbm.max_bin == 255
    assert config.model.lightgbm.rounds == 40
    assert not config.dataset.HasField("funding_max_age"), "the data room decides"
    assert config.features.technical.enabled
    assert not config.features.calendar.enabled
    assert config.budget.max_duration.seconds == 3600
    assert calm_job.config_version >= 1


def test_an_ended_job_answers_out_of_range_beyond_its_end(stub: Any, calm_job: pb.Job) -> None:
    beyond = pb.WatchTrainingRequest(job_id=calm_job.job_id, after_sequence=calm_job.last_sequence + 1)
    with pytest.raises(OutOfRange):
        list(stub.WatchTraining(beyond))


def test_stopping_an_ended_job_changes_nothing(training: TrainingClient, calm_job: pb.Job) -> None:
    for mode in (pb.STOP_MODE_DISCARD, pb.STOP_MODE_KEEP_BEST):
        assert training.stop_training(calm_job.job_id, mode) == calm_job


def test_a_config_is_validated_with_all_that_is_wrong_and_filled_in_when_nothing_is(
    training: TrainingClient,
) -> None:
    good = training.validate_training_config(quick_config())
    assert not good.violations
    assert good.config.model.lightgbm.max_bin == 255
    again = training.validate_training_config(good.config)
    assert not again.violations
    assert again.config == good.config

    config = quick_config()
    config.label.fixed_horizon.horizon_bars = 0
    config.model.lightgbm.rounds = 0
    config.features.technical.features.append("no_such_feature")
    config.split.embargo_bars = 0
    bad = training.validate_training_config(config)
    assert {violation.field for violation in bad.violations} == {
        "config.label.fixed_horizon.horizon_bars",
        "config.model.lightgbm.rounds",
        "config.features.technical.features[0]",
    }
    assert not bad.HasField("config")

    config = quick_config(split__embargo_bars=0)
    assert any("embargo" in warning for warning in training.validate_training_config(config).warnings)


def test_the_defaults_are_those_of_the_registry_and_change_with_it(
    training: TrainingClient, registry: RegistryClient
) -> None:
    before = training.get_default_training_config()
    assert not before.HasField("dataset")
    answer = registry.get_config()
    answer.config.training.split.folds = 7
    answer.config.labels.fixed_horizon.horizon_bars = 11
    changed = registry.update_config(answer.config, ["training.split.folds", "labels"], answer.etag)
    try:
        after = training.get_default_training_config()
        assert after.split.folds == 7
        assert after.label.fixed_horizon.horizon_bars == 11
        config = pb.TrainingConfig()
        config.dataset.CopyFrom(quick_config().dataset)
        config.split.test_fraction = 0.3
        handle = training.start_training("defaults", config)
        job = handle.job()
        handle.stop()
        assert (job.config.split.folds, job.config.split.test_fraction) == (7, 0.3)
        assert job.config_version == changed.version
    finally:
        registry.reset_config()
    assert training.get_default_training_config() == before


def test_without_the_registry_nothing_is_taken_by_default(
    start_training_room: Callable[..., RoomProcess],
) -> None:
    room = start_training_room(registry_target="127.0.0.1:1", queued_jobs_count=1)
    with TrainingClient(room.target) as training:
        for ask in (
            training.get_default_training_config,
            lambda: training.validate_training_config(quick_config()),
            lambda: training.start_training("m", quick_config()),
        ):
            with pytest.raises(Unavailable, match="registry"):
                ask()
        with pytest.raises(InvalidArgument, match="model_name"):
            training.start_training("Upper", quick_config())
        assert not training.list_trainings()


def test_a_full_queue_says_when_to_come_back(start_training_room: Callable[..., RoomProcess]) -> None:
    room = start_training_room(queued_jobs_count=1)
    with TrainingClient(room.target) as training:

        def start_many() -> None:
            for _ in range(4):  # one runs, one waits
                training.start_training("m", quick_config())

        with pytest.raises(ResourceExhausted) as refused:
            start_many()
        assert refused.value.retry_after_seconds
        assert refused.value.subject == "queued_jobs"
        for job in training.list_trainings():
            training.stop_training(job.job_id)
