"""Learners: one module per library, one shape for all; the class of the parameters says which is meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.bundle.files import LIGHTGBM_TEXT, XGBOOST_UBJ
from marketml.rpc.refusals import Violation
from services.training.learners import extra_trees, forest, lightgbm, xgboost
from services.training.learners.extra_trees import ExtraTreesParameters
from services.training.learners.fitting import FitRequest, Fitted, Matrix, Probabilities, Reading
from services.training.learners.forest import ForestParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.xgboost import XgboostParameters

ModelParameters: TypeAlias = LightgbmParameters | XgboostParameters | ForestParameters | ExtraTreesParameters


class _Library(Protocol):
    KIND: str

    def predict_probabilities(self, fitted: Fitted, features: Matrix) -> Probabilities: ...
    def raw_scores(self, fitted: Fitted, features: Matrix) -> npt.NDArray[np.float64]: ...
    def gains(self, fitted: Fitted) -> npt.NDArray[np.float64]: ...


_LIBRARIES: tuple[_Library, ...] = (lightgbm, xgboost, forest, extra_trees)
_NATIVE_NAMES = {lightgbm.KIND: LIGHTGBM_TEXT, xgboost.KIND: XGBOOST_UBJ}
_LIBRARY_OF = {library.KIND: library for library in _LIBRARIES}


def kind_of(parameters: ModelParameters) -> str:
    """`lightgbm`, `xgboost`, `random_forest` or `extra_trees`."""
    match parameters:
        case LightgbmParameters():
            return lightgbm.KIND
        case XgboostParameters():
            return xgboost.KIND
        case ForestParameters():
            return forest.KIND
        case ExtraTreesParameters():
            return extra_trees.KIND


def stops_early(parameters: ModelParameters) -> bool:
    """Whether the model is fitted in rounds that a validation slice can end."""
    return not isinstance(parameters, ForestParameters | ExtraTreesParameters)


def rounds_of(parameters: ModelParameters) -> int:
    """The most rounds (trees of a forest) a fit may take."""
    if isinstance(parameters, ForestParameters | ExtraTreesParameters):
        return parameters.trees
    return parameters.rounds


def capped(parameters: ModelParameters, rounds: int) -> ModelParameters:
    """The same parameters with no more than `rounds` rounds."""
    fewer = min(rounds_of(parameters), rounds)
    if isinstance(parameters, ForestParameters | ExtraTreesParameters):
        return replace(parameters, trees=fewer)
    return replace(parameters, rounds=fewer)


def validate(parameters: ModelParameters, path: str = "model") -> list[Violation]:
    """Every parameter that leaves its range, with its full path."""
    match parameters:
        case LightgbmParameters():
            return lightgbm.validate(parameters, f"{path}.{lightgbm.KIND}")
        case XgboostParameters():
            return xgboost.validate(parameters, f"{path}.{xgboost.KIND}")
        case ForestParameters():
            return forest.validate(parameters, f"{path}.{forest.KIND}")
        case ExtraTreesParameters():
            return extra_trees.validate(parameters, f"{path}.{extra_trees.KIND}")


def reading_terms(parameters: ModelParameters, seed: int) -> tuple[int, ...] | None:
    """What decides how a library reads rows, beside the rows; None where reading them once wins nothing."""
    match parameters:
        case LightgbmParameters():
            return lightgbm.reading_terms(parameters, seed)
        case XgboostParameters():
            return xgboost.reading_terms(parameters, seed)
        case ForestParameters() | ExtraTreesParameters():
            return None


def read(parameters: ModelParameters, request: FitRequest) -> Reading:
    """The rows of a request as the library holds them; only where there are `reading_terms`."""
    match parameters:
        case LightgbmParameters():
            return lightgbm.read(parameters, request)
        case XgboostParameters():
            return xgboost.read(parameters, request)
        case ForestParameters() | ExtraTreesParameters():
            raise ValueError("A forest reads its rows for every fit.")


def fit(parameters: ModelParameters, request: FitRequest, reading: Reading | None = None) -> Fitted:
    """Fit the model that the parameters name; see the library's module."""
    match parameters:
        case LightgbmParameters():
            return lightgbm.fit(parameters, request, reading)
        case XgboostParameters():
            return xgboost.fit(parameters, request, reading)
        case ForestParameters():
            return forest.fit(parameters, request)
        case ExtraTreesParameters():
            return extra_trees.fit(parameters, request)


def predict_probabilities(fitted: Fitted, features: Matrix) -> Probabilities:
    """Class probabilities, float64 (rows, classes)."""
    return _LIBRARY_OF[fitted.kind].predict_probabilities(fitted, features)


def raw_scores(fitted: Fitted, features: Matrix) -> npt.NDArray[np.float64]:
    """Scores before any link function, float64 (rows, width).

    One column (the second class) for two boosted classes, else one per class; of a forest its probabilities.
    """
    return _LIBRARY_OF[fitted.kind].raw_scores(fitted, features)


def importances(fitted: Fitted) -> npt.NDArray[np.float64]:
    """Each feature's share of the total gain, float64 (features,): sums to 1, or all 0 if nothing split."""
    gains = _LIBRARY_OF[fitted.kind].gains(fitted)
    total = float(gains.sum())
    return gains / total if total > 0 else gains


def native_bytes(fitted: Fitted) -> bytes | None:
    """The library's own model file (LightGBM text, XGBoost UBJSON); a forest has none but pickles."""
    match fitted.kind:
        case lightgbm.KIND:
            return lightgbm.native_bytes(fitted)
        case xgboost.KIND:
            return xgboost.native_bytes(fitted)
        case _:
            return None


def native_name(kind: str) -> str:
    """The name of the library's own file in a bundle."""
    return _NATIVE_NAMES[kind]
