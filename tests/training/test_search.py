"""A search on known truths: what it finds, what it leaves alone, and how it goes on after an interruption."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from marketml.bundle.files import MANIFEST
from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Reason
from services.training import splits
from services.training.events import (
    Discarded,
    FoldFinished,
    Progress,
    RoundFinished,
    Stage,
    StageStarted,
    Stop,
    TrialFinished,
    Warned,
)
from services.training.export.bundle import export_bundle
from services.training.learners import ForestParameters, LightgbmParameters, XgboostParameters
from services.training.models.ensembles import Bagging
from services.training.pipeline import evaluate_and_fit
from services.training.plan import EarlyStopping, SplitPlan, TrainingPlan
from services.training.search import Integer, Real, Searched, SearchPlan, default_space
from services.training.search.race import is_behind
from services.training.search.study import TrialState
from services.training.splits import CombinatorialPurged, Embargo, KFold
from services.training.workshop.alone import Alone
from services.training.workshop.checkpoints import FolderMemory
from tests.training.cases import made_samples

SPACE = {
    "learning_rate": Searched(Real(0.01, 0.5, log=True)),
    "num_leaves": Searched(Integer(2, 31, log=True)),
    "subsample": Searched(Real(0.4, 1.0)),
}
SEARCH = SearchPlan(SPACE, trials=9, startup_trials=3)
PLAN = TrainingPlan(
    LightgbmParameters(rounds=15, num_leaves=4),
    SplitPlan(method=KFold(3), embargo=Embargo(2)),
    EarlyStopping(5),
    interval_draws=100,
    search=SEARCH,
)
SAMPLES = made_samples(420, 3, signal=0.8)


class Interrupted(Exception):
    """The process is gone."""


@dataclass
class Run:
    """A run of the pipeline, and what it told."""

    plan: TrainingPlan = PLAN
    seed: int = 7
    events: list = field(default_factory=list)

    def go(self, **more):
        return evaluate_and_fit(SAMPLES, self.plan, self.seed, events=self.events.append, **more)

    def of(self, kind) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def trials(self) -> list:
        return [event.trial for event in self.of(TrialFinished)]


@pytest.fixture(scope="module")
def searched():
    run = Run()
    return run, run.go()


def test_the_best_trial_is_the_final_model_and_its_folds_are_those_of_its_parameters_alone(searched):
    run, result = searched
    alone = Run(replace(PLAN, model=result.search.model, search=None)).go()
    assert result.model.native_files == alone.model.native_files
    assert [fold.scores.metrics for fold in result.folds] == [fold.scores.metrics for fold in alone.folds]
    assert result.test_scores.metrics == alone.test_scores.metrics
    values = [fold.scores.metrics["log_loss"].value for fold in result.folds]
    assert list(result.search.best.fold_values) == values
    assert result.search.best.value == statistics.fmean(values)
    assert run.of(FoldFinished)[0].result == result.folds[0]


def test_the_best_of_the_complete_trials_wins_and_the_configs_own_model_is_the_first(searched):
    _, result = searched
    first, best = result.search.trials[0], result.search.best
    assert dict(first.values) == {"learning_rate": 0.05, "num_leaves": 4, "subsample": 1.0}
    complete = [trial for trial in result.search.trials if trial.state is TrialState.COMPLETE]
    assert best.value == min(trial.value for trial in complete)
    assert best.value < first.value, "the planted signal is learnt better than by the defaults"
    alone = Run(replace(PLAN, search=None)).go()
    assert first.value == alone.fold_table["log_loss"].mean


def test_trials_are_told_in_order_with_the_best_so_far(searched):
    run, result = searched
    told = run.of(TrialFinished)
    assert [event.trial for event in told] == list(result.search.trials)
    assert [event.trial.number for event in told] == list(range(1, 10))
    best = [event.best.value for event in told]
    assert best == sorted(best, reverse=True)
    stages = [event.stage for event in run.of(StageStarted)]
    assert stages == list(Stage)
    fractions = [event.fraction for event in run.of(Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    by_trials = [
        next(event.fraction for event in run.events[at::-1] if isinstance(event, Progress))
        for at, event in enumerate(run.events)
        if isinstance(event, TrialFinished)
    ]
    assert np.allclose(np.diff(by_trials), np.diff(by_trials)[0]), "the fraction counts trials"
    assert [event.trial for event in run.of(RoundFinished) if event.fold is None] == [None] * sum(
        event.fold is None for event in run.of(RoundFinished)
    )
    assert {event.trial for event in run.of(RoundFinished) if event.fold} == set(range(1, 10))


def test_trials_that_fall_behind_the_best_of_the_complete_ones_are_given_up(searched):
    _, result = searched
    pruned = [trial for trial in result.search.trials if trial.state is TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        before = [
            each for each in result.search.trials[: trial.number - 1] if each.state is TrialState.COMPLETE
        ]
        assert before, "a trial is held against a complete one"
        best = min(before, key=lambda each: each.value)
        assert trial.value > statistics.fmean(best.fold_values[: len(trial.fold_values)])
    whole = Run(replace(PLAN, search=replace(SEARCH, pruning=False, trials=7))).go()
    assert whole.search.count(TrialState.COMPLETE) == 7


def test_the_reader_is_told_that_the_folds_flatter_and_the_manifest_counts_the_trials(searched):
    run, result = searched
    assert "best of 9 trials" in run.of(Warned)[-1].message
    assert "The test span took no part" in run.of(Warned)[-1].message
    manifest = json.loads(export_bundle(result, seed=5, sections={}).contents[MANIFEST])
    told = manifest["scores"]["search"]
    assert told["trial_count"] == told["planned_count"] == 9
    assert told["complete_count"] + told["pruned_count"] == 9
    assert len(told["complete_values"]) == told["complete_count"]
    assert told["best_parameters"] == dict(result.search.best.values)
    assert "optuna" in manifest["libraries"]


@pytest.mark.parametrize(
    ("model", "metric"),
    [(XgboostParameters(rounds=8), "mcc"), (ForestParameters(trees=8), "balanced_accuracy")],
)
def test_every_kind_of_model_is_searched_by_any_metric_in_its_default_space(model, metric):
    plan = replace(
        PLAN,
        model=model,
        early_stopping=None,
        search=SearchPlan(default_space(model), trials=4, metric=metric, startup_trials=2),
    )
    result = Run(plan).go()
    complete = [trial.value for trial in result.search.trials if trial.state is TrialState.COMPLETE]
    assert result.search.best.value == max(complete)
    assert result.fold_table[metric].mean == pytest.approx(max(complete))


def test_combinatorial_folds_are_searched_too_and_their_paths_are_the_best_trials():
    split = SplitPlan(method=CombinatorialPurged(4, 2), embargo=Embargo(2))
    plan = replace(PLAN, split=split, search=replace(SEARCH, trials=3))
    result = Run(plan).go()
    assert len(result.search.best.fold_values) == 6
    alone = Run(replace(plan, model=result.search.model, search=None)).go()
    assert [path.scores.metrics for path in result.paths] == [path.scores.metrics for path in alone.paths]


def test_seed_and_plan_decide_every_trial(searched):
    _, result = searched
    assert Run().go().search.trials == result.search.trials
    assert Run(seed=6).go().search.trials[1:] != result.search.trials[1:]


def folder_run(folder, *, until=None, plan=PLAN):
    """A run that keeps what it does in a folder; it is gone in the midst of the trial after `until`."""
    memory = FolderMemory(folder, pytest.fail)
    run = Run(plan)

    def check():
        if (
            until is not None
            and len(run.trials()) == until
            and run.events[-1:] != [run.of(TrialFinished)[-1]]
        ):
            raise Interrupted

    result = run.go(workshop=Alone(memory), trials=memory, check=check)
    return run, result, memory


def test_an_interrupted_search_goes_on_as_one_that_was_not(searched, tmp_path):
    _, whole = searched
    for until in (1, 5, 8):
        with pytest.raises(Interrupted):
            folder_run(tmp_path, until=until)
    run, result, _ = folder_run(tmp_path)
    assert result.search == whole.search
    assert result.model.native_files == whole.model.native_files
    assert [fold.scores.metrics for fold in result.folds] == [fold.scores.metrics for fold in whole.folds]
    assert [proof.consumer for proof in result.proofs] == [proof.consumer for proof in whole.proofs]
    again = {event.trial for event in run.of(RoundFinished)} - {None}
    assert again <= {9}, "only the trial that was under way is fitted again"
    fitted = Run().go(workshop=Alone(memory := FolderMemory(tmp_path, pytest.fail)), trials=memory)
    assert fitted.search == whole.search
    assert memory.recalled_count == 4


def test_trials_of_another_plan_or_other_samples_are_not_taken(tmp_path):
    plan = replace(PLAN, search=replace(SEARCH, trials=3))
    _, result, _ = folder_run(tmp_path, plan=plan)
    kept = [path for path in tmp_path.iterdir() if path.suffix == ".outcome"]
    assert len(kept) == 3 + 1, "of the best trial's folds and of the final model, and of no other"
    run, _, _ = folder_run(tmp_path, plan=replace(plan, search=replace(plan.search, metric="brier")))
    refitted = {event.trial for event in run.of(RoundFinished)}
    others = {1, 2, 3} - {result.search.best.number}
    assert refitted >= others, "but for units that are the same, those of the best trial"
    memory = FolderMemory(tmp_path, pytest.fail)
    other = made_samples(420, 3, signal=0.8, seed=1)
    events: list = []
    evaluate_and_fit(other, plan, 7, events=events.append, workshop=Alone(memory), trials=memory)
    assert {event.trial for event in events if isinstance(event, RoundFinished)} >= {1, 2, 3}


AT_ONCE = replace(PLAN, search=replace(SEARCH, trials_at_once=3, trials=11))


@pytest.fixture(scope="module")
def searched_at_once():
    run = Run(AT_ONCE)
    return run, run.go()


class Scrambled(Alone):
    """Runs as many batches at once as it gets, and takes now of this one, now of that; it ends after some."""

    def __init__(self, memory, seed, until=None):
        super().__init__(memory)
        self.random, self.until, self.most_open = np.random.default_rng(seed), until, 0

    def run_batches(self, more, watch):
        under_way, taken = [], 0
        while True:
            while (batch := more()) is not None:
                under_way.append((batch, self.run(batch.recipes, watch)))
            self.most_open = max(self.most_open, len(under_way))
            if not under_way:
                return
            if taken == self.until:
                raise Interrupted
            taken += 1
            at = int(self.random.integers(len(under_way)))
            batch, learnt = under_way[at]
            yield batch, next(learnt)
            if batch.is_over:
                del under_way[at]


@pytest.mark.parametrize("seed", [1, 2])
def test_trials_at_once_come_to_the_same_in_any_order_and_after_any_interruption(
    searched_at_once, tmp_path, seed
):
    _, whole = searched_at_once
    assert {trial.state for trial in whole.search.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    for until in (6, 3, 5, None):
        memory = FolderMemory(tmp_path, pytest.fail)
        run, workshop = Run(AT_ONCE), Scrambled(memory, seed, until)
        try:
            result = run.go(workshop=workshop, trials=memory)
        except Interrupted:
            assert run.trials() == list(whole.search.trials[: len(run.trials())])
        assert workshop.most_open == 3
    assert result.search == whole.search
    assert run.trials() == list(whole.search.trials)
    assert result.model.native_files == whole.model.native_files
    assert [proof.consumer for proof in result.proofs] == [proof.consumer for proof in whole.proofs]
    fractions = [event.fraction for event in run.of(Progress)]
    assert fractions == sorted(fractions)


def test_a_trial_is_given_up_by_those_alone_that_it_follows(searched_at_once):
    _, result = searched_at_once
    for trial in result.search.trials:
        known = [
            each.fold_values
            for each in result.search.trials[: max(0, trial.number - 3)]
            if each.state is TrialState.COMPLETE
        ]
        behind = [count for count in range(1, 3) if is_behind("log_loss", trial.fold_values[:count], known)]
        given_up_after = behind[0] if behind else 3
        assert len(trial.fold_values) == given_up_after


def test_a_stop_drops_every_trial_under_way(searched_at_once):
    _, whole = searched_at_once
    run = Run(AT_ONCE)
    result = run.go(should_stop=stop_in_trial(run, 6, Stop.KEEP_BEST), workshop=Scrambled(None, 1))
    assert result.stopped
    assert result.search.trials == whole.search.trials[: len(result.search.trials)]
    assert len(result.search.trials) in (5, 6, 7), "of three at once, two may wait for the fifth"


def test_no_trial_begins_when_the_time_is_up_and_what_there_is_counts():
    clock = iter(range(1_000_000))
    plan = replace(PLAN, search=replace(SEARCH, max_duration_seconds=4.5))
    run = Run(plan)
    result = run.go(clock=lambda: float(next(clock)))
    assert len(result.search.trials) == 5, "the clock is asked before each trial but the first"
    assert result.search.trials == Run().go().search.trials[:5]
    assert "(of 9 planned)" in run.of(Warned)[-1].message


def stop_in_trial(run: Run, number: int, mode: Stop):
    return lambda: mode if len(run.trials()) >= number - 1 and run.of(RoundFinished) else None


def test_a_stop_that_keeps_the_best_drops_the_trial_and_fits_the_best_of_those_before(searched):
    _, whole = searched
    run = Run()
    result = run.go(should_stop=stop_in_trial(run, 4, Stop.KEEP_BEST))
    assert result.stopped
    assert result.search.trials == whole.search.trials[:3]
    assert len(result.folds) == 3
    assert result.learned.rounds <= int(np.median([fold.rounds for fold in result.folds]))


def test_a_stop_in_the_first_trial_leaves_a_model_without_folds():
    run = Run()
    result = run.go(should_stop=stop_in_trial(run, 1, Stop.KEEP_BEST))
    assert result.stopped
    assert result.search is None
    assert result.folds == ()
    assert result.model.native_files


def test_a_discard_ends_a_search():
    run = Run()
    with pytest.raises(Discarded):
        run.go(should_stop=stop_in_trial(run, 2, Stop.DISCARD))


def test_each_fold_of_the_trials_leaves_one_proof_and_all_are_held_against_the_test_span(searched):
    _, result = searched
    consumers = [proof.consumer for proof in result.proofs]
    assert len(set(consumers)) == len(consumers)
    for number in (1, 2, 3):
        for consumer in (f"fold_{number}", f"fold_{number}.early_stopping"):
            assert {consumer, f"search.{consumer}"} <= set(consumers)
    of = {proof.consumer: proof for proof in result.proofs}
    assert of["search"].held_out_rows == of["final_test"].held_out_rows
    assert of["search"].train_last_time < of["final_test"].held_out_first_time


def test_a_leak_of_the_test_span_into_the_trials_is_caught(monkeypatch):
    """Planted: the folds are made of all rows, those of the test span among them."""
    split_folds = splits.split_folds

    def leaking(t0, t1, method, embargo, rows):
        return split_folds(t0, t1, method, embargo, np.arange(t0.size))

    monkeypatch.setattr(splits, "split_folds", leaking)
    run = Run()
    with pytest.raises(FailedPrecondition) as caught:
        run.go()
    assert caught.value.reason is Reason.LEAK_DETECTED
    assert not run.trials(), "before any trial"


def test_a_leak_between_the_folds_of_trials_is_caught(monkeypatch):
    """Planted: a fold learns from the rows that it is scored on."""
    split_folds = splits.split_folds

    def leaking(*given):
        return [replace(fold, train=np.union1d(fold.train, fold.test)) for fold in split_folds(*given)]

    monkeypatch.setattr(splits, "split_folds", leaking)
    with pytest.raises(FailedPrecondition) as caught:
        Run().go()
    assert caught.value.reason is Reason.LEAK_DETECTED


def test_a_metric_that_no_trial_has_is_said_and_not_guessed():
    """The last fold is of one class alone: no area under a curve."""
    classes = SAMPLES.classes.copy()
    classes[200:336] = 1
    one_sided = replace(SAMPLES, classes=classes)
    plan = replace(PLAN, search=replace(SEARCH, metric="roc_auc", trials=3))
    with pytest.raises(FailedPrecondition, match="None of 3 trials has a roc_auc on every fold"):
        evaluate_and_fit(one_sided, plan, 7, events=lambda event: None)


def test_a_search_of_an_ensemble_or_beyond_a_range_is_refused():
    with pytest.raises(InvalidArgument, match="search"):
        Run(replace(PLAN, model=Bagging(2))).go()
    beyond = replace(SEARCH, space={"num_leaves": Searched(Integer(1, 31))})
    with pytest.raises(InvalidArgument, match=r"search\.space\.num_leaves\.integer\.low"):
        Run(replace(PLAN, search=beyond)).go()
