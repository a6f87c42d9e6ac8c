"""What a feature looks at, found by changing what it must not look at."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from services.features.columns import Columns
from services.features.feature import Feature
from tests.features.frames import HOUR


def computed(features: Iterable[Feature], frame: pd.DataFrame) -> dict[str, np.ndarray]:
    columns = Columns(frame, HOUR)
    return {feature.name: feature.compute(columns) for feature in features}


def looks_ahead(features: Iterable[Feature], frame: pd.DataFrame, bars: int) -> list[str]:
    """The features of which a value within the first `bars` is not the same, to the bit, without the rest."""
    features = tuple(features)
    whole, cut = computed(features, frame), computed(features, frame.iloc[:bars])
    return [name for name in whole if not np.array_equal(whole[name][:bars], cut[name], equal_nan=True)]


def looks_too_far_back(features: Iterable[Feature], frame: pd.DataFrame, bars: int) -> list[str]:
    """The features whose last `bars` values are not the same, to the bit, on their own history alone."""
    features = tuple(features)
    whole = computed(features, frame)
    return [
        feature.name
        for feature in features
        if not np.array_equal(
            whole[feature.name][-bars:],
            feature.compute(Columns(frame.iloc[-feature.lookback_bars - bars :], HOUR))[-bars:],
            equal_nan=True,
        )
    ]
