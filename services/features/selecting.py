"""SelectFeatures: the features of a source, of which the rows asked for are kept, and the fit on these."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import numpy as np
import pandas as pd

from marketml.rpc.refusals import InvalidArgument, ResourceExhausted
from services.features.answer import Header, Values
from services.features.budget import MemoryBudget
from services.features.columns import Floats
from services.features.config import lookback_bars, passes
from services.features.deadline import watched
from services.features.generation import Generation
from services.features.selection.fitting import fit, fit_bytes, is_fitted
from services.features.selection.request import Selected, SelectionRequest


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
        rows = len(request.open_time)
        with (
            self._budget.reserved(0) as loan,
            closing(self._generation.parts(request.source, config, 0, look)) as parts,
        ):
            header = next(parts)
            assert isinstance(header, Header)
            size_bytes = fit_bytes(config, len(header.names), rows)
            if size_bytes > config.limits.max_memory_bytes:
                raise ResourceExhausted(
                    "config.limits.max_memory_bytes",
                    f"The fit on {rows:,} rows of {len(header.names):,} features needs {size_bytes:,} bytes "
                    f"and config.limits.max_memory_bytes is {config.limits.max_memory_bytes:,}.",
                )
            loan.resize(size_bytes)
            values = np.empty((len(header.names), rows))
            taken = 0
            for part in parts:
                if isinstance(part, Values):
                    taken = _take(part, request.open_time, taken, values)
            if taken < rows:
                raise _no_bar(request.open_time, taken)
            rolling = {name for each in passes(config.tsfresh) for name in each.names}
            found = fit(header.names, rolling, values, request.target, config, request.seed, look)
        return Selected(
            verdicts=found.verdicts,
            config=found.config,
            row_count=rows,
            class_counts=request.target.class_counts,
            warm_up_bars=lookback_bars(found.config),
        )


def _take(part: Values, open_time: pd.DatetimeIndex, taken: int, values: Floats) -> int:
    """Keep of a chunk the rows asked for; how many are taken then."""
    stop = int(open_time.searchsorted(part.open_time[-1], side="right"))
    if stop > taken:
        at = part.open_time.get_indexer(open_time[taken:stop])
        if (at < 0).any():
            raise _no_bar(open_time, taken + int(np.argmax(at < 0)))
        values[:, taken:stop] = part.values[:, at]
        chosen = values[:, taken:stop]
        chosen[np.isinf(chosen)] = np.nan
    return stop


def _no_bar(open_time: pd.DatetimeIndex, row: int) -> InvalidArgument:
    return InvalidArgument.of(
        f"target_arrow.open_time[{row}]",
        "bar",
        f"must be the open of a bar of the source: {open_time[row].isoformat()}.",
    )
