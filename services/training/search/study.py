"""The study: which values the next trial tries, from what the trials before it came to.

The values of trial n are a function of the seed, the space and the trials before it: the sampler (Optuna's
tree-structured Parzen estimator) draws each trial from a random stream of its own. So a study that is rebuilt
from the trials of an earlier process goes on as that one would have.

Where k trials are under way at once, trial n follows what the trials up to n - k came to, however many more
are over by then. Of the k - 1 between it knows nothing. To tell the sampler what they try, as if that were
bad (Optuna's constant liar), was worth nothing on made-up losses of four parameters, with two, four and eight
at once: what is tried at once is drawn apart in any case.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from services.training.learners import ModelParameters
from services.training.search import race
from services.training.search.plan import LOSSES, SearchPlan, is_better
from services.training.search.space import (
    Integer,
    OneOf,
    Range,
    Real,
    Value,
    configured,
    in_order,
    is_open,
    nearest,
)
from services.training.seeds import stream

if TYPE_CHECKING:
    import optuna


class TrialState(StrEnum):
    """`COMPLETE`: every fold is scored. `PRUNED`: given up after a fold. `UNSCORED`: a fold has no value of
    the metric, so that the trial has none."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    UNSCORED = "unscored"


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes
    ----------
    number : int
        1, 2, 3…
    state : TrialState
    values : mapping
        Parameter, by its name in the config, to what was tried.
    fold_values : tuple of float
        The metric on each fold that was scored, in order.
    reason : str
        Why it is unscored.
    """

    number: int
    state: TrialState
    values: Mapping[str, Value]
    fold_values: tuple[float, ...]
    reason: str = ""

    @property
    def value(self) -> float | None:
        """The mean over the folds scored; of an unscored trial None."""
        return None if self.state is TrialState.UNSCORED else statistics.fmean(self.fold_values)


@dataclass(frozen=True)
class SearchResult:
    """What a search leaves: its trials in order, the best of them and the model it tried.

    There were to be `planned_count` trials.
    """

    metric: str
    planned_count: int
    trials: tuple[Trial, ...]
    best: Trial
    model: ModelParameters

    def caution(self) -> str:
        """What the reader of the folds should know; one sentence or two."""
        count = len(self.trials)
        cut = f" (of {self.planned_count} planned)" if count < self.planned_count else ""
        return (
            f"The folds are those of the best of {count} trials{cut}, chosen by its score on them, which "
            "flatters it. The test span took no part in the search."
        )

    def count(self, state: TrialState) -> int:
        """Trials that ended so."""
        return sum(trial.state is state for trial in self.trials)


def write_trial(trial: Trial) -> dict[str, Any]:
    """A trial as a JSON object."""
    return {
        "number": trial.number,
        "state": trial.state.value,
        "values": dict(trial.values),
        "fold_values": list(trial.fold_values),
        "reason": trial.reason,
    }


def read_trial(record: Mapping[str, Any]) -> Trial:
    """The trial that `write_trial` wrote."""
    state, fold_values = TrialState(record["state"]), tuple(record["fold_values"])
    return Trial(record["number"], state, record["values"], fold_values, record["reason"])


class Study:
    """The trials of one search.

    Parameters
    ----------
    plan : SearchPlan
        Without a violation.
    model : ModelParameters
        As the config has it: the first trial.
    seed : int
        Of the run.
    """

    def __init__(self, plan: SearchPlan, model: ModelParameters, seed: int) -> None:
        import optuna  # here, not above: the server knows the plan of a search and runs none

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._plan, self._seed = plan, seed
        self._configured = configured(model, plan.space)
        self._order = in_order(plan.space)
        self._study = optuna.create_study(
            direction="minimize" if plan.metric in LOSSES else "maximize",
            pruner=optuna.pruners.NopPruner(),  # which trials go on is decided here, from the trials alone
        )
        self._begun: list[Mapping[str, Value]] = []
        self._shown_count = 0  # of the finished trials that the sampler has heard of
        self.trials: list[Trial] = []

    @property
    def best(self) -> Trial | None:
        """The first of the complete trials that none is better than."""
        best: Trial | None = None
        for trial in self._complete():
            if best is None or is_better(self._plan.metric, _value(trial), _value(best)):
                best = trial
        return best

    @property
    def begun_count(self) -> int:
        """Trials that have begun, finished ones among them."""
        return len(self._begun)

    @property
    def can_begin(self) -> bool:
        """Whether the trials are over that the next one follows."""
        return self.begun_count < len(self.trials) + self._plan.trials_at_once

    def begin(self, known: Mapping[str, Value] | None = None) -> Mapping[str, Value]:
        """Begin the next trial, if it `can_begin`: what it tries, which is `known` of one of an earlier
        process."""
        if not self.can_begin:
            raise ValueError(f"Trial {self.begun_count + 1} cannot begin.")
        values = known
        if values is None:
            values = self._drawn(self.begun_count + 1) if self._begun else self._configured
        self._begun.append(values)
        return values

    def add(self, trial: Trial) -> None:
        """Take what the first of the trials under way came to."""
        if not len(self.trials) < trial.number <= min(len(self.trials) + 1, self.begun_count):
            raise ValueError(f"Trial {len(self.trials) + 1} comes next, if it has begun, not {trial.number}.")
        self.trials.append(trial)

    def is_behind(self, number: int, fold_values: tuple[float, ...]) -> bool:
        """Whether a trial that came to this so far is given up, by what the complete trials came to, of those
        that it follows."""
        last = number - self._plan.trials_at_once
        complete = [trial.fold_values for trial in self._complete() if trial.number <= last]
        return self._plan.pruning and race.is_behind(self._plan.metric, fold_values, complete)

    def _complete(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.state is TrialState.COMPLETE]

    def _drawn(self, number: int) -> dict[str, Value]:
        """What the sampler has a trial try."""
        import optuna

        self._show(number - self._plan.trials_at_once)
        self._study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=self._plan.startup_trials,
            multivariate=True,
            constant_liar=False,
            seed=int(stream(self._seed, f"trial_{number}").integers(2**31 - 1)),
        )
        asked = self._study.ask()
        values: dict[str, Value] = {}
        for name in self._order:
            if is_open(self._plan.space[name], values):
                values[name] = _suggest(asked, name, self._plan.space[name].range)
        # It comes back as one that is over: as in a study that is rebuilt, which asks for none again.
        self._study.tell(asked, state=optuna.trial.TrialState.FAIL)
        return values

    def _show(self, last: int) -> None:
        """Have the sampler hear of the finished trials up to `last`, but those whose values have no place in
        its ranges."""
        import optuna

        for trial in self.trials[self._shown_count : max(last, 0)]:
            self._shown_count += 1
            known = self._in_ranges(trial)
            if known is None:
                continue
            counts = range(1, len(trial.fold_values) + 1)
            self._study.add_trial(
                optuna.trial.create_trial(
                    state={
                        TrialState.COMPLETE: optuna.trial.TrialState.COMPLETE,
                        TrialState.PRUNED: optuna.trial.TrialState.PRUNED,
                        TrialState.UNSCORED: optuna.trial.TrialState.FAIL,
                    }[trial.state],
                    value=trial.value,
                    params=known,
                    distributions={name: _distribution(self._plan.space[name].range) for name in known},
                    intermediate_values={
                        count: statistics.fmean(trial.fold_values[:count]) for count in counts
                    },
                )
            )

    def _in_ranges(self, trial: Trial) -> dict[str, Value] | None:
        """The values, of the first trial each moved into its range: those of the config may lie beside it.
        None if one has no place there."""
        if trial.number > 1:
            return dict(trial.values)
        found: dict[str, Value] = {}
        for name, value in trial.values.items():
            near = nearest(self._plan.space[name].range, value)
            if near is None:
                return None
            found[name] = near
        return found


def _value(trial: Trial) -> float:
    assert trial.value is not None, "a complete trial has a value"
    return trial.value


def _suggest(trial: optuna.Trial, name: str, range_: Range) -> Value:
    match range_:
        case OneOf(values):
            chosen = trial.suggest_categorical(name, values)
            assert chosen is not None, "no choice is None"
            return chosen
        case Integer(low, high, step, log):
            return trial.suggest_int(name, low, high, step=step, log=log)
        case Real(low, high, step, log):
            return trial.suggest_float(name, low, high, step=step, log=log)


def _distribution(range_: Range) -> optuna.distributions.BaseDistribution:
    import optuna

    match range_:
        case OneOf(values):
            return optuna.distributions.CategoricalDistribution(values)
        case Integer(low, high, step, log):
            return optuna.distributions.IntDistribution(low, high, log, step)
        case Real(low, high, step, log):
            return optuna.distributions.FloatDistribution(low, high, log, step)
