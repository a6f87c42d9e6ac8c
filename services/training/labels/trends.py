"""Trend scanning: the clearest line through the closes that come."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from services.training.labels.barriers import Mask, Outcome
from services.training.labels.rules import TrendScanning
from services.training.labels.volatility import Floats

# What rounding leaves of the residuals of closes that stand on a line, as a share of their spread. The |t| of
# such a line is finite, and grows with the number of closes on it.
ON_THE_LINE = 1e-12


def scan_trends(close: Floats, whole: Mask, rule: TrendScanning) -> Outcome:
    """The sign of the clearest trend from each bar on, and the return over it.

    The outcome is at the longest horizon: a later close may make a longer trend the clearest.

    References
    ----------
    López de Prado (2020), *Machine Learning for Asset Managers*, section 5.4.
    """
    t_values, horizons = _clearest_trends(
        close, whole, rule.min_horizon_bars, rule.max_horizon_bars, ON_THE_LINE
    )
    signs = np.sign(t_values).astype(np.int8)
    signs[np.abs(t_values) < (rule.minimum_t or 0.0)] = 0
    last = close.size - 1
    at = np.arange(close.size)
    returns = close[np.minimum(at + horizons, last)] / close - 1.0
    return signs, np.minimum(at + rule.max_horizon_bars, last), returns, whole


@njit(nogil=True, cache=True, error_model="numpy")
def _clearest_trends(
    close: Floats, whole: Mask, least: int, most: int, on_the_line: float
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The t value of the slope that is largest by magnitude, and its horizon, of each whole bar."""
    t_values = np.zeros(close.size)
    horizons = np.zeros(close.size, dtype=np.int64)
    for decision in range(close.size):
        if not whole[decision]:
            continue
        entry = close[decision]
        total, weighted, squared = 0.0, 0.0, 0.0
        for horizon in range(1, most + 1):
            # Moves since the decision, as fractions: sums of prices would cancel.
            move = (close[decision + horizon] - entry) / entry
            total += move
            weighted += horizon * move
            squared += move * move
            if horizon < least:
                continue
            points = horizon + 1.0
            spread_x = points * (points * points - 1.0) / 12.0
            spread_y = squared - total * total / points
            covered = weighted - 0.5 * horizon * total
            if spread_y <= 0.0:
                t_value = 0.0
            else:
                residual = max(spread_y - covered * covered / spread_x, on_the_line * spread_y)
                t_value = covered / np.sqrt(residual / (points - 2.0) * spread_x)
            if horizon == least or abs(t_value) > abs(t_values[decision]):
                t_values[decision] = t_value
                horizons[decision] = horizon
    return t_values, horizons
