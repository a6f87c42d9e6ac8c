"""The known truths, over every model with every label and every splitter: on random walks they score chance
within their intervals, and on a planted signal they beat the baselines.

Each combination has random walks of its own, so that whether an interval misses chance is drawn anew every
time, and the misses of all are a binomial number. Each run of the tests takes a few; `make truths` takes all
(TRUTH_WALKS: how many walks each combination has).
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from services.training.labels import label
from services.training.learners import (
    ExtraTreesParameters,
    ForestParameters,
    LightgbmParameters,
    XgboostParameters,
)
from services.training.models.ensembles import Bagging, Model, Stacking, stops_early
from services.training.pipeline import evaluate_and_fit
from services.training.plan import EarlyStopping, SplitPlan, TrainingPlan
from services.training.results import TrainedResult
from services.training.samples import join_samples
from services.training.splits import Embargo, WalkForward
from tests.training.test_model_matrix import BARRIERS, HOUR
from tests.training.test_model_matrix import LABELS as MATRIX_LABELS
from tests.training.test_model_matrix import MODELS as SMALL
from tests.training.test_model_matrix import SPLITTERS as MATRIX_SPLITTERS
from tests.training.test_truths import bars_of, lag_returns, random_walk


def grown(model: Model) -> Model:
    """A model of the matrix, large enough to learn something and with leaves that are never sure."""
    match model:
        case LightgbmParameters() | XgboostParameters():
            return replace(model, rounds=25, learning_rate=0.1)
        case ForestParameters() | ExtraTreesParameters():
            return replace(model, trees=20, max_depth=6, min_samples_leaf=20, max_features=0.7)
        case Bagging(models=models):
            return replace(model, models=tuple(grown(each) for each in models))
        case Stacking(base_models=models, meta_model=meta):
            return replace(model, base_models=tuple(grown(each) for each in models), meta_model=grown(meta))
    return model


MODELS = {name: grown(model) for name, model in SMALL.items()}
# On the signal hardly an event ends in neither barrier: three classes would be two and a few rows.
LABELS = {**MATRIX_LABELS, "events": (BARRIERS, True, MATRIX_LABELS["events"][2])}
SPLITTERS = {  # the first model of a walk learns from enough to learn something
    **MATRIX_SPLITTERS,
    "expanding": WalkForward(2, test_row_count=300),
    "rolling": WalkForward(2, test_row_count=300, train_row_count=1_200),
}
WALKS = int(os.environ.get("TRUTH_WALKS", "0"))
BARS = 3_000
LEVEL = 0.95
ROUNDING = 1e-9
SURE = 1e-4  # how seldom the bound of a number of misses is broken by chance
SAMPLE = [
    ("bagging_mixed", "barriers_of_volatility", "folds"),
    ("stacking_to_lightgbm", "trends", "expanding"),
]

Combination = tuple[str, str, str]
pytestmark = pytest.mark.timeout(300 + 20 * WALKS * len(MODELS) * len(LABELS) * len(SPLITTERS))


@dataclass(frozen=True)
class Walked:
    """What a combination scored on a random walk, above chance: on the test span, its interval, and in the
    mean of the folds."""

    combination: Combination
    test: float
    low: float
    high: float
    folds: float

    @property
    def misses(self) -> bool:
        return not self.low - ROUNDING <= 0.0 <= self.high + ROUNDING


@dataclass(frozen=True)
class Signalled:
    """By how much a combination beat each baseline where something is to be known, in the mean of folds and
    test span: the least of its leads in balanced accuracy, of those in log loss; and the low end of its
    interval above chance."""

    combination: Combination
    accuracy: float
    log_loss: float
    low: float | None


def trained(combination: Combination, bars: pd.DataFrame, more: pd.Series | None, seed: int) -> TrainedResult:
    model, labels, splitter = combination
    rule, binary, events = LABELS[labels]
    features = lag_returns(bars, (1, 2, 3, 6, 12, 24))
    if more is not None:
        averages = (bars["close"].rolling(count).mean() for count in (6, 24))
        features["planted"], features["gap"] = more, next(averages) / next(averages) - 1.0
        if labels == "meta_label":  # whose question is whether what is known speaks for the side taken
            features["along"] = features["planted"] * np.sign(features["gap"])
    samples = join_samples(features, HOUR, label(bars, HOUR, rule, binary=binary, events=events))
    plan = TrainingPlan(
        MODELS[model],
        split=SplitPlan(method=SPLITTERS[splitter], embargo=Embargo(bars=12)),
        early_stopping=EarlyStopping(10, 0.15) if stops_early(MODELS[model]) else None,
        interval_draws=200,
        interval_level=LEVEL,
    )
    return evaluate_and_fit(samples, plan, seed, events=lambda event: None)


def walk(task: tuple[Combination, int]) -> Walked:
    combination, number = task
    seed = crc32(f"{combination} {number}".encode())
    found = trained(combination, random_walk(seed, BARS), None, number)
    chance = 1.0 / len(found.class_names)
    interval = found.test_intervals["balanced_accuracy"]
    assert interval.low is not None, f"{combination}: {interval.reason}"
    assert interval.high is not None
    value, mean = (
        found.test_scores.metrics["balanced_accuracy"].value,
        found.fold_table["balanced_accuracy"].mean,
    )
    assert value is not None
    assert mean is not None
    return Walked(combination, value - chance, interval.low - chance, interval.high - chance, mean - chance)


def planted(seed: int, count: int) -> tuple[pd.DataFrame, pd.Series]:
    """Bars that drift by what is known at the bar before and forgotten after some, and what is known."""
    random = np.random.default_rng(seed)
    shocks, noise = random.normal(0.0, 1.0, count), random.normal(0.0, 0.004, count)
    known = np.zeros(count)
    for bar in range(1, count):
        known[bar] = 0.5 * known[bar - 1] + shocks[bar]
    returns = noise
    returns[1:] += 0.01 * known[:-1]
    bars = bars_of(returns)
    return bars, pd.Series(known, bars.index)


def signal(combination: Combination) -> Signalled:
    bars, known = planted(crc32(f"{combination}".encode()), BARS)
    found = trained(combination, bars, known, 1)
    leads: dict[str, list[float]] = {"balanced_accuracy": [], "log_loss": []}
    for name, sign in (("balanced_accuracy", 1.0), ("log_loss", -1.0)):
        mine = np.array([found.fold_table[name].mean, found.test_scores.metrics[name].value])
        for baseline, table in found.baseline_tables.items():
            theirs = [table[name].mean, found.test_baselines[baseline].metrics[name].value]
            if None not in theirs:  # one that says no probabilities has no log loss
                leads[name].append(float(np.mean(sign * (mine - theirs))))
    interval = found.test_intervals["balanced_accuracy"]
    # A class so rare that some draws have none of it has no interval, and says so.
    low = None if interval.low is None else interval.low - 1.0 / len(found.class_names)
    return Signalled(combination, min(leads["balanced_accuracy"]), min(leads["log_loss"]), low)


def each_of(function: Callable, tasks: Sequence) -> list:
    """What a function says of each task; of many tasks on every core, in processes started afresh."""
    if len(tasks) <= len(SAMPLE):
        return [function(task) for task in tasks]
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(function, tasks))


def groups(combinations: Iterable[Combination]) -> dict[str, list[int]]:
    """Places of the combinations with one model, label or splitter, and of all of them."""
    found: dict[str, list[int]] = {}
    for place, combination in enumerate(combinations):
        for name in ("all", *combination):
            found.setdefault(name, []).append(place)
    return found


def require_chance(walked: Sequence[Walked]) -> str:
    """Refuse more misses, of all or of a group, than chance would have; and scores that lean to one side."""
    lines = [f"{'':34} runs  missed (at most)   above chance: test span, folds"]
    broken = []
    by_name = groups([each.combination for each in walked])
    sure = SURE / len(by_name)
    for name, places in by_name.items():
        some = [walked[place] for place in places]
        missed = sum(each.misses for each in some)
        most = int(binom.isf(sure, len(some), 1.0 - LEVEL))
        scores = np.array([[each.test, each.folds] for each in some])
        means = scores.mean(axis=0)
        errors = scores.std(axis=0, ddof=1) / np.sqrt(len(some)) if len(some) > 1 else np.full(2, np.inf)
        lines.append(
            f"{name:34} {len(some):4}  {missed:4} ({most})        "
            f"{means[0]:+.4f} ± {errors[0]:.4f}  {means[1]:+.4f} ± {errors[1]:.4f}"
        )
        if missed > most or (len(some) >= 30 and means[0] > 4.0 * errors[0]):
            broken.append(name)
    for combination in {each.combination for each in walked}:
        some = [each for each in walked if each.combination == combination]
        missed = sum(each.misses for each in some)
        if missed > binom.isf(SURE / len(walked), len(some), 1.0 - LEVEL):
            broken.append(f"{combination}: {missed} of {len(some)}")
    lines += ["", *(f"missed: {each}" for each in walked if each.misses)]
    report = "\n".join(lines)
    assert not broken, f"{broken}\n{report}"
    return report


def require_signal(found: Sequence[Signalled]) -> str:
    """Refuse a combination that does not beat the baselines."""
    lines = [f"{'':34} runs  least lead in balanced accuracy, in log loss  low end above chance"]
    for name, places in groups([each.combination for each in found]).items():
        some = [found[place] for place in places]
        known = [[each.accuracy, each.log_loss, np.inf if each.low is None else each.low] for each in some]
        least = np.min(known, axis=0)
        lines.append(f"{name:34} {len(some):4}  {least[0]:+.3f} {least[1]:+.3f} {least[2]:+.3f}")
    weak = [
        each
        for each in found
        if min(each.accuracy, each.log_loss) <= 0.0 or (each.low is not None and each.low <= 0.0)
    ]
    report = "\n".join([*lines, "", *(f"beaten: {each}" for each in weak)])
    assert not weak, report
    return report


COMBINATIONS = list(product(MODELS, LABELS, SPLITTERS)) if WALKS else SAMPLE


def test_combinations_score_chance_on_random_walks(capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [(combination, number) for number in range(WALKS or 1) for combination in COMBINATIONS]
    report = require_chance(each_of(walk, tasks))
    with capsys.disabled():
        print(f"\n{report}" if WALKS else "", end="")


def test_combinations_beat_the_baselines_on_a_planted_signal(capsys: pytest.CaptureFixture[str]) -> None:
    report = require_signal(each_of(signal, COMBINATIONS))
    with capsys.disabled():
        print(f"\n{report}" if WALKS else "", end="")
