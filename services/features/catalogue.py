"""Every feature there is, as a caller sees it: what ListFeatures pages through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from services.features.calculators import features_of
from services.features.config import (
    CATALOGUE_FAMILIES,
    ROLLING_COLUMNS,
    FeatureConfig,
    passes,
    selected,
)
from services.features.expressions import FUNCTIONS
from services.features.feature import Family
from services.features.rolling.calculators import CALCULATORS, items_of
from services.features.rolling.calculators import PRESETS as ROLLING_PRESETS
from services.features.rolling.names import label

# Microseconds of CPU a bar on the reference machine (benchmarks/features.py), an order of magnitude.
COSTS = {
    Family.TECHNICAL: 0.05,
    Family.STATISTICAL: 0.02,
    Family.SERIES: 0.01,
    Family.MARKET: 0.03,
    Family.CALENDAR: 0.006,
    Family.TSFRESH: 0.06,
    Family.HIGHER_TIMEFRAME: 0.006,
    Family.EXPRESSION: 0.02,
}


@dataclass(frozen=True)
class Entry:
    """A feature; one parametrisation of a tsfresh calculator, whose window and column stand in capitals; or
    a function of formulas, with its arguments."""

    name: str
    family: Family
    group: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, float]
    lookback_bars: int | None
    description: str
    is_default: bool

    @property
    def cost_microseconds(self) -> float:
        return COSTS[self.family]


@cache
def entries(family: Family | None = None) -> tuple[Entry, ...]:
    """All of them, or those of one family: by family, then name."""
    if family is None:
        return tuple(entry for each in Family for entry in entries(each))
    if family is Family.EXPRESSION:
        listed = _functions()
    else:
        listed = _rolling() if family is Family.TSFRESH else _of_catalogue(family)
    return tuple(sorted(listed, key=lambda entry: entry.name))


def cost_microseconds(config: FeatureConfig) -> float:
    """CPU a bar of a config without violations, `only` apart."""
    rolled = sum(len(rolling.names) for rolling in passes(config.tsfresh)) * COSTS[Family.TSFRESH]
    return rolled + sum(COSTS[feature.family] for feature in selected(config))


def _of_catalogue(family: Family) -> list[Entry]:
    assert family in CATALOGUE_FAMILIES
    return [
        Entry(
            feature.name,
            family,
            feature.group,
            feature.inputs,
            {name: float(value) for name, value in feature.parameters.items()},
            None if feature.lookback_settlements or feature.lookback_seconds else feature.lookback_bars,
            feature.description,
            is_default=FeatureConfig().is_enabled(family),
        )
        for feature in features_of(family)
    ]


def _functions() -> list[Entry]:
    """What a formula may call; the arguments decide how far it looks back."""
    return [
        Entry(
            function.signature,
            Family.EXPRESSION,
            "function",
            (),
            {},
            None,
            function.description + "".join(f" Also called {alias}." for alias in function.aliases),
            is_default=False,
        )
        for function in dict.fromkeys(FUNCTIONS.values())
    ]


def _rolling() -> list[Entry]:
    balanced = {label(item.calculator, item.parameters) for item in items_of(ROLLING_PRESETS["balanced"])}
    return [
        Entry(
            f"wWINDOW__COLUMN__{label(calculator.name, parameters)}",
            Family.TSFRESH,
            calculator.name,
            ROLLING_COLUMNS,
            {name: float(value) for name, value in parameters.items() if not isinstance(value, str | tuple)},
            None,
            calculator.description,
            label(calculator.name, parameters) in balanced,
        )
        for calculator in CALCULATORS.values()
        for parameters in calculator.parameters
    ]
