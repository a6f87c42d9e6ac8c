"""tsfresh's calculators over rolling windows of the newest bars, at every bar.

A feature is called as tsfresh calls it, with its window in front: `w24__close__mean`,
`w24__volume__autocorrelation__lag_3`. Its value at a bar is what tsfresh's calculator gives for the window of
the last so many bars, the current one included; a window that reaches before the first bar or holds a missing
value gives NaN. tsfresh itself is not imported: `CALCULATORS` maps its names to functions over blocks of
windows, and a faster function takes the place of a slower one there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from services.features.calculators.tsfresh import functions
from services.features.calculators.tsfresh.block import Block
from services.features.columns import Floats, Integers

BLOCK_VALUES = 64 * 1024  # numbers in a block: half a megabyte, which stays in the second-level cache
PIECE_VALUES = 4 * 1024 * 1024  # numbers between two looks at whether the caller is still there

Parameter = float | int | bool | str


@dataclass(frozen=True)
class Calculator:
    """One of tsfresh's calculators, with the parameters it is computed for.

    Attributes
    ----------
    name : str
        tsfresh's.
    function : callable
        `function(block, **parameters)` gives one number a window.
    description : str
    parameters : tuple of mappings
        One feature each. All of them are defined on the shortest window a config may ask for.
    is_default : bool
        Whether a config that names no calculators computes it.
    """

    name: str
    function: Callable[..., Floats]
    description: str
    parameters: tuple[Mapping[str, Parameter], ...] = ({},)
    is_default: bool = True

    def label(self, parameters: Mapping[str, Parameter]) -> str:
        """tsfresh's name of the feature without its column: `autocorrelation__lag_3`."""
        written = (
            f'{key}_"{value}"' if isinstance(value, str) else f"{key}_{value}"
            for key, value in sorted(parameters.items())
        )
        return "__".join([self.name, *written])


def _each(key: str, *values: Parameter) -> tuple[Mapping[str, Parameter], ...]:
    return tuple({key: value} for value in values)


_TABLE = (
    Calculator("mean", functions.mean, "Mean."),
    Calculator("median", functions.median, "Median."),
    Calculator("standard_deviation", functions.standard_deviation, "Standard deviation, divisor n."),
    Calculator("variation_coefficient", functions.variation_coefficient, "Standard deviation over mean."),
    Calculator("skewness", functions.skewness, "Adjusted Fisher-Pearson skewness."),
    Calculator("kurtosis", functions.kurtosis, "Adjusted excess kurtosis."),
    Calculator("abs_energy", functions.abs_energy, "Sum of squares."),
    Calculator("root_mean_square", functions.root_mean_square, "Square root of the mean square."),
    Calculator("mean_change", functions.mean_change, "Mean of the differences of neighbours."),
    Calculator("mean_abs_change", functions.mean_abs_change, "Mean absolute difference of neighbours."),
    Calculator(
        "mean_second_derivative_central",
        functions.mean_second_derivative_central,
        "Mean of the central second differences, halved.",
    ),
    Calculator(
        "cid_ce",
        functions.cid_ce,
        "Complexity: length of the line of differences, of standardised values or plain ones (Batista 2014).",
        _each("normalize", True, False),
    ),
    Calculator(
        "autocorrelation",
        functions.autocorrelation,
        "Autocorrelation at a lag; NaN where the variance is below 1e-8.",
        _each("lag", 1, 2, 3, 5),
    ),
    Calculator(
        "c3",
        functions.c3,
        "Non-linearity: mean of x[t+2 lag] x[t+lag] x[t] (Schreiber 1997).",
        _each("lag", 1, 2, 3),
    ),
    Calculator(
        "time_reversal_asymmetry_statistic",
        functions.time_reversal_asymmetry_statistic,
        "Mean of x[t+2 lag]² x[t+lag] − x[t+lag] x[t]² (Fulcher 2014).",
        _each("lag", 1, 2, 3),
    ),
    Calculator(
        "linear_trend",
        functions.linear_trend,
        "Least-squares line over the window's bars.",
        _each("attr", "slope", "intercept", "rvalue", "stderr"),
    ),
    Calculator(
        "quantile", functions.quantile, "Quantile, linear between values.", _each("q", 0.1, 0.25, 0.75, 0.9)
    ),
    Calculator("count_above_mean", functions.count_above_mean, "How many values lie above the mean."),
    Calculator("count_below_mean", functions.count_below_mean, "How many values lie below the mean."),
    Calculator(
        "longest_strike_above_mean", functions.longest_strike_above_mean, "Longest run above the mean, bars."
    ),
    Calculator(
        "longest_strike_below_mean", functions.longest_strike_below_mean, "Longest run below the mean, bars."
    ),
    Calculator(
        "ratio_beyond_r_sigma",
        functions.ratio_beyond_r_sigma,
        "Share of values more than r standard deviations from the mean.",
        _each("r", 1, 1.5, 2),
    ),
    Calculator(
        "number_peaks",
        functions.number_peaks,
        "Values larger than their n neighbours on either side.",
        _each("n", 1, 3),
    ),
    Calculator(
        "first_location_of_maximum",
        functions.first_location_of_maximum,
        "Where the maximum first is, 0 to 1.",
    ),
    Calculator(
        "first_location_of_minimum",
        functions.first_location_of_minimum,
        "Where the minimum first is, 0 to 1.",
    ),
    Calculator(
        "index_mass_quantile",
        functions.index_mass_quantile,
        "Share of the window after which q of the absolute sum is reached; NaN where all is zero.",
        _each("q", 0.25, 0.5, 0.75),
    ),
    Calculator(
        "ratio_value_number_to_time_series_length",
        functions.ratio_value_number_to_time_series_length,
        "Different values per value.",
    ),
    Calculator("minimum", functions.minimum, "Smallest value.", is_default=False),
    Calculator("maximum", functions.maximum, "Largest value.", is_default=False),
    Calculator("absolute_maximum", functions.absolute_maximum, "Largest absolute value.", is_default=False),
    Calculator("sum_values", functions.sum_values, "Sum.", is_default=False),
    Calculator("variance", functions.variance, "Variance, divisor n.", is_default=False),
    Calculator(
        "absolute_sum_of_changes",
        functions.absolute_sum_of_changes,
        "Sum of the absolute differences of neighbours.",
        is_default=False,
    ),
    Calculator(
        "number_crossing_m",
        functions.number_crossing_m,
        "How often the values cross m.",
        _each("m", 0),
        is_default=False,
    ),
    Calculator(
        "last_location_of_maximum",
        functions.last_location_of_maximum,
        "Where the maximum last is, 0 to 1.",
        is_default=False,
    ),
    Calculator(
        "last_location_of_minimum",
        functions.last_location_of_minimum,
        "Where the minimum last is, 0 to 1.",
        is_default=False,
    ),
)

CALCULATORS: Mapping[str, Calculator] = {calculator.name: calculator for calculator in _TABLE}
DEFAULT_CALCULATORS = tuple(calculator.name for calculator in _TABLE if calculator.is_default)


@dataclass(frozen=True)
class Pass:
    """One column rolled over with one window: a row of the result per feature."""

    column: str
    window: int
    calculators: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        prefix = f"w{self.window}__{self.column}__"
        return tuple(prefix + calculator.label(parameters) for calculator, parameters in self._items())

    @property
    def history_bars(self) -> int:
        """Bars before one that its values follow from."""
        return self.window - 1

    def run(self, x: Floats, bar_numbers: Integers, result: Floats) -> Iterator[int]:
        """Fill `result` (features, bars) from the column `x`; yields how many bars are done, now and then."""
        result[:, : self.window - 1] = np.nan
        if x.size < self.window:
            return
        windows = np.lib.stride_tricks.sliding_window_view(x, self.window)
        step = max(1, BLOCK_VALUES // self.window)
        since = 0
        for start in range(0, len(windows), step):
            block = windows[start : start + step]
            first = start + self.window - 1
            self._fill(block, result[:, first : first + len(block)])
            since += block.size
            if since >= PIECE_VALUES:
                since = 0
                yield first + len(block)

    def _fill(self, windows: Floats, result: Floats) -> None:
        known = ~np.isnan(windows).any(axis=1)
        if not known.all():
            result[:] = np.nan
        if not known.any():
            return
        block = Block(windows[known])
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            for row, (calculator, parameters) in enumerate(self._items()):
                values = calculator.function(block, **parameters)
                result[row, known] = np.where(np.isfinite(values), values, np.nan)

    def _items(self) -> list[tuple[Calculator, Mapping[str, Parameter]]]:
        listed = [CALCULATORS[name] for name in self.calculators]
        return [(calculator, parameters) for calculator in listed for parameters in calculator.parameters]
