"""Ensembles over the four rooms: a config over the wire becomes a registered model that says its classes by
its thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from marketml.bundle import TENSORS, unpack_tensors
from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.training.v1 import training_pb2 as pb
from tests.training.conftest import WAIT_SECONDS, quick_config


def manifest_of(registry: RegistryClient, name: str) -> dict[str, Any]:
    """What the manifest says of the model itself."""
    found: dict[str, Any] = registry.get_model(name)[1]["scores"]["model"]
    return found


def test_a_stack_trains_registers_and_says_its_classes_by_its_thresholds(
    training: TrainingClient, registry: RegistryClient
) -> None:
    config = quick_config()
    config.model.Clear()
    stacking = config.model.stacking
    stacking.base_models.add().xgboost.rounds = 10
    stacking.base_models.add().extra_trees.trees = 10
    stacking.folds = 2
    stacking.passthrough = True
    stacking.meta_model.logistic_regression.c = 0.01
    config.calibration.enabled = True
    config.calibration.method = pb.CALIBRATION_METHOD_ISOTONIC
    config.decision_thresholds.enabled = True
    name = "stacking"
    job = training.start_training(name, config).result(WAIT_SECONDS)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    consumers = {proof.consumer for proof in job.result.proofs}
    for consumer in ("fold_1", "fold_2", "final_model"):
        for slice_ in ("calibration", "early_stopping", "stacking_1", "stacking_2.early_stopping"):
            assert f"{consumer}.{slice_}" in consumers
    assert job.config.model.stacking.base_models[1].extra_trees.max_depth == 12
    assert job.result.rounds == sum(each["rounds"] for each in manifest_of(registry, name)["members"])

    registry.load_model(name)
    model, manifest = registry.get_model(name)
    assert manifest["scores"]["model"]["kind"] == "stacking"
    assert model.digest == job.result.model_digest
    rows = np.random.default_rng(3).normal(size=(400, len(manifest["feature_names"])))
    rows[np.random.default_rng(4).random(rows.shape) < 0.1] = np.nan
    times = pd.date_range("2024-01-01", periods=400, freq="h", tz="UTC", name="open_time")
    answer = registry.predict(name, pd.DataFrame(rows, times, manifest["feature_names"])).frame
    classes = manifest["classes"]
    probabilities = answer[[f"probability_{each}" for each in classes]].to_numpy()
    arrays = unpack_tensors(registry.download_model(name).contents[TENSORS])
    multiples = probabilities / arrays["decision.thresholds"]
    said = [classes[position] for position in multiples.argmax(axis=1)]
    assert list(answer["predicted_class"]) == said
    assert said != [classes[position] for position in probabilities.argmax(axis=1)]
