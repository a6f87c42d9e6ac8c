"""Every model with every label and splitter, on real bars: it trains, its bundle loads in a registry, and the
registry answers as the training process did.

Each run of the tests takes a cover in which every model meets every label and every splitter at least once
over the rows; `make matrix` takes all of them (MATRIX=all).
"""

from __future__ import annotations

import os
from datetime import timedelta

import numpy as np
import pytest

from marketml.bundle.files import MANIFEST, TENSORS
from services.registry.inspection import inspect_bundle
from services.training.export.bundle import export_bundle
from services.training.labels import (
    CusumEvents,
    Fixed,
    FixedHorizon,
    FractionBarriers,
    MetaLabel,
    MovingAverages,
    QuantileThreshold,
    TrailingVolatility,
    TrendScanning,
    TripleBarrier,
    VolatilityBarriers,
    label,
)
from services.training.learners import (
    ExtraTreesParameters,
    ForestParameters,
    LightgbmParameters,
    XgboostParameters,
)
from services.training.models.ensembles import Bagging, Bootstrap, Stacking, stops_early
from services.training.pipeline import evaluate_and_fit
from services.training.plan import EarlyStopping, SplitPlan, TrainingPlan
from services.training.samples import Samples, join_samples
from services.training.splits import CombinatorialPurged, Embargo, KFold, WalkForward
from tests.features.real_frames import real_frame
from tests.training.test_truths import lag_returns

HOUR = timedelta(hours=1)
LIGHTGBM = LightgbmParameters(rounds=8, num_leaves=7)
XGBOOST = XgboostParameters(rounds=8, max_depth=3)
FOREST = ForestParameters(trees=8, max_depth=5)
EXTRA = ExtraTreesParameters(trees=8, max_depth=5)
STOPS = EarlyStopping(4, 0.15)

MODELS = {
    "lightgbm": LIGHTGBM,
    "xgboost": XGBOOST,
    "random_forest": FOREST,
    "extra_trees": EXTRA,
    "bagging_lightgbm": Bagging(members=2, models=(LIGHTGBM,)),
    "bagging_xgboost": Bagging(members=2, models=(XGBOOST,), bootstrap=Bootstrap.SEQUENTIAL),
    "bagging_random_forest": Bagging(members=2, models=(FOREST,)),
    "bagging_extra_trees": Bagging(members=2, models=(EXTRA,)),
    "bagging_mixed": Bagging(members=4, models=(LIGHTGBM, XGBOOST, FOREST, EXTRA)),
    "stacking_to_logistic_regression": Stacking(folds=2, base_models=(LIGHTGBM, XGBOOST, FOREST, EXTRA)),
    "stacking_to_lightgbm": Stacking(
        folds=2, base_models=(XGBOOST, EXTRA), meta_model=LIGHTGBM, passthrough=True
    ),
    "stacking_to_random_forest": Stacking(folds=2, base_models=(LIGHTGBM, FOREST), meta_model=FOREST),
}
BARRIERS = TripleBarrier(VolatilityBarriers(2.0, 2.0, 48), 12)
LABELS = {
    "fixed_fraction": (FixedHorizon(6, Fixed(0.004)), False, None),
    "fixed_volatility": (FixedHorizon(6, TrailingVolatility(1.0, 48)), False, None),
    "fixed_quantile": (FixedHorizon(6, QuantileThreshold(0.3)), False, None),
    "fixed_binary": (FixedHorizon(6), True, None),
    "barriers_of_volatility": (BARRIERS, False, None),
    "barriers_of_fractions": (TripleBarrier(FractionBarriers(0.01, 0.01), 12), True, None),
    "trends": (TrendScanning(4, 12), True, None),
    "meta_label": (MetaLabel(MovingAverages(6, 24), BARRIERS), False, None),
    "events": (BARRIERS, False, CusumEvents(TrailingVolatility(1.0, 48))),
}
SPLITTERS = {
    "folds": KFold(3),
    "expanding": WalkForward(2),
    "rolling": WalkForward(2, train_row_count=500),
    "combinatorial": CombinatorialPurged(4, 2),
}
EVERY = [
    (model, labels, splitter)
    for index, model in enumerate(MODELS)
    for turn, labels in enumerate(LABELS)
    for place, splitter in enumerate(SPLITTERS)
    if os.environ.get("MATRIX") == "all" or (turn == index % len(LABELS) and place == index % len(SPLITTERS))
]


def samples_of(name: str) -> Samples:
    """Returns over some bars, the funding rate and the open interest, missing where the venue had none."""
    bars = real_frame("2023-11-01", "2024-02-15 23:00")
    rule, binary, events = LABELS[name]
    features = lag_returns(bars, (1, 2, 3, 6, 12, 24))
    for column in ("funding_rate", "open_interest"):
        features[column] = bars[column]
    return join_samples(features, HOUR, label(bars, HOUR, rule, binary=binary, events=events))


@pytest.mark.parametrize(("model", "labels", "splitter"), EVERY)
def test_a_registry_answers_as_the_training_process_did(model: str, labels: str, splitter: str) -> None:
    samples = samples_of(labels)
    plan = TrainingPlan(
        MODELS[model],
        split=SplitPlan(method=SPLITTERS[splitter], embargo=Embargo(bars=12)),
        early_stopping=STOPS if stops_early(MODELS[model]) else None,
        interval_draws=100,
    )
    result = evaluate_and_fit(samples, plan, 5, events=lambda event: None)
    bundle = export_bundle(result, seed=5, sections={})
    predictor = inspect_bundle(bundle.contents[MANIFEST], bundle.contents[TENSORS]).predictor
    tested = samples.features[-result.test_scores.row_count :]
    assert np.isnan(tested).any() or np.isnan(samples.features).any()
    assert predictor.predict(tested) == pytest.approx(result.learned.probabilities, abs=1e-6)
    assert predictor.predict(tested).sum(axis=1) == pytest.approx(np.ones(len(tested)))
    assert len(result.folds) == SPLITTERS[splitter].fold_count
    assert all(proof.gap_microseconds > 0 for proof in result.proofs)
