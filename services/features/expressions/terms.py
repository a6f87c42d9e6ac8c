"""Formulas with a meaning: every name found, every argument checked, what each part needs reckoned."""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from services.features.columns import Columns, Floats
from services.features.expressions.functions import FUNCTIONS, NEGATION, OPERATORS, Function, Kind, Parameter
from services.features.expressions.syntax import DEPTH_MAX, Call, FormulaError, Name, Node, Number
from services.features.feature import Feature

LOOKBACK_MAX = 20_160  # bars that a formula looks back, all that it is made of included: two weeks of minutes
WORK_MAX = 50_000  # bars of all its windows together: what one bar of it costs
SHOWN_MAX = 60


@dataclass(frozen=True, eq=False)
class Term:
    """A series: a feature, or a function of terms and numbers.

    Attributes
    ----------
    key : bytes
        Equal for equal formulas, by whatever names they go.
    compute : callable
        From the frame's columns and the values of `arguments` to float64 (bars,).
    arguments : tuple of Term or float
    inputs : tuple of str
        Frame columns it reads.
    lookback_bars, lookback_settlements, lookback_seconds, longer_bar_seconds : int
        As a Feature has them.
    own_bars : int
        Read for one bar of it, its arguments apart.
    depth : int
        Operations in each other.
    held_arrays : int
        Held at a time while it is computed, its own included.
    """

    key: bytes
    compute: Callable[..., Floats]
    arguments: tuple[Term | float, ...]
    inputs: tuple[str, ...]
    lookback_bars: int
    lookback_settlements: int
    lookback_seconds: int
    longer_bar_seconds: int
    own_bars: int
    depth: int
    held_arrays: int

    @cached_property
    def parts(self) -> Mapping[bytes, Term]:
        """It and all that it is made of, each once, by key."""
        found: dict[bytes, Term] = {}
        waiting = [self]
        while waiting:
            term = waiting.pop()
            if term.key not in found:
                found[term.key] = term
                waiting += term.terms
        return found

    @property
    def work_bars(self) -> int:
        """Bars that are read for one bar of it."""
        return sum(term.own_bars for term in self.parts.values())

    @property
    def terms(self) -> tuple[Term, ...]:
        return tuple(argument for argument in self.arguments if isinstance(argument, Term))


def of_feature(feature: Feature) -> Term:
    """A feature of the catalogue as a term."""
    return Term(
        key=_key("feature", (feature.name.encode(),)),
        compute=feature.compute,
        arguments=(),
        inputs=feature.inputs,
        lookback_bars=feature.lookback_bars,
        lookback_settlements=feature.lookback_settlements,
        lookback_seconds=feature.lookback_seconds,
        longer_bar_seconds=feature.longer_bar_seconds,
        own_bars=feature.work.bars if feature.work else feature.lookback_bars,
        depth=0,
        held_arrays=feature.work.held_arrays if feature.work else 1,
    )


def of_column(name: str) -> Term:
    """A column of the frame as a term."""

    def read(columns: Columns) -> Floats:
        return columns[name]

    return Term(_key("column", (name.encode(),)), read, (), (name,), 0, 0, 0, 0, 0, 0, 1)


class Scope:
    """The names that a formula may use; `find` gives a feature for one that is not among them, or None."""

    def __init__(self, terms: Mapping[str, Term], find: Callable[[str], Feature | None]) -> None:
        self._terms = dict(terms)
        self._find = find

    def __contains__(self, name: str) -> bool:
        return name in self._terms

    def add(self, name: str, term: Term) -> None:
        """Let what comes later use `name`."""
        self._terms[name] = term

    def term(self, name: Name, *, is_hinted: bool) -> Term:
        """The term of a name.

        Raises
        ------
        FormulaError
            There is none; with the nearest that there is when `is_hinted`.
        """
        if name.name not in self._terms and (feature := self._find(name.name)):
            self.add(name.name, of_feature(feature))
        found = self._terms.get(name.name)
        if found is None:
            hint = ""
            if name.name in FUNCTIONS:
                hint = f"; the function is called as {FUNCTIONS[name.name].signature}"
            elif is_hinted:
                hint = _nearest(name.name, self._terms)
            described = f"must name columns, features or earlier expressions: {name.name[:SHOWN_MAX]!r}{hint}"
            raise FormulaError("unknown", described, name.at)
        return found


def typed(node: Node, scope: Scope, *, is_hinted: bool = True) -> Term:
    """The term of a formula.

    Raises
    ------
    FormulaError
        A name or function there is not, an argument that is none, a formula without a series, or one that
        looks back too far.
    """
    term = _typed(node, scope, is_hinted)
    if not isinstance(term, Term):
        raise FormulaError(
            "constant", "must read a column or a feature: it is the same number at every bar", node.at
        )
    if term.depth > DEPTH_MAX:
        raise FormulaError(
            "depth",
            f"must hold at most {DEPTH_MAX} operations in each other, named ones included: {term.depth}",
            node.at,
        )
    if term.lookback_bars > LOOKBACK_MAX:
        raise FormulaError(
            "lookback",
            f"must look back at most {LOOKBACK_MAX:,} bars in all: {term.lookback_bars:,}",
            node.at,
        )
    if (work := term.work_bars) > WORK_MAX:
        raise FormulaError(
            "lookback", f"must have windows of at most {WORK_MAX:,} bars together: {work:,}", node.at
        )
    return term


def _typed(node: Node, scope: Scope, is_hinted: bool) -> Term | float:
    match node:
        case Number(value):
            return value
        case Name():
            return scope.term(node, is_hinted=is_hinted)
    function = _function(node, is_hinted)
    given = [_typed(argument, scope, is_hinted) for argument in node.arguments]
    arguments = [
        _argument(
            parameter, argument, function, node.arguments[position].at if position < len(given) else node.at
        )
        for position, (parameter, argument) in enumerate(_paired(function, given, node))
    ]
    if not any(isinstance(argument, Term) for argument in arguments):
        return _folded(function, arguments, node)
    return _operation(function, arguments)


def _function(node: Call, is_hinted: bool) -> Function:
    if node.function == "-" and len(node.arguments) == 1:
        return NEGATION
    function = OPERATORS.get(node.function) or FUNCTIONS.get(node.function)
    if function is None:
        hint = _nearest(node.function, FUNCTIONS) if is_hinted else ""
        described = f"must call functions that there are: {node.function[:SHOWN_MAX]!r}{hint}"
        raise FormulaError("unknown", described, node.at)
    return function


def _paired(
    function: Function, given: Sequence[Term | float], node: Call
) -> list[tuple[Parameter, Term | float]]:
    defaults = [each.default for each in function.parameters[len(given) :]]
    if len(given) > len(function.parameters) or any(default is None for default in defaults):
        described = f"must call {function.signature} with its arguments: there are {len(given)}"
        raise FormulaError("arguments", described, node.at)
    filled = [*given, *(default for default in defaults if default is not None)]
    return list(zip(function.parameters, filled, strict=True))


def _argument(parameter: Parameter, value: Term | float, function: Function, at: int) -> Term | float | int:
    of = f"{parameter.name} of {function.signature}"
    is_term = isinstance(value, Term)
    if parameter.kind is Kind.VALUE:
        return value
    if parameter.kind is Kind.SERIES:
        if not is_term:
            raise FormulaError("type", f"must have {parameter.kind} as {of}: {value:g}", at)
        return value
    if isinstance(value, Term):
        raise FormulaError("type", f"must have {parameter.kind} as {of}: it is a series", at)
    is_whole = parameter.kind is Kind.BARS
    if is_whole and value != math.floor(value):
        raise FormulaError("type", f"must have {parameter.kind} of bars as {of}: {value:g}", at)
    if not parameter.low <= value <= parameter.high:
        bounds = f"{parameter.low:,g} to {parameter.high:,.0f}"
        raise FormulaError("range", f"must have {bounds} as {of}: {value:,g}", at)
    return int(value) if is_whole else value


def _folded(function: Function, arguments: Sequence[Term | float | int], node: Node) -> float:
    with np.errstate(all="ignore"):
        value = float(function.compute(*(np.array([argument]) for argument in arguments))[0])
    if not math.isfinite(value):
        raise FormulaError("range", f"must have a finite number here: {value}", node.at)
    return value


def _operation(function: Function, arguments: Sequence[Term | float | int]) -> Term:
    terms = [argument for argument in arguments if isinstance(argument, Term)]
    numbers = [argument for argument in arguments if not isinstance(argument, Term)]
    bars = function.lookback_bars(*(number for number in numbers if isinstance(number, int)))
    parts = [one.key if isinstance(one, Term) else repr(one).encode() for one in arguments]
    key = _key(function.signature, parts)
    return Term(
        key=key,
        compute=function.compute,
        arguments=tuple(arguments),
        inputs=tuple(dict.fromkeys(name for term in terms for name in term.inputs)),
        lookback_bars=max(term.lookback_bars for term in terms) + bars,
        lookback_settlements=max(term.lookback_settlements for term in terms),
        lookback_seconds=max(term.lookback_seconds for term in terms),
        longer_bar_seconds=math.gcd(*(term.longer_bar_seconds for term in terms)),
        own_bars=bars,
        depth=max(term.depth for term in terms) + 1,
        held_arrays=max(len(terms) + 1, *(before + term.held_arrays for before, term in enumerate(terms))),
    )


def _key(kind: str, parts: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


def _nearest(name: str, known: Collection[str]) -> str:
    nearest = difflib.get_close_matches(name[:SHOWN_MAX], known, 1, 0.5)
    return f"; the nearest is {nearest[0]!r}" if nearest else ""
