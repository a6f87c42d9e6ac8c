"""How a calculator declares a feature."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

from services.features.calculators.compiling import INPUT, compiled
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

Compute = Callable[[Columns], Floats]


def declare(
    family: Family,
    group: str,
    name: str,
    inputs: str,
    lookback_bars: int,
    description: str,
    compute: Compute,
    **parameters: float | int,
) -> Feature:
    """A feature whose values are finite or NaN, whatever the input; `inputs` are names between spaces."""
    return Feature(
        name=name,
        family=family,
        group=group,
        inputs=tuple(inputs.split()),
        parameters=parameters,
        lookback_bars=lookback_bars,
        description=description,
        compute=_finite(compute),
    )


def _finite(compute: Compute) -> Compute:
    """Overflow is no number: a product of absurd inputs is missing, not infinite."""

    def finite(columns: Columns) -> Floats:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            values = compute(columns)
            if _has_infinite(values):
                return np.where(np.isinf(values), np.nan, values)
            return values

    return finite


@compiled(numba.boolean(INPUT))
def _has_infinite(values):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    found = 0
    for k in range(values.size):
        found += abs(values[k]) == np.inf
    return found > 0
