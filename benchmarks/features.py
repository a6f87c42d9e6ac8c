"""The features room's numbers: `python benchmarks/features.py [--bars N]`.

Seconds of CPU per family for the default config on hourly bars; the statistical family against rolling
windows of pandas; rolling tsfresh features against tsfresh's own `roll_time_series` and `extract_features` on
a sample of the same windows. Everything in the same run. The bars are the real ones where ../shared/data (or
MARKETML_TEST_DATA) is at hand, else a random walk.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd

from services.features import engine
from services.features.columns import Columns
from services.features.config import CATALOGUE_FAMILIES, FamilyChoice, FeatureConfig, TsfreshChoice
from services.features.feature import Family
from services.features.plan import plan

HOUR = timedelta(hours=1)
SAMPLE_WINDOWS = 200
WINDOW = 24
DATA = Path(os.environ.get("MARKETML_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "demo"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bars", type=int, default=45_127)
    arguments.add_argument("--repeats", type=int, default=5)
    given = arguments.parse_args()
    frame = bars(given.bars)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "pandas", "tsfresh"))
    print(f"{len(frame):,} hourly bars, medians of {given.repeats}, CPU seconds, one thread; {libraries}\n")
    families(frame, given.repeats)
    against_pandas(frame, given.repeats)


def families(frame: pd.DataFrame, repeats: int) -> None:
    """Every family of the catalogue, and one rolling window over close and volume."""
    config = FeatureConfig(tsfresh=TsfreshChoice(enabled=True))
    frame = beside(frame)
    compute(frame, config)  # loads the compiled kernels
    print(f"{'family':12} {'features':>8} {'seconds':>9} {'µs a bar and feature':>21}")
    total, count = 0.0, 0
    for family in (*CATALOGUE_FAMILIES, Family.TSFRESH):
        features, seconds = 0, []
        for _ in range(repeats):
            result = compute(frame, only(family))
            features = len(result.names)
            seconds.append(sum(result.seconds.values()))
        middle = statistics.median(seconds)
        total, count = total + middle, count + features
        print(f"{family.value:12} {features:8} {middle:9.3f} {1e6 * middle / features / len(frame):21.4f}")
    print(f"{'all':12} {count:8} {total:9.3f} {1e6 * total / count / len(frame):21.4f}\n")


def only(family: Family) -> FeatureConfig:
    families = {each.value: FamilyChoice(enabled=each is family) for each in CATALOGUE_FAMILIES}
    return FeatureConfig(**families, tsfresh=TsfreshChoice(enabled=family is Family.TSFRESH))


def against_pandas(frame: pd.DataFrame, repeats: int) -> None:
    """What of the statistical family pandas has, against its rolling windows."""
    named = FamilyChoice(features=tuple(rolled_by_pandas(frame)))
    config = replace(only(Family.STATISTICAL), statistical=named)
    seconds = {}
    for name, work in (
        ("pandas", lambda: rolled_by_pandas(frame)),
        ("this room", lambda: compute(frame, config)),
    ):
        taken = []
        for _ in range(repeats):
            started = time.process_time()
            work()
            taken.append(time.process_time() - started)
        seconds[name] = statistics.median(taken)
    result = compute(frame, config)
    peer = rolled_by_pandas(frame)
    assert set(peer) == set(result.names)
    print(f"statistical family, {len(peer)} features, CPU")
    for name, each in seconds.items():
        print(f"{name:12} {each:12.3f} s")
    differences = [
        float(np.nanmedian(np.abs(values - peer[name]) / np.maximum(np.abs(peer[name]), 1e-12)))
        for name, values in zip(result.names, result.values, strict=True)
    ]
    ratio = seconds["pandas"] / seconds["this room"]
    print(f"{'ratio':12} {ratio:12,.1f} ×    largest median relative difference {max(differences):.1e}\n")


def rolled_by_pandas(frame: pd.DataFrame) -> dict[str, pd.Series]:
    found = {}
    changes, logs = frame["close"].pct_change(), np.log(frame["close"]).diff()
    height = frame["high"] / frame["low"] - 1.0
    position = (frame["close"] - frame["low"]) / (frame["high"] - frame["low"])
    for window in (5, 10, 20, 50):
        sizes = changes.abs().rolling(window)
        close, volume = frame["close"].rolling(window), frame["volume"].rolling(window)
        low, high = close.quantile(0.25), close.quantile(0.75)
        found |= {
            f"close_mean_{window}": close.mean(),
            f"close_std_{window}": close.std(),
            f"close_skew_{window}": close.skew(),
            f"close_kurt_{window}": close.kurt(),
            f"close_q25_{window}": low,
            f"close_q75_{window}": high,
            f"close_median_{window}": close.median(),
            f"close_range_{window}": close.max() - close.min(),
            f"close_iqr_{window}": high - low,
            f"volume_mean_{window}": volume.mean(),
            f"volume_std_{window}": volume.std(),
            f"volume_skew_{window}": volume.skew(),
            f"volume_kurt_{window}": volume.kurt(),
            f"return_skew_{window}": changes.rolling(window).skew(),
            f"return_kurt_{window}": changes.rolling(window).kurt(),
            f"log_return_skew_{window}": logs.rolling(window).skew(),
            f"high_low_ratio_mean_{window}": height.rolling(window).mean(),
            f"high_low_ratio_std_{window}": height.rolling(window).std(),
            f"close_position_mean_{window}": position.rolling(window).mean(),
            f"close_position_std_{window}": position.rolling(window).std(),
            f"abs_return_mean_{window}": sizes.mean(),
            f"return_asymmetry_{window}": changes.rolling(window).sum() / sizes.sum(),
            f"price_volume_correlation_{window}": close.corr(frame["volume"]),
        }
    return found


@dataclass(frozen=True)
class Result:
    """`values` (features, bars), and the seconds each family took."""

    names: tuple[str, ...]
    values: np.ndarray
    seconds: dict[Family, float]


def compute(frame: pd.DataFrame, config: FeatureConfig) -> Result:
    columns = Columns(frame, HOUR)
    work = plan(config, columns, 0)
    values, seconds = np.empty((len(work.names), columns.bars)), dict.fromkeys(Family, 0.0)
    for step in engine.compute(work, columns, time.process_time):
        if isinstance(step, engine.Chunk):
            values[:, step.start : step.start + step.values.shape[1]] = step.values
            for family, spent in step.seconds.items():
                seconds[family] += spent
    return Result(work.names, values, seconds)


def beside(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a reference: its own bars, half of them later."""
    names = ("close", "volume", "funding_rate", "open_interest")
    later = len(frame) // 2
    return frame.assign(**{f"reference_{name}": np.roll(frame[name].to_numpy(), later) for name in names})


def bars(count: int) -> pd.DataFrame:
    """An aligned frame of `count` bars."""
    if not DATA.exists():
        return walk(count)
    frame = read("1h_ohlcv").set_index("timestamp")
    frame = pd.concat([frame] * -(-count // len(frame))).iloc[
        :count
    ]  # more than there are: again from the start
    frame.index = pd.date_range(frame.index[0], periods=count, freq="1h", name="open_time")
    closes = pd.DataFrame({"close_time": frame.index + pd.Timedelta(HOUR)})
    for name, time_name, source in (
        ("funding_rate", "funding_time", "8h_funding_rate"),
        ("open_interest", "open_interest_time", "1h_open_interest"),
    ):
        rows = read(source).rename(columns={"timestamp": time_name})
        known = pd.merge_asof(closes, rows, left_on="close_time", right_on=time_name).set_index(frame.index)
        frame = frame.assign(**{name: known[name], time_name: known[time_name]})
    return frame


def read(source: str) -> pd.DataFrame:
    rows = pd.read_csv(DATA / f"BTCUSDT_{source}.csv.gz")
    return rows.assign(timestamp=pd.to_datetime(rows.timestamp, utc=True).dt.as_unit("us"))


def walk(count: int) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    close = 40_000.0 * np.exp(np.cumsum(generator.normal(0, 0.005, count)))
    index = pd.date_range("2020-01-01", periods=count, freq="1h", tz="UTC", name="open_time")
    return pd.DataFrame(
        {
            "open": np.append(40_000.0, close[:-1]),
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "volume": generator.lognormal(6, 1, count),
            "funding_rate": np.repeat(generator.normal(1e-4, 1e-4, count // 8 + 1), 8)[:count],
            "funding_time": index.floor("8h"),
            "open_interest": 80_000 * np.exp(np.cumsum(generator.normal(0, 0.004, count))),
        },
        index=index,
    )


if __name__ == "__main__":
    main()
