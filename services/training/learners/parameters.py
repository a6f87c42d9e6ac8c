"""Learner parameters: a typed allow-list. What has no field cannot reach a library (files, sockets)."""

from __future__ import annotations

from dataclasses import Field, field, fields
from typing import Any

from marketml.rpc.refusals import Violation


def ranged(default: Any, low: float, high: float, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field that must lie in `[low, high]`, or be one of the words in `choices`."""
    return field(default=default, metadata={"low": low, "high": high, "choices": choices})


def flag(default: bool) -> Any:
    """A dataclass field that must be true or false."""
    return field(default=default, metadata={"low": False, "high": True, "choices": ()})


def range_violations(parameters: Any, path: str) -> list[Violation]:
    """Every field of a parameter dataclass that has a range and leaves it, or is of another type."""
    found = []
    for each in fields(parameters):
        description = _broken(each, getattr(parameters, each.name)) if each.metadata else None
        if description:
            found.append(Violation(f"{path}.{each.name}", "range", description))
    return found


def _broken(rule: Field[Any], value: object) -> str | None:
    if isinstance(rule.default, bool):
        return None if isinstance(value, bool) else f"must be true or false, is {value!r}."
    low, high, choices = rule.metadata["low"], rule.metadata["high"], rule.metadata["choices"]
    if isinstance(value, str) and value in choices:
        return None
    whole = isinstance(rule.default, int)
    number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if number and low <= value <= high:
        return None
    words = f" or one of {', '.join(choices)}" if choices else ""
    return f"must be {'an integer' if whole else 'a number'} from {low:g} to {high:g}{words}, is {value!r}."
