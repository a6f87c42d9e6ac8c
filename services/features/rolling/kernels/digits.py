"""How the first digits of values follow Benford's law: `benford_correlation`.

Source: tsfresh 0.21.2. Where all nine digits are equally frequent the correlation is NaN; tsfresh's is
rounding noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from services.features.columns import Floats, Integers
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel


def _thresholds() -> tuple[Floats, Integers]:
    """Every float at which the first digit of the shortest notation changes, ascending, and that digit.

    Subnormal numbers have fewer digits than their decimal neighbours: the digit is read from the number
    itself.
    """
    values = np.unique(
        [float(f"{digit}e{exponent}") for exponent in range(-324, 309) for digit in range(1, 10)]
    )
    values = values[(values > 0.0) & np.isfinite(values)]
    digits = np.array([int(np.format_float_scientific(value)[0]) for value in values], dtype=np.int64)
    return np.append(0.0, values), np.append(0, digits)


_FIRST, _DIGITS = _thresholds()
_LAW = np.log10(1.0 + 1.0 / np.arange(1, 10))


@njit(cache=True, nogil=True, error_model="numpy")
def _correlations(digits: Integers, window: int, law: Floats, out: Floats) -> None:
    """Correlation of a window's nine counts with the law, the counts kept from window to window."""
    counts = np.zeros(10, np.int64)
    mean_law = law.mean()
    spread_law = 0.0
    for digit in range(9):
        spread_law += (law[digit] - mean_law) ** 2
    for bar in range(window):
        counts[digits[bar]] += 1
    for index in range(out.shape[0]):
        if index > 0:
            counts[digits[index - 1]] -= 1
            counts[digits[index + window - 1]] += 1
        mean = (window - counts[0]) / 9.0
        together = 0.0
        spread = 0.0
        for digit in range(9):
            deviation = counts[digit + 1] - mean
            together += (law[digit] - mean_law) * deviation
            spread += deviation * deviation
        out[index] = together / np.sqrt(spread_law * spread) if spread > 0.0 else np.nan


def _prepare(window: int, items: Sequence[Item]) -> None:
    """It has no parameters."""


def first_digits(values: Floats) -> Integers:
    """First digit of each number's shortest notation, 0 of 0."""
    digits: Integers = _DIGITS[np.searchsorted(_FIRST, np.abs(values), side="right") - 1]
    return digits


def _run(block: Block, tables: None, out: Floats) -> None:
    _correlations(first_digits(block.values), block.window, _LAW, out[0])
    out[1:] = out[0]


KERNELS = (Kernel(calculators=("benford_correlation",), prepare=_prepare, run=_run),)
