"""Trials: the parameters of a model, tried on the purged folds one after the other, and the best of them.

A trial is scored on the rows that the folds hold out, all of them before the final test span; features are
chosen once for a fold, and each fold's random streams are those that it has without a search. So the folds of
the best trial are those of a run whose config names its parameters, and need not be fitted again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace

from marketml.rpc.refusals import FailedPrecondition, Reason
from services.training.compositions import Prove
from services.training.learners import ModelParameters
from services.training.learners.fitting import Classes, Weights
from services.training.recipes import Recipe
from services.training.results import Learned
from services.training.samples import Choose, Chosen
from services.training.scores import Score
from services.training.search.plan import SearchPlan
from services.training.search.space import Value, applied
from services.training.search.study import SearchResult, Study, Trial, TrialState
from services.training.splits import Dropped, Rows

CONSUMER = "search"


@dataclass(frozen=True, eq=False)
class Bench:
    """Where trials are run.

    Attributes
    ----------
    recipe : callable
        How a model learns a fold, by its number from 1.
    fold_count : int
    learn : callable
        Runs recipes, in order, one after the other or some at once.
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
    learn: Callable[[Iterable[Recipe]], Generator[Learned, None, None]]
    measure: Callable[[int, Learned], Score]
    must_end: Callable[[], bool]
    seconds: Callable[[], float]
    finished: Callable[[Trial, Trial | None], None]


@dataclass
class Search:
    """Runs the trials of a plan.

    `result` is None until a trial is whole; `folds` is what those of the best learnt. `interrupted_rounds` is
    the best round of the fit that a stop ended, or 0.
    """

    plan: SearchPlan
    model: ModelParameters
    seed: int
    bench: Bench
    result: SearchResult | None = field(default=None, init=False)
    folds: tuple[Learned, ...] = field(default=(), init=False)
    interrupted_rounds: int = field(default=0, init=False)

    def run(self) -> None:
        """Run until all trials are over, time is up, or a stop is asked for.

        Raises
        ------
        FailedPrecondition
            No trial has the metric on every fold.
        """
        plan = self.plan
        study = Study(plan, self.model, self.seed)
        while len(study.trials) < plan.trials and not self._is_late(study):
            values = study.next_values()
            folds: list[Learned] = []
            trial = self._try(study, values, folds)
            if trial is None:
                break
            study.add(trial)
            if study.best is trial:
                self.folds = tuple(folds)
            self.bench.finished(trial, study.best)
        best = study.best
        if best is None:
            if self.bench.must_end():
                return
            raise _nothing_scored(plan, study.trials)
        self.result = SearchResult(
            metric=plan.metric,
            planned_count=plan.trials,
            trials=tuple(study.trials),
            best=best,
            model=applied(self.model, best.values),
        )

    def _is_late(self, study: Study) -> bool:
        most = self.plan.max_duration_seconds
        return most is not None and bool(study.trials) and self.bench.seconds() >= most

    def _try(self, study: Study, values: dict[str, Value], folds: list[Learned]) -> Trial | None:
        """The next trial, and into `folds` what each fold learnt; None if a stop ended it."""
        number, bench = len(study.trials) + 1, self.bench
        model = applied(self.model, values)
        recipes = (_of_trial(number, bench.recipe(model, fold)) for fold in range(1, bench.fold_count + 1))
        fold_values: list[float] = []

        def trial(state: TrialState, reason: str = "") -> Trial:
            return Trial(number, state, values, tuple(fold_values), reason)

        with closing(bench.learn(recipes)) as learnt:  # which ends what is fitted for a fold of no interest
            for fold, learned in enumerate(learnt, start=1):
                if bench.must_end():
                    self.interrupted_rounds = learned.rounds
                    return None
                folds.append(learned)
                score = bench.measure(fold, learned)
                if score.value is None:
                    return trial(
                        TrialState.UNSCORED, f"Fold {fold} has no {self.plan.metric}: {score.reason}"
                    )
                fold_values.append(score.value)
                if fold < bench.fold_count and study.is_behind(tuple(fold_values)):
                    return trial(TrialState.PRUNED)
        return trial(TrialState.COMPLETE)


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


def _of_trial(number: int, recipe: Recipe) -> Recipe:
    """The recipe of a fold, its units named as a trial's."""
    try:
        tasks = next(recipe)
        while True:
            named = [replace(task, key=f"trial_{number}.{task.key}", is_repeated=True) for task in tasks]
            tasks = recipe.send((yield named))
    except StopIteration as end:
        learned: Learned = end.value
        return learned


def _nothing_scored(plan: SearchPlan, trials: list[Trial]) -> FailedPrecondition:
    last = trials[-1]
    message = f"None of {len(trials)} trials has a {plan.metric} on every fold. {last.reason}"
    return FailedPrecondition("dataset", message, Reason.TOO_LITTLE_DATA)
