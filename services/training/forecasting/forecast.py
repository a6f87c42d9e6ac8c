"""The forecast of a job: every fit of its rehearsal is priced by the cost model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from services.training import labels, learners
from services.training.forecasting.cost_model import (
    NOTHING,
    SCORING,
    FitShape,
    HostCosts,
    Seconds,
    fit_seconds,
    score_terms,
)
from services.training.forecasting.forecast_sizes import bundle_bytes, peak_memory_bytes
from services.training.forecasting.planned import Forecast, StageForecast
from services.training.forecasting.rehearsal import Rehearsed, class_names, rehearse, searched_models
from services.training.job_plan import JobPlan
from services.training.jobs import JobStage
from services.training.rooms import Source

_VALUE_BYTES = 8
_ARRIVAL_BYTES_A_SECOND = 250e6  # of features: from a stream of Arrow to the samples


@dataclass(frozen=True)
class Priced:
    """What a job is priced by: its rows, its units, and in how many processes they are fitted."""

    plan: JobPlan
    source: Source
    costs: HostCosts
    rows: int
    processes_count: int


def forecast_job(
    plan: JobPlan,
    source: Source,
    costs: HostCosts,
    expected_rounds: int | None = None,
    *,
    processes_count: int = 1,
) -> Forecast:
    """Price every stage of a job.

    Parameters
    ----------
    expected_rounds : int, optional
        What a fit that may stop early is expected to take; None: all that it may.
    processes_count : int
        Units that are fitted at once, each with the threads of the plan.

    Raises
    ------
    FailedPrecondition
        Too little data for its splits.
    """
    rows = row_count(plan, source)
    units = rehearse(plan, rows, source)
    priced = Priced(plan, source, costs, rows, processes_count)
    most = _stages(priced, units)
    likely = most
    if expected_rounds is not None and plan.training.early_stopping is not None:
        likely = _stages(priced, [_shortened(each, expected_rounds) for each in units])
    search = plan.training.search
    folds = sum(each.stage is JobStage.CROSS_VALIDATION for each in units)
    return Forecast(
        row_count=rows,
        feature_count=source.chosen_count,
        fit_count=len(units) + (0 if search is None else (search.trials - 1) * folds),
        stages=likely,
        stages_at_most=most,
        peak_memory_bytes=peak_memory_bytes(source, units, costs, rows, processes_count),
        bundle_bytes=bundle_bytes(plan, units, source.chosen_count),
    )


def row_count(plan: JobPlan, source: Source) -> int:
    """Rows with features and a label, at most: every bar that is warmed up and whose outcome is known."""
    lost_at_start = max(source.warm_up_bars, _window_bars(plan.label))
    return max(0, source.bar_count - lost_at_start - labels.horizon_of(plan.label))


def _stages(priced: Priced, units: Sequence[Rehearsed]) -> tuple[StageForecast, ...]:
    """Every stage of the job, in order."""
    plan, source, costs = priced.plan, priced.source, priced.costs
    training, classes = plan.training, len(class_names(plan))
    arriving = source.bar_count * source.feature_count * _VALUE_BYTES / _ARRIVAL_BYTES_A_SECOND
    computed = source.bar_count * source.features_cost / 1e6
    folds = [each.shape for each in units if each.stage is JobStage.CROSS_VALIDATION]
    final = [each.shape for each in units if each.stage is JobStage.FINAL_FIT]
    held_out = max((shape.predicted_rows for shape in folds), default=0)
    scored = costs.seconds(SCORING, "score", score_terms(held_out, classes))
    scores = scored * training.split.method.fold_count
    blocks = priced.rows * training.split.test_fraction / max(1, labels.horizon_of(plan.label))
    tested = score_terms(
        round(priced.rows * training.split.test_fraction), classes, training.interval_draws, round(blocks)
    )
    libraries = NOTHING
    for kind in sorted({learners.kind_of(shape.parameters) for shape in [*folds, *final]}):
        libraries += costs.library_start[kind]
    stages = [
        StageForecast(JobStage.SNAPSHOT, costs.start),
        StageForecast(JobStage.FEATURES, Seconds(arriving, arriving + computed)),
    ]
    if training.search is None:
        validated = _at_once(priced, folds) + scores + libraries
        stages.append(StageForecast(JobStage.CROSS_VALIDATION, validated))
    else:
        stages.append(StageForecast(JobStage.SEARCH, _search(priced, folds, scores) + libraries))
    return (
        *stages,
        StageForecast(JobStage.FINAL_FIT, _at_once(priced, final)),
        StageForecast(JobStage.FINAL_TEST, costs.seconds(SCORING, "score", tested)),
    )


def _search(priced: Priced, folds: Sequence[FitShape], scores: Seconds) -> Seconds:
    """All trials of a search, at what the model and models drawn from its space take on the mean; the rows
    are read once."""
    plan = priced.plan
    search = plan.training.search
    assert search is not None
    models = searched_models(plan)
    total = NOTHING
    together = min(search.trials, search.trials_at_once)
    for model in models:
        shapes = [_of(shape, model) for shape in folds] * together
        total += _at_once(priced, shapes) * (1 / (len(models) * together))
    a_trial = total + scores
    prepared = NOTHING
    for shape in folds:
        prepared += fit_seconds(priced.costs, replace(shape, rounds=0, predicted_rows=0), 1)
    saved = prepared * (1 / priced.processes_count if priced.processes_count > 1 else 1)
    repeated = Seconds(max(0.0, a_trial.cpu - saved.cpu), max(0.0, a_trial.wall - saved.wall))
    found = a_trial + repeated * (search.trials - 1)
    most = search.max_duration_seconds
    if most is None or found.wall <= most + a_trial.wall:
        return found
    share = (most + a_trial.wall) / found.wall
    return found * share


def _of(shape: FitShape, model: learners.ModelParameters) -> FitShape:
    rounds = learners.rounds_of(model)
    if shape.rounds < learners.rounds_of(shape.parameters):
        rounds = min(rounds, shape.rounds)  # as far as fits are expected to go
    return replace(shape, parameters=model, rounds=rounds)


def _at_once(priced: Priced, shapes: Iterable[FitShape]) -> Seconds:
    """Fits of which as many run at once as there are processes."""
    threads = priced.plan.training.threads
    each = [fit_seconds(priced.costs, shape, threads) for shape in shapes]
    wall = sum(one.wall for one in each)
    if each and priced.processes_count > 1:
        wall = max(*(one.wall for one in each), wall / min(priced.processes_count, len(each)))
    return Seconds(sum(one.cpu for one in each), wall)


def _shortened(unit: Rehearsed, rounds: int) -> Rehearsed:
    shape = unit.shape
    if not shape.stopping_rows:
        return unit
    return replace(unit, shape=replace(shape, rounds=min(shape.rounds, rounds)))


def _window_bars(rule: Any) -> int:
    """The longest window that a label rule looks back over."""
    found = 0
    for each in fields(rule):
        value = getattr(rule, each.name)
        if each.name in ("window_bars", "slow_bars"):
            found = max(found, int(value))
        elif is_dataclass(value):
            found = max(found, _window_bars(value))
    return found
