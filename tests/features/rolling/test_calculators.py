"""The table of calculators against tsfresh's own settings, and names read and written as tsfresh does."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.features.rolling.calculators import CALCULATORS, broken_rule, items_of
from services.features.rolling.engine import Pass
from services.features.rolling.names import label, read
from services.features.rolling.presets import PRESETS
from tests.features.rolling.parity import series

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tsfresh warns of what its own dependencies will change
    from tsfresh.feature_extraction.settings import (
        ComprehensiveFCParameters,
        EfficientFCParameters,
        from_columns,
    )
    from tsfresh.utilities.string_manipulation import convert_to_output_format

LEFT_OUT = {"linear_trend_timewise", "query_similarity_count"}


def test_every_calculator_of_tsfresh_is_here_with_its_parameters():
    theirs = {name: each for name, each in ComprehensiveFCParameters().items() if name not in LEFT_OUT}
    # Not said in the settings, and yet in the column's name.
    theirs["augmented_dickey_fuller"] = [
        {**each, "autolag": "AIC"} for each in theirs["augmented_dickey_fuller"]
    ]
    assert set(CALCULATORS) == set(theirs)
    for name, parameters in theirs.items():
        assert written(CALCULATORS[name].parameters) == written(parameters or [{}]), name


def written(parameters) -> list[str]:
    return sorted(repr(sorted(each.items())) for each in parameters)


def test_the_efficient_set_is_all_but_the_two_entropies():
    assert set(CALCULATORS) - set(EfficientFCParameters()) == {"sample_entropy", "approximate_entropy"}
    features = items_of(tuple(name for name in CALCULATORS if name in EfficientFCParameters()))
    assert len(features) == 776


@pytest.mark.parametrize("preset", PRESETS)
def test_every_entry_of_a_preset_keeps_the_rules(preset):
    assert [broken_rule(entry) for entry in PRESETS[preset]] == [None] * len(PRESETS[preset])


def test_names_are_those_tsfresh_writes_and_reads():
    for item in items_of(tuple(CALCULATORS)):
        name = label(item.calculator, item.parameters)
        theirs = convert_to_output_format(dict(item.parameters))
        assert name == "__".join([item.calculator, *([theirs] if theirs else [])])
        assert read(name) == item
        [(calculator, parameters)] = from_columns([f"close__{name}"])["close"].items()
        assert (calculator, (parameters or [{}])) == (item.calculator, [dict(item.parameters)])


def test_an_entry_with_parameters_of_its_own_is_itself():
    [item] = items_of(("quantile__q_0.25",))
    assert (item.calculator, item.parameters) == ("quantile", {"q": 0.25})
    assert len(items_of(("quantile", "quantile__q_0.1", "quantile__q_0.25"))) == 9


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("meen", "nearest is 'mean'"),
        ("autocorrelation__lag_-1", "from 0 to 720"),
        ("autocorrelation__lag_1.5", "whole number"),
        ("autocorrelation__lag_True", "whole number"),
        ("autocorrelation__lag_01", "tsfresh writes it"),
        ("autocorrelation__lag_1__lag_2", "each name once"),
        ("autocorrelation", None),
        ("autocorrelation__lags_1", "takes the parameters lag"),
        ("mean__q_1", "takes the parameters none"),
        ("quantile__q_nan", "no value"),
        ("quantile__q_1.5", "from 0 to 1"),
        ('linear_trend__attr_"slopes"', "must be"),
        ("linear_trend__attr_slope", "no value"),
        ("cid_ce__normalize_1", "True or False"),
        ("cwt_coefficients__coeff_0__w_2__widths_(0, 2)", "from 1 to 720"),
        ("cwt_coefficients__coeff_0__w_2__widths_(2, 5)", None),
        ("mean__", "not name_value"),
        ("quantile__q_" + "9" * 400, "no value"),
    ],
)
def test_an_entry_that_is_no_feature_is_told_why(entry, said):
    found = broken_rule(entry)
    assert found is None if said is None else said in found


@given(
    st.text(max_size=40)
    | st.sampled_from(tuple(CALCULATORS)).flatmap(
        lambda name: st.text(alphabet='_abq0123456789.-e"(), ', max_size=20).map(
            lambda text: f"{name}__{text}"
        )
    )
)
def test_any_entry_is_judged_and_one_without_a_fault_is_a_feature(entry):
    if broken_rule(entry) is None:
        assert len(items_of((entry,))) >= 1


@pytest.mark.parametrize("kind", ["price", "ties"])
def test_a_value_does_not_depend_on_what_else_is_asked_for(kind):
    x = series(kind)[:40]
    everything = Pass("close", 24, tuple(CALCULATORS))
    for name, row in zip(everything.names, rolled(everything, x), strict=True):
        (alone,) = rolled(everything.of([name]), x)
        # Sums over other corridors are added in another order.
        np.testing.assert_allclose(alone, row, rtol=1e-12, atol=1e-12, err_msg=name)


def rolled(rolling: Pass, x: np.ndarray) -> np.ndarray:
    values = np.empty((len(rolling.names), x.size))
    for _ in rolling.run(x, np.arange(x.size), values):
        pass
    return values
