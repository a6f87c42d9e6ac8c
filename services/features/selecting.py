"""SelectFeatures: the features of each source, of which the rows asked for are kept, and the fit on these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

import numpy as np

from marketml.rpc.refusals import InvalidArgument, ResourceExhausted
from services.features.answer import Header, Part, Values
from services.features.budget import Loan, MemoryBudget
from services.features.columns import Floats
from services.features.config import FeatureConfig, lookback_bars, passes
from services.features.deadline import watched
from services.features.generation import Generation
from services.features.selection.fitting import fit, fit_bytes, is_fitted
from services.features.selection.request import Selected, SelectionRequest, SourceRows
from services.features.selection.spans import spans
from services.features.selection.target import Target
from services.features.source import SeriesKey


class Selecting:
    """How features are selected, call after call.

    Parameters
    ----------
    generation
        Computes features.
    budget
        The memory of all computations together.
    now
        A clock in seconds that never falls.
    """

    def __init__(self, generation: Generation, budget: MemoryBudget, now: Callable[[], float]) -> None:
        self._generation = generation
        self._budget = budget
        self._now = now

    def fitted(self, request: SelectionRequest, check: Callable[[], None]) -> Selected:
        """Fit a config without violations. `check` raises when nobody waits any more; it is called between
        pieces of work, and so is the config's limit of time looked at.

        Raises
        ------
        InvalidArgument
            A row is no bar of the source, or the config leaves nothing to the data.
        FailedPrecondition
            No feature is left.
        ResourceExhausted
            The work breaks a limit of the config.
        """
        config = request.config
        if not is_fitted(config):
            raise InvalidArgument.of(
                "config",
                "fit",
                "must enable selection, autofeat or tsfresh.feature_selection: there is nothing to fit.",
            )
        look = watched(config.limits, check, self._now)
        with self._budget.reserved(0) as loan:
            names, values, keys = self._values(request, loan, look)
            target = request.target
            if len(keys) > 1:
                target = _in_order(request, values, keys, look)
            rolling = {name for each in passes(config.tsfresh) for name in each.names}
            found = fit(names, rolling, values, target, config, request.seed, look)
        return Selected(
            verdicts=found.verdicts,
            config=found.config,
            row_count=len(target.values),
            class_counts=target.class_counts,
            warm_up_bars=lookback_bars(found.config),
        )

    def _values(
        self, request: SelectionRequest, loan: Loan, look: Callable[[], None]
    ) -> tuple[list[str], Floats, list[SeriesKey]]:
        """The features that every source has, their values (features, rows) at the rows asked for, source
        after source, and whose the sources are."""
        config, rows = request.config, len(request.target.values)
        keys: list[SeriesKey] = []
        names: list[str] = []
        values: Floats = np.empty((0, rows))
        start = 0
        for given in request.sources:
            with closing(self._generation.parts(given.source, config, 0, look)) as parts:
                header = next(parts)
                assert isinstance(header, Header)
                _require_other(header.key, keys, given.field)
                if not keys:
                    _lend(loan, config, len(header.names), rows)
                    names, values = list(header.names), np.empty((len(header.names), rows))
                keys.append(header.key)
                place = {name: at for at, name in enumerate(header.names)}
                common = [at for at, name in enumerate(names) if name in place]
                if len(common) < len(names):
                    names, values = [names[at] for at in common], values[common]
                stop = start + len(given.open_time)
                if stop > start:
                    _fill(values[:, start:stop], parts, given, [place[name] for name in names])
                start = stop
        return names, values, keys


def _lend(loan: Loan, config: FeatureConfig, features: int, rows: int) -> None:
    """Hold the memory of a fit, if the config allows so much."""
    size_bytes = fit_bytes(config, features, rows)
    if size_bytes > config.limits.max_memory_bytes:
        raise ResourceExhausted(
            "config.limits.max_memory_bytes",
            f"The fit on {rows:,} rows of {features:,} features needs {size_bytes:,} bytes "
            f"and config.limits.max_memory_bytes is {config.limits.max_memory_bytes:,}.",
        )
    loan.resize(size_bytes)


def _require_other(key: SeriesKey, before: Sequence[SeriesKey], field: str) -> None:
    """Refuse bars of another length than those before, and an instrument that is there already."""
    if not before:
        return
    if key.timeframe != before[0].timeframe:
        words = f"must be of timeframe {before[0].timeframe} as the first source, is of {key.timeframe}."
        raise InvalidArgument.of(f"{field}source", "same", words)
    if any((key.venue, key.symbol) == (each.venue, each.symbol) for each in before):
        words = f"must be of another instrument than those before it, is of {key.venue} {key.symbol}."
        raise InvalidArgument.of(f"{field}source", "other", words)


def _in_order(
    request: SelectionRequest, values: Floats, keys: Sequence[SeriesKey], look: Callable[[], None]
) -> Target:
    """Put the rows of several sources in order of time, at one moment in that of the instruments' names: in
    `values` itself, some features at a time, and in the target."""
    ranks = np.argsort(np.argsort([f"{key.venue} {key.symbol}" for key in keys]))
    sources = np.repeat(ranks, [len(each.open_time) for each in request.sources])
    times = np.concatenate([each.open_time.asi8 for each in request.sources])
    order = np.lexsort((sources, times))
    given = request.target
    weights = None if given.weights is None else given.weights[order]
    for some in spans(len(values), values.shape[1], look):
        values[some] = values[some][:, order]
    return Target(given.kind, given.values[order], weights, sources[order])


def _fill(values: Floats, parts: Iterable[Part], given: SourceRows, chosen: Sequence[int]) -> None:
    """Keep of a source's chunks the rows asked for, and the features chosen."""
    taken, rows = 0, len(given.open_time)
    for part in parts:
        if isinstance(part, Values):
            taken = _take(part, given, taken, chosen, values)
    if taken < rows:
        raise _no_bar(given, taken)


def _take(part: Values, given: SourceRows, taken: int, chosen: Sequence[int], values: Floats) -> int:
    """Keep of a chunk the rows asked for; how many are taken then."""
    open_time = given.open_time
    stop = int(open_time.searchsorted(part.open_time[-1], side="right"))
    if stop > taken:
        at = part.open_time.get_indexer(open_time[taken:stop])
        if (at < 0).any():
            raise _no_bar(given, taken + int(np.argmax(at < 0)))
        kept = values[:, taken:stop]
        for row, feature in zip(kept, chosen, strict=True):
            row[:] = part.values[feature][at]
        kept[np.isinf(kept)] = np.nan
    return stop


def _no_bar(given: SourceRows, row: int) -> InvalidArgument:
    return InvalidArgument.of(
        f"{given.field}target_arrow.open_time[{row}]",
        "bar",
        f"must be the open of a bar of the source: {given.open_time[row].isoformat()}.",
    )
