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
from services.features.presets import PRESETS
from services.features.rolling.calculators import CALCULATORS, items_of
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
    Family.CROSS_SYMBOL: 0.07,
}
# Of the dearer calculators of tsfresh at a window of 72 (benchmarks/rolling.py).
ROLLING_COSTS = {
    "sample_entropy": 2.5,
    "approximate_entropy": 2.0,
    "number_cwt_peaks": 5.0,
    "augmented_dickey_fuller": 1.5,
    "max_langevin_fixed_point": 1.5,
    "lempel_ziv_complexity": 0.5,
    "fourier_entropy": 0.5,
    "spkt_welch_density": 0.4,
    "agg_autocorrelation": 0.6,
    "ar_coefficient": 0.3,
    "friedrich_coefficients": 0.3,
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
    presets: tuple[str, ...] = ()

    @property
    def cost_microseconds(self) -> float:
        rolled = ROLLING_COSTS if self.family is Family.TSFRESH else {}
        return rolled.get(self.group, COSTS[self.family])


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
    rolled = sum(
        ROLLING_COSTS.get(item.calculator, COSTS[Family.TSFRESH])
        for rolling in passes(config.tsfresh)
        for item in items_of(rolling.calculators)
    )
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
            presets=tuple(name for name in PRESETS if PRESETS[name].config.is_enabled(family)),
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
    rolled = {
        name: {
            label(item.calculator, item.parameters)
            for item in items_of(PRESETS[name].config.tsfresh.calculators)
        }
        for name in PRESETS
        if PRESETS[name].config.tsfresh.enabled
    }
    return [
        Entry(
            f"wWINDOW__COLUMN__{label(calculator.name, parameters)}",
            Family.TSFRESH,
            calculator.name,
            ROLLING_COLUMNS,
            {name: float(value) for name, value in parameters.items() if not isinstance(value, str | tuple)},
            None,
            calculator.description,
            label(calculator.name, parameters) in rolled["balanced"],
            tuple(name for name, held in rolled.items() if label(calculator.name, parameters) in held),
        )
        for calculator in CALCULATORS.values()
        for parameters in calculator.parameters
    ]
