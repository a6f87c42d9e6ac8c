"""A feature: one number per bar, read from that bar and bars before it, never after."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from services.features.columns import Columns, Floats

DAY_SECONDS = 86_400


class Family(StrEnum):
    """What a feature is computed from and how; a configuration switches families on and off."""

    TECHNICAL = "technical"
    STATISTICAL = "statistical"
    SERIES = "series"
    MARKET = "market"
    CALENDAR = "calendar"
    TSFRESH = "tsfresh"
    HIGHER_TIMEFRAME = "higher_timeframe"
    EXPRESSION = "expression"
    CROSS_SYMBOL = "cross_symbol"


@dataclass(frozen=True)
class Work:
    """What a feature takes that may take far more than others.

    Attributes
    ----------
    bars : int
        Read for one bar of it, by all its windows together.
    held_arrays : int
        As long as the frame, held at a time beside what is shared.
    shared : frozenset
        What it remembers with the columns, one array each.
    """

    bars: int
    held_arrays: int
    shared: frozenset[bytes]


@dataclass(frozen=True, eq=False)
class Feature:
    """A column of X, with its parameters fixed.

    Attributes
    ----------
    name : str
        Unique, snake_case, parameters included: `rsi_14`, `close_mean_20`, `close_lag_6`.
    family : Family
    group : str
        What it measures within its family, e.g. `momentum`.
    inputs : tuple of str
        The columns of the aligned frame it reads.
    parameters : mapping of str to number
    lookback_bars : int
        How many bars before the current one its value needs, and the whole of what it reads: on a history
        that starts there it is the same to the last bit, and NaN on a shorter one. An exponential mean looks
        back until what lies further would weigh less than one part in 1e12.
    description : str
        The formula in one line, its unit, and its source where it has one.
    compute : callable
        From the columns of one frame to float64 (bars,); NaN where the value is not known. The array may be
        shared with other features, so it is read-only.
    lookback_settlements : int
        How many funding settlements, the newest included, it needs beyond those bars. It may count on at
        least one a day, and on no more than one a bar.
    lookback_seconds : int
        How long before the bar's end its value reaches back, beyond those bars.
    longer_bar_seconds : int
        It is of bars this long, made of the source's: those must be shorter and divide it. 0: of any bars.
    work : Work, optional
        None: no more than its family's features take.
    """

    name: str
    family: Family
    group: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, float | int]
    lookback_bars: int
    description: str
    compute: Callable[[Columns], Floats]
    lookback_settlements: int = 0
    lookback_seconds: int = 0
    longer_bar_seconds: int = 0
    work: Work | None = None

    def history_bars(self, bars_per_day: float) -> int:
        """How many bars before the current one its value can depend on, on bars of this length."""
        return self.plain_bars(bars_per_day) + math.ceil(self.lookback_settlements * max(1.0, bars_per_day))

    def plain_bars(self, bars_per_day: float) -> int:
        """The same without what its settlements take."""
        return self.lookback_bars + math.ceil(self.lookback_seconds * bars_per_day / DAY_SECONDS)

    def missing_bars(self, timeframe: timedelta) -> str | None:
        """What bars it asks for where these cannot make up its longer ones."""
        longer = timedelta(seconds=self.longer_bar_seconds)
        if not longer or (timeframe < longer and not longer % timeframe):
            return None
        return f"bars shorter than {self.longer_bar_seconds / 3600:g} h that divide it"
