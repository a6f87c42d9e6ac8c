"""From a frame and a config to features: what can be computed, what it takes, and the work itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from marketml.rpc.refusals import FailedPrecondition, Reason, ResourceExhausted
from services.features.calculators.settlements import warm_up_bars as settlement_warm_up
from services.features.calculators.tsfresh import Pass
from services.features.columns import Columns, Floats
from services.features.config import FeatureConfig, Limits, selected
from services.features.config import passes as rolling_passes
from services.features.feature import Family, Feature

VALUE_BYTES = 8
# What the features of a family share (means, deviations, extremes) takes at most so many times their values.
SHARED_SHARE = 2


@dataclass(frozen=True)
class Omission:
    """A feature that the source cannot give, and the column it lacks."""

    name: str
    missing_column: str


@dataclass(frozen=True)
class Plan:
    """What will be computed on one frame, in the order of the columns of the result."""

    features: tuple[Feature, ...]
    passes: tuple[Pass, ...]
    omitted: tuple[Omission, ...]
    warm_up_bars: int
    memory_bytes: int

    @property
    def names(self) -> tuple[str, ...]:
        return (
            *(feature.name for feature in self.features),
            *(name for rolling in self.passes for name in rolling.names),
        )


@dataclass(frozen=True)
class Result:
    """`values` (features, bars), NaN where not known, and the seconds each family took."""

    values: Floats
    seconds: dict[Family, float]


def plan(config: FeatureConfig, columns: Columns, source_bytes: int) -> Plan:
    """Decide what a config without violations means on this frame. Nothing large is allocated.

    Raises
    ------
    FailedPrecondition
        The frame has no bars, a feature named in the config lacks a column, or nothing is left to compute.
    ResourceExhausted
        The work would break one of the config's limits; `subject` names it.
    """
    if not columns.bars:
        raise FailedPrecondition("source", "The source has no bars.", Reason.TOO_LITTLE_DATA)
    features: list[Feature] = []
    omitted: list[Omission] = []
    for feature in selected(config):
        missing = next((name for name in feature.inputs if not _has_values(columns, name)), None)
        if missing is None:
            features.append(feature)
        elif config.choice(feature.family).features:
            raise FailedPrecondition(
                feature.name,
                f"The feature {feature.name} needs {missing}, which has no value in the source.",
                Reason.TOO_LITTLE_DATA,
            )
        else:
            omitted.append(Omission(feature.name, missing))
    passes: list[Pass] = []
    for rolling in rolling_passes(config.tsfresh):
        if _has_values(columns, rolling.column):
            passes.append(rolling)
        else:
            omitted += [Omission(name, rolling.column) for name in rolling.names]
    count = len(features) + sum(len(rolling.names) for rolling in passes)
    if not count:
        raise FailedPrecondition(
            "source",
            "The source lacks what every chosen feature needs: "
            f"{', '.join(sorted({omission.missing_column for omission in omitted}))}.",
            Reason.TOO_LITTLE_DATA,
        )
    memory_bytes = source_bytes + _memory_bytes(columns.bars, count, features, passes)
    _check(config.limits, columns.bars, count, memory_bytes)
    warm_up = _warm_up_bars(features, passes, columns)
    return Plan(tuple(features), tuple(passes), tuple(omitted), warm_up, memory_bytes)


def compute(plan: Plan, columns: Columns, now: Callable[[], float]) -> Iterator[tuple[float, str] | Result]:
    """Do the work piece by piece: `(fraction done, family)` after each, at last the Result.

    The caller looks between pieces at whether it still wants the rest, and otherwise closes the iterator.
    """
    values = np.empty((len(plan.names), columns.bars))
    seconds = dict.fromkeys(Family, 0.0)
    count = len(plan.names)
    family, shared = None, columns
    for row, feature in enumerate(plan.features):
        started = now()
        if feature.family is not family:  # what one family shares is let go before the next
            family, shared = feature.family, columns.fresh()
        values[row] = feature.compute(shared)
        seconds[feature.family] += now() - started
        yield (row + 1) / count, feature.family.value
    row = len(plan.features)
    for rolling in plan.passes:
        rows = values[row : row + len(rolling.names)]
        started = now()
        for bars in rolling.run(columns[rolling.column], rows):
            seconds[Family.TSFRESH] += now() - started
            yield (row + len(rows) * bars / columns.bars) / count, Family.TSFRESH.value
            started = now()
        seconds[Family.TSFRESH] += now() - started
        row += len(rows)
    yield Result(values, seconds)


def _has_values(columns: Columns, name: str) -> bool:
    return name in columns and columns.shared(
        ("has values", name), lambda: not bool(np.isnan(columns[name]).all())
    )


def _memory_bytes(bars: int, count: int, features: list[Feature], passes: list[Pass]) -> int:
    """Of the result, of the columns read (here and by the family at work) and of what that family shares."""
    inputs = {name for feature in features for name in feature.inputs} | {each.column for each in passes}
    of_family = Counter(feature.family for feature in features)
    arrays = count + 2 * len(inputs) + SHARED_SHARE * max(of_family.values(), default=0)
    return arrays * bars * VALUE_BYTES


def _check(limits: Limits, bars: int, count: int, memory_bytes: int) -> None:
    for name, asked, allowed in (
        ("max_rows", bars, limits.max_rows),
        ("max_features", count, limits.max_features),
        ("max_memory_bytes", memory_bytes, limits.max_memory_bytes),
    ):
        if asked > allowed:
            raise ResourceExhausted(
                f"config.limits.{name}",
                f"The work needs {name} of {asked:,} and config.limits.{name} is {allowed:,}.",
            )


def _warm_up_bars(features: list[Feature], passes: list[Pass], columns: Columns) -> int:
    bars = [feature.lookback_bars for feature in features] + [rolling.window - 1 for rolling in passes]
    for count in {feature.lookback_settlements for feature in features} - {0}:
        most = math.ceil(count * max(1.0, columns.bars_per_day))
        seen = settlement_warm_up(columns, count)
        bars.append(most if seen is None else min(seen, most))
    return min(max(bars), columns.bars)
