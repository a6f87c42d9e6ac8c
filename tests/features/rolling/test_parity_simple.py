"""Levels, orders, counts and neighbours against tsfresh's own calculators on the same windows."""

from __future__ import annotations

import pytest

from services.features.rolling.kernel import Item
from services.features.rolling.kernels import counts, levels, neighbours, orders
from tests.features.rolling.parity import KINDS, WINDOWS, differences, items_of, series

CALCULATORS = [
    name
    for module in (levels, orders, counts, neighbours)
    for kernel in module.KERNELS
    for name in kernel.calculators
]
OTHERS = {
    "quantile": [{"q": q} for q in (0.0, 0.25, 0.5, 0.75, 1.0, 1 / 3)],
    "c3": [{"lag": lag} for lag in (0, 4, 200)],
    "time_reversal_asymmetry_statistic": [{"lag": lag} for lag in (0, 4, 200)],
    "number_peaks": [{"n": n} for n in (2, 7, 200)],
    "number_crossing_m": [{"m": m} for m in (0.1, 30_000.0)],
    "value_count": [{"value": 0.1}, {"value": 2}],
    "range_count": [{"min": -0.5, "max": 0.5}, {"min": 1.0, "max": 1.0}],
    "count_above": [{"t": 0.1}],
    "count_below": [{"t": 0.1}],
    "ratio_beyond_r_sigma": [{"r": 0.0}, {"r": 1.7}],
    "index_mass_quantile": [{"q": q} for q in (0.0, 0.25, 0.5, 1.0)],
}
# What cancels to nothing is left with the rounding of what cancelled.
FLOORS = {"skewness": 1e-12, "kurtosis": 1e-12}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("calculator", CALCULATORS)
def test_a_kernel_gives_what_tsfresh_gives(calculator, kind):
    items = items_of(calculator) + [Item(calculator, each) for each in OTHERS.get(calculator, [])]
    for window in WINDOWS:
        wrong = differences(items, series(kind), window, step=61, floor=FLOORS.get(calculator, 0.0))
        assert not wrong, (window, wrong[:5])
