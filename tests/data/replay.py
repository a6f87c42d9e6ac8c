"""What was known when, replayed in plain Python from what was told: slow, and independent of the room.

Times are whole minutes since `ORIGIN_US`. Values are multiples of 1/8: their sums are exact in any order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

MINUTE_US = 60_000_000
ORIGIN_US = 1_704_067_200_000_000  # 2024-01-01, a Monday
MINUTES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "8h": 480, "1d": 1440, "1w": 10_080}
CANDLE, FUNDING, INTEREST = "candle", "funding", "interest"
WIDTHS = {CANDLE: 8, FUNDING: 2, INTEREST: 2}

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Told:
    """Rows of one series, or a mark of every time in `times`, captured at one moment."""

    kind: str
    timeframe: str  # of candles
    times: tuple[int, ...]
    captured: int
    seed: int  # rows of equal seeds repeat each other
    is_mark: bool = False

    def values(self, time: int) -> Row:
        """The row at a time."""
        random = Random(f"{self.seed} {time}")
        eighths = [random.randrange(8, 800) / 8 for _ in range(WIDTHS[self.kind])]
        if self.kind != CANDLE:
            return (eighths[0], eighths[1] if random.random() < 0.7 else math.nan)
        low, *between, high = sorted(eighths[:4])
        rest = [value if random.random() < 0.9 else math.nan for value in eighths[4:]]
        return (between[0], high, low, between[1], *rest)


@dataclass
class Replay:
    """What follows from all that was told; open interest is known `interest_lag` after its time."""

    told: list[Told]  # in the order of calls
    interest_lag: int = 0

    def captured(self, kind: str, timeframe: str = "") -> list[int]:
        """When something of a series was told."""
        return [each.captured for each in self.told if (each.kind, each.timeframe) == (kind, timeframe)]

    def known(self, kind: str, timeframe: str, as_of: float) -> dict[int, tuple[Row, int]]:
        """Of each time the newest revision captured by then, and when that was; marks left out."""
        newest = self._newest(kind, timeframe, as_of)
        return {
            time: (told.values(time), told.captured)
            for time, told in sorted(newest.items())
            if not told.is_mark
        }

    def marked(self, kind: str, timeframe: str) -> set[int]:
        """The times whose newest revision is a mark: another mark of them is not kept."""
        return {time for time, told in self._newest(kind, timeframe, math.inf).items() if told.is_mark}

    def closed(self, timeframe: str, as_of: float) -> dict[int, Row]:
        """Bars that had closed when they were captured."""
        step = MINUTES[timeframe]
        known = self.known(CANDLE, timeframe, as_of)
        return {time: row for time, (row, captured) in known.items() if captured >= time + step}

    def longer(self, base: str, timeframe: str, as_of: float) -> dict[int, Row]:
        """The bars of a longer timeframe that those of the base make up, when they are known to be over."""
        step, base_step = MINUTES[timeframe], MINUTES[base]
        parts = self.closed(base, as_of)
        found: dict[int, Row] = {}
        for open_time in range(min(parts, default=0) // step * step, max(parts, default=-1) + 1, step):
            rows = [parts[time] for time in sorted(parts) if open_time <= time < open_time + step]
            if rows and max(parts) + base_step >= open_time + step:
                sums = [sum(row[column] for row in rows) for column in range(4, 8)]
                highest, lowest = max(row[1] for row in rows), min(row[2] for row in rows)
                found[open_time] = (rows[0][0], highest, lowest, rows[-1][3], *sums)
        return found

    def base_of(self, timeframe: str, as_of: float) -> str:
        """The stored bars that a frame is made of by default."""
        step = MINUTES[timeframe]
        fitting = [each for each in MINUTES if MINUTES[each] <= step and not step % MINUTES[each]]
        fitting.sort(key=lambda each: -MINUTES[each])
        stored = [each for each in fitting if any(time <= as_of for time in self.captured(CANDLE, each))]
        return (stored or [each for each in fitting if self.captured(CANDLE, each)])[0]

    def frame(
        self, timeframe: str, base: str | None, as_of: float, funding_age: int | None, interest_age: int
    ) -> list[Row]:
        """The aligned frame: open time, eight columns, then value and time of funding and open interest."""
        base = base or self.base_of(timeframe, as_of)
        bars = self.closed(base, as_of) if base == timeframe else self.longer(base, timeframe, as_of)
        funding, interest = (self.known(kind, "", as_of) for kind in (FUNDING, INTEREST))
        rows = []
        for open_time, row in bars.items():
            close = open_time + MINUTES[timeframe]
            rates = [time for time in funding if time <= close]
            age: float = 720 if len(rates) < 2 else 1.5 * (rates[-1] - rates[-2])
            age = age if funding_age is None else funding_age
            seen = [time for time in interest if time + self.interest_lag <= close]
            parts: list[Any] = []
            for times, known, limit in ((rates, funding, age), (seen, interest, interest_age)):
                if times and close - times[-1] <= limit:
                    parts += [known[times[-1]][0][0], times[-1]]
                else:
                    parts += [math.nan, None]
            rows.append((open_time, *row, *parts))
        return rows

    def _newest(self, kind: str, timeframe: str, as_of: float) -> dict[int, Told]:
        newest: dict[int, Told] = {}
        for each in self.told:
            if (each.kind, each.timeframe) == (kind, timeframe) and each.captured <= as_of:
                for time in each.times:
                    if time not in newest or each.captured >= newest[time].captured:
                        newest[time] = each
        return newest


def same_rows(one: list[Row], other: list[Row]) -> bool:
    """Whether the rows are equal, NaN to NaN."""
    return len(one) == len(other) and all(
        len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
        for a, b in zip(one, other, strict=True)
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    return bool(one == other)


def until(told: list[Told], captured: float) -> Iterator[Told]:
    """What had been told at a moment."""
    return (each for each in told if each.captured <= captured)
