"""The planner: what a job would take on this host, and what its own bounds and those of its features would
refuse."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from marketml.bundle.files import MAX_BUNDLE_BYTES
from services.training.forecasting.cost_meter import CostMeter
from services.training.forecasting.planned import Forecast, Planned
from services.training.job_plan import read_plan
from services.training.jobs import Job, JobState, Tree
from services.training.rooms import Bound, ForRequests, Source
from services.training.store import Store

HISTORY_COUNT = 5  # finished jobs of the model's name that tell how many rounds its fits take

_CLUSTER = "Fits run on a Dask cluster, of which nothing is known here: they are counted as on this host."


class Planner:
    """Forecasts jobs. Its methods may be called from any thread.

    Parameters
    ----------
    threads_count
        Of each process that fits.
    processes_count
        So many fit at once.
    is_on_cluster
        Whether units are fitted by a Dask cluster instead.
    """

    def __init__(
        self,
        store: Store,
        rooms: ForRequests,
        meter: CostMeter,
        threads_count: int,
        processes_count: int,
        *,
        is_on_cluster: bool = False,
        measures_at_start: bool = True,
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._meter = meter
        self._threads_count = threads_count
        self._processes_count = processes_count
        self._is_on_cluster = is_on_cluster
        self._measures_at_start = measures_at_start

    def start(self) -> None:
        """Have this host measured, if it is not known; returns at once."""
        if self._measures_at_start:
            self._meter.start()

    def close(self) -> None:
        """End what measures."""
        self._meter.close()

    def plan(self, filled: Tree, config_version: int, model_name: str) -> Planned:
        """Forecast a job of a config that `fill_config` filled without a violation.

        Raises
        ------
        NotFound
            No such series or snapshot.
        FailedPrecondition
            Too little data for the splits.
        Unavailable
            A room does not answer, or this host is being measured.
        """
        # Here, not above: it loads what scores models.
        from services.training.forecasting.forecast import forecast_job

        plan = read_plan(filled, self._threads_count)
        costs = self._meter.costs()
        source = self._rooms.describe_source(filled["dataset"], filled["features"])
        history = self._store.page(JobState.SUCCEEDED, model_name, None, HISTORY_COUNT) if model_name else []
        expected = expected_rounds(filled, history)
        forecast = forecast_job(plan, source, costs, expected, processes_count=self._processes_count)
        return Planned(
            config=filled,
            config_version=config_version,
            forecast=forecast,
            expected_rounds=expected,
            refusals=(*source.refused, *_refusals(filled, forecast)),
            assumptions=(
                *_assumptions(filled, source, expected, len(history)),
                *([_CLUSTER] if self._is_on_cluster else []),
            ),
        )


def expected_rounds(filled: Tree, history: Sequence[Job]) -> int | None:
    """What a fit that stops early takes, by the best rounds of jobs of the same model."""
    stops = filled["early_stopping"]
    if not stops["enabled"]:
        return None
    alike = [
        job.result["rounds"]
        for job in history
        if job.result is not None
        and job.config["model"] == filled["model"]
        and job.config["early_stopping"] == stops
        and not job.result["stopped_early"]
    ]
    return round(statistics.median(alike)) + stops["patience_rounds"] if alike else None


def _refusals(filled: Tree, forecast: Forecast) -> list[Bound]:
    """What the job would break of the bounds that are kept here."""
    budget = filled["budget"]
    wall, memory = forecast.seconds.wall, forecast.peak_memory_bytes
    words = f"The job would take {wall:,.0f} s."
    found = [Bound("config.budget.max_duration", wall, budget["max_duration"], words)]
    if "max_memory_bytes" in budget:
        words = f"The worker would hold {memory:,} bytes."
        found.append(Bound("config.budget.max_memory_bytes", memory, budget["max_memory_bytes"], words))
    words = f"The bundle would have {forecast.bundle_bytes:,} bytes."
    found.append(Bound("config.model", forecast.bundle_bytes, MAX_BUNDLE_BYTES, words))
    return [each for each in found if each.forecast is not None and each.forecast > each.bound]


def _assumptions(filled: Tree, source: Source, expected: int | None, history_count: int) -> list[str]:
    """What the numbers take for granted, where it may be otherwise; one sentence each."""
    found = [
        "Nothing else runs on this host, and no part of the features is computed yet.",
        "Features have more values than the model has bins: those of few values are fitted faster.",
    ]
    if filled["early_stopping"]["enabled"]:
        found.append(
            "Every fit takes all its rounds: no finished job of this name and model tells how many it takes."
            if expected is None
            else f"A fit takes {expected} rounds at most, as {history_count} finished jobs of this name tell."
        )
    if filled["label"].get("cusum_events", {}).get("enabled"):
        found.append("Every bar is a decision: how many the CUSUM filter leaves is not known before.")
    if source.is_chosen:
        found.append("The time in which the features room chooses features for each fit is not in it.")
    return found
