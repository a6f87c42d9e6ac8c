"""Made-up bars around given closes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd


def hourly_bars(close: npt.NDArray[np.float64], random: np.random.Generator, first: str) -> pd.DataFrame:
    """Candles by the hour from the day `first` on, each open the close before it, with a volume."""
    opened = np.concatenate(([30_000.0], close[:-1]))
    spread = np.abs(random.normal(0.0, 0.003, (2, close.size)))
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * (1 + spread[0]),
            "low": np.minimum(opened, close) * (1 - spread[1]),
            "close": close,
            "volume": random.uniform(10.0, 1000.0, close.size),
        },
        index=pd.date_range(first, periods=close.size, freq="h", tz="UTC", name="open_time"),
    )
