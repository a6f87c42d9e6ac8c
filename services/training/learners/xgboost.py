"""XGBoost with histograms: the same seed and rows give the same model bytes wherever they are fitted.

So one thread grows the trees, however many there are: the library gives each a part of the rows and adds up
what they found, and the last bits of such a sum may decide a split.
"""

from __future__ import annotations

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
    import xgboost

KIND = "xgboost"


@dataclass(frozen=True)
class XgboostParameters:
    """Allowed parameters, with the library's names; fractions are of rows or of features."""

    rounds: int = ranged(500, 1, 20_000)
    learning_rate: float = ranged(0.05, 0.0001, 1.0)
    max_depth: int = ranged(6, 1, 16)
    min_child_weight: float = ranged(1.0, 0.0, 1_000_000.0)
    gamma: float = ranged(0.0, 0.0, 1_000.0)
    subsample: float = ranged(1.0, 0.05, 1.0)
    colsample_bytree: float = ranged(1.0, 0.01, 1.0)
    reg_alpha: float = ranged(0.0, 0.0, 10_000.0)
    reg_lambda: float = ranged(1.0, 0.0, 10_000.0)
    max_bin: int = ranged(256, 8, 1_024)


def validate(parameters: XgboostParameters, path: str = "model.xgboost") -> list[Violation]:
    """Every parameter that leaves its range."""
    return range_violations(parameters, path)


def reading_terms(parameters: XgboostParameters, _seed: int) -> tuple[int, ...]:
    """What decides how rows are read, beside the rows."""
    return (parameters.max_bin,)


def read(parameters: XgboostParameters, request: FitRequest) -> Reading:
    """Sort the rows into bins; see `fit` for what is raised."""
    require_fittable(request, narrow=True)
    train = _matrix(request.train, parameters, request.threads, None)
    slice_ = None if request.validation is None else request.validation.table
    validation = None if slice_ is None else _matrix(slice_, parameters, request.threads, train)
    tables = [request.train] if slice_ is None else [request.train, slice_]
    size = sum(_most_bytes(table, parameters) for table in tables)
    return Reading(train, validation, size)


def fit(parameters: XgboostParameters, request: FitRequest, reading: Reading | None = None) -> Fitted:
    """Fit a classifier on `request.train`, stopping on `request.validation` if there is one.

    Parameters
    ----------
    parameters : XgboostParameters
    request : FitRequest
    reading : Reading, optional
        Of this request, or of another one with its rows and the same `reading_terms`.

    Raises
    ------
    InvalidArgument, FailedPrecondition
        See `require_fittable`.
    """
    import xgboost  # here, not above: the server knows the parameters and fits nothing

    reading = reading or read(parameters, request)
    train = reading.train
    known = [train] if reading.validation is None else [train, reading.validation]
    booster = xgboost.Booster(_settings(parameters, request), known)

    def update(index: int) -> bool:
        booster.update(train, index)
        return True

    def loss(table: Table) -> float:
        return log_loss(table, booster.predict(known[-1], validate_features=False))

    boosted = boost(update, loss, parameters.rounds, request)
    return Fitted(
        kind=KIND,
        model=booster[: boosted.best_round],
        class_count=request.class_count,
        feature_count=request.train.features.shape[1],
        rounds=boosted.best_round,
        trained_rounds=boosted.trained_rounds,
        validation_losses=boosted.validation_losses,
        threads=request.threads,
    )


def predict_probabilities(fitted: Fitted, features: Matrix) -> Probabilities:
    """Class probabilities, float64 (rows, classes).

    The scores are the library's, float32. Their link is taken in float64, as whoever reads the model's bundle
    takes it: what an ensemble makes of a probability may hang on its last bit.
    """
    scores = raw_scores(fitted, features)
    if fitted.class_count == 2:
        with np.errstate(over="ignore"):  # of a probability of 0
            predicted = 1.0 / (1.0 + np.exp(-scores[:, 0]))
        return np.column_stack((1.0 - predicted, predicted))
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), dtype=np.float64)


def raw_scores(fitted: Fitted, features: Matrix) -> npt.NDArray[np.float64]:
    """Scores before the link function, float64 (rows, 1 for two classes else classes)."""
    found = fitted.model.inplace_predict(features, predict_type="margin")
    return np.asarray(found, dtype=np.float64).reshape(features.shape[0], -1)


def gains(fitted: Fitted) -> npt.NDArray[np.float64]:
    """Total gain of the splits on each feature, float64 (features,)."""
    found = np.zeros(fitted.feature_count)
    for name, gain in fitted.model.get_score(importance_type="total_gain").items():
        found[int(name[1:])] = gain  # the library names features f0, f1, …
    return found


def native_bytes(fitted: Fitted) -> bytes:
    """The library's own UBJSON model, for people."""
    return bytes(fitted.model.save_raw("ubj"))


def _settings(parameters: XgboostParameters, request: FitRequest) -> dict[str, Any]:
    multiclass = request.class_count > 2
    return {
        "objective": "multi:softprob" if multiclass else "binary:logistic",
        "disable_default_eval_metric": True,
        **({"num_class": request.class_count} if multiclass else {}),
        "tree_method": "hist",
        "device": "cpu",
        "learning_rate": parameters.learning_rate,
        "max_depth": parameters.max_depth,
        "min_child_weight": parameters.min_child_weight,
        "gamma": parameters.gamma,
        "subsample": parameters.subsample,
        "colsample_bytree": parameters.colsample_bytree,
        "reg_alpha": parameters.reg_alpha,
        "reg_lambda": parameters.reg_lambda,
        "max_bin": parameters.max_bin,
        "seed": request.seed,
        "nthread": 1,  # see above
        "verbosity": 0,
    }


def _most_bytes(table: Table, parameters: XgboostParameters) -> int:
    """Of a table as the library holds it: by row and by column, in whole bytes where all values are known."""
    if np.isnan(table.features).any():
        return 8 * table.features.size
    return (3 if parameters.max_bin <= 256 else 6) * table.features.size


def _matrix(
    table: Table, parameters: XgboostParameters, threads: int, reference: xgboost.QuantileDMatrix | None
) -> xgboost.QuantileDMatrix:
    import xgboost

    return xgboost.QuantileDMatrix(
        table.features,
        table.classes,
        weight=table.weights,
        max_bin=parameters.max_bin,
        nthread=threads,
        ref=reference,
    )
