"""Rows of features, and the DataFrames that callers send."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.registry.bundles import FEATURES


def random_rows(count: int = 5, seed: int = 0) -> np.ndarray:
    """Rows (count, features) with a few missing values."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, len(FEATURES)))
    rows[random.random(rows.shape) < 0.1] = np.nan
    return rows


def frame_of(rows: np.ndarray) -> pd.DataFrame:
    """Hourly bars from the start of 2026."""
    index = pd.date_range("2026-01-01", periods=len(rows), freq="h", tz="UTC", name="open_time")
    return pd.DataFrame(rows, index=index, columns=list(FEATURES))
