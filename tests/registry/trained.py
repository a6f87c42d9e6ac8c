"""Models fitted by their libraries, as bundles and as the predictors that a registry makes of them."""

from __future__ import annotations

from functools import cache

import numpy as np

from marketml.bundle import MANIFEST, TENSORS, Bundle, pack_bundle
from marketml.bundle.trees import tree_tensors
from services.registry.inspection import inspect_bundle
from services.registry.predictor import Predictor
from services.training import learners
from services.training.export.golden import draw_golden_rows, golden_answers
from services.training.export.trees import graph_of, tree_arrays
from services.training.learners import (
    ExtraTreesParameters,
    ForestParameters,
    LightgbmParameters,
    ModelParameters,
    XgboostParameters,
)
from services.training.learners.fitting import FitRequest, Fitted, Table
from tests.training.cases import made_samples

KINDS: tuple[ModelParameters, ...] = (
    LightgbmParameters(rounds=25),
    XgboostParameters(rounds=25),
    ForestParameters(trees=15),
    ExtraTreesParameters(trees=15),
)


@cache
def fitted_model(parameters: ModelParameters, names: tuple[str, ...], missing: float = 0.1) -> Fitted:
    """A model of 600 rows and 5 features, a share `missing` of them NaN."""
    samples = made_samples(class_names=names, missing=missing)
    # Some values repeat and some are whole, so that thresholds fall on and between float32 numbers.
    samples.features[:, 3] = np.round(samples.features[:, 3])
    samples.features[:, 4] = np.round(samples.features[:, 4], 2) * 1e-3
    table = Table(samples.features, samples.classes, samples.weights)
    request = FitRequest(table, None, len(names), 3, 1, lambda number, loss: None, lambda: False)
    return learners.fit(parameters, request)


@cache
def bundle_of(fitted: Fitted) -> Bundle:
    """The bundle of a model, with the class names 0, 1, …"""
    rows = made_samples(80, seed=4).features
    return pack_bundle(
        feature_names=[f"feature_{index}" for index in range(fitted.feature_count)],
        classes=[str(index) for index in range(fitted.class_count)],
        graph=graph_of(fitted),
        arrays=tree_tensors("trees", tree_arrays(fitted)),
        golden=golden_answers(fitted, draw_golden_rows(rows, np.random.default_rng(0))),
        native_files={},
        sections={},
    )


@cache
def predictor_of(fitted: Fitted) -> Predictor:
    """What a registry answers with."""
    bundle = bundle_of(fitted)
    return inspect_bundle(bundle.contents[MANIFEST], bundle.contents[TENSORS]).predictor
