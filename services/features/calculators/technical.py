"""The technical family: indicators of price and volume, group by group."""

from __future__ import annotations

from services.features.calculators import (
    bands,
    estimators,
    interaction,
    microstructure,
    momentum,
    pattern,
    price,
    profile,
    regime,
    trend,
    volatility,
    volume,
)
from services.features.feature import Feature

FEATURES: tuple[Feature, ...] = (
    *price.FEATURES,
    *volatility.FEATURES,
    *volume.FEATURES,
    *trend.FEATURES,
    *momentum.FEATURES,
    *pattern.FEATURES,
    *interaction.FEATURES,
    *estimators.FEATURES,
    *microstructure.FEATURES,
    *profile.FEATURES,
    *bands.FEATURES,
    *regime.FEATURES,
)
