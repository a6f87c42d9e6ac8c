"""Jobs whose features are chosen by the data: on the rows of each fit, and told in the manifest."""

from __future__ import annotations

import pytest

from marketml.clients.features import FeaturesClient
from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.features.v1 import features_pb2
from marketml.rpc.refusals import InvalidArgument
from marketml.training.v1 import training_pb2 as pb
from tests.training.conftest import WAIT_SECONDS, Neighbourhood, quick_config


def chosen_config(**features: object) -> pb.TrainingConfig:
    config = quick_config()
    config.features.CopyFrom(features_pb2.FeatureConfig(**features))  # type: ignore[arg-type]
    return config


def test_a_preset_trains_on_what_each_fit_chose(
    training: TrainingClient, registry: RegistryClient, neighbourhood: Neighbourhood
) -> None:
    config = chosen_config(
        preset="balanced",
        selection=features_pb2.SelectionConfig(feature_count_limit=12, feature_count_min=5),
    )
    handle = training.start_training("balanced", config)
    events = list(handle.watch(timeout=WAIT_SECONDS))
    job = handle.result()
    assert job.state == pb.JOB_STATE_SUCCEEDED
    metrics = {event.metric.name: event.metric.value for event in events if event.HasField("metric")}
    for consumer in ("fold_1", "fold_2", "final_model"):
        assert 5 <= metrics[f"{consumer}.selection.chosen"] <= 12
        assert metrics[f"{consumer}.selection.considered"] > 400
    proofs = {proof.consumer: proof for proof in job.result.proofs}
    for consumer in ("fold_1", "fold_2", "final_model"):
        proof = proofs[f"{consumer}.selection"]
        assert proof.gap.ToNanoseconds() > 0
        assert proof.train_row_count == proofs[f"{consumer}.early_stopping"].train_row_count

    _, manifest = registry.get_model("balanced")
    features = manifest["features"]
    assert features["config"]["only"] == manifest["feature_names"]
    assert [each["name"] for each in features["chosen"]] == manifest["feature_names"]
    assert all("lookback_bars" in each or "p_value" in each for each in features["chosen"])
    assert features["warm_up_bars"] <= features["chosen_from"]["warm_up_bars"]
    assert features["chosen_from"]["feature_count"] == metrics["final_model.selection.considered"]
    assert not features["config"]["selection"].get("enabled")
    assert manifest["config"]["features"]["preset"] == "balanced"

    with FeaturesClient(neighbourhood.features.target) as client:  # what is served later is what was learnt
        fitted = features_pb2.FeatureConfig(only=features["config"]["only"], preset="balanced")
        fitted.selection.enabled = False
        frame = client.generate_features(job.snapshot_id, config=fitted).frame
    assert list(frame.columns) == manifest["feature_names"]


def test_the_same_seed_chooses_the_same_and_makes_the_same_model(training: TrainingClient) -> None:
    config = chosen_config(
        selection=features_pb2.SelectionConfig(enabled=True, feature_count_limit=10),
        autofeat=features_pb2.AutofeatConfig(enabled=True, steps=1, max_inputs=5, max_features=10),
    )
    first = training.start_training("chosen", config).result(WAIT_SECONDS)
    config.dataset.snapshot_id = first.snapshot_id
    second = training.start_training("chosen-again", config).result(WAIT_SECONDS)
    assert first.result.model_digest == second.result.model_digest
    assert first.result.feature_count <= 10


def test_a_rule_that_the_choice_breaks_is_refused_with_its_path(training: TrainingClient) -> None:
    config = chosen_config(selection=features_pb2.SelectionConfig(enabled=True, correlation_max=0.1))
    with pytest.raises(InvalidArgument) as refused:
        training.start_training("refused", config)
    fields = [each.field for each in refused.value.violations]
    assert fields == ["config.features.selection.correlation_max"]


def test_an_unknown_preset_is_refused_with_its_path(training: TrainingClient) -> None:
    with pytest.raises(InvalidArgument) as refused:
        training.start_training("refused", chosen_config(preset="finance"))
    assert [each.field for each in refused.value.violations] == ["config.features.preset"]
