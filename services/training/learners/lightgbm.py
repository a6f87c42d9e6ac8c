"""LightGBM, deterministic: the same seed and rows give the same model text with any number of threads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marketml.rpc.refusals import Violation
from services.training.learners.fitting import (
    FitRequest,
    Fitted,
    Matrix,
    Probabilities,
    Reading,
    Table,
    boost,
    log_loss,
    require_fittable,
)
from services.training.learners.parameters import range_violations, ranged

if TYPE_CHECKING:
    import lightgbm

KIND = "lightgbm"


@dataclass(frozen=True)
class LightgbmParameters:
    """Allowed parameters, named as in the scikit-learn interface; fractions are of rows or of features."""

    rounds: int = ranged(500, 1, 20_000)
    learning_rate: float = ranged(0.05, 0.0001, 1.0)
    num_leaves: int = ranged(31, 2, 4_096)
    max_depth: int = ranged(0, 0, 64)  # 0: only num_leaves bounds a tree
    min_child_samples: int = ranged(20, 1, 1_000_000)
    min_split_gain: float = ranged(0.0, 0.0, 1_000.0)
    subsample: float = ranged(1.0, 0.05, 1.0)
    colsample_bytree: float = ranged(1.0, 0.01, 1.0)
    reg_alpha: float = ranged(0.0, 0.0, 10_000.0)
    reg_lambda: float = ranged(0.0, 0.0, 10_000.0)
    max_bin: int = ranged(255, 8, 1_023)


def validate(parameters: LightgbmParameters, path: str = "model.lightgbm") -> list[Violation]:
    """Every parameter that leaves its range."""
    return range_violations(parameters, path)


def reading_terms(parameters: LightgbmParameters, seed: int) -> tuple[int, ...]:
    """What decides how rows are read, beside the rows."""
    return parameters.max_bin, seed


def read(parameters: LightgbmParameters, request: FitRequest) -> Reading:
    """Sort the rows into bins; see `fit` for what is raised."""
    require_fittable(request)
    settings = {
        "max_bin": parameters.max_bin,
        # Which features can be split would depend on min_child_samples, and with it which ones are drawn.
        "feature_pre_filter": False,
        "seed": request.seed,
        "num_threads": request.threads,
        "verbosity": -1,
    }
    train = _dataset(request.train, settings, None)
    slice_ = None if request.validation is None else request.validation.table
    validation = None if slice_ is None else _dataset(slice_, settings, train)
    values = request.train.features.size + (0 if slice_ is None else slice_.features.size)
    return Reading(train, validation, 2 * values)


def fit(parameters: LightgbmParameters, request: FitRequest, reading: Reading | None = None) -> Fitted:
    """Fit a classifier on `request.train`, stopping on `request.validation` if there is one.

    Parameters
    ----------
    parameters : LightgbmParameters
    request : FitRequest
    reading : Reading, optional
        Of this request, or of another one with its rows and the same `reading_terms`.

    Raises
    ------
    InvalidArgument, FailedPrecondition
        See `require_fittable`.
    """
    import lightgbm  # here, not above: the server knows the parameters and fits nothing

    reading = reading or read(parameters, request)
    booster = lightgbm.Booster(_settings(parameters, request), reading.train)
    if reading.validation is not None:
        booster.add_valid(reading.validation, "validation")

    def update(index: int) -> bool:
        return not booster.update()

    def loss(table: Table) -> float:
        results = booster.eval_valid(lambda predicted, _: ("log_loss", log_loss(table, predicted), False))
        return float(results[0][2])

    boosted = boost(update, loss, parameters.rounds, request)
    text = booster.model_to_string(num_iteration=boosted.best_round)
    # The text repeats how many threads trained it; the model does not depend on that, so its bytes must not.
    text = re.sub(r"\[num_threads: \d+\]", "[num_threads: 0]", text)
    return Fitted(
        kind=KIND,
        model=lightgbm.Booster(model_str=text),
        class_count=request.class_count,
        feature_count=request.train.features.shape[1],
        rounds=boosted.best_round,
        trained_rounds=boosted.trained_rounds,
        validation_losses=boosted.validation_losses,
        threads=request.threads,
    )


def predict_probabilities(fitted: Fitted, features: Matrix) -> Probabilities:
    """Class probabilities, float64 (rows, classes)."""
    predicted = np.asarray(fitted.model.predict(features, num_threads=fitted.threads), dtype=np.float64)
    return predicted if fitted.class_count > 2 else np.column_stack((1.0 - predicted, predicted))


def raw_scores(fitted: Fitted, features: Matrix) -> npt.NDArray[np.float64]:
    """Scores before the link function, float64 (rows, 1 for two classes else classes)."""
    found = fitted.model.predict(features, raw_score=True, num_threads=fitted.threads)
    return np.asarray(found, dtype=np.float64).reshape(features.shape[0], -1)


def gains(fitted: Fitted) -> npt.NDArray[np.float64]:
    """Total gain of the splits on each feature, float64 (features,)."""
    return np.asarray(fitted.model.feature_importance("gain"), dtype=np.float64)


def native_bytes(fitted: Fitted) -> bytes:
    """The library's own model text, for people."""
    return str(fitted.model.model_to_string()).encode()


def _settings(parameters: LightgbmParameters, request: FitRequest) -> dict[str, Any]:
    multiclass = request.class_count > 2
    return {
        "objective": "multiclass" if multiclass else "binary",
        "metric": "none",
        **({"num_class": request.class_count} if multiclass else {}),
        "learning_rate": parameters.learning_rate,
        "num_leaves": parameters.num_leaves,
        "max_depth": parameters.max_depth or -1,
        "min_data_in_leaf": parameters.min_child_samples,
        "min_gain_to_split": parameters.min_split_gain,
        "bagging_fraction": parameters.subsample,
        "bagging_freq": 1 if parameters.subsample < 1 else 0,
        "feature_fraction": parameters.colsample_bytree,
        "lambda_l1": parameters.reg_alpha,
        "lambda_l2": parameters.reg_lambda,
        "max_bin": parameters.max_bin,
        "feature_pre_filter": False,
        "seed": request.seed,
        "deterministic": True,
        "force_col_wise": True,  # row-wise sums are cut into blocks whose number is that of the threads
        "num_threads": request.threads,
        "verbosity": -1,
    }


def _dataset(table: Table, settings: dict[str, Any], reference: lightgbm.Dataset | None) -> lightgbm.Dataset:
    import lightgbm

    return lightgbm.Dataset(
        table.features, table.classes, weight=table.weights, reference=reference, params=settings
    ).construct()
