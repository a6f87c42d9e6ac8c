"""The order of work: load the source, plan, compute piece by piece, hand out the result."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Protocol

from marketml.rpc.refusals import InvalidArgument, ResourceExhausted, Violation
from services.features import config_rules, engine, paging
from services.features.answer import Header, Part, Progress, Review, Summary, Values
from services.features.budget import MemoryBudget
from services.features.catalogue import Entry, entries
from services.features.columns import Columns
from services.features.config import FeatureConfig, feature_count, lookback_bars
from services.features.digest import result_digest
from services.features.feature import Family
from services.features.presets import PRESETS, Preset
from services.features.source import Bars, Source

PROGRESS_SECONDS = 0.2
# Of a source's row before it is read: an aligned frame has a time and at most fourteen columns.
ROW_BYTES = 15 * engine.VALUE_BYTES


class DataRoom(Protocol):
    """What this room needs of the data room."""

    def load(self, source: Source, rows_max: int) -> Bars | None:
        """The bars of a source; None when there are more than `rows_max`."""


class FeaturesApplication:
    """Every verb of the room.

    Parameters
    ----------
    data
        The data room.
    budget
        The memory of all computations together.
    now
        A clock in seconds that never falls.
    """

    def __init__(self, data: DataRoom, budget: MemoryBudget, now: Callable[[], float]) -> None:
        self._data = data
        self._budget = budget
        self._now = now

    def generate_features(
        self, source: Source, config: FeatureConfig, newest_count: int, check: Callable[[], None]
    ) -> Iterator[Part]:
        """Header, progress, the frame, summary, in this order. `check` raises when nobody waits any more; it
        is called between pieces of work."""
        violations = config_rules.violations(config)
        if newest_count < 0:
            violations.append(Violation("newest_count", "range", f"must not be negative: {newest_count}."))
        if violations:
            raise InvalidArgument(violations)
        ends_at = self._now() + config.limits.timeout_seconds

        def look() -> None:
            check()
            if self._now() > ends_at:
                raise ResourceExhausted(
                    "config.limits.timeout_seconds",
                    f"The work took longer than config.limits.timeout_seconds of "
                    f"{config.limits.timeout_seconds:g}.",
                )

        bars = self._load(source, config)
        look()
        columns = Columns(bars.frame, bars.key.bar)
        plan = engine.plan(config, columns, int(bars.frame.memory_usage().sum()))
        with self._budget.reserved(plan.memory_bytes):
            first = max(0, columns.bars - newest_count) if newest_count else 0
            header = Header(
                digest=result_digest(bars.frame, bars.key.bar, config, plan.names),
                names=plan.names,
                warm_up_bars=max(0, plan.warm_up_bars - first),
                row_count=columns.bars - first,
                config=config,
                omitted=plan.omitted,
                key=bars.key,
            )
            yield header
            result = yield from self._computed(plan, columns, look)
            yield Values(header, columns.open_time[first:], result.values[:, first:])
            seconds = {family: result.seconds[family] for family in Family if config.is_enabled(family)}
            yield Summary(header.row_count, len(plan.names), seconds)

    def validate_feature_config(self, config: FeatureConfig) -> Review:
        """What is wrong with a config, and otherwise what it would do."""
        violations = config_rules.violations(config)
        if violations:
            return Review(tuple(violations))
        return Review(
            (),
            tuple(config_rules.warnings(config)),
            feature_count(config),
            lookback_bars(config),
        )

    def get_default_feature_config(self) -> FeatureConfig:
        """The config in force where a request says nothing."""
        return FeatureConfig()

    def list_features(
        self, family: Family | None, page_size: int, page_token: str
    ) -> tuple[Sequence[Entry], str]:
        """A page of the catalogue and the token of the next."""
        return paging.page(entries(family), page_size, page_token)

    def list_feature_presets(self, page_size: int, page_token: str) -> tuple[Sequence[Preset], str]:
        """A page of the presets and the token of the next."""
        return paging.page(tuple(PRESETS.values()), page_size, page_token)

    def _load(self, source: Source, config: FeatureConfig) -> Bars:
        """The source; one that breaks a limit is not read, or not further than one row past it."""
        limits = config.limits
        rows_max = min(limits.max_rows, limits.max_memory_bytes // ROW_BYTES)
        bars = self._data.load(source, rows_max)
        if bars is None:
            name = "max_rows" if rows_max == limits.max_rows else "max_memory_bytes"
            raise ResourceExhausted(
                f"config.limits.{name}",
                f"The source has more than the {rows_max:,} bars that config.limits.{name} of "
                f"{getattr(limits, name):,} allows.",
            )
        return bars

    def _computed(
        self, plan: engine.Plan, columns: Columns, look: Callable[[], None]
    ) -> Generator[Progress, None, engine.Result]:
        told_at = self._now()
        yield Progress(0.0, "computing")
        for step in engine.compute(plan, columns, self._now):
            if isinstance(step, engine.Result):
                yield Progress(1.0, "sending")
                return step
            look()
            if self._now() - told_at >= PROGRESS_SECONDS:
                told_at = self._now()
                yield Progress(*step)
        raise AssertionError("compute ends with a Result")
