"""Aligned frames for tests: random walks from a seed, awkward ones, and real bars."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from services.features.columns import Columns

HOUR = timedelta(hours=1)
PRICES = ["open", "high", "low", "close"]
VOLUMES = ["volume", "quote_volume", "trade_count", "taker_buy_volume"]
START = pd.Timestamp("2024-01-01", tz="UTC")
DATA = Path(os.environ.get("MARKETML_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def random_walk(seed: int, bars: int, price: float = 40_000.0) -> pd.DataFrame:
    """A frame as QueryFrame gives it: hourly bars that open off the last close, funding, open interest."""
    generator = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(generator.normal(0, 0.01, bars)))
    opened = np.append(price, close[:-1]) * np.exp(generator.normal(0, 0.006, bars))
    body = np.stack([opened, close])
    volume = np.exp(generator.normal(6, 1, bars))
    open_time = pd.date_range(START, periods=bars, freq="1h", name="open_time")
    known = open_time + pd.Timedelta(HOUR)
    settled = known.floor("8h")
    rate = generator.normal(1e-4, 1e-4, bars // 8 + 2)
    return pd.DataFrame(
        {
            "open": opened,
            "high": body.max(axis=0) * np.exp(np.abs(generator.normal(0, 0.005, bars))),
            "low": body.min(axis=0) * np.exp(-np.abs(generator.normal(0, 0.005, bars))),
            "close": close,
            "volume": volume,
            "quote_volume": volume * close,
            "trade_count": np.floor(volume * 10),
            "taker_buy_volume": volume * generator.uniform(0.3, 0.7, bars),
            "funding_rate": rate[((settled - START) // pd.Timedelta(hours=8)).to_numpy()],
            "funding_time": settled,
            "funding_rate_missing": False,
            "open_interest": 80_000 * np.exp(np.cumsum(generator.normal(0, 0.004, bars))),
            "open_interest_time": known,
            "open_interest_missing": False,
        },
        index=open_time,
    )


def with_reference(frame: pd.DataFrame, seed: int = 99, is_holed: bool = False) -> pd.DataFrame:
    """The frame with a reference beside it, leading by a bar; `is_holed` where bars are absent."""
    generator = np.random.default_rng(seed)
    bars = len(frame)
    later = np.nan_to_num(np.diff(np.log(frame["close"]), append=np.nan))
    close = 3_000.0 * np.exp(np.cumsum(0.6 * later + generator.normal(0, 0.006, bars)))
    missing = generator.random(bars) < (0.02 if is_holed else 0.0)
    return frame.assign(
        reference_close=np.where(missing, np.nan, close),
        reference_volume=np.where(missing, np.nan, np.exp(generator.normal(4, 1, bars))),
        reference_funding_rate=np.repeat(generator.normal(5e-5, 1e-4, bars // 8 + 1), 8)[:bars],
        reference_open_interest=9_000 * np.exp(np.cumsum(generator.normal(0, 0.004, bars))),
    )


def awkward_walk(seed: int, bars: int) -> pd.DataFrame:
    """A random walk with missing values, bars without trade, and stretches where the price stands still."""
    frame = random_walk(seed, bars)
    generator = np.random.default_rng(seed + 1)
    for start in generator.integers(0, bars, 3):
        still = frame.index[start : start + int(generator.integers(5, 120))]
        frame.loc[still, PRICES] = frame["close"].iloc[start]
    frame.loc[generator.random(bars) < 0.05, VOLUMES] = 0.0
    numbers = [*PRICES, "volume", "funding_rate", "open_interest"]
    return frame.mask(
        pd.DataFrame(generator.random(frame.shape) < 0.0001, frame.index, frame.columns)
        & frame.columns.isin(numbers)
    )


def still(bars: int, price: float = 0.1, volume: float = 0.0) -> pd.DataFrame:
    """Nothing ever happens."""
    frame = random_walk(0, bars)
    frame[PRICES] = price
    frame[VOLUMES] = volume
    return frame.assign(funding_rate=0.0, open_interest=0.0)


def real_bars(start: str, end: str) -> pd.DataFrame:
    """Hourly BTCUSDT perpetual candles, both ends included; skips the test where the data is not at hand."""
    path = DATA / "demo" / "BTCUSDT_1h_ohlcv.csv.gz"
    if not path.exists():
        pytest.skip(f"no real bars: {path} is absent")
    return _real_bars(path).loc[start:end]


@cache
def _real_bars(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path)
    open_time = pd.DatetimeIndex(pd.to_datetime(frame.pop("timestamp"), utc=True), name="open_time")
    return frame.set_index(open_time)


def columns_of(frame: pd.DataFrame) -> Columns:
    return Columns(frame, HOUR)
