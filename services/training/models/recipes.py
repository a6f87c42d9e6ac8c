"""Recipes: how a consumer of rows (a fold, the final model) learns, as the units it wants and what it makes
of them.

    rows ──► slice to calibrate and decide by ───────────────────────────────► calibrator, thresholds
      └────► slice to stop on ─► features chosen on the rest ─► units ─► probabilities ──┘

A recipe is a generator. It takes its rows from `splits`, gives up slices of them, has features chosen, yields
tasks, is sent their outcomes in that order, may yield more, and returns what was learnt. It neither fits nor
waits, so that whoever runs recipes may fit the units of several at once. What is not a unit it does itself: a
calibrator, thresholds, the logistic regression of a stack.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from services.training.export.ensembles import calibrated_piece, model_of
from services.training.export.golden import draw_golden_rows
from services.training.labels import ReturnThresholds
from services.training.learners.fitting import Weights
from services.training.models import ensembles
from services.training.models.calibrators import fit_calibrator
from services.training.models.compositions import (
    Means,
    Prove,
    Stand,
    compose,
    give_up_newest,
    weights_of,
)
from services.training.models.decisions import choose_thresholds, decide
from services.training.models.ensembles import Model
from services.training.plan import ClassWeight, TrainingPlan
from services.training.results import Learned
from services.training.samples import Choose, Chosen, Samples, require_finite
from services.training.seeds import stream
from services.training.splits import Dropped, Rows
from services.training.workshop.units import FitOutcome, FitTask

Recipe: TypeAlias = Generator[Sequence[FitTask], Sequence[FitOutcome], Learned]


@dataclass(frozen=True, eq=False)
class Ground:
    """What all recipes of a run stand on. `choose` gives each consumer its features; None: all have those of
    the samples. `is_cut` says whether a stop ended the unit of a key before its time."""

    samples: Samples
    plan: TrainingPlan
    seed: int
    choose: Choose | None
    prove: Prove
    is_cut: Callable[[str], bool] = lambda _: False


def learn(
    ground: Ground, consumer: str, model: Model, rows: Rows, scored: Rows, *, keeps: bool = False
) -> Recipe:
    """Fit `model` on `rows`, less the slices to calibrate, decide and stop by; by what is left, classes are
    told apart and features chosen.

    Parameters
    ----------
    consumer : str
        `fold_3`, `final_model`…; names the units, the proofs and the random streams.
    scored : intp (scored,)
        Rows to predict; no consumer's rows to learn from.
    keeps : bool
        Whether the model itself is wanted.
    """
    plan, judged = ground.plan, None
    if plan.calibration is not None or plan.decision_thresholds is not None:
        rows, judged = _give_up_judged(ground, consumer, rows)
    held_out = scored if judged is None else np.append(judged, scored)
    stand, thresholds = _settle(ground, consumer, model, rows, held_out)
    if keeps:
        golden = draw_golden_rows(stand.chosen.features, stream(ground.seed, "golden_rows"))
        stand = replace(stand, golden=golden)
    decided = replace(ground, samples=stand.samples)

    def settle(name: str, some: Rows, predicted: Rows) -> Stand:
        return _settle(decided, name, model, some, predicted)[0]

    composed = yield from compose(model, stand, Means(settle, ground.prove, ground.is_cut))
    probabilities, piece, decision = composed.probabilities, composed.piece, None
    if judged is not None:
        classes = stand.samples.classes[judged]
        if plan.calibration is not None:
            not_decaying = replace(plan.sample_weights, oldest_weight=1.0)  # the slice is the newest rows
            weights = weights_of(stand.samples, judged, not_decaying)
            by = probabilities[: judged.size]
            calibrator = fit_calibrator(plan.calibration.method, by, classes, weights)
            probabilities = calibrator.correct(probabilities)
            piece = None if piece is None else calibrated_piece(piece, calibrator)
        if plan.decision_thresholds is not None:
            by = probabilities[: judged.size]
            decision = choose_thresholds(plan.decision_thresholds.metric, by, classes)
        probabilities = probabilities[judged.size :]
    return Learned(
        kind=ensembles.kind_of(model),
        members=composed.members,
        feature_names=stand.chosen.feature_names,
        importances=composed.importances,
        probabilities=probabilities,
        predicted=decide(probabilities, decision),
        return_thresholds=thresholds,
        model=None if piece is None or stand.golden is None else model_of(piece, stand.golden, decision),
    )


def _give_up_judged(ground: Ground, consumer: str, rows: Rows) -> tuple[Rows, Rows]:
    """The rows less the slice that calibrates, or that thresholds are chosen by, and that slice."""
    plan, samples = ground.plan, ground.samples
    name, by = "calibration", plan.calibration or plan.decision_thresholds
    assert by is not None, "there is something to judge by the slice"
    if plan.calibration is None:
        name = "decision_thresholds"
    return give_up_newest(samples, plan, f"{consumer}.{name}", rows, by.fraction, ground.prove)


def _settle(
    ground: Ground, consumer: str, model: Model, whole: Rows, held_out: Rows
) -> tuple[Stand, ReturnThresholds | None]:
    """Give up a slice of `whole` to stop on, decide the classes and choose the features by the rest."""
    plan, samples, stopping, rows = ground.plan, ground.samples, None, whole
    if plan.early_stopping is not None and ensembles.members_stop_early(model):
        rows, stopping = give_up_newest(
            samples, plan, f"{consumer}.early_stopping", whole, plan.early_stopping.fraction, ground.prove
        )
    not_learnt = held_out if stopping is None else np.append(stopping, held_out)
    ground, thresholds = _decide(ground, consumer, rows, not_learnt)
    weights = weights_of(ground.samples, rows, plan.sample_weights)
    by_class = _class_weights(ground, rows, weights)
    stand = Stand(
        consumer=consumer,
        samples=ground.samples,
        plan=plan,
        seed=ground.seed,
        rows=rows,
        stopping=stopping,
        whole=whole,
        by_class=by_class,
        chosen=_choose(ground, consumer, rows, weights * by_class[ground.samples.classes[rows]], not_learnt),
        predicted=held_out,
        golden=None,
    )
    return stand, thresholds


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


def _class_weights(ground: Ground, rows: Rows, weights: Weights) -> npt.NDArray[np.float64]:
    """Weight of each class (classes,), from the rows to be fitted alone."""
    samples = ground.samples
    class_count = len(samples.class_names)
    if ground.plan.class_weight is ClassWeight.NONE:
        return np.ones(class_count)
    masses = np.bincount(samples.classes[rows], weights, class_count)
    present = masses > 0
    return np.where(present, masses.sum() / (present.sum() * np.where(present, masses, 1.0)), 1.0)
