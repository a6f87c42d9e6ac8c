"""The pipeline: events in order, a test span that nothing has seen, stops that keep or discard, proofs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Reason
from services.training import learners, splits
from services.training.events import (
    Discarded,
    FoldFinished,
    Progress,
    RoundFinished,
    Stage,
    StageStarted,
    Stop,
    Warned,
)
from services.training.learners import ForestParameters, LightgbmParameters, XgboostParameters
from services.training.pipeline import evaluate_and_fit
from services.training.plan import ClassWeight, EarlyStopping, SplitPlan, TrainingPlan
from services.training.samples import Chosen
from services.training.splits import CombinatorialPurged, Embargo, KFold, WalkForward
from tests.training.cases import BINARY, answers, made_samples, native_file

FAST = LightgbmParameters(rounds=12, num_leaves=7)
THREE_FOLDS = SplitPlan(method=KFold(3), embargo=Embargo(bars=2))
PLAN = TrainingPlan(FAST, split=THREE_FOLDS, interval_draws=100)
STOPPING = replace(PLAN, model=replace(FAST, rounds=60), early_stopping=EarlyStopping(3, 0.2))


class Run:
    """One run and all that it told; `stop_when` takes the events so far and answers how to stop, or None."""

    def __init__(self, samples=None, plan=PLAN, seed=7, stop_when=None, choose=None):
        self.events = []
        self.samples = made_samples() if samples is None else samples
        self.result = None
        self._arguments = (self.samples, plan, seed)
        self._stop_when = stop_when or (lambda events: None)
        self._choose = choose

    def go(self) -> Run:
        self.result = evaluate_and_fit(
            *self._arguments,
            events=self.events.append,
            should_stop=lambda: self._stop_when(self.events),
            choose=self._choose,
        )
        return self

    def of(self, kind) -> list:
        return [event for event in self.events if isinstance(event, kind)]


def model_bytes(run: Run) -> bytes:
    return native_file(run.result)


@pytest.mark.parametrize("plan", [PLAN, STOPPING, replace(PLAN, model=ForestParameters(trees=9))], ids=str)
def test_events_come_in_the_order_of_the_work(plan):
    run = Run(plan=plan).go()
    assert [event.stage for event in run.of(StageStarted)] == list(Stage)[1:], "there is no search"
    assert [event.result.number for event in run.of(FoldFinished)] == [1, 2, 3]
    assert tuple(event.result for event in run.of(FoldFinished)) == run.result.folds
    assert all(event.fold_count == 3 for event in run.of(FoldFinished))
    fit_at = run.events.index(StageStarted(Stage.FINAL_FIT))
    assert all(run.events.index(event) < fit_at for event in run.of(FoldFinished))
    assert [event.fold for event in run.of(RoundFinished)] == sorted(
        (event.fold for event in run.of(RoundFinished)), key=lambda fold: fold or 99
    )
    for fold in (1, 2, 3, None):
        rounds = [event.round for event in run.of(RoundFinished) if event.fold == fold]
        assert rounds == sorted(set(rounds))
        assert rounds[-1] >= (
            run.result.learned.rounds if fold is None else run.result.folds[fold - 1].rounds
        )
    assert run.events[-1] == Progress(1.0)


@pytest.mark.parametrize("plan", [PLAN, STOPPING, replace(PLAN, model=ForestParameters(trees=9))], ids=str)
def test_progress_only_grows_and_is_whole_only_at_the_end(plan):
    fractions = [event.fraction for event in Run(plan=plan).go().of(Progress)]
    assert all(before < after for before, after in pairwise(fractions))
    assert fractions[0] > 0
    assert [fraction for fraction in fractions if fraction >= 1] == [1.0]
    assert fractions[-2] < 1
    assert len(fractions) > 12


def test_the_result_is_of_the_plan():
    run = Run(plan=STOPPING).go()
    found = run.result
    assert found.learned.feature_names == run.samples.feature_names
    assert found.class_names == run.samples.class_names
    assert found.learned.rounds < found.learned.trained_rounds <= 60
    assert found.test_scores.row_count == 120
    assert sum(fold.scores.row_count for fold in found.folds) == found.proofs[0].train_rows
    assert found.fold_table["accuracy"].fold_count == 3
    assert set(found.baseline_tables) == set(found.test_baselines) == {"majority", "persistence"}
    assert found.test_intervals["accuracy"].low < found.test_scores.metrics["accuracy"].value
    assert not found.stopped
    assert [proof.consumer for proof in found.proofs] == [
        "final_test",
        "fold_1",
        "fold_1.early_stopping",
        "fold_2",
        "fold_2.early_stopping",
        "fold_3",
        "fold_3.early_stopping",
        "final_model.early_stopping",
    ]
    assert all(proof.gap_microseconds > 0 for proof in found.proofs)


def test_the_scores_of_the_test_span_are_the_models_own():
    run = Run().go()
    last = slice(480, 600)
    probabilities = answers(run.result, run.samples.features[last])
    accuracy = np.mean(probabilities.argmax(axis=1) == run.samples.classes[last])
    assert run.result.test_scores.metrics["accuracy"].value == pytest.approx(accuracy)
    assert accuracy > 0.5


@pytest.mark.parametrize("plan", [PLAN, STOPPING], ids=["plain", "early_stopping"])
def test_nothing_of_the_test_span_reaches_the_model_or_the_folds(plan):
    samples = made_samples()
    features, classes = samples.features.copy(), samples.classes.copy()
    features[480:] = 1e3
    classes[480:] = 2 - classes[480:]
    before, after = (
        Run(samples, plan).go(),
        Run(replace(samples, features=features, classes=classes), plan).go(),
    )
    assert model_bytes(before) == model_bytes(after)
    assert before.result.fold_table == after.result.fold_table
    assert before.result.test_scores.metrics != after.result.test_scores.metrics


def test_nothing_of_a_folds_block_or_its_purge_reaches_the_folds_model():
    samples = made_samples(label_bars=10)
    plan = replace(STOPPING, split=SplitPlan(method=KFold(4)))
    before = Run(samples, plan).go()
    proof = next(proof for proof in before.result.proofs if proof.consumer == "fold_2")
    fold_2 = splits.split_folds(samples.t0[:470], samples.t1[:470], KFold(4))[1]
    assert (fold_2.train.size, fold_2.purged_count) == (proof.train_rows, proof.purged_count)
    changed = np.setdiff1d(np.arange(470), fold_2.train)
    classes = samples.classes.copy()
    classes[changed] = 2 - classes[changed]
    after = Run(replace(samples, classes=classes), plan).go()

    def losses(run):
        return [event.validation_loss for event in run.of(RoundFinished) if event.fold == 2]

    assert losses(before) == losses(after)
    assert before.result.folds[1].rounds == after.result.folds[1].rounds
    assert before.result.folds[0].scores.metrics != after.result.folds[0].scores.metrics


def leaky(name):
    """The splitter with a bug: the rows that it holds out are among those to train on."""
    sound = getattr(splits, name)

    def leak(*arguments):
        found = sound(*arguments)
        if name == "split_folds":
            return [replace(fold, train=np.union1d(fold.train, fold.test[:1])) for fold in found]
        train, held_out, dropped = found
        return np.union1d(train, [held_out[0] - 1]), held_out, dropped

    return leak


WALK = SplitPlan(method=WalkForward(3, test_row_count=40), embargo=Embargo(bars=2))
COMBINED = SplitPlan(method=CombinatorialPurged(4, 2), embargo=Embargo(bars=2))


def test_walking_forward_scores_the_rows_of_its_blocks_and_no_others():
    samples = made_samples()
    result = Run(samples, replace(STOPPING, split=WALK)).go().result
    assert [fold.scores.row_count for fold in result.folds] == [40, 40, 40]
    assert [fold.baselines["majority"].row_count for fold in result.folds] == [40, 40, 40]
    assert result.fold_table["accuracy"].fold_count == 3
    proofs = {proof.consumer: proof for proof in result.proofs}
    for number in (1, 2, 3):
        proof = proofs[f"fold_{number}"]
        assert proof.train_last_time < proof.held_out_first_time
        assert (proof.purged_count, proof.embargoed_count, proof.held_out_rows) == (3, 2, 40)
        assert f"fold_{number}.early_stopping" in proofs
    assert (result.paths, result.path_table, result.path_baseline_tables) == ((), {}, {})


def test_combinatorial_folds_are_scored_one_by_one_and_along_paths_of_every_row_once():
    run = Run(plan=replace(PLAN, split=COMBINED)).go()
    result, samples = run.result, run.samples
    assert [event.result.number for event in run.of(FoldFinished)] == [1, 2, 3, 4, 5, 6]
    assert all(event.fold_count == 6 for event in run.of(FoldFinished))
    assert result.fold_table["accuracy"].fold_count == 6
    trained = result.proofs[0].train_rows
    assert [path.number for path in result.paths] == [1, 2, 3]
    assert [path.folds for path in result.paths] == [(1, 1, 2, 3), (2, 4, 4, 5), (3, 5, 6, 6)]
    for path in result.paths:
        assert path.scores.row_count == path.baselines["majority"].row_count == trained
        assert path.scores.class_counts == tuple(np.bincount(samples.classes[:trained]))
    confusions = sum(path.scores.confusion for path in result.paths)
    assert confusions.tolist() == sum(fold.scores.confusion for fold in result.folds).tolist()
    assert result.path_table["accuracy"].fold_count == 3
    assert set(result.path_baseline_tables) == {"majority", "persistence"}
    accuracies = [path.scores.metrics["accuracy"].value for path in result.paths]
    assert result.path_table["accuracy"].mean == pytest.approx(np.mean(accuracies))
    fractions = [event.fraction for event in run.of(Progress)]
    assert all(before < after for before, after in pairwise(fractions))
    consumers = [proof.consumer for proof in result.proofs]
    assert consumers == ["final_test", *(f"fold_{number}" for number in range(1, 7))]


def test_a_stop_that_keeps_the_best_scores_the_paths_whose_folds_are_finished():
    plan = replace(PLAN, split=COMBINED)
    result = Run(plan=plan, stop_when=stop_in_fold(4, 2, Stop.KEEP_BEST)).go().result
    assert len(result.folds) == 3
    assert [path.folds for path in result.paths] == [(1, 1, 2, 3)]


@pytest.mark.parametrize("split", [THREE_FOLDS, WALK, COMBINED], ids=["k_fold", "walk", "combined"])
@pytest.mark.parametrize("consumer", ["final_test", "fold_1", "fold_1.early_stopping", "fold_1.selection"])
def test_a_consumer_whose_rows_are_not_purged_has_no_proof_and_makes_no_model(split, consumer, monkeypatch):
    """Without the purge of one consumer, and with nobody else's proof to catch it."""
    prove = splits.prove
    unpurged = splits.Dropped(0, 0)

    def only_of_the_consumer(name, t0, t1, train, held_out, dropped):
        if name == consumer:
            return prove(name, t0, t1, train, held_out, dropped)
        return splits.SplitProof(name, train.size, held_out.size, 0, 0, 0, 0, 0, 0, 1)

    def tail(rows, fraction):
        count = round(rows.size * fraction)
        return rows[:-count], rows[-count:], unpurged

    def folds(t0, t1, method, embargo, rows):
        sound = sound_folds(t0, t1, method, embargo, rows)
        return [replace(fold, train=np.setdiff1d(rows, fold.test)) for fold in sound]

    sound_folds = splits.split_folds
    monkeypatch.setattr(splits, "prove", only_of_the_consumer)
    if consumer == "final_test":
        monkeypatch.setattr(
            splits, "final_test_split", lambda t0, t1, fraction, embargo: tail(np.arange(t0.size), fraction)
        )
    elif consumer == "fold_1":
        monkeypatch.setattr(splits, "split_folds", folds)
    else:  # a choice of features takes the rows of the fit: with those next to the slice, it sees its labels
        monkeypatch.setattr(
            splits, "newest_slice", lambda rows, t0, t1, fraction, embargo: tail(rows, fraction)
        )
    samples = made_samples()
    run = Run(samples, replace(STOPPING, split=split), choose=Choosing(samples))
    with pytest.raises(FailedPrecondition, match="training rows overlap") as refused:
        run.go()
    assert refused.value.reason is Reason.LEAK_DETECTED
    assert not run.of(FoldFinished)


@pytest.mark.parametrize("name", ["final_test_split", "newest_slice", "split_folds"])
def test_a_splitter_that_leaks_is_caught_by_the_proof_and_no_model_is_made(name, monkeypatch):
    monkeypatch.setattr(splits, name, leaky(name))
    run = Run(plan=STOPPING)
    with pytest.raises(FailedPrecondition) as refused:
        run.go()
    assert refused.value.reason is Reason.LEAK_DETECTED
    assert not run.of(FoldFinished)


@pytest.mark.parametrize(
    "model", [FAST, XgboostParameters(rounds=12), ForestParameters(trees=9)], ids=learners.kind_of
)
def test_seed_and_samples_decide_the_result_and_threads_do_not(model):
    plan = replace(PLAN, model=model)
    one, other = Run(plan=plan).go(), Run(plan=replace(plan, threads=2)).go()
    assert repr(one.of(FoldFinished)) == repr(other.of(FoldFinished))
    for field in ("fold_table", "test_intervals", "proofs", "test_baselines"):
        assert repr(getattr(one.result, field)) == repr(getattr(other.result, field))
    rows = one.samples.features
    first, second = (answers(run.result, rows) for run in (one, other))
    assert first.tobytes() == second.tobytes()


def test_the_seed_reaches_the_model_and_the_bootstrap():
    plan = replace(PLAN, model=replace(FAST, subsample=0.5))
    one, other = Run(plan=plan, seed=1).go(), Run(plan=plan, seed=2).go()
    assert model_bytes(one) != model_bytes(other)
    assert one.result.test_intervals != other.result.test_intervals


def stop_in_fold(fold, rounds, mode):
    """Stop once the model of `fold` (None: the final one) has so many rounds."""
    return lambda events: (
        mode
        if any(
            isinstance(event, RoundFinished) and (event.fold, event.round) == (fold, rounds)
            for event in events
        )
        else None
    )


@pytest.mark.parametrize("fold", [1, 3, None])
def test_a_run_told_to_discard_ends_before_its_next_round_and_leaves_nothing(fold):
    run = Run(stop_when=stop_in_fold(fold, 4, Stop.DISCARD))
    with pytest.raises(Discarded):
        run.go()
    assert run.of(RoundFinished)[-1] == RoundFinished(fold, 4, None)
    assert run.result is None


def test_whatever_the_check_raises_ends_the_run_before_its_next_round():
    seen = []

    def check():
        if len([event for event in seen if isinstance(event, RoundFinished)]) == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        evaluate_and_fit(made_samples(), PLAN, 7, events=seen.append, check=check)
    assert seen[-2] == RoundFinished(1, 5, None)


def test_keep_best_in_the_final_fit_ends_it_there():
    run = Run(stop_when=stop_in_fold(None, 5, Stop.KEEP_BEST)).go()
    assert run.result.stopped
    assert (run.result.learned.rounds, len(run.result.folds)) == (5, 3)
    assert run.of(Warned) == [Warned("Stopped early: the final model has 5 rounds.")]
    assert run.events[-1] == Progress(1.0)
    plain = Run(plan=replace(PLAN, model=replace(FAST, rounds=5))).go()
    rows = run.samples.features
    kept, asked = (answers(each.result, rows) for each in (run, plain))
    assert kept.tobytes() == asked.tobytes()


def test_keep_best_in_a_fold_drops_it_and_still_fits_and_scores_a_model():
    run = Run(plan=STOPPING, stop_when=stop_in_fold(3, 2, Stop.KEEP_BEST)).go()
    rounds = [fold.rounds for fold in run.result.folds]
    assert [fold.number for fold in run.result.folds] == [1, 2]
    assert run.result.learned.rounds <= int(np.median(rounds))
    assert run.result.fold_table["accuracy"].fold_count == 2
    assert run.result.test_scores.row_count == 120
    assert run.result.stopped
    assert "Stopped in fold 3 of 3: 2 are scored." in run.of(Warned)[0].message
    assert [event.stage for event in run.of(StageStarted)] == list(Stage)[1:], "there is no search"


def test_keep_best_in_the_first_fold_takes_the_round_it_had_reached():
    run = Run(stop_when=stop_in_fold(1, 6, Stop.KEEP_BEST)).go()
    assert run.result.folds == ()
    assert run.result.learned.rounds == 6
    assert run.result.fold_table["accuracy"].reason == "No fold was finished."
    assert run.result.baseline_tables == {}
    assert run.result.test_scores.row_count == 120


def test_keep_best_before_the_first_round_still_leaves_a_model():
    run = Run(stop_when=lambda events: Stop.KEEP_BEST).go()
    assert run.result.learned.rounds == 1
    assert run.result.test_scores.row_count == 120


def test_a_discard_that_follows_keep_best_discards():
    def stop_when(events):
        if StageStarted(Stage.FINAL_FIT) in events:
            return Stop.DISCARD
        return Stop.KEEP_BEST if len(events) > 5 else None

    with pytest.raises(Discarded):
        Run(stop_when=stop_when).go()


def test_balanced_classes_weigh_the_same_whatever_their_frequency():
    samples = made_samples(1_500, class_names=BINARY, signal=0.4, missing=0.0)
    rare = replace(samples, classes=(samples.features[:, 0] > 1.3).astype(np.int8))
    noisy = np.random.default_rng(0).random(1_500) < 0.25
    rare.classes[noisy] = 0
    plain, balanced = (
        Run(rare, replace(PLAN, class_weight=weight)).go().result
        for weight in (ClassWeight.NONE, ClassWeight.BALANCED)
    )
    recall = [
        found.test_scores.confusion[1, 1] / found.test_scores.confusion[1].sum()
        for found in (plain, balanced)
    ]
    assert recall[1] > recall[0] + 0.2
    assert (
        balanced.test_scores.metrics["balanced_accuracy"].value
        > plain.test_scores.metrics["balanced_accuracy"].value
    )


def test_a_plan_says_every_rule_it_breaks_at_once():
    plan = TrainingPlan(
        replace(FAST, learning_rate=9.0),
        split=SplitPlan(test_fraction=0.9, method=KFold(1), embargo=Embargo(bars=-1)),
        early_stopping=EarlyStopping(0, 0.0),
        interval_level=1.0,
        interval_draws=1,
        threads=0,
    )
    with pytest.raises(InvalidArgument) as refused:
        evaluate_and_fit(made_samples(), plan, 0, events=lambda event: None)
    assert {violation.field for violation in refused.value.violations} == {
        "model.lightgbm.learning_rate",
        "split.embargo.bars",
        "split.test_fraction",
        "split.folds",
        "threads",
        "interval_draws",
        "interval_level",
        "early_stopping.patience_rounds",
        "early_stopping.fraction",
    }
    forest = replace(PLAN, model=ForestParameters(), early_stopping=EarlyStopping())
    with pytest.raises(InvalidArgument, match="early_stopping"):
        evaluate_and_fit(made_samples(), forest, 0, events=lambda event: None)


def test_infinite_features_are_refused_by_their_name():
    samples = made_samples()
    samples.features[3, 2] = np.inf
    with pytest.raises(InvalidArgument, match=r"features\.feature_2.*row 3"):
        Run(samples).go()


def test_no_features_are_refused():
    samples = made_samples()
    with pytest.raises(InvalidArgument, match="at least one feature"):
        Run(replace(samples, features=samples.features[:, :0], feature_names=())).go()


def test_a_class_without_a_training_row_is_too_little_data():
    samples = made_samples()
    samples.classes[:480][samples.classes[:480] == 2] = 1
    with pytest.raises(FailedPrecondition, match="'up' has none") as refused:
        Run(samples).go()
    assert refused.value.reason is Reason.TOO_LITTLE_DATA


@pytest.mark.parametrize("rows", [1, 3, 10, 25])
def test_too_few_rows_are_refused_as_such(rows):
    with pytest.raises(FailedPrecondition) as refused:
        Run(made_samples(rows, label_bars=20), plan=STOPPING).go()
    assert refused.value.reason is Reason.TOO_LITTLE_DATA


class Choosing:
    """Chooses the two features that follow the class best on the rows it is given, and remembers those."""

    def __init__(self, samples):
        self.samples = samples
        self.asked = {}

    def __call__(self, consumer, rows, classes, weights, seed):
        assert weights.shape == classes.shape == rows.shape
        self.asked[consumer] = (rows, seed)
        features = self.samples.features
        follows = [abs(np.corrcoef(column, classes)[0, 1]) for column in features[rows].T]
        best = np.sort(np.argsort(follows)[-2:])
        return Chosen(features[:, best], tuple(self.samples.feature_names[each] for each in best))


def test_every_fit_chooses_its_features_on_the_rows_it_is_fitted_on():
    samples = made_samples()
    choosing = Choosing(samples)
    result = Run(samples, STOPPING, choose=choosing).go().result
    assert list(choosing.asked) == [f"fold_{number}.selection" for number in (1, 2, 3)] + [
        "final_model.selection"
    ]
    assert len({seed for _, seed in choosing.asked.values()}) == 4
    stopping = {proof.consumer: proof for proof in result.proofs if "early_stopping" in proof.consumer}
    for consumer, (rows, _) in choosing.asked.items():
        assert rows.size == stopping[consumer.replace("selection", "early_stopping")].train_rows
    proven = {proof.consumer: proof for proof in result.proofs if "selection" in proof.consumer}
    assert set(proven) == set(choosing.asked)
    assert all(proof.gap_microseconds > 0 for proof in proven.values())
    final = proven["final_model.selection"]
    assert (
        final.held_out_rows
        == result.test_scores.row_count + stopping["final_model.early_stopping"].held_out_rows
    )
    assert len(result.learned.feature_names) == 2
    assert result.learned.importances.size == 2


def test_what_the_held_out_rows_hold_changes_no_choice():
    samples = made_samples()
    first = Choosing(samples)
    result = Run(samples, STOPPING, choose=first).go().result
    test = np.arange(samples.classes.size)[-result.test_scores.row_count :]
    features = samples.features.copy()
    features[test] = np.random.default_rng(1).normal(size=features[test].shape)
    changed = replace(samples, features=features)
    second = Choosing(changed)
    other = Run(changed, STOPPING, choose=second).go().result
    assert other.learned.feature_names == result.learned.feature_names
    assert [rows.tolist() for rows, _ in second.asked.values()] == [
        rows.tolist() for rows, _ in first.asked.values()
    ]
    assert native_file(other) == native_file(result)
