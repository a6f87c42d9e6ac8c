"""Jobs with every label, event filter and weight: trained, registered, and told in the manifest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.rpc.refusals import InvalidArgument
from marketml.training.v1 import training_pb2 as pb
from tests.training.conftest import WAIT_SECONDS, quick_config


def _trend(config: pb.TrainingConfig) -> None:
    config.label.trend_scanning.min_horizon_bars = 3
    config.label.trend_scanning.max_horizon_bars = 12


def _meta(config: pb.TrainingConfig) -> None:
    config.label.meta_label.moving_averages.fast_bars = 4
    config.label.meta_label.triple_barrier.horizon_bars = 12
    config.sample_weights.return_attribution = True


def _events(config: pb.TrainingConfig) -> None:
    config.label.triple_barrier.horizon_bars = 12
    config.label.triple_barrier.volatility.profit_multiple = 2
    config.label.triple_barrier.volatility.loss_multiple = 2
    config.label.cusum_events.enabled = True
    config.label.cusum_events.trailing_volatility.multiple = 1.5
    config.sample_weights.uniqueness = True
    config.sample_weights.oldest_weight = 0.5


METHODS = {
    "trend_scanning": (_trend, ["down", "range", "up"]),
    "meta_label": (_meta, ["loss", "profit"]),
    "triple_barrier": (_events, ["down", "range", "up"]),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_job_learns_the_labels_it_was_told_and_the_manifest_says_which(
    training: TrainingClient,
    registry: RegistryClient,
    method: str,
) -> None:
    change: Callable[[pb.TrainingConfig], None]
    change, class_names = METHODS[method]
    config = quick_config()
    change(config)
    job = training.start_training(method, config).result(WAIT_SECONDS)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert list(job.result.class_names) == class_names
    assert job.config.label.WhichOneof("method") == method
    _, manifest = registry.get_model(method)
    assert manifest["classes"] == class_names
    label, weights = manifest["config"]["label"], manifest["config"]["sample_weights"]
    assert method in label
    assert label["cusum_events"]["enabled"] == (method == "triple_barrier")
    assert weights["return_attribution"] == (method == "meta_label")
    assert weights["oldest_weight"] == (0.5 if method == "triple_barrier" else 1.0)
    data = manifest["data"]
    assert data["sample_rows"] == job.result.row_count
    assert (data["labelled_rows"] < 0.7 * data["rows"]) == (method == "triple_barrier")


def test_a_job_by_quantiles_says_between_which_returns_its_range_lies(
    training: TrainingClient, registry: RegistryClient
) -> None:
    config = quick_config()
    config.label.fixed_horizon.quantile.tail = 0.3
    handle = training.start_training("quantile", config)
    events = list(handle.watch(timeout=WAIT_SECONDS))
    job = handle.result()
    assert job.state == pb.JOB_STATE_SUCCEEDED
    _, manifest = registry.get_model("quantile")
    assert manifest["config"]["label"]["fixed_horizon"]["quantile"] == {"tail": 0.3}
    found = job.result.return_thresholds
    assert found.lower < 0 < found.upper
    scores = manifest["scores"]
    assert scores["model"]["return_thresholds"] == {"lower": found.lower, "upper": found.upper}
    of_folds = {fold["return_thresholds"]["lower"] for fold in scores["folds"]}
    assert len(of_folds | {found.lower}) == len(scores["folds"]) + 1, "each model has its own"
    proofs = {proof.consumer: proof for proof in job.result.proofs}
    proof = proofs["final_model.return_thresholds"]
    assert proof.train_row_count == proofs["final_model.early_stopping"].train_row_count
    assert proof.gap.ToNanoseconds() > 0
    told = {event.metric.name for event in events if event.HasField("metric")}
    assert "rows" in told
    assert "rows.up" not in told, "no row has a class before a model has its rows"


def test_the_choice_of_features_takes_the_weights_of_the_rows(
    training: TrainingClient, registry: RegistryClient
) -> None:
    config = quick_config()
    config.features.selection.enabled = True
    config.features.selection.feature_count_limit = 10
    chosen = []
    for name, is_attributed in (("unweighted", False), ("weighted", True)):
        config.sample_weights.return_attribution = is_attributed
        job = training.start_training(name, config).result(WAIT_SECONDS)
        assert job.state == pb.JOB_STATE_SUCCEEDED
        _, manifest = registry.get_model(name)
        chosen.append({each["name"]: each for each in manifest["features"]["chosen"]})
    both = chosen[0].keys() & chosen[1].keys()
    assert both
    assert any(chosen[0][name]["importance"] != chosen[1][name]["importance"] for name in both)


def test_what_a_label_does_not_use_is_refused_by_the_room(training: TrainingClient) -> None:
    config = quick_config()
    config.label.meta_label.moving_averages.slow_bars = 5
    config.label.binary = True
    config.label.cusum_events.fraction = 0.01
    config.sample_weights.oldest_weight = 1.5
    with pytest.raises(InvalidArgument) as refused:
        training.start_training("refused", config)
    assert {each.field: each.rule for each in refused.value.violations} == {
        "config.label.meta_label.moving_averages.slow_bars": "order",
        "config.label.binary": "unused",
        "config.label.cusum_events.fraction": "unused",
        "config.sample_weights.oldest_weight": "range",
    }
