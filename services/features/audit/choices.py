"""What an audit looks at: random cuts, random bars, and other futures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from services.features.source import VALUE_COLUMNS

_PRICES = ("open", "high", "low", "close")
_HOLES = 0.2


class Future(StrEnum):
    """How the bars after a cut are made others, plausible ones."""

    SCALED = "scaled"
    SHUFFLED = "shuffled"
    HOLED = "holed"


@dataclass(frozen=True)
class Choices:
    """`cuts` are the rows that a history ends before, `live` those computed as the newest; each ascending."""

    cuts: tuple[int, ...]
    live: tuple[int, ...]
    seed: int

    def future(self, cut: int) -> Future:
        """How the bars from this cut on are made others."""
        kinds = tuple(Future)
        return kinds[self.cuts.index(cut) % len(kinds)]


def chosen(bars: int, warm_up_bars: int, cuts_count: int, live_count: int, seed: int) -> Choices:
    """Rows of a source of at least two bars, past the warm-up where there are enough of them."""
    seed %= 2**64  # a generator takes no negative one
    generator = np.random.default_rng(seed)
    first = min(warm_up_bars + 1, bars // 2)

    def some(count: int) -> tuple[int, ...]:
        rows = generator.choice(
            np.arange(max(first, 1), bars), min(count, bars - max(first, 1)), replace=False
        )
        return tuple(int(row) for row in np.sort(rows))

    return Choices(some(cuts_count), some(live_count), seed)


def other_future(frame: pd.DataFrame, cut: int, stop: int, choices: Choices) -> pd.DataFrame:
    """The rows from `cut` to `stop` as they might have been; their times are the same."""
    generator = np.random.default_rng((choices.seed, cut))
    rows = frame.iloc[cut:stop].copy()
    names = [name for name in VALUE_COLUMNS if name in frame.columns]
    match choices.future(cut):
        case Future.SCALED:
            _scale(rows, names, generator)
        case Future.SHUFFLED:
            order = generator.permutation(len(rows))
            for name in names:
                rows[name] = rows[name].to_numpy()[order]
            _scale(rows, ["volume"], generator)  # a future of one bar has no other order
        case Future.HOLED:
            _scale(rows, names, generator)
            hole = generator.random(len(rows)) < _HOLES
            hole[0] = True
            for name in names:
                rows[name] = np.where(hole, np.nan, rows[name].to_numpy())
            for name in ("funding_rate_missing", "open_interest_missing"):
                if name in rows.columns:
                    rows[name] = rows[name].to_numpy() | hole
    return rows


def _scale(rows: pd.DataFrame, names: list[str], generator: np.random.Generator) -> None:
    """Prices of a bar all by one factor, so that it stays a bar; every other column by its own."""
    factors = {name: np.exp(generator.normal(0.5, 0.3, len(rows))) for name in ("price", *names)}
    for name in names:
        rows[name] = rows[name].to_numpy(np.float64) * factors["price" if name in _PRICES else name]
