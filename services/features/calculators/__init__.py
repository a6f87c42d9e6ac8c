"""The catalogue: every feature there is, by family."""

from __future__ import annotations

from services.features.calculators import (
    calendar,
    cross_symbol,
    distribution,
    higher_timeframe,
    market,
    series,
    statistical,
    technical,
)
from services.features.feature import Family, Feature

_FAMILIES: dict[Family, tuple[Feature, ...]] = {
    Family.TECHNICAL: technical.FEATURES,
    Family.STATISTICAL: (*statistical.FEATURES, *distribution.FEATURES),
    Family.SERIES: series.FEATURES,
    Family.MARKET: market.FEATURES,
    Family.CALENDAR: calendar.FEATURES,
    Family.HIGHER_TIMEFRAME: higher_timeframe.FEATURES,
    Family.CROSS_SYMBOL: cross_symbol.FEATURES,
}

FAMILIES = tuple(_FAMILIES)


def features_of(family: Family) -> tuple[Feature, ...]:
    """The features of one family, in the order of their columns; names are unique over all families."""
    return _FAMILIES[family]
