"""What an audit tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

from services.features.columns import Floats
from services.features.plan import Omission

Flags = npt.NDArray[np.bool_]


class LeakCheck(StrEnum):
    """How a leak shows: when the history ends earlier, when what comes later is another, or when the bar is
    computed as the newest from the history that the feature claims to need."""

    TRUNCATION = "truncation"
    PERTURBATION = "perturbation"
    LIVE = "live"


@dataclass(frozen=True)
class LeakFinding:
    """A feature that sees the future; see the contract's LeakFinding."""

    feature: str
    check: LeakCheck
    open_time: pd.Timestamp
    batch_value: float
    other_value: float
    size: float
    wrong_bars: int


@dataclass(frozen=True)
class AuditSummary:
    """What was looked at."""

    row_count: int
    feature_count: int
    offender_count: int
    omitted: tuple[Omission, ...]
    seconds: float
    batch_seconds: float


class Comparison:
    """Values of one feature held against others, time after time.

    Parameters
    ----------
    typical
        The feature's median absolute value, below which a difference is not taken relative to the values.
    """

    def __init__(self, feature: str, check: LeakCheck, typical: float) -> None:
        self._feature = feature
        self._check = check
        self._typical = typical
        self._size = 0.0
        self._first: tuple[pd.Timestamp, float, float] | None = None
        self._wrong: set[pd.Timestamp] = set()

    def hold(self, open_time: pd.DatetimeIndex, batch: Floats, other: Floats) -> None:
        """Look at these bars."""
        wrong = np.flatnonzero(differ(batch, other))
        if not wrong.size:
            return
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            scale = np.maximum(np.maximum(np.abs(batch), np.abs(other)), self._typical)[wrong]
            sizes = np.abs(batch - other)[wrong] / scale
        self._size = max(self._size, float(np.where(np.isnan(sizes), np.inf, sizes).max()))
        at = wrong[0]
        if self._first is None or open_time[at] < self._first[0]:
            self._first = open_time[at], float(batch[at]), float(other[at])
        self._wrong.update(open_time[wrong])

    def finding(self) -> LeakFinding | None:
        """What was found, None when all is equal."""
        if self._first is None:
            return None
        return LeakFinding(self._feature, self._check, *self._first, self._size, len(self._wrong))


def differ(batch: Floats, other: Floats) -> Flags:
    """Where two values are not the same: to the last bit, or both missing."""
    same: Flags = (batch == other) | (np.isnan(batch) & np.isnan(other))
    return ~same
