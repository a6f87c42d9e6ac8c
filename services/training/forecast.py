"""The forecast of a job: its fits are rehearsed with made-up rows, and each is priced by the cost model.

The recipes that the job would run are run here, so that the forecast has every fit that the job will have,
on as many rows; only nobody fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from marketml.rpc.refusals import FailedPrecondition, Reason
from services.training import labels, learners, splits
from services.training.cost_model import (
    NOTHING,
    FitShape,
    HostCosts,
    Seconds,
    fit_seconds,
    leaf_count,
    score_terms,
    trees_a_round,
)
from services.training.export.golden import GOLDEN_ROWS
from services.training.job_plan import JobPlan
from services.training.jobs import JobStage
from services.training.learners.extra_trees import ExtraTreesParameters
from services.training.learners.forest import ForestParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.xgboost import XgboostParameters
from services.training.planned import Forecast, StageForecast
from services.training.recipes import Ground, Recipe, learn
from services.training.rooms import Source
from services.training.samples import Samples
from services.training.units import FitOutcome, FitTask
from services.training.weights import NO_WEIGHTS
from services.training.workshop import finish

REHEARSED_ROWS_MAX = 50_000  # of more rows, so many are rehearsed and the counts are scaled
SCORING = "scoring"
_VALUE_BYTES = 8
# Of a worker that holds features: the stream's pieces beside the frame that is made of them; then the frame,
# and the samples' rows of it.
_ARRIVING_COPIES = 2.0
_KEPT_COPIES = 2.0
_HISTOGRAM_BYTES = 16  # gradient and Hessian of a bin, in double precision
_NODE_BYTES, _LEAF_BYTES = 21, 8  # in a bundle's arrays
_NATIVE_LEAF_BYTES = {"lightgbm": 130, "xgboost": 60}
_MANIFEST_BYTES, _FEATURE_BYTES, _FOLD_BYTES = 8_000, 120, 2_500
_ARRIVAL_BYTES_A_SECOND = 250e6


@dataclass(frozen=True)
class Rehearsed:
    """A unit that the job would fit, and how many rows of its kind are scored by the stage it belongs to."""

    stage: JobStage
    shape: FitShape


def forecast_job(
    plan: JobPlan, source: Source, costs: HostCosts, expected_rounds: int | None = None
) -> Forecast:
    """Price every stage of a job.

    Parameters
    ----------
    expected_rounds : int, optional
        What a fit that may stop early is expected to take; None: all that it may.

    Raises
    ------
    FailedPrecondition
        Too little data for its splits.
    """
    rows = row_count(plan, source)
    units = rehearse(plan, rows, source)
    most = _stages(plan, source, units, costs, rows)
    stops = plan.training.early_stopping is not None
    likely = most
    if expected_rounds is not None and stops:
        likely = _stages(plan, source, [_shortened(each, expected_rounds) for each in units], costs, rows)
    return Forecast(
        row_count=rows,
        feature_count=source.chosen_count,
        fit_count=len(units),
        stages=likely,
        stages_at_most=most,
        peak_memory_bytes=peak_memory_bytes(source, units, costs, rows),
        bundle_bytes=bundle_bytes(plan, units, source.chosen_count),
    )


def row_count(plan: JobPlan, source: Source) -> int:
    """Rows with features and a label, at most: every bar that is warmed up and whose outcome is known."""
    lost_at_start = max(source.warm_up_bars, _window_bars(plan.label))
    return max(0, source.bar_count - lost_at_start - labels.horizon_of(plan.label))


def rehearse(plan: JobPlan, rows: int, source: Source) -> list[Rehearsed]:
    """Every unit that the job would fit, in order."""
    if not rows:
        raise FailedPrecondition(
            "dataset",
            f"{source.bar_count} bars leave no row with features and a label.",
            Reason.TOO_LITTLE_DATA,
        )
    counted = min(rows, REHEARSED_ROWS_MAX)
    samples = _made_samples(plan, counted, source)
    split = plan.training.split
    train, test, _ = splits.final_test_split(samples.t0, samples.t1, split.test_fraction, split.embargo)
    ground = Ground(
        samples,
        replace(plan.training, sample_weights=NO_WEIGHTS),
        plan.seed,
        choose=None,
        prove=lambda *_: None,
    )
    found: list[Rehearsed] = []

    def run(recipe: Recipe, stage: JobStage) -> None:
        is_final = stage is JobStage.FINAL_FIT

        def record(tasks: Sequence[FitTask]) -> list[FitOutcome]:
            found.extend(Rehearsed(stage, _shape(task, rows / counted, is_final)) for task in tasks)
            return [_made_outcome(task) for task in tasks]

        finish(recipe, record)

    folds = splits.split_folds(samples.t0, samples.t1, split.method, split.embargo, train)
    for number, fold in enumerate(folds, start=1):
        recipe = learn(ground, f"fold_{number}", plan.training.model, fold.train, fold.test)
        run(recipe, JobStage.CROSS_VALIDATION)
    run(learn(ground, "final_model", plan.training.model, train, test), JobStage.FINAL_FIT)
    return found


def peak_memory_bytes(source: Source, units: Sequence[Rehearsed], costs: HostCosts, rows: int) -> int:
    """Resident memory of the worker, at its highest: while the features arrive, or in the largest fit."""
    matrix = rows * source.chosen_count * _VALUE_BYTES
    arriving = source.bar_count * source.feature_count * _VALUE_BYTES * _ARRIVING_COPIES
    kinds = {learners.kind_of(each.shape.parameters) for each in units}
    loaded = costs.idle_bytes + sum(costs.library_bytes[kind] for kind in kinds)
    largest = max(_fit_bytes(each.shape) for each in units)
    return math.ceil(max(costs.idle_bytes + arriving, loaded + _KEPT_COPIES * matrix + largest))


def bundle_bytes(plan: JobPlan, units: Sequence[Rehearsed], feature_count: int) -> int:
    """Size of the bundle: its trees twice (arrays, and the library's own file), golden rows, the manifest."""
    found = _MANIFEST_BYTES + _FEATURE_BYTES * feature_count
    found += _FOLD_BYTES * plan.training.split.method.fold_count
    for each in units:
        if each.shape.is_kept:
            found += _trees_bytes(each.shape)
    return found + (GOLDEN_ROWS + 4) * feature_count * _VALUE_BYTES


def _fit_bytes(shape: FitShape) -> float:
    """What one fit holds beside the samples: its own rows, the library's form of them, histograms, trees."""
    rows, features = shape.train_rows + shape.stopping_rows, shape.feature_count
    own = rows * features * _VALUE_BYTES
    leaves = leaf_count(shape)
    trees = shape.rounds * trees_a_round(shape) * leaves * 4 * (_NODE_BYTES + _LEAF_BYTES)
    match shape.parameters:
        case LightgbmParameters() as boosting:
            wide = 2 if boosting.max_bin > 255 else 1
            histograms = leaves * features * min(boosting.max_bin, rows) * _HISTOGRAM_BYTES
            return own + rows * features * wide + histograms + trees
        case XgboostParameters() as boosting:
            wide = 2 if boosting.max_bin > 256 else 1
            histograms = 2 * leaves * features * min(boosting.max_bin, rows) * _HISTOGRAM_BYTES
            return own + 2 * rows * features * wide + histograms + trees
        case ForestParameters() | ExtraTreesParameters():
            return own + rows * features * 4 + trees


def _trees_bytes(shape: FitShape) -> int:
    trees, leaves = shape.rounds * trees_a_round(shape), leaf_count(shape)
    kind = learners.kind_of(shape.parameters)
    width = 1 if learners.stops_early(shape.parameters) else shape.class_count
    each = (leaves - 1) * _NODE_BYTES + leaves * (_LEAF_BYTES * width + _NATIVE_LEAF_BYTES.get(kind, 0))
    return math.ceil(trees * each)


def _stages(
    plan: JobPlan, source: Source, units: Sequence[Rehearsed], costs: HostCosts, rows: int
) -> tuple[StageForecast, ...]:
    """Every stage of the job."""
    training = plan.training
    fits = dict.fromkeys((JobStage.CROSS_VALIDATION, JobStage.FINAL_FIT), NOTHING)
    for each in units:
        fits[each.stage] += fit_seconds(costs, each.shape, training.threads)
    for kind in {learners.kind_of(each.shape.parameters) for each in units}:
        fits[JobStage.CROSS_VALIDATION] += costs.library_start[kind]
    folds, classes = training.split.method.fold_count, len(_class_names(plan))
    held_out = max((each.shape.predicted_rows for each in units), default=0)
    scored = costs.seconds(SCORING, "score", score_terms(held_out, classes))
    blocks = rows * training.split.test_fraction / max(1, labels.horizon_of(plan.label))
    tested = score_terms(
        round(rows * training.split.test_fraction), classes, training.interval_draws, round(blocks)
    )
    arriving = source.bar_count * source.feature_count * _VALUE_BYTES / _ARRIVAL_BYTES_A_SECOND
    computed = source.bar_count * source.features_cost / 1e6
    return (
        StageForecast(JobStage.SNAPSHOT, costs.start),
        StageForecast(JobStage.FEATURES, Seconds(arriving, arriving + computed)),
        StageForecast(JobStage.CROSS_VALIDATION, fits[JobStage.CROSS_VALIDATION] + scored * folds),
        StageForecast(JobStage.FINAL_FIT, fits[JobStage.FINAL_FIT]),
        StageForecast(JobStage.FINAL_TEST, costs.seconds(SCORING, "score", tested)),
    )


def _shape(task: FitTask, scale: float, is_final: bool) -> FitShape:
    def scaled(count: int) -> int:
        return round(count * scale)

    return FitShape(
        parameters=task.parameters,
        train_rows=scaled(task.train.rows.size),
        stopping_rows=0 if task.stopping is None else scaled(task.stopping.rows.size),
        predicted_rows=scaled(task.predicted.size),
        feature_count=task.matrix.shape[1],
        class_count=task.class_count,
        rounds=learners.rounds_of(task.parameters),
        is_kept=is_final,
    )


def _shortened(unit: Rehearsed, rounds: int) -> Rehearsed:
    shape = unit.shape
    if not shape.stopping_rows:
        return unit
    return replace(unit, shape=replace(shape, rounds=min(shape.rounds, rounds)))


def _made_outcome(task: FitTask) -> FitOutcome:
    """What a fit might have left."""
    features, classes = task.matrix.shape[1], task.class_count
    return FitOutcome(
        kind=learners.kind_of(task.parameters),
        class_count=classes,
        feature_count=features,
        rounds=learners.rounds_of(task.parameters),
        trained_rounds=learners.rounds_of(task.parameters),
        validation_losses=(),
        importances=np.full(features, 1.0 / features),
        probabilities=np.full((task.predicted.size, classes), 1.0 / classes),
        kept=None,
    )


def _made_samples(plan: JobPlan, rows: int, source: Source) -> Samples:
    """Decisions at every bar, whose outcomes are known after the label's horizon."""
    bar = int(source.timeframe / timedelta(microseconds=1))
    t0 = np.arange(rows, dtype=np.int64) * bar
    names = _class_names(plan)
    return Samples(
        features=np.broadcast_to(0.0, (rows, source.chosen_count)),
        feature_names=tuple(f"feature_{index}" for index in range(source.chosen_count)),
        classes=(np.arange(rows) % len(names)).astype(np.int8),
        t0=t0,
        t1=t0 + labels.horizon_of(plan.label) * bar,
        class_names=names,
        weights=np.ones(rows),
    )


def _class_names(plan: JobPlan) -> tuple[str, ...]:
    is_binary = plan.is_binary or isinstance(plan.label, labels.MetaLabel)
    return labels.BINARY if is_binary else labels.THREE_WAY


def _window_bars(rule: Any) -> int:
    """The longest window that a label rule looks back over."""
    found = 0
    for each in fields(rule):
        value = getattr(rule, each.name)
        if each.name in ("window_bars", "slow_bars"):
            found = max(found, int(value))
        elif is_dataclass(value):
            found = max(found, _window_bars(value))
    return found
