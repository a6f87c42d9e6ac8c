"""The columns of one aligned frame as arrays, with what features share computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
# Values of several features at the same bars: one array (bars,) of each, read-only, NaN where not known.
Rows: TypeAlias = list[Floats]
_Value = TypeVar("_Value")

# Bars of a block of the grid that all histories share, counted from the epoch.
BLOCK_BARS = 256


class Columns:
    """Arrays by name over one frame, and a memory of intermediates for the features of one call.

    Not for several threads at once.

    Parameters
    ----------
    frame : DataFrame (bars, columns)
        Index `open_time`, UTC, strictly increasing, as the data room's QueryFrame gives it. Columns may be
        absent.
    timeframe : timedelta
    """

    def __init__(self, frame: pd.DataFrame, timeframe: timedelta) -> None:
        self._begin(_Source(frame), timeframe, 0, len(frame))

    def _begin(self, source: _Source, timeframe: timedelta, start: int, stop: int) -> None:
        self._source, self._start, self._stop = source, start, stop
        self.timeframe = timeframe
        self.bars = stop - start
        self.bars_per_day = timedelta(days=1) / timeframe
        self._memory: dict[tuple[Hashable, ...], Any] = {}

    def fresh(self) -> Columns:
        """The same bars with nothing remembered yet."""
        return self.between(0, self.bars)

    def between(self, start: int, stop: int) -> Columns:
        """The bars from `start` up to `stop` alone, with nothing remembered yet."""
        part = Columns.__new__(Columns)
        stop = min(stop, self.bars)
        part._begin(self._source, self.timeframe, self._start + start, self._start + max(start, stop))
        return part

    @cached_property
    def open_time(self) -> pd.DatetimeIndex:
        return self._source.open_time[self._start : self._stop]

    @cached_property
    def bar_numbers(self) -> Integers:
        """How many bars before each one fit since the epoch."""
        bar = self.timeframe // timedelta(microseconds=1)
        numbers: Integers = self.open_time.as_unit("us").asi8 // bar
        return numbers

    @cached_property
    def borders(self) -> npt.NDArray[np.intp]:
        """Where the blocks of the grid begin, and last the number of bars."""
        block = BLOCK_BARS * (self.timeframe // timedelta(microseconds=1))
        blocks = self.open_time.as_unit("us").asi8 // block
        begins = np.flatnonzero(blocks[1:] != blocks[:-1]) + 1
        return np.concatenate([[0], begins, [self.bars]]).astype(np.intp)

    def __contains__(self, name: str) -> bool:
        return name in self._source.frame.columns

    def __getitem__(self, name: str) -> Floats:
        """The column as float64 (bars,), read-only.

        A column the frame lacks is all NaN; an infinite value is NaN; a flag is 0 or 1; a time is in seconds
        since the epoch.
        """
        return self.shared(("column", name), lambda: self._read(name))

    def shared(self, key: tuple[Hashable, ...], compute: Callable[[], _Value]) -> _Value:
        """What `compute` gives, computed at the first call with this key and remembered.

        Arrays, alone or in a tuple, come back read-only: another feature may hold the same one.
        """
        if key not in self._memory:
            value = compute()
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, np.ndarray):
                    part.flags.writeable = False
            self._memory[key] = value
        remembered: _Value = self._memory[key]
        return remembered

    def _read(self, name: str) -> Floats:
        if name not in self:
            return np.full(self.bars, np.nan)
        values = self._source.array(name)[self._start : self._stop]
        is_infinite = np.isinf(values)
        return np.where(is_infinite, np.nan, values) if is_infinite.any() else values


class _Source:
    """A frame, and its columns as arrays of floats: where they are that already these themselves."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.open_time = pd.DatetimeIndex(frame.index)
        self._arrays: dict[str, Floats] = {}

    def array(self, name: str) -> Floats:
        """The column; converted at the first call, and kept."""
        if name not in self._arrays:
            self._arrays[name] = self._converted(name)
        return self._arrays[name]

    def _converted(self, name: str) -> Floats:
        column = self.frame[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind == "M":
            times = pd.DatetimeIndex(column).as_unit("us")
            seconds: Floats = times.asi8 / 1e6
            seconds[times.isna()] = np.nan
            return seconds
        if column.dtype == np.float64:
            return np.ascontiguousarray(column.to_numpy())
        values: Floats = column.to_numpy(np.float64, na_value=np.nan)
        return values
