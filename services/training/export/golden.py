"""Golden rows: rows whose answers travel with a model, for a registry to replay."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from marketml.bundle.manifest import GoldenRows
from services.training import learners
from services.training.learners.fitting import Fitted, Matrix

GOLDEN_ROWS = 64  # samples whose answers travel with the model; a few rows of missing values and zeros follow
MISSING_SHARE = 0.3  # of the values in every second golden sample


def draw_golden_rows(features: Matrix, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Samples, every second with holes, and rows of missing, 0 and ±1e6 alone: float64 (golden, features).

    Parameters
    ----------
    features : float (rows, features)
    generator : numpy.random.Generator
    """
    count = min(GOLDEN_ROWS, features.shape[0])
    chosen = np.sort(generator.choice(features.shape[0], count, replace=False))
    rows = features[chosen].astype(np.float64)
    rows[1::2][generator.random(rows[1::2].shape) < MISSING_SHARE] = np.nan
    corners = np.repeat(np.array([[np.nan], [0.0], [-1e6], [1e6]]), features.shape[1], axis=1)
    return np.concatenate((rows, corners))


def golden_answers(fitted: Fitted, rows: npt.NDArray[np.float64]) -> GoldenRows:
    """What a model answers to golden rows."""
    return GoldenRows(
        features=rows,
        raw=learners.raw_scores(fitted, rows),
        probabilities=learners.predict_probabilities(fitted, rows),
    )
