"""Recipes: how a consumer of rows (a fold, the final model) learns, as the units it wants and what it makes
of them.

A recipe is a generator. It takes its rows from `splits`, gives up a slice of them to stop on, has features
chosen, yields tasks, is sent their outcomes in that order, may yield more, and returns what was learnt. It
neither fits nor waits, so that whoever runs recipes may fit the units of several at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.bundle.trees import tree_tensors
from services.training import splits
from services.training.export.golden import draw_golden_rows
from services.training.export.trees import graph_of
from services.training.labels import ReturnThresholds
from services.training.learners import ModelParameters, native_name
from services.training.learners.fitting import Weights
from services.training.plan import ClassWeight, TrainingPlan
from services.training.results import Learned, LearnedModel
from services.training.samples import Choose, Chosen, Samples, require_finite
from services.training.seeds import stream
from services.training.splits import Dropped, Rows
from services.training.units import FitOutcome, FitTask, Part
from services.training.weights import NO_WEIGHTS, SampleWeights, weigh

Recipe: TypeAlias = Generator[Sequence[FitTask], Sequence[FitOutcome], Learned]

Prove: TypeAlias = Callable[[str, Rows, Rows, Dropped], None]
"""Takes a consumer, its rows to learn from, those held out, and what was dropped between them."""


@dataclass(frozen=True, eq=False)
class Ground:
    """What all recipes of a run stand on. `choose` gives each consumer its features; None: all have those of
    the samples."""

    samples: Samples
    plan: TrainingPlan
    seed: int
    choose: Choose | None
    prove: Prove


def learn(
    ground: Ground, consumer: str, model: ModelParameters, rows: Rows, scored: Rows, *, keeps: bool = False
) -> Recipe:
    """Fit `model` on `rows`, less the slice to stop on; by what is left, classes are told apart and features
    chosen.

    Parameters
    ----------
    consumer : str
        `fold_3`, `final_model`…; names the units, the proofs and the random streams.
    scored : intp (scored,)
        Rows to predict; no consumer's rows to learn from.
    keeps : bool
        Whether the model itself is wanted.
    """
    samples, plan, stopping = ground.samples, ground.plan, ground.plan.early_stopping
    held_out = None
    if stopping is not None:
        rows, held_out, dropped = splits.early_stopping_slice(
            rows, samples.t0, samples.t1, stopping.fraction, plan.split.embargo
        )
        ground.prove(f"{consumer}.early_stopping", rows, held_out, dropped)
    not_learnt = scored if held_out is None else np.append(held_out, scored)
    ground, thresholds = _decide(ground, consumer, rows, not_learnt)
    samples = ground.samples
    weights = _weights(samples, rows, plan.sample_weights)
    by_class = _class_weights(ground, rows, weights)
    chosen = _choose(ground, consumer, rows, weights * by_class[samples.classes[rows]], not_learnt)

    def part(some: Rows, some_weights: Weights) -> Part:
        classes = samples.classes[some]
        return Part(some, classes, some_weights * by_class[classes])

    not_decaying = replace(plan.sample_weights, oldest_weight=1.0)  # the slice is the newest rows
    golden = draw_golden_rows(chosen.features, stream(ground.seed, "golden_rows")) if keeps else None
    [outcome] = yield [
        FitTask(
            key=consumer,
            parameters=model,
            matrix=chosen.features,
            train=part(rows, weights),
            stopping=(
                None if held_out is None else part(held_out, _weights(samples, held_out, not_decaying))
            ),
            patience_rounds=0 if stopping is None else stopping.patience_rounds,
            predicted=scored,
            golden=golden,
            class_count=len(samples.class_names),
            seed=int(stream(ground.seed, consumer).integers(2**31 - 1)),
            threads=plan.threads,
        )
    ]
    return Learned(
        kind=outcome.kind,
        feature_names=chosen.feature_names,
        rounds=outcome.rounds,
        trained_rounds=outcome.trained_rounds,
        validation_losses=outcome.validation_losses,
        importances=outcome.importances,
        probabilities=outcome.probabilities,
        return_thresholds=thresholds,
        model=_model_of(outcome) if keeps else None,
    )


def _model_of(outcome: FitOutcome) -> LearnedModel:
    kept = outcome.kept
    assert kept is not None, "a task with golden rows keeps its model"
    return LearnedModel(
        graph=graph_of(outcome),
        arrays=tree_tensors("trees", kept.trees),
        golden=kept.golden,
        native_files={} if kept.native is None else {native_name(outcome.kind): kept.native},
    )


def _decide(
    ground: Ground, consumer: str, rows: Rows, held_out: Rows
) -> tuple[Ground, ReturnThresholds | None]:
    """The ground as a consumer sees it that learns from `rows`: the classes are those by its thresholds."""
    thresholds = ground.samples.thresholds_of(rows)
    if thresholds is None:
        return ground, None
    ground.prove(f"{consumer}.return_thresholds", rows, held_out, Dropped(0, 0))
    return replace(ground, samples=ground.samples.decided(thresholds)), thresholds


def _choose(ground: Ground, consumer: str, rows: Rows, weights: Weights, held_out: Rows) -> Chosen:
    if ground.choose is None:
        return Chosen(ground.samples.features, ground.samples.feature_names)
    consumer = f"{consumer}.selection"
    ground.prove(consumer, rows, held_out, Dropped(0, 0))
    seed = int(stream(ground.seed, consumer).integers(2**31 - 1))
    chosen = ground.choose(consumer, rows, ground.samples.classes[rows], weights, seed)
    require_finite(chosen)
    return chosen


def _weights(samples: Samples, rows: Rows, plan: SampleWeights) -> Weights:
    """Weight of each of `rows`, from their own label intervals."""
    weights = samples.weights[rows]
    if plan == NO_WEIGHTS:
        return weights
    if samples.path is None:
        raise ValueError("Sample weights need the path that the labels were read from.")
    return weights * weigh(plan, samples.path, samples.t0[rows], samples.t1[rows])


def _class_weights(ground: Ground, rows: Rows, weights: Weights) -> npt.NDArray[np.float64]:
    """Weight of each class (classes,), from the rows to be fitted alone."""
    samples = ground.samples
    class_count = len(samples.class_names)
    if ground.plan.class_weight is ClassWeight.NONE:
        return np.ones(class_count)
    masses = np.bincount(samples.classes[rows], weights, class_count)
    present = masses > 0
    return np.where(present, masses.sum() / (present.sum() * np.where(present, masses, 1.0)), 1.0)
