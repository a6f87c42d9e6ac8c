"""Triple-barrier labels against a vectorised pandas version, in one run: `python benchmarks/labels.py`.

    python benchmarks/labels.py [--bars 1000000] [--horizons 24 240 1440] [--repeats 5] [--peer-repeats 1]
                                [--textbook-bars 5000]

The same bars, barriers at multiples of trailing volatility and a vertical limit; seconds of CPU,
medians, and whether all give the same classes and touch bars. One peer compares whole columns, shifted by
one bar after the other up to the horizon: its time grows with the horizon, ours hardly does. The other is
the textbook's (López de Prado 2018, snippet 3.2): each decision's path as a slice, compared as a whole; its
time grows with the decisions, so it takes fewer bars, and its seconds are scaled up. Then the other methods,
the event filter and the weights, which have no peer here.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from services.training.labels import (
    CusumEvents,
    FixedHorizon,
    Labels,
    MetaLabel,
    MovingAverages,
    TrailingVolatility,
    TrendScanning,
    TripleBarrier,
    VolatilityBarriers,
    label,
)
from services.training.weights import SampleWeights, weigh

MINUTE = timedelta(minutes=1)
MULTIPLE, WINDOW_BARS = 4.0, 72
SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--horizons", type=int, nargs="+", default=[24, 240, 1440])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-repeats", type=int, default=1)
    parser.add_argument("--textbook-bars", type=int, default=5_000)
    given = parser.parse_args()
    frame = bars(given.bars)
    print(
        f"{given.bars:,} bars; the textbook's seconds scaled up from {given.textbook_bars:,}\n\n"
        "| labels | here, s | shifted columns, s | ratio | textbook, s | ratio | same |\n"
        "|---|---|---|---|---|---|---|"
    )
    for horizon in given.horizons:
        rule = TripleBarrier(VolatilityBarriers(MULTIPLE, MULTIPLE, WINDOW_BARS), horizon)
        here, found = timed(lambda rule=rule: label(frame, MINUTE, rule), given.repeats)
        there, peer = timed(lambda horizon=horizon: by_pandas(frame, horizon), given.peer_repeats)
        few = frame.iloc[: given.textbook_bars]
        sliced, textbook = timed(lambda few=few, horizon=horizon: by_slices(few, horizon), given.peer_repeats)
        sliced *= len(frame) / len(few)
        same = all(are_same(found, each) for each in (peer, textbook))
        print(
            f"| triple barrier, {horizon} bars | {here:.3f} | {there:.2f} | {there / here:,.0f} × "
            f"| {sliced:,.0f} | {sliced / here:,.0f} × | {same} |",
            flush=True,
        )
    barrier = TripleBarrier(VolatilityBarriers(MULTIPLE, MULTIPLE, WINDOW_BARS), 24)
    volatility = TrailingVolatility(1.0, WINDOW_BARS)
    for name, rule in (
        ("fixed horizon, 24 bars", FixedHorizon(24, volatility)),
        ("trend scanning, 8 to 24 bars", TrendScanning(8, 24, 5.0)),
        ("meta-label, 24 bars", MetaLabel(MovingAverages(12, 48), barrier)),
    ):
        here, _ = timed(lambda rule=rule: label(frame, MINUTE, rule), given.repeats)
        print(f"| {name} | {here:.3f} | | | | | |")
    events = CusumEvents(TrailingVolatility(4.0, WINDOW_BARS))
    here, _ = timed(lambda: label(frame, MINUTE, barrier, events=events), given.repeats)
    print(f"| triple barrier of CUSUM events | {here:.3f} | | | | | |")
    found = label(frame, MINUTE, barrier)
    plan = SampleWeights(uniqueness=True, return_attribution=True, oldest_weight=0.5)
    here, _ = timed(lambda: weigh(plan, found.path, found.t0, found.t1), given.repeats)
    print(f"| weights of every factor | {here:.3f} | | | | | |")


def bars(count: int) -> pd.DataFrame:
    """Minute bars of a random walk."""
    random = np.random.default_rng(SEED)
    close = 30_000 * np.exp(np.cumsum(random.normal(0, 0.0005, count)))
    spread = np.abs(random.normal(0, 0.0003, (2, count)))
    index = pd.date_range("2023-01-01", periods=count, freq="min", tz="UTC", name="open_time")
    return pd.DataFrame(
        {"high": close * (1 + spread[0]), "low": close * (1 - spread[1]), "close": close}, index=index
    )


def by_pandas(frame: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Side and bars until the touch, of every bar, by comparing columns."""
    close = frame["close"]
    width = MULTIPLE * close.pct_change().rolling(WINDOW_BARS).std()
    profit, loss = close * (1 + width), close * (1 - width)
    side = pd.Series(0, index=frame.index)
    touch = pd.Series(horizon, index=frame.index)
    is_open = pd.Series(True, index=frame.index)
    for ahead in range(1, horizon + 1):
        down = is_open & (frame["low"].shift(-ahead) <= loss)
        up = is_open & ~down & (frame["high"].shift(-ahead) >= profit)
        side = side.mask(down, -1).mask(up, 1)
        touch = touch.mask(down | up, ahead)
        is_open &= ~(down | up)
    return pd.DataFrame({"side": side, "bars": touch})


def by_slices(frame: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """The same of every bar that has volatility and a whole horizon, by slices of its path."""
    high, low, close = frame["high"], frame["low"], frame["close"]
    width = (MULTIPLE * close.pct_change().rolling(WINDOW_BARS).std()).iloc[:-horizon].dropna()
    sides, touches = [], []
    for opened, fraction in width.items():
        at = frame.index.get_loc(opened)
        entry, path = close.iloc[at], slice(at + 1, at + 1 + horizon)
        is_down = low.iloc[path] <= entry * (1 - fraction)
        is_up = high.iloc[path] >= entry * (1 + fraction)
        down, up = (int(each.argmax()) if each.any() else horizon for each in (is_down, is_up))
        sides.append(0 if min(down, up) == horizon else -1 if down <= up else 1)
        touches.append(min(min(down, up) + 1, horizon))
    return pd.DataFrame({"side": sides, "bars": touches}, index=width.index)


def are_same(found: Labels, peer: pd.DataFrame) -> bool:
    """Whether the classes and touches of the peer's bars are those found, where both have any."""
    here = pd.DataFrame(
        {"side": found.values - 1, "bars": (found.t1 - found.t0) // (MINUTE // timedelta(microseconds=1))},
        index=pd.to_datetime(found.t0, unit="us", utc=True) - MINUTE,
    )
    both = here.index.intersection(peer.index)
    return bool(len(both)) and here.loc[both].to_numpy().tolist() == peer.loc[both].to_numpy().tolist()


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median seconds after one run that is not counted (it compiles), and what came of the last."""
    result = work() if repeats > 1 else None
    seconds = []
    for _ in range(repeats):
        begun = time.process_time()
        result = work()
        seconds.append(time.process_time() - begun)
    return statistics.median(seconds), result


if __name__ == "__main__":
    main()
