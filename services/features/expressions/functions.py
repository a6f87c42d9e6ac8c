"""What a formula may call: the functions and operators, what they take, how far each looks back.

Every one of them is computed from the bars it says and nothing else: rolling ones with the kernels of
`calculators/windows.py`, the rest bar by bar. What has no value (division by zero, the logarithm of zero,
overflow) is NaN, and so is what is computed from NaN, except that `where` looks at the chosen side only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np

from services.features.calculators import windows
from services.features.calculators.funding import z_scores
from services.features.columns import Floats

WINDOW_MAX = 10_080  # a week of one-minute bars
SPAN_MAX = 720  # of exponential means, which look back on some fourteen times as many bars

Value = Floats | float


class Kind(StrEnum):
    """What an argument must be."""

    SERIES = "a series"
    VALUE = "a series or a number"
    NUMBER = "a number"
    BARS = "a whole number"


@dataclass(frozen=True)
class Parameter:
    """An argument: `low` and `high` bound a number, both included; without a `default` it must be given."""

    name: str
    kind: Kind
    low: float = 0.0
    high: float = 0.0
    default: float | None = None


@dataclass(frozen=True, eq=False)
class Function:
    """One function.

    Attributes
    ----------
    name : str
    parameters : tuple of Parameter
    description : str
        The formula in a sentence.
    compute : callable
        Of the arguments in order, series as float64 (bars,), numbers as float, bars as int.
    lookback_bars : callable
        Of the arguments that are bars, how many bars before the current one it needs of its series.
    aliases : tuple of str
        Other names for it.
    """

    name: str
    parameters: tuple[Parameter, ...]
    description: str
    compute: Callable[..., Floats]
    lookback_bars: Callable[..., int] = lambda *_: 0
    aliases: tuple[str, ...] = ()

    @cached_property
    def signature(self) -> str:
        """`quantile(x, n, q)`, what need not be given with its default."""
        shown = (
            each.name if each.default is None else f"{each.name}={each.default:g}" for each in self.parameters
        )
        return f"{self.name}({', '.join(shown)})"


def _known(values: Floats, *of: Value) -> Floats:
    """`values`, NaN where one of those it was computed from is."""
    missing = np.isnan(of[0])
    for one in of[1:]:
        missing = missing | np.isnan(one)
    return np.where(missing, np.nan, values)


def _comparison(compare: Callable[[Value, Value], Floats]) -> Callable[[Value, Value], Floats]:
    return lambda x, y: _known(np.asarray(compare(x, y), dtype=np.float64), x, y)


def _power(x: Value, y: Value) -> Floats:
    if isinstance(y, float) and y == 2.0:
        return np.multiply(x, x)
    return _known(np.power(x, y), x, y)  # NaN to the power of zero is one


def _where(condition: Value, then: Value, otherwise: Value) -> Floats:
    return _known(np.where(np.asarray(condition) != 0.0, then, otherwise), condition)


def _clip(x: Value, low: Value, high: Value) -> Floats:
    return np.minimum(np.maximum(x, low), high)


def _sum(x: Floats, n: int) -> Floats:
    return windows.weighted_sums(x, np.ones(n))


def _quantile(x: Floats, n: int, q: float) -> Floats:
    return windows.quantiles(x, n, (q,))[0]


_X = Parameter("x", Kind.SERIES)
_Y = Parameter("y", Kind.SERIES)
_ANY, _OTHER = Parameter("x", Kind.VALUE), Parameter("y", Kind.VALUE)


def _bars(low: int, high: int = WINDOW_MAX, default: int | None = None) -> Parameter:
    return Parameter("n", Kind.BARS, low, high, default)


def _of_window(n: int) -> int:
    return n - 1


def _by_bars(n: int) -> int:
    return n


def _rolled(
    name: str, low: int, description: str, compute: Callable[..., Floats], *aliases: str, of: int = 1
) -> Function:
    return Function(name, (*(_X, _Y)[:of], _bars(low)), description, compute, _of_window, aliases)


def _shifted(name: str, description: str, compute: Callable[..., Floats], *aliases: str) -> Function:
    return Function(name, (_X, _bars(1, default=1)), description, compute, _by_bars, aliases)


def _each(name: str, description: str, compute: Callable[..., Floats]) -> Function:
    return Function(name, (_ANY,), description, compute)


_TABLE = (
    _each("abs", "Absolute value.", np.abs),
    _each("exp", "e to the power of x.", np.exp),
    _each("log", "Natural logarithm; NaN where x is not positive.", np.log),
    _each("sign", "-1, 0 or 1.", np.sign),
    _each("sqrt", "Square root; NaN where x is negative.", np.sqrt),
    Function("minimum", (_ANY, _OTHER), "The smaller one of both at each bar.", np.minimum),
    Function("maximum", (_ANY, _OTHER), "The larger one of both at each bar.", np.maximum),
    Function(
        "clip",
        (_ANY, Parameter("low", Kind.VALUE), Parameter("high", Kind.VALUE)),
        "x, at least low and at most high.",
        _clip,
    ),
    Function(
        "where",
        tuple(Parameter(name, Kind.VALUE) for name in ("condition", "then", "otherwise")),
        "`then` where the condition is not 0, `otherwise` where it is 0; NaN where the condition is.",
        _where,
        aliases=("if",),
    ),
    _shifted("lag", "x n bars ago.", windows.lag, "delay"),
    _shifted("diff", "x minus x n bars ago.", lambda x, n: x - windows.lag(x, n)),
    _shifted("ret", "x over x n bars ago, minus 1.", lambda x, n: windows.relative(x, windows.lag(x, n))),
    _shifted(
        "log_return",
        "ln(x / x n bars ago); NaN where the quotient is not positive.",
        lambda x, n: windows.log_relative(x, windows.lag(x, n)),
    ),
    Function(
        "ema",
        (_X, _bars(2, SPAN_MAX)),
        "Exponential mean with alpha = 2 / (n + 1), over the bars that weigh at least one part in 1e12.",
        windows.emas,
        windows.ema_bars,
    ),
    _rolled("mean", 1, "Mean of the last n bars.", windows.means, "sma"),
    _rolled("sum", 1, "Sum of the last n bars; counts come out whole.", _sum),
    _rolled("std", 2, "Sample standard deviation of the last n bars (divisor n - 1).", windows.deviations),
    _rolled("min", 1, "Lowest of the last n bars.", windows.lowest),
    _rolled("max", 1, "Highest of the last n bars.", windows.highest),
    _rolled("median", 1, "Median of the last n bars.", lambda x, n: _quantile(x, n, 0.5)),
    Function(
        "quantile",
        (_X, _bars(1), Parameter("q", Kind.NUMBER, 0.0, 1.0)),
        "The q quantile of the last n bars, linear between order statistics.",
        _quantile,
        _of_window,
    ),
    _rolled(
        "zscore",
        2,
        "x minus the mean of the last n bars, over their sample deviation; NaN where they are equal.",
        z_scores,
    ),
    _rolled(
        "rank",
        2,
        "Share of the n - 1 bars before that are lower, those that are equal counted half: 0 to 1.",
        windows.ranks,
    ),
    _rolled("slope", 2, "Least-squares slope of the last n bars against time, per bar.", windows.slopes),
    _rolled("corr", 2, "Pearson's correlation of the last n bars of x and y.", windows.correlations, of=2),
    _rolled("cov", 2, "Sample covariance of the last n bars (divisor n - 1).", windows.covariances, of=2),
    _rolled(
        "beta",
        2,
        "Least-squares slope of x against y over the last n bars; NaN where y is constant.",
        windows.betas,
        of=2,
    ),
)

FUNCTIONS: Mapping[str, Function] = {
    name: function for function in _TABLE for name in (function.name, *function.aliases)
}

NEGATION = Function("-", (_ANY,), "Negation.", np.negative)
OPERATORS: Mapping[str, Function] = {
    sign: Function(sign, (_ANY, _OTHER), description, compute)
    for sign, description, compute in (
        ("+", "Sum.", np.add),
        ("-", "Difference.", np.subtract),
        ("*", "Product.", np.multiply),
        ("/", "Quotient; NaN where y is 0.", np.divide),
        ("^", "Power.", _power),
        ("<", "1 where x is smaller, else 0.", _comparison(np.less)),
        ("<=", "1 where x is smaller or equal, else 0.", _comparison(np.less_equal)),
        (">", "1 where x is larger, else 0.", _comparison(np.greater)),
        (">=", "1 where x is larger or equal, else 0.", _comparison(np.greater_equal)),
        ("==", "1 where both are equal, else 0.", _comparison(np.equal)),
        ("!=", "1 where both differ, else 0.", _comparison(np.not_equal)),
    )
}
