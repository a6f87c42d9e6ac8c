"""The pipeline: cross-validate, fit the final model, and score it once on rows nothing else has seen.

    all rows ──► final test span, set aside ─────────────────────────────► scored once, with intervals
        └──────► training rows (purged) ─► purged folds ─► tables             ▲
                        └─► early stopping slice (purged) ─► final model ─────┘

Where features are chosen by the data, every fit chooses its own, on the rows it is fitted on.

Folds are scored on the rows they hold out, whether or not those are all rows together. Where a row is held
out several times (combinatorial folds), the folds' predictions are joined to paths of each row once, which
are scored too.

Every set of rows comes from `splits`, and every split leaves its proof in the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Reason
from services.training import learners, splits
from services.training.baselines import score_baselines
from services.training.events import (
    Control,
    Event,
    FoldFinished,
    FoldResult,
    PathResult,
    Progress,
    RoundFinished,
    Stage,
    StageStarted,
    Stop,
    Warned,
)
from services.training.learners import ModelParameters
from services.training.learners.fitting import (
    FitRequest,
    Fitted,
    Probabilities,
    Table,
    Validation,
    Weights,
)
from services.training.plan import ClassWeight, TrainingPlan, violations
from services.training.samples import Choose, Chosen, Samples, require_finite
from services.training.scores import (
    Interval,
    MetricSummary,
    Scores,
    block_bootstrap,
    block_rows,
    score,
    summarise,
)
from services.training.seeds import stream
from services.training.splits import Fold, Rows, SplitProof
from services.training.weights import NO_WEIGHTS, SampleWeights, weigh

FINAL_TEST_SHARE = 0.02  # of the work, beside the fits: what progress leaves for predicting and scoring


@dataclass(frozen=True)
class TrainedResult:
    """What a run leaves.

    `chosen` are the features of the final model. `fold_table` and `baseline_tables` summarise the finished
    folds, `path_*` the paths all of whose folds are finished: none but of combinatorial folds. `test_*` is of
    the final span. `importances` is each feature's share of the final model's gain. `stopped` says that
    `Stop.KEEP_BEST` cut the run short.
    """

    fitted: Fitted
    chosen: Chosen
    class_names: tuple[str, ...]
    folds: tuple[FoldResult, ...]
    fold_table: Mapping[str, MetricSummary]
    baseline_tables: Mapping[str, Mapping[str, MetricSummary]]
    paths: tuple[PathResult, ...]
    path_table: Mapping[str, MetricSummary]
    path_baseline_tables: Mapping[str, Mapping[str, MetricSummary]]
    test_scores: Scores
    test_baselines: Mapping[str, Scores]
    test_intervals: Mapping[str, Interval]
    importances: npt.NDArray[np.float64]
    proofs: tuple[SplitProof, ...]
    stopped: bool


def evaluate_and_fit(
    samples: Samples,
    plan: TrainingPlan,
    seed: int,
    *,
    events: Callable[[Event], None],
    check: Callable[[], None] = lambda: None,
    should_stop: Callable[[], Stop | None] = lambda: None,
    choose: Choose | None = None,
) -> TrainedResult:
    """Run the whole pipeline.

    `check` and `should_stop` are called before every round of every fit. Whatever `check` raises ends the
    run; `Stop.DISCARD` raises `Discarded`. `Stop.KEEP_BEST` during the final fit ends it at the round it has
    reached. During cross-validation it drops the fold under way and those to come, and fits the final model
    with at most the median rounds of the finished folds, or, if none is, the best round of the one dropped.
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
    return _Run(samples, plan, seed, events, Control(check, should_stop), choose).run()


@dataclass
class _Run:
    """One run: the inputs, and what has come of them so far."""

    samples: Samples
    plan: TrainingPlan
    seed: int
    events: Callable[[Event], None]
    control: Control
    choose: Choose | None
    proofs: list[SplitProof] = field(default_factory=list)
    paths: list[PathResult] = field(default_factory=list)
    longest_fit_rounds: int = 0  # what the next fit is expected to take
    fraction: float = 0.0

    def run(self) -> TrainedResult:
        samples, plan = self.samples, self.plan
        split = plan.split
        train, test, dropped = splits.final_test_split(
            samples.t0, samples.t1, split.test_fraction, split.embargo
        )
        self._prove("final_test", train, test, dropped)
        self._require_every_class(train)
        folds, interrupted_rounds = self._cross_validate(train)

        self.events(StageStarted(Stage.FINAL_FIT))
        model = plan.model
        if self.control.keeps_best:
            known = [fold.rounds for fold in folds] or [interrupted_rounds]
            model = learners.capped(model, int(np.median(known)))
        fitted, chosen = self._fit(model, train, test, None)
        if self.control.keeps_best:
            self.events(Warned(f"Stopped early: the final model has {fitted.rounds} rounds."))

        self.events(StageStarted(Stage.FINAL_TEST))
        probabilities = learners.predict_probabilities(fitted, chosen.features[test])
        result = self._result(fitted, chosen, folds, train, test, probabilities)
        self._report(1.0)
        return result

    def _cross_validate(self, train: Rows) -> tuple[list[FoldResult], int]:
        """The finished folds, and the best round of the one that a stop interrupted (or 0)."""
        samples, split = self.samples, self.plan.split
        self.events(StageStarted(Stage.CROSS_VALIDATION))
        finished: list[FoldResult] = []
        folds = splits.split_folds(samples.t0, samples.t1, split.method, split.embargo, train)
        held_out: list[Probabilities] = []
        for number, fold in enumerate(folds, start=1):
            dropped = splits.Dropped(fold.purged_count, fold.embargoed_count)
            self._prove(f"fold_{number}", fold.train, fold.test, dropped)
            fitted, chosen = self._fit(self.plan.model, fold.train, fold.test, number)
            if self.control.keeps_best:
                self.events(Warned(f"Stopped in fold {number} of {len(folds)}: {len(finished)} are scored."))
                self._score_paths(train, folds, held_out)
                return finished, fitted.rounds
            probabilities = learners.predict_probabilities(fitted, chosen.features[fold.test])
            result = FoldResult(
                number=number,
                scores=self._score(fold.test, probabilities),
                baselines=self._score_baselines([(fold.train, fold.test)]),
                rounds=fitted.rounds,
            )
            finished.append(result)
            held_out.append(probabilities)
            self.events(FoldFinished(len(folds), result))
        self._score_paths(train, folds, held_out)
        return finished, 0

    def _score_paths(self, train: Rows, folds: list[Fold], held_out: list[Probabilities]) -> None:
        """Score the paths of combinatorial folds; of the first of `folds`, `held_out` has the predictions."""
        method = self.plan.split.method
        if not isinstance(method, splits.CombinatorialPurged):
            return
        for number, path in enumerate(splits.backtest_paths(train, method), start=1):
            if max(fold for fold, _ in path.parts) > len(held_out):
                continue
            predicted = [
                held_out[fold - 1][np.searchsorted(folds[fold - 1].test, rows)] for fold, rows in path.parts
            ]
            self.paths.append(
                PathResult(
                    number=number,
                    folds=tuple(fold for fold, _ in path.parts),
                    scores=self._score(path.rows, np.concatenate(predicted)),
                    baselines=self._score_baselines(
                        [(folds[fold - 1].train, rows) for fold, rows in path.parts]
                    ),
                )
            )

    def _fit(
        self, model: ModelParameters, rows: Rows, scored: Rows, fold: int | None
    ) -> tuple[Fitted, Chosen]:
        """Fit on `rows`, less the slice to stop on, features chosen on what is left; `scored` is neither's.
        When the best is to be kept, `model` is capped."""
        samples, plan, stopping = self.samples, self.plan, self.plan.early_stopping
        not_decaying = replace(plan.sample_weights, oldest_weight=1.0)  # the slice is the newest rows
        consumer = "final_model" if fold is None else f"fold_{fold}"
        fits_before = self.plan.split.method.fold_count if fold is None else fold - 1
        held_out = None
        if stopping is not None:
            rows, held_out, dropped = splits.early_stopping_slice(
                rows, samples.t0, samples.t1, stopping.fraction, self.plan.split.embargo
            )
            self._prove(f"{consumer}.early_stopping", rows, held_out, dropped)
        weights = self._weights(rows, plan.sample_weights)
        by_class = self._class_weights(rows, weights)
        chosen = self._choose(
            consumer,
            rows,
            weights * by_class[samples.classes[rows]],
            scored if held_out is None else np.append(held_out, scored),
        )
        most_rounds = learners.rounds_of(model)
        expected_rounds = min(most_rounds, self.longest_fit_rounds or most_rounds)
        already_capped = self.control.keeps_best

        def table(part: Rows, part_weights: Weights) -> Table:
            classes = samples.classes[part]
            return Table(chosen.features[part], classes, part_weights * by_class[classes])

        def on_round(number: int, validation_loss: float | None) -> None:
            self.events(RoundFinished(fold, number, validation_loss))
            self._report_fits(fits_before + min(1.0, number / expected_rounds))

        fitted = learners.fit(
            model,
            FitRequest(
                train=table(rows, weights),
                validation=(
                    None
                    if stopping is None or held_out is None
                    else Validation(
                        table(held_out, self._weights(held_out, not_decaying)), stopping.patience_rounds
                    )
                ),
                class_count=len(samples.class_names),
                seed=int(stream(self.seed, consumer).integers(2**31 - 1)),
                threads=self.plan.threads,
                on_round=on_round,
                check=lambda: self.control.poll() and not already_capped,
            ),
        )
        self.longest_fit_rounds = max(self.longest_fit_rounds, fitted.trained_rounds)
        self._report_fits(fits_before + 1)
        return fitted, chosen

    def _choose(self, consumer: str, rows: Rows, weights: Weights, held_out: Rows) -> Chosen:
        samples = self.samples
        if self.choose is None:
            return Chosen(samples.features, samples.feature_names)
        consumer = f"{consumer}.selection"
        self._prove(consumer, rows, held_out, splits.Dropped(0, 0))
        seed = int(stream(self.seed, consumer).integers(2**31 - 1))
        chosen = self.choose(consumer, rows, weights, seed)
        require_finite(chosen)
        return chosen

    def _weights(self, rows: Rows, plan: SampleWeights) -> Weights:
        """Weight of each of `rows`, from their own label intervals."""
        samples = self.samples
        weights = samples.weights[rows]
        if plan == NO_WEIGHTS:
            return weights
        if samples.path is None:
            raise ValueError("Sample weights need the path that the labels were read from.")
        return weights * weigh(plan, samples.path, samples.t0[rows], samples.t1[rows])

    def _class_weights(self, rows: Rows, weights: Weights) -> npt.NDArray[np.float64]:
        """Weight of each class (classes,), from the rows to be fitted alone."""
        class_count = len(self.samples.class_names)
        if self.plan.class_weight is ClassWeight.NONE:
            return np.ones(class_count)
        masses = np.bincount(self.samples.classes[rows], weights, class_count)
        present = masses > 0
        return np.where(present, masses.sum() / (present.sum() * np.where(present, masses, 1.0)), 1.0)

    def _result(
        self,
        fitted: Fitted,
        chosen: Chosen,
        folds: list[FoldResult],
        train: Rows,
        test: Rows,
        probabilities: Probabilities,
    ) -> TrainedResult:
        samples, plan = self.samples, self.plan
        return TrainedResult(
            fitted=fitted,
            chosen=chosen,
            class_names=samples.class_names,
            folds=tuple(folds),
            fold_table=summarise([fold.scores for fold in folds]),
            baseline_tables=_summarise_each([fold.baselines for fold in folds]),
            paths=tuple(self.paths),
            path_table=summarise([path.scores for path in self.paths]) if self.paths else {},
            path_baseline_tables=_summarise_each([path.baselines for path in self.paths]),
            test_scores=self._score(test, probabilities),
            test_baselines=self._score_baselines([(train, test)]),
            test_intervals=block_bootstrap(
                samples.classes[test],
                probabilities,
                block_rows(samples.t0[test], samples.t1[test]),
                plan.interval_draws,
                plan.interval_level,
                stream(self.seed, "final_test"),
            ),
            importances=learners.importances(fitted),
            proofs=tuple(self.proofs),
            stopped=self.control.keeps_best,
        )

    def _score(self, rows: Rows, probabilities: Probabilities) -> Scores:
        predicted = probabilities.argmax(axis=1).astype(np.int8)
        return score(self.samples.classes[rows], predicted, probabilities, self.samples.class_names)

    def _score_baselines(self, parts: Sequence[tuple[Rows, Rows]]) -> dict[str, Scores]:
        samples = self.samples
        return score_baselines(samples.classes, samples.t0, samples.t1, parts, samples.class_names)

    def _prove(self, consumer: str, train: Rows, held_out: Rows, dropped: splits.Dropped) -> None:
        self.proofs.append(splits.prove(consumer, self.samples.t0, self.samples.t1, train, held_out, dropped))

    def _require_every_class(self, train: Rows) -> None:
        counts = np.bincount(self.samples.classes[train], minlength=len(self.samples.class_names))
        for name, count in zip(self.samples.class_names, counts, strict=True):
            if not count:
                raise FailedPrecondition(
                    "dataset",
                    f"Class {name!r} has none of the {train.size} training rows.",
                    Reason.TOO_LITTLE_DATA,
                )

    def _report_fits(self, fits: float) -> None:
        self._report((1.0 - FINAL_TEST_SHARE) * fits / (self.plan.split.method.fold_count + 1))

    def _report(self, fraction: float) -> None:
        if fraction > self.fraction:
            self.fraction = fraction
            self.events(Progress(fraction))


def _summarise_each(scores: Sequence[Mapping[str, Scores]]) -> dict[str, Mapping[str, MetricSummary]]:
    """The table of each baseline, over those that have it."""
    names = sorted({name for each in scores for name in each})
    return {name: summarise([each[name] for each in scores if name in each]) for name in names}
