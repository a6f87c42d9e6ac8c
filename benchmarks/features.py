"""The features room's numbers: `python benchmarks/features.py [--bars N]`.

Seconds of CPU per family for the default config on hourly bars; and what of the families goes over windows
beside the same in pandas (`benchmarks/features_pandas.py`), with how far the values are apart. Everything in
the same run, both with memory kept as the room keeps it; rolling tsfresh features stand beside tsfresh in
`benchmarks/rolling.py`. The bars are the real ones where ../shared/data (or MARKETML_TEST_DATA) is at hand,
else a random walk.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd

from benchmarks import features_pandas as peers
from services.features import engine
from services.features.columns import Columns
from services.features.config import CATALOGUE_FAMILIES, FamilyChoice, FeatureConfig, TsfreshChoice
from services.features.feature import Family
from services.features.memory import keep_between_chunks
from services.features.plan import plan

HOUR = timedelta(hours=1)
SAID_IN_PANDAS = {
    Family.TECHNICAL: peers.technical,
    Family.STATISTICAL: peers.statistical,
    Family.SERIES: peers.series,
    Family.MARKET: peers.market,
}
DATA = Path(os.environ.get("MARKETML_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "demo"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bars", type=int, default=45_127)
    arguments.add_argument("--repeats", type=int, default=5)
    given = arguments.parse_args()
    keep_between_chunks()
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
    """What of a family goes over windows and can be said in pandas, beside that.

    Both in turn; each result is dropped before the other starts. Here chunk by chunk, as the room answers."""
    heads = f"{'features':>8} {'here, s':>9} {'pandas, s':>10} {'ratio':>8}  largest median difference"
    print(f"{'over windows':12} {heads}")
    for family, said in SAID_IN_PANDAS.items():
        peer = said(frame)
        config = replace(only(family), **{family.value: FamilyChoice(features=tuple(peer))})
        result = compute(frame, config)
        assert set(peer) == set(result.names)
        differences = [
            float(np.nanmedian(np.abs(values - peer[name]) / np.maximum(np.abs(peer[name]), 1e-12)))
            for name, values in zip(result.names, result.values, strict=True)
        ]
        del peer, result
        here, theirs = [], []
        for _ in range(repeats):
            here.append(spent(lambda config=config: streamed(frame, config)))
            theirs.append(spent(lambda said=said: said(frame)))
        ours, pandas = statistics.median(here), statistics.median(theirs)
        print(
            f"{family.value:12} {len(differences):8} {ours:9.3f} {pandas:10.3f} {pandas / ours:6.1f} ×"
            f"  {max(differences):.1e}"
        )


def spent(work: Callable[[], object]) -> float:
    """Seconds of CPU."""
    started = time.process_time()
    work()
    return time.process_time() - started


def streamed(frame: pd.DataFrame, config: FeatureConfig) -> None:
    columns = Columns(frame, HOUR)
    for _ in engine.compute(plan(config, columns, 0), columns, time.monotonic):
        pass


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
            for row, computed in zip(values, step.values, strict=True):
                row[step.start : step.stop] = computed
            for family, spent in step.seconds.items():
                seconds[family] += spent
    return Result(work.names, values, seconds)


def beside(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a reference: its own bars, half of them later."""
    names = ("close", "volume", "funding_rate", "open_interest")
    later = len(frame) // 2
    return frame.assign(**{f"reference_{name}": np.roll(frame[name].to_numpy(), later) for name in names})


def bars(count: int) -> pd.DataFrame:
    """An aligned frame of `count` bars: those with open interest, once more where there are not so many."""
    if not DATA.exists():
        return walk(count)
    frame = read("1h_ohlcv").set_index("timestamp")
    closes = pd.DataFrame({"close_time": frame.index + pd.Timedelta(HOUR)})
    times = ("funding_time", "open_interest_time")
    for time_name, source in zip(times, ("8h_funding_rate", "1h_open_interest"), strict=True):
        rows = read(source).rename(columns={"timestamp": time_name})
        known = pd.merge_asof(closes, rows, left_on="close_time", right_on=time_name)
        frame = frame.assign(**{name: known[name].to_numpy() for name in rows})
    frame = frame[frame["open_interest"].notna()]
    frame = pd.concat([frame] * -(-count // len(frame))).iloc[:count]
    index = pd.date_range(frame.index[0], periods=count, freq="1h", name="open_time")
    moved = {name: frame[name] + (index - frame.index) for name in times}
    return frame.assign(**moved).set_index(index)


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
