"""The kernels there are: a module of them for each kind of question a window is asked."""

from __future__ import annotations

from collections.abc import Mapping

from services.features.rolling.kernel import Kernel
from services.features.rolling.kernels import (
    complexity,
    correlation,
    corridors,
    counts,
    digits,
    energies,
    entropies,
    langevin,
    levels,
    neighbours,
    orders,
    regression,
    shapes,
    spectrum,
    trends,
    wavelets,
)

_MODULES = (
    levels,
    orders,
    counts,
    neighbours,
    complexity,
    corridors,
    digits,
    entropies,
    langevin,
    shapes,
    trends,
    correlation,
    spectrum,
    energies,
    regression,
    wavelets,
)

KERNELS: Mapping[str, Kernel] = {
    calculator: kernel
    for module in _MODULES
    for kernel in module.KERNELS
    for calculator in kernel.calculators
}
