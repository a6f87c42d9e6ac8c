"""Labels: what came of a decision, read from raw prices. The only module of the platform that looks ahead.

A decision is taken at the close of a bar; its outcome is read from the bars after it. Every label carries the
interval `[t0, t1]`: when the decision could be made, and when its outcome was known. Splits purge by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from numba import njit

from marketml.rpc.refusals import InvalidArgument, Violation

Floats: TypeAlias = npt.NDArray[np.float64]
Microseconds: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]

THREE_WAY = ("down", "range", "up")
BINARY = ("down", "up")

# Prices and fractions are decimals: as doubles, one that stands on a bound may miss it by a few last bits.
# No venue quotes prices so close to each other.
ON_THE_BOUND = 1e-12

MAX_HORIZON_BARS = 100_000
MAX_WINDOW_BARS = 100_000


@dataclass(frozen=True)
class Fixed:
    """A threshold that never moves: a fraction of the entry price (0.01 is one per cent)."""

    fraction: float


@dataclass(frozen=True)
class TrailingVolatility:
    """A threshold of `multiple` standard deviations of the last `window_bars` one-bar returns.

    The deviation is that of one bar, known at the decision; it is not scaled to the horizon.
    """

    multiple: float
    window_bars: int


@dataclass(frozen=True)
class FixedHorizon:
    """The return from the decision bar's close to the close `horizon_bars` later.

    Three-way: `up` above the threshold, `down` below its negative, `range` between (bounds included).
    Binary: the sign of the return, so there is no threshold; a return of zero is `down`.
    """

    horizon_bars: int
    threshold: Fixed | TrailingVolatility | None = None


@dataclass(frozen=True)
class FractionBarriers:
    """Barriers at fixed fractions of the entry price."""

    profit_fraction: float
    loss_fraction: float


@dataclass(frozen=True)
class VolatilityBarriers:
    """Barriers at multiples of the one-bar standard deviation over the trailing `window_bars` returns."""

    profit_multiple: float
    loss_multiple: float
    window_bars: int


@dataclass(frozen=True)
class TripleBarrier:
    """Which barrier the high/low path after the decision touches first.

    Three-way: `up` for the profit barrier, `down` for the loss barrier, `range` for neither within
    `horizon_bars`. Binary: the vertical barrier takes the sign of the return there (zero is `down`).
    A bar that touches both is a loss: its inner path is unknown. A decision whose nearer barrier is no more
    than `minimum_return` (a fraction) from the entry gets no label: its outcome would not pay its cost.
    """

    barriers: FractionBarriers | VolatilityBarriers
    horizon_bars: int
    minimum_return: float = 0.0


LabelRule: TypeAlias = FixedHorizon | TripleBarrier


@dataclass(frozen=True)
class Labels:
    """The labelled decisions, in order of time.

    Attributes
    ----------
    values : int8 (rows,)
        Index into `class_names`.
    t0, t1 : int64 (rows,)
        Microseconds since the epoch: decision (close of its bar) and outcome known (close of the touch bar).
    returns : float64 (rows,)
        Return at the outcome, a fraction: that of the touched barrier, or from close to close.
    labelled : bool (bars,)
        Which bars of the frame the rows are; the others (tail, missing prices, no volatility) have no label.
    class_names : tuple of str
    """

    values: npt.NDArray[np.int8]
    t0: Microseconds
    t1: Microseconds
    returns: Floats
    labelled: Mask
    class_names: tuple[str, ...]


def violations(rule: LabelRule, *, binary: bool, path: str = "label") -> list[Violation]:
    """Every rule that `rule` breaks, with the full field path."""
    found: list[Violation] = []

    def require(field: str, holds: bool, kind: str, description: str) -> None:
        if not holds:
            found.append(Violation(f"{path}.{field}", kind, description))

    def positive(field: str, value: float) -> None:
        require(field, 0 < value < np.inf, "range", f"must be finite and above 0, is {value}.")

    def bars(field: str, value: int, least: int, most: int) -> None:
        require(field, least <= value <= most, "range", f"must be from {least} to {most} bars, is {value}.")

    bars("horizon_bars", rule.horizon_bars, 1, MAX_HORIZON_BARS)
    if isinstance(rule, FixedHorizon):
        if binary:
            require("threshold", rule.threshold is None, "unused", "must be unset for binary labels.")
        elif rule.threshold is None:
            require("threshold", False, "required", "must be set for three-way labels.")
        elif isinstance(rule.threshold, Fixed):
            positive("threshold.fraction", rule.threshold.fraction)
        else:
            positive("threshold.multiple", rule.threshold.multiple)
            bars("threshold.window_bars", rule.threshold.window_bars, 2, MAX_WINDOW_BARS)
        return found
    minimum = rule.minimum_return
    require("minimum_return", 0 <= minimum < 1, "range", f"must be in [0, 1), is {minimum}.")
    if isinstance(rule.barriers, FractionBarriers):
        positive("barriers.profit_fraction", rule.barriers.profit_fraction)
        loss = rule.barriers.loss_fraction
        require("barriers.loss_fraction", 0 < loss < 1, "range", f"must be in (0, 1), is {loss}.")
    else:
        positive("barriers.profit_multiple", rule.barriers.profit_multiple)
        positive("barriers.loss_multiple", rule.barriers.loss_multiple)
        bars("barriers.window_bars", rule.barriers.window_bars, 2, MAX_WINDOW_BARS)
    return found


def label(frame: pd.DataFrame, timeframe: timedelta, rule: LabelRule, *, binary: bool = False) -> Labels:
    """Label every decision of a frame of raw bars.

    Entry is the decision bar's close; the path begins with the next bar; the horizon counts bars, whatever
    time lies between them. A label needs its whole horizon: rows with fewer bars after them, or with a
    missing price anywhere in `[decision, decision + horizon_bars]`, get none. (Labelling those that happened
    to touch early would leave only fast outcomes near every gap and at the end.)

    Parameters
    ----------
    frame : DataFrame (bars,)
        Index `open_time`, UTC, strictly increasing; columns `high`, `low`, `close` in quote currency, raw.
    timeframe : timedelta
        Length of a bar: its values are known at `open_time + timeframe`.
    rule : FixedHorizon or TripleBarrier
    binary : bool
        Two classes instead of three.

    Raises
    ------
    InvalidArgument
        A broken rule of the configuration, an unordered index, or a price that is infinite or not above 0.

    References
    ----------
    López de Prado (2018), *Advances in Financial Machine Learning*, sections 3.2 to 3.4.
    """
    broken = violations(rule, binary=binary)
    if broken:
        raise InvalidArgument(broken)
    closes_at = close_times(frame.index, timeframe)
    high, low, close = (_prices(frame, column) for column in ("high", "low", "close"))
    whole = _whole_windows(np.isnan(high) | np.isnan(low) | np.isnan(close), rule.horizon_bars)
    if isinstance(rule, FixedHorizon):
        sides, outcome, returns, labelled = _fixed_horizon(close, whole, rule)
    else:
        sides, outcome, returns, labelled = _triple_barrier(high, low, close, whole, rule)
    if binary:
        values = ((sides == 1) | ((sides == 0) & (returns > 0))).astype(np.int8)
    else:
        values = (sides + 1).astype(np.int8)
    return Labels(
        values=values[labelled],
        t0=closes_at[labelled],
        t1=closes_at[outcome[labelled]],
        returns=returns[labelled],
        labelled=labelled,
        class_names=BINARY if binary else THREE_WAY,
    )


def close_times(index: pd.Index, timeframe: timedelta) -> Microseconds:
    """Close times of bars stamped by their open, microseconds since the epoch; the one cast of time to int.

    Raises
    ------
    InvalidArgument
        The index is not UTC time, or not strictly increasing.
    """
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise InvalidArgument.of("frame.open_time", "utc_time", f"must be UTC timestamps, is {index.dtype}.")
    opens_at = index.to_numpy(dtype="datetime64[us]").astype(np.int64)
    if np.any(np.diff(opens_at) <= 0):
        at = int(np.argmax(np.diff(opens_at) <= 0)) + 1
        raise InvalidArgument.of("frame.open_time", "increasing", f"must increase, row {at} does not.")
    return opens_at + timeframe // timedelta(microseconds=1)


def trailing_volatility(close: Floats, window_bars: int) -> Floats:
    """Sample standard deviation of the last `window_bars` one-bar returns, NaN where one of them is missing.

    Parameters
    ----------
    close : float64 (bars,)
    window_bars : int
        At least 2.

    Returns
    -------
    float64 (bars,)
        A fraction of price for one bar; the value at a bar is known at that bar's close.
    """
    returns = np.full(close.size, np.nan)
    returns[1:] = close[1:] / close[:-1] - 1.0
    return pd.Series(returns).rolling(window_bars, min_periods=window_bars).std(ddof=1).to_numpy(np.float64)


def _prices(frame: pd.DataFrame, column: str) -> Floats:
    if column not in frame.columns:
        raise InvalidArgument.of(f"frame.{column}", "required", "is missing from the frame.")
    prices = frame[column].to_numpy(np.float64)
    wrong = np.isinf(prices) | (prices <= 0)
    if wrong.any():
        at = int(np.argmax(wrong))
        description = f"must be above 0 and finite, row {at} is {prices[at]}."
        raise InvalidArgument.of(f"frame.{column}", "price", description)
    return np.ascontiguousarray(prices)


def _whole_windows(missing: Mask, horizon_bars: int) -> Mask:
    """Bars `i` such that the bars `i` to `i + horizon_bars` all exist and none is missing."""
    whole = np.zeros(missing.size, dtype=np.bool_)
    count = missing.size - horizon_bars
    if count > 0:
        before = np.concatenate(([0], np.cumsum(missing)))
        whole[:count] = before[horizon_bars + 1 :] == before[:count]
    return whole


_Outcome: TypeAlias = tuple[npt.NDArray[np.int8], npt.NDArray[np.int64], Floats, Mask]


def _fixed_horizon(close: Floats, whole: Mask, rule: FixedHorizon) -> _Outcome:
    outcome = np.minimum(np.arange(close.size) + rule.horizon_bars, close.size - 1)
    returns = close[outcome] / close - 1.0
    if rule.threshold is None:
        threshold = np.zeros(close.size)
    elif isinstance(rule.threshold, Fixed):
        threshold = np.full(close.size, rule.threshold.fraction)
    else:
        threshold = rule.threshold.multiple * trailing_volatility(close, rule.threshold.window_bars)
    above = close[outcome] > close * (1.0 + threshold) * (1.0 + ON_THE_BOUND)
    below = close[outcome] < close * (1.0 - threshold) * (1.0 - ON_THE_BOUND)
    return above.astype(np.int8) - below.astype(np.int8), outcome, returns, whole & ~np.isnan(threshold)


def _triple_barrier(high: Floats, low: Floats, close: Floats, whole: Mask, rule: TripleBarrier) -> _Outcome:
    if isinstance(rule.barriers, FractionBarriers):
        profit = np.full(close.size, rule.barriers.profit_fraction)
        loss = np.full(close.size, rule.barriers.loss_fraction)
    else:
        volatility = trailing_volatility(close, rule.barriers.window_bars)
        profit = rule.barriers.profit_multiple * volatility
        loss = rule.barriers.loss_multiple * volatility
    # A NaN volatility compares false, so it is dropped here too.
    labelled = whole & (np.minimum(profit, loss) > rule.minimum_return)
    profit_price = close * (1.0 + profit) * (1.0 - ON_THE_BOUND)
    loss_price = close * (1.0 - loss) * (1.0 + ON_THE_BOUND)
    sides, outcome = _first_touches(high, low, profit_price, loss_price, labelled, rule.horizon_bars)
    returns = np.where(sides == 1, profit, np.where(sides == -1, -loss, close[outcome] / close - 1.0))
    return sides, outcome, returns, labelled


@njit(nogil=True, cache=True)
def _first_touches(
    high: Floats, low: Floats, profit_price: Floats, loss_price: Floats, labelled: Mask, horizon_bars: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """Side (1 profit, -1 loss, 0 neither) and bar of the first touch after each labelled bar."""
    sides = np.zeros(high.size, dtype=np.int8)
    outcome = np.zeros(high.size, dtype=np.int64)
    for decision in range(high.size):
        if not labelled[decision]:
            continue
        last = decision + horizon_bars
        outcome[decision] = last
        for bar in range(decision + 1, last + 1):
            if low[bar] <= loss_price[decision]:
                sides[decision] = -1
                outcome[decision] = bar
                break
            if high[bar] >= profit_price[decision]:
                sides[decision] = 1
                outcome[decision] = bar
                break
    return sides, outcome
