"""The triple barrier, and the side of a meta-label: which barrier a path touches first, and when."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from numba import njit

from services.training.labels.rules import FractionBarriers, MovingAverages, TripleBarrier
from services.training.labels.volatility import Floats, trailing_volatility

Mask: TypeAlias = npt.NDArray[np.bool_]
Sides: TypeAlias = npt.NDArray[np.int8]

# Prices and fractions are decimals: as doubles, one that stands on a bound may miss it by a few last bits.
# No venue quotes prices so close to each other.
ON_THE_BOUND = 1e-12

Outcome: TypeAlias = tuple[Sides, npt.NDArray[np.int64], Floats, Mask]
"""Of each bar: class as a sign, bar of the outcome, return there, and whether it has a label at all."""


def triple_barrier(
    high: Floats, low: Floats, close: Floats, whole: Mask, rule: TripleBarrier, sides: Sides | None = None
) -> Outcome:
    """The first touch after each bar.

    Parameters
    ----------
    whole : bool (bars,)
        Bars whose path is there to its end.
    sides : int8 (bars,), optional
        1 where the decision is to buy, -1 where it is to sell, 0 for none (and no label); all buy by default.
        Classes and returns are the side's: a price that falls to a seller's barrier is a profit.
    """
    if isinstance(rule.barriers, FractionBarriers):
        profit = np.full(close.size, rule.barriers.profit_fraction)
        loss = np.full(close.size, rule.barriers.loss_fraction)
    else:
        volatility = trailing_volatility(close, rule.barriers.window_bars)
        profit = rule.barriers.profit_multiple * volatility
        loss = rule.barriers.loss_multiple * volatility
    taken = np.ones(close.size, np.int8) if sides is None else sides
    # A NaN volatility compares false, so it is dropped here too.
    labelled = whole & (np.minimum(profit, loss) > rule.minimum_return) & (taken != 0)
    found, outcome, returns = _first_touches(
        high, low, close, profit, loss, taken, labelled, rule.horizon_bars, ON_THE_BOUND
    )
    return found, outcome, returns, labelled


def crossing_sides(close: Floats, rule: MovingAverages) -> Sides:
    """1 where the fast mean of the closes is above the slow one, -1 below, 0 where equal or not known."""
    closes = pd.Series(close)
    fast, slow = (closes.rolling(bars).mean().to_numpy() for bars in (rule.fast_bars, rule.slow_bars))
    # Means are sums that roll: two of one constant price may differ in their last bits.
    above, below = fast > slow * (1 + ON_THE_BOUND), fast < slow * (1 - ON_THE_BOUND)
    return above.astype(np.int8) - below.astype(np.int8)


@njit(nogil=True, cache=True, error_model="numpy")
def _first_touches(
    high: Floats,
    low: Floats,
    close: Floats,
    profit: Floats,
    loss: Floats,
    taken: Sides,
    labelled: Mask,
    horizon_bars: int,
    on_the_bound: float,
) -> tuple[Sides, npt.NDArray[np.int64], Floats]:
    """Class (1 profit, -1 loss, 0 neither), bar and return of the first touch after each labelled bar."""
    found = np.zeros(high.size, dtype=np.int8)
    outcome = np.zeros(high.size, dtype=np.int64)
    returns = np.full(high.size, np.nan)
    for decision in range(high.size):
        if not labelled[decision]:
            continue
        entry = close[decision]
        gain, harm = profit[decision], loss[decision]
        last = decision + horizon_bars
        touched, at = 0, last
        if taken[decision] > 0:
            above = entry * (1.0 + gain) * (1.0 - on_the_bound)
            below = entry * (1.0 - harm) * (1.0 + on_the_bound)
            for bar in range(decision + 1, last + 1):
                if low[bar] <= below:
                    touched, at = -1, bar
                    break
                if high[bar] >= above:
                    touched, at = 1, bar
                    break
        else:
            above = entry * (1.0 + harm) * (1.0 - on_the_bound)
            below = entry * (1.0 - gain) * (1.0 + on_the_bound)
            for bar in range(decision + 1, last + 1):
                if high[bar] >= above:
                    touched, at = -1, bar
                    break
                if low[bar] <= below:
                    touched, at = 1, bar
                    break
        found[decision] = touched
        outcome[decision] = at
        if touched > 0:
            returns[decision] = gain
        elif touched < 0:
            returns[decision] = -harm
        else:
            returns[decision] = taken[decision] * (close[last] / entry - 1.0)
    return found, outcome, returns
