"""The pipeline: cross-validate, fit the final model, and score it once on rows nothing else has seen.

    all rows ──► final test span, set aside ─────────────────────────────► scored once, with intervals
        └──────► training rows (purged) ─► purged folds ─► tables             ▲
                        └─► early stopping slice (purged) ─► final model ─────┘

Where parameters are searched for, each trial is scored on those folds; those of the best are the tables, and
its parameters the final model's.

Where features are chosen by the data, every fit chooses its own, on the rows it is fitted on. So it is with
the thresholds of classes, where they are quantiles: what a fit predicts is scored by its own thresholds.

Folds are scored on the rows they hold out, whether or not those are all rows together. Where a row is held
out several times (combinatorial folds), the folds' predictions are joined to paths of each row once, which
are scored too.

Every set of rows comes from `splits`, and every split leaves its proof in the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Reason
from services.training import splits
from services.training.baselines import Sight, score_baselines
from services.training.confidence import block_bootstrap, mean_overlap
from services.training.events import (
    Control,
    Event,
    FoldFinished,
    FoldResult,
    PathResult,
    Stage,
    StageStarted,
    Stop,
    TrialFinished,
    Warned,
)
from services.training.fit_progress import FitProgress
from services.training.learners.fitting import Check, Classes, Probabilities
from services.training.models import ensembles
from services.training.models.ensembles import Bagging, Model, Stacking
from services.training.models.recipes import Ground, Recipe, learn
from services.training.plan import TrainingPlan, violations
from services.training.results import Learned, TrainedResult
from services.training.samples import Choose, Samples, require_finite
from services.training.scores import (
    METRICS,
    MetricSummary,
    Score,
    Scores,
    score,
    summarise,
)
from services.training.search import SearchPlan
from services.training.search.study import SearchResult, Trial
from services.training.search.trials import Bench, Search, digest_of_trials, once_chosen, once_proven
from services.training.seeds import stream
from services.training.splits import Fold, Rows, SplitProof
from services.training.workshop.alone import Alone, Trials, Watch, Workshop
from services.training.workshop.units import FitOutcome, FitTask


def evaluate_and_fit(
    samples: Samples,
    plan: TrainingPlan,
    seed: int,
    *,
    events: Callable[[Event], None],
    check: Callable[[], None] = lambda: None,
    should_stop: Callable[[], Stop | None] = lambda: None,
    choose: Choose | None = None,
    workshop: Workshop | None = None,
    trials: Trials | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> TrainedResult:
    """Run the whole pipeline.

    `check` and `should_stop` are called before every round of every fit. Whatever `check` raises ends the
    run; `Stop.DISCARD` raises `Discarded`. `Stop.KEEP_BEST` during the final fit ends it at the round it has
    reached. During cross-validation it drops the fold under way and those to come, and fits the final model
    with at most the median rounds of the finished folds, or, if none is, the best round of the one dropped.
    During a search it drops the trials under way, and goes on with the best of those before them as if its
    folds were all.
    Of an ensemble, the final fit then ends with the members (base models, without a meta model) that are
    finished, or if none is, with the one under way; folds are dropped as ever.
    Either way the model is cut to the best round found, and is scored on the final span like any other.

    Parameters
    ----------
    samples : Samples
    plan : TrainingPlan
    seed : int
        0 or more. The same samples, plan and seed give the same model and the same numbers.
    choose : callable, optional
        Gives each fit its features; None fits on those of the samples.
    events : callable
        Takes every event, in order, on the calling thread.
    workshop : Workshop, optional
        Where the units are fitted; default: here, one after the other.
    trials : Trials, optional
        Where the trials of a search are kept, so that an interrupted one goes on as it would have.
    clock : callable
        Seconds of a steady clock, for the time that a search may take.

    Raises
    ------
    InvalidArgument
        A broken rule of the plan, infinite features, a class out of range.
    FailedPrecondition
        Too little data: a split without a training row, or a class without one.
    Discarded
    """
    broken = violations(plan)
    if broken:
        raise InvalidArgument(broken)
    if choose is None:
        require_finite(samples)
    control = Control(check, should_stop)
    return _Run(samples, plan, seed, events, control, choose, workshop or Alone(), trials, clock).run()


@dataclass
class _Run:
    """One run: the inputs, and what has come of them so far."""

    samples: Samples
    plan: TrainingPlan
    seed: int
    events: Callable[[Event], None]
    control: Control
    choose: Choose | None
    workshop: Workshop
    trials: Trials | None
    clock: Callable[[], float]
    proofs: dict[str, list[SplitProof]] = field(default_factory=dict)  # of each fold, of the final model
    paths: list[PathResult] = field(default_factory=list)
    cut_units: set[str] = field(default_factory=set)  # that a stop ended before their time
    progress: FitProgress = field(init=False)

    def __post_init__(self) -> None:
        self.progress = FitProgress(self.plan, self.events)

    def run(self) -> TrainedResult:
        samples, plan = self.samples, self.plan
        split = plan.split
        train, test, dropped = splits.final_test_split(
            samples.t0, samples.t1, split.test_fraction, split.embargo
        )
        self._prove("final_test", train, test, dropped)
        self._require_every_class(train)
        cut = self.cut_units.__contains__
        ground = Ground(samples, plan, self.seed, self.choose, self._prove, cut)
        folds = splits.split_folds(samples.t0, samples.t1, split.method, split.embargo, train)
        for fold in folds:
            splits.require_taken_from(train, fold.train, fold.test)
        search = None if plan.search is None else self._search(ground, plan.search, folds, test)
        found = None if search is None else search.result
        scored, interrupted_rounds = self._cross_validate(ground, folds, train, search)

        self.events(StageStarted(Stage.FINAL_FIT))
        model, already_capped = plan.model if found is None else found.model, self.control.keeps_best
        if already_capped:
            known = [fold.rounds for fold in scored] or [interrupted_rounds]
            model = ensembles.capped(model, int(np.median(known)))
            self.cut_units.clear()
        recipe = learn(ground, "final_model", model, train, test, keeps=True)
        watch = self._watch(lambda: self.control.poll() and not already_capped, cuts=not already_capped)
        [learned] = self.workshop.run([recipe], watch)
        if self.control.keeps_best:
            self.events(Warned(f"Stopped early: the final model has {learned.rounds} rounds."))

        self.events(StageStarted(Stage.FINAL_TEST))
        result = self._result(learned, scored, train, test, found)
        self.progress.on_end()
        return result

    def _search(self, ground: Ground, plan: SearchPlan, folds: list[Fold], test: Rows) -> Search:
        """The trials of a search, and what the folds of the best one learnt."""
        self.events(StageStarted(Stage.SEARCH))
        taken = np.unique(np.concatenate([rows for fold in folds for rows in (fold.train, fold.test)]))
        self._prove("search", taken, test, splits.Dropped(0, 0))
        prove = once_proven(self._prove)
        ground = replace(ground, choose=once_chosen(ground.choose), prove=prove)
        watch, begun = self._watch(self.control.poll), self.clock()

        def measure(number: int, learned: Learned) -> Score:
            sight = self._sight(learned, folds[number - 1].train, folds[number - 1].test)
            scores = self._score([sight], learned.probabilities, learned.predicted, (plan.metric,))
            return scores.metrics[plan.metric]

        def finished(trial: Trial, best: Trial | None) -> None:
            self.progress.on_trials(trial.number)
            self.events(TrialFinished(plan.metric, plan.trials, trial, best))

        bench = Bench(
            recipe=lambda model, number: self._fold(ground, model, number, folds[number - 1]),
            fold_count=len(folds),
            learn=lambda more: self.workshop.run_batches(more, watch),
            learn_again=lambda recipes: self.workshop.run(
                recipes, self._watch(lambda: self.control.poll() and False, cuts=False)
            ),
            measure=measure,
            must_end=lambda: self.control.keeps_best,
            seconds=lambda: self.clock() - begun,
            finished=finished,
        )
        model = self.plan.model
        assert not isinstance(model, Bagging | Stacking), "a plan that searches has a single model"
        digest = digest_of_trials(self.samples, self.plan, self.seed)
        search = Search(plan, model, self.seed, bench, self.trials, digest)
        search.run()
        self.progress.on_trials()
        if search.result is not None:
            self.events(Warned(search.result.caution()))
        return search

    def _cross_validate(
        self, ground: Ground, folds: list[Fold], train: Rows, search: Search | None
    ) -> tuple[list[FoldResult], int]:
        """The finished folds, of the best trial if there was a search, and the best round of the fit that a
        stop interrupted (or 0)."""
        self.events(StageStarted(Stage.CROSS_VALIDATION))
        finished: list[FoldResult] = []
        finished_fits: list[Learned] = []
        learnt: Iterable[Learned]
        if search is None:
            model = self.plan.model
            recipes = (self._fold(ground, model, number, fold) for number, fold in enumerate(folds, start=1))
            learnt = self.workshop.run(recipes, self._watch(self.control.poll))
        else:
            learnt = search.folds
        for number, (fold, learned) in enumerate(zip(folds, learnt, strict=False), start=1):
            if self.control.keeps_best and search is None:
                self.events(Warned(f"Stopped in fold {number} of {len(folds)}: {len(finished)} are scored."))
                self._score_paths(train, folds, finished_fits)
                return finished, learned.rounds
            sight = self._sight(learned, fold.train, fold.test)
            result = FoldResult(
                number=number,
                scores=self._score([sight], learned.probabilities, learned.predicted),
                baselines=self._score_baselines([sight]),
                rounds=learned.rounds,
                return_thresholds=learned.return_thresholds,
            )
            finished.append(result)
            finished_fits.append(learned)
            self.events(FoldFinished(len(folds), result))
        self._score_paths(train, folds, finished_fits)
        return finished, 0 if search is None else search.interrupted_rounds

    def _fold(self, ground: Ground, model: Model, number: int, fold: Fold) -> Recipe:
        consumer = f"fold_{number}"
        ground.prove(consumer, fold.train, fold.test, splits.Dropped(fold.purged_count, fold.embargoed_count))
        return learn(ground, consumer, model, fold.train, fold.test)

    def _score_paths(self, train: Rows, folds: list[Fold], learnt: list[Learned]) -> None:
        """Score the paths of combinatorial folds; `learnt` is what the first of `folds` have."""
        method = self.plan.split.method
        if not isinstance(method, splits.CombinatorialPurged):
            return
        for number, path in enumerate(splits.backtest_paths(train, self.samples.t0, method), start=1):
            if max(fold for fold, _ in path.parts) > len(learnt):
                continue
            parts = [
                (learnt[fold - 1], np.searchsorted(folds[fold - 1].test, rows)) for fold, rows in path.parts
            ]
            probabilities = np.concatenate([each.probabilities[at] for each, at in parts])
            predicted = np.concatenate([each.predicted[at] for each, at in parts])
            sights = [self._sight(learnt[fold - 1], folds[fold - 1].train, rows) for fold, rows in path.parts]
            self.paths.append(
                PathResult(
                    number=number,
                    folds=tuple(fold for fold, _ in path.parts),
                    scores=self._score(sights, probabilities, predicted),
                    baselines=self._score_baselines(sights),
                )
            )

    def _result(
        self, learned: Learned, folds: list[FoldResult], train: Rows, test: Rows, search: SearchResult | None
    ) -> TrainedResult:
        samples, plan = self.samples, self.plan
        sight = self._sight(learned, train, test)
        return TrainedResult(
            learned=learned,
            class_names=samples.class_names,
            folds=tuple(folds),
            fold_table=summarise([fold.scores for fold in folds]),
            baseline_tables=_summarise_each([fold.baselines for fold in folds]),
            paths=tuple(self.paths),
            path_table=summarise([path.scores for path in self.paths]) if self.paths else {},
            path_baseline_tables=_summarise_each([path.baselines for path in self.paths]),
            test_scores=self._score([sight], learned.probabilities, learned.predicted),
            test_baselines=self._score_baselines([sight]),
            test_intervals=block_bootstrap(
                sight.classes[test],
                learned.probabilities,
                mean_overlap(samples.t0[test], samples.t1[test]),
                plan.interval_draws,
                plan.interval_level,
                stream(self.seed, "final_test"),
                learned.predicted,
            ),
            test_symbols=self._score_symbols(sight, learned),
            proofs=tuple(proof for proofs in self.proofs.values() for proof in proofs),
            search=search,
            stopped=self.control.keeps_best,
        )

    def _sight(self, learned: Learned, train: Rows, test: Rows) -> Sight:
        return Sight(self.samples.decided(learned.return_thresholds).classes, train, test)

    def _score(
        self,
        sights: Sequence[Sight],
        probabilities: Probabilities,
        predicted: Classes,
        wanted: Collection[str] = METRICS,
    ) -> Scores:
        truth = np.concatenate([sight.classes[sight.test] for sight in sights])
        return score(truth, predicted, probabilities, self.samples.class_names, wanted)

    def _score_baselines(self, sights: Sequence[Sight]) -> dict[str, Scores]:
        samples = self.samples
        return score_baselines(samples.t0, samples.t1, sights, samples.class_names, samples.symbols)

    def _score_symbols(self, sight: Sight, learned: Learned) -> dict[int, Scores]:
        """The scores of each symbol's rows alone; none where there is one symbol."""
        if self.samples.symbols is None:
            return {}
        of_rows, truth = self.samples.symbols[sight.test], sight.classes[sight.test]
        return {
            int(symbol): score(
                truth[of_rows == symbol],
                learned.predicted[of_rows == symbol],
                learned.probabilities[of_rows == symbol],
                self.samples.class_names,
            )
            for symbol in np.unique(of_rows)
        }

    def _prove(self, consumer: str, train: Rows, held_out: Rows, dropped: splits.Dropped) -> None:
        proof = splits.prove(consumer, self.samples.t0, self.samples.t1, train, held_out, dropped)
        self.proofs.setdefault(consumer.partition(".")[0], []).append(proof)

    def _require_every_class(self, train: Rows) -> None:
        classes = self.samples.decided_by(train).classes[train]
        counts = np.bincount(classes, minlength=len(self.samples.class_names))
        for name, count in zip(self.samples.class_names, counts, strict=True):
            if not count:
                raise FailedPrecondition(
                    "dataset",
                    f"Class {name!r} has none of the {train.size} training rows.",
                    Reason.TOO_LITTLE_DATA,
                )

    def _watch(self, check: Check, *, cuts: bool = True) -> Watch:
        """`cuts`: whether a stop ends units before their time."""

        def on_finished(task: FitTask, outcome: FitOutcome) -> None:
            if cuts and self.control.keeps_best:
                self.cut_units.add(task.key)
            self.progress.on_finished(task, outcome)

        return Watch(self.progress.on_round, on_finished, check)


def _summarise_each(scores: Sequence[Mapping[str, Scores]]) -> dict[str, Mapping[str, MetricSummary]]:
    """The table of each baseline, over those that have it."""
    names = sorted({name for each in scores for name in each})
    return {name: summarise([each[name] for each in scores if name in each]) for name in names}
