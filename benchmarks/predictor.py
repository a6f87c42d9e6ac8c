"""The predictor alone, beside the libraries' own predict: `python benchmarks/predictor.py [--repeats N]`.

One row at a time and 100,000 rows at once of a model of 300 trees of about 31 leaves, 200 features and three
classes (100 rounds of LightGBM or XGBoost, a forest of 300), a tenth of the values missing. Everyone has one
thread and seconds are CPU seconds, since the machine is shared; measures take turns, and each figure is the
median of its repeats. Answers are compared in the same run: equal to the bit, XGBoost's within 1e-6.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import numpy as np

from marketml.bundle import MANIFEST, TENSORS, pack_bundle
from marketml.bundle.trees import tree_tensors
from services.registry.inspection import inspect_bundle
from services.registry.predictor import Predictor
from services.training import learners
from services.training.export.golden import draw_golden_rows, golden_answers
from services.training.export.trees import graph_of, tree_arrays
from services.training.learners import (
    ForestParameters,
    LightgbmParameters,
    ModelParameters,
    XgboostParameters,
)
from services.training.learners.fitting import FitRequest, Fitted, Table

CLASSES, FEATURES, TRAIN_ROWS, MANY_ROWS, SEED = 3, 200, 8_000, 100_000, 0
MODELS: tuple[ModelParameters, ...] = (
    LightgbmParameters(rounds=100, num_leaves=31),
    XgboostParameters(rounds=100, max_depth=5),
    ForestParameters(trees=300, max_depth=5),
)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--repeats", type=int, default=5, help="repeats of the many rows")
    arguments.add_argument("--calls", type=int, default=2_000, help="calls of one row")
    given = arguments.parse_args()
    packages = ("lightgbm", "xgboost", "scikit-learn", "numba", "numpy")
    print(", ".join(f"{name} {version(name)}" for name in packages) + f"; seed {SEED}; one thread; CPU time")
    print(f"{'model':14} {'rows':>8} {'predictor':>16} {'library':>16} {'faster':>8}   apart")
    rows = made_rows(np.random.default_rng(SEED), MANY_ROWS)
    for parameters in MODELS:
        fitted = fit(parameters)
        compare(fitted, predictor_of(fitted, rows), rows, given.calls, given.repeats)


def made_rows(generator: np.random.Generator, count: int) -> np.ndarray:
    """Normal values, a tenth of them missing."""
    rows = generator.normal(size=(count, FEATURES))
    rows[generator.random(rows.shape) < 0.1] = np.nan
    return rows


def fit(parameters: ModelParameters) -> Fitted:
    """The model, on noise with a little signal."""
    generator = np.random.default_rng(SEED + 1)
    rows = made_rows(generator, TRAIN_ROWS)
    latent = (
        np.nan_to_num(rows[:, 0]) + np.nan_to_num(rows[:, 1] * rows[:, 2]) + generator.normal(size=TRAIN_ROWS)
    )
    classes = np.digitize(latent, np.quantile(latent, (1 / 3, 2 / 3))).astype(np.int8)
    table = Table(rows, classes, np.ones(TRAIN_ROWS))
    return learners.fit(
        parameters, FitRequest(table, None, CLASSES, SEED, 1, lambda number, loss: None, lambda: False)
    )


def predictor_of(fitted: Fitted, rows: np.ndarray) -> Predictor:
    """What a registry makes of the model's bundle."""
    bundle = pack_bundle(
        feature_names=[f"feature_{index}" for index in range(FEATURES)],
        classes=["down", "range", "up"],
        graph=graph_of(fitted),
        arrays=tree_tensors("trees", tree_arrays(fitted)),
        golden=golden_answers(fitted, draw_golden_rows(rows, np.random.default_rng(SEED))),
        native_files={},
        sections={},
    )
    return inspect_bundle(bundle.contents[MANIFEST], bundle.contents[TENSORS]).predictor


def compare(fitted: Fitted, predictor: Predictor, rows: np.ndarray, calls: int, repeats: int) -> None:
    """Two lines: one row at a time, many at once."""
    if fitted.kind == "xgboost":
        fitted.model.set_param({"nthread": 1})
    library: Callable[[np.ndarray], np.ndarray] = lambda some: learners.predict_probabilities(fitted, some)  # noqa: E731
    apart = np.abs(predictor.raw(rows[:5_000]) - learners.raw_scores(fitted, rows[:5_000])).max()
    singles = [rows[index : index + 1] for index in range(200)]
    slow = 20 if fitted.kind == "random_forest" else 1  # scikit-learn takes milliseconds for one row
    one = in_turns(
        [
            lambda: [predictor.predict(row) for row in singles],
            lambda: [library(row) for row in singles[::slow]],
        ],
        max(3, calls // len(singles)),
    )
    show(fitted.kind, 1, [one[0] / len(singles), one[1] / len(singles[::slow])], apart)
    many = in_turns([lambda: predictor.predict(rows), lambda: library(rows)], repeats)
    show(fitted.kind, MANY_ROWS, [seconds / MANY_ROWS for seconds in many], apart)


def in_turns(measures: list[Callable[[], object]], repeats: int) -> list[float]:
    """Median CPU seconds of each measure, after one run that does not count."""
    seconds: list[list[float]] = [[] for _ in measures]
    for turn in range(repeats + 1):
        for found, measure in zip(seconds, measures, strict=True):
            started = time.process_time()
            measure()
            if turn:
                found.append(time.process_time() - started)
    return [statistics.median(found) for found in seconds]


def show(kind: str, rows: int, seconds: list[float], apart: float) -> None:
    """One line of the table."""
    ours, theirs = (f"{each * 1e6:10.2f} µs/row" for each in seconds)
    print(
        f"{kind:14} {rows:8,} {ours:>16} {theirs:>16} {seconds[1] / seconds[0]:7.1f}×   {apart:.1e}",
        flush=True,
    )


if __name__ == "__main__":
    main()
