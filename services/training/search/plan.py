"""The plan of a search, and what of it means nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal

from marketml.rpc.refusals import Violation
from services.training.learners import ModelParameters
from services.training.scores import METRICS
from services.training.search.space import (
    Allowed,
    Integer,
    OneOf,
    Range,
    Real,
    Space,
    Value,
    in_order,
    parameters_of,
)

MAX_TRIALS, MAX_STARTUP_TRIALS, MAX_TRIALS_AT_ONCE = 10_000, 1_000, 100
MAX_CHOICES = 100
LOSSES = frozenset({"log_loss", "brier"})
"""The metrics of which less is better."""


@dataclass(frozen=True)
class SearchPlan:
    """A search.

    Attributes
    ----------
    space : Space
    trials : int
        At most so many. The first is the model as the config has it.
    metric : str
        Its mean over the folds is what trials are compared by: the least of a loss, else the greatest.
    startup_trials : int
        Trials before the sampler looks at what the others came to.
    pruning : bool
        Whether a trial ends after a fold that leaves it little hope to end as the best; `race` has the rule.
    max_duration_seconds : float, optional
        After so long no new trial begins. How many there were by then is a matter of time, so the result is,
        too; but not what any of them came to.
    trials_at_once : int
        So many are under way at once: a trial follows those up to this number before it, and is given up by
        them alone. So what they come to depends on this, and not on how many are fitted at once.
    """

    space: Space
    trials: int = 50
    metric: str = "log_loss"
    startup_trials: int = 10
    pruning: bool = True
    max_duration_seconds: float | None = None
    trials_at_once: int = 1


def is_better(metric: str, value: float, than: float) -> bool:
    """Whether one value of a metric is better than another."""
    return value < than if metric in LOSSES else value > than


def violations(plan: SearchPlan, model: ModelParameters, path: str = "search") -> list[Violation]:
    """Every rule that the plan of a search over a model's parameters breaks, with the full field path."""
    found = list(space_violations(plan.space, model, f"{path}.space"))
    for name, value, most in (
        ("trials", plan.trials, MAX_TRIALS),
        ("startup_trials", plan.startup_trials, MAX_STARTUP_TRIALS),
        ("trials_at_once", plan.trials_at_once, MAX_TRIALS_AT_ONCE),
    ):
        if not 1 <= value <= most:
            found.append(Violation(f"{path}.{name}", "range", f"must be from 1 to {most:,}, is {value}."))
    if plan.metric not in METRICS:
        words = f"must be {' or '.join(METRICS)}, is {plan.metric!r}."
        found.append(Violation(f"{path}.metric", "unknown", words))
    if plan.max_duration_seconds is not None and not plan.max_duration_seconds > 0:
        words = f"must be above 0 s, is {plan.max_duration_seconds!r}."
        found.append(Violation(f"{path}.max_duration", "range", words))
    return found


def space_violations(
    space: Space, model: ModelParameters, path: str, unread: Collection[str] = ()
) -> Iterator[Violation]:
    """Every rule that a space over a model's parameters breaks, but of conditions on `unread` ones."""
    known = parameters_of(model)
    for name, searched in space.items():
        at = f"{path}.{name[:80]}"
        if name not in known:
            yield Violation(at, "unknown", f"must be a parameter of the model: {', '.join(known)}.")
            continue
        yield from _of_range(searched.range, known[name], at)
        if searched.condition is not None and searched.condition.parameter not in unread:
            yield from _of_condition(space, name, at)
    if {"max_features_rule", "max_features_fraction"} <= space.keys():
        words = "must be unset: max_features_fraction is searched, and a forest has one of the two."
        yield Violation(f"{path}.max_features_rule", "unused", words)
    try:
        in_order({name: each for name, each in space.items() if _is_bound(space, name)})
    except ValueError as error:
        yield Violation(path, "circle", str(error)[0].lower() + str(error)[1:])


def _is_bound(space: Space, name: str) -> bool:
    """Whether a parameter's conditions, one after the other, ask for searched ones."""
    seen: set[str] = set()
    while (condition := space[name].condition) is not None and name not in seen:
        seen.add(name)
        if condition.parameter == name or condition.parameter not in space:
            return False
        name = condition.parameter
    return True


def _of_range(range_: Range, allowed: Allowed, path: str) -> Iterator[Violation]:
    match range_:
        case OneOf(values):
            yield from _of_values(values, allowed, path)
        case Integer() | Real():
            kind = "integer" if isinstance(range_, Integer) else "real"
            path = f"{path}.{kind}"
            if allowed.words:
                words = " and ".join(allowed.words)
                yield Violation(path, "kind", f"must be unset: this parameter is a word, {words}.")
                return
            if allowed.is_whole and kind == "real":
                yield Violation(path, "kind", "must be unset: this parameter is a whole number.")
                return
            yield from _of_bounds(range_, allowed, path)


def _of_bounds(range_: Integer | Real, allowed: Allowed, path: str) -> Iterator[Violation]:
    low, high, step = range_.low, range_.high, range_.step
    for name, value in (("low", low), ("high", high)):
        if not allowed.low <= value <= allowed.high:
            words = f"must be from {allowed.low:g} to {allowed.high:g} as the model has it, is {value!r}."
            yield Violation(f"{path}.{name}", "range", words)
    if low >= high:
        yield Violation(f"{path}.high", "order", f"must be more than low {low!r}, is {high!r}.")
        return
    if range_.log and low <= 0:
        yield Violation(f"{path}.low", "log", f"must be above 0 on a logarithmic scale, is {low!r}.")
    if step is None or (isinstance(range_, Integer) and step == 1):
        return
    if range_.log:
        yield Violation(f"{path}.step", "unused", "must be unset: a logarithmic scale has no steps.")
    elif not 0 < step <= high - low:
        words = f"must be above 0 and at most high - low, {high - low:g}, is {step!r}."
        yield Violation(f"{path}.step", "range", words)
    elif (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step)):
        words = f"must lead from low {low!r} to high {high!r} in whole steps, is {step!r}."
        yield Violation(f"{path}.step", "step", words)


def _of_values(values: tuple[Value, ...], allowed: Allowed, path: str) -> Iterator[Violation]:
    kind = "words" if any(isinstance(each, str) for each in values) else "numbers"
    path = f"{path}.{kind}"
    if kind == "words" and not allowed.words:
        yield Violation(path, "kind", "must be unset: this parameter is a number.")
        return
    if kind == "numbers" and allowed.words:
        yield Violation(path, "kind", f"must be unset: this parameter is {' or '.join(allowed.words)}.")
        return
    if not 2 <= len(values) <= MAX_CHOICES:
        yield Violation(path, "count", f"must be 2 to {MAX_CHOICES} values, are {len(values)}.")
    if len(set(values)) != len(values):
        yield Violation(path, "repeated", "must not name a value twice.")
    for position, value in enumerate(values):
        at = f"{path}.values[{position}]"
        if isinstance(value, str):
            if value not in allowed.words:
                words = f"must be {' or '.join(allowed.words)}, is {value[:80]!r}."
                yield Violation(at, "unknown", words)
        elif not allowed.low <= value <= allowed.high or (allowed.is_whole and value != int(value)):
            what = "a whole number" if allowed.is_whole else "a number"
            words = f"must be {what} from {allowed.low:g} to {allowed.high:g}, is {value!r}."
            yield Violation(at, "range", words)


def _of_condition(space: Space, name: str, path: str) -> Iterator[Violation]:
    condition = space[name].condition
    assert condition is not None
    asked, at = condition.parameter, f"{path}.condition"
    if asked == name or asked not in space:
        words = f"must be another parameter of the space, is {asked[:80]!r}."
        yield Violation(f"{at}.parameter", "unknown", words)
        return
    if not condition.values:
        yield Violation(at, "required", "must name a value, in numbers or words.")
    range_ = space[asked].range
    if isinstance(range_, Real):
        words = f"must be a parameter of single values; {asked} is any number of a range."
        yield Violation(f"{at}.parameter", "kind", words)
        return
    for position, value in enumerate(condition.values):
        if not _can_be(range_, value):
            kind = "words" if isinstance(value, str) else "numbers"
            yield Violation(
                f"{at}.{kind}[{position}]", "unknown", f"must be a value of {asked}, is {value!r}."
            )


def _can_be(range_: Integer | OneOf, value: Value) -> bool:
    match range_:
        case OneOf(values):
            return value in values
        case Integer(low, high, step, _):
            return (
                not isinstance(value, str)
                and low <= value <= high
                and (step <= 0 or (value - low) % step == 0)
            )
