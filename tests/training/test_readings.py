"""Rows that are read once for several fits: the same models, and no more memory than allowed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.training import learners
from services.training.learners import ForestParameters, LightgbmParameters, XgboostParameters
from services.training.learners.fitting import FitRequest, Reading, Table, Validation
from services.training.learners.readings import Readings
from services.training.workshop.units import FitTask, Part, fit_unit
from tests.training.cases import BINARY, THREE_WAY, made_samples

BOOSTERS = [LightgbmParameters(rounds=12), XgboostParameters(rounds=12)]


def request_of(names, seed=1) -> FitRequest:
    samples, slice_ = made_samples(800, class_names=names), made_samples(200, class_names=names, seed=1)
    return FitRequest(
        train=Table(samples.features, samples.classes, samples.weights),
        validation=Validation(Table(slice_.features, slice_.classes, slice_.weights), 5),
        class_count=len(names),
        seed=seed,
        threads=1,
        on_round=lambda number, loss: None,
        check=lambda: False,
    )


@pytest.mark.parametrize("names", [BINARY, THREE_WAY])
@pytest.mark.parametrize("parameters", BOOSTERS, ids=learners.kind_of)
def test_rows_read_once_give_each_trial_the_bytes_that_it_has_alone(parameters, names):
    """One after the other, each other one drawing rows and features, some with fewer rows to a leaf."""
    request = request_of(names)
    reading = learners.read(parameters, request)
    varied = [replace(parameters, learning_rate=0.05 * step, reg_lambda=0.1 * step) for step in range(1, 5)]
    varied[1::2] = [replace(each, subsample=0.6, colsample_bytree=0.6) for each in varied[1::2]]
    if isinstance(parameters, LightgbmParameters):
        varied = [replace(each, min_child_samples=40 // at) for at, each in enumerate(varied, 1)]
    else:
        varied = [replace(each, max_depth=2 + at) for at, each in enumerate(varied)]
    for each in varied:
        shared, alone = learners.fit(each, request, reading), learners.fit(each, request)
        assert learners.native_bytes(shared) == learners.native_bytes(alone)
        assert shared.validation_losses == alone.validation_losses


@pytest.mark.parametrize("parameters", BOOSTERS, ids=learners.kind_of)
def test_the_terms_of_a_reading_are_all_that_it_depends_on(parameters):
    terms = learners.reading_terms(parameters, 1)
    assert terms == learners.reading_terms(replace(parameters, rounds=7, learning_rate=0.3), 1)
    assert terms != learners.reading_terms(replace(parameters, max_bin=63), 1)
    assert learners.reading_terms(ForestParameters(), 1) is None


def test_xgboost_holds_values_that_are_all_known_in_less_room():
    request = request_of(THREE_WAY)
    known = np.nan_to_num(request.train.features)
    holed = known.copy()
    holed[0, 0] = np.nan

    def size(features, max_bin):
        table = replace(request.train, features=features)
        asked = replace(request, train=table, validation=None)
        return learners.read(XgboostParameters(max_bin=max_bin), asked).size_bytes / features.size

    assert 2 < size(known, 256) < 4 < size(known, 257) < size(holed, 256) == size(holed, 257)


def task_of(parameters, **changes) -> FitTask:
    samples = made_samples(600)
    rows = np.arange(400), np.arange(400, 500)
    train, stopping = (Part(each, samples.classes[each], samples.weights[each]) for each in rows)
    task = FitTask(
        key="fold_1",
        parameters=parameters,
        matrix=samples.features,
        train=train,
        stopping=stopping,
        patience_rounds=5,
        predicted=np.arange(500, 600),
        golden=None,
        class_count=3,
        seed=3,
        threads=1,
    )
    return replace(task, **changes)


@pytest.mark.parametrize("parameters", BOOSTERS, ids=learners.kind_of)
def test_units_of_the_same_rows_are_read_once_and_fitted_as_alone(parameters, monkeypatch):
    reads = []
    read = learners.read
    monkeypatch.setattr(learners, "read", lambda *given: reads.append(given[0]) or read(*given))
    trials = [replace(parameters, learning_rate=rate) for rate in (0.05, 0.1, 0.3)]

    def outcome(task):
        return fit_unit(task, lambda number, loss: None, lambda: False)

    repeated = [outcome(task_of(each, is_repeated=True)).probabilities for each in trials]
    assert reads == trials[:1]
    fewer_bins = replace(parameters, max_bin=31)
    outcome(task_of(fewer_bins, is_repeated=True))
    outcome(task_of(trials[1], is_repeated=True))
    assert reads == [trials[0], fewer_bins], "both are kept"
    other_rows = task_of(trials[0], is_repeated=True)
    other_rows = replace(other_rows, train=replace(other_rows.train, weights=other_rows.train.weights * 2))
    outcome(other_rows)
    assert len(reads) == 3, "other weights are other rows"
    alone = [outcome(task_of(each)).probabilities for each in trials]
    assert [each.tobytes() for each in repeated] == [each.tobytes() for each in alone]
    outcome(task_of(trials[0], is_repeated=True))
    assert len(reads) == 4, "what was repeated went with the first unit that was not"
    outcome(task_of(trials[0]))


def test_what_does_not_fit_is_read_anew_and_drives_nothing_out():
    readings, reads = Readings(100), []

    def read(size):
        reads.append(size)
        return Reading(object(), None, size)

    first = readings.get("first", lambda: read(60))
    readings.get("second", lambda: read(50))
    readings.get("second", lambda: read(50))
    assert readings.get("first", lambda: read(60)) is first
    assert reads == [60, 50, 50]
    assert readings.size_bytes == 60
    readings.clear()
    assert readings.get("first", lambda: read(60)) is not first
