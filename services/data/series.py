"""What is stored: kinds of series and their columns, the grammar of names, the grid of a timeframe."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from marketml.rpc.frames import TIME_TYPE
from marketml.rpc.refusals import Violation
from marketml.timeframes import TIMEFRAMES

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
TIMEFRAMES_US = {name: length // timedelta(microseconds=1) for name, length in TIMEFRAMES.items()}
# Days count from 1970-01-01, a Thursday; weeks from the Monday after it.
_WEEK_OFFSET_US = 4 * DAY_US

_VENUE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SYMBOL = re.compile(r"[A-Z0-9]{1,20}/[A-Z0-9]{1,20}(:[A-Z0-9]{1,20}(-[0-9]{6})?)?")


@dataclass(frozen=True)
class Kind:
    """A kind of series.

    Attributes
    ----------
    number
        In the store, and in the contract's enum.
    columns
        float64; the first `required_count` of them are finite numbers in every row, the others may be NaN.
    """

    name: str
    number: int
    time_column: str
    columns: tuple[str, ...]
    required_count: int

    @cached_property
    def schema(self) -> pa.Schema:
        """Of a stored block and of a query's answer."""
        fields: list[Any] = [pa.field(self.time_column, TIME_TYPE)]
        return pa.schema(fields + [pa.field(name, pa.float64()) for name in self.columns])


CANDLES = Kind(
    "candles",
    1,
    "open_time",
    ("open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume"),
    4,
)
FUNDING_RATES = Kind("funding_rates", 2, "time", ("funding_rate", "mark_price"), 1)
OPEN_INTEREST = Kind("open_interest", 3, "time", ("open_interest", "open_interest_value"), 1)
KINDS = {kind.number: kind for kind in (CANDLES, FUNDING_RATES, OPEN_INTEREST)}


@dataclass(frozen=True)
class Series:
    """One kind of observation of one instrument at one venue. `timeframe` is empty but for candles."""

    kind: Kind
    venue: str
    symbol: str
    timeframe: str = ""

    @property
    def name(self) -> str:
        """For people: `binance BTC/USDT:USDT 1h candles`."""
        return " ".join(word for word in (self.venue, self.symbol, self.timeframe, self.kind.name) if word)

    @property
    def step_us(self) -> int:
        """The timeframe, 0 without one."""
        return TIMEFRAMES_US.get(self.timeframe, 0)

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What tells it from others, and what lists of series are ordered by: venue, symbol, the kind's
        number, timeframe."""
        return self.venue, self.symbol, self.kind.number, self.timeframe

    def missing_count(self, first_us: int | None, last_us: int | None, rows_count: int) -> int:
        """Bars absent between the first and the last of so many rows; 0 for series without bars."""
        if not self.step_us or first_us is None or last_us is None:
            return 0
        return (last_us - first_us) // self.step_us + 1 - rows_count

    def sibling(self, kind: Kind) -> Series:
        """The series of another kind without bars, of the same instrument."""
        return Series(kind, self.venue, self.symbol)

    def metadata(self) -> dict[str, str]:
        """What the schema of its frames says."""
        named = {
            "kind": self.kind.name,
            "venue": self.venue,
            "symbol": self.symbol,
            "timeframe": self.timeframe,
        }
        return {name: value for name, value in named.items() if value}


def grid_offset_us(timeframe: str) -> int:
    """The remainder of every open time on the timeframe's grid."""
    return _WEEK_OFFSET_US if timeframe == "1w" else 0


def open_before(time_us: int, timeframe: str) -> int:
    """The open of the bar that contains a time."""
    return time_us - (time_us - grid_offset_us(timeframe)) % TIMEFRAMES_US[timeframe]


def open_after(time_us: int, timeframe: str) -> int:
    """The first open at or after a time."""
    return time_us + (grid_offset_us(timeframe) - time_us) % TIMEFRAMES_US[timeframe]


def grid_times(timeframe: str, start_us: int, end_us: int) -> npt.NDArray[np.int64]:
    """The open times on the grid in [start, end)."""
    first_us = open_after(start_us, timeframe)
    return np.arange(first_us, end_us, TIMEFRAMES_US[timeframe], dtype=np.int64)


def series_violations(series: Series, field: str) -> list[Violation]:
    """The rules that a series breaks; `field` is the path of the message that holds its names."""
    found = list(venue_violations(series.venue, f"{field}.venue"))
    found += symbol_violations(series.symbol, f"{field}.symbol")
    if series.kind is CANDLES:
        if series.timeframe not in TIMEFRAMES_US:
            known = " ".join(TIMEFRAMES_US)
            found.append(
                Violation(
                    f"{field}.timeframe", "unknown", f"must be one of {known}, not {series.timeframe[:32]!r}."
                )
            )
    elif series.timeframe:
        found.append(
            Violation(
                f"{field}.timeframe",
                "empty",
                f"must be empty, {series.kind.name} have no bar: {series.timeframe[:32]!r}.",
            )
        )
    return found


def venue_violations(venue: str, field: str) -> list[Violation]:
    """The rule that a venue breaks, if it does."""
    if _VENUE.fullmatch(venue):
        return []
    if not venue:
        return [Violation(field, "required", "must name the venue, as in 'binance'.")]
    return [
        Violation(
            field,
            "venue",
            f"must be 1 to 32 of a-z 0-9 _ -, a letter or digit first, not {venue[:64]!r}.",
        )
    ]


def symbol_violations(symbol: str, field: str) -> list[Violation]:
    """The rule that a unified symbol breaks, if it does."""
    if _SYMBOL.fullmatch(symbol):
        return []
    if not symbol:
        return [Violation(field, "required", "must name the symbol, as in 'BTC/USDT:USDT'.")]
    return [
        Violation(
            field,
            "symbol",
            f"must be the unified form BASE/QUOTE[:SETTLE[-YYMMDD]] as NormalizeSymbol gives it, "
            f"not {symbol[:64]!r}.",
        )
    ]
