"""tsfresh's calculators over rolling windows, here and by tsfresh itself: one table, Markdown, in one run.

    python benchmarks/rolling.py [--window 72] [--bars 45000] [--sample 40] [--totals]

A line for each calculator with the parameters of the efficient set: CPU a window here over all bars, CPU a
window of tsfresh's own function on a sample of the same windows, their ratio, and the largest relative
difference on the sample (what is NaN in both is equal; see tests/features/rolling for what rounding decides).
`--totals` adds the whole efficient set against `roll_time_series` and `extract_features`, as tsfresh is used;
`--first` measures nothing but a new process up to its first values, its kernels compiled before.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd

from benchmarks.features import bars as bars_of
from services.features.rolling.calculators import CALCULATORS, items_of
from services.features.rolling.engine import Pass
from services.features.rolling.names import label

CHUNK_BARS = 10_752  # what the room takes at a time of so many features
FIRST = """
import time
import numpy as np
from services.features.rolling.calculators import CALCULATORS
from services.features.rolling.engine import Pass
imported = time.process_time()
rolling = Pass("close", {window}, tuple(name for name in CALCULATORS if name not in {quadratic}))
values = np.empty((len(rolling.names), {window} + 100))
x = np.random.default_rng(1).normal(size=values.shape[1])
for _ in rolling.run(x, np.arange(x.size), values):
    pass
print(imported, time.process_time() - imported)
"""
QUADRATIC = ("sample_entropy", "approximate_entropy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--window", type=int, default=72)
    parser.add_argument("--bars", type=int, default=20_000)
    parser.add_argument("--sample", type=int, default=40, help="windows that tsfresh is asked for")
    parser.add_argument("--totals", action="store_true")
    parser.add_argument("--first", action="store_true")
    given = parser.parse_args()
    if given.first:
        first(given.window)
        return
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        logging.getLogger("tsfresh").setLevel(logging.ERROR)
        x = bars_of(given.bars)["close"].to_numpy(np.float64)
        print("| calculator | features | here, µs | tsfresh, µs | ratio | largest difference |")
        print("|---|---|---|---|---|---|")
        ours = theirs = 0.0
        for name in CALCULATORS:
            here, there, difference = one(name, x, given.window, given.sample)
            print(
                f"| {name} | {len(CALCULATORS[name].parameters)} | {1e6 * here:,.2f} | {1e6 * there:,.0f} | "
                f"{there / here:,.0f} × | {difference:.0e} |",
                flush=True,
            )
            if name not in QUADRATIC:
                ours, theirs = ours + here, theirs + there
        print(
            f"| sum of the efficient set | 776 | {1e6 * ours:,.1f} | {1e6 * theirs:,.0f} | "
            f"{theirs / ours:,.0f} × | |"
        )
        if given.totals:
            totals(x, given.window, given.sample)


def first(window: int) -> None:
    """CPU of a process that computes the efficient set once, medians of five after one that compiles."""
    script = FIRST.format(window=window, quadratic=QUADRATIC)
    told = [
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
        for _ in range(6)
    ]
    imports, calls = zip(*(map(float, each.split()) for each in told[1:]), strict=True)
    imported, called = statistics.median(imports), statistics.median(calls)
    print(f"import {imported:.2f} s, first call {called:.2f} s, together {imported + called:.2f} s of CPU")


def one(name: str, x: np.ndarray, window: int, sample: int) -> tuple[float, float, float]:
    """Seconds of CPU a window here and there, and the largest relative difference."""
    from tsfresh.feature_extraction import feature_calculators

    rolling = Pass("close", window, (name,))
    values = roll(rolling, x[: 3 * window])  # compiled and its tables made
    started = time.process_time()
    values = roll(rolling, x)
    here = (time.process_time() - started) / (x.size - window + 1)
    function = getattr(feature_calculators, name)
    parameters = [dict(each) for each in CALCULATORS[name].parameters]
    places = np.linspace(window - 1, x.size - 1, sample).astype(int)
    difference, started = 0.0, time.process_time()
    found = []
    for at in places:
        bars = x[at - window + 1 : at + 1].copy()
        if function.fctype == "combiner":
            found.append([value for _, value in function(bars, parameters)])
        else:
            found.append([function(bars, **each) for each in parameters])
    there = (time.process_time() - started) / sample
    for at, expected in zip(places, np.array(found, np.float64), strict=True):
        mine = values[:, at]
        both = np.isfinite(mine) & np.isfinite(expected)
        assert (np.isfinite(mine) == np.isfinite(expected)).all(), (name, at)
        gap = np.abs(mine - expected)[both] / np.maximum(np.abs(expected)[both], 1e-12)
        difference = max(difference, float(gap.max(initial=0.0)))
    return here, there, difference


def roll(rolling: Pass, x: np.ndarray) -> np.ndarray:
    values = np.empty((len(rolling.names), x.size))
    for _ in rolling.run(x, np.arange(x.size), values):
        pass
    return values


def stream(rolling: Pass, x: np.ndarray, values: np.ndarray) -> None:
    """As the room does: some bars at a time with the history they need, into the same memory."""
    for start in range(0, x.size, CHUNK_BARS - rolling.history_bars):
        first = max(0, start - rolling.history_bars)
        some = x[first : start + CHUNK_BARS - rolling.history_bars]
        for _ in rolling.run(some, np.arange(first, first + some.size), values[:, : some.size]):
            pass


def totals(x: np.ndarray, window: int, sample: int) -> None:
    """The efficient set in one pass, against tsfresh as its documentation rolls windows."""
    from tsfresh import extract_features
    from tsfresh.feature_extraction.settings import EfficientFCParameters
    from tsfresh.utilities.dataframe_functions import roll_time_series

    names = tuple(name for name in CALCULATORS if name not in QUADRATIC)
    rolling = Pass("close", window, names)
    values = np.empty((len(rolling.names), CHUNK_BARS))
    stream(rolling, x, values)
    seconds = []
    for _ in range(5):
        started = time.process_time()
        stream(rolling, x, values)
        seconds.append(time.process_time() - started)
    here = float(np.median(seconds)) / (x.size - window + 1)
    part = x[: sample + window - 1]
    frame = pd.DataFrame({"id": 1, "time": np.arange(part.size), "close": part})
    started = time.process_time()
    shift = {"min_timeshift": window - 1, "max_timeshift": window - 1}
    windows = roll_time_series(
        frame, column_id="id", column_sort="time", n_jobs=0, disable_progressbar=True, **shift
    )
    found = extract_features(
        windows,
        column_id="id",
        column_sort="time",
        default_fc_parameters=EfficientFCParameters(),
        n_jobs=0,
        disable_progressbar=True,
    )
    there = (time.process_time() - started) / len(found)
    known = {label(item.calculator, item.parameters) for item in items_of(names)}
    assert known <= {name.removeprefix("close__") for name in found.columns}
    print(
        f"\nefficient set, window {window}, a window: {1e6 * here:,.1f} µs here, "
        f"{1e6 * there:,.0f} µs tsfresh ({len(found)} windows), {there / here:,.0f} ×"
    )


if __name__ == "__main__":
    main()
