"""How much a model uses a feature."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from services.features.columns import Floats
from services.features.selection.spans import spans
from services.features.selection.target import Target, TargetKind

if TYPE_CHECKING:
    from lightgbm import Dataset

ROUNDS = 100
_SEED_MAX = 2**31 - 1  # LightGBM's seeds are 32-bit integers
# A tree cannot be stopped: one of so many values and features takes half a second.
_TREE_VALUES, _TREE_FEATURES = 2**25, 1_000
_HISTOGRAMS_MIB = 512


def gain_shares(
    values: Floats, features: Sequence[int], target: Target, seed: int, look: Callable[[], None]
) -> Floats:
    """Share of the gain of a LightGBM model's splits that fall on each of these features, float64
    (features,); all zero where the model found no split.

    Of more than two classes each is told from all others, as the tests do. The same rows and seed give the
    same shares. A split looks at half of the features only, so that one of several alike does not take all;
    where there are many values, a tree looks at a part of the features and rows, every tree at another.

    Parameters
    ----------
    values : float64 (features, rows), NaN where not known
    look
        Called between pieces of the work; what it raises ends it.
    """
    import lightgbm  # seconds, which a room that never fits does not spend

    logger = logging.getLogger("lightgbm")
    logger.setLevel(logging.ERROR)
    lightgbm.register_logger(logger)  # else it warns that joined features are not categories any more
    settings = _settings(target, len(features), values.shape[1], seed)
    dataset = _dataset(values, features, target, settings, look)
    gains = np.zeros(len(features))
    for label in _labels(target):
        look()
        dataset.set_label(label)
        booster = lightgbm.Booster(settings, dataset)
        for _ in range(ROUNDS):
            look()
            if booster.update():
                break  # no tree could be grown
        gains += booster.feature_importance("gain")
    total = gains.sum()
    return gains / total if total > 0.0 else gains


def _settings(target: Target, features: int, rows: int, seed: int) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "objective": "regression" if target.kind is TargetKind.REAL else "binary",
        "metric": "none",
        "learning_rate": 0.1,
        "num_leaves": 31,
        "min_data_in_leaf": 20,
        "feature_fraction_bynode": 0.5,
        "seed": seed % _SEED_MAX,
        "deterministic": True,
        "force_col_wise": True,  # else it tries both ways and takes the faster one
        "num_threads": 1,  # a server has other calls for its cores, and waiting OpenMP threads burn them
        "histogram_pool_size": _HISTOGRAMS_MIB,
        "verbosity": -1,
    }
    if features > _TREE_FEATURES:
        settings["feature_fraction"] = _TREE_FEATURES / features
    share = _TREE_VALUES / (min(features, _TREE_FEATURES) * rows)
    if share < 1.0:
        settings |= {"bagging_fraction": share, "bagging_freq": 1}
    return settings


def _dataset(
    values: Floats,
    features: Sequence[int],
    target: Target,
    settings: dict[str, Any],
    look: Callable[[], None],
) -> Dataset:
    """The features in bins, some at a time: to put all into bins at once takes minutes."""
    import lightgbm

    rows = values.shape[1]
    dataset = None
    for some in spans(len(features), rows, look):
        part = lightgbm.Dataset(
            np.ascontiguousarray(values[features[some]].T),
            target.values if dataset is None else None,
            weight=target.weights if dataset is None else None,
            params=settings,
        ).construct()
        part.data = np.empty((rows, 0))  # it joins these too, and warns where they are gone
        dataset = part if dataset is None else dataset.add_features_from(part)
    assert dataset is not None
    return dataset


def _labels(target: Target) -> Iterator[Floats]:
    """What the models are told: the number, or one after the other whether it is this class; of two classes
    the second."""
    if target.kind is TargetKind.REAL:
        yield target.values
    else:
        for code in range(1 if len(target.classes) == 2 else 0, len(target.classes)):
            yield (target.codes == code).astype(np.float64)
