"""Formulas as text and as trees: what may be written, told by position where it may not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

TEXT_MAX = 2_000
DEPTH_MAX = 100

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
NEGATION = "-"
# How tightly an operator holds its operands; that of two minus signs, the one in front of a value, is 4.
_BINDING = {**dict.fromkeys(COMPARISONS, 1), "+": 2, "-": 2, "*": 3, "/": 3, "^": 5}
_PREFIX_BINDING, _POWER_BINDING = 4, 5

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|`(?P<quoted>[^`]*)`"
    r"|(?P<symbol><=|>=|==|!=|[-+*/^<>(),])"
    r"|(?P<end>\Z))",
    re.ASCII,
)
_SPACE = re.compile(r"\s*", re.ASCII)
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class FormulaError(Exception):
    """A formula that breaks a rule: `rule` is a short identifier, `description` goes on from the field,
    `at` is the column, counted from 1."""

    def __init__(self, rule: str, description: str, at: int) -> None:
        super().__init__(f"{description} (column {at})")
        self.rule = rule
        self.description = description
        self.at = at


@dataclass(frozen=True)
class Number:
    """A finite constant."""

    value: float
    at: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Name:
    """A column, a feature or an earlier expression."""

    name: str
    at: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Call:
    """A function of `arguments`, or an operator by its sign: `-` of one argument is the negation."""

    function: str
    arguments: tuple[Node, ...]
    at: int = field(default=1, compare=False)


Node = Number | Name | Call


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(text: str) -> Node:
    """The tree of a formula.

    Raises
    ------
    FormulaError
        It is too long or too deep, or no formula.
    """
    if len(text) > TEXT_MAX:
        raise FormulaError(
            "length", f"must have at most {TEXT_MAX:,} characters: {len(text):,}", TEXT_MAX + 1
        )
    return _Parser(text).whole()


def depth(node: Node) -> int:
    """How many calls stand in each other."""
    deepest = 0
    waiting: list[tuple[Node, int]] = [(node, 0)]
    while waiting:
        one, level = waiting.pop()
        deepest = max(deepest, level)
        if isinstance(one, Call):
            waiting += [(argument, level + 1) for argument in one.arguments]
    return deepest


def names(node: Node) -> set[str]:
    """Every name that a formula reads."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        match waiting.pop():
            case Name(name):
                found.add(name)
            case Call(_, arguments):
                waiting += arguments
    return found


def formatted(node: Node) -> str:
    """The formula of a tree: `parse` gives the same tree back, with every bit of its numbers.

    A negative number comes back as the negation of its absolute value, which is the same number.
    """
    return _written(node)[0]


def _written(node: Node) -> tuple[str, int]:
    """The text, and how tightly it holds together."""
    match node:
        case Number(value):
            text = _number(abs(value))
            return (text, 9) if math.copysign(1.0, value) > 0.0 else (f"-{text}", _PREFIX_BINDING)
        case Name(name):
            return (name if _PLAIN_NAME.fullmatch(name) else f"`{name}`"), 9
        case Call("-", (operand,)):
            return f"-{_held(operand, _PREFIX_BINDING)}", _PREFIX_BINDING
        case Call(sign, (left, right)) if sign in _BINDING:
            binding = _BINDING[sign]
            is_power, is_comparison = sign == "^", sign in COMPARISONS
            first = _held(left, binding + 1 if is_power or is_comparison else binding)
            second = _held(right, _PREFIX_BINDING if is_power else binding + 1)
            return f"{first} {sign} {second}", binding
        case Call(function, arguments):
            return f"{function}({', '.join(formatted(argument) for argument in arguments)})", 9


def _held(node: Node, binding: int) -> str:
    text, own = _written(node)
    return text if own >= binding else f"({text})"


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"A formula holds finite numbers: {value}.")
    return str(int(value)) if value == int(value) and value < 1e15 else repr(value)


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while True:
        found = _TOKEN.match(text, position)
        if found is None:
            at = _SPACE.match(text, position).end()  # type: ignore[union-attr]  # it matches nothing, too
            raise FormulaError("syntax", f"holds a character that has no meaning: {text[at]!r}", at + 1)
        kind = str(found.lastgroup)
        yield _Token(kind, found[kind], found.start(kind) + (kind != "quoted"))
        if kind == "end":
            return
        position = found.end()


class _Parser:
    """Recursive descent over the tokens, one rule a method."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._token = next(self._tokens)
        self._level = 0

    def whole(self) -> Node:
        node = self._expression(0)
        if self._token.kind != "end":
            raise FormulaError(
                "syntax", f"must end or go on with an operator: {self._shown()}", self._token.at
            )
        if depth(node) > DEPTH_MAX:
            raise self._too_deep(node.at)
        return node

    def _expression(self, binding: int) -> Node:
        self._level += 1
        if self._level > 2 * DEPTH_MAX:  # an operand in parentheses goes two levels down
            raise self._too_deep(self._token.at)
        left = self._prefix()
        while self._token.kind == "symbol" and _BINDING.get(self._token.text, -1) >= binding:
            sign = self._next()
            own = _BINDING[sign.text]
            right = self._expression(own if sign.text == "^" else own + 1)
            left = Call(sign.text, (left, right), sign.at)
            if sign.text in COMPARISONS and self._token.text in COMPARISONS:
                raise FormulaError(
                    "syntax",
                    f"compares two values at a time, so parentheses are needed: {self._shown()}",
                    self._token.at,
                )
        self._level -= 1
        return left

    def _prefix(self) -> Node:
        token = self._next()
        match token:
            case _Token("number", text, at):
                value = float(text)
                if not math.isfinite(value):
                    raise FormulaError("range", f"must hold finite numbers: {text:.40}", at)
                return Number(value, at)
            case _Token("quoted", text, at):
                return Name(text, at)
            case _Token("name", text, at):
                return self._call(token) if self._token.text == "(" else Name(text, at)
            case _Token("symbol", "-", at):
                return Call(NEGATION, (self._expression(_POWER_BINDING),), at)
            case _Token("symbol", "(", _):
                node = self._expression(0)
                self._expect(")")
                return node
        shown = repr(token.text) if token.text else "the end"
        raise FormulaError("syntax", f"must have a number, a name, a function or '(' here: {shown}", token.at)

    def _call(self, name: _Token) -> Node:
        self._expect("(")
        arguments: list[Node] = []
        while self._token.text != ")" or self._token.kind != "symbol":
            if arguments:
                self._expect(",")
            arguments.append(self._expression(0))
        self._expect(")")
        return Call(name.text, tuple(arguments), name.at)

    def _expect(self, text: str) -> None:
        if self._token.kind != "symbol" or self._token.text != text:
            raise FormulaError("syntax", f"must have {text!r} here: {self._shown()}", self._token.at)
        self._next()

    def _next(self) -> _Token:
        token = self._token
        if token.kind != "end":
            self._token = next(self._tokens)
        return token

    def _shown(self) -> str:
        return repr(self._token.text)[:60] if self._token.kind != "end" else "the end"

    @staticmethod
    def _too_deep(at: int) -> FormulaError:
        return FormulaError("depth", f"must hold at most {DEPTH_MAX} operations in each other", at)
