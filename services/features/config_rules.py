"""The rules of a config: what is refused, and what is only unusual."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from marketml.rpc.refusals import Violation
from services.features import expressions
from services.features.calculators import features_of
from services.features.config import (
    CATALOGUE_FAMILIES,
    MIB,
    ROLLING_COLUMNS,
    TRANSFORMATIONS,
    AutofeatChoice,
    FamilyChoice,
    FeatureConfig,
    Limits,
    SelectionChoice,
    TsfreshChoice,
    column_names,
    feature_count,
)
from services.features.feature import Family
from services.features.presets import PRESETS
from services.features.rolling.calculators import broken_rule
from services.features.rolling.engine import WINDOW_BARS
from services.features.rolling.presets import PRESETS as ROLLING_PRESETS

WINDOWS_MAX = 4
COLUMNS_MAX = 8
CALCULATORS_MAX = 1_000

ROWS = (1, 10_000_000)
FEATURES = (1, 20_000)
TIMEOUT_SECONDS_MAX = 3600.0
MEMORY_BYTES = (MIB, 64 * 1024 * MIB)


def violations(config: FeatureConfig, path: str = "config") -> list[Violation]:
    """Every broken rule, with its full path below `path`."""
    found: list[Violation] = []
    if config.preset:
        found += _names((config.preset,), PRESETS, 1, f"{path}.preset", "a preset", is_list=False)
    for family in CATALOGUE_FAMILIES:
        found += _family_violations(config.choice(family), family, f"{path}.{family.value}.features")
    if config.tsfresh.enabled:
        found += _tsfresh_violations(config.tsfresh, f"{path}.tsfresh")
    elif not config.expressions and not any(config.choice(family).enabled for family in CATALOGUE_FAMILIES):
        found.append(Violation(path, "empty", "enables no family, so there is nothing to compute."))
    found += _autofeat_violations(config.autofeat, f"{path}.autofeat")
    found += _selection_violations(config.selection, f"{path}.selection")
    found += expressions.violations(config.expressions, f"{path}.expressions")
    if len(config.only) > FEATURES[1]:
        found.append(_count(f"{path}.only", FEATURES[1], len(config.only)))
    found += _limits_violations(config.limits, f"{path}.limits")
    if found or not config.only:
        return found
    return list(
        _names(config.only, column_names(config), FEATURES[1], f"{path}.only", "a feature of this config")
    )


def warnings(config: FeatureConfig) -> list[str]:
    """What a config without violations may not have meant."""
    found = [
        f"{family.value} names features and is not enabled: they are not computed."
        for family in CATALOGUE_FAMILIES
        if config.choice(family).features and not config.choice(family).enabled
    ]
    found += [
        f"{name} is fitted by SelectFeatures: GenerateFeatures computes all that it chooses from."
        for name in ("autofeat", "selection")
        if getattr(config, name).enabled
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
    yield from _calculators(choice.calculators, f"{path}.calculators")
    if choice.preset:
        yield from _names((choice.preset,), ROLLING_PRESETS, 1, f"{path}.preset", "a preset", is_list=False)
    yield from _in_range(choice, path, {"fdr_level": (0.001, 0.1)})
    yield from _in_range(choice, path, {"feature_count_limit": (10, 500), "parallel_jobs": (1, 8)})


def _calculators(entries: tuple[str, ...], path: str) -> Iterator[Violation]:
    if len(entries) > CALCULATORS_MAX:
        yield _count(path, CALCULATORS_MAX, len(entries))
        return
    for position, entry in enumerate(entries):
        if why := broken_rule(entry):
            shown = entry if len(entry) <= 100 else entry[:100] + "…"
            sentence = f"must be a tsfresh calculator, alone or with its parameters: {shown!r}; {why}"
            yield Violation(f"{path}[{position}]", "unknown", sentence)
    yield from _repeated(entries, path)


def _autofeat_violations(choice: AutofeatChoice, path: str) -> Iterator[Violation]:
    bounds = {
        "max_features": (10, 200),
        "steps": (1, 3),
        "max_inputs": (2, 100),
        "selection_runs": (1, 20),
        "max_memory_bytes": (MIB, 16 * 1024 * MIB),
    }
    yield from _in_range(choice, path, bounds)
    count = len(TRANSFORMATIONS)
    yield from _names(
        choice.transformations, TRANSFORMATIONS, count, f"{path}.transformations", "a transformation"
    )


def _selection_violations(choice: SelectionChoice, path: str) -> Iterator[Violation]:
    if choice.fdr_level != 1.0:
        yield from _in_range(choice, path, {"fdr_level": (0.001, 0.5)})
    bounds = {
        "correlation_max": (0.5, 1.0),
        "stability_blocks": (1, 20),
        "feature_count_limit": (1, 10_000),
        "feature_count_min": (0, 1_000),
    }
    yield from _in_range(choice, path, bounds)
    if not 0.0 < choice.stability_share <= 1.0:
        yield _range(f"{path}.stability_share", "above 0, at most 1", choice.stability_share)


def _in_range(choice: object, path: str, bounds: Mapping[str, tuple[float, float]]) -> Iterator[Violation]:
    for name, (low, high) in bounds.items():
        value = getattr(choice, name)
        if not low <= value <= high:
            yield _range(f"{path}.{name}", f"{low:,} to {high:,}", value)


def _limits_violations(limits: Limits, path: str) -> Iterator[Violation]:
    bounds = {"max_rows": ROWS, "max_features": FEATURES, "max_memory_bytes": MEMORY_BYTES}
    yield from _in_range(limits, path, bounds)
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
    *,
    is_list: bool = True,
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
        yield Violation(f"{path}[{position}]" if is_list else path, "unknown", sentence)
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
