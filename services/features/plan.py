"""What a config means on one frame: which features, what is left out, and how much is computed at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from marketml.rpc.refusals import FailedPrecondition, Reason, ResourceExhausted
from services.features.calculators.settlements import warm_up_bars as settlement_warm_up
from services.features.columns import BLOCK_BARS, Columns
from services.features.config import FeatureConfig, Limits, selected
from services.features.config import passes as rolling_passes
from services.features.feature import Family, Feature
from services.features.rolling.engine import Pass

VALUE_BYTES = 8
# What the features of a family share (means, deviations, extremes) takes at most so many times their values.
SHARED_SHARE = 2
# Some of it stays while their values are there, which may be rows of what is shared: this many times those.
KEPT_SHARE = 1.25
# Arrays as long as the source that planning and the digest of the source hold at a time.
SOURCE_ARRAYS = 8
# Of the values of a chunk, where so many rows at least come together: less would be mostly overlap.
CHUNK_BYTES, CHUNK_BARS_MIN = 64 * 1024**2, 16 * BLOCK_BARS
# More rows at a time leave the cache, and touch memory anew that fewer would use again.
CHUNK_BARS_MAX = 256 * BLOCK_BARS
# Bars read between two looks at whether anybody still waits: about a second of work.
PIECE_BARS = 10**9
# The blocks of windows at work, and a message on its way.
FIXED_BYTES = 8 * 1024**2


@dataclass(frozen=True)
class Omission:
    """A feature that the source cannot give, and the column it lacks or what its bars should be."""

    name: str
    missing_column: str


@dataclass(frozen=True, eq=False)
class Group:
    """Features of one family that are computed on one slice of the frame, which reaches `history_bars` before
    the first bar that is wanted."""

    family: Family
    features: tuple[Feature, ...]
    history_bars: int

    @property
    def arrays_count(self) -> int:
        """Arrays as long as the slice that it holds at a time: what it reads, what it shares, one result."""
        inputs = {name for feature in self.features for name in feature.inputs}
        works = [feature.work for feature in self.features if feature.work is not None]
        shared = frozenset[bytes]().union(*(work.shared for work in works))
        held = max((work.held_arrays for work in works), default=1)
        return len(inputs) + SHARED_SHARE * (len(self.features) + len(shared)) + held

    @property
    def work_bars(self) -> int:
        """Bars read for one bar of the feature that takes most, as far as features say."""
        return max((feature.work.bars for feature in self.features if feature.work), default=0)


@dataclass(frozen=True, eq=False)
class Plan:
    """What will be computed on one frame.

    Attributes
    ----------
    names : tuple of str
        Columns of the result, in order.
    features, passes
        What computes them; a pass may compute more than is wanted of it.
    omitted : tuple of Omission
    warm_up_bars : int
        Bars at the start in which some feature is not warmed up.
    chunk_bars : int
        At most so many rows are computed at a time.
    memory_bytes : int
        Of the source and of what is computed at a time.
    bars_per_day : float
    jobs : int
        Over how many processes the passes are divided.
    """

    names: tuple[str, ...]
    features: tuple[Feature, ...]
    passes: tuple[Pass, ...]
    omitted: tuple[Omission, ...]
    warm_up_bars: int
    chunk_bars: int
    memory_bytes: int
    bars_per_day: float
    jobs: int

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """The row of the result that each name has."""
        return {name: row for row, name in enumerate(self.names)}

    def wanted_of(self, rolling: Pass) -> list[tuple[int, int]]:
        """Which features of a pass are wanted, by their number there, and the row that each has."""
        return [(index, self.rows[name]) for index, name in enumerate(rolling.names) if name in self.rows]

    @cached_property
    def lookbacks(self) -> Mapping[str, tuple[int, int]]:
        """Of each column computed: how many bars before the current one it needs, how many settlements."""
        of_passes = {name: (rolling.window - 1, 0) for rolling in self.passes for name in rolling.names}
        return of_passes | {
            feature.name: (feature.lookback_bars, feature.lookback_settlements) for feature in self.features
        }

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The features by family; windows of settlements and of longer bars, which reach far back, by
        themselves."""
        return grouped(self.features, self.bars_per_day)


def plan(config: FeatureConfig, columns: Columns, source_bytes: int, *, is_part: bool = False) -> Plan:
    """Decide what a config without violations means on this frame. Nothing large is allocated.

    Parameters
    ----------
    is_part
        The frame is only the end of a source: a feature asked for by name may lack a column here.

    Raises
    ------
    FailedPrecondition
        The frame has no bars, a feature named in the config lacks a column, or nothing is left to compute.
    ResourceExhausted
        The work would break one of the config's limits; `subject` names it.
    """
    if not columns.bars:
        raise FailedPrecondition("source", "The source has no bars.", Reason.TOO_LITTLE_DATA)
    wanted = frozenset(config.only)
    has_values = _looked_up(columns)
    features: list[Feature] = []
    omitted: list[Omission] = []
    for feature in selected(config):
        if wanted and feature.name not in wanted:
            continue
        missing_bars = feature.missing_bars(columns.timeframe)
        missing = missing_bars or next((name for name in feature.inputs if not has_values(name)), None)
        is_named = config.is_named(feature)
        if missing is None or (is_named and is_part and missing_bars is None):
            features.append(feature)
        elif is_named:
            raise _missing(feature.name, missing)
        else:
            omitted.append(Omission(feature.name, missing))
    passes: list[Pass] = []
    for rolling in rolling_passes(config.tsfresh):
        asked = [name for name in rolling.names if not wanted or name in wanted]
        if not asked:
            continue
        if has_values(rolling.column) or (wanted and is_part):
            passes.append(rolling if len(asked) == len(rolling.names) else rolling.of(asked))
        elif wanted:
            raise _missing(asked[0], rolling.column)
        else:
            omitted += [Omission(name, rolling.column) for name in asked]
    names = config.only or (
        *(feature.name for feature in features),
        *(name for rolling in passes for name in rolling.names),
    )
    if not names:
        raise FailedPrecondition(
            "source",
            "The source lacks what every chosen feature needs: "
            f"{', '.join(sorted({omission.missing_column for omission in omitted}))}.",
            Reason.TOO_LITTLE_DATA,
        )
    _check(config.limits, "max_rows", columns.bars)
    _check(config.limits, "max_features", len(names))
    chunk_bars, memory_bytes = _chunks(
        config.limits,
        source_bytes,
        columns.bars,
        len(names),
        grouped(features, columns.bars_per_day),
        passes,
        config.tsfresh.parallel_jobs,
    )
    return Plan(
        names=names,
        features=tuple(features),
        passes=tuple(passes),
        omitted=tuple(omitted),
        warm_up_bars=_warm_up_bars(features, passes, columns),
        chunk_bars=chunk_bars,
        memory_bytes=memory_bytes,
        bars_per_day=columns.bars_per_day,
        jobs=config.tsfresh.parallel_jobs,
    )


def grouped(features: Iterable[Feature], bars_per_day: float) -> tuple[Group, ...]:
    """Features by family and by whether they reach back by time, each group in the order given."""
    members: dict[tuple[Family, bool], list[Feature]] = {}
    for feature in features:
        reaches_far = feature.lookback_settlements > 0 or feature.lookback_seconds > 0
        members.setdefault((feature.family, reaches_far), []).append(feature)
    return tuple(
        Group(family, tuple(each), max(feature.history_bars(bars_per_day) for feature in each))
        for (family, _), each in members.items()
    )


def _chunks(
    limits: Limits,
    source_bytes: int,
    bars: int,
    count: int,
    groups: Sequence[Group],
    passes: Sequence[Pass],
    jobs: int,
) -> tuple[int, int]:
    """Rows that are computed at a time, and the bytes that all takes.

    Raises
    ------
    ResourceExhausted
        Not even the smallest chunk fits.
    """

    def needed(rows: int) -> int:
        """Bytes with so many rows at a time: what computes them in turn leaves, and the largest at work."""
        of_groups = [(each, min(bars, rows + each.history_bars)) for each in groups]
        of_passes = [(len(each.names), min(bars, rows + each.history_bars)) for each in passes]
        left = math.ceil(sum(KEPT_SHARE * len(each.features) * read for each, read in of_groups))
        left += sum(names for names, _ in of_passes) * rows
        at_once = 1 if jobs < 2 else 2 * jobs  # in the worker, and here
        at_work = [each.arrays_count * read for each, read in of_groups]
        at_work += [at_once * (names + 1) * read for names, read in of_passes]
        values = left + max(at_work)
        return source_bytes + (SOURCE_ARRAYS * bars + values) * VALUE_BYTES + FIXED_BYTES

    rows = min(CHUNK_BARS_MAX, CHUNK_BYTES // (VALUE_BYTES * count))
    if work_bars := max((each.work_bars for each in groups), default=0):
        rows = min(rows, PIECE_BARS // work_bars)
    rows = min(bars, max(CHUNK_BARS_MIN, rows // BLOCK_BARS * BLOCK_BARS))
    least = min(bars, BLOCK_BARS)
    while rows > least and needed(rows) > limits.max_memory_bytes:
        rows = max(least, rows // 2 // BLOCK_BARS * BLOCK_BARS)
    _check(limits, "max_memory_bytes", needed(rows))
    return rows, needed(rows)


def _looked_up(columns: Columns) -> Callable[[str], bool]:
    """Whether a column has any value: looked for once, the newest bars first. No column is kept."""
    known: dict[str, bool] = {}
    newest = columns.bars - min(BLOCK_BARS, columns.bars)

    def has_values(name: str) -> bool:
        if name not in known:
            parts = (columns.between(start, columns.bars) for start in (newest, 0))
            known[name] = name in columns and any(not np.isnan(part[name]).all() for part in parts)
        return known[name]

    return has_values


def _missing(name: str, lacked: str) -> FailedPrecondition:
    return FailedPrecondition(
        name,
        f"The feature {name} needs {lacked}, of which the source has none.",
        Reason.TOO_LITTLE_DATA,
    )


def _check(limits: Limits, name: str, asked: int) -> None:
    allowed = getattr(limits, name)
    if asked > allowed:
        raise ResourceExhausted(
            f"config.limits.{name}",
            f"The work needs {name} of {asked:,} and config.limits.{name} is {allowed:,}.",
        )


def _warm_up_bars(features: Sequence[Feature], passes: Sequence[Pass], columns: Columns) -> int:
    per_day = columns.bars_per_day
    bars = [feature.plain_bars(per_day) for feature in features]
    bars += [rolling.window - 1 for rolling in passes]
    whole = columns.fresh()
    for count in {feature.lookback_settlements for feature in features} - {0}:
        most = math.ceil(count * max(1.0, columns.bars_per_day))
        seen = settlement_warm_up(whole, count)
        bars.append(most if seen is None else min(seen, most))
    return min(max(bars), columns.bars)
