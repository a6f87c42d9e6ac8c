"""Forecasts of training against the runs themselves, in one run: `python benchmarks/plan.py`.

    python benchmarks/plan.py [--requests 40] [--threads 1] [--seed 7] [--rows 2000 50000]

The host is measured first, as the training room does at its first start. Then random requests: rows and
features drawn evenly on a logarithmic scale, each learner in turn with several rounds, leaves and depths, two
or three classes. Each is forecast, and run in a process of its own as a worker runs it: two purged folds and
the final model on noise that one feature tells a little of, early stopping with the patience of all rounds.
Seconds are those of the fits and their scores; memory is the process's highest; the bundle is exported.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from marketml.rpc.frames import to_frame
from services.host.children import child_environment
from services.training.config import fill_config
from services.training.forecasting.cost_measurements import made_classes
from services.training.forecasting.cost_model import HostCosts, read_costs
from services.training.forecasting.forecast import forecast_job
from services.training.job_plan import read_plan
from services.training.jobs import JobStage, Tree
from services.training.rooms import Source

HOUR = timedelta(hours=1)
FEATURES = (20, 200)
HORIZON_BARS, FOLDS = 24, 2
WITHIN = 0.3
FITTED = {JobStage.CROSS_VALIDATION, JobStage.FINAL_FIT, JobStage.FINAL_TEST}
KINDS = ("lightgbm", "xgboost", "random_forest", "extra_trees")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rows", type=int, nargs=2, default=[2_000, 50_000])
    parser.add_argument("--run", help="What a process of its own is told.")
    given = parser.parse_args()
    if given.run:
        print(json.dumps(run(json.loads(given.run), given.threads)))
        return
    began = time.perf_counter()
    costs = measured(given.threads)
    print(f"The host was measured in {time.perf_counter() - began:.1f} s.\n")
    print("| request | CPU forecast / was, s | wall | memory, MiB | bundle, KiB |\n|---|---|---|---|---|")
    generator = np.random.default_rng(given.seed)
    ratios: dict[str, list[tuple[float, ...]]] = {}
    for number in range(given.requests):
        kind = KINDS[number % len(KINDS)]
        request = drawn(generator, kind, *given.rows)
        expected = forecast(request, costs, given.threads)
        was = told(request, given.threads)
        pairs = [(expected[name], was[name]) for name in ("cpu", "wall", "memory", "bundle")]
        ratios.setdefault(kind, []).append(tuple(first / second for first, second in pairs))
        cells = [f"{first:,.1f} / {second:,.1f} ({first / second - 1:+.0%})" for first, second in pairs]
        print(f"| {words(request)} | {' | '.join(cells)} |", flush=True)
    print(f"\n| within ±{WITHIN:.0%} | CPU | wall | memory | bundle |\n|---|---|---|---|---|")
    for kind, found in [*ratios.items(), ("all", [each for every in ratios.values() for each in every])]:
        shares = (np.abs(np.array(found) - 1) <= WITHIN).mean(axis=0)
        print(f"| {kind}, {len(found)} | " + " | ".join(f"{share:.0%}" for share in shares) + " |")


def measured(threads: int) -> HostCosts:
    """What work costs here."""
    process = subprocess.Popen(
        [sys.executable, "-m", "services.training.forecasting.cost_worker", str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(threads),
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    process.wait()
    return read_costs(json.loads(line))


def drawn(generator: np.random.Generator, kind: str, fewest: int, most: int) -> Tree:
    """A request."""

    def between(low: float, high: float) -> int:
        return round(math.exp(generator.uniform(math.log(low), math.log(high))))

    def one_of(*values: Any) -> Any:
        return values[generator.integers(len(values))]

    model = {
        "lightgbm": lambda: {
            "rounds": one_of(30, 60, 120),
            "num_leaves": one_of(7, 15, 31, 63),
            "subsample": one_of(1.0, 0.7),
            "colsample_bytree": one_of(1.0, 0.6),
        },
        "xgboost": lambda: {
            "rounds": one_of(30, 60, 120),
            "max_depth": one_of(3, 4, 6, 8),
            "subsample": one_of(1.0, 0.7),
            "colsample_bytree": one_of(1.0, 0.6),
        },
        "random_forest": lambda: {"trees": one_of(30, 60, 100), "max_depth": one_of(0, 6, 12)},
        "extra_trees": lambda: {"trees": one_of(30, 60, 100), "max_depth": one_of(0, 6, 12)},
    }[kind]()
    return {
        "rows": between(fewest, most),
        "features": between(*FEATURES),
        "binary": bool(generator.integers(2)),
        "model": {kind: model},
    }


def words(request: Tree) -> str:
    [(kind, parameters)] = request["model"].items()
    said = ", ".join(f"{name} {value}" for name, value in parameters.items())
    classes = 2 if request["binary"] else 3
    return f"{kind}, {said}; {request['rows']:,} × {request['features']}, {classes} classes"


def config_of(request: Tree) -> Tree:
    given: Tree = {
        "dataset": {"snapshot_id": "0" * 64},
        "label": {"fixed_horizon": {"horizon_bars": HORIZON_BARS}, "binary": request["binary"]},
        "split": {"folds": FOLDS},
        "model": request["model"],
    }
    if request["model"].keys() & {"lightgbm", "xgboost"}:
        given["early_stopping"] = {"patience_rounds": 10_000}
    filled, violations = fill_config(given, {})
    assert not violations, violations
    return filled


def forecast(request: Tree, costs: HostCosts, threads: int) -> dict[str, float]:
    source = Source(
        bar_count=request["rows"] + HORIZON_BARS,
        timeframe=HOUR,
        feature_count=request["features"],
        chosen_count=request["features"],
        is_chosen=False,
        warm_up_bars=0,
        features_cost=0.0,
    )
    found = forecast_job(read_plan(config_of(request), threads), source, costs)
    fitted = [each.seconds for each in found.stages if each.stage in FITTED]
    return {
        "cpu": sum(each.cpu for each in fitted),
        "wall": sum(each.wall for each in fitted),
        "memory": found.peak_memory_bytes / 2**20,
        "bundle": found.bundle_bytes / 2**10,
    }


def told(request: Tree, threads: int) -> dict[str, float]:
    """What a run of a process of its own took."""
    command = [sys.executable, __file__, "--threads", str(threads), "--run", json.dumps(request)]
    answer = subprocess.run(command, env=child_environment(threads), capture_output=True, check=True)
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def run(request: Tree, threads: int) -> dict[str, float]:
    """Run a request as a worker does: features come in pieces, are joined, fitted on and exported."""
    from services.training import scores
    from services.training.export.bundle import export_bundle
    from services.training.labels import BINARY, THREE_WAY
    from services.training.neighbours import Neighbours  # noqa: F401  as a worker imports it
    from services.training.pipeline import evaluate_and_fit
    from services.training.runner import Runner  # noqa: F401
    from services.training.samples import Samples

    rows, names = request["rows"], BINARY if request["binary"] else THREE_WAY
    frame = arrived(rows, request["features"])
    matrix = frame.to_numpy(np.float64)[np.arange(rows)]
    classes = made_classes(matrix[:, 0], len(names))
    bar = int(HOUR / timedelta(microseconds=1))
    t0 = np.arange(rows, dtype=np.int64) * bar
    plan = read_plan(config_of(request), threads)
    samples = Samples(
        features=matrix,
        feature_names=tuple(frame.columns),
        classes=classes,
        t0=t0,
        t1=t0 + HORIZON_BARS * bar,
        class_names=names,
        weights=np.ones(rows),
    )
    scores.load()  # as a worker does while the rooms prepare its rows
    wall, cpu = time.perf_counter(), time.process_time()
    result = evaluate_and_fit(samples, plan.training, plan.seed, events=lambda _event: None)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    bundle = export_bundle(result, seed=plan.seed, sections={"config": {}})
    return {
        "cpu": cpu,
        "wall": wall,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
        "bundle": sum(len(content) for content in bundle.contents.values()) / 2**10,
    }


def arrived(rows: int, features: int) -> pd.DataFrame:
    """A frame of features as the client makes it of the pieces of a stream; no two of its rows are alike."""
    generator = np.random.default_rng(1)
    piece_rows = max(1, 2**20 // (8 * features))
    times = pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC")
    pieces = []
    for start in range(0, rows, piece_rows):
        count = min(piece_rows, rows - start)
        values = generator.standard_normal((count, features), dtype=np.float32).astype(np.float64)
        columns = {"open_time": pa.array(times[start : start + count])}
        columns |= {f"technical_feature_{index}": pa.array(values[:, index]) for index in range(features)}
        pieces.append(pa.table(columns))
    return to_frame(pa.concat_tables(pieces))


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
