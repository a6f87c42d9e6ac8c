"""Which features are computed, and the bounds of the work."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from marketml.rpc.refusals import Violation
from services.features.calculators import features_of
from services.features.calculators.tsfresh import CALCULATORS, DEFAULT_CALCULATORS
from services.features.feature import Family, Feature

CATALOGUE_FAMILIES = tuple(family for family in Family if family is not Family.TSFRESH)
ROLLING_COLUMNS = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "trade_count",
    "taker_buy_volume",
    "funding_rate",
    "open_interest",
)
WINDOW_BARS = (8, 720)
WINDOWS_MAX = 4
COLUMNS_MAX = 8

MIB = 1024**2
ROWS = (1, 10_000_000)
FEATURES = (1, 10_000)
TIMEOUT_SECONDS_MAX = 3600.0
MEMORY_BYTES = (MIB, 64 * 1024 * MIB)


@dataclass(frozen=True)
class FamilyChoice:
    """A family of the catalogue; `features` empty means all of it."""

    enabled: bool = True
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class TsfreshChoice:
    """Calculators over rolling windows (bars), for each column and each window."""

    enabled: bool = False
    windows: tuple[int, ...] = (24,)
    columns: tuple[str, ...] = ("close", "volume")
    calculators: tuple[str, ...] = DEFAULT_CALCULATORS


@dataclass(frozen=True)
class Limits:
    """Bounds; what breaks one is refused."""

    max_rows: int = 2_000_000
    max_features: int = 2_000
    timeout_seconds: float = 600.0
    max_memory_bytes: int = 4096 * MIB


@dataclass(frozen=True)
class FeatureConfig:
    """What a request may choose, with the defaults in force."""

    technical: FamilyChoice = field(default_factory=FamilyChoice)
    statistical: FamilyChoice = field(default_factory=FamilyChoice)
    series: FamilyChoice = field(default_factory=FamilyChoice)
    market: FamilyChoice = field(default_factory=FamilyChoice)
    calendar: FamilyChoice = field(default_factory=FamilyChoice)
    tsfresh: TsfreshChoice = field(default_factory=TsfreshChoice)
    limits: Limits = field(default_factory=Limits)

    def choice(self, family: Family) -> FamilyChoice:
        """The choice of a family of the catalogue."""
        chosen: FamilyChoice = getattr(self, family.value)
        return chosen


def selected(config: FeatureConfig) -> tuple[Feature, ...]:
    """The catalogue features a config without violations asks for, in the order of their columns."""
    return tuple(
        feature
        for family in CATALOGUE_FAMILIES
        if config.choice(family).enabled
        for feature in features_of(family)
        if not config.choice(family).features or feature.name in config.choice(family).features
    )


def violations(config: FeatureConfig, path: str = "config") -> list[Violation]:
    """Every broken rule, with its full path below `path`."""
    found: list[Violation] = []
    for family in CATALOGUE_FAMILIES:
        found += _family_violations(config.choice(family), family, f"{path}.{family.value}.features")
    if config.tsfresh.enabled:
        found += _tsfresh_violations(config.tsfresh, f"{path}.tsfresh")
    elif not any(config.choice(family).enabled for family in CATALOGUE_FAMILIES):
        found.append(Violation(path, "empty", "enables no family, so there is nothing to compute."))
    found += _limits_violations(config.limits, f"{path}.limits")
    return found


def warnings(config: FeatureConfig) -> list[str]:
    """What a config without violations may not have meant."""
    found = [
        f"{family.value} names features and is not enabled: they are not computed."
        for family in CATALOGUE_FAMILIES
        if config.choice(family).features and not config.choice(family).enabled
    ]
    named = TsfreshChoice()
    if not config.tsfresh.enabled and config.tsfresh != named:
        found.append("tsfresh has settings and is not enabled: they have no effect.")
    count = feature_count(config)
    if count > config.limits.max_features:
        found.append(
            f"The config selects {count} features and limits.max_features is {config.limits.max_features}: "
            "computing them will be refused."
        )
    return found


def feature_count(config: FeatureConfig) -> int:
    """How many features a config without violations asks for."""
    return len(selected(config)) + rolling_count(config.tsfresh)


def rolling_count(choice: TsfreshChoice) -> int:
    """How many features of windows a choice without violations asks for."""
    if not choice.enabled:
        return 0
    of_a_window = sum(len(CALCULATORS[name].parameters) for name in choice.calculators)
    return len(choice.windows) * len(choice.columns) * of_a_window


def lookback_bars(config: FeatureConfig) -> int:
    """The longest look back of a config without violations; windows of settlements are not in it."""
    bars = [feature.lookback_bars for feature in selected(config)]
    if config.tsfresh.enabled:
        bars += [window - 1 for window in config.tsfresh.windows]
    return max(bars, default=0)


def _family_violations(choice: FamilyChoice, family: Family, path: str) -> Iterator[Violation]:
    known = [feature.name for feature in features_of(family)]
    yield from _names(choice.features, known, len(known), path, f"a {family.value} feature", _elsewhere)


def _elsewhere(name: str) -> str:
    for family in CATALOGUE_FAMILIES:
        if any(feature.name == name for feature in features_of(family)):
            return f"it belongs to {family.value}"
    return ""


def _tsfresh_violations(choice: TsfreshChoice, path: str) -> Iterator[Violation]:
    if len(choice.windows) > WINDOWS_MAX:
        yield _count(f"{path}.windows", WINDOWS_MAX, len(choice.windows))
    else:
        low, high = WINDOW_BARS
        for position, window in enumerate(choice.windows):
            if not low <= window <= high:
                yield _range(f"{path}.windows[{position}]", f"{low} to {high} bars", window)
        yield from _repeated(choice.windows, f"{path}.windows")
    yield from _names(choice.columns, ROLLING_COLUMNS, COLUMNS_MAX, f"{path}.columns", "a frame column")
    yield from _names(
        choice.calculators,
        CALCULATORS,
        len(CALCULATORS),
        f"{path}.calculators",
        "a tsfresh calculator here",
    )


def _limits_violations(limits: Limits, path: str) -> Iterator[Violation]:
    for name, (low, high) in (
        ("max_rows", ROWS),
        ("max_features", FEATURES),
        ("max_memory_bytes", MEMORY_BYTES),
    ):
        value = getattr(limits, name)
        if not low <= value <= high:
            yield _range(f"{path}.{name}", f"{low:,} to {high:,}", value)
    seconds = limits.timeout_seconds
    if not (math.isfinite(seconds) and 0.0 < seconds <= TIMEOUT_SECONDS_MAX):
        yield _range(f"{path}.timeout_seconds", f"above 0, at most {TIMEOUT_SECONDS_MAX:g} s", seconds)


def _names(
    given: Sequence[str],
    known: Iterable[str],
    count_max: int,
    path: str,
    what: str,
    elsewhere: Callable[[str], str] = lambda _: "",
) -> Iterator[Violation]:
    if len(given) > count_max:  # not looked into: a message holds enough names for minutes of work
        yield _count(path, count_max, len(given))
        return
    listed = list(known)
    for position, name in enumerate(given):
        if name in listed:
            continue
        shown = name if len(name) <= 100 else name[:100] + "…"
        hint = elsewhere(name)
        if not hint and (nearest := difflib.get_close_matches(shown, listed, 1, 0.5)):
            hint = f"the nearest is {nearest[0]!r}"
        sentence = f"must be {what}: {shown!r}" + (f"; {hint}." if hint else ".")
        yield Violation(f"{path}[{position}]", "unknown", sentence)
    yield from _repeated(given, path)


def _repeated(given: Sequence[object], path: str) -> Iterator[Violation]:
    seen: set[object] = set()
    for position, value in enumerate(given):
        if value in seen:
            yield Violation(f"{path}[{position}]", "duplicate", f"must be there once only: {value!r:.100}.")
        seen.add(value)


def _range(path: str, allowed: str, value: float) -> Violation:
    return Violation(path, "range", f"must be {allowed}: {value:g}.")


def _count(path: str, allowed: int, count: int) -> Violation:
    return Violation(path, "count", f"must have at most {allowed} items: {count}.")
