"""How a calculator declares a feature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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
            infinite = np.isinf(values)
            return np.where(infinite, np.nan, values) if infinite.any() else values

    return finite
