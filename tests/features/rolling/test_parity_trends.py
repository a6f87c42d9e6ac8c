"""Lines, corridors of change, digits and shapes against tsfresh's own calculators on the same windows."""

from __future__ import annotations

import numpy as np
import pytest

from services.features.rolling.block import Block
from services.features.rolling.kernel import Item
from services.features.rolling.kernels import (
    complexity,
    corridors,
    digits,
    entropies,
    langevin,
    shapes,
    trends,
)
from tests.features.rolling.parity import KINDS, WINDOWS, differences, items_of, ours, series

MODULES = (trends, digits, shapes)
CALCULATORS = [name for module in MODULES for kernel in module.KERNELS for name in kernel.calculators]
OTHERS = {
    "agg_linear_trend": [
        {"attr": attr, "chunk_len": length, "f_agg": name}
        for attr in ("pvalue", "slope")
        for length in (1, 7, 8, 140)
        for name in ("max", "std", "sum")
    ],
    "symmetry_looking": [{"r": 0.001}, {"r": 1.0}],
    "large_standard_deviation": [{"r": 0.0}, {"r": 0.25001}],
    "mean_n_absolute_max": [{"number_of_maxima": number} for number in (1, 8, 23, 200)],
}
CORRIDORS = [
    {"ql": low, "qh": high, "isabs": isabs, "f_agg": name}
    for low, high in ((0.1, 0.9), (0.0, 1.0), (0.8, 0.2), (0.5, 0.5))
    for isabs in (True, False)
    for name in ("mean", "std", "sum", "median", "max", "min")
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("calculator", CALCULATORS)
def test_a_kernel_gives_what_tsfresh_gives(calculator, kind):
    items = items_of(calculator) + [Item(calculator, each) for each in OTHERS.get(calculator, [])]
    # A correlation and a slope of nothing are sums that cancel, in another order.
    floor = 1e-13 * max(1.0, np.abs(series(kind)).max()) if "linear_trend" in calculator else 0.0
    for window in WINDOWS:
        wrong = differences(items, series(kind), window, step=131, floor=floor)
        assert not wrong, (window, wrong[:5])


@pytest.mark.parametrize("kind", KINDS)
def test_changes_within_corridors_are_those_of_tsfresh(kind):
    (kernel,) = corridors.KERNELS
    (calculator,) = kernel.calculators
    # Changes of both signs that cancel leave their rounding, of sums in another order.
    floor = 1e-14 * np.abs(series(kind)).max()
    for window in WINDOWS:
        items = items_of(calculator) if window in (8, 72) else [Item(calculator, each) for each in CORRIDORS]
        wrong = differences(items, series(kind), window, step=167, floor=floor)
        assert not wrong, (window, wrong[:5])


def test_corridors_asked_for_one_by_one_are_those_asked_for_together():
    items = items_of("change_quantiles") + [Item("change_quantiles", each) for each in CORRIDORS]
    together = ours(items, series("price"), 25)
    for row, item in enumerate(items):
        alone = ours([item], series("price"), 25)[0]
        np.testing.assert_allclose(together[row], alone, rtol=1e-12, atol=1e-9)


def test_a_first_digit_is_that_of_the_shortest_notation():
    generator = np.random.default_rng(3)
    values = np.concatenate(
        [
            [
                0.0,
                -0.0,
                5e-324,
                1e-323,
                4e-320,
                9.999999999999999e22,
                1e23,
                1.7e308,
                3e5,
                0.3,
                np.nextafter(0.3, 0),
            ],
            generator.normal(size=300) * 10.0 ** generator.integers(-300, 300, 300),
            [float(f"{digit}e{exponent}") for digit in range(1, 10) for exponent in range(-20, 20)],
        ]
    )
    found = digits.first_digits(values)
    assert found.tolist() == [int(np.format_float_scientific(abs(value))[0]) for value in values]


@pytest.mark.parametrize("kind", ["price", "ties", "steps", "almost constant", "real funding_rate"])
def test_a_value_does_not_depend_on_the_windows_that_follow(kind):
    x = series(kind)
    for module in (*MODULES, corridors, complexity, entropies, langevin):
        for kernel in module.KERNELS:
            items = [item for name in kernel.calculators for item in items_of(name)]
            tables = kernel.prepare(24, items)
            whole = np.empty((len(items), 200))
            kernel.run(Block(x[:223].copy(), 24), tables, whole)
            for count in (1, 2, 77):
                part = np.empty((len(items), count))
                kernel.run(Block(x[: count + 23].copy(), 24), tables, part)
                np.testing.assert_array_equal(part, whole[:, :count], str(kernel.calculators))
