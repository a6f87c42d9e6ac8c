"""Small files of every kind, written by the tests."""

from __future__ import annotations

import numpy as np
import pandas as pd


def candles(
    rows: int = 60, step: str = "1h", start: str = "2024-01-20T00:00Z", seed: int = 7
) -> pd.DataFrame:
    """A random walk of bars whose open, high, low and close differ, with volume."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, rows)))
    opened = np.concatenate([[100.0], close[:-1]])
    high = np.maximum(opened, close) * (1 + random.uniform(0.0005, 0.01, rows))
    low = np.minimum(opened, close) * (1 - random.uniform(0.0005, 0.01, rows))
    volume = random.uniform(1, 50, rows)
    frame = pd.DataFrame({"open": opened, "high": high, "low": low, "close": close, "volume": volume}).round(
        4
    )
    frame.index = pd.date_range(start, periods=rows, freq=step, name="open_time", unit="us")
    return frame


def lines(frame: pd.DataFrame, times: list[str], columns: list[str], delimiter: str = ",") -> str:
    """Rows as text, the time first."""
    return "".join(
        delimiter.join([time, *(repr(float(frame[name].iloc[row])) for name in columns)]) + "\n"
        for row, time in enumerate(times)
    )
