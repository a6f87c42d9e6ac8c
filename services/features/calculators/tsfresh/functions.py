"""tsfresh's calculators over a block of windows: `function(block, **parameters)` gives one number a window.

Definitions and names are those of `tsfresh.feature_extraction.feature_calculators` (Christ et al. 2018), down
to what it answers where a formula divides by zero. One difference: the correlation of a constant window with
time is NaN here, where tsfresh gives what rounding left of 0 / 0.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from services.features.calculators.tsfresh.block import Block
from services.features.columns import Floats

Result: TypeAlias = Any  # float64 (windows,); what NumPy says of a reduction over an axis

NEGLIGIBLE_VARIANCE = 1e-8  # tsfresh asks np.isclose(variance, 0)


def mean(block: Block) -> Result:
    return block.mean


def median(block: Block) -> Result:
    half = block.bars // 2
    if block.bars % 2:
        return block.ordered[:, half]
    return (block.ordered[:, half - 1] + block.ordered[:, half]) / 2.0


def minimum(block: Block) -> Result:
    return block.values.min(axis=1)


def maximum(block: Block) -> Result:
    return block.values.max(axis=1)


def absolute_maximum(block: Block) -> Result:
    return np.abs(block.values).max(axis=1)


def sum_values(block: Block) -> Result:
    return block.values.sum(axis=1)


def variance(block: Block) -> Result:
    return block.variance


def standard_deviation(block: Block) -> Result:
    return block.deviation


def variation_coefficient(block: Block) -> Result:
    return _quotient(block.deviation, block.mean)


def skewness(block: Block) -> Result:
    """Adjusted Fisher-Pearson, as pandas; NaN where nothing moves."""
    n = block.bars
    second = block.squares.sum(axis=1)
    third = (block.squares * block.centred).sum(axis=1)
    result = _quotient(third, second**1.5) * (n * np.sqrt(n - 1.0) / (n - 2.0))
    return np.where(_is_constant(block), np.nan, result)


def kurtosis(block: Block) -> Result:
    """Excess, adjusted, as pandas; NaN where nothing moves."""
    n = block.bars
    second = block.squares.sum(axis=1)
    fourth = (block.squares * block.squares).sum(axis=1)
    scaled = _quotient(fourth, second * second) * (n * (n + 1.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0)))
    result = scaled - 3.0 * (n - 1.0) ** 2 / ((n - 2.0) * (n - 3.0))
    return np.where(_is_constant(block), np.nan, result)


def abs_energy(block: Block) -> Result:
    return (block.values * block.values).sum(axis=1)


def root_mean_square(block: Block) -> Result:
    return np.sqrt((block.values * block.values).mean(axis=1))


def mean_change(block: Block) -> Result:
    return (block.values[:, -1] - block.values[:, 0]) / (block.bars - 1)


def mean_abs_change(block: Block) -> Result:
    return np.abs(block.changes).mean(axis=1)


def absolute_sum_of_changes(block: Block) -> Result:
    return np.abs(block.changes).sum(axis=1)


def mean_second_derivative_central(block: Block) -> Result:
    x = block.values
    return (x[:, -1] - x[:, -2] - x[:, 1] + x[:, 0]) / (2 * (block.bars - 2))


def cid_ce(block: Block, normalize: bool) -> Result:
    length = np.sqrt((block.changes * block.changes).sum(axis=1))
    if not normalize:
        return length
    return np.where(block.deviation == 0.0, 0.0, _quotient(length, block.deviation))


def autocorrelation(block: Block, lag: int) -> Result:
    products = (block.centred[:, :-lag] * block.centred[:, lag:]).sum(axis=1)
    moving = np.where(block.variance <= NEGLIGIBLE_VARIANCE, np.nan, block.variance)
    return products / ((block.bars - lag) * moving)


def c3(block: Block, lag: int) -> Result:
    x = block.values
    return (x[:, 2 * lag :] * x[:, lag:-lag] * x[:, : -2 * lag]).mean(axis=1)


def time_reversal_asymmetry_statistic(block: Block, lag: int) -> Result:
    now, one, two = block.values[:, : -2 * lag], block.values[:, lag:-lag], block.values[:, 2 * lag :]
    return (two * two * one - one * now * now).mean(axis=1)


def linear_trend(block: Block, attr: str) -> Result:
    covariance, correlation, of_time = block.line
    if attr == "rvalue":
        return correlation
    if attr == "slope":
        return covariance / of_time
    if attr == "intercept":
        return block.mean - covariance / of_time * ((block.bars - 1) / 2.0)
    return np.sqrt((1.0 - correlation**2) * block.variance / of_time / (block.bars - 2))  # stderr


def quantile(block: Block, q: float) -> Result:
    """NumPy's linear interpolation, from the nearer of the two neighbours."""
    position = (block.bars - 1) * q
    below = min(int(position), block.bars - 2)
    share = position - below
    low, high = block.ordered[:, below], block.ordered[:, below + 1]
    if share >= 0.5:
        return high - (high - low) * (1.0 - share)
    return low + (high - low) * share


def count_above_mean(block: Block) -> Result:
    return _count(block.values > block.mean[:, None])


def count_below_mean(block: Block) -> Result:
    return _count(block.values < block.mean[:, None])


def longest_strike_above_mean(block: Block) -> Result:
    return _longest_run(block.values > block.mean[:, None])


def longest_strike_below_mean(block: Block) -> Result:
    return _longest_run(block.values < block.mean[:, None])


def number_crossing_m(block: Block, m: float) -> Result:
    above = block.values > m
    return _count(above[:, 1:] != above[:, :-1])


def ratio_beyond_r_sigma(block: Block, r: float) -> Result:
    return _count(np.abs(block.centred) > (r * block.deviation)[:, None]) / block.bars


def number_peaks(block: Block, n: int) -> Result:
    """Values larger than their `n` neighbours on either side."""
    x = block.values
    middle = x[:, n:-n]
    is_peak = np.ones(middle.shape, dtype=np.bool_)
    for i in range(1, n + 1):
        is_peak &= middle > x[:, n - i : x.shape[1] - n - i]
        is_peak &= middle > x[:, n + i : x.shape[1] - n + i]
    return _count(is_peak)


def first_location_of_maximum(block: Block) -> Result:
    return block.values.argmax(axis=1) / block.bars


def last_location_of_maximum(block: Block) -> Result:
    return 1.0 - block.values[:, ::-1].argmax(axis=1) / block.bars


def first_location_of_minimum(block: Block) -> Result:
    return block.values.argmin(axis=1) / block.bars


def last_location_of_minimum(block: Block) -> Result:
    return 1.0 - block.values[:, ::-1].argmin(axis=1) / block.bars


def index_mass_quantile(block: Block, q: float) -> Result:
    share = (np.argmax(block.mass >= q, axis=1) + 1) / block.bars
    return np.where(np.isnan(block.mass[:, -1]), np.nan, share)


def ratio_value_number_to_time_series_length(block: Block) -> Result:
    """Different values per value."""
    return (_count(block.ordered[:, 1:] != block.ordered[:, :-1]) + 1.0) / block.bars


def _is_constant(block: Block) -> Result:
    return block.ordered[:, 0] == block.ordered[:, -1]


def _quotient(numerator: Floats, denominator: Floats) -> Result:
    """NaN where the denominator is zero."""
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0.0)


def _count(flags: npt.NDArray[np.bool_]) -> Result:
    return np.count_nonzero(flags, axis=1).astype(np.float64)


def _longest_run(flags: npt.NDArray[np.bool_]) -> Result:
    run = np.zeros(flags.shape[0], dtype=np.int32)
    longest = np.zeros(flags.shape[0], dtype=np.int32)
    for flag in np.ascontiguousarray(flags.T):
        run = (run + 1) * flag
        np.maximum(longest, run, out=longest)
    return longest.astype(np.float64)
