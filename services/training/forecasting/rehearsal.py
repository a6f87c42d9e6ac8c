"""The rehearsal of a job: its recipes are run with made-up rows, and nobody fits.

So the forecast has every fit that the job will have, of ensembles too, on as many rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from marketml.rpc.refusals import FailedPrecondition, Reason
from services.training import labels, learners, splits
from services.training.forecasting.cost_model import FitShape
from services.training.job_plan import JobPlan
from services.training.jobs import JobStage
from services.training.learners import ModelParameters
from services.training.models.ensembles import Bagging, Stacking
from services.training.models.recipes import Ground, Recipe, learn
from services.training.rooms import Source
from services.training.samples import Samples
from services.training.search.space import (
    Integer,
    OneOf,
    Range,
    Value,
    applied,
    in_order,
    is_open,
    nearest,
)
from services.training.seeds import stream
from services.training.weights import NO_WEIGHTS
from services.training.workshop.alone import finish
from services.training.workshop.units import FitOutcome, FitTask

REHEARSED_ROWS_MAX = 50_000  # of more rows, so many are rehearsed and the counts are scaled
DRAWN_MODELS = 16  # of the space of a search
_OUT_OF_FOLD = ".stacking_"  # in the keys of units of a final model that leave no trees in it


@dataclass(frozen=True)
class Rehearsed:
    """A unit that the job would fit, and the stage it belongs to."""

    stage: JobStage
    shape: FitShape


def rehearse(plan: JobPlan, rows: int, source: Source) -> list[Rehearsed]:
    """Every unit that the job would fit beside those of a search, in order.

    Raises
    ------
    FailedPrecondition
        Too little data for its splits.
    """
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


def searched_models(plan: JobPlan) -> list[ModelParameters]:
    """The model of a search, and models drawn from its space: what its trials are like."""
    search, model = plan.training.search, plan.training.model
    assert search is not None
    assert not isinstance(model, Bagging | Stacking), "a plan that searches has a single model"
    generator = stream(plan.seed, "rehearsal")
    found: list[ModelParameters] = [model]
    for _ in range(min(search.trials, DRAWN_MODELS) - 1):
        values: dict[str, Value] = {}
        for name in in_order(search.space):
            if is_open(search.space[name], values):
                values[name] = _drawn(search.space[name].range, generator)
        found.append(applied(model, values))
    return found


def _drawn(range_: Range, generator: np.random.Generator) -> Value:
    if isinstance(range_, OneOf):
        return range_.values[generator.integers(len(range_.values))]
    low, high = float(range_.low), float(range_.high)
    if range_.log:
        value = math.exp(generator.uniform(math.log(low), math.log(high)))
    else:
        value = float(generator.uniform(low, high))
    whole = round(value) if isinstance(range_, Integer) else value
    return nearest(range_, whole) or whole


def class_names(plan: JobPlan) -> tuple[str, ...]:
    """The classes of a label, before there is one."""
    is_binary = plan.is_binary or isinstance(plan.label, labels.MetaLabel)
    return labels.BINARY if is_binary else labels.THREE_WAY


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
        is_kept=is_final and _OUT_OF_FOLD not in task.key,
    )


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
    names = class_names(plan)
    return Samples(
        features=np.broadcast_to(0.0, (rows, source.chosen_count)),
        feature_names=tuple(f"feature_{index}" for index in range(source.chosen_count)),
        classes=(np.arange(rows) % len(names)).astype(np.int8),
        t0=t0,
        t1=t0 + labels.horizon_of(plan.label) * bar,
        class_names=names,
        weights=np.ones(rows),
    )
