"""How much a model uses a feature."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from services.features.columns import Floats
from services.features.selection.target import Target, TargetKind

ROUNDS = 100
_SEED_MAX = 2**31 - 1  # LightGBM's seeds are 32-bit integers
_OBJECTIVES = {
    TargetKind.BINARY: "binary",
    TargetKind.MULTICLASS: "multiclass",
    TargetKind.REAL: "regression",
}


def gain_shares(values: Floats, target: Target, seed: int, look: Callable[[], None]) -> Floats:
    """Share of the gain of a LightGBM model's splits that fall on each feature, float64 (features,); all zero
    where the model found no split.

    The same rows and seed give the same shares. A split looks at half of the
    features only, so that one of several alike does not take all.

    Parameters
    ----------
    values : float64 (features, rows), NaN where not known
    """
    import lightgbm  # seconds, which a room that never fits does not spend

    several = {"num_class": len(target.classes)} if target.kind is TargetKind.MULTICLASS else {}
    settings: dict[str, Any] = {
        "objective": _OBJECTIVES[target.kind],
        "metric": "none",
        **several,
        "learning_rate": 0.1,
        "num_leaves": 31,
        "min_data_in_leaf": 20,
        "feature_fraction_bynode": 0.5,
        "seed": seed % _SEED_MAX,
        "deterministic": True,
        "force_col_wise": True,  # else it tries both ways and takes the faster one
        "num_threads": 1,  # a server has other calls for its cores, and waiting OpenMP threads burn them
        "verbosity": -1,
    }
    logging.getLogger("lightgbm").setLevel(logging.ERROR)
    label = target.values if target.kind is TargetKind.REAL else target.codes
    look()
    dataset = lightgbm.Dataset(values.T, label, weight=target.weights, params=settings).construct()
    booster = lightgbm.Booster(settings, dataset)
    for _ in range(ROUNDS):
        look()
        if booster.update():
            break  # no tree could be grown
    gains = np.asarray(booster.feature_importance("gain"), dtype=np.float64)
    total = gains.sum()
    return gains / total if total > 0.0 else gains
