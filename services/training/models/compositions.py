"""Compositions: how a model, single or an ensemble, is made of units for one consumer of rows.

single      one fit
bagging     a fit for each member, on a bootstrap of the consumer's rows
stacking    base models on all rows, and on the rows of purged folds, each of which they then predict; a
            meta model on what they predicted
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from services.training import learners, splits
from services.training.export.ensembles import Piece, linear_piece, mean_piece, stacked_piece, tree_piece
from services.training.learners import ModelParameters, logistic
from services.training.learners.fitting import Matrix, Probabilities, Table, Weights
from services.training.learners.logistic import LogisticParameters
from services.training.models.bootstraps import draw_blocks, draw_sequentially
from services.training.models.ensembles import Bagging, Bootstrap, Model, Stacking, mean_of
from services.training.plan import TrainingPlan
from services.training.results import Member
from services.training.samples import Chosen, Samples
from services.training.seeds import stream
from services.training.splits import Dropped, Rows
from services.training.weights import NO_WEIGHTS, SampleWeights, weigh_each
from services.training.workshop.units import FitOutcome, FitTask, Part

Prove: TypeAlias = Callable[[str, Rows, Rows, Dropped], None]
"""Takes a consumer, its rows to learn from, those held out, and what was dropped between them."""


def give_up_newest(
    samples: Samples, plan: TrainingPlan, consumer: str, given: Rows, fraction: float, prove: Prove
) -> tuple[Rows, Rows]:
    """The rows given less the newest slice of them, and that slice: purged, and proven under `consumer`.

    Raises
    ------
    FailedPrecondition
        A row of either is none of those given, or too few are left.
    """
    rows, newest, dropped = splits.newest_slice(given, samples.t0, samples.t1, fraction, plan.split.embargo)
    splits.require_taken_from(given, rows, newest)
    prove(consumer, rows, newest, dropped)
    return rows, newest


@dataclass(frozen=True, eq=False)
class Stand:
    """Where a consumer stands when it begins to fit.

    Attributes
    ----------
    consumer : str
        `fold_3`, `final_model.stacking_2`…; names units, proofs and random streams.
    rows, stopping : intp
        Rows to fit, and those to stop on, which come after them.
    whole : intp
        Those and what was given up between them: the rows that the consumer may learn from.
    by_class : float64 (classes,)
        Weight of each class, of the rows to fit.
    chosen : Chosen
        The features, over all rows of the samples.
    predicted : intp
        Rows whose probabilities are wanted.
    golden : float64 (golden, features), optional
        If the model itself is wanted.
    """

    consumer: str
    samples: Samples
    plan: TrainingPlan
    seed: int
    rows: Rows
    stopping: Rows | None
    whole: Rows
    by_class: Weights
    chosen: Chosen
    predicted: Rows
    golden: npt.NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Composed:
    """What a model has learnt: the probabilities of the rows to predict, the share of each feature, what it
    is made of, and if it is wanted, itself."""

    probabilities: Probabilities
    importances: npt.NDArray[np.float64]
    members: tuple[Member, ...]
    piece: Piece | None


Composition: TypeAlias = Generator[Sequence[FitTask], Sequence[FitOutcome], Composed]


@dataclass(frozen=True, eq=False)
class Means:
    """What a composition asks of the run.

    Attributes
    ----------
    settle : callable
        Makes the stand of an out-of-fold fit, from its name, its rows and those to predict.
    prove : callable
    is_cut : callable
        Whether a stop ended the unit of that key before its time.
    """

    settle: Callable[[str, Rows, Rows], Stand]
    prove: Prove
    is_cut: Callable[[str], bool]


def compose(model: Model, stand: Stand, means: Means) -> Composition:
    """The units of a model, and what comes of their outcomes."""
    match model:
        case Bagging():
            return _bag(model, stand, means)
        case Stacking():
            return _stack(model, stand, means)
        case _:
            return _fit_one(model, stand)


def _fit_one(model: ModelParameters, stand: Stand) -> Composition:
    [outcome] = yield [_task(stand, stand.consumer, model)]
    piece = None if outcome.kept is None else tree_piece(outcome, "trees", "probabilities", is_alone=True)
    return Composed(outcome.probabilities, outcome.importances, (_member(outcome),), piece)


def _bag(model: Bagging, stand: Stand, means: Means) -> Composition:
    """Every member's bootstrap is its own, by its own random stream."""
    tasks = []
    for number in range(1, model.members + 1):
        key = f"{stand.consumer}.member_{number}"
        tasks.append(_task(stand, key, model.model_of(number - 1), _bootstrap(model, stand, key)))
    outcomes = yield tasks
    return _average(_uncut(tasks, outcomes, means.is_cut), stand)


def _stack(model: Stacking, stand: Stand, means: Means) -> Composition:
    """The base models that answer come first: if a stop cuts what follows, those that there are answer by
    their mean."""
    samples, name = stand.samples, stand.consumer
    folds = splits.split_folds(
        samples.t0, samples.t1, splits.KFold(model.folds), stand.plan.split.embargo, stand.whole
    )
    tasks = [
        _task(stand, f"{name}.base_{number}", base) for number, base in enumerate(model.base_models, start=1)
    ]
    for number, fold in enumerate(folds, start=1):
        consumer = f"{name}.stacking_{number}"
        splits.require_taken_from(stand.whole, fold.train, fold.test)
        means.prove(consumer, fold.train, fold.test, Dropped(fold.purged_count, fold.embargoed_count))
        inner = means.settle(consumer, fold.train, fold.test)
        tasks += [
            _task(inner, f"{consumer}.base_{each}", base)
            for each, base in enumerate(model.base_models, start=1)
        ]
    outcomes = yield tasks
    count = len(model.base_models)
    bases = outcomes[:count]
    if any(means.is_cut(task.key) for task in tasks):
        return _average(_uncut(tasks[:count], bases, means.is_cut), stand)

    classes = len(samples.class_names)
    seen = np.empty((stand.whole.size, count * classes))
    for number, fold in enumerate(folds, start=1):
        answers = [each.probabilities for each in outcomes[number * count : (number + 1) * count]]
        seen[np.searchsorted(stand.whole, fold.test)] = np.hstack(answers)
    matrix = np.concatenate((seen, np.hstack([base.probabilities for base in bases])))
    golden = None
    if stand.golden is not None:
        golden = np.hstack([base.kept.golden.probabilities for base in bases if base.kept is not None])
    if model.passthrough:
        shown = np.concatenate((stand.chosen.features[stand.whole], stand.chosen.features[stand.predicted]))
        matrix = np.hstack((matrix, shown))
        golden = None if golden is None or stand.golden is None else np.hstack((golden, stand.golden))
    return (yield from _fit_meta(model, stand, means, bases, matrix, golden))


def _fit_meta(
    model: Stacking,
    stand: Stand,
    means: Means,
    bases: Sequence[FitOutcome],
    matrix: Matrix,
    golden: npt.NDArray[np.float64] | None,
) -> Composition:
    """Fit the meta model on the first rows of `matrix`, those of `stand.whole`, and predict the rest."""
    meta, plan, samples = model.meta_model, stand.plan, stand.samples
    importances = _mean_shares(bases)
    members = tuple(_member(base) for base in bases)
    first = stand.whole.size
    if isinstance(meta, LogisticParameters):
        part = _part(stand, stand.whole, plan.sample_weights)
        table = Table(matrix[:first], part.classes, part.weights)
        linear = logistic.fit(meta, table, len(samples.class_names))
        piece = None
        if golden is not None:
            answers = logistic.probabilities(linear, golden)
            piece = stacked_piece(bases, linear_piece(linear, answers), passthrough=model.passthrough)
        return Composed(logistic.probabilities(linear, matrix[first:]), importances, members, piece)
    key, rows, held_out = f"{stand.consumer}.meta", stand.whole, None
    if plan.early_stopping is not None and learners.stops_early(meta):
        rows, held_out = give_up_newest(
            samples, plan, f"{key}.early_stopping", rows, plan.early_stopping.fraction, means.prove
        )
    task = _task(replace(stand, rows=rows, stopping=held_out), key, meta)
    at = np.searchsorted(stand.whole, rows)
    stops = None
    if task.stopping is not None:
        stops = replace(task.stopping, rows=np.searchsorted(stand.whole, task.stopping.rows))
    [outcome] = yield [
        replace(
            task,
            matrix=matrix,
            train=replace(task.train, rows=at),
            stopping=stops,
            predicted=np.arange(first, matrix.shape[0]),
            golden=golden,
        )
    ]
    piece = None
    if outcome.kept is not None:
        trees = tree_piece(outcome, "meta", "stacked", source="joined")
        piece = stacked_piece(bases, trees, passthrough=model.passthrough)
    return Composed(outcome.probabilities, importances, (*members, _member(outcome)), piece)


def _average(outcomes: Sequence[FitOutcome], stand: Stand) -> Composed:
    """The mean of what members answer, added up in their order as a bundle's reader does."""
    pieces = None
    if stand.golden is not None:
        pieces = [
            tree_piece(each, f"member_{number}", f"member_{number}_probabilities")
            for number, each in enumerate(outcomes, start=1)
        ]
    return Composed(
        mean_of([each.probabilities for each in outcomes]),
        _mean_shares(outcomes),
        tuple(_member(each) for each in outcomes),
        None if pieces is None else mean_piece(pieces),
    )


def _uncut(
    tasks: Sequence[FitTask], outcomes: Sequence[FitOutcome], is_cut: Callable[[str], bool]
) -> list[FitOutcome]:
    """The members that no stop ended before their time; if there is none, the one with the most rounds."""
    whole = [outcome for task, outcome in zip(tasks, outcomes, strict=True) if not is_cut(task.key)]
    return whole or [max(outcomes, key=lambda outcome: outcome.trained_rounds)]


def _mean_shares(outcomes: Sequence[FitOutcome]) -> npt.NDArray[np.float64]:
    """The mean of the members' shares; a member that split nothing has none."""
    found = np.sum([each.importances for each in outcomes], axis=0)
    total = float(found.sum())
    return np.asarray(found / total if total > 0 else found, dtype=np.float64)


def _member(outcome: FitOutcome) -> Member:
    return Member(outcome.kind, outcome.rounds, outcome.trained_rounds, outcome.validation_losses)


def _bootstrap(model: Bagging, stand: Stand, key: str) -> Rows:
    """The rows of one member, ascending; some repeat."""
    rows, generator = stand.rows, stream(stand.seed, f"{key}.bootstrap")
    count = max(1, round(model.bootstrap_fraction * rows.size))
    if model.bootstrap is Bootstrap.BLOCKS:
        return rows[draw_blocks(rows.size, count, model.block_rows, generator)]
    samples = stand.samples
    symbols = None if samples.symbols is None else samples.symbols[rows]
    return rows[draw_sequentially(samples.t0[rows], samples.t1[rows], count, generator, symbols)]


def _task(stand: Stand, key: str, model: ModelParameters, drawn: Rows | None = None) -> FitTask:
    """A fit on the stand's rows, or on those drawn of them."""
    plan, early = stand.plan, stand.plan.early_stopping
    train = _part(stand, stand.rows, plan.sample_weights)
    if drawn is not None:
        at = np.searchsorted(stand.rows, drawn)
        train = Part(drawn, train.classes[at], train.weights[at])
    stopping = None
    if stand.stopping is not None and learners.stops_early(model):
        not_decaying = replace(plan.sample_weights, oldest_weight=1.0)  # the slice is the newest rows
        stopping = _part(stand, stand.stopping, not_decaying)
    return FitTask(
        key=key,
        parameters=model,
        matrix=stand.chosen.features,
        train=train,
        stopping=stopping,
        patience_rounds=0 if early is None else early.patience_rounds,
        predicted=stand.predicted,
        golden=stand.golden,
        class_count=len(stand.samples.class_names),
        seed=int(stream(stand.seed, key).integers(2**31 - 1)),
        threads=plan.threads,
    )


def _part(stand: Stand, rows: Rows, weights: SampleWeights) -> Part:
    classes = stand.samples.classes[rows]
    return Part(rows, classes, weights_of(stand.samples, rows, weights) * stand.by_class[classes])


def weights_of(samples: Samples, rows: Rows, plan: SampleWeights) -> Weights:
    """Weight of each of `rows`, from their own label intervals."""
    weights = samples.weights[rows]
    if plan == NO_WEIGHTS:
        return weights
    if not samples.paths:
        raise ValueError("Sample weights need the paths that the labels were read from.")
    symbols = None if samples.symbols is None else samples.symbols[rows]
    return weights * weigh_each(plan, samples.paths, symbols, samples.t0[rows], samples.t1[rows])
