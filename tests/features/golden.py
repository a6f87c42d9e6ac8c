"""How a feature's values are compared with those of an independent source."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from services.features.feature import Feature
from tests.features.frames import columns_of, random_walk, real_bars

Golden = Callable[[pd.DataFrame], npt.ArrayLike]

# A recursion of the other source still remembers its start to one part in 1e12.
RELATIVE = 1e-9
TARDY_BARS = 2  # TA-Lib holds the stochastic back until its mean is known too


def frame_of(kind: str) -> pd.DataFrame:
    """`walk`: 3000 random bars; `real`: 3240 real ones over the fastest fall and the calm after it."""
    return random_walk(7, 3000) if kind == "walk" else real_bars("2020-02-15", "2020-06-28")


def assert_golden(feature: Feature, goldens: Mapping[str, Golden], frame: pd.DataFrame) -> None:
    assert feature.name in goldens, f"{feature.name} has no golden reference"
    expected = np.asarray(goldens[feature.name](frame), dtype=np.float64)
    values = feature.compute(columns_of(frame))
    assert values.shape == expected.shape == (len(frame),)
    assert np.isnan(values[: feature.lookback_bars]).all()
    assert np.isfinite(values[feature.lookback_bars :]).all()
    first = max(feature.lookback_bars, np.flatnonzero(np.isfinite(expected))[0])
    assert first <= feature.lookback_bars + TARDY_BARS
    values, expected = values[first:], expected[first:]
    scale = np.median(np.abs(expected))
    np.testing.assert_allclose(values, expected, rtol=RELATIVE, atol=RELATIVE * scale)
    assert np.ptp(expected) > 0.0, "a constant reference proves nothing"
