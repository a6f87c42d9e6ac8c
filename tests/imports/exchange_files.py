"""Dump files as exchanges publish them, in small: their names, columns, headers, units and packing."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}
KLINES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore\n"
)
METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio\n"
)


def micros(frame: pd.DataFrame) -> list[int]:
    return [int(one) for one in pd.DatetimeIndex(frame.index).as_unit("us").asi8]


def klines(frame: pd.DataFrame, unit: str = "ms", *, has_header: bool = False) -> str:
    """Binance's twelve columns, of trades."""
    width = micros(frame)[1] - micros(frame)[0] if len(frame) > 1 else 86_400_000_000
    rows = []
    for time, bar in zip(micros(frame), frame.itertuples(), strict=True):
        begin, end = time // UNITS[unit], (time + width) // UNITS[unit] - 1
        quote = bar.volume * (bar.open + bar.close) / 2
        rows.append(
            f"{begin},{bar.open!r},{bar.high!r},{bar.low!r},{bar.close!r},{bar.volume!r},{end},{quote!r},"
            f"{int(bar.volume * 10)},{bar.volume / 2!r},{quote / 2!r},0\n"
        )
    return KLINES * has_header + "".join(rows)


def price_klines(frame: pd.DataFrame, ticks: int = 60) -> str:
    """Binance's twelve columns, of the mark, index or premium price: no volume, a count of ticks."""
    width = micros(frame)[1] - micros(frame)[0]
    return KLINES + "".join(
        f"{time // 1000},{bar.open!r},{bar.high!r},{bar.low!r},{bar.close!r},0,{(time + width) // 1000 - 1},"
        f"0,{ticks},0,0,0\n"
        for time, bar in zip(micros(frame), frame.itertuples(), strict=True)
    )


def metrics(day: str, symbol: str = "BTCUSDT", first: str = "00:05", rows: int = 288, seed: int = 0) -> str:
    """Binance's five-minute metrics of a day; by its rule from 00:05 to the next midnight."""
    values = 80_000 + np.random.default_rng(seed).normal(0, 100, rows).cumsum().round(3)
    times = pd.date_range(f"{day} {first}", periods=rows, freq="5min").strftime("%Y-%m-%d %H:%M:%S")
    return METRICS + "".join(
        f"{time},{symbol},{value:.10f},{value * 65_000:.10f},1.2,1.3,1.4,0.9\n"
        for time, value in zip(times, values, strict=True)
    )


def funding_rates(month: str, periods: int = 90, hours: int = 8) -> str:
    """Binance's monthly funding rates, some written a little after the settlement."""
    times = pd.date_range(f"{month}-01", periods=periods, freq=f"{hours}h", tz="UTC").as_unit("ms").asi8
    return "calc_time,funding_interval_hours,last_funding_rate\n" + "".join(
        f"{time + number % 4},{hours},{(number % 7 - 3) / 1e5:.8f}\n" for number, time in enumerate(times)
    )


def packed(folder: Path, name: str, text: str, *, has_checksum: bool = True) -> Path:
    """A ZIP of one CSV of the same name, and its CHECKSUM file beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name.removesuffix(".zip") + ".csv")
        archive.writestr(member, text, zipfile.ZIP_DEFLATED)
    path = folder / name
    path.write_bytes(buffer.getvalue())
    if has_checksum:
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        path.with_name(f"{name}.CHECKSUM").write_text(f"{digest}  {name}\n")
    return path


def written(folder: Path, name: str, text: str) -> Path:
    """A plain file, or a gzip one by its name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(gzip.compress(text.encode(), mtime=0) if name.endswith(".gz") else text.encode())
    return path
