"""Measurements: short fits of every learner on this host, by which the cost model is fitted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from services.training import learners
from services.training.confidence import block_bootstrap
from services.training.export.trees import tree_arrays
from services.training.forecasting.cost_model import (
    SCORING,
    FitShape,
    Measured,
    Seconds,
    keep_terms,
    predict_terms,
    prepare_terms,
    round_terms,
    score_terms,
)
from services.training.learners import ModelParameters
from services.training.learners.extra_trees import ExtraTreesParameters
from services.training.learners.fitting import Classes, FitRequest, Fitted, Matrix, Table, Validation
from services.training.learners.forest import ForestParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.xgboost import XgboostParameters
from services.training.scores import score

FIRST_LAPS = 2  # before the first round, and that one
FIT_SECONDS = 0.25  # of rounds; what comes before them is not cut short
SIGNAL = 0.3  # of the first feature, beside noise of 1: markets tell little
_MANY_ROUNDS, _SEED = 20_000, 1


@dataclass(frozen=True)
class Trial:
    """One fit to be measured."""

    parameters: ModelParameters
    train_rows: int
    feature_count: int
    class_count: int
    stopping_rows: int = 0


def _lightgbm(leaves: int, share: float = 1.0) -> LightgbmParameters:
    return LightgbmParameters(rounds=_MANY_ROUNDS, num_leaves=leaves, subsample=share, colsample_bytree=share)


def _xgboost(depth: int, share: float = 1.0) -> XgboostParameters:
    return XgboostParameters(rounds=_MANY_ROUNDS, max_depth=depth, subsample=share, colsample_bytree=share)


def _forest(depth: int, leaf: int = 5) -> ForestParameters:
    return ForestParameters(trees=5_000, max_depth=depth, min_samples_leaf=leaf)


def _extra_trees(depth: int, leaf: int = 5) -> ExtraTreesParameters:
    return ExtraTreesParameters(trees=5_000, max_depth=depth, min_samples_leaf=leaf)


TRIALS = (
    Trial(_lightgbm(31), 1_000, 20, 3, 200),
    Trial(_lightgbm(7), 1_500, 200, 3),
    Trial(_lightgbm(63), 4_000, 200, 2, 600),
    Trial(_lightgbm(15), 6_000, 60, 3, 1_000),
    Trial(_lightgbm(127), 8_000, 20, 3),
    Trial(_lightgbm(31), 16_000, 100, 2),
    Trial(_lightgbm(7), 16_000, 100, 3, 2_000),
    Trial(_lightgbm(15), 40_000, 20, 3, 6_000),
    Trial(_lightgbm(63), 30_000, 40, 3),
    Trial(_lightgbm(7, 0.5), 30_000, 30, 3),
    Trial(_lightgbm(31, 0.6), 12_000, 80, 2),
    Trial(_lightgbm(7), 1_500, 20, 2),
    Trial(_xgboost(3), 2_000, 24, 2),
    Trial(_xgboost(5), 10_000, 40, 2, 1_500),
    Trial(_xgboost(6), 1_000, 20, 3, 200),
    Trial(_xgboost(3), 1_500, 200, 3),
    Trial(_xgboost(6), 4_000, 200, 2, 600),
    Trial(_xgboost(4), 6_000, 60, 3, 1_000),
    Trial(_xgboost(8), 8_000, 20, 3),
    Trial(_xgboost(6), 16_000, 100, 2),
    Trial(_xgboost(3), 16_000, 100, 3, 2_000),
    Trial(_xgboost(4), 40_000, 20, 3, 6_000),
    Trial(_xgboost(7), 30_000, 40, 3),
    Trial(_xgboost(3, 0.5), 30_000, 30, 3),
    Trial(_xgboost(6, 0.6), 12_000, 80, 2),
    Trial(_xgboost(8), 3_000, 150, 3),
    Trial(_xgboost(8), 16_000, 60, 2),
    Trial(_forest(12), 1_000, 20, 3),
    Trial(_forest(6), 2_000, 200, 2),
    Trial(_forest(16, 1), 4_000, 60, 3),
    Trial(_forest(12), 8_000, 20, 3),
    Trial(_forest(6), 12_000, 100, 3),
    Trial(_forest(12), 16_000, 200, 2),
    Trial(_forest(16, 1), 24_000, 40, 3),
    Trial(_forest(10), 40_000, 20, 3),
    Trial(_extra_trees(12), 1_000, 20, 3),
    Trial(_extra_trees(6), 2_000, 200, 2),
    Trial(_extra_trees(16, 1), 4_000, 60, 3),
    Trial(_extra_trees(12), 12_000, 100, 3),
    Trial(_extra_trees(16, 1), 20_000, 40, 3),
    Trial(_extra_trees(8), 40_000, 20, 2),
    Trial(_extra_trees(0), 12_000, 150, 2),
)
KINDS = tuple(dict.fromkeys(learners.kind_of(trial.parameters) for trial in TRIALS))
_SCORED_TIMES = 3  # the model, and the two baselines
_SCORED = ((500, 2, 100), (2_000, 3, 500), (8_000, 3, 1_000), (20_000, 2, 1_000))  # rows, classes, draws


def measure(
    trials: tuple[Trial, ...] = TRIALS, *, threads: int, seconds: float = FIT_SECONDS
) -> Iterator[Measured]:
    """Fit every trial for about `seconds`, and tell what each phase of it took; then the scores."""
    for trial in trials:
        yield from _measure_fit(trial, threads, seconds)
    for rows, classes, draws in _SCORED:
        yield _measure_scores(rows, classes, draws)


class Stopwatch:
    """Seconds since it was made or last asked. Where the clock ran ahead of the processor, others had it."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def lap(self) -> Seconds:
        wall, cpu = time.perf_counter(), time.process_time()
        spent = Seconds(cpu - self._cpu, wall - self._wall)
        self._wall, self._cpu = wall, cpu
        return Seconds(max(spent.cpu, 1e-6), max(1e-6, min(spent.wall, spent.cpu)))


def made_rows(rows: int, feature_count: int, class_count: int) -> tuple[Matrix, Classes]:
    """Noise, and classes that its first column tells a little of."""
    generator = np.random.default_rng(_SEED)
    features = generator.standard_normal((rows, feature_count), dtype=np.float32).astype(np.float64)
    return features, made_classes(features[:, 0], class_count)


def made_classes(told: npt.NDArray[np.float64], class_count: int) -> Classes:
    """Classes that a feature tells a little of."""
    latent = SIGNAL * told + np.random.default_rng(_SEED + 1).standard_normal(told.size)
    bounds = np.quantile(latent, np.arange(1, class_count) / class_count)
    return np.searchsorted(bounds, latent).astype(np.int8)


def _measure_fit(trial: Trial, threads: int, seconds: float) -> Iterator[Measured]:
    fitted, shape, prepared, round_seconds, features = _fit(trial, threads, seconds)
    kind, rounds = fitted.kind, shape.rounds
    yield Measured(kind, "prepare", prepare_terms(shape), prepared)
    yield Measured(kind, "round", round_terms(shape, threads), round_seconds * (1 / rounds))
    watch = Stopwatch()
    learners.predict_probabilities(fitted, features)
    model = replace(shape, predicted_rows=features.shape[0], rounds=fitted.rounds)  # cut to its best
    yield Measured(kind, "predict", predict_terms(model), watch.lap())
    watch = Stopwatch()
    tree_arrays(fitted)
    learners.native_bytes(fitted)
    yield Measured(kind, "keep", keep_terms(model), watch.lap())


def _fit(trial: Trial, threads: int, seconds: float) -> tuple[Fitted, FitShape, Seconds, Seconds, Matrix]:
    train_rows, stopping_rows = trial.train_rows, trial.stopping_rows
    features, classes = made_rows(train_rows + stopping_rows, trial.feature_count, trial.class_count)

    def table(part: slice) -> Table:
        return Table(features[part], classes[part], np.ones(classes[part].size))

    laps: list[Seconds] = []
    until: list[float] = []

    def check() -> bool:
        laps.append(watch.lap())
        if not until:
            until.append(time.perf_counter() + seconds)
        return time.perf_counter() > until[0] and len(laps) > FIRST_LAPS

    request = FitRequest(
        train=table(slice(0, train_rows)),
        validation=Validation(table(slice(train_rows, None)), _MANY_ROUNDS) if stopping_rows else None,
        class_count=trial.class_count,
        seed=_SEED,
        threads=threads,
        on_round=lambda _number, _loss: None,
        check=check,
    )
    watch = Stopwatch()
    fitted = learners.fit(trial.parameters, request)
    finishing = watch.lap()
    # The median, for some rounds are held up by what else runs on this host. What the first takes longer is
    # the library's: it lays out the rows once more.
    usual = _median(laps[FIRST_LAPS:])
    rounds = sum([usual] * (len(laps) - 1), finishing)
    prepared = laps[0]
    if learners.stops_early(trial.parameters):
        first = laps[1]
        prepared += Seconds(max(0.0, first.cpu - usual.cpu), max(0.0, first.wall - usual.wall))
    shape = FitShape(
        trial.parameters,
        train_rows,
        stopping_rows,
        0,
        trial.feature_count,
        trial.class_count,
        fitted.trained_rounds,
    )
    return fitted, shape, prepared, rounds, features


def _median(laps: Sequence[Seconds]) -> Seconds:
    return Seconds(
        statistics.median(each.cpu for each in laps), statistics.median(each.wall for each in laps)
    )


def _measure_scores(rows: int, class_count: int, draws: int) -> Measured:
    generator = np.random.default_rng(_SEED)
    truth = generator.integers(0, class_count, rows).astype(np.int8)
    truth[:class_count] = np.arange(class_count)
    probabilities = generator.dirichlet(np.ones(class_count), rows)
    names = tuple(str(index) for index in range(class_count))
    block_rows = max(1, rows // 50)
    watch = Stopwatch()
    for _ in range(_SCORED_TIMES):
        score(truth, probabilities.argmax(axis=1).astype(np.int8), probabilities, names)
    block_bootstrap(truth, probabilities, block_rows, draws, 0.95, generator)
    terms = score_terms(rows, class_count, draws, rows // block_rows)
    return Measured(SCORING, "score", terms, watch.lap())


def warm_up(kind: str, threads: int) -> None:
    """Load the library of a kind, and have it do what it does but once."""
    parameters = next(each.parameters for each in TRIALS if learners.kind_of(each.parameters) == kind)
    _fit(Trial(parameters, 200, 4, 3), threads, 0.0)
