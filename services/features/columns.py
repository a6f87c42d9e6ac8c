"""The columns of one aligned frame as arrays, with what features share computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats: TypeAlias = npt.NDArray[np.float64]
_Value = TypeVar("_Value")


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
        self.open_time = pd.DatetimeIndex(frame.index)
        self.timeframe = timeframe
        self.bars = len(frame)
        self.bars_per_day = timedelta(days=1) / timeframe
        self._frame = frame
        self._memory: dict[tuple[Hashable, ...], Any] = {}

    def fresh(self) -> Columns:
        """The same frame with nothing remembered yet."""
        return Columns(self._frame, self.timeframe)

    def __contains__(self, name: str) -> bool:
        return name in self._frame.columns

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
        if name not in self._frame.columns:
            return np.full(self.bars, np.nan)
        column = self._frame[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind == "M":
            times = pd.DatetimeIndex(column).as_unit("us")
            seconds: Floats = times.asi8 / 1e6
            seconds[times.isna()] = np.nan
            return seconds
        values: Floats = column.to_numpy(np.float64, na_value=np.nan, copy=True)
        values[np.isinf(values)] = np.nan
        return values
