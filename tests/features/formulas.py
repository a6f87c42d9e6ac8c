"""Random formulas, and what a formula means, reckoned with pandas from its tree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from services.features.expressions import Call, Name, Node, Number
from services.features.expressions.syntax import COMPARISONS

COLUMNS = ("open", "high", "low", "close", "volume", "open_interest")
FEATURES = ("rsi_14", "close_mean_20", "funding_rate_mean_3", "hour_sin")
EACH = ("abs", "exp", "log", "sign", "sqrt")
OF_WINDOW = ("mean", "sma", "sum", "min", "max", "median")
OF_TWO_BARS = ("std", "zscore", "rank", "slope", "ema")
OF_PAIR = ("corr", "cov", "beta")
SHIFTED = ("lag", "delay", "diff", "ret", "log_return")
SIGNS = ("+", "-", "*", "/", "^", *COMPARISONS)

NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, 2.0, 0.5, 24.0, 1e-9, 1e15, 1e16, 2.0**53]),
    st.floats(0.0, 1e6, allow_nan=False),
    st.floats(min_value=0.0, allow_nan=False, allow_infinity=False),
).map(Number)
SERIES = st.sampled_from([*COLUMNS, *FEATURES]).map(Name)


def call(name: str, *arguments: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.tuples(*arguments).map(lambda given: Call(name, given))


def bars(low: int, high: int = 12) -> st.SearchStrategy[Node]:
    return st.integers(low, high).map(lambda count: Number(float(count)))


def _deeper(of: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    value = st.one_of(of, st.sampled_from([Number(0.0), Number(1.0), Number(2.5)]))
    return st.one_of(
        *(call(name, of) for name in (*EACH, "-")),
        *(call(name, of, bars(1)) for name in (*OF_WINDOW, *SHIFTED)),
        *(call(name, of, bars(2)) for name in OF_TWO_BARS),
        *(call(name, of, of, bars(2)) for name in OF_PAIR),
        *(call(sign, of, value) for sign in SIGNS),
        *(call(name, of, value) for name in ("minimum", "maximum")),
        call("quantile", of, bars(1), st.sampled_from([0.0, 0.25, 0.9, 1.0]).map(Number)),
        call("clip", of, value, value),
        call("where", of, value, of),
    )


FORMULAS = st.recursive(SERIES, _deeper, max_leaves=6)
# Anything that can be written, whether it means something or not.
TREES = st.recursive(
    st.one_of(NUMBERS, SERIES, st.just(Name("w24__close__quantile__q_0.1"))),
    lambda of: st.one_of(
        _deeper(of), st.tuples(of, of).map(lambda given: Call(SIGNS[len(str(given)) % len(SIGNS)], given))
    ),
    max_leaves=12,
)

_ROLLED: dict[str, Callable[[pd.Series, int], pd.Series]] = {
    "mean": lambda x, n: x.rolling(n).mean(),
    "sum": lambda x, n: x.rolling(n).sum(),
    "min": lambda x, n: x.rolling(n).min(),
    "max": lambda x, n: x.rolling(n).max(),
    "median": lambda x, n: x.rolling(n).median(),
    "std": lambda x, n: x.rolling(n).std(),
    "zscore": lambda x, n: (x - x.rolling(n).mean()) / x.rolling(n).std(),
    "rank": lambda x, n: (x.rolling(n).rank() - 1.0) / (n - 1),
    "slope": lambda x, n: x.rolling(n).apply(lambda y: np.polyfit(np.arange(n), y, 1)[0], raw=True),
    "ema": lambda x, n: x.ewm(span=n, adjust=True).mean(),
    "lag": lambda x, n: x.shift(n),
    "diff": lambda x, n: x - x.shift(n),
    "ret": lambda x, n: x / x.shift(n) - 1.0,
    "log_return": lambda x, n: np.log(x / x.shift(n)),
}
_PAIRED: dict[str, Callable[[pd.Series, pd.Series, int], pd.Series]] = {
    "corr": lambda x, y, n: x.rolling(n).corr(y),
    "cov": lambda x, y, n: x.rolling(n).cov(y),
    "beta": lambda x, y, n: x.rolling(n).cov(y) / y.rolling(n).var(),
}


def reckoned(name: str, *arguments: pd.Series | float) -> pd.Series:
    """A function of the language by other means."""
    if name in _ROLLED:
        x, n = arguments
        return _ROLLED[name](x, int(n))
    if name in _PAIRED:
        x, y, n = arguments
        return _PAIRED[name](x, y, int(n))
    if name == "quantile":
        x, n, q = arguments
        return x.rolling(int(n)).quantile(q)
    x, *others = arguments
    match name:
        case "clip":
            return x.clip(*others)
        case "where":
            return others[0].where(x != 0.0, others[1]).where(x.notna())
        case "minimum" | "maximum":
            both = pd.concat([x, others[0]], axis=1)
            return both.min(axis=1) if name == "minimum" else both.max(axis=1)
    return getattr(np, name)(x)
