"""Trials: the parameters of a model, tried on the purged folds, some at once, and the best of them.

A trial is scored on the rows that the folds hold out, all of them before the final test span; features are
chosen once for a fold, and each fold's random streams are those that it has without a search. So the folds of
the best trial are those of a run whose config names its parameters, and need not be fitted again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, fields, replace

import numpy as np
import xxhash

from marketml.rpc.refusals import FailedPrecondition, Reason
from services.training.learners import ModelParameters
from services.training.learners.fitting import Classes, Weights
from services.training.models.compositions import Prove
from services.training.models.recipes import Recipe
from services.training.plan import TrainingPlan
from services.training.results import Learned
from services.training.samples import Choose, Chosen, Samples
from services.training.scores import Score
from services.training.search.plan import SearchPlan
from services.training.search.space import Value, applied
from services.training.search.study import SearchResult, Study, Trial, TrialState, read_trial, write_trial
from services.training.splits import Dropped, Rows
from services.training.workshop.alone import Batch, Trials
from services.training.workshop.units import hash_arrays, versions

CONSUMER = "search"


def digest_of_trials(samples: Samples, plan: TrainingPlan, seed: int) -> str:
    """What decides what the trials of a job come to: 32 hex digits."""
    of_plan = repr(replace(plan, threads=1))
    said = [of_plan, seed, samples.class_names, samples.feature_names, versions("optuna")]
    hasher = xxhash.xxh3_128(json.dumps(said, sort_keys=True).encode())
    of_samples = (getattr(samples, each.name) for each in fields(samples))
    hash_arrays(hasher, [value for value in of_samples if isinstance(value, np.ndarray)])
    return hasher.hexdigest()


@dataclass(eq=False, kw_only=True)
class TrialRun(Batch):
    """A trial under way: what its folds learnt so far, in order, and the metric on each."""

    number: int
    values: Mapping[str, Value]
    folds: list[Learned] = field(default_factory=list)
    fold_values: list[float] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Bench:
    """Where trials are run.

    Attributes
    ----------
    recipe : callable
        How a model learns a fold, by its number from 1.
    fold_count : int
    learn : callable
        Runs the folds of trials, one after the other or some at once, until a stop is asked for. It is given
        a call for the next trial.
    learn_again : callable
        Runs recipes to their end, whose units were fitted once.
    measure : callable
        The metric on a fold, by its number, of what was learnt.
    must_end : callable
        Whether a stop was asked for; then the fold under way is not whole.
    seconds : callable
        Since the search began.
    finished : callable
        Takes every finished trial, and the best so far.
    """

    recipe: Callable[[ModelParameters, int], Recipe]
    fold_count: int
    learn: Callable[[Callable[[], TrialRun | None]], Generator[tuple[TrialRun, Learned], None, None]]
    learn_again: Callable[[Iterable[Recipe]], Iterable[Learned]]
    measure: Callable[[int, Learned], Score]
    must_end: Callable[[], bool]
    seconds: Callable[[], float]
    finished: Callable[[Trial, Trial | None], None]


@dataclass
class Search:
    """Runs the trials of a plan, but those whose records are kept: they are as they were.

    Trials are told in order: one that is over waits for those before it. `result` is None until a trial is
    whole; `folds` is what those of the best learnt. `interrupted_rounds` is the best round of the fit that a
    stop ended, or 0.
    """

    plan: SearchPlan
    model: ModelParameters
    seed: int
    bench: Bench
    records: Trials | None
    digest: str
    result: SearchResult | None = field(default=None, init=False)
    folds: tuple[Learned, ...] = field(default=(), init=False)
    interrupted_rounds: int = field(default=0, init=False)
    _study: Study = field(init=False)
    _over: dict[int, tuple[Trial, list[Learned]]] = field(default_factory=dict, init=False)  # not yet told
    _best: Trial | None = field(default=None, init=False)
    _learnt: Trial | None = field(default=None, init=False)  # that `folds` is of

    def __post_init__(self) -> None:
        self._study = Study(self.plan, self.model, self.seed)

    def run(self) -> None:
        """Run until all trials are over, time is up, or a stop is asked for.

        Raises
        ------
        FailedPrecondition
            No trial has the metric on every fold.
        """
        # Closing ends what is fitted for trials under way.
        with closing(self.bench.learn(self._next)) as learnt:
            for run, learned in learnt:
                if self.bench.must_end():
                    self.interrupted_rounds = learned.rounds
                    break
                self._take(run, learned)
        best, trials = self._best, self._study.trials
        if best is None:
            if self.bench.must_end():
                return
            raise _nothing_scored(self.plan, trials)
        if self._learnt is not best:
            self.folds = tuple(self.bench.learn_again(self._recipes(best.number, best.values)))
        self.result = SearchResult(
            metric=self.plan.metric,
            planned_count=self.plan.trials,
            trials=tuple(trials),
            best=best,
            model=applied(self.model, best.values),
        )

    def _next(self) -> TrialRun | None:
        """The next trial that is to be run, if it can begin by now."""
        study = self._study
        while study.begun_count < self.plan.trials and study.can_begin and not self._must_end():
            number = study.begun_count + 1
            kept = self._recall(number)
            if kept is None:
                values = study.begin()
                return TrialRun(self._recipes(number, values), number=number, values=values)
            study.begin(kept.values)
            self._end(kept, [])
        return None

    def _must_end(self) -> bool:
        """Whether no trial is to begin any more."""
        most = self.plan.max_duration_seconds
        is_late = most is not None and self._study.begun_count > 0 and self.bench.seconds() >= most
        return is_late or self.bench.must_end()

    def _take(self, run: TrialRun, learned: Learned) -> None:
        """Score the next fold of a trial, and end the trial if it was the last one or is in vain."""
        run.folds.append(learned)
        fold = len(run.folds)
        score = self.bench.measure(fold, learned)
        state, reason = None, ""
        if score.value is None:
            state, reason = TrialState.UNSCORED, f"Fold {fold} has no {self.plan.metric}: {score.reason}"
        else:
            run.fold_values.append(score.value)
            if fold == self.bench.fold_count:
                state = TrialState.COMPLETE
            elif self._study.is_behind(run.number, tuple(run.fold_values)):
                state = TrialState.PRUNED
        if state is None:
            return
        run.is_over = True
        trial = Trial(run.number, state, run.values, tuple(run.fold_values), reason)
        if self.records is not None:
            self.records.keep_record(_key(trial.number), self.digest, write_trial(trial))
        self._end(trial, run.folds)

    def _end(self, trial: Trial, folds: list[Learned]) -> None:
        """Tell of a trial that is over, and of those that waited for it, each in its turn."""
        self._over[trial.number] = (trial, folds)
        while (over := self._over.pop(len(self._study.trials) + 1, None)) is not None:
            self._tell(*over)

    def _tell(self, trial: Trial, folds: list[Learned]) -> None:
        self._study.add(trial)
        if self._study.best is trial:
            if self._best is not None:
                self._forget(self._best)
            self._best = trial
            if folds:
                self._learnt, self.folds = trial, tuple(folds)
        else:
            self._forget(trial)
        self.bench.finished(trial, self._best)

    def _recipes(self, number: int, values: Mapping[str, Value]) -> Iterator[Recipe]:
        """How the folds of a trial learn."""
        model, folds = applied(self.model, values), range(1, self.bench.fold_count + 1)
        return (_of_trial(number, self.bench.recipe(model, fold)) for fold in folds)

    def _recall(self, number: int) -> Trial | None:
        record = None if self.records is None else self.records.recall_record(_key(number), self.digest)
        return None if record is None else read_trial(record)

    def _forget(self, trial: Trial) -> None:
        """Let go of the outcomes of a trial whose record is kept and which is not the best."""
        if self.records is not None:
            self.records.forget(f"{_key(trial.number)}.")


def once_proven(prove: Prove) -> Prove:
    """Proves a consumer of the trials once, for all of them take the same rows: as theirs, and as the fold's
    of that name, which the best of them becomes."""
    proven: set[str] = set()

    def prove_once(consumer: str, rows: Rows, held_out: Rows, dropped: Dropped) -> None:
        if consumer not in proven:
            proven.add(consumer)
            prove(f"{CONSUMER}.{consumer}", rows, held_out, dropped)
            prove(consumer, rows, held_out, dropped)

    return prove_once


def once_chosen(choose: Choose | None) -> Choose | None:
    """Chooses the features of a consumer once: what is tried has no part in it."""
    if choose is None:
        return None
    chosen: dict[str, Chosen] = {}

    def choose_once(consumer: str, rows: Rows, classes: Classes, weights: Weights, seed: int) -> Chosen:
        if consumer not in chosen:
            chosen[consumer] = choose(consumer, rows, classes, weights, seed)
        return chosen[consumer]

    return choose_once


def _key(number: int) -> str:
    return f"trial_{number}"


def _of_trial(number: int, recipe: Recipe) -> Recipe:
    """The recipe of a fold, its units named as a trial's."""
    try:
        tasks = next(recipe)
        while True:
            named = [replace(task, key=f"{_key(number)}.{task.key}", is_repeated=True) for task in tasks]
            tasks = recipe.send((yield named))
    except StopIteration as end:
        learned: Learned = end.value
        return learned


def _nothing_scored(plan: SearchPlan, trials: list[Trial]) -> FailedPrecondition:
    last = trials[-1]
    message = f"None of {len(trials)} trials has a {plan.metric} on every fold. {last.reason}"
    return FailedPrecondition("dataset", message, Reason.TOO_LITTLE_DATA)
