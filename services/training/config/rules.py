"""Rules of a config's fields, and how its absent ones are filled: from the platform's config, then built in.

A field that is absent takes the platform's value, else the rule's default. Of a choice, the branch that was
given wins, then the platform's, then the default one; the platform's values inside another branch count for
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from marketml.rpc.refusals import Violation
from services.training.jobs import Tree


@dataclass(frozen=True)
class Number:
    """From `low` to `high`, `low` itself not when `is_above`, `high` itself not when `is_below`."""

    low: float
    high: float
    default: float | None = None
    is_required: bool = True
    is_above: bool = False
    is_below: bool = False
    unit: str = ""


@dataclass(frozen=True)
class Flag:
    """True or false."""

    default: bool


@dataclass(frozen=True)
class Word:
    """One of some words."""

    choices: tuple[str, ...]
    default: str


@dataclass(frozen=True)
class Given:
    """Whatever was given, else the platform's: another room knows the rules."""


@dataclass(frozen=True)
class Choice:
    """Fields of which exactly one is set."""

    fields: tuple[str, ...]
    default: str


@dataclass(frozen=True)
class Group:
    """A message. One that `is_whole` is taken as given, without the platform's values for what it lacks."""

    fields: Mapping[str, Rule]
    choices: tuple[Choice, ...] = field(default=())
    is_whole: bool = False


Rule: TypeAlias = Number | Flag | Word | Given | Group


def fill(group: Group, given: Tree, platform: Tree, path: str, found: list[Violation]) -> Tree:
    """The message with every absent field filled in; what breaks a rule goes to `found` with its path."""
    left_out = set()
    for choice in group.choices:
        chosen = _first(choice.fields, given) or _first(choice.fields, platform) or choice.default
        left_out |= set(choice.fields) - {chosen}
    filled = {}
    for name, rule in group.fields.items():
        if name in left_out:
            continue
        value = _fill_field(rule, given.get(name), platform.get(name), f"{path}.{name}", found)
        if value is not None:
            filled[name] = value
    return filled


def refuse_given(given: Tree, names: tuple[str, ...], path: str, why: str, found: list[Violation]) -> None:
    """A field that nothing would use is refused, not ignored."""
    for name in names:
        if name in given:
            found.append(Violation(f"{path}.{name}", "unused", f"must be unset: {why}."))


def one_per_field(violations: Iterable[Violation]) -> list[Violation]:
    """The first violation of each field: one that means nothing was left out before the rules were asked."""
    first: dict[str, Violation] = {}
    for violation in violations:
        first.setdefault(violation.field, violation)
    return list(first.values())


def _first(names: tuple[str, ...], tree: Tree) -> str | None:
    return next((name for name in names if name in tree), None)


def _fill_field(rule: Rule, given: Any, platform: Any, path: str, found: list[Violation]) -> Any:
    if isinstance(rule, Group):
        inherited = {} if rule.is_whole and given is not None else platform or {}
        return fill(rule, given or {}, inherited, path, found)
    value = given if given is not None else platform
    if isinstance(rule, Given):
        return value
    if value is None:
        value = rule.default
    description = _broken(rule, value)
    if description:
        kind = "required" if value is None else "range" if isinstance(rule, Number) else "unknown"
        found.append(Violation(path, kind, description))
    return value


def _broken(rule: Number | Flag | Word, value: Any) -> str | None:
    match rule:
        case Flag():
            return None
        case Word():
            return None if value in rule.choices else f"must be {' or '.join(rule.choices)}, is {value!r}."
        case Number():
            if value is None:
                return "must be set." if rule.is_required else None
            low = value > rule.low if rule.is_above else value >= rule.low
            high = value < rule.high if rule.is_below else value <= rule.high
            return None if low and high else f"must be {_range(rule)}{rule.unit}, is {value!r}."


def _range(rule: Number) -> str:
    if rule.high == float("inf"):
        return f"{'above' if rule.is_above else 'at least'} {_short(rule.low)}"
    low = f"{'above' if rule.is_above else 'from'} {_short(rule.low)}"
    return f"{low} {'and below' if rule.is_below else 'to'} {_short(rule.high)}"


def _short(number: float) -> str:
    return f"{int(number):,}" if float(number).is_integer() else f"{number:g}"
