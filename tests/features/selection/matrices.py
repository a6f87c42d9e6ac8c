"""Features as they come: with ties, of two values, constant, related to a target or not."""

from __future__ import annotations

import numpy as np

from services.features.columns import Floats
from services.features.selection.target import Target, TargetKind


def targets(generator: np.random.Generator, rows: int) -> dict[str, Target]:
    """One of each sort."""
    return {
        "binary": Target(TargetKind.BINARY, generator.integers(0, 2, rows).astype(float)),
        "rare": Target(TargetKind.BINARY, (np.arange(rows) % 12 == 5).astype(float)),
        "three": Target(TargetKind.MULTICLASS, generator.integers(-1, 2, rows).astype(float)),
        "real": Target(TargetKind.REAL, generator.normal(size=rows)),
        "tied": Target(TargetKind.REAL, np.round(generator.normal(size=rows), 1)),
    }


def features(generator: np.random.Generator, target: Target, count: int = 40) -> Floats:
    """float64 (count, rows); the last one is constant."""
    values = generator.normal(size=(count, len(target.values)))
    related = count // 3
    values[:related] += target.values * generator.uniform(0.05, 1.0, related)[:, None]
    values[related // 2 : related + 5] = np.round(values[related // 2 : related + 5], 1)
    values[:3] = values[:3] > 0
    values[20:30] = values[20:30] + 0.2 * target.values > 0.5
    values[-1] = 1.0
    return values


def nobody() -> None:
    """Nobody wants it to stop."""
