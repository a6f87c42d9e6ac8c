"""Named formulas: which names they may take, what is wrong with them, and the features they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from marketml.rpc.refusals import Violation
from services.features import calculators
from services.features.expressions.rolled import rolled
from services.features.expressions.syntax import FormulaError, names, parse
from services.features.expressions.terms import Scope, Term, of_column, of_feature, typed
from services.features.expressions.values import computed
from services.features.feature import Family, Feature, Work
from services.features.source import FRAME_COLUMNS, VALUE_COLUMNS

EXPRESSIONS_MAX = 1_000
TOGETHER_MAX = 200_000  # characters of all formulas: a second of reading
HINTS_MAX = 20  # a nearest name takes milliseconds to find

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}", re.ASCII)
_ROLLING = re.compile(r"w\d+__", re.ASCII)


@dataclass(frozen=True)
class Expression:
    """A caller's own feature: a name and a formula."""

    name: str
    expression: str


def violations(expressions: Sequence[Expression], path: str = "config.expressions") -> Iterator[Violation]:
    """Every broken rule, at most one a name and one a formula; `path` is that of the list."""
    size = sum(len(one.expression) for one in expressions)
    if len(expressions) > EXPRESSIONS_MAX:
        described = f"must have at most {EXPRESSIONS_MAX:,} items: {len(expressions):,}."
        yield Violation(path, "count", described)
    elif size > TOGETHER_MAX:
        described = f"must have at most {TOGETHER_MAX:,} characters of formulas together: {size:,}."
        yield Violation(path, "length", described)
    else:
        for position, field, rule, described in _read(tuple(expressions)).broken:
            yield Violation(f"{path}[{position}].{field}", rule, described)


@lru_cache(maxsize=16)
def features_of(expressions: tuple[Expression, ...]) -> tuple[Feature, ...]:
    """The features of expressions without violations, in their order."""
    terms = _read(expressions).terms
    shared = _shared(terms)
    return tuple(
        Feature(
            name=one.name,
            family=Family.EXPRESSION,
            group="formula",
            inputs=term.inputs,
            parameters={},
            lookback_bars=term.lookback_bars,
            description=one.expression.strip() + ".",
            compute=computed(term, shared),
            lookback_settlements=term.lookback_settlements,
            lookback_seconds=term.lookback_seconds,
            longer_bar_seconds=term.longer_bar_seconds,
            work=Work(term.work_bars, term.held_arrays, _remembered(term, shared)),
        )
        for one, term in zip(expressions, terms, strict=True)
    )


def _remembered(term: Term, shared: frozenset[bytes]) -> frozenset[bytes]:
    """The keys of what is kept while its family is computed."""
    return frozenset(key for key, part in term.parts.items() if key in shared or not part.arguments)


@dataclass(frozen=True)
class _Read:
    """`terms` of those that are right, and what is wrong: position, field, rule, description."""

    terms: tuple[Term, ...]
    broken: tuple[tuple[int, str, str, str], ...]


@lru_cache(maxsize=16)
def _read(expressions: tuple[Expression, ...]) -> _Read:
    scope = _scope()
    terms: list[Term] = []
    told: list[tuple[int, str, str, str]] = []
    earlier: set[str] = set()
    broken: set[str] = set()  # names of nothing, whose reason was told
    hints = HINTS_MAX
    for position, one in enumerate(expressions):
        wrong = _name_rule(one.name, earlier)
        if wrong:
            told.append((position, "name", *wrong))
        earlier.add(one.name)
        try:
            tree = parse(one.expression)
            if broken.isdisjoint(names(tree)):
                term = typed(tree, scope, is_hinted=hints > 0)
                if not wrong:
                    scope.add(one.name, term)
                    terms.append(term)
        except FormulaError as error:
            hints -= 1
            described = f"{error.description} (column {error.at})."
            told.append((position, "expression", error.rule, described))
        if one.name not in scope:
            broken.add(one.name)
    return _Read(tuple(terms), tuple(told))


def _shared(terms: Sequence[Term]) -> frozenset[bytes]:
    """The keys of what stands in several places, which is worth remembering."""
    places: Counter[bytes] = Counter()
    waiting = list(terms)
    while waiting:
        term = waiting.pop()
        places[term.key] += 1
        if places[term.key] == 1:
            waiting += term.terms
    return frozenset(key for key, count in places.items() if count > 1)


def _scope() -> Scope:
    return Scope(_catalogue(), rolled)


@cache
def _catalogue() -> dict[str, Term]:
    """Columns and catalogue features; a feature called as a column is what is known of that column."""
    listed = [feature for family in calculators.FAMILIES for feature in calculators.features_of(family)]
    return {name: of_column(name) for name in VALUE_COLUMNS} | {one.name: of_feature(one) for one in listed}


def _name_rule(name: str, earlier: Collection[str]) -> tuple[str, str] | None:
    """The rule that a name breaks, and how."""
    shown = repr(name[:100])
    if not _NAME.fullmatch(name):
        return "format", f"must be a lower-case letter and up to 99 of a-z, 0-9 and _: {shown}."
    if name in earlier:
        return "duplicate", f"must not be the name of an earlier expression: {shown}."
    if name in FRAME_COLUMNS:
        return "taken", f"must not be the name of a frame column: {shown}."
    if name in _catalogue():
        return "taken", f"must not be the name of another feature: {shown}."
    if _ROLLING.match(name):
        return "taken", f"must not begin as the names of tsfresh's features do: {shown}."
    return None
