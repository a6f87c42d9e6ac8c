"""A job on two instruments: what the leader says of the other is learnt, told in the manifest, and served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from marketml.cli.predict import predict
from marketml.cli.train import train
from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.features.v1 import features_pb2
from marketml.market.v1.market_pb2 import SeriesKey
from marketml.rpc.refusals import InvalidArgument, NotFound
from marketml.training.v1 import training_pb2 as pb
from tests.support.servers import RoomProcess
from tests.training.conftest import BARS, SERIES, WAIT_SECONDS, Neighbourhood, candles, quick_config

VENUE, LEADER = SERIES[0], "LEAD/USDT:USDT"
FAMILIES = ("technical", "statistical", "series", "market", "calendar")


@pytest.fixture(scope="module")
def leader(neighbourhood: Neighbourhood) -> Iterator[str]:
    """The symbol of one whose moves are the other's next two, and some of its own; it lacks a bar."""
    random = np.random.default_rng(3)
    frame = candles(BARS)
    returns = np.diff(np.log(frame["close"]), append=0.0)
    ahead = returns + np.append(returns[1:], 0.0)
    close = 500.0 * np.exp(np.cumsum(ahead + random.normal(0.0, 0.004, BARS)))
    frame["open"], frame["close"] = np.append(500.0, close[:-1]), close
    frame["high"] = frame[["open", "close"]].max(axis=1)
    frame["low"] = frame[["open", "close"]].min(axis=1)
    with DataClient(neighbourhood.data.target) as data:
        data.ingest_candles(frame.drop(frame.index[700]), VENUE, LEADER, "1h")
        yield LEADER


def config_with_reference() -> pb.TrainingConfig:
    config = quick_config()
    config.dataset.series.reference.CopyFrom(SeriesKey(venue=VENUE, symbol=LEADER))
    config.features.CopyFrom(
        features_pb2.FeatureConfig(**{name: features_pb2.FamilyConfig(enabled=False) for name in FAMILIES})
    )
    config.features.series.CopyFrom(features_pb2.FamilyConfig(enabled=True, features=["return_lag_1"]))
    config.features.cross_symbol.enabled = True
    return config


def test_a_job_learns_from_the_reference_and_its_manifest_names_it(
    training: TrainingClient, registry: RegistryClient, neighbourhood: Neighbourhood, leader: str
) -> None:
    handle = training.start_training("led", config_with_reference())
    events = list(handle.watch(timeout=WAIT_SECONDS))
    job = handle.result()
    assert job.state == pb.JOB_STATE_SUCCEEDED
    warnings = [event.warning.message for event in events if event.HasField("warning")]
    assert any("4 features were left out: the data has no funding_rate" in each for each in warnings)
    _, manifest = registry.get_model("led")
    assert manifest["data"]["reference"] == {"venue": VENUE, "symbol": leader, "timeframe": "1h"}
    assert manifest["data"]["symbol"] == SERIES[1]
    assert {"cross_beta_24", "reference_log_return_1", "return_lag_1"} <= set(manifest["feature_names"])
    assert manifest["config"]["features"]["cross_symbol"] == {"enabled": True}
    best = max(job.result.importances, key=lambda each: each.share)
    assert best.feature.startswith(("reference_", "cross_"))
    scores = {(row.baseline, row.metric): row.value for row in job.result.test}
    assert scores["", "balanced_accuracy"] > scores["majority", "balanced_accuracy"] + 0.1

    with DataClient(neighbourhood.data.target) as data:
        spec = data.get_snapshot(job.snapshot_id).frame
        frame = data.read_snapshot(job.snapshot_id)
    assert (spec.reference.venue, spec.reference.symbol) == (VENUE, leader)
    assert frame["reference_close"].isna().sum() == 1
    config = config_with_reference()
    config.dataset.Clear()
    config.dataset.snapshot_id = job.snapshot_id  # which has the reference already
    again = training.start_training("led-again", config).result(WAIT_SECONDS)
    assert again.result.model_digest == job.result.model_digest


def test_a_choice_of_features_is_fitted_with_the_reference(
    training: TrainingClient, registry: RegistryClient, leader: str
) -> None:
    config = config_with_reference()
    config.features.selection.enabled = True
    config.features.selection.feature_count_limit = 8
    job = training.start_training("led-chosen", config).result(WAIT_SECONDS)
    _, manifest = registry.get_model("led-chosen")
    assert job.result.feature_count == len(manifest["feature_names"]) <= 8
    assert any(name.startswith(("reference_", "cross_")) for name in manifest["feature_names"])
    assert manifest["features"]["config"]["only"] == manifest["feature_names"]


def test_the_command_trains_beside_a_reference_and_the_newest_bars_are_answered_with_it(
    shared_room: RoomProcess, neighbourhood: Neighbourhood, leader: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    mapping = {
        "model_name": "led-by-command",
        "dataset": {"series": {"series": dict(zip(("venue", "symbol", "timeframe"), SERIES, strict=True))}},
        "features": {name: {"enabled": False} for name in FAMILIES}
        | {"cross_symbol": {"enabled": True, "features": ["reference_log_return_1", "cross_beta_24"]}},
        "label": {"fixed_horizon": {"horizon_bars": 4}},
        "split": {"folds": 2, "embargo_bars": 4},
        "model": {"lightgbm": {"rounds": 10}},
    }
    path.write_text(yaml.safe_dump(mapping))
    at = ("--training-endpoint", shared_room.target)
    started = CliRunner().invoke(train, ["start", str(path), "--reference", leader, "--watch", *at])
    assert started.exit_code == 0, started.output
    with RegistryClient(neighbourhood.registry.target) as registry:
        registry.load_model("led-by-command", 1)
        _, manifest = registry.get_model("led-by-command")
    assert manifest["data"]["reference"]["symbol"] == leader

    targets = {
        "data": neighbourhood.data,
        "features": neighbourhood.features,
        "registry": neighbourhood.registry,
    }
    rooms = [word for name, room in targets.items() for word in (f"--{name}-endpoint", room.target)]
    answered = CliRunner().invoke(predict, ["led-by-command", "--newest", "2", "--json", *rooms])
    assert answered.exit_code == 0, answered.output
    rows = [json.loads(line) for line in answered.stdout.splitlines()]
    assert len(rows) == 2
    with FeaturesClient(neighbourhood.features.target) as features:
        found = features.get_latest_features(
            *SERIES,
            config=features_pb2.FeatureConfig(only=manifest["feature_names"], **_enabled()),
            reference=(VENUE, leader),
        )
    assert np.isfinite(found).all()

    mapping["dataset"] = {"snapshot_id": "0" * 64}
    path.write_text(yaml.safe_dump(mapping))
    assert CliRunner().invoke(train, ["start", str(path), "--reference", leader, *at]).exit_code == 2


def _enabled() -> dict[str, features_pb2.FamilyConfig]:
    families = {name: features_pb2.FamilyConfig(enabled=False) for name in FAMILIES}
    return families | {"cross_symbol": features_pb2.FamilyConfig(enabled=True)}


def test_a_reference_that_cannot_be_is_refused_before_the_job_is_queued(training: TrainingClient) -> None:
    before = len(training.list_trainings())
    for reference, field, rule in (
        (SeriesKey(venue=SERIES[0], symbol=SERIES[1]), "", "other"),
        (SeriesKey(venue=VENUE, symbol=LEADER, timeframe="4h"), ".timeframe", "same"),
        (SeriesKey(venue=VENUE), ".symbol", "required"),
        (SeriesKey(venue="../x", symbol=LEADER), ".venue", "venue"),
    ):
        config = quick_config()
        config.dataset.series.reference.CopyFrom(reference)
        with pytest.raises(InvalidArgument) as refused:
            training.start_training("refused", config)
        assert [(each.field, each.rule) for each in refused.value.violations] == [
            (f"config.dataset.series.reference{field}", rule)
        ]
    unknown = quick_config()
    unknown.dataset.series.reference.CopyFrom(SeriesKey(venue=VENUE, symbol="NO/USDT"))
    with pytest.raises(NotFound, match="NO/USDT"):
        training.start_training("refused", unknown)
    assert len(training.list_trainings()) == before
