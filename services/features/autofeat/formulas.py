"""Formulas with their values, computed with the functions of the formula language: what a config's
expressions give later is what the fit saw, to the last bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.features.columns import Floats
from services.features.expressions import FUNCTIONS, OPERATORS, Call, Name, Node, Number, formatted

NAME_PREFIX = "af_"
_HASH_DIGITS = 12
_TEXT_MAX = 1_000  # of one to be combined further: two of them and an operator are still a formula
_POWERS = {"^2": 2.0, "^3": 3.0}


@dataclass(frozen=True, eq=False)
class Formula:
    """A tree and its values at the rows, float64 (rows,), NaN where not known."""

    node: Node
    values: Floats

    @property
    def text(self) -> str:
        return formatted(self.node)


@dataclass(frozen=True)
class Candidate:
    """A function of one formula, or of two, by their places in the pool; `transformation` is one of
    `TRANSFORMATIONS`, or the sign of an operator."""

    transformation: str
    first: int
    second: int | None = None

    def node(self, pool: Sequence[Formula]) -> Node:
        """Its tree."""
        first = pool[self.first].node
        if self.second is not None:
            return Call(self.transformation, (first, pool[self.second].node))
        if self.transformation == "1/":
            return Call("/", (Number(1.0), first))
        if self.transformation in _POWERS:
            return Call("^", (first, Number(_POWERS[self.transformation])))
        return Call(self.transformation, (first,))

    def values(self, pool: Sequence[Formula]) -> Floats:
        """Its values at the rows of the pool."""
        first = pool[self.first].values
        if self.second is not None:
            return _applied(self.transformation, first, pool[self.second].values)
        if self.transformation == "1/":
            return _applied("/", 1.0, first)
        if self.transformation in _POWERS:
            return _applied("^", first, _POWERS[self.transformation])
        return _applied(self.transformation, first)

    def formula(self, pool: Sequence[Formula]) -> Formula:
        return Formula(self.node(pool), self.values(pool))


def candidates(
    pool: Sequence[Formula], first_new: int, transformations: Sequence[str]
) -> Iterator[Candidate]:
    """Every function of a formula from `first_new` on, and every pair that has one of them."""
    texts = [len(one.text) for one in pool]
    for place in range(first_new, len(pool)):
        if texts[place] > _TEXT_MAX - 10:
            continue
        for transformation in transformations:
            if not _is_idle(transformation, pool[place].node):
                yield Candidate(transformation, place)
        for other in range(place):
            if texts[place] + texts[other] > _TEXT_MAX - 10:
                continue
            for sign in ("*", "+", "-"):
                yield Candidate(sign, other, place)
            yield Candidate("/", other, place)
            yield Candidate("/", place, other)


def evaluated(node: Node, rows: Mapping[str, Floats]) -> Floats:
    """The values of a formula over features, bar by bar, whose values are at hand.

    Parameters
    ----------
    rows : float64 (rows,) by name
    """
    match node:
        case Name(name):
            return rows[name]
        case Call(function, arguments):
            given = (
                argument.value if isinstance(argument, Number) else evaluated(argument, rows)
                for argument in arguments
            )
            return _applied(function, *given)
        case Number():
            raise ValueError("A number alone is no formula.")


def name_of(node: Node) -> str:
    """The same for the same formula, so that fits on different rows agree on it."""
    return NAME_PREFIX + hashlib.sha256(formatted(node).encode()).hexdigest()[:_HASH_DIGITS]


def named(name: str, values: Floats) -> Formula:
    """A feature as a formula."""
    return Formula(Name(name), values)


def _applied(function: str, *arguments: Floats | float) -> Floats:
    with np.errstate(all="ignore"):
        found = (OPERATORS.get(function) or FUNCTIONS[function]).compute(*arguments)
    values: Floats = np.where(np.isinf(found), np.nan, found)
    return values


def _is_idle(transformation: str, node: Node) -> bool:
    """Whether it only takes back, or repeats, what the formula did last."""
    match node:
        case Call("/", (Number(1.0), _)):
            return transformation == "1/"
        case Call("^", (_, Number(2.0))):
            return transformation in ("sqrt", "abs", "^2", "^3")
        case Call("^", (_, Number(3.0))):
            return transformation in ("^2", "^3")
        case Call("abs" | "sqrt" | "exp" as outer, _):
            return transformation in ("abs", {"sqrt": "^2", "exp": "log"}.get(outer, ""))
        case Call("log", _):
            return transformation == "exp"
        case _:
            return False
