"""Ensembles: what the run scores is what the registry answers, whatever they are made of; nothing leaks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from marketml.bundle import MANIFEST, TENSORS
from marketml.bundle.graph import Calibration
from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Reason
from services.registry.inspection import inspect_bundle
from services.training import splits
from services.training.events import FoldFinished, Progress, RoundFinished, Stop
from services.training.export.bundle import export_bundle
from services.training.learners import (
    ExtraTreesParameters,
    ForestParameters,
    LightgbmParameters,
    XgboostParameters,
)
from services.training.learners.logistic import LogisticParameters
from services.training.models.decisions import DecisionMetric
from services.training.models.ensembles import Bagging, Bootstrap, Stacking, kind_of
from services.training.pipeline import evaluate_and_fit
from services.training.plan import CalibrationPlan, DecisionPlan, EarlyStopping, SplitPlan, TrainingPlan
from services.training.samples import Chosen
from services.training.splits import Embargo, KFold
from services.training.workshop.alone import Alone
from tests.training.cases import BINARY, THREE_WAY, made_samples

LIGHTGBM = LightgbmParameters(rounds=6, min_child_samples=5)
XGBOOST = XgboostParameters(rounds=6, max_depth=3)
FOREST = ForestParameters(trees=5)
EXTRA = ExtraTreesParameters(trees=5)
MIXED = (LIGHTGBM, XGBOOST, FOREST, EXTRA)
TWO_FOLDS = SplitPlan(method=KFold(2), embargo=Embargo(bars=2))


def bag(*models, members=3, **more):
    return Bagging(members=members, models=models, **more)


def stack(*models, **more):
    return Stacking(folds=2, base_models=models, **more)


def run(model, names=THREE_WAY, *, samples=None, events=None, **more):
    plan = TrainingPlan(model, split=TWO_FOLDS, interval_draws=100, **more)
    samples = made_samples(300, class_names=names) if samples is None else samples
    return evaluate_and_fit(samples, plan, 7, events=events or (lambda event: None))


SIGMOID, ISOTONIC = CalibrationPlan(Calibration.SIGMOID), CalibrationPlan(Calibration.ISOTONIC)
MACRO_F1, MCC = DecisionPlan(DecisionMetric.MACRO_F1), DecisionPlan(DecisionMetric.MCC, 0.2)
NOTHING: dict = {}

# Every learner with every kind of model, every learner and every kind with everything that may follow.
MATRIX = [
    (LIGHTGBM, BINARY, {"calibration": SIGMOID}),
    (LIGHTGBM, THREE_WAY, {"calibration": ISOTONIC, "decision_thresholds": MCC}),
    (XGBOOST, THREE_WAY, {"decision_thresholds": MACRO_F1}),
    (XGBOOST, BINARY, {"calibration": ISOTONIC}),
    (FOREST, THREE_WAY, {"calibration": SIGMOID, "decision_thresholds": MACRO_F1}),
    (FOREST, BINARY, {"calibration": ISOTONIC}),
    (EXTRA, BINARY, NOTHING),
    (EXTRA, THREE_WAY, {"calibration": ISOTONIC}),
    (bag(LIGHTGBM), THREE_WAY, NOTHING),
    (bag(XGBOOST), BINARY, {"calibration": SIGMOID}),
    (bag(FOREST, bootstrap=Bootstrap.SEQUENTIAL), THREE_WAY, {"calibration": ISOTONIC}),
    (bag(EXTRA), THREE_WAY, {"decision_thresholds": MCC}),
    (bag(*MIXED, members=6), BINARY, {"calibration": ISOTONIC, "decision_thresholds": MACRO_F1}),
    (bag(*MIXED, members=5), THREE_WAY, {"early_stopping": EarlyStopping(3), "calibration": SIGMOID}),
    (stack(LIGHTGBM, FOREST), THREE_WAY, NOTHING),
    (stack(XGBOOST, EXTRA), BINARY, {"calibration": SIGMOID}),
    (stack(XGBOOST, LIGHTGBM, passthrough=True), THREE_WAY, {"calibration": ISOTONIC}),
    (stack(LIGHTGBM, EXTRA, meta_model=LIGHTGBM), BINARY, {"early_stopping": EarlyStopping(3)}),
    (stack(FOREST, EXTRA, meta_model=LIGHTGBM, passthrough=True), THREE_WAY, {"decision_thresholds": MCC}),
    (stack(XGBOOST, FOREST, meta_model=FOREST), THREE_WAY, {"decision_thresholds": MACRO_F1}),
    (
        stack(*MIXED, meta_model=FOREST, passthrough=True),
        BINARY,
        {"calibration": ISOTONIC, "early_stopping": EarlyStopping(3)},
    ),
]  # fmt: skip


def id_of(case):
    model, names, more = case
    return "-".join([kind_of(model), str(len(names)), *(name.partition("_")[0] for name in more)])


@pytest.mark.parametrize("case", MATRIX, ids=id_of)
def test_the_registry_answers_what_the_run_scored(case):
    """The rows of the final test have holes, and no fit has seen them."""
    model, names, more = case
    samples = made_samples(300, class_names=names)
    result = run(model, names, samples=samples, **more)
    bundle = export_bundle(result, seed=7, sections={})
    found = inspect_bundle(bundle.contents[MANIFEST], bundle.contents[TENSORS]).predictor
    rows = samples.features[-60:]
    assert np.isnan(rows).any()
    answers = found.predict(rows)
    assert np.abs(answers - result.learned.probabilities).max() < 1e-9
    assert found.choose(answers).tolist() == result.learned.predicted.tolist()
    assert answers.sum(axis=1) == pytest.approx(np.ones(60))
    said = np.bincount(result.learned.predicted, minlength=len(names))
    assert said.tolist() == result.test_scores.confusion.sum(axis=0).tolist()
    alone = [found.predict(rows[index : index + 1])[0].tolist() for index in range(20)]
    assert alone == answers[:20].tolist()


def consumers(result):
    return [proof.consumer for proof in result.proofs]


def test_every_consumer_of_a_stack_leaves_its_proof():
    result = run(
        stack(LIGHTGBM, FOREST, meta_model=LIGHTGBM),
        early_stopping=EarlyStopping(3),
        calibration=SIGMOID,
        decision_thresholds=MCC,
    )
    expected = ["calibration", "early_stopping", "stacking_1", "stacking_1.early_stopping", "stacking_2"]
    expected += ["stacking_2.early_stopping", "meta.early_stopping"]
    assert consumers(result) == [
        "final_test",
        *(name for fold in ("fold_1", "fold_2") for name in (fold, *(f"{fold}.{each}" for each in expected))),
        *(f"final_model.{each}" for each in expected),
    ]
    assert all(proof.gap_microseconds > 0 for proof in result.proofs)
    without = run(bag(FOREST), decision_thresholds=MCC)
    assert consumers(without)[-1] == "final_model.decision_thresholds"


def test_members_share_the_features_of_their_consumer_and_out_of_fold_fits_choose_their_own():
    """Two features, or for a fit out of fold three; what is passed through are the two."""
    samples, seen = made_samples(300), {}

    def choose(consumer, rows, classes, weights, seed):
        seen[consumer] = rows
        width = 3 if "stacking_" in consumer else 2
        return Chosen(samples.features[:, :width], samples.feature_names[:width])

    def learn(model):
        seen.clear()
        plan = TrainingPlan(
            model, split=TWO_FOLDS, interval_draws=100, early_stopping=EarlyStopping(3), calibration=SIGMOID
        )
        return evaluate_and_fit(samples, plan, 7, events=lambda event: None, choose=choose)

    result = learn(bag(LIGHTGBM, FOREST))
    assert list(seen) == ["fold_1.selection", "fold_2.selection", "final_model.selection"]
    result = learn(stack(LIGHTGBM, FOREST, passthrough=True))
    assert [name for name in seen if name.startswith("final_model")] == [
        "final_model.selection",
        "final_model.stacking_1.selection",
        "final_model.stacking_2.selection",
    ]
    assert result.learned.feature_names == samples.feature_names[:2]
    assert result.model.arrays["meta.fill"].size == 2 * 3 + 2
    whole = seen["final_model.selection"]
    for number in (1, 2):
        some = seen[f"final_model.stacking_{number}.selection"]
        assert some.size < whole.size
    proofs = {proof.consumer: proof for proof in result.proofs}
    assert (
        proofs["final_model.stacking_1.selection"].train_rows == seen["final_model.stacking_1.selection"].size
    )
    bundle = export_bundle(result, seed=7, sections={})
    found = inspect_bundle(bundle.contents[MANIFEST], bundle.contents[TENSORS]).predictor
    answers = found.predict(np.ascontiguousarray(samples.features[-60:, :2]))
    assert np.abs(answers - result.learned.probabilities).max() < 1e-9


def test_out_of_fold_rows_that_are_shuffled_instead_of_purged_are_caught(monkeypatch):
    """Neighbours' labels overlap: a base model that has seen them has seen the rows it predicts."""
    split_folds = splits.split_folds

    def shuffled(t0, t1, method, embargo, rows):
        if rows.size == t0.size - 60 - 5:  # the folds of the run itself stay as they are
            return split_folds(t0, t1, method, embargo, rows)
        mixed = np.random.default_rng(0).permutation(rows)
        parts = [np.sort(part) for part in np.array_split(mixed, method.folds)]
        return [splits.Fold(np.setdiff1d(rows, part), part, 0, 0) for part in parts]

    monkeypatch.setattr(splits, "split_folds", shuffled)
    with pytest.raises(FailedPrecondition) as found:
        run(stack(LIGHTGBM, FOREST))
    assert found.value.reason is Reason.LEAK_DETECTED


def test_rows_to_calibrate_by_that_are_not_purged_are_caught(monkeypatch):
    def beside(rows, t0, t1, fraction, embargo):
        count = round(rows.size * fraction)
        return rows[:-count], rows[-count:], splits.Dropped(0, 0)

    monkeypatch.setattr(splits, "newest_slice", beside)
    for more in ({"calibration": SIGMOID}, {"decision_thresholds": MCC}):
        with pytest.raises(FailedPrecondition) as found:
            run(LIGHTGBM, **more)
        assert found.value.reason is Reason.LEAK_DETECTED


def units_of(model, **more):
    keys: list[str] = []

    class Listed:
        def recall(self, key, digest):
            keys.append(key)

        def keep(self, key, digest, outcome): ...

    plan = TrainingPlan(model, split=TWO_FOLDS, interval_draws=100, **more)
    evaluate_and_fit(made_samples(300), plan, 7, events=lambda event: None, workshop=Alone(Listed()))
    return keys


def test_each_fit_of_an_ensemble_is_a_unit_with_a_key_of_its_own():
    assert units_of(bag(FOREST, members=2)) == [
        f"{consumer}.member_{number}" for consumer in ("fold_1", "fold_2", "final_model") for number in (1, 2)
    ]
    keys = units_of(stack(FOREST, EXTRA, meta_model=FOREST))
    each = ["base_1", "base_2", "stacking_1.base_1", "stacking_1.base_2"]
    each += ["stacking_2.base_1", "stacking_2.base_2", "meta"]
    assert keys == [f"{consumer}.{unit}" for consumer in ("fold_1", "fold_2", "final_model") for unit in each]


def test_members_take_turns_in_the_models_and_have_bootstraps_and_seeds_of_their_own():
    result = run(bag(LIGHTGBM, FOREST, members=4))
    assert [member.kind for member in result.learned.members] == ["lightgbm", "random_forest"] * 2
    arrays = result.model.arrays
    assert arrays["member_1.leaves"].tolist() != arrays["member_3.leaves"].tolist()
    assert arrays["mean.weights"].tolist() == [0.25] * 4
    assert result.learned.rounds == 2 * 6 + 2 * 5
    assert result.learned.importances.sum() == pytest.approx(1)
    manifest = json.loads(export_bundle(result, seed=7, sections={}).contents[MANIFEST])
    assert {"lightgbm", "scikit-learn"} <= manifest["libraries"].keys()
    assert manifest["scores"]["model"]["kind"] == "bagging"
    assert [each["rounds"] for each in manifest["scores"]["model"]["members"]] == [6, 5, 6, 5]


@pytest.mark.parametrize("model", [bag(LIGHTGBM, EXTRA), stack(LIGHTGBM, FOREST)], ids=kind_of)
def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads(model):
    digests = {
        export_bundle(run(model, calibration=ISOTONIC, threads=threads), seed=7, sections={}).digest
        for threads in (1, 2)
    }
    assert len(digests) == 1


def test_progress_never_falls_and_counts_every_member():
    fractions, rounds = [], []

    def take(event):
        if isinstance(event, Progress):
            fractions.append(event.fraction)
        if isinstance(event, RoundFinished):
            rounds.append(event)

    run(stack(LIGHTGBM, FOREST), events=take)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert max(fractions[:-1]) <= 0.99
    assert len([each for each in fractions if each < 0.9]) > 10
    assert {each.fold for each in rounds} == {1, 2, None}


def stopped_after(model, when, **more):
    """A run that is told to keep its best at an event."""
    told: list[Stop] = []

    def take(event):
        if when(event):
            told.append(Stop.KEEP_BEST)

    plan = TrainingPlan(model, split=TWO_FOLDS, interval_draws=100, **more)
    samples = made_samples(300)
    result = evaluate_and_fit(samples, plan, 7, events=take, should_stop=lambda: told[0] if told else None)
    return result, samples


def test_a_stop_in_the_final_fit_keeps_the_members_that_there_are():
    rounds = []

    def when(event):
        if isinstance(event, RoundFinished) and event.fold is None:
            rounds.append(event.round)
        return len(rounds) == 2 * 6 + 3  # in the third member

    result, samples = stopped_after(bag(LIGHTGBM, members=5), when)
    assert result.stopped
    assert [member.rounds for member in result.learned.members] == [6, 6]
    bundle = export_bundle(result, seed=7, sections={})
    found = inspect_bundle(bundle.contents[MANIFEST], bundle.contents[TENSORS]).predictor
    assert np.abs(found.predict(samples.features[-60:]) - result.learned.probabilities).max() < 1e-12


def test_a_stop_before_the_first_member_is_whole_keeps_what_it_has():
    result, _ = stopped_after(
        bag(LIGHTGBM, members=5),
        lambda event: isinstance(event, RoundFinished) and event.fold is None and event.round == 3,
    )
    assert [member.rounds for member in result.learned.members] == [3]


def test_a_stop_in_the_final_fit_of_a_stack_keeps_the_mean_of_its_base_models():
    rounds = []

    def when(event):
        if isinstance(event, RoundFinished) and event.fold is None:
            rounds.append(event.round)
        return len(rounds) == 2 * 6 + 3  # out of fold, the base models are whole

    result, _ = stopped_after(stack(LIGHTGBM, LIGHTGBM, meta_model=LIGHTGBM), when)
    assert [member.rounds for member in result.learned.members] == [6, 6]
    assert result.model.graph.raw == "mean"


def test_a_stop_between_folds_drops_those_to_come_and_the_final_ensemble_is_whole():
    result, _ = stopped_after(bag(LIGHTGBM, members=3), lambda event: isinstance(event, FoldFinished))
    assert len(result.folds) == 1
    assert [member.rounds for member in result.learned.members] == [6, 6, 6]


class Remembered:
    """Outcomes as a folder keeps them: by key and digest."""

    def __init__(self):
        self.kept, self.recalled = {}, []

    def recall(self, key, digest):
        outcome = self.kept.get((key, digest))
        if outcome is not None:
            self.recalled.append(key)
        return outcome

    def keep(self, key, digest, outcome):
        self.kept[key, digest] = outcome


class KilledError(Exception):
    """What ends a run from outside."""


@pytest.mark.parametrize(
    "model", [bag(LIGHTGBM, EXTRA, members=3), stack(FOREST, XGBOOST, meta_model=LIGHTGBM)], ids=kind_of
)
def test_a_run_that_was_killed_goes_on_with_the_fits_it_had_and_ends_with_the_same_bytes(model):
    plan = TrainingPlan(model, split=TWO_FOLDS, interval_draws=100, calibration=ISOTONIC)
    samples, memory = made_samples(300), Remembered()
    whole = evaluate_and_fit(samples, plan, 7, events=lambda event: None)
    rounds = []

    def take(event):
        if isinstance(event, RoundFinished):
            rounds.append(event)
            if event.fold is None and len(rounds) % 7 == 0:
                raise KilledError

    kills = 0
    while True:
        try:
            result = evaluate_and_fit(samples, plan, 7, events=take, workshop=Alone(memory))
            break
        except KilledError:
            kills += 1
    assert kills
    assert len(memory.recalled) >= len(memory.kept) // 2
    digests = {export_bundle(each, seed=7, sections={}).digest for each in (whole, result)}
    assert len(digests) == 1


BROKEN = [
    (bag(LIGHTGBM, members=1), "model.bagging.members"),
    (bag(LIGHTGBM, members=101), "model.bagging.members"),
    (bag(), "model.bagging.models"),
    (bag(*MIXED, members=3), "model.bagging.models"),
    (bag(LIGHTGBM, bootstrap_fraction=0.01), "model.bagging.bootstrap_fraction"),
    (bag(LIGHTGBM, block_rows=0), "model.bagging.block_rows"),
    (bag(FOREST, replace(XGBOOST, gamma=-1)), "model.bagging.models[1].xgboost.gamma"),
    (stack(LIGHTGBM), "model.stacking.base_models"),
    (stack(*[LIGHTGBM] * 11), "model.stacking.base_models"),
    (Stacking(folds=1), "model.stacking.folds"),
    (stack(LIGHTGBM, replace(FOREST, trees=0)), "model.stacking.base_models[1].random_forest.trees"),
    (
        stack(LIGHTGBM, FOREST, meta_model=LogisticParameters(0.0)),
        "model.stacking.meta_model.logistic_regression.c",
    ),
    (
        stack(LIGHTGBM, FOREST, meta_model=replace(LIGHTGBM, rounds=0)),
        "model.stacking.meta_model.lightgbm.rounds",
    ),
]


@pytest.mark.parametrize(("model", "field"), BROKEN, ids=[field for _, field in BROKEN])
def test_a_broken_rule_of_an_ensemble_is_named_by_its_path(model, field):
    with pytest.raises(InvalidArgument) as found:
        run(model)
    assert [violation.field for violation in found.value.violations] == [field]


def test_early_stopping_needs_a_part_that_stops():
    with pytest.raises(InvalidArgument, match="early_stopping"):
        run(bag(FOREST, EXTRA), early_stopping=EarlyStopping())
    assert run(stack(FOREST, EXTRA, meta_model=LIGHTGBM), early_stopping=EarlyStopping(2)).learned.rounds
