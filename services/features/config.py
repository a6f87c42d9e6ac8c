"""Which features are computed, how they are chosen from, and the bounds of the work."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.features.calculators import features_of
from services.features.expressions import Expression
from services.features.expressions import features_of as features_of_expressions
from services.features.feature import Family, Feature
from services.features.rolling.engine import Pass
from services.features.rolling.presets import PRESETS as ROLLING_PRESETS
from services.features.source import VALUE_COLUMNS

CATALOGUE_FAMILIES = tuple(family for family in Family if family not in (Family.TSFRESH, Family.EXPRESSION))
ROLLING_COLUMNS = VALUE_COLUMNS
MIB = 1024**2
TRANSFORMATIONS = ("1/", "abs", "exp", "log", "sqrt", "^2", "^3")


@dataclass(frozen=True)
class FamilyChoice:
    """A family of the catalogue; `features` empty means all of it."""

    enabled: bool = True
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class TsfreshChoice:
    """Calculators over rolling windows (bars), for each column and each window, and how a fit chooses from
    them. `preset` is a name that there is not, kept to be refused."""

    enabled: bool = False
    windows: tuple[int, ...] = (24,)
    columns: tuple[str, ...] = ("close", "volume")
    calculators: tuple[str, ...] = ROLLING_PRESETS["balanced"]
    preset: str = ""
    feature_selection: bool = False
    fdr_level: float = 0.05
    feature_count_limit: int = 100
    parallel_jobs: int = 1


@dataclass(frozen=True)
class AutofeatChoice:
    """Symbolic features that a fit finds; see the contract's AutofeatConfig."""

    enabled: bool = False
    max_features: int = 50
    steps: int = 2
    max_inputs: int = 20
    transformations: tuple[str, ...] = tuple(name for name in TRANSFORMATIONS if name != "exp")
    selection_runs: int = 5
    max_memory_bytes: int = 1024 * MIB


@dataclass(frozen=True)
class SelectionChoice:
    """How a fit chooses among all features; see the contract's SelectionConfig."""

    enabled: bool = False
    fdr_level: float = 0.05
    correlation_max: float = 0.95
    stability_blocks: int = 1
    stability_share: float = 0.6
    model_importance: bool = True
    feature_count_limit: int = 200
    feature_count_min: int = 10


@dataclass(frozen=True)
class Limits:
    """Bounds; what breaks one is refused."""

    max_rows: int = 2_000_000
    max_features: int = 2_000
    timeout_seconds: float = 600.0
    max_memory_bytes: int = 4096 * MIB


@dataclass(frozen=True)
class FeatureConfig:
    """What a request may choose, with the defaults in force.

    `only` names the columns of the result, empty for all that the rest asks for. `preset` is a name that
    there is not, kept to be refused: one that there is has been put in place.
    """

    technical: FamilyChoice = field(default_factory=FamilyChoice)
    statistical: FamilyChoice = field(default_factory=FamilyChoice)
    series: FamilyChoice = field(default_factory=FamilyChoice)
    market: FamilyChoice = field(default_factory=FamilyChoice)
    calendar: FamilyChoice = field(default_factory=FamilyChoice)
    tsfresh: TsfreshChoice = field(default_factory=TsfreshChoice)
    autofeat: AutofeatChoice = field(default_factory=AutofeatChoice)
    selection: SelectionChoice = field(default_factory=SelectionChoice)
    limits: Limits = field(default_factory=Limits)
    higher_timeframe: FamilyChoice = field(default_factory=lambda: FamilyChoice(enabled=False))
    cross_symbol: FamilyChoice = field(default_factory=lambda: FamilyChoice(enabled=False))
    expressions: tuple[Expression, ...] = ()
    only: tuple[str, ...] = ()
    preset: str = ""

    def is_enabled(self, family: Family) -> bool:
        """Whether the config asks for features of a family."""
        if family is Family.EXPRESSION:
            return bool(self.expressions)
        return self.tsfresh.enabled if family is Family.TSFRESH else self.choice(family).enabled

    def is_named(self, feature: Feature) -> bool:
        """Whether the config asks for this feature by its name, so that it must be computable."""
        return (
            bool(self.only)
            or feature.family is Family.EXPRESSION
            or bool(self.choice(feature.family).features)
        )

    def choice(self, family: Family) -> FamilyChoice:
        """The choice of a family of the catalogue."""
        chosen: FamilyChoice = getattr(self, family.value)
        return chosen


def selected(config: FeatureConfig) -> tuple[Feature, ...]:
    """The catalogue features and expressions a config without violations asks for, in the order of their
    columns."""
    listed = tuple(
        feature
        for family in CATALOGUE_FAMILIES
        if config.choice(family).enabled
        for feature in features_of(family)
        if not config.choice(family).features or feature.name in config.choice(family).features
    )
    return listed + features_of_expressions(config.expressions)


def column_names(config: FeatureConfig) -> tuple[str, ...]:
    """Every column that a config without violations could have, `only` apart, in order."""
    return (
        *(feature.name for feature in selected(config)),
        *(name for rolling in passes(config.tsfresh) for name in rolling.names),
    )


def feature_count(config: FeatureConfig) -> int:
    """How many features a config without violations asks for."""
    return len(config.only or column_names(config))


def passes(choice: TsfreshChoice) -> tuple[Pass, ...]:
    """The columns to roll over, each with each window, of a choice without violations."""
    if not choice.enabled:
        return ()
    return tuple(
        Pass(column, window, choice.calculators) for window in choice.windows for column in choice.columns
    )


def lookback_bars(config: FeatureConfig) -> int:
    """The longest look back of a config without violations; windows of settlements are not in it."""
    only = frozenset(config.only)
    bars = [feature.lookback_bars for feature in selected(config) if not only or feature.name in only]
    bars += [
        rolling.history_bars
        for rolling in passes(config.tsfresh)
        if not only or not only.isdisjoint(rolling.names)
    ]
    return max(bars, default=0)
