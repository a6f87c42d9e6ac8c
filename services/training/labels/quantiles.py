"""Classes by quantiles of returns: there are none before the rows are known that a model learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from services.training.labels.rules import QuantileThreshold

Floats: TypeAlias = npt.NDArray[np.float64]

UNDECIDED = -1  # the class of a row whose thresholds are not known: no learner and no score takes it


@dataclass(frozen=True)
class ReturnThresholds:
    """Below `lower` a return is down, above `upper` up; fractions of the entry price."""

    lower: float
    upper: float

    def classes(self, returns: Floats) -> npt.NDArray[np.int8]:
        """The class of each return: 0 down, 1 range, 2 up."""
        above, below = returns > self.upper, returns < self.lower
        return (1 + above.astype(np.int8) - below.astype(np.int8)).astype(np.int8)


def thresholds_of(returns: Floats, rule: QuantileThreshold) -> ReturnThresholds:
    """The quantiles `tail` and `1 - tail` of returns, interpolated between neighbours.

    Parameters
    ----------
    returns : float64 (rows,)
        Of the rows that are learnt from, none missing.
    rule : QuantileThreshold
    """
    lower, upper = np.quantile(returns, (rule.tail, 1.0 - rule.tail))
    return ReturnThresholds(float(lower), float(upper))
