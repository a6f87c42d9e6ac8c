"""What a parameter of a calculator may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from services.features.rolling.kernel import Parameter


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`."""

    low: int
    high: int


@dataclass(frozen=True)
class Real:
    """A number from `low` to `high`, infinities among them where a bound is one."""

    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Flag:
    """True or False."""


@dataclass(frozen=True)
class Word:
    """One of some words, in quotation marks."""

    choices: tuple[str, ...]


@dataclass(frozen=True)
class Widths:
    """Whole numbers from 1 to 720, at most 32."""


Rule: TypeAlias = Whole | Real | Flag | Word | Widths


def broken(rule: Rule, value: Parameter) -> str | None:
    """What the value must be instead; None where it fits."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match rule:
        case Whole(low, high):
            fits = is_number and isinstance(value, int) and low <= value <= high
            return None if fits else f"a whole number from {low} to {high:,}"
        case Real(low, high):
            fits = is_number and low <= value <= high  # type: ignore[operator]
            return None if fits else f"a number from {low:g} to {high:g}"
        case Flag():
            return None if isinstance(value, bool) else "True or False"
        case Word(choices):
            return None if value in choices else " or ".join(f'"{choice}"' for choice in choices)
        case Widths():
            fits = (
                isinstance(value, tuple) and 0 < len(value) <= 32 and all(0 < each <= 720 for each in value)
            )
            return None if fits else "whole numbers from 1 to 720 in parentheses, at most 32"
