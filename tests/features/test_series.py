"""The series family against pandas, TA-Lib, NumPy and values worked out by hand."""

from __future__ import annotations

import statistics
from datetime import timedelta
from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import talib
from scipy import special

from services.features.calculators import features_of
from services.features.columns import Columns
from services.features.feature import Family, Feature
from tests.features.frames import START, columns_of, random_walk
from tests.features.golden import Golden, assert_golden, frame_of

FEATURES = {feature.name: feature for feature in features_of(Family.SERIES)}


def _volatility(f: pd.DataFrame, window: int) -> pd.Series:
    return np.log(f.close).diff().rolling(window).std() * 24**0.5


def _parkinson(f: pd.DataFrame, window: int) -> pd.Series:
    squares = np.log(f.high / f.low) ** 2
    return (squares.rolling(window).mean() * 24 / (4 * np.log(2))) ** 0.5


def _fractional(f: pd.DataFrame) -> np.ndarray:
    k = np.arange(1000)
    weights = special.binom(0.4, k) * (-1.0) ** k
    weights = weights[: np.flatnonzero(np.abs(weights) >= 1e-4)[-1] + 1]
    values = np.convolve(np.log(f.close), weights, "valid")
    return np.append(np.full(weights.size - 1, np.nan), values)


def _regime(f: pd.DataFrame) -> pd.Series:
    past = _volatility(f, 20)
    lower, upper = past.rolling(240).quantile(1 / 3), past.rolling(240).quantile(2 / 3)
    return ((past > lower).astype(float) + (past > upper)).where(lower.notna())


GOLDEN: dict[str, Golden] = (
    {
        f"{name}_lag_{bars}": lambda f, name=name, bars=bars: f[name].shift(bars)
        for name in ("close", "volume", "high", "low")
        for bars in (1, 3, 6, 12, 24, 48)
    }
    | {
        f"return_lag_{bars}": lambda f, bars=bars: f.close.pct_change().shift(bars)
        for bars in (1, 3, 6, 12, 24, 48)
    }
    | {
        f"cumulative_log_return_{bars}": lambda f, bars=bars: np.log(f.close).diff().rolling(bars).sum()
        for bars in (6, 12, 24)
    }
    | {
        f"{name}_diff_{bars}": lambda f, name=name, bars=bars: f[name].diff(bars)
        for name in ("close", "volume")
        for bars in (1, 6, 24)
    }
    | {
        f"{name}_pct_change_{bars}": lambda f, name=name, bars=bars: talib.ROCP(f[name].to_numpy(), bars)
        for name in ("close", "volume")
        for bars in (1, 6, 12, 24)
    }
    | {
        f"close_deviation_from_ma_{window}": lambda f, window=window: (
            (f.close - talib.SMA(f.close.to_numpy(), window)) / talib.SMA(f.close.to_numpy(), window)
        )
        for window in (5, 10, 20)
    }
    | {
        f"close_slope_{window}": lambda f, window=window: talib.LINEARREG_SLOPE(f.close.to_numpy(), window)
        for window in (10, 20, 50)
    }
    | {
        f"realized_vol_{window}": lambda f, window=window: _volatility(f, window)
        for window in (5, 10, 20, 50)
    }
    | {
        f"vol_of_vol_{window}": lambda f, window=window: _volatility(f, window).rolling(window).std()
        for window in (5, 10, 20, 50)
    }
    | {
        f"parkinson_vol_{window}": lambda f, window=window: _parkinson(f, window)
        for window in (5, 10, 20, 50)
    }
    | {"volatility_regime_20_240": _regime, "close_fracdiff_400": _fractional}
)


@pytest.mark.parametrize("kind", ["walk", "real"])
@pytest.mark.parametrize("feature", FEATURES.values(), ids=FEATURES)
def test_a_series_feature_equals_its_golden_reference(feature: Feature, kind: str):
    assert_golden(feature, GOLDEN, frame_of(kind))


def test_every_golden_reference_belongs_to_a_feature():
    assert GOLDEN.keys() == FEATURES.keys()


def _last(name: str, timeframe: timedelta = timedelta(hours=1), **prices: list[float]) -> float:
    index = pd.date_range(START, periods=len(next(iter(prices.values()))), freq=timeframe, name="open_time")
    return float(FEATURES[name].compute(Columns(pd.DataFrame(prices, index), timeframe))[-1])


def test_parkinson_measures_the_range_even_when_it_is_always_the_same():
    """The mean of the squares, not their variance, which would be zero here."""
    value = _last("parkinson_vol_10", high=[110.0] * 10, low=[100.0] * 10)
    assert value == pytest.approx(np.log(1.1) / np.sqrt(4 * np.log(2)) * np.sqrt(24), rel=1e-12)


def test_changes_worked_out_by_hand():
    close = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 120.0]
    assert _last("close_lag_6", close=close) == 100.0
    assert _last("close_diff_6", close=close) == 20.0
    assert _last("close_pct_change_6", close=close) == pytest.approx(0.2)
    assert _last("cumulative_log_return_6", close=close) == pytest.approx(np.log(1.2))
    assert _last("return_lag_3", close=close) == pytest.approx(1 / 102)
    assert _last("close_deviation_from_ma_5", close=close) == pytest.approx(120 / 106.8 - 1)


def test_a_straight_line_has_its_slope():
    assert _last("close_slope_50", close=(1e5 + 0.25 * np.arange(50)).tolist()) == pytest.approx(
        0.25, rel=1e-9
    )


def test_the_volatility_of_a_day_counts_the_bars_of_the_timeframe():
    close = [100.0, 101.0, 99.0, 102.0, 98.0, 103.0]
    hourly = _last("realized_vol_5", timedelta(hours=1), close=close)
    assert hourly == pytest.approx(np.log(close[1:] / np.array(close[:-1])).std(ddof=1) * np.sqrt(24))
    assert _last("realized_vol_5", timedelta(hours=6), close=close) == pytest.approx(hourly / np.sqrt(6))


def test_a_volatility_regime_takes_each_of_its_three_values():
    values = FEATURES["volatility_regime_20_240"].compute(columns_of(random_walk(1, 1000)))
    assert set(values[np.isfinite(values)]) == {0.0, 1.0, 2.0}


def test_a_zero_before_leaves_a_relative_change_unknown():
    assert np.isnan(_last("volume_pct_change_1", volume=[0.0, 5.0]))
    assert np.isnan(_last("cumulative_log_return_6", close=[0.0, *[1.0] * 6]))


@pytest.mark.parametrize("window", [5, 20])
def test_tiny_returns_of_a_high_price_keep_their_digits(window: int):
    """Returns near 1e-10, against logarithms to 50 digits."""
    close = (1e5 + 1e-5 * np.random.default_rng(5).standard_normal(window + 1)).tolist()
    with localcontext(prec=50):
        logs = [Decimal(price).ln() for price in close]
        exact = float(statistics.stdev(b - a for a, b in pairwise(logs))) * np.sqrt(24)
    assert exact > 0.0
    assert _last(f"realized_vol_{window}", close=close) == pytest.approx(exact, rel=1e-9)
