"""Trailing volatility, and the thresholds that are multiples of it."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from services.training.labels.rules import Fixed, TrailingVolatility

Floats: TypeAlias = npt.NDArray[np.float64]


def trailing_volatility(close: Floats, window_bars: int) -> Floats:
    """Sample standard deviation of the last `window_bars` one-bar returns, NaN where one of them is missing.

    Parameters
    ----------
    close : float64 (bars,)
    window_bars : int
        At least 2.

    Returns
    -------
    float64 (bars,)
        A fraction of price for one bar; the value at a bar is known at that bar's close.
    """
    returns = np.full(close.size, np.nan)
    returns[1:] = close[1:] / close[:-1] - 1.0
    return pd.Series(returns).rolling(window_bars, min_periods=window_bars).std(ddof=1).to_numpy(np.float64)


def threshold_of(close: Floats, rule: Fixed | TrailingVolatility) -> Floats:
    """The threshold at each bar, a fraction of price; NaN where it is not known."""
    if isinstance(rule, Fixed):
        return np.full(close.size, rule.fraction)
    return rule.multiple * trailing_volatility(close, rule.window_bars)
