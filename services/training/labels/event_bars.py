"""Event filters: which bars are decisions at all, by what is known at their close."""

from __future__ import annotations

import numpy as np
from numba import njit

from services.training.labels.barriers import ON_THE_BOUND, Mask
from services.training.labels.rules import CusumEvents
from services.training.labels.volatility import Floats, threshold_of


def cusum_events(close: Floats, rule: CusumEvents) -> Mask:
    """Bars at which log returns have added up to the threshold, in either direction.

    Where a return or the threshold is missing, the sums start again; a threshold of zero (a market that did
    not move) makes no event.

    References
    ----------
    López de Prado (2018), *Advances in Financial Machine Learning*, section 2.5.2.1.
    """
    returns = np.full(close.size, np.nan)
    returns[1:] = np.log(close[1:] / close[:-1])
    return _reached(returns, threshold_of(close, rule.threshold), ON_THE_BOUND)


@njit(nogil=True, cache=True, error_model="numpy")
def _reached(returns: Floats, threshold: Floats, on_the_bound: float) -> Mask:
    events = np.zeros(returns.size, dtype=np.bool_)
    upward, downward = 0.0, 0.0
    for bar in range(returns.size):
        if np.isnan(returns[bar]) or not threshold[bar] > 0.0:
            upward, downward = 0.0, 0.0
            continue
        upward = max(0.0, upward + returns[bar])
        downward = min(0.0, downward + returns[bar])
        bound = threshold[bar] * (1.0 - on_the_bound)
        if upward >= bound:
            upward = 0.0
            events[bar] = True
        if downward <= -bound:
            downward = 0.0
            events[bar] = True
    return events
