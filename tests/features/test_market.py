"""The market family against pandas, TA-Lib, NumPy and values worked out by hand."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import talib

from services.features.calculators import features_of
from services.features.columns import Columns
from services.features.feature import Family
from tests.features.frames import HOUR, START, columns_of, random_walk
from tests.features.golden import Golden
from tests.features.goldens_positioning import goldens
from tests.features.real_frames import real_frame

FEATURES = {feature.name: feature for feature in features_of(Family.MARKET)}


def settled(f: pd.DataFrame) -> pd.Series:
    """The rate of each settlement, by its time."""
    return f.dropna(subset=["funding_rate"]).groupby("funding_time").funding_rate.first()


def at_bars(f: pd.DataFrame, by_settlement: pd.Series) -> pd.Series:
    known = f.funding_time.where(f.funding_rate.notna())
    return known.map(by_settlement)


def rolled(f: pd.DataFrame, window: int, statistic) -> pd.Series:
    return at_bars(f, settled(f).rolling(window).apply(statistic, raw=True))


def z(x: np.ndarray) -> float:
    spread = np.std(x, ddof=1)
    return (x[-1] - np.mean(x)) / spread if np.ptp(x) else np.nan


def slope(x: np.ndarray) -> float:
    return np.polyfit(np.arange(x.size), x, 1)[0]


def funding_z(f: pd.DataFrame) -> pd.Series:
    return rolled(f, 21, z)


def interest_z(f: pd.DataFrame) -> pd.Series:
    return f.open_interest.rolling(168).apply(z, raw=True)


def relative_interest(f: pd.DataFrame) -> pd.Series:
    return f.open_interest / f.open_interest.rolling(168).mean()


def rsi(f: pd.DataFrame) -> pd.Series:
    return pd.Series(talib.RSI(f.close.to_numpy(), 14), f.index)


def extreme(f: pd.DataFrame, window: int, probability: float, sign: int) -> pd.Series:
    rates = settled(f)
    limit = rates.rolling(window).quantile(probability)
    return at_bars(f, (sign * rates > sign * limit).astype(float).where(limit.notna()))


def divergence(f: pd.DataFrame) -> list[float]:
    """By walking along the bars, as a person would."""
    found, seen = [], []  # (settlement time, rate, close of the bar that first showed it)
    for bar in f.itertuples():
        if np.isnan(bar.funding_rate):
            found.append(np.nan)
            continue
        if not seen or bar.funding_time > seen[-1][0]:
            seen.append((bar.funding_time, bar.funding_rate, bar.close))
        if len(seen) < 3:
            found.append(np.nan)
            continue
        price, rate = bar.close - seen[-2][2], seen[-1][1] - seen[-2][1]
        found.append(float(-np.sign(price) * np.sign(rate)))
    return found


def both(f: pd.DataFrame, is_extreme: pd.Series, is_beyond: pd.Series) -> pd.Series:
    return ((is_extreme == 1.0) & is_beyond).astype(float).where(is_extreme.notna() & rsi(f).notna())


GOLDEN: dict[str, Golden] = (
    {
        f"funding_rate_mean_{window}": lambda f, window=window: rolled(f, window, np.mean)
        for window in (3, 7, 14, 21)
    }
    | {
        f"funding_rate_std_{window}": lambda f, window=window: rolled(f, window, lambda x: np.std(x, ddof=1))
        for window in (3, 7, 14)
    }
    | {
        f"funding_rate_sum_{window}": lambda f, window=window: rolled(f, window, np.sum)
        for window in (3, 7, 14)
    }
    | {
        f"open_interest_change_{bars}": lambda f, bars=bars: f.open_interest.pct_change(bars)
        for bars in (1, 6, 24)
    }
    | {
        f"open_interest_mean_{window}": lambda f, window=window: f.open_interest.rolling(window).mean()
        for window in (6, 24, 168)
    }
    | {
        f"open_interest_deviation_{window}": lambda f, window=window: (
            f.open_interest / f.open_interest.rolling(window).mean() - 1
        )
        for window in (6, 24, 168)
    }
    | {
        "funding_rate": lambda f: f.funding_rate,
        "funding_rate_change": lambda f: at_bars(f, settled(f).diff()),
        "funding_rate_change_abs": lambda f: at_bars(f, settled(f).diff().abs()),
        "funding_rate_change_rate": lambda f: at_bars(f, settled(f).diff() / settled(f).shift().abs()),
        "funding_rate_trend_7": lambda f: rolled(f, 7, slope),
        "funding_rate_zscore_21": funding_z,
        "funding_rate_extreme_high_21": lambda f: extreme(f, 21, 0.9, 1),
        "funding_rate_extreme_low_21": lambda f: extreme(f, 21, 0.1, -1),
        "funding_rate_extreme_positive_42": lambda f: extreme(f, 42, 0.95, 1),
        "funding_rate_extreme_negative_42": lambda f: extreme(f, 42, 0.05, -1),
        "price_funding_divergence": divergence,
        "open_interest_trend_24_168": lambda f: (
            f.open_interest.rolling(24).mean() / f.open_interest.rolling(168).mean() - 1
        ),
        "open_interest_zscore_168": interest_z,
        "open_interest_surge_168": lambda f: (
            (f.open_interest.pct_change() > f.open_interest.pct_change().rolling(168).quantile(0.9))
            .astype(float)
            .where(f.open_interest.pct_change().rolling(168).count() == 168)
        ),
        "open_interest_volatility_adjusted_20": lambda f: (
            f.open_interest.pct_change() / np.log(f.close).diff().rolling(20).std()
        ),
        "open_interest_price_correlation_24": lambda f: (
            f.open_interest.pct_change().rolling(24).corr(f.close.pct_change())
        ),
        "open_interest_price_divergence_24": lambda f: (
            f.open_interest.pct_change(24) - f.close.pct_change(24)
        ),
        "open_interest_momentum_alignment_10": lambda f: np.sign(f.open_interest.diff(10) * f.close.diff(10)),
        "funding_open_interest_ratio": lambda f: f.funding_rate / relative_interest(f),
        "market_heat_index": lambda f: (funding_z(f) + interest_z(f)) / 2,
        "market_stress": lambda f: (funding_z(f) ** 2 + interest_z(f) ** 2) ** 0.5,
        "market_balance": lambda f: 1 / (1 + funding_z(f).abs() + interest_z(f).abs()),
        "funding_rsi_extreme": lambda f: funding_z(f) * (rsi(f) - 50) / 50,
        "funding_overbought": lambda f: both(f, extreme(f, 21, 0.9, 1), rsi(f) > 70),
        "funding_oversold": lambda f: both(f, extreme(f, 21, 0.1, -1), rsi(f) < 30),
    }
    | goldens(rolled, funding_z, interest_z)
)


@pytest.mark.parametrize("kind", ["walk", "real"])
@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_equals_its_reference(name: str, kind: str):
    frame = random_walk(7, 3000) if kind == "walk" else real_frame("2024-01-01", "2024-05-31")
    values = FEATURES[name].compute(columns_of(frame))
    expected = np.asarray(GOLDEN[name](frame), dtype=np.float64)
    warm = FEATURES[name].lookback_bars  # TA-Lib's recursion starts earlier and is not forgotten before
    unknown = np.isnan(expected) | (np.arange(len(frame)) < warm)
    np.testing.assert_array_equal(np.isnan(values), unknown)
    scale = np.nanmedian(np.abs(expected))
    np.testing.assert_allclose(values[~unknown], expected[~unknown], rtol=1e-9, atol=1e-9 * scale)
    assert np.ptp(expected[~unknown]) > 0.0, "a constant reference proves nothing"


def test_every_feature_has_a_reference():
    assert set(GOLDEN) == set(FEATURES)


def _after_start(hours: list[float]) -> pd.DatetimeIndex:
    return (START + pd.to_timedelta(hours, unit="h")).as_unit("us")


def by_hand(rates: list[float], hours: list[float], bars: int, timeframe: timedelta = HOUR) -> pd.DataFrame:
    """Bars from midnight on; settlement i, `hours[i]` after it, is known to bars that close no earlier."""
    opens = pd.date_range(START, periods=bars, freq=timeframe, name="open_time")
    settlements = pd.DataFrame({"funding_time": _after_start(hours), "funding_rate": rates})
    closes = pd.DataFrame({"close_time": opens + pd.Timedelta(timeframe)})
    joined = pd.merge_asof(closes, settlements, left_on="close_time", right_on="funding_time")
    frame = joined.drop(columns="close_time").set_index(opens)
    return frame.assign(funding_rate_missing=frame.funding_rate.isna(), close=np.arange(bars) + 1.0)


def value(name: str, frame: pd.DataFrame, timeframe: timedelta = HOUR) -> np.ndarray:
    return FEATURES[name].compute(Columns(frame, timeframe))


def test_windows_of_funding_count_settlements_and_not_bars():
    frame = by_hand([0.001, 0.002, 0.006, 0.0], [8, 16, 24, 32], 40)
    mean = value("funding_rate_mean_3", frame)
    assert np.isnan(mean[:23]).all()  # the third is known at the close of bar 23
    np.testing.assert_allclose(mean[23:31], 0.003)
    np.testing.assert_allclose(mean[31:], 0.008 / 3)
    np.testing.assert_allclose(value("funding_rate_sum_3", frame)[31], 0.008)
    np.testing.assert_allclose(value("funding_rate_change", frame)[[15, 23, 31]], [0.001, 0.004, -0.006])
    np.testing.assert_allclose(value("funding_rate_change_rate", frame)[[15, 23, 31]], [1.0, 2.0, -1.0])


@pytest.mark.parametrize("interval", [1, 4, 8, 24])
def test_the_interval_between_settlements_is_the_venues_own(interval: int):
    rates = [0.001, 0.003, 0.002, 0.004]
    frame = by_hand(rates, [interval * i for i in range(1, 5)], 4 * interval)
    assert value("funding_rate_mean_3", frame)[-1] == pytest.approx(0.003)
    assert value("funding_rate_change", frame)[-1] == pytest.approx(0.002)


def test_a_venue_may_change_its_interval():
    frame = by_hand([0.001, 0.002, 0.003, 0.007], [8, 16, 20, 21], 22)
    mean = value("funding_rate_mean_3", frame)
    np.testing.assert_allclose(mean[[19, 20, 21]], [0.002, 0.004, 0.004])


def test_equal_rates_at_two_settlements_are_two_settlements():
    frame = by_hand([0.001, 0.001, 0.004], [8, 16, 24], 24)
    assert value("funding_rate_mean_3", frame)[-1] == pytest.approx(0.002)


def test_a_window_of_settlements_does_not_reach_over_a_hole_in_the_feed():
    frame = by_hand([0.001, 0.002, 0.003, 0.004, 0.005, 0.006], [8, 16, 24, 104, 112, 120], 128)
    mean = value("funding_rate_mean_3", frame)
    assert mean[23] == pytest.approx(0.002)
    assert np.isnan(mean[103:119]).all()  # 16 h to 104 h are more than two days, 24 h to 112 h as well
    assert mean[119] == pytest.approx(0.005)


def test_a_settlement_that_is_more_than_a_day_old_is_not_known_any_more():
    frame = by_hand([0.001, 0.002, 0.003], [8, 16, 24], 60)
    mean = value("funding_rate_mean_3", frame)
    assert mean[47] == pytest.approx(0.002)
    assert np.isnan(mean[48:]).all()


def test_a_settlement_stamped_some_milliseconds_late_still_counts():
    frame = by_hand([0.001, 0.002, 0.003], [24, 48.0000003, 72.0000006], 80)
    assert value("funding_rate_mean_3", frame)[72] == pytest.approx(0.002)


def test_a_rate_flagged_as_missing_is_not_used():
    frame = by_hand([0.001, 0.002, 0.003], [8, 16, 24], 30)
    frame.loc[frame.index[26], "funding_rate_missing"] = True
    for name in ("funding_rate", "funding_rate_mean_3", "funding_rate_change"):
        values = value(name, frame)
        assert np.isnan(values[26]), name
        assert np.isfinite(values[[25, 27]]).all(), name


def test_open_interest_flagged_as_missing_is_not_used():
    frame = random_walk(1, 30)
    frame.loc[frame.index[20], "open_interest_missing"] = True
    change = value("open_interest_change_1", frame)
    assert np.isnan(change[[20, 21]]).all()
    assert np.isfinite(change[[19, 22]]).all()


def test_bars_longer_than_the_interval_show_one_settlement_each():
    day = timedelta(days=1)
    frame = by_hand([i / 1000 for i in range(1, 10)], [8 * i for i in range(1, 10)], 3, day)
    assert value("funding_rate_mean_3", frame, day)[-1] == pytest.approx((3 + 6 + 9) / 3000)


def test_weekly_bars_have_windows_of_settlements_too():
    week = timedelta(weeks=1)
    frame = by_hand([i / 1000 for i in range(1, 64)], [8 * i for i in range(1, 64)], 3, week)
    assert value("funding_rate_mean_3", frame, week)[-1] == pytest.approx((21 + 42 + 63) / 3000)


def test_equal_rates_have_no_z_score_and_are_not_extreme():
    frame = by_hand([0.0001] * 50, [8 * i for i in range(1, 51)], 400)
    assert np.isnan(value("funding_rate_zscore_21", frame)).all()
    assert value("funding_rate_extreme_high_21", frame)[-1] == 0.0
    assert value("funding_rate_extreme_negative_42", frame)[-1] == 0.0


def test_the_correlation_of_open_interest_and_price_is_one_of_changes_between_minus_one_and_one():
    frame = random_walk(3, 60)
    mirrored = frame.assign(open_interest=1e9 / frame.close)
    together = frame.assign(open_interest=frame.close * 2)
    assert value("open_interest_price_correlation_24", together)[-1] == pytest.approx(1.0)
    assert value("open_interest_price_correlation_24", mirrored)[-1] == pytest.approx(-1.0, abs=1e-3)


def test_who_is_forced_out_has_a_sign():
    """Open interest falls by a tenth in the last bar: longs are closed in a fall, shorts in a rise."""
    for step, sign in ((-5.0, 1.0), (5.0, -1.0)):
        frame = random_walk(3, 60)
        frame.iloc[-1, frame.columns.get_loc("close")] = frame.close.iloc[-2] + step * 100
        frame.iloc[-1, frame.columns.get_loc("open_interest")] = 0.9 * frame.open_interest.iloc[-2]
        assert np.sign(value("liquidation_pressure_20", frame)[-1]) == sign
        frame.iloc[-1, frame.columns.get_loc("open_interest")] = 1.1 * frame.open_interest.iloc[-2]
        assert value("liquidation_pressure_20", frame)[-1] == 0.0


@pytest.mark.parametrize(
    ("price", "interest", "regime"), [(1, 1, 2.0), (1, -1, 1.0), (-1, -1, -1.0), (-1, 1, -2.0)]
)
def test_price_and_open_interest_tell_who_came_and_who_left(price: int, interest: int, regime: float):
    steps = np.arange(30.0)
    frame = random_walk(3, 30).assign(close=100 + price * steps, open_interest=1000 + interest * steps)
    assert value("open_interest_price_regime_24", frame)[-1] == regime


def test_a_funding_rate_in_basis_points_and_from_the_usual_one():
    frame = by_hand([0.0003], [8], 9)
    assert value("funding_rate_bps", frame)[-1] == pytest.approx(3.0)
    assert value("funding_rate_deviation", frame)[-1] == pytest.approx(0.0002)
    assert value("funding_rate_direction", frame)[-1] == 1.0
