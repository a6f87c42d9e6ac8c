"""tsfresh's calculators: which there are, the parameters of its efficient set, and what parameters they take.

Source: tsfresh 0.21 (Christ et al. 2018, Neurocomputing 307), `EfficientFCParameters` and, for the two
entropies of quadratic cost, `ComprehensiveFCParameters`. `linear_trend_timewise` is not here, as bars of one
length make it `linear_trend`, nor is `query_similarity_count`, which without a query is no number.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from services.features.rolling.kernel import Item, Parameter
from services.features.rolling.names import label, read
from services.features.rolling.rules import Flag, Real, Rule, Whole, Widths, Word, broken

Parameters: TypeAlias = Mapping[str, Parameter]


@dataclass(frozen=True)
class Calculator:
    """One of tsfresh's calculators.

    Attributes
    ----------
    name, description : str
    parameters : tuple of mappings
        Those of tsfresh's efficient set, a feature each.
    rules : mapping
        What each of its parameters may be.
    """

    name: str
    description: str
    parameters: tuple[Parameters, ...] = ({},)
    rules: Mapping[str, Rule] = field(default_factory=dict)


def _each(key: str, values: Iterable[Parameter]) -> tuple[Parameters, ...]:
    return tuple({key: value} for value in values)


_LAG = Whole(0, 720)
_SHARE = Real(0.0, 1.0)
_TENTHS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)
_LINE = ("pvalue", "rvalue", "intercept", "slope", "stderr")
_LINE_WORD = Word(_LINE)
_BINS = Whole(2, 1_000)

_TABLE = (
    Calculator("variance_larger_than_standard_deviation", "Whether the variance exceeds its root."),
    Calculator("has_duplicate_max", "Whether the maximum is there more than once."),
    Calculator("has_duplicate_min", "Whether the minimum is there more than once."),
    Calculator("has_duplicate", "Whether any value is there more than once."),
    Calculator("sum_values", "Sum."),
    Calculator("abs_energy", "Sum of squares."),
    Calculator("mean_abs_change", "Mean absolute difference of neighbours."),
    Calculator("mean_change", "Mean of the differences of neighbours."),
    Calculator("mean_second_derivative_central", "Mean of the central second differences, halved."),
    Calculator("median", "Median."),
    Calculator("mean", "Mean."),
    Calculator("length", "Bars of the window."),
    Calculator("standard_deviation", "Standard deviation, divisor n."),
    Calculator("variation_coefficient", "Standard deviation over mean."),
    Calculator("variance", "Variance, divisor n."),
    Calculator("skewness", "Adjusted Fisher-Pearson skewness."),
    Calculator("kurtosis", "Adjusted excess kurtosis."),
    Calculator("root_mean_square", "Square root of the mean square."),
    Calculator("absolute_sum_of_changes", "Sum of the absolute differences of neighbours."),
    Calculator("longest_strike_below_mean", "Longest run below the mean, bars."),
    Calculator("longest_strike_above_mean", "Longest run above the mean, bars."),
    Calculator("count_above_mean", "How many values lie above the mean."),
    Calculator("count_below_mean", "How many values lie below the mean."),
    Calculator("last_location_of_maximum", "Where the maximum last is, 0 to 1."),
    Calculator("first_location_of_maximum", "Where the maximum first is, 0 to 1."),
    Calculator("last_location_of_minimum", "Where the minimum last is, 0 to 1."),
    Calculator("first_location_of_minimum", "Where the minimum first is, 0 to 1."),
    Calculator(
        "percentage_of_reoccurring_values_to_all_values",
        "Different values that are there more than once, per different value.",
    ),
    Calculator(
        "percentage_of_reoccurring_datapoints_to_all_datapoints",
        "Values that are there more than once, per value.",
    ),
    Calculator("sum_of_reoccurring_values", "Sum of the values that are there more than once, each once."),
    Calculator(
        "sum_of_reoccurring_data_points",
        "Sum of the values that are there more than once, each as often.",
    ),
    Calculator("ratio_value_number_to_time_series_length", "Different values per value."),
    Calculator("maximum", "Largest value."),
    Calculator("absolute_maximum", "Largest absolute value."),
    Calculator("minimum", "Smallest value."),
    Calculator(
        "benford_correlation", "Correlation of the first digits with Newcomb and Benford's law (Hill 1995)."
    ),
    Calculator(
        "time_reversal_asymmetry_statistic",
        "Mean of x[t+2 lag]² x[t+lag] − x[t+lag] x[t]² (Fulcher 2014).",
        _each("lag", (1, 2, 3)),
        {"lag": _LAG},
    ),
    Calculator(
        "c3",
        "Non-linearity: mean of x[t+2 lag] x[t+lag] x[t] (Schreiber 1997).",
        _each("lag", (1, 2, 3)),
        {"lag": _LAG},
    ),
    Calculator(
        "cid_ce",
        "Complexity: length of the line of differences, of standardised values or plain ones (Batista 2014).",
        _each("normalize", (True, False)),
        {"normalize": Flag()},
    ),
    Calculator(
        "symmetry_looking",
        "Whether mean and median differ by less than r of the range.",
        _each("r", (each * 0.05 for each in range(20))),
        {"r": _SHARE},
    ),
    Calculator(
        "large_standard_deviation",
        "Whether the standard deviation exceeds r of the range.",
        _each("r", (each * 0.05 for each in range(1, 20))),
        {"r": _SHARE},
    ),
    Calculator("quantile", "Quantile, linear between values.", _each("q", _TENTHS), {"q": _SHARE}),
    Calculator(
        "autocorrelation",
        "Autocorrelation at a lag; NaN where the variance is below 1e-8.",
        _each("lag", range(10)),
        {"lag": _LAG},
    ),
    Calculator(
        "agg_autocorrelation",
        "Mean, median or variance of the autocorrelations up to a lag.",
        tuple({"f_agg": name, "maxlag": 40} for name in ("mean", "median", "var")),
        {"f_agg": Word(("mean", "median", "var", "std")), "maxlag": Whole(1, 720)},
    ),
    Calculator(
        "partial_autocorrelation",
        "Partial autocorrelation at a lag (Box 2015).",
        _each("lag", range(10)),
        {"lag": Whole(0, 360)},
    ),
    Calculator(
        "number_cwt_peaks",
        "Peaks that stand out at wavelet widths 1 to n (Du 2006).",
        _each("n", (1, 5)),
        {"n": Whole(1, 50)},
    ),
    Calculator(
        "number_peaks",
        "Values larger than their n neighbours on either side.",
        _each("n", (1, 3, 5, 10, 50)),
        {"n": Whole(1, 360)},
    ),
    Calculator(
        "binned_entropy",
        "Entropy of the values over equal bins.",
        ({"max_bins": 10},),
        {"max_bins": Whole(1, 1_000)},
    ),
    Calculator(
        "index_mass_quantile",
        "Share of the window after which q of the absolute sum is reached; NaN where all is zero.",
        _each("q", _TENTHS),
        {"q": _SHARE},
    ),
    Calculator(
        "cwt_coefficients",
        "Coefficient of the wavelet transform by the Ricker wavelet.",
        tuple(
            {"widths": (2, 5, 10, 20), "coeff": coeff, "w": w} for coeff in range(15) for w in (2, 5, 10, 20)
        ),
        {"widths": Widths(), "coeff": Whole(0, 719), "w": Whole(1, 720)},
    ),
    Calculator(
        "spkt_welch_density",
        "Power spectral density at a frequency (Welch 1967).",
        _each("coeff", (2, 5, 8)),
        {"coeff": Whole(0, 720)},
    ),
    Calculator(
        "ar_coefficient",
        "Coefficient of an autoregression of order k with intercept, by least squares.",
        tuple({"coeff": coeff, "k": 10} for coeff in range(11)),
        {"coeff": Whole(0, 100), "k": Whole(0, 100)},
    ),
    Calculator(
        "change_quantiles",
        "Aggregate of the changes within a corridor of quantiles.",
        tuple(
            {"ql": low, "qh": high, "isabs": isabs, "f_agg": name}
            for low in (0.0, 0.2, 0.4, 0.6, 0.8)
            for high in (0.2, 0.4, 0.6, 0.8, 1.0)
            if low < high
            for isabs in (False, True)
            for name in ("mean", "var")
        ),
        {
            "ql": _SHARE,
            "qh": _SHARE,
            "isabs": Flag(),
            "f_agg": Word(("mean", "var", "std", "sum", "median", "max", "min")),
        },
    ),
    Calculator(
        "fft_coefficient",
        "Real or imaginary part, size or angle (degrees) of a Fourier coefficient.",
        tuple(
            {"coeff": coeff, "attr": attr}
            for attr in ("real", "imag", "abs", "angle")
            for coeff in range(100)
        ),
        {"coeff": Whole(0, 720), "attr": Word(("real", "imag", "abs", "angle"))},
    ),
    Calculator(
        "fft_aggregated",
        "Centroid, variance, skew and kurtosis of the Fourier spectrum.",
        _each("aggtype", ("centroid", "variance", "skew", "kurtosis")),
        {"aggtype": Word(("centroid", "variance", "skew", "kurtosis"))},
    ),
    Calculator("value_count", "How many values are this one.", _each("value", (0, 1, -1)), {"value": Real()}),
    Calculator(
        "range_count",
        "How many values lie from min up to max.",
        ({"min": -1, "max": 1}, {"min": -1e12, "max": 0}, {"min": 0, "max": 1e12}),
        {"min": Real(), "max": Real()},
    ),
    Calculator(
        "friedrich_coefficients",
        "Coefficient of a polynomial of degree m fitted to the drift over r quantiles (Friedrich 2000).",
        tuple({"coeff": coeff, "m": 3, "r": 30} for coeff in range(4)),
        {"coeff": Whole(0, 10), "m": Whole(1, 10), "r": Whole(2, 360)},
    ),
    Calculator(
        "max_langevin_fixed_point",
        "Largest fixed point of the drift polynomial of degree m (Gottschall 2009).",
        ({"m": 3, "r": 30},),
        {"m": Whole(1, 10), "r": Whole(2, 360)},
    ),
    Calculator(
        "linear_trend",
        "Least-squares line over the window's bars.",
        _each("attr", _LINE),
        {"attr": _LINE_WORD},
    ),
    Calculator(
        "agg_linear_trend",
        "Least-squares line over aggregates of chunks of bars.",
        tuple(
            {"attr": attr, "chunk_len": chunk, "f_agg": name}
            for attr in ("rvalue", "intercept", "slope", "stderr")
            for chunk in (5, 10, 50)
            for name in ("max", "min", "mean", "var")
        ),
        {
            "attr": _LINE_WORD,
            "chunk_len": Whole(1, 720),
            "f_agg": Word(("max", "min", "mean", "var", "std", "sum")),
        },
    ),
    Calculator(
        "augmented_dickey_fuller",
        "Test of a unit root: statistic, p-value and lag, which AIC chooses (Dickey 1979).",
        tuple({"attr": attr, "autolag": "AIC"} for attr in ("teststat", "pvalue", "usedlag")),
        {"attr": Word(("teststat", "pvalue", "usedlag")), "autolag": Word(("AIC",))},
    ),
    Calculator("number_crossing_m", "How often the values cross m.", _each("m", (0, -1, 1)), {"m": Real()}),
    Calculator(
        "energy_ratio_by_chunks",
        "Share of the sum of squares that one of the chunks has.",
        tuple({"num_segments": 10, "segment_focus": focus} for focus in range(10)),
        {"num_segments": Whole(1, 720), "segment_focus": Whole(0, 719)},
    ),
    Calculator(
        "ratio_beyond_r_sigma",
        "Share of values more than r standard deviations from the mean.",
        _each("r", (0.5, 1, 1.5, 2, 2.5, 3, 5, 6, 7, 10)),
        {"r": Real(0.0)},
    ),
    Calculator("count_above", "Share of values from t upwards.", ({"t": 0},), {"t": Real()}),
    Calculator("count_below", "Share of values from t downwards.", ({"t": 0},), {"t": Real()}),
    Calculator(
        "lempel_ziv_complexity",
        "Different words that the binned values fall into, per value (Lempel and Ziv 1976).",
        _each("bins", (2, 3, 5, 10, 100)),
        {"bins": _BINS},
    ),
    Calculator(
        "fourier_entropy",
        "Binned entropy of the power spectral density.",
        _each("bins", (2, 3, 5, 10, 100)),
        {"bins": _BINS},
    ),
    Calculator(
        "permutation_entropy",
        "Entropy of the orders in which values stand (Bandt 2002).",
        tuple({"tau": 1, "dimension": dimension} for dimension in (3, 4, 5, 6, 7)),
        {"tau": Whole(1, 100), "dimension": Whole(2, 7)},
    ),
    Calculator(
        "mean_n_absolute_max",
        "Mean of the n largest absolute values.",
        ({"number_of_maxima": 7},),
        {"number_of_maxima": Whole(1, 720)},
    ),
    Calculator("sample_entropy", "Regularity of the values (Richman 2000)."),
    Calculator(
        "approximate_entropy",
        "Regularity of the values (Pincus 1991).",
        tuple({"m": 2, "r": r} for r in (0.1, 0.3, 0.5, 0.7, 0.9)),
        {"m": Whole(1, 10), "r": Real(0.0, 100.0)},
    ),
)

CALCULATORS: Mapping[str, Calculator] = {calculator.name: calculator for calculator in _TABLE}


@lru_cache(256)
def items_of(calculators: tuple[str, ...]) -> tuple[Item, ...]:
    """What entries of a config without violations ask for: a calculator's name alone stands for the
    parameters of the efficient set, one with parameters for itself. Each feature once."""
    found = {
        label(item.calculator, item.parameters): item
        for entry in calculators
        for item in (
            [Item(entry, parameters) for parameters in CALCULATORS[entry].parameters]
            if entry in CALCULATORS
            else [read(entry)]
        )
    }
    return tuple(found.values())


def broken_rule(entry: str) -> str | None:
    """What is wrong with an entry of a config, going on from its value; None where nothing is."""
    if entry in CALCULATORS:
        return None
    try:
        item = read(entry)
    except ValueError as error:
        return f"{error}."
    calculator = CALCULATORS.get(item.calculator)
    if calculator is None:
        nearest = difflib.get_close_matches(item.calculator, CALCULATORS, 1, 0.5)
        return f"there is no such calculator here{f'; the nearest is {nearest[0]!r}' if nearest else ''}."
    if item.parameters.keys() != calculator.rules.keys():
        takes = ", ".join(sorted(calculator.rules)) or "none"
        return f"{calculator.name} takes the parameters {takes}."
    for key, rule in calculator.rules.items():
        if wanted := broken(rule, item.parameters[key]):
            return f"{key} must be {wanted}."
    if label(item.calculator, item.parameters) != entry:
        return f"tsfresh writes it {label(item.calculator, item.parameters)!r}."
    return None
