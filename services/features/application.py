"""Every verb of the room, in domain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Protocol

from marketml.rpc.refusals import InvalidArgument, Violation
from services.features import config_rules, paging
from services.features.answer import Latest, Part, Review
from services.features.audit import AuditRequest, Told
from services.features.budget import MemoryBudget
from services.features.cache import Cache
from services.features.cached import CacheFilter, CacheStatus, CacheUse
from services.features.catalogue import Entry, entries
from services.features.config import FeatureConfig, feature_count, lookback_bars
from services.features.digest import choice_digest
from services.features.feature import Family
from services.features.generation import DataRoom, Generation
from services.features.latest import Newest, NewestBars, Run
from services.features.leakage import audited
from services.features.pieces import Pool
from services.features.presets import PRESETS, Preset
from services.features.selecting import Selecting
from services.features.selection.request import Selected, SelectionRequest
from services.features.source import Source
from services.features.vectors import Question, Vectors


class Neighbour(DataRoom, NewestBars, Protocol):
    """The data room."""


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
    cache
        Results on disk; None keeps none.
    pool
        Processes that the work can be divided over; None leaves all of it to the calling thread.
    vectors
        The newest vectors in memory; None keeps none.
    """

    def __init__(
        self,
        data: Neighbour,
        budget: MemoryBudget,
        now: Callable[[], float],
        cache: Cache | None = None,
        pool: Pool | None = None,
        vectors: Vectors | None = None,
    ) -> None:
        self._data = data
        self._budget = budget
        self._now = now
        self._cache = cache or Cache(None, 0)
        self._generation = Generation(data, budget, now, self._cache, pool)
        self._newest = Newest(data, budget, vectors or Vectors(0))
        self._selecting = Selecting(self._generation, budget, now)

    def generate_features(
        self,
        source: Source,
        config: FeatureConfig,
        newest_count: int,
        check: Callable[[], None],
        *,
        header_only: bool = False,
    ) -> Iterator[Part]:
        """Header, progress and the frame in chunks, summary; or the header alone. `check` raises when nobody
        waits any more; it is called between pieces of work."""
        violations = config_rules.violations(config)
        if newest_count < 0:
            violations.append(Violation("newest_count", "range", f"must not be negative: {newest_count}."))
        if violations:
            raise InvalidArgument(violations)
        parts = self._generation.parts(source, config, newest_count, check)
        if header_only:
            with closing(parts):
                yield next(parts)
            return
        yield from parts

    async def get_latest_features(self, asked: Question, run: Run, check: Callable[[], None]) -> Latest:
        """The newest closed bar's features. `run` runs what takes time on another thread."""
        return await self._newest.latest(asked, run, check)

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

    def select_features(self, request: SelectionRequest, check: Callable[[], None]) -> Selected:
        """Fit what a config leaves to the data, on the rows given. `check` raises when nobody waits any
        more."""
        if violations := config_rules.violations(request.config):
            raise InvalidArgument(violations)
        return self._selecting.fitted(request, check)

    def audit_leakage(self, request: AuditRequest, check: Callable[[], None]) -> Iterator[Told]:
        """What sees the future of the features of a config, and a summary. `check` raises when nobody waits
        any more."""
        return audited(self._data, self._budget, request, check, self._now)

    def clear_feature_cache(
        self, which: CacheFilter, config: FeatureConfig | None, *, dry_run: bool
    ) -> CacheUse:
        """Remove the entries of a series, of a config, of both or all, or only say what would go."""
        return self._cache.clear(_of_config(which, config), dry_run=dry_run)

    def get_feature_cache_status(self, which: CacheFilter, config: FeatureConfig | None) -> CacheStatus:
        """What the cache holds of a series, of a config, of both or all."""
        return self._cache.status(_of_config(which, config))


def _of_config(which: CacheFilter, config: FeatureConfig | None) -> CacheFilter:
    if config is None:
        return which
    if violations := config_rules.violations(config):
        raise InvalidArgument(violations)
    return replace(which, config=choice_digest(config))
