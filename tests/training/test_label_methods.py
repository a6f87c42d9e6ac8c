"""Trend scanning, event filters and meta-labels, each against a brute-force reading of its words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from marketml.rpc.refusals import InvalidArgument
from services.training.labels import (
    META,
    CusumEvents,
    Fixed,
    FixedHorizon,
    FractionBarriers,
    MetaLabel,
    MovingAverages,
    TrailingVolatility,
    TrendScanning,
    TripleBarrier,
    VolatilityBarriers,
    label,
    trailing_volatility,
    violations,
)
from tests.training.test_labels import HOUR, at, bars, names, random_bars

seeds = st.integers(0, 10_000)
trends = st.builds(
    lambda least, more, minimum: TrendScanning(least, least + more, minimum),
    st.integers(2, 8),
    st.integers(0, 10),
    st.sampled_from([0.5, 3.0, 8.0]),
)
outcomes = st.builds(
    TripleBarrier,
    barriers=st.one_of(
        st.builds(FractionBarriers, st.floats(0.002, 0.05), st.floats(0.002, 0.05)),
        st.builds(VolatilityBarriers, st.floats(0.3, 4), st.floats(0.3, 4), st.integers(2, 12)),
    ),
    horizon_bars=st.integers(1, 12),
    minimum_return=st.sampled_from([0.0, 0.004]),
)
metas = st.builds(
    lambda fast, more, outcome: MetaLabel(MovingAverages(fast, fast + more), outcome),
    st.integers(1, 5),
    st.integers(1, 10),
    outcomes,
)
thresholds = st.one_of(
    st.builds(Fixed, st.floats(0.005, 0.05)),
    st.builds(TrailingVolatility, st.floats(0.5, 3), st.integers(2, 12)),
)
any_rule = st.one_of(trends, metas, outcomes, st.builds(FixedHorizon, st.integers(1, 12), thresholds))
any_events = st.one_of(st.none(), st.builds(CusumEvents, thresholds))


def clearest(close: np.ndarray, rule: TrendScanning) -> tuple[float, int]:
    """The largest t of the slope, by magnitude, and its horizon; the regression is scipy's."""
    best, horizon = 0.0, 0
    for bars_ahead in range(rule.min_horizon_bars, rule.max_horizon_bars + 1):
        fit = stats.linregress(np.arange(bars_ahead + 1), close[: bars_ahead + 1])
        t_value = fit.slope / fit.stderr
        if not horizon or abs(t_value) > abs(best):
            best, horizon = t_value, bars_ahead
    return best, horizon


@settings(deadline=None, max_examples=40)
@given(rule=trends, seed=seeds, missing=st.sampled_from([0.0, 0.02]))
def test_the_compiled_trend_scan_equals_a_regression_for_each_horizon(rule, seed, missing):
    frame = random_bars(seed, 50, missing)
    found = label(frame, HOUR, rule)
    close, whole = frame["close"].to_numpy(), frame.notna().all(axis=1).to_numpy()
    expected = []
    for bar in range(50 - rule.max_horizon_bars):
        if whole[bar : bar + rule.max_horizon_bars + 1].all():
            t_value, horizon = clearest(close[bar:], rule)
            side = "range" if abs(t_value) < rule.minimum_t else "up" if t_value > 0 else "down"
            expected.append((bar, side, close[bar + horizon] / close[bar] - 1))
    assert np.flatnonzero(found.labelled).tolist() == [bar for bar, _, _ in expected]
    assert names(found) == [side for _, side, _ in expected]
    assert found.returns == pytest.approx([outcome for _, _, outcome in expected], rel=1e-9, abs=1e-12)
    assert found.t1.tolist() == [at(bar + rule.max_horizon_bars + 1) for bar, _, _ in expected]


def test_the_longest_of_straight_trends_is_the_clearest_and_a_flat_market_has_none():
    rising = 100.0 + np.arange(12)
    found = label(bars(rising), HOUR, TrendScanning(2, 6, 100.0))
    assert set(names(found)) == {"up"}
    assert found.returns == pytest.approx(6 / rising[:6])
    flat = bars(np.full(12, 100.0))
    assert set(names(label(flat, HOUR, TrendScanning(2, 6, 0.1)))) == {"range"}
    assert set(names(label(flat, HOUR, TrendScanning(2, 6), binary=True))) == {"down"}


def test_a_binary_trend_is_the_sign_of_its_slope():
    frame = random_bars(4, 200)
    three = label(frame, HOUR, TrendScanning(5, 20, 1e-9))
    two = label(frame, HOUR, TrendScanning(5, 20), binary=True)
    assert set(names(three)) == {"up", "down"}
    assert names(two) == names(three)


def test_the_outcome_of_a_trend_is_not_known_before_the_longest_horizon():
    """A later close may make a longer trend the clearest: an earlier end would let a split leak."""
    closes = np.array([100, 101, 102.1, 102.9, 104, 105, 106, 107.0])
    falling = np.array([100, 101, 102.1, 102.9, 90, 80, 70, 60.0])
    rule = TrendScanning(2, 7, 3.0)
    one, other = (label(bars(each), HOUR, rule) for each in (closes, falling))
    assert one.returns[0] != other.returns[0]
    assert one.t1.tolist() == other.t1.tolist() == [at(8)]


def events_by_words(close: np.ndarray, rule: CusumEvents) -> list[int]:
    """Bars whose sum of log returns since the last start reaches the threshold, each direction by itself."""
    if isinstance(rule.threshold, Fixed):
        threshold = np.full(close.size, rule.threshold.fraction)
    else:
        volatility = trailing_volatility(close, rule.threshold.window_bars)
        threshold = rule.threshold.multiple * volatility
    found, ups, downs = [], [], []
    for bar in range(1, close.size):
        step = np.log(close[bar]) - np.log(close[bar - 1])
        if np.isnan(step) or np.isnan(threshold[bar]) or threshold[bar] == 0:
            ups, downs = [], []
            continue
        ups, downs = [*ups, step], [*downs, step]
        # The sum that never falls below zero is the largest sum of the newest steps.
        highest = max(sum(ups[start:]) for start in range(len(ups)))
        lowest = min(sum(downs[start:]) for start in range(len(downs)))
        if highest >= threshold[bar]:
            ups = []
        if lowest <= -threshold[bar]:
            downs = []
        if not ups or not downs:
            found.append(bar)
    return found


@settings(deadline=None, max_examples=60)
@given(threshold=thresholds, seed=seeds, missing=st.sampled_from([0.0, 0.02]))
def test_only_events_of_the_cusum_are_decisions(threshold, seed, missing):
    frame = random_bars(seed, 80, missing)
    every = label(frame, HOUR, FixedHorizon(1), binary=True)
    found = label(frame, HOUR, FixedHorizon(1), binary=True, events=CusumEvents(threshold))
    expected = np.zeros(80, dtype=bool)
    expected[events_by_words(frame["close"].to_numpy(), CusumEvents(threshold))] = True
    assert found.labelled.tolist() == (every.labelled & expected).tolist()
    kept = expected[every.labelled]
    for field in ("values", "t0", "t1", "returns"):
        assert getattr(found, field).tolist() == getattr(every, field)[kept].tolist()


def test_a_sum_that_made_an_event_starts_again_and_the_other_goes_on():
    closes = 100 * np.exp(np.cumsum([0, 0.006, 0.006, 0.006, -0.004, -0.007, 0, 0]))
    found = label(bars(closes), HOUR, FixedHorizon(1), binary=True, events=CusumEvents(Fixed(0.01)))
    assert np.flatnonzero(found.labelled).tolist() == [2, 5]


def test_a_market_that_does_not_move_has_no_events():
    events = CusumEvents(TrailingVolatility(1.0, 5))
    found = label(bars(np.full(40, 100.0)), HOUR, FixedHorizon(1), binary=True, events=events)
    assert found.values.size == 0


def paid_by_words(frame, rule: MetaLabel) -> list[tuple[int, str, int, float]]:
    """A seller's path is the buyer's with every move turned round, so one reading serves both."""
    high, low, close = (frame[name].to_numpy() for name in ("high", "low", "close"))
    outcome, found = rule.outcome, []
    for bar in range(len(frame) - outcome.horizon_bars):
        window = slice(bar, bar + outcome.horizon_bars + 1)
        if bar + 1 < rule.side.slow_bars or np.isnan([high[window], low[window], close[window]]).any():
            continue
        fast = close[bar + 1 - rule.side.fast_bars : bar + 1].mean()
        slow = close[bar + 1 - rule.side.slow_bars : bar + 1].mean()
        side = np.nan_to_num(np.sign(fast - slow)) if abs(fast / slow - 1) > 1e-12 else 0
        if isinstance(outcome.barriers, FractionBarriers):
            profit, loss = outcome.barriers.profit_fraction, outcome.barriers.loss_fraction
        else:
            volatility = trailing_volatility(close, outcome.barriers.window_bars)[bar]
            profit = outcome.barriers.profit_multiple * volatility
            loss = outcome.barriers.loss_multiple * volatility
        if side == 0 or np.isnan(fast) or not min(profit, loss) > outcome.minimum_return:
            continue
        for touch in range(bar + 1, bar + outcome.horizon_bars + 1):
            best, worst = (high, low) if side > 0 else (low, high)
            if side * (worst[touch] / close[bar] - 1) <= -loss:
                found.append((bar, "loss", touch, -loss))
                break
            if side * (best[touch] / close[bar] - 1) >= profit:
                found.append((bar, "profit", touch, profit))
                break
        else:
            move = side * (close[touch] / close[bar] - 1)
            found.append((bar, "profit" if move > 0 else "loss", touch, move))
    return found


@settings(deadline=None, max_examples=60)
@given(rule=metas, seed=seeds, missing=st.sampled_from([0.0, 0.02]))
def test_a_meta_label_says_whether_the_side_would_have_paid(rule, seed, missing):
    frame = random_bars(seed, 80, missing)
    found = label(frame, HOUR, rule)
    expected = paid_by_words(frame, rule)
    assert found.class_names == META
    assert np.flatnonzero(found.labelled).tolist() == [bar for bar, _, _, _ in expected]
    assert names(found) == [paid for _, paid, _, _ in expected]
    assert found.t1.tolist() == [at(touch + 1) for _, _, touch, _ in expected]
    assert found.returns == pytest.approx([outcome for _, _, _, outcome in expected], rel=1e-9, abs=1e-12)


def test_a_seller_who_meets_both_barriers_in_one_bar_has_lost():
    rule = MetaLabel(MovingAverages(1, 2), TripleBarrier(FractionBarriers(0.02, 0.02), 1))
    frame = bars([101, 100, 100, 100], high=[101, 100, 103, 100], low=[101, 100, 97, 100])
    found = label(frame, HOUR, rule)
    assert (names(found), found.returns.tolist()) == (["loss"], [-0.02])


@settings(deadline=None, max_examples=60)
@given(rule=any_rule, events=any_events, seed=seeds, cut=st.integers(25, 79), factor=st.floats(0.5, 2.0))
def test_a_label_known_by_a_time_never_changes_with_what_comes_after(rule, events, seed, cut, factor):
    frame = random_bars(seed, 80)
    other = frame.copy()
    other.iloc[cut:] *= factor
    before, after = (label(each, HOUR, rule, events=events) for each in (frame, other))
    for field in ("values", "t1", "returns"):
        earlier, later = (
            dict(zip(each.t0.tolist(), getattr(each, field).tolist(), strict=True))
            for each in (before, after)
        )
        known = before.t0[before.t1 <= at(cut)].tolist()
        assert [earlier[decision] for decision in known] == [later[decision] for decision in known]


TRIPLE = TripleBarrier(FractionBarriers(0.02, 0.01), 5)


@pytest.mark.parametrize(
    ("rule", "events", "binary", "field"),
    [
        (TrendScanning(1, 5, 1.0), None, False, "label.min_horizon_bars"),
        (TrendScanning(5, 4, 1.0), None, False, "label.max_horizon_bars"),
        (TrendScanning(5, 1_001, 1.0), None, False, "label.max_horizon_bars"),
        (TrendScanning(5, 10), None, False, "label.minimum_t"),
        (TrendScanning(5, 10, float("nan")), None, False, "label.minimum_t"),
        (TrendScanning(5, 10, 1.0), None, True, "label.minimum_t"),
        (MetaLabel(MovingAverages(0, 5), TRIPLE), None, False, "label.side.fast_bars"),
        (MetaLabel(MovingAverages(5, 5), TRIPLE), None, False, "label.side.slow_bars"),
        (MetaLabel(MovingAverages(2, 5), TRIPLE), None, True, "label.binary"),
        (
            MetaLabel(MovingAverages(2, 5), replace(TRIPLE, horizon_bars=0)),
            None,
            False,
            "label.outcome.horizon_bars",
        ),
        (TRIPLE, CusumEvents(Fixed(0.0)), False, "label.events.threshold.fraction"),
        (TRIPLE, CusumEvents(TrailingVolatility(1.0, 1)), False, "label.events.threshold.window_bars"),
    ],
)
def test_a_broken_rule_is_refused_by_its_field(rule, events, binary, field):
    assert [each.field for each in violations(rule, events, binary=binary)] == [field]
    with pytest.raises(InvalidArgument):
        label(random_bars(0, 30), HOUR, rule, binary=binary, events=events)
