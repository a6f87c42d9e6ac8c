"""The rules of labels: methods, thresholds and event filters, and what of them is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from marketml.rpc.refusals import Violation

MAX_HORIZON_BARS = 100_000
MAX_WINDOW_BARS = 100_000
MAX_TREND_BARS = 1_000  # every decision looks at every horizon up to here
MIN_TREND_BARS = 2  # a line through two points leaves nothing to doubt it by


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
class QuantileThreshold:
    """Thresholds that cut off a share `tail` of the returns on either side: of the rows that a model learns
    from, and of no other, so that they are not known before those rows are."""

    tail: float = 0.33


@dataclass(frozen=True)
class FixedHorizon:
    """The return from the decision bar's close to the close `horizon_bars` later.

    Three-way: `up` above the threshold, `down` below its negative, `range` between (bounds included); of
    quantiles, `up` above the upper one and `down` below the lower one.
    Binary: the sign of the return, so there is no threshold; a return of zero is `down`.
    """

    horizon_bars: int
    threshold: Fixed | TrailingVolatility | QuantileThreshold | None = None


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


@dataclass(frozen=True)
class TrendScanning:
    """The sign of the clearest trend that begins at the decision.

    For each horizon from `min_horizon_bars` to `max_horizon_bars`, a line is fitted to the closes from the
    decision on; the horizon whose slope has the largest |t| is chosen, the shortest of equals. Three-way:
    `range` where that |t| is below `minimum_t`. Binary: the sign alone; no slope is `down`. The outcome is
    known when the longest horizon is: until then another could still be chosen.
    """

    min_horizon_bars: int
    max_horizon_bars: int
    minimum_t: float | None = None


@dataclass(frozen=True)
class MovingAverages:
    """The side of a decision: long where the mean of the last `fast_bars` closes is above that of the last
    `slow_bars`, short where it is below; none where they are equal."""

    fast_bars: int
    slow_bars: int


@dataclass(frozen=True)
class MetaLabel:
    """Whether taking the side that a rule gives would have paid: `profit` or `loss`.

    The profit barrier stands in the side's direction, the loss barrier against it, as `outcome` says; at the
    vertical one the sign of the side's return decides (zero is `loss`). Without a side there is no label.
    """

    side: MovingAverages
    outcome: TripleBarrier


LabelRule: TypeAlias = FixedHorizon | TripleBarrier | TrendScanning | MetaLabel


@dataclass(frozen=True)
class CusumEvents:
    """Decisions only where log returns have added up: upwards or downwards, beyond the threshold at the bar.

    Two sums, one that never falls below zero and one that never rises above it; the one that gets as far as
    the threshold makes the bar an event and starts again. All of it is known at the bar's close.
    """

    threshold: Fixed | TrailingVolatility


def horizon_of(rule: LabelRule) -> int:
    """Bars after the decision within which the outcome is known."""
    match rule:
        case TrendScanning():
            return rule.max_horizon_bars
        case MetaLabel():
            return rule.outcome.horizon_bars
        case _:
            return rule.horizon_bars


def violations(
    rule: LabelRule, events: CusumEvents | None = None, *, binary: bool, path: str = "label"
) -> list[Violation]:
    """Every rule that label and events break, with the full field path."""
    check = _Check(path)
    match rule:
        case FixedHorizon():
            check.fixed_horizon(rule, binary)
        case TripleBarrier():
            check.triple_barrier("", rule)
        case TrendScanning():
            check.trend_scanning(rule, binary)
        case MetaLabel():
            check.require("binary", not binary, "unused", "must be unset: a meta-label has two classes.")
            most = MAX_WINDOW_BARS
            fast = rule.side.fast_bars
            check.bars("side.fast_bars", fast, 1, most - 1)
            check.bars("side.slow_bars", rule.side.slow_bars, max(fast, 1) + 1, most)
            check.triple_barrier("outcome.", rule.outcome)
    if events is not None:
        check.threshold("events.threshold", events.threshold)
    return check.found


class _Check:
    """The violations found so far."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.found: list[Violation] = []

    def require(self, field: str, holds: bool, kind: str, description: str) -> None:
        if not holds:
            self.found.append(Violation(f"{self.path}.{field}", kind, description))

    def positive(self, field: str, value: float) -> None:
        self.require(field, 0 < value < np.inf, "range", f"must be finite and above 0, is {value}.")

    def below_one(self, field: str, value: float) -> None:
        self.require(field, 0 < value < 1, "range", f"must be in (0, 1), is {value}.")

    def bars(self, field: str, value: int, least: int, most: int) -> None:
        self.require(
            field, least <= value <= most, "range", f"must be from {least} to {most} bars, is {value}."
        )

    def threshold(self, field: str, threshold: Fixed | TrailingVolatility | QuantileThreshold) -> None:
        match threshold:
            case Fixed():
                self.positive(f"{field}.fraction", threshold.fraction)
            case TrailingVolatility():
                self.positive(f"{field}.multiple", threshold.multiple)
                self.bars(f"{field}.window_bars", threshold.window_bars, 2, MAX_WINDOW_BARS)
            case QuantileThreshold(tail):
                words = f"must be above 0 and below 0.5, is {tail}."
                self.require(f"{field}.tail", 0 < tail < 0.5, "range", words)

    def fixed_horizon(self, rule: FixedHorizon, binary: bool) -> None:
        self.bars("horizon_bars", rule.horizon_bars, 1, MAX_HORIZON_BARS)
        if binary:
            self.require("threshold", rule.threshold is None, "unused", "must be unset for binary labels.")
        elif rule.threshold is None:
            self.require("threshold", False, "required", "must be set for three-way labels.")
        else:
            self.threshold("threshold", rule.threshold)

    def triple_barrier(self, at: str, rule: TripleBarrier) -> None:
        self.bars(f"{at}horizon_bars", rule.horizon_bars, 1, MAX_HORIZON_BARS)
        minimum = rule.minimum_return
        self.require(f"{at}minimum_return", 0 <= minimum < 1, "range", f"must be in [0, 1), is {minimum}.")
        if isinstance(rule.barriers, FractionBarriers):
            self.positive(f"{at}barriers.profit_fraction", rule.barriers.profit_fraction)
            self.below_one(f"{at}barriers.loss_fraction", rule.barriers.loss_fraction)
        else:
            self.positive(f"{at}barriers.profit_multiple", rule.barriers.profit_multiple)
            self.positive(f"{at}barriers.loss_multiple", rule.barriers.loss_multiple)
            self.bars(f"{at}barriers.window_bars", rule.barriers.window_bars, 2, MAX_WINDOW_BARS)

    def trend_scanning(self, rule: TrendScanning, binary: bool) -> None:
        least = rule.min_horizon_bars
        self.bars("min_horizon_bars", least, MIN_TREND_BARS, MAX_TREND_BARS)
        self.bars("max_horizon_bars", rule.max_horizon_bars, max(least, MIN_TREND_BARS), MAX_TREND_BARS)
        if binary:
            self.require("minimum_t", rule.minimum_t is None, "unused", "must be unset for binary labels.")
        elif rule.minimum_t is None:
            self.require("minimum_t", False, "required", "must be set for three-way labels.")
        else:
            self.positive("minimum_t", rule.minimum_t)
