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

from marketml.rpc.refusals import InvalidArgument
from services.training.labels.barriers import ON_THE_BOUND, Mask, Outcome, crossing_sides, triple_barrier
from services.training.labels.event_bars import cusum_events
from services.training.labels.quantiles import UNDECIDED, ReturnThresholds, thresholds_of
from services.training.labels.rules import (
    MAX_HORIZON_BARS,
    MAX_TREND_BARS,
    MAX_WINDOW_BARS,
    MIN_TREND_BARS,
    CusumEvents,
    Fixed,
    FixedHorizon,
    FractionBarriers,
    LabelRule,
    MetaLabel,
    MovingAverages,
    QuantileThreshold,
    TrailingVolatility,
    TrendScanning,
    TripleBarrier,
    VolatilityBarriers,
    horizon_of,
    violations,
)
from services.training.labels.trends import scan_trends
from services.training.labels.volatility import Floats, threshold_of, trailing_volatility

Microseconds: TypeAlias = npt.NDArray[np.int64]

THREE_WAY = ("down", "range", "up")
BINARY = ("down", "up")
META = ("loss", "profit")


@dataclass(frozen=True)
class Path:
    """The bars that labels were read from: what a weight of overlapping labels needs.

    Attributes
    ----------
    closes_at : int64 (bars,)
        Microseconds since the epoch, ascending.
    log_returns : float64 (bars,)
        From the close before; NaN where one is missing.
    """

    closes_at: Microseconds
    log_returns: Floats


@dataclass(frozen=True)
class Labels:
    """The labelled decisions, in order of time.

    Attributes
    ----------
    values : int8 (rows,)
        Index into `class_names`; all `UNDECIDED` where there is a `quantile`.
    t0, t1 : int64 (rows,)
        Microseconds since the epoch: decision (close of its bar) and outcome known (close of the touch bar).
    returns : float64 (rows,)
        Return at the outcome, a fraction: that of the touched barrier, from close to close, or over the trend
        chosen; of a meta-label that of its side.
    labelled : bool (bars,)
        Which bars of the frame the rows are; the others (tail, missing prices, no volatility, no event, no
        side) have no label.
    class_names : tuple of str
    path : Path
    quantile : QuantileThreshold, optional
        By which the rows of a fit decide all classes, from their `returns`.
    """

    values: npt.NDArray[np.int8]
    t0: Microseconds
    t1: Microseconds
    returns: Floats
    labelled: Mask
    class_names: tuple[str, ...]
    path: Path
    quantile: QuantileThreshold | None = None


def label(
    frame: pd.DataFrame,
    timeframe: timedelta,
    rule: LabelRule,
    *,
    binary: bool = False,
    events: CusumEvents | None = None,
) -> Labels:
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
    rule : FixedHorizon, TripleBarrier, TrendScanning or MetaLabel
    binary : bool
        Two classes instead of three.
    events : CusumEvents, optional
        Which bars are decisions; every one by default.

    Raises
    ------
    InvalidArgument
        A broken rule of the configuration, an unordered index, or a price that is infinite or not above 0.

    References
    ----------
    López de Prado (2018), *Advances in Financial Machine Learning*, sections 3.2 to 3.6.
    """
    broken = violations(rule, events, binary=binary)
    if broken:
        raise InvalidArgument(broken)
    closes_at = close_times(frame.index, timeframe)
    high, low, close = (_prices(frame, column) for column in ("high", "low", "close"))
    whole = _whole_windows(np.isnan(high) | np.isnan(low) | np.isnan(close), horizon_of(rule))
    if events is not None:
        whole &= cusum_events(close, events)
    match rule:
        case FixedHorizon():
            signs, outcome, returns, labelled = _fixed_horizon(close, whole, rule)
        case TripleBarrier():
            signs, outcome, returns, labelled = triple_barrier(high, low, close, whole, rule)
        case MetaLabel():
            sides = crossing_sides(close, rule.side)
            signs, outcome, returns, labelled = triple_barrier(high, low, close, whole, rule.outcome, sides)
        case _:
            signs, outcome, returns, labelled = scan_trends(close, whole, rule)
    values, class_names = _classes(signs[labelled], returns[labelled], rule, binary)
    quantile = _quantile_of(rule)
    if quantile is not None:
        values = np.full(values.size, UNDECIDED, dtype=np.int8)
    log_returns = np.full(close.size, np.nan)
    log_returns[1:] = np.log(close[1:] / close[:-1])
    return Labels(
        values=values,
        t0=closes_at[labelled],
        t1=closes_at[outcome[labelled]],
        returns=returns[labelled],
        labelled=labelled,
        class_names=class_names,
        path=Path(closes_at, log_returns),
        quantile=quantile,
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


def _classes(
    signs: npt.NDArray[np.int8], returns: Floats, rule: LabelRule, binary: bool
) -> tuple[npt.NDArray[np.int8], tuple[str, ...]]:
    is_meta = isinstance(rule, MetaLabel)
    if not binary and not is_meta:
        return (signs + 1).astype(np.int8), THREE_WAY
    # A trend without a slope is none upwards, whatever its last close.
    by_return = (signs == 0) & (returns > 0) if not isinstance(rule, TrendScanning) else np.False_
    return ((signs == 1) | by_return).astype(np.int8), META if is_meta else BINARY


def _quantile_of(rule: LabelRule) -> QuantileThreshold | None:
    threshold = rule.threshold if isinstance(rule, FixedHorizon) else None
    return threshold if isinstance(threshold, QuantileThreshold) else None


def _fixed_horizon(close: Floats, whole: Mask, rule: FixedHorizon) -> Outcome:
    outcome = np.minimum(np.arange(close.size) + rule.horizon_bars, close.size - 1)
    returns = close[outcome] / close - 1.0
    threshold = np.zeros(close.size)
    if rule.threshold is not None and not isinstance(rule.threshold, QuantileThreshold):
        threshold = threshold_of(close, rule.threshold)
    above = close[outcome] > close * (1.0 + threshold) * (1.0 + ON_THE_BOUND)
    below = close[outcome] < close * (1.0 - threshold) * (1.0 - ON_THE_BOUND)
    return above.astype(np.int8) - below.astype(np.int8), outcome, returns, whole & ~np.isnan(threshold)


__all__ = [
    "BINARY",
    "MAX_HORIZON_BARS",
    "MAX_TREND_BARS",
    "MAX_WINDOW_BARS",
    "META",
    "MIN_TREND_BARS",
    "THREE_WAY",
    "UNDECIDED",
    "CusumEvents",
    "Fixed",
    "FixedHorizon",
    "FractionBarriers",
    "LabelRule",
    "Labels",
    "MetaLabel",
    "Microseconds",
    "MovingAverages",
    "Path",
    "QuantileThreshold",
    "ReturnThresholds",
    "TrailingVolatility",
    "TrendScanning",
    "TripleBarrier",
    "VolatilityBarriers",
    "close_times",
    "horizon_of",
    "label",
    "thresholds_of",
    "trailing_volatility",
    "violations",
]
