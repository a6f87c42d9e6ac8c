"""Sets of tsfresh's calculators with a name, from the cheapest to the dearest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from services.features.rolling.calculators import CALCULATORS
from services.features.rolling.kernel import Parameter
from services.features.rolling.names import label


def _with(name: str, key: str, values: Sequence[Parameter]) -> Iterator[str]:
    return (label(name, {key: value}) for value in values)


_BALANCED = (
    "mean",
    "median",
    "standard_deviation",
    "variation_coefficient",
    "skewness",
    "kurtosis",
    "abs_energy",
    "root_mean_square",
    "mean_change",
    "mean_abs_change",
    "mean_second_derivative_central",
    "cid_ce",
    *_with("autocorrelation", "lag", (1, 2, 3, 5)),
    "c3",
    "time_reversal_asymmetry_statistic",
    *_with("linear_trend", "attr", ("slope", "intercept", "rvalue", "stderr")),
    *_with("quantile", "q", (0.1, 0.25, 0.75, 0.9)),
    "count_above_mean",
    "count_below_mean",
    "longest_strike_above_mean",
    "longest_strike_below_mean",
    *_with("ratio_beyond_r_sigma", "r", (1, 1.5, 2)),
    *_with("number_peaks", "n", (1, 3)),
    "first_location_of_maximum",
    "first_location_of_minimum",
    *_with("index_mass_quantile", "q", (0.25, 0.5, 0.75)),
    "ratio_value_number_to_time_series_length",
)

# The set that the system we learn from computed for prices, as far as its names are tsfresh's.
_FINANCIAL = (
    "mean",
    "median",
    "standard_deviation",
    "variance",
    "minimum",
    "maximum",
    "sum_values",
    "abs_energy",
    "mean_abs_change",
    "mean_change",
    "mean_second_derivative_central",
    "root_mean_square",
    *_with("quantile", "q", (0.1, 0.2, 0.25, 0.3, 0.4, 0.6, 0.7, 0.75, 0.8, 0.9)),
    *_with("autocorrelation", "lag", (*range(1, 11), 15, 20)),
    *_with("partial_autocorrelation", "lag", (1, 2, 3, 4, 5, 10)),
    *_with("linear_trend", "attr", ("slope", "intercept", "rvalue", "stderr")),
    *(
        label("fft_coefficient", {"attr": attr, "coeff": coeff})
        for attr in ("real", "imag", "abs")
        for coeff in range(8)
    ),
    "fft_aggregated",
    *(label("energy_ratio_by_chunks", {"num_segments": 10, "segment_focus": focus}) for focus in range(5)),
    "count_above_mean",
    "count_below_mean",
    "count_above",
    "count_below",
    "longest_strike_above_mean",
    "longest_strike_below_mean",
    *(label("range_count", {"min": -bound, "max": bound}) for bound in (2, 1.5, 1, 0.5)),
    *_with("number_peaks", "n", (1, 3, 5, 10)),
    *_with("ratio_beyond_r_sigma", "r", (0.5, 1, 1.5, 2, 2.5, 3)),
    "sample_entropy",
    *(label("approximate_entropy", {"m": 2, "r": r}) for r in (0.1, 0.3)),
    *_with("symmetry_looking", "r", (0.1, 0.2)),
    "c3",
    "cid_ce",
    "has_duplicate",
    "has_duplicate_max",
    "has_duplicate_min",
    "ratio_value_number_to_time_series_length",
    *(label("ar_coefficient", {"coeff": coeff, "k": 10}) for coeff in range(3)),
    *(label("agg_autocorrelation", {"f_agg": name, "maxlag": 20}) for name in ("mean", "median", "var")),
)

PRESETS: Mapping[str, tuple[str, ...]] = {
    "fast": (
        "mean",
        "median",
        "standard_deviation",
        "minimum",
        "maximum",
        "root_mean_square",
        "mean_abs_change",
        label("linear_trend", {"attr": "slope"}),
    ),
    "balanced": _BALANCED,
    "financial": _FINANCIAL,
    "comprehensive": tuple(CALCULATORS),
}
