"""Rolling tsfresh features against tsfresh itself, on the same windows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.features.calculators.tsfresh import (
    BLOCK_VALUES,
    CALCULATORS,
    DEFAULT_CALCULATORS,
    PIECE_VALUES,
    Calculator,
    Pass,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tsfresh warns of what its own dependencies will change
    from tsfresh.feature_extraction import feature_calculators
    from tsfresh.feature_extraction.settings import from_columns
    from tsfresh.utilities.string_manipulation import convert_to_output_format

ITEMS = [
    (calculator, parameters) for calculator in CALCULATORS.values() for parameters in calculator.parameters
]
WINDOWS = (8, 24, 25, 72)
BARS = 300


def series(kind: str, bars: int = BARS) -> np.ndarray:
    generator = np.random.default_rng(5)
    price = 30_000.0 * np.exp(np.cumsum(generator.normal(0, 0.01, bars)))
    return {
        "price": price,
        "volume": generator.lognormal(3, 2, bars),
        "returns": generator.normal(0, 0.01, bars),
        "funding": np.repeat(generator.normal(1e-4, 1e-4, bars // 8 + 1), 8)[:bars],
        "steps": generator.integers(-3, 4, bars).astype(np.float64),
        "zeros": np.zeros(bars),
        "still": np.full(bars, 0.1),
    }[kind]


def reference(calculator: Calculator, parameters, window: np.ndarray) -> float:
    function = getattr(feature_calculators, calculator.name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if function.fctype == "combiner":
            ((_, value),) = list(function(window, [dict(parameters)]))
        else:
            value = function(window, **parameters)
    return float(value)


def rolled(x: np.ndarray, window: int, calculators=tuple(CALCULATORS)) -> dict[str, np.ndarray]:
    rolling = Pass("x", window, calculators)
    result = np.full((len(rolling.names), x.size), -1.0)
    for _ in rolling.run(x, np.arange(x.size), result):
        pass
    return dict(zip(rolling.names, result, strict=True))


@pytest.mark.parametrize("kind", ["price", "volume", "returns", "funding", "steps", "zeros", "still"])
@pytest.mark.parametrize("window", WINDOWS)
def test_every_calculator_equals_tsfresh_on_the_same_window(window: int, kind: str):
    x = series(kind)
    values = rolled(x, window)
    for calculator, parameters in ITEMS:
        if kind == "still" and calculator.name == "linear_trend":
            continue  # 0 / 0 in tsfresh, see the test below
        name = f"w{window}__x__{calculator.label(parameters)}"
        for t in range(window - 1, BARS, 29):
            expected = reference(calculator, parameters, x[t + 1 - window : t + 1].copy())
            # A moment that cancels to nothing is left with the rounding of what cancelled.
            floor = 1e-12 if calculator.name in ("skewness", "kurtosis") else 0.0
            assert values[name][t] == pytest.approx(expected, rel=1e-9, abs=floor, nan_ok=True), (name, t)


def test_a_still_window_has_no_correlation_with_time():
    values = rolled(series("still"), 72)
    assert np.isnan(values['w72__x__linear_trend__attr_"rvalue"']).all()
    assert np.isnan(values['w72__x__linear_trend__attr_"stderr"']).all()
    assert values['w72__x__linear_trend__attr_"slope"'][-1] == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize(("calculator", "parameters"), ITEMS)
def test_names_are_tsfreshs_own_with_the_window_in_front(calculator: Calculator, parameters):
    written = convert_to_output_format(parameters)
    expected = f"{calculator.name}__{written}" if written else calculator.name
    assert calculator.label(parameters) == expected
    understood = from_columns([f"w24__close__{expected}".removeprefix("w24__")])
    listed = understood["close"][calculator.name]
    assert listed is None or listed == [dict(parameters)]


def test_names_hold_window_and_column():
    names = Pass("close", 24, ("mean", "autocorrelation")).names
    assert names[:2] == ("w24__close__mean", "w24__close__autocorrelation__lag_1")


def test_the_first_windows_are_missing():
    values = rolled(series("price"), 24)
    for name, column in values.items():
        assert np.isnan(column[:23]).all(), name
        assert np.isfinite(column[23:]).all() or "autocorrelation" in name, name


def test_a_history_shorter_than_the_window_is_all_missing():
    for column in rolled(series("price")[:7], 8).values():
        assert np.isnan(column).all()


def test_a_missing_value_makes_the_windows_that_hold_it_missing_and_no_other():
    x = series("price")
    holed = x.copy()
    holed[100] = np.nan
    whole, after = rolled(x, 24), rolled(holed, 24)
    for name in whole:
        assert np.isnan(after[name][100:124]).all(), name
        np.testing.assert_array_equal(after[name][:100], whole[name][:100], name)
        np.testing.assert_array_equal(after[name][124:], whole[name][124:], name)


@given(start=st.integers(0, 6000), stop=st.integers(1, 6000))
@settings(max_examples=15)
def test_a_value_is_the_same_to_the_bit_wherever_the_history_starts_and_ends(start: int, stop: int):
    """6000 bars are several blocks: a cut moves every window to another place in another block."""
    x = series("volume", 6000)
    start, stop = min(start, stop - 1), max(stop, start + 1)
    for name, column in rolled(x[start:stop], 24).items():
        np.testing.assert_array_equal(column[23:], WHOLE[name][start + 23 : stop], name)


WHOLE = rolled(series("volume", 6000), 24)


def test_the_caller_is_looked_for_between_pieces_of_bounded_size():
    rolling = Pass("x", 720, ("mean",))
    x = np.random.default_rng(1).normal(size=20_000)
    result = np.empty((1, x.size))
    done = list(rolling.run(x, np.arange(x.size), result))
    assert len(done) >= x.size * 720 // (PIECE_VALUES + BLOCK_VALUES) - 1
    assert done == sorted(done)
    np.testing.assert_array_equal(result[0, 719:], rolled(x, 720, ("mean",))["w720__x__mean"][719:])


def test_extreme_numbers_give_finite_values_or_none_and_no_warning():
    for scale in (1e300, 1e-300, -1e300):
        for name, column in rolled(series("price") * scale, 24).items():
            assert not np.isinf(column).any(), name


def test_the_default_is_a_list_of_calculators_that_there_are():
    assert len(DEFAULT_CALCULATORS) >= 25
    assert set(DEFAULT_CALCULATORS) < set(CALCULATORS)
