"""Labels: what came of a decision, against hand values and a brute-force reading of the same rules."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.rpc.refusals import InvalidArgument
from services.training.labels import (
    BINARY,
    THREE_WAY,
    Fixed,
    FixedHorizon,
    FractionBarriers,
    LabelRule,
    TrailingVolatility,
    TripleBarrier,
    VolatilityBarriers,
    label,
    trailing_volatility,
    violations,
)

HOUR = timedelta(hours=1)
START = pd.Timestamp("2024-01-01", tz="UTC")


def bars(close, high=None, low=None, index=None) -> pd.DataFrame:
    close = np.asarray(close, dtype=np.float64)
    index = pd.date_range(START, periods=close.size, freq="1h", name="open_time") if index is None else index
    return pd.DataFrame(
        {"high": close if high is None else high, "low": close if low is None else low, "close": close},
        index=index,
    )


def random_bars(seed: int, count: int, missing: float = 0.0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, count)))
    frame = bars(
        close,
        close * np.exp(np.abs(generator.normal(0, 0.006, count))),
        close * np.exp(-np.abs(generator.normal(0, 0.006, count))),
    )
    return frame.mask(generator.random(frame.shape) < missing)


def at(hour: float) -> int:
    return int((START + pd.Timedelta(hours=hour)).timestamp()) * 1_000_000


def names(labels) -> list[str]:
    return [labels.class_names[value] for value in labels.values]


def test_a_fixed_horizon_compares_the_return_with_its_threshold():
    found = label(bars([100, 100, 102, 101, 100, 101]), HOUR, FixedHorizon(2, Fixed(0.01)))
    assert names(found) == ["up", "range", "down", "range"]  # +2 %, +1 % (on the bound), -1.96 %, 0 %
    assert found.returns == pytest.approx([0.02, 0.01, -2 / 102, 0.0])
    assert found.t0.tolist() == [at(1), at(2), at(3), at(4)]
    assert found.t1.tolist() == [at(3), at(4), at(5), at(6)]
    assert found.labelled.tolist() == [True] * 4 + [False] * 2
    assert found.class_names == THREE_WAY


def test_binary_fixed_horizon_takes_the_sign_and_zero_is_down():
    found = label(bars([100, 101, 101, 100]), HOUR, FixedHorizon(1), binary=True)
    assert names(found) == ["up", "down", "down"]
    assert found.class_names == BINARY


def test_a_trailing_volatility_threshold_uses_the_returns_up_to_the_decision():
    frame = random_bars(1, 200)
    close = frame["close"].to_numpy()
    found = label(frame, HOUR, FixedHorizon(5, TrailingVolatility(multiple=1.5, window_bars=10)))
    one_bar = close[1:] / close[:-1] - 1
    expected = []
    for bar in range(10, 195):
        threshold = 1.5 * one_bar[bar - 10 : bar].std(ddof=1)
        outcome = close[bar + 5] / close[bar] - 1
        expected.append("up" if outcome > threshold else "down" if outcome < -threshold else "range")
    assert np.flatnonzero(found.labelled).tolist() == list(range(10, 195))
    assert names(found) == expected


def test_volatility_is_missing_where_a_return_of_its_window_is():
    close = np.array([100, 101, np.nan, 103, 104, 105, 107, 106.0])
    assert np.isnan(trailing_volatility(close, 2)).tolist() == [True] * 5 + [False] * 3


def test_a_barrier_touched_within_the_bar_counts_though_the_close_did_not_reach_it():
    frame = bars([100, 100, 100, 100], high=[100, 100, 102, 100], low=[100, 99.9, 99.9, 100])
    found = label(frame, HOUR, TripleBarrier(FractionBarriers(0.015, 0.01), 3))
    assert names(found) == ["up"]
    assert found.returns.tolist() == [0.015]
    assert (found.t0.tolist(), found.t1.tolist()) == ([at(1)], [at(3)])


def test_the_decision_bars_own_path_is_past_and_touches_nothing():
    frame = bars([100, 100, 100], high=[150, 100, 100], low=[50, 100, 100])
    assert names(label(frame, HOUR, TripleBarrier(FractionBarriers(0.01, 0.01), 2))) == ["range"]


def test_a_bar_that_touches_both_barriers_is_a_loss():
    frame = bars([100, 100, 100], high=[100, 105, 100], low=[100, 95, 100])
    found = label(frame, HOUR, TripleBarrier(FractionBarriers(0.02, 0.03), 2))
    assert names(found) == ["down"]
    assert found.returns.tolist() == [-0.03]
    assert names(label(frame, HOUR, TripleBarrier(FractionBarriers(0.02, 0.03), 2), binary=True)) == ["down"]


def test_binary_triple_barrier_takes_the_sign_at_the_vertical_barrier():
    rule = TripleBarrier(FractionBarriers(0.5, 0.5), 1)
    assert names(label(bars([100, 101, 100, 100]), HOUR, rule, binary=True)) == ["up", "down", "down"]


def test_the_horizon_counts_bars_and_the_outcome_time_is_real_across_a_gap():
    index = pd.DatetimeIndex([START + pd.Timedelta(hours=hour) for hour in (0, 1, 50, 51)], name="open_time")
    found = label(bars([100, 100, 103, 103], index=index), HOUR, FixedHorizon(2, Fixed(0.01)))
    assert names(found) == ["up", "up"]
    assert found.t1.tolist() == [at(51), at(52)]


def test_rows_without_their_whole_horizon_have_no_label_even_if_a_barrier_was_touched():
    frame = bars([100, 110, 100, 100])
    found = label(frame, HOUR, TripleBarrier(FractionBarriers(0.05, 0.05), 3))
    assert found.labelled.tolist() == [True, False, False, False]


@pytest.mark.parametrize("column", ["high", "low", "close"])
def test_a_missing_price_inside_the_window_leaves_the_rows_that_see_it_unlabelled(column):
    frame = random_bars(2, 12)
    frame.iloc[6, frame.columns.get_loc(column)] = np.nan
    found = label(frame, HOUR, TripleBarrier(FractionBarriers(0.01, 0.01), 3))
    assert np.flatnonzero(found.labelled).tolist() == [0, 1, 2, 7, 8]


def test_a_decision_whose_nearer_barrier_does_not_pay_its_cost_has_no_label():
    frame = random_bars(3, 300)
    volatility = trailing_volatility(frame["close"].to_numpy(), 20)
    rule = TripleBarrier(VolatilityBarriers(2.0, 1.0, 20), 5, minimum_return=0.01)
    found = label(frame, HOUR, rule)
    assert 0 < found.labelled.sum() < 275
    assert found.labelled[20:295].tolist() == (volatility[20:295] > 0.01).tolist()


def test_a_market_that_does_not_move_has_no_volatility_barriers():
    found = label(bars(np.full(50, 100.0)), HOUR, TripleBarrier(VolatilityBarriers(1, 1, 10), 5))
    assert found.values.size == 0


def brute_force(frame: pd.DataFrame, rule: TripleBarrier) -> list[tuple[int, str, int, float]]:
    """Bar, class, touch bar and return of each labelled decision, by the words of the rule."""
    high, low, close = (frame[name].to_numpy() for name in ("high", "low", "close"))
    found = []
    for bar in range(len(frame) - rule.horizon_bars):
        window = slice(bar, bar + rule.horizon_bars + 1)
        if np.isnan(np.concatenate((high[window], low[window], close[window]))).any():
            continue
        if isinstance(rule.barriers, FractionBarriers):
            profit, loss = rule.barriers.profit_fraction, rule.barriers.loss_fraction
        else:
            size = rule.barriers.window_bars
            one_bar = (
                close[bar - size + 1 : bar + 1] / close[bar - size : bar] - 1
                if bar >= size
                else np.array([np.nan])
            )
            deviation = one_bar.std(ddof=1) if one_bar.size > 1 else np.nan
            profit, loss = rule.barriers.profit_multiple * deviation, rule.barriers.loss_multiple * deviation
        if not min(profit, loss) > rule.minimum_return:
            continue
        for touch in range(bar + 1, bar + rule.horizon_bars + 1):
            if low[touch] <= close[bar] * (1 - loss):
                found.append((bar, "down", touch, -loss))
                break
            if high[touch] >= close[bar] * (1 + profit):
                found.append((bar, "up", touch, profit))
                break
        else:
            found.append((bar, "range", touch, close[touch] / close[bar] - 1))
    return found


rules = st.builds(
    TripleBarrier,
    barriers=st.one_of(
        st.builds(FractionBarriers, st.floats(0.002, 0.05), st.floats(0.002, 0.05)),
        st.builds(VolatilityBarriers, st.floats(0.3, 4), st.floats(0.3, 4), st.integers(2, 12)),
    ),
    horizon_bars=st.integers(1, 15),
    minimum_return=st.sampled_from([0.0, 0.004]),
)


@settings(deadline=None, max_examples=60)
@given(rule=rules, seed=st.integers(0, 10_000), missing=st.sampled_from([0.0, 0.02]))
def test_the_compiled_triple_barrier_equals_the_words_of_its_rule(rule, seed, missing):
    frame = random_bars(seed, 80, missing)
    found = label(frame, HOUR, rule)
    expected = brute_force(frame, rule)
    assert np.flatnonzero(found.labelled).tolist() == [bar for bar, _, _, _ in expected]
    assert names(found) == [side for _, side, _, _ in expected]
    assert found.t1.tolist() == [at(touch + 1) for _, _, touch, _ in expected]
    assert found.returns == pytest.approx([outcome for _, _, _, outcome in expected], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("permille", [1, 3, 7, 10, 15, 20])
@pytest.mark.parametrize("digits", [2, 5])
@pytest.mark.parametrize("side", [1, -1])
def test_a_price_on_the_bound_is_within_the_range_and_touches_the_barrier_at_any_price(
    permille, digits, side
):
    entries = np.arange(1, 400) * 1_000
    fraction = permille / 1_000
    for ticks_beyond in (0, 1, -1):
        ticks = np.empty(2 * entries.size, np.int64)
        ticks[0::2] = entries
        ticks[1::2] = entries * (1_000 + side * permille) // 1_000 + side * ticks_beyond
        frame = bars(ticks / 10.0**digits)
        moved = "up" if side > 0 else "down"
        fixed = label(frame, HOUR, FixedHorizon(1, Fixed(fraction)))
        assert set(names(fixed)[0::2]) == {moved if ticks_beyond > 0 else "range"}
        touched = label(frame, HOUR, TripleBarrier(FractionBarriers(fraction, fraction), 1))
        assert set(names(touched)[0::2]) == {moved if ticks_beyond >= 0 else "range"}


ticks = st.lists(st.integers(9_800, 10_200), min_size=4, max_size=30)


@settings(deadline=None, max_examples=200)
@given(cents=ticks, permille=st.integers(1, 20), horizon=st.integers(1, 3))
def test_prices_that_stand_exactly_on_a_bound_are_read_as_decimals_not_as_doubles(cents, permille, horizon):
    frame = bars([cent / 100 for cent in cents])
    level = Fraction(permille, 1000)

    fixed = label(frame, HOUR, FixedHorizon(horizon, Fixed(permille / 1000)))
    outcomes = [(Fraction(cents[i + horizon], cents[i]) - 1) for i in range(len(cents) - horizon)]
    assert names(fixed) == [
        "up" if outcome > level else "down" if outcome < -level else "range" for outcome in outcomes
    ]

    touched = label(frame, HOUR, TripleBarrier(FractionBarriers(permille / 1000, permille / 1000), horizon))
    expected = []
    for entry in range(len(cents) - horizon):
        path = [Fraction(cent, cents[entry]) - 1 for cent in cents[entry + 1 : entry + horizon + 1]]
        side = next(("down" if step <= -level else "up" for step in path if abs(step) >= level), "range")
        expected.append(side)
    assert names(touched) == expected


any_rule = st.one_of(
    rules, st.builds(FixedHorizon, st.integers(1, 15), st.builds(Fixed, st.floats(0.001, 0.02)))
)


@settings(deadline=None, max_examples=40)
@given(rule=any_rule, seed=st.integers(0, 10_000), cut=st.integers(20, 79), factor=st.floats(0.5, 2.0))
def test_a_label_known_by_a_time_never_changes_with_what_comes_after(rule, seed, cut, factor):
    frame = random_bars(seed, 80)
    other = frame.copy()
    other.iloc[cut:] *= factor
    before, after = label(frame, HOUR, rule), label(other, HOUR, rule)
    known = before.t1 <= at(cut)
    assert known.any() or cut < 40
    for field in ("values", "t0", "t1"):
        changed = dict(zip(after.t0.tolist(), getattr(after, field).tolist(), strict=True))
        for decision, value in zip(
            before.t0[known].tolist(), getattr(before, field)[known].tolist(), strict=True
        ):
            assert changed[decision] == value


@settings(deadline=None, max_examples=30)
@given(rule=any_rule, seed=st.integers(0, 10_000))
def test_an_outcome_is_always_known_after_the_decision(rule, seed):
    found = label(random_bars(seed, 60), HOUR, rule)
    assert np.all(found.t1 > found.t0)
    assert np.all(np.diff(found.t0) > 0)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_are_microseconds_whatever_the_unit_of_the_index(unit):
    frame = bars([100, 101, 102])
    frame.index = frame.index.as_unit(unit)
    assert label(frame, HOUR, FixedHorizon(1, Fixed(0.1))).t0.tolist() == [at(1), at(2)]


@pytest.mark.parametrize(
    ("rule", "binary", "field"),
    [
        (FixedHorizon(0, Fixed(0.1)), False, "label.horizon_bars"),
        (FixedHorizon(1), False, "label.threshold"),
        (FixedHorizon(1, Fixed(0.1)), True, "label.threshold"),
        (FixedHorizon(1, Fixed(float("nan"))), False, "label.threshold.fraction"),
        (FixedHorizon(1, TrailingVolatility(0.0, 10)), False, "label.threshold.multiple"),
        (FixedHorizon(1, TrailingVolatility(1.0, 1)), False, "label.threshold.window_bars"),
        (TripleBarrier(FractionBarriers(0.1, 1.0), 5), False, "label.barriers.loss_fraction"),
        (TripleBarrier(FractionBarriers(-0.1, 0.1), 5), False, "label.barriers.profit_fraction"),
        (TripleBarrier(VolatilityBarriers(1, float("inf"), 10), 5), False, "label.barriers.loss_multiple"),
        (TripleBarrier(VolatilityBarriers(1, 1, 10), 5, minimum_return=-0.1), False, "label.minimum_return"),
    ],
)
def test_a_broken_rule_is_refused_by_its_field(rule: LabelRule, binary, field):
    assert [violation.field for violation in violations(rule, binary=binary)] == [field]
    with pytest.raises(InvalidArgument):
        label(random_bars(0, 30), HOUR, rule, binary=binary)


@pytest.mark.parametrize("price", [0.0, -1.0, np.inf])
def test_an_impossible_price_is_refused_with_its_row(price):
    frame = random_bars(0, 30)
    frame.iloc[7, frame.columns.get_loc("low")] = price
    with pytest.raises(InvalidArgument, match=r"frame\.low.*row 7") as refused:
        label(frame, HOUR, FixedHorizon(1, Fixed(0.1)))
    assert refused.value.violations[0].field == "frame.low"


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2024-01-01", periods=3, freq="1h"),
        pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC")[::-1],
        pd.DatetimeIndex(["2024-01-01", "2024-01-01", "2024-01-02"], tz="UTC"),
        pd.RangeIndex(3),
    ],
)
def test_an_index_that_is_not_increasing_utc_time_is_refused(index):
    with pytest.raises(InvalidArgument, match=r"frame\.open_time"):
        label(bars([100, 101, 102], index=index), HOUR, FixedHorizon(1, Fixed(0.1)))
