"""Patterns and entropies against tsfresh's own calculators on the same windows."""

from __future__ import annotations

import numpy as np
import pytest

from services.features.rolling.kernel import Item
from services.features.rolling.kernels import complexity, entropies
from tests.features.rolling.parity import KINDS, WINDOWS, differences, items_of, ours, series

CALCULATORS = [
    name
    for module in (complexity, entropies)
    for kernel in module.KERNELS
    for name in kernel.calculators
    if name != "permutation_entropy"
]
OTHERS = {
    "lempel_ziv_complexity": [{"bins": bins} for bins in (4, 7, 1000)],
    "binned_entropy": [{"max_bins": bins} for bins in (1, 3, 1000)],
    "approximate_entropy": [{"m": m, "r": r} for m, r in ((1, 0.2), (3, 0.0), (10, 2.0), (2, 100.0))],
}
ORDERS = [
    {"tau": tau, "dimension": dimension}
    for tau, dimension in ((1, 3), (1, 7), (2, 3), (3, 2), (1, 2), (5, 4), (1, 4), (100, 3))
]
# Entropies are logarithms that cancel.
FLOOR = 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("calculator", CALCULATORS)
def test_a_kernel_gives_what_tsfresh_gives(calculator, kind):
    items = items_of(calculator) + [Item(calculator, each) for each in OTHERS.get(calculator, [])]
    for window in WINDOWS:
        wrong = differences(items, series(kind), window, step=131, floor=FLOOR)
        assert not wrong, (window, wrong[:5])


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if np.unique(series(kind)).size == series(kind).size]
)
def test_orders_are_counted_as_tsfresh_counts_them_where_no_two_values_are_equal(kind):
    items = [Item("permutation_entropy", each) for each in ORDERS]
    for window in WINDOWS:
        wrong = differences(items, series(kind), window, step=131, floor=FLOOR)
        assert not wrong, (window, wrong[:5])


@pytest.mark.parametrize("kind", KINDS)
def test_equal_values_stand_in_the_order_of_time(kind):
    """tsfresh's steps, with a sort that keeps the order of equal values."""
    items = [Item("permutation_entropy", each) for each in [*ORDERS, {"tau": 1, "dimension": 25}]]
    x = series(kind)
    for window in WINDOWS:
        values = ours(items, x, window)
        for at in range(0, values.shape[1], 67):
            for item, mine in zip(items, values[:, at], strict=True):
                expected = stable_entropy(x[at : at + window], item.whole("tau"), item.whole("dimension"))
                assert mine == pytest.approx(expected, abs=FLOOR, nan_ok=True), (window, at, item)


def stable_entropy(x: np.ndarray, tau: int, dimension: int) -> float:
    if x.size < dimension:
        return np.nan
    patterns = np.lib.stride_tricks.sliding_window_view(x, dimension)[::tau]
    orders = np.argsort(patterns, axis=1, kind="stable")
    _, counts = np.unique(orders, axis=0, return_counts=True)
    shares = counts / counts.sum()
    return float(-np.sum(shares * np.log(shares)))
