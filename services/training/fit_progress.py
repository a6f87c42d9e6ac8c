"""How much of a run is done, by the units that are fitted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from services.training import learners
from services.training.events import Event, Progress, RoundFinished
from services.training.models import ensembles
from services.training.plan import TrainingPlan
from services.training.workshop.units import FitOutcome, FitTask, fold_of, trial_of

FINAL_TEST_SHARE = 0.02  # of the work, beside the fits: what progress leaves for predicting and scoring


class FitProgress:
    """Counts units: those of the folds, as often as there are trials, and those of the final model."""

    def __init__(self, plan: TrainingPlan, events: Callable[[Event], None]) -> None:
        self._events = events
        self._units_a_consumer = ensembles.unit_count(plan.model)
        self._fold_count = plan.split.method.fold_count
        self._trial_count = 1 if plan.search is None else plan.search.trials
        self._longest_rounds: dict[str, int] = {}  # what the next fit of a kind is expected to take
        self._under_way: dict[str, float] = {}  # how much is done of each unit that is fitted
        self._over_count = 0  # trials
        self._finished_counts: Counter[int | None] = Counter()  # units, by their trial
        self._fraction = 0.0

    def on_round(self, task: FitTask, number: int, loss: float | None) -> None:
        """A round of a unit is finished."""
        self._events(RoundFinished(fold_of(task.key), number, loss, trial_of(task.key)))
        most = learners.rounds_of(task.parameters)
        expected = min(most, self._longest_rounds.get(learners.kind_of(task.parameters), most))
        if not self._is_over(task.key):
            self._under_way[task.key] = min(1.0, number / expected)
        self._report_units()

    def on_finished(self, task: FitTask, outcome: FitOutcome) -> None:
        """A unit is finished."""
        longest = self._longest_rounds.get(outcome.kind, 1)
        self._longest_rounds[outcome.kind] = max(longest, outcome.trained_rounds)
        if not self._is_over(task.key):
            self._finished_counts[trial_of(task.key)] += 1
        self._under_way.pop(task.key, None)
        self._report_units()

    def on_trials(self, count: int | None = None) -> None:
        """So many trials are over, or all that there will be, whether or not each fold of them was fitted."""
        self._over_count = self._trial_count if count is None else count
        self._under_way = {key: done for key, done in self._under_way.items() if not self._is_over(key)}
        for trial in [
            each for each in self._finished_counts if each is not None and each <= self._over_count
        ]:
            del self._finished_counts[trial]
        self._report_units()

    def on_end(self) -> None:
        """The run is over."""
        self._report(1.0)

    def _is_over(self, key: str) -> bool:
        """Whether a unit is one of a trial that is over, and counted with it."""
        trial = trial_of(key)
        return trial is not None and trial <= self._over_count

    def _report_units(self) -> None:
        finished_count = self._over_count * self._fold_count * self._units_a_consumer
        finished_count += self._finished_counts.total()
        units = finished_count + sum(self._under_way.values())
        consumers = self._trial_count * self._fold_count + 1
        self._report((1.0 - FINAL_TEST_SHARE) * units / (consumers * self._units_a_consumer))

    def _report(self, fraction: float) -> None:
        if fraction > self._fraction:
            self._fraction = fraction
            self._events(Progress(fraction))
