"""Forecasts: the fits that a job will have, whatever its model, and what follows from their number."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from marketml.rpc.refusals import FailedPrecondition
from services.training.forecasting.cost_model import leaf_count
from services.training.forecasting.forecast import forecast_job, row_count
from services.training.forecasting.forecast_sizes import bundle_bytes
from services.training.forecasting.rehearsal import rehearse, searched_models
from services.training.job_plan import JobPlan, read_plan
from services.training.jobs import JobStage
from services.training.pipeline import evaluate_and_fit
from services.training.plan import TrainingPlan
from services.training.rooms import Source
from services.training.workshop.alone import Watch, finish
from services.training.workshop.units import FitOutcome, FitTask, fit_unit
from tests.training.cases import made_samples
from tests.training.costs import made_costs
from tests.training.crews import filled_config

SOURCE = Source(
    bar_count=1_000,
    timeframe=timedelta(seconds=1),
    feature_count=8,
    chosen_count=5,
    is_chosen=False,
    warm_up_bars=0,
    features_cost=1_000.0,
)
SMALL: dict[str, Any] = {
    "label": {"fixed_horizon": {"horizon_bars": 3, "fraction": 0.01}},
    "split": {"folds": 3, "embargo_bars": 2},
}
MODELS: dict[str, dict[str, Any]] = {
    "lightgbm": {"model": {"lightgbm": {"rounds": 3}}},
    "xgboost": {
        "model": {"xgboost": {"rounds": 3}},
        "label": {"fixed_horizon": {"horizon_bars": 3}, "binary": True},
    },
    "random_forest": {"model": {"random_forest": {"trees": 3}}},
    "extra_trees": {"model": {"extra_trees": {"trees": 3}}},
    "bagging": {"model": {"bagging": {"members": 3, "models": [{"lightgbm": {"rounds": 2}}]}}},
    "stacking": {
        "model": {
            "stacking": {
                "base_models": [{"lightgbm": {"rounds": 2}}, {"random_forest": {"trees": 2}}],
                "folds": 2,
            }
        }
    },
}


def planned(**config: Any) -> JobPlan:
    return read_plan(filled_config(**SMALL | config))


class Counting:
    """A workshop that fits, and remembers what it was given."""

    def __init__(self) -> None:
        self.tasks: list[FitTask] = []

    def run(self, recipes: Any, watch: Watch) -> Any:
        for recipe in recipes:
            yield finish(recipe, lambda tasks: [self._fit(task, watch) for task in tasks])

    def _fit(self, task: FitTask, watch: Watch) -> FitOutcome:
        self.tasks.append(task)
        outcome = fit_unit(task, lambda *_: None, lambda: False)
        watch.on_finished(task, outcome)
        return outcome


def sizes(tasks: list[FitTask]) -> list[tuple[object, ...]]:
    return [
        (
            task.parameters,
            task.train.rows.size,
            0 if task.stopping is None else task.stopping.rows.size,
            task.predicted.size,
            task.class_count,
        )
        for task in tasks
    ]


@pytest.mark.parametrize("name", MODELS)
def test_a_rehearsal_has_the_units_of_the_run(name: str) -> None:
    plan = planned(**MODELS[name])
    rows = row_count(plan, SOURCE)
    assert rows == 997
    names = ("down", "up") if plan.is_binary else ("down", "range", "up")
    workshop = Counting()
    samples = made_samples(rows, SOURCE.chosen_count, names)
    training: TrainingPlan = replace(plan.training, interval_draws=100)
    evaluate_and_fit(samples, training, 0, events=lambda _: None, workshop=workshop)
    rehearsed = [each.shape for each in rehearse(plan, rows, SOURCE)]
    shapes = [
        (one.parameters, one.train_rows, one.stopping_rows, one.predicted_rows, one.class_count)
        for one in rehearsed
    ]
    assert shapes == sizes(workshop.tasks)
    assert {one.feature_count for one in rehearsed} == {SOURCE.chosen_count}


def test_more_rows_than_are_rehearsed_are_scaled() -> None:
    plan = planned(**MODELS["lightgbm"])
    few, many = (
        [each.shape.train_rows for each in rehearse(plan, rows, SOURCE)] for rows in (50_000, 500_000)
    )
    np.testing.assert_allclose(np.array(many) / np.array(few), 10.0, rtol=1e-3)


def test_too_little_data_is_refused() -> None:
    plan = planned(**MODELS["lightgbm"])
    for bars in (0, 3, 8):
        with pytest.raises(FailedPrecondition):
            forecast_job(plan, replace(SOURCE, bar_count=bars), made_costs())


def test_warm_up_window_and_horizon_cost_rows() -> None:
    barriers = planned(label={"triple_barrier": {"volatility": {"window_bars": 50}, "horizon_bars": 10}})
    assert row_count(barriers, SOURCE) == 1_000 - 50 - 10
    assert row_count(barriers, replace(SOURCE, warm_up_bars=80)) == 1_000 - 80 - 10


def test_stages_add_up_and_early_stops_shorten_those_of_fits_alone() -> None:
    plan = planned(**MODELS["lightgbm"])
    costs = made_costs(1e5)
    most = forecast_job(plan, SOURCE, costs)
    assert most.seconds == most.seconds_at_most
    assert most.seconds.wall == pytest.approx(sum(each.seconds.wall for each in most.stages))
    assert [each.stage for each in most.stages] == [
        JobStage.SNAPSHOT,
        JobStage.FEATURES,
        JobStage.CROSS_VALIDATION,
        JobStage.FINAL_FIT,
        JobStage.FINAL_TEST,
    ]
    likely = forecast_job(plan, SOURCE, costs, expected_rounds=1)
    assert likely.seconds_at_most == most.seconds
    for now, before in zip(likely.stages, most.stages, strict=True):
        is_fit = now.stage in (JobStage.CROSS_VALIDATION, JobStage.FINAL_FIT)
        assert (now.seconds.cpu < before.seconds.cpu) == is_fit
    assert forecast_job(plan, SOURCE, costs, expected_rounds=1_000).seconds == most.seconds
    assert most.fit_count == 4


def test_processes_share_the_folds_and_not_the_final_fit() -> None:
    plan, costs = planned(**MODELS["lightgbm"]), made_costs(1e5)
    alone, together = (forecast_job(plan, SOURCE, costs, processes_count=count) for count in (1, 3))
    walls = {each.stage: each.seconds for each in together.stages}
    for each in alone.stages:
        if each.stage is JobStage.CROSS_VALIDATION:
            assert walls[each.stage].wall < 0.5 * each.seconds.wall
            assert walls[each.stage].cpu == pytest.approx(each.seconds.cpu)
        else:
            assert walls[each.stage] == each.seconds
    assert together.peak_memory_bytes > alone.peak_memory_bytes


def test_a_search_costs_its_trials() -> None:
    costs = made_costs(1e5)
    plan = planned(**MODELS["lightgbm"], search={"enabled": True, "trials": 20})
    one, many = forecast_job(planned(**MODELS["lightgbm"]), SOURCE, costs), forecast_job(plan, SOURCE, costs)
    assert many.fit_count == 20 * 3 + 1
    assert JobStage.SEARCH in {each.stage for each in many.stages}
    assert many.seconds.cpu > 2 * one.seconds.cpu
    bounded = replace(plan.training.search, max_duration_seconds=1e-3)  # type: ignore[type-var]
    short = forecast_job(replace(plan, training=replace(plan.training, search=bounded)), SOURCE, costs)
    assert short.seconds.wall < many.seconds.wall
    models = searched_models(plan)
    assert models[0] == plan.training.model
    assert len(set(models)) > 5
    assert models == searched_models(plan)


def test_a_larger_model_makes_a_larger_bundle() -> None:
    found = []
    for rounds in (1, 10, 100):
        plan = planned(model={"lightgbm": {"rounds": rounds}})
        units = rehearse(plan, 900, SOURCE)
        assert [each.shape.is_kept for each in units] == [False] * 3 + [True]
        found.append(bundle_bytes(plan, units, SOURCE.chosen_count))
        leaves = leaf_count(units[-1].shape)
        assert found[-1] > rounds * 3 * leaves * 8
    assert found == sorted(found)
