"""GenerateFeatures from its source to its summary: memory first, then the bars, then chunk after chunk."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Protocol

from marketml.rpc.refusals import ResourceExhausted
from services.features import engine
from services.features.answer import Header, Part, Progress, Summary, Values
from services.features.budget import MemoryBudget
from services.features.cache import Cache, Kept
from services.features.cached import CacheLabel
from services.features.columns import Columns
from services.features.config import FeatureConfig, Limits
from services.features.deadline import watched
from services.features.digest import choice_digest, config_digest, result_digest
from services.features.feature import Family
from services.features.pieces import Inputs, Pool, Team
from services.features.plan import VALUE_BYTES, Plan, plan
from services.features.source import Bars, Source

PROGRESS_SECONDS = 0.2
# Of a source's row before it is read: an aligned frame has a time and at most eighteen columns. While it is
# read, what arrived and the frame made of it are there together.
ROW_BYTES = 19 * VALUE_BYTES
READING_SHARE = 2


class DataRoom(Protocol):
    """What this room needs of the data room."""

    def count(self, source: Source, rows_max: int) -> int:
        """How many bars a source has at the most, as far as that can be told before it is read; no more than
        `rows_max`."""

    def load(self, source: Source, rows_max: int) -> Bars | None:
        """The bars of a source; None when there are more than `rows_max`."""


class Generation:
    """How features are generated, call after call.

    Parameters
    ----------
    data
        The data room.
    budget
        The memory of all computations together.
    now
        A clock in seconds that never falls.
    cache
        Results on disk.
    pool
        Processes that the work can be divided over; None leaves all of it to the calling thread.
    """

    def __init__(
        self,
        data: DataRoom,
        budget: MemoryBudget,
        now: Callable[[], float],
        cache: Cache,
        pool: Pool | None = None,
    ) -> None:
        self._data = data
        self._budget = budget
        self._now = now
        self._cache = cache
        self._pool = pool

    def parts(
        self, source: Source, config: FeatureConfig, newest_count: int, check: Callable[[], None]
    ) -> Generator[Part, None, None]:
        """Header, progress and the frame in chunks, summary. `check` raises when nobody waits any more; it is
        called between pieces of work, and so is the config's limit of time looked at.

        The values of a part are good until the next is asked for.
        """
        look = watched(config.limits, check, self._now)
        rows_max = rows_allowed(config.limits)
        with self._budget.reserved(READING_SHARE * ROW_BYTES * self._data.count(source, rows_max)) as loan:
            bars = read(self._data, source, config.limits)
            look()
            columns = Columns(bars.frame, bars.key.bar)
            planned = plan(config, columns, int(bars.frame.memory_usage().sum()))
            loan.resize(planned.memory_bytes)
            first = max(0, columns.bars - newest_count) if newest_count else 0
            of_config = config_digest(planned, config.expressions)
            header = Header(
                digest=result_digest(bars.frame, bars.key.bar, of_config),
                config_digest=of_config,
                names=planned.names,
                warm_up_bars=max(0, planned.warm_up_bars - first),
                row_count=columns.bars - first,
                config=config,
                omitted=planned.omitted,
                key=bars.key,
                reference=bars.reference,
            )
            yield header
            look()
            yield Progress(0.0, "computing")
            label = CacheLabel(bars.key, choice_digest(config))
            with (
                self._cache.entry(
                    f"{header.digest}-{first}" if first else header.digest,
                    planned.names,
                    label,
                    first,
                    columns.bars,
                    header.digest,
                ) as kept,
                self._team(planned, columns) as team,
            ):
                seconds = yield from self._rows(planned, columns, header, first, kept, team, look)
            is_hit = seconds is None
            self._cache.count(is_hit=is_hit)
            yield Progress(1.0, "done")
            asked = {
                family: spent
                for family, spent in (seconds or dict.fromkeys(Family, 0.0)).items()
                if config.is_enabled(family)
            }
            yield Summary(header.row_count, len(planned.names), asked, is_hit)

    def _rows(
        self,
        planned: Plan,
        columns: Columns,
        header: Header,
        first: int,
        kept: Kept,
        team: Team | None,
        look: Callable[[], None],
    ) -> Generator[Progress | Values, None, dict[Family, float] | None]:
        """The rows from `first` on, those that are kept from there, the others computed in turn; the seconds
        of each family, None when nothing was left to compute."""
        told_at, row, seconds = self._now(), first, None
        values = engine.nothing_yet(planned)
        while row < columns.bars:
            found = kept.rows_from(row)
            if found is None:
                with kept.turn(look):
                    found = kept.rows_from(row)  # or somebody did it while this waited
                    if found is None:
                        seconds = dict.fromkeys(Family, 0.0) if seconds is None else seconds
                        start, stop = engine.spans(planned, columns, row)[0]
                        for share, stage in engine.fill(
                            planned, columns, start, stop, values, seconds, self._now, team
                        ):
                            look()
                            if self._now() - told_at >= PROGRESS_SECONDS:
                                told_at = self._now()
                                done = row + (stop - row) * share
                                yield Progress((done - first) / header.row_count, stage)
                        engine.leave_out(values, row - start)
                        kept.add(row, columns.open_time[row:stop], values)
                        found = values
            stop = row + len(found[0])
            yield Values(header, columns.open_time[row:stop], found)
            look()
            row = stop
        return seconds

    @contextmanager
    def _team(self, planned: Plan, columns: Columns) -> Iterator[Team | None]:
        """Who computes the passes, when they are to be divided."""
        if self._pool is None or planned.jobs < 2 or not planned.passes:
            yield None
            return
        names = sorted({rolling.column for rolling in planned.passes})

        def inputs() -> Inputs:
            whole = columns.fresh()
            return Inputs({name: whole[name] for name in names}, whole.bar_numbers)

        with self._pool.opened(inputs) as work:
            yield Team(work, planned.jobs)


def rows_allowed(limits: Limits) -> int:
    """How many bars of a source the limits allow to be read."""
    return min(limits.max_rows, limits.max_memory_bytes // (READING_SHARE * ROW_BYTES))


def read(data: DataRoom, source: Source, limits: Limits) -> Bars:
    """The source; one that breaks a limit is not read, or not further than one row past it.

    Raises
    ------
    ResourceExhausted
        It has more bars than the limits allow.
    """
    rows_max = rows_allowed(limits)
    bars = data.load(source, rows_max)
    if bars is None:
        name = "max_rows" if rows_max == limits.max_rows else "max_memory_bytes"
        raise ResourceExhausted(
            f"config.limits.{name}",
            f"The source has more than the {rows_max:,} bars that config.limits.{name} of "
            f"{getattr(limits, name):,} allows.",
        )
    return bars
