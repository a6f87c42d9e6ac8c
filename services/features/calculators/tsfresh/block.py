"""A block of windows, one a row, with what several calculators need of it computed once."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from services.features.columns import Floats


class Block:
    """`values` (windows, bars), contiguous and without NaN.

    Everything is reduced along contiguous rows: NumPy then adds the numbers of a window in one fixed order,
    so that a value depends neither on the block its window falls into nor on where the history starts.
    """

    def __init__(self, values: Floats) -> None:
        self.values = np.ascontiguousarray(values)
        self.bars = values.shape[1]

    @cached_property
    def mean(self) -> Floats:
        mean: Floats = self.values.mean(axis=1)
        return mean

    @cached_property
    def centred(self) -> Floats:
        return self.values - self.mean[:, None]

    @cached_property
    def squares(self) -> Floats:
        """Squared deviations from the mean."""
        return self.centred * self.centred

    @cached_property
    def variance(self) -> Floats:
        """Divisor n, as tsfresh."""
        variance: Floats = self.squares.mean(axis=1)
        return variance

    @cached_property
    def deviation(self) -> Floats:
        return np.sqrt(self.variance)

    @cached_property
    def changes(self) -> Floats:
        return np.diff(self.values, axis=1)

    @cached_property
    def ordered(self) -> Floats:
        return np.sort(self.values, axis=1)

    @cached_property
    def mass(self) -> Floats:
        """Share of the absolute sum up to each bar; NaN where every value is zero."""
        absolute = np.abs(self.values)
        total = absolute.sum(axis=1)
        total[total == 0.0] = np.nan
        mass: Floats = np.cumsum(absolute, axis=1) / total[:, None]
        return mass

    @cached_property
    def line(self) -> tuple[Floats, Floats, float]:
        """Covariance with time, correlation with time, variance of time; scipy's `linregress`, divisor n."""
        time = np.arange(self.bars) - (self.bars - 1) / 2.0
        of_time = float((time * time).mean())
        covariance = (self.centred * time).mean(axis=1)
        scale = np.sqrt(of_time * self.variance)
        # Nothing to regress where nothing moved, whatever rounding left of the deviations.
        scale[self.values.max(axis=1) == self.values.min(axis=1)] = np.nan
        with np.errstate(divide="ignore", invalid="ignore"):
            correlation = np.clip(covariance / scale, -1.0, 1.0)
        return covariance, correlation, of_time
