"""Learners: one seed, one model; the best round; an end within a round; only what a library may see."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from threadpoolctl import threadpool_limits

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument
from services.training import learners
from services.training.learners import (
    ExtraTreesParameters,
    ForestParameters,
    LightgbmParameters,
    XgboostParameters,
)
from services.training.learners.fitting import FitRequest, Table, Validation
from tests.training.cases import BINARY, THREE_WAY, made_samples

BOOSTERS = [LightgbmParameters(rounds=30), XgboostParameters(rounds=30)]
FORESTS = [ForestParameters(trees=20), ExtraTreesParameters(trees=20)]
EVERY = [*BOOSTERS, *FORESTS]


def table_of(samples) -> Table:
    return Table(samples.features, samples.classes, samples.weights)


def request_of(
    samples, *, validation=None, patience=5, seed=1, threads=1, on_round=None, check=None
) -> FitRequest:
    return FitRequest(
        train=table_of(samples),
        validation=None if validation is None else Validation(table_of(validation), patience),
        class_count=len(samples.class_names),
        seed=seed,
        threads=threads,
        on_round=on_round or (lambda number, loss: None),
        check=check or (lambda: False),
    )


def answers(fitted, rows=200):
    return learners.predict_probabilities(fitted, made_samples(rows, seed=99).features)


def model_bytes(fitted) -> bytes:
    """The library's own file; a forest has none, so all numbers of its trees."""
    found = learners.native_bytes(fitted)
    if found is not None:
        return found
    trees = [tree.tree_.__getstate__() for tree in fitted.model.estimators_]
    return b"".join(tree["nodes"].tobytes() + tree["values"].tobytes() for tree in trees)


def sampled(parameters):
    """The same parameters, drawing rows (and features) at random."""
    if isinstance(parameters, ForestParameters):
        return replace(parameters, max_samples=0.7)
    if isinstance(parameters, ExtraTreesParameters):
        return replace(parameters, bootstrap=True, max_samples=0.7)
    return replace(parameters, subsample=0.7, colsample_bytree=0.7)


@pytest.mark.parametrize("names", [BINARY, THREE_WAY])
@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_the_same_seed_gives_the_same_model_bytes_and_another_seed_others(parameters, names):
    samples = made_samples(class_names=names)
    first, again, other = (
        model_bytes(learners.fit(sampled(parameters), request_of(samples, seed=seed))) for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other


GREEDY = [
    LightgbmParameters(rounds=30, learning_rate=0.5, num_leaves=63, min_child_samples=1),
    XgboostParameters(rounds=30, learning_rate=1.0, max_depth=8, min_child_weight=0.0, reg_lambda=0.0),
]


@pytest.mark.parametrize("parameters", GREEDY, ids=learners.kind_of)
def test_sums_whose_last_bits_decide_do_not_depend_on_the_number_of_threads(parameters):
    """Weights over many orders of magnitude, and trees that fit every row."""
    samples = made_samples(8_000, seed=3, signal=10.0)
    weights = np.exp(3 * np.random.default_rng(3).normal(size=8_000))
    request = request_of(replace(samples, weights=weights))
    learners.fit(replace(parameters, rounds=1), request)  # which loads the library whose limit is lifted
    with threadpool_limits(2, "openmp"):
        one, two = (learners.fit(parameters, replace(request, threads=threads)) for threads in (1, 2))
    assert model_bytes(one) == model_bytes(two)


@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_the_number_of_threads_changes_no_byte_and_no_answer(parameters):
    samples = made_samples(1_200, 6)
    validation = None if parameters in FORESTS else made_samples(300, 6, seed=1)
    one, three = (
        learners.fit(parameters, request_of(samples, validation=validation, threads=threads, patience=300))
        for threads in (1, 3)
    )
    assert model_bytes(one) == model_bytes(three)
    assert one.validation_losses == three.validation_losses
    rows = made_samples(400, 6, seed=2).features
    assert (
        learners.predict_probabilities(one, rows).tobytes()
        == learners.predict_probabilities(three, rows).tobytes()
    )


@pytest.mark.parametrize("names", [BINARY, THREE_WAY])
@pytest.mark.parametrize("parameters", BOOSTERS, ids=learners.kind_of)
def test_early_stopping_keeps_the_best_round_and_nothing_after_it(parameters, names):
    samples, validation = made_samples(class_names=names), made_samples(200, class_names=names, seed=1)
    parameters = replace(parameters, rounds=400, learning_rate=0.3)
    fitted = learners.fit(parameters, request_of(samples, validation=validation, patience=7))
    losses = fitted.validation_losses
    assert fitted.rounds == int(np.argmin(losses)) + 1
    assert fitted.trained_rounds == len(losses) == fitted.rounds + 7 < 400
    found = learners.predict_probabilities(fitted, validation.features)
    assert -np.log(found[np.arange(200), validation.classes]).mean() == pytest.approx(min(losses), rel=1e-6)
    trees_a_round = 1 if names is BINARY else 3
    trees = fitted.model.num_trees() if fitted.kind == "lightgbm" else len(fitted.model.get_dump())
    assert trees == fitted.rounds * trees_a_round


@pytest.mark.parametrize("parameters", BOOSTERS, ids=learners.kind_of)
def test_without_a_slice_every_round_is_kept(parameters):
    fitted = learners.fit(parameters, request_of(made_samples()))
    assert (fitted.rounds, fitted.trained_rounds, fitted.validation_losses) == (30, 30, ())


def test_the_weights_of_the_slice_weigh_its_loss():
    samples, validation = made_samples(), made_samples(200, seed=1)
    halved = replace(validation, weights=np.where(np.arange(200) < 100, 1.0, 0.0))
    fitted = learners.fit(BOOSTERS[0], request_of(samples, validation=halved, patience=100))
    first_half = replace(
        validation,
        features=validation.features[:100],
        classes=validation.classes[:100],
        weights=validation.weights[:100],
    )
    alone = learners.fit(BOOSTERS[0], request_of(samples, validation=first_half, patience=100))
    assert fitted.validation_losses == pytest.approx(alone.validation_losses, rel=1e-12)


class GoneError(Exception):
    """What a check raises that has enough."""


@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_a_check_that_raises_ends_the_fit_before_the_next_round(parameters):
    rounds = []

    def check():
        if len(rounds) == 3:
            raise GoneError
        return False

    with pytest.raises(GoneError):
        learners.fit(
            parameters,
            request_of(made_samples(), on_round=lambda number, loss: rounds.append(number), check=check),
        )
    assert len(rounds) == 3


@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_a_check_that_says_enough_ends_the_fit_with_the_rounds_it_has(parameters):
    rounds = []
    fitted = learners.fit(
        parameters,
        request_of(
            made_samples(),
            on_round=lambda number, loss: rounds.append(number),
            check=lambda: len(rounds) == 4,
        ),
    )
    assert fitted.rounds == rounds[-1] < learners.rounds_of(parameters)
    capped = learners.fit(learners.capped(parameters, fitted.rounds), request_of(made_samples()))
    assert answers(fitted).tobytes() == answers(capped).tobytes()


@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_a_model_that_is_told_enough_at_once_still_has_one_round(parameters):
    fitted = learners.fit(parameters, request_of(made_samples(), check=lambda: True))
    assert 1 <= fitted.rounds < 3
    assert answers(fitted).sum(axis=1) == pytest.approx(np.ones(200))


def test_a_forest_grown_in_batches_is_the_forest_grown_at_once():
    samples = made_samples()
    fitted = learners.fit(ForestParameters(trees=13), request_of(samples, seed=3))
    at_once = RandomForestClassifier(
        n_estimators=13, max_depth=12, min_samples_leaf=5, max_features="sqrt", random_state=3
    ).fit(samples.features.astype(np.float32), samples.classes, sample_weight=samples.weights)
    rows = made_samples(100, seed=4).features
    assert learners.predict_probabilities(fitted, rows).tobytes() == at_once.predict_proba(rows).tobytes()


def test_extra_trees_are_those_of_the_library_with_and_without_a_bootstrap():
    samples, rows = made_samples(), made_samples(100, seed=4).features
    for drawn in ({}, {"bootstrap": True, "max_samples": 0.6}):
        fitted = learners.fit(ExtraTreesParameters(trees=13, **drawn), request_of(samples, seed=3))
        at_once = ExtraTreesClassifier(
            n_estimators=13, max_depth=12, min_samples_leaf=5, max_features="sqrt", random_state=3, **drawn
        ).fit(samples.features.astype(np.float32), samples.classes, sample_weight=samples.weights)
        found = learners.predict_probabilities(fitted, rows)
        assert found.tobytes() == at_once.predict_proba(rows).tobytes()


def test_a_share_of_rows_that_nothing_draws_is_refused():
    [found] = learners.validate(ExtraTreesParameters(max_samples=0.5))
    assert (found.field, found.rule) == ("model.extra_trees.max_samples", "unused")
    assert learners.validate(ExtraTreesParameters(bootstrap=True, max_samples=0.5)) == []


@pytest.mark.parametrize("parameters", FORESTS, ids=learners.kind_of)
def test_a_forest_has_nothing_to_stop_on(parameters):
    with pytest.raises(InvalidArgument, match="early_stopping"):
        learners.fit(parameters, request_of(made_samples(), validation=made_samples(50)))


@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_a_class_without_a_training_row_is_hardly_probable(parameters):
    samples = made_samples()
    kept = samples.classes != 1
    part = replace(
        samples, features=samples.features[kept], classes=samples.classes[kept], weights=samples.weights[kept]
    )
    found = answers(learners.fit(parameters, request_of(part)))
    assert found.shape == (200, 3)
    assert found[:, 1].max() < 0.25
    assert found.sum(axis=1) == pytest.approx(np.ones(200), abs=1e-6)


@pytest.mark.parametrize("names", [BINARY, THREE_WAY])
@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_features_that_say_nothing_leave_the_class_frequencies(parameters, names):
    samples = made_samples(class_names=names)
    blank = replace(samples, features=np.full_like(samples.features, np.nan))
    blank.features[:, 0] = 1.0
    fitted = learners.fit(parameters, request_of(blank))
    found = learners.predict_probabilities(fitted, blank.features)
    assert found == pytest.approx(np.full(found.shape, 1 / len(names)), abs=0.06)
    assert learners.importances(fitted).tolist() == [0.0] * 5


@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_importances_are_shares_and_the_signal_has_the_most(parameters):
    found = learners.importances(learners.fit(parameters, request_of(made_samples())))
    assert found.sum() == pytest.approx(1)
    assert found.argmax() == 0


def test_raw_scores_pass_the_link_function_to_probabilities():
    rows = made_samples(100, seed=8).features
    for parameters in BOOSTERS:
        binary = learners.fit(parameters, request_of(made_samples(class_names=BINARY)))
        raw = learners.raw_scores(binary, rows)
        assert raw.shape == (100, 1)
        expected = 1 / (1 + np.exp(-raw[:, 0]))
        assert learners.predict_probabilities(binary, rows)[:, 1] == pytest.approx(expected, abs=1e-6)
        three = learners.fit(parameters, request_of(made_samples()))
        weights = np.exp(learners.raw_scores(three, rows))
        assert weights.shape == (100, 3)
        expected = weights / weights.sum(axis=1, keepdims=True)
        assert learners.predict_probabilities(three, rows) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda s: s.features.__setitem__((3, 1), np.inf), r"train\.features\[3\]\[1\]"),
        (lambda s: s.classes.__setitem__(3, 3), r"train\.classes"),
        (lambda s: s.classes.__setitem__(3, -1), r"train\.classes"),
        (lambda s: s.weights.__setitem__(3, -1.0), r"train\.weights"),
        (lambda s: s.weights.__setitem__(3, np.nan), r"train\.weights"),
        (lambda s: s.weights.fill(0.0), r"train\.weights"),
    ],
)
def test_what_a_library_would_learn_nonsense_from_is_refused(parameters, change, field):
    samples = made_samples()
    change(samples)
    with pytest.raises(InvalidArgument, match=field):
        learners.fit(parameters, request_of(samples))


@pytest.mark.parametrize("parameters", EVERY[1:], ids=learners.kind_of)
def test_a_value_that_float32_cannot_hold_is_refused_where_the_library_reads_float32(parameters):
    samples = made_samples()
    samples.features[7, 2] = -1e39
    with pytest.raises(InvalidArgument, match=r"train\.features\[7\]\[2\].*-1e\+39"):
        learners.fit(parameters, request_of(samples))


@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_one_class_is_too_little(parameters):
    samples = made_samples()
    samples.classes[:] = 2
    with pytest.raises(FailedPrecondition, match="hold 1 class"):
        learners.fit(parameters, request_of(samples))


FORBIDDEN = ("file", "path", "machine", "port", "uri", "callback", "device", "gpu", "objective", "verbos")


@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_parameters_are_a_list_of_numbers_that_names_no_file_and_no_socket(parameters):
    for field in fields(parameters):
        assert not any(word in field.name for word in FORBIDDEN)
        if not field.metadata["choices"]:
            assert type(field.default) in (int, float, bool)
    with pytest.raises(TypeError):
        type(parameters)(forcedsplits_filename="/etc/passwd")


@pytest.mark.parametrize("parameters", EVERY, ids=learners.kind_of)
def test_each_parameter_that_leaves_its_range_is_refused_by_its_path(parameters):
    assert learners.validate(parameters) == []
    if isinstance(parameters, ExtraTreesParameters):
        parameters = replace(parameters, bootstrap=True)
    for field in fields(parameters):
        low, high = field.metadata["low"], field.metadata["high"]
        wrong = [low - 1, high + 1, float("nan"), True, None, "some text"]
        if isinstance(field.default, bool):
            wrong = [0, 1, None, "true"]
        elif isinstance(field.default, int):
            wrong.append(low + 0.5)
        for value in wrong:
            found = learners.validate(replace(parameters, **{field.name: value}))
            assert [violation.field for violation in found] == [
                f"model.{learners.kind_of(parameters)}.{field.name}"
            ]
        for value in (low, high, *field.metadata["choices"]):
            assert learners.validate(replace(parameters, **{field.name: value})) == []


@pytest.mark.parametrize("kind", [type(each) for each in EVERY])
@pytest.mark.parametrize("end", ["low", "high"])
def test_parameters_at_either_end_of_their_ranges_fit(kind, end):
    """No library raises within the allowed ranges."""
    slow = {"rounds", "trees", "num_leaves", "max_depth"}
    for field in fields(kind):
        if field.name not in slow:
            small = {"rounds": 3} if kind in (LightgbmParameters, XgboostParameters) else {"trees": 3}
            if kind is ExtraTreesParameters and field.name == "max_samples":
                small["bootstrap"] = True
            fitted = learners.fit(
                kind(**small, **{field.name: field.metadata[end]}), request_of(made_samples(200))
            )
            assert np.isfinite(answers(fitted)).all()
