"""A job that searches: its trials are told one by one, and what they came to is in result and manifest."""

from __future__ import annotations

import pytest

from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.rpc.refusals import InvalidArgument
from marketml.training.v1 import training_pb2 as pb
from tests.training.conftest import WAIT_SECONDS, quick_config


def searching_config() -> pb.TrainingConfig:
    """A config of a few trials over four parameters, one of them beneath another."""
    config = quick_config()
    search = config.search
    search.enabled = True
    search.trials = 4
    search.startup_trials = 2
    search.trials_at_once = 2
    search.metric = "balanced_accuracy"
    rate = search.space["learning_rate"].real
    rate.low, rate.high, rate.log = 0.02, 0.3, True
    search.space["max_depth"].numbers.values.extend([0, 3])
    leaves = search.space["num_leaves"]
    leaves.integer.low, leaves.integer.high = 3, 15
    leaves.condition.parameter = "max_depth"
    leaves.condition.numbers.append(0)
    return config


def test_a_job_tells_its_trials_and_registers_the_best_of_them(
    training: TrainingClient, registry: RegistryClient
) -> None:
    config = searching_config()
    handle = training.start_training("searched", config)
    events = list(handle.watch())
    job = handle.result(WAIT_SECONDS)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    trials = [event.trial_finished for event in events if event.HasField("trial_finished")]
    assert [trial.trial for trial in trials] == [1, 2, 3, 4]
    stages = [event.stage_started.stage for event in events if event.HasField("stage_started")]
    at = stages.index(pb.JOB_STAGE_SEARCH)
    assert stages[at + 1 :] == [
        pb.JOB_STAGE_CROSS_VALIDATION,
        pb.JOB_STAGE_FINAL_FIT,
        pb.JOB_STAGE_FINAL_TEST,
        pb.JOB_STAGE_REGISTER,
    ]
    fractions = [event.progress.fraction for event in events if event.HasField("progress")]
    assert fractions == sorted(fractions)

    found = job.result.search
    best = trials[found.best_trial - 1]
    complete = [trial for trial in trials if trial.state == pb.TRIAL_STATE_COMPLETE]
    assert found.best_value == max(trial.value for trial in complete) == best.value
    counts = (found.trial_count, found.complete_count, found.pruned_count, found.first_value)
    assert counts == (4, len(complete), 4 - len(complete), trials[0].value)
    assert found.best_parameters == best.parameters
    table = {row.metric: row for row in job.result.fold_table if not row.baseline}
    assert table["balanced_accuracy"].mean == pytest.approx(best.value)
    for trial in trials:
        is_whole = len(trial.fold_values) == config.split.folds
        assert trial.state == (pb.TRIAL_STATE_COMPLETE if is_whole else pb.TRIAL_STATE_PRUNED)
        has_leaves = trial.parameters["max_depth"].number == 0
        assert ("num_leaves" in trial.parameters) == has_leaves
    consumers = [proof.consumer for proof in job.result.proofs]
    assert {"search", "search.fold_1", "search.fold_2.early_stopping", "fold_1"} <= set(consumers)
    assert job.config.search.space["learning_rate"].real.high == 0.3
    assert job.config.search.trials_at_once == 2
    assert any("best of 4 trials" in event.warning.message for event in events if event.HasField("warning"))

    _, manifest = registry.get_model("searched")
    told = manifest["scores"]["search"]
    assert told["trial_count"] == 4
    assert told["best_value"] == found.best_value
    assert manifest["config"]["search"]["space"]["num_leaves"]["condition"] == {
        "parameter": "max_depth",
        "numbers": [0.0],
    }


def test_what_a_search_gets_wrong_is_refused_with_its_path(training: TrainingClient) -> None:
    config = searching_config()
    config.search.space["num_leaves"].integer.low = 1
    config.search.space["depth"].integer.low = 1
    config.search.metric = "profit"
    with pytest.raises(InvalidArgument) as refused:
        training.start_training("searched", config)
    assert {each.field: each.rule for each in refused.value.violations} == {
        "config.search.space.num_leaves.integer.low": "range",
        "config.search.space.depth.integer.high": "required",
        "config.search.metric": "unknown",
    }
