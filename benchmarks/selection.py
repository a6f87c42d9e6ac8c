"""Relevance selection against tsfresh's: `python benchmarks/selection.py [--features N] [--rows N]`.

`tsfresh.select_features` on one process and the room's relevance tests on one thread, on the same made-up
features (ties, two values, constants, some related to the target) in the same run: seconds of CPU, medians,
the largest relative difference of p-values, and whether both choose the same features. Then the other steps
of SelectFeatures, which have no peer there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd
from tsfresh import select_features
from tsfresh.feature_selection.relevance import calculate_relevance_table

from services.features.autofeat import symbolic_features
from services.features.columns import Floats
from services.features.config import AutofeatChoice, SelectionChoice
from services.features.selection.choose import Choice
from services.features.selection.relevance import relevance
from services.features.selection.target import Target, TargetKind

SEED, FDR_LEVEL = 20, 0.05


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--features", type=int, default=1_000)
    arguments.add_argument("--rows", type=int, default=20_000)
    arguments.add_argument("--repeats", type=int, default=3)
    given = arguments.parse_args()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "scipy", "tsfresh"))
    print(
        f"{given.features:,} features x {given.rows:,} rows, seed {SEED}, medians of {given.repeats} "
        f"(tsfresh once), CPU seconds, one thread; {libraries}\n"
    )
    print(
        f"{'target':12} {'ours':>8} {'tsfresh':>8} {'ratio':>7} {'p-values differ':>16} {'same choice':>12}"
    )
    for kind in TargetKind:
        against_tsfresh(given.features, given.rows, kind, given.repeats)
    steps(*made_up(given.features, given.rows, TargetKind.BINARY))


def against_tsfresh(count: int, rows: int, kind: TargetKind, repeats: int) -> None:
    """One kind of target."""
    values, target = made_up(count, rows, kind)
    relevance(values[:2], target, nobody)  # loads the compiled loops
    ours = cpu(lambda: relevance(values, target, nobody).is_relevant(FDR_LEVEL), repeats)
    frame = pd.DataFrame(values.T, columns=[f"f{place}" for place in range(len(values))])
    y = pd.Series(target.values if kind is TargetKind.REAL else target.codes)
    options: dict[str, Any] = {
        "ml_task": "regression" if kind is TargetKind.REAL else "classification",
        "multiclass": kind is TargetKind.MULTICLASS,
        "fdr_level": FDR_LEVEL,
    }
    theirs = cpu(lambda: select_features(frame, y, n_jobs=0, **options), 1)
    differ, is_same = compared(frame, y, options, values, target)
    print(f"{kind.value:12} {ours:8.3f} {theirs:8.2f} {theirs / ours:6.1f}x {differ:16.1e} {is_same!s:>12}")


def steps(values: Floats, target: Target) -> None:
    """What SelectFeatures does beside the tests, once each."""
    names = [f"f{place}" for place in range(len(values))]
    found = relevance(values, target, nobody)
    print("\nbinary target, all that is asked for, CPU seconds:")
    for name, choice in (
        ("correlation", SelectionChoice(enabled=True, model_importance=False)),
        (
            "correlation and five blocks of time",
            SelectionChoice(True, stability_blocks=5, model_importance=False),
        ),
        ("correlation and a model's importance", SelectionChoice(enabled=True)),
    ):
        work = Choice(names, values, target, found, nobody)
        print(f"  {name:38} {cpu(lambda work=work, choice=choice: work.run(choice, SEED), 1):7.2f}")
    order, choice = [int(at) for at in found.order], AutofeatChoice(enabled=True)
    seconds = cpu(lambda: symbolic_features(names, values, order, target, choice, SEED, nobody), 1)
    print(f"  {'symbolic features, default config':38} {seconds:7.2f}")


def made_up(count: int, rows: int, kind: TargetKind) -> tuple[Floats, Target]:
    """A fifth related to the target, a tenth with ties, a twelfth of two values, two constant."""
    generator = np.random.default_rng(SEED)
    classes = 3 if kind is TargetKind.MULTICLASS else 2
    told = generator.integers(0, classes, rows).astype(float)
    if kind is TargetKind.REAL:
        told = generator.normal(size=rows)
    values = generator.normal(size=(count, rows)).cumsum(axis=1) * 0.01 + generator.normal(size=(count, rows))
    related = generator.choice(count, count // 5, replace=False)
    values[related] += told * generator.uniform(0.01, 0.2, len(related))[:, None]
    tied = generator.choice(count, count // 10, replace=False)
    values[tied] = np.round(values[tied], 1)
    paired = generator.choice(count, count // 12, replace=False)
    values[paired] = values[paired] > 0
    values[generator.choice(count, 2, replace=False)] = 1.0
    return values, Target(kind, told)


def compared(
    frame: pd.DataFrame, y: pd.Series, options: dict[str, Any], values: Floats, target: Target
) -> tuple[float, bool]:
    """The largest relative difference of smallest p-values, and whether the choices agree."""
    table = calculate_relevance_table(frame, y, n_jobs=0, **options).loc[frame.columns]
    theirs = table.filter(regex="^p_value").astype(float).min(axis=1).to_numpy()
    found = relevance(values, target, nobody)
    differ = np.nanmax(np.abs(found.smallest - theirs) / np.maximum(theirs, np.finfo(float).tiny))
    return float(differ), bool((found.is_relevant(FDR_LEVEL) == table.relevant.to_numpy(bool)).all())


def cpu(work: Callable[[], Any], repeats: int) -> float:
    seconds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(repeats):
            started = time.process_time()
            work()
            seconds.append(time.process_time() - started)
    return statistics.median(seconds)


def nobody() -> None:
    """Nobody wants it to stop."""


if __name__ == "__main__":
    main()
