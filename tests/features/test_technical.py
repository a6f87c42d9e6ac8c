"""The technical family against TA-Lib, pandas one-liners and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import talib

from services.features.calculators import features_of
from services.features.feature import Family, Feature
from tests.features import goldens_profile, goldens_regime, goldens_volatility
from tests.features.frames import START, columns_of
from tests.features.golden import Golden, assert_golden, frame_of

FEATURES = {feature.name: feature for feature in features_of(Family.TECHNICAL)}
RARE = {"gap_up_1pct", "gap_down_1pct"}  # never in the real stretch


def _hlc(f: pd.DataFrame) -> tuple[np.ndarray, ...]:
    return tuple(f[name].to_numpy() for name in ("high", "low", "close"))


def _ohlc(f: pd.DataFrame) -> tuple[np.ndarray, ...]:
    return tuple(f[name].to_numpy() for name in ("open", "high", "low", "close"))


def _hlcv(f: pd.DataFrame) -> tuple[np.ndarray, ...]:
    return tuple(f[name].to_numpy() for name in ("high", "low", "close", "volume"))


def _typical(f: pd.DataFrame) -> pd.Series:
    return pd.Series(talib.TYPPRICE(*_hlc(f)), f.index)


def _volatility(f: pd.DataFrame) -> pd.Series:
    return np.log(f.close).diff().rolling(20).std() * 24**0.5


def _volatility_spike(f: pd.DataFrame) -> pd.Series:
    return _volatility(f) / _volatility(f).rolling(20).mean()


def _volume_ratio(f: pd.DataFrame) -> pd.Series:
    return f.volume / f.volume.rolling(20).mean()


def _trend_strength(f: pd.DataFrame) -> pd.Series:
    return (f.close.rolling(10).mean() - f.close.rolling(50).mean()) / f.close.rolling(50).mean()


def _breakout(f: pd.DataFrame) -> pd.Series:
    top, bottom = f.high.rolling(20).max().shift(1), f.low.rolling(20).min().shift(1)
    outside = (f.close - top).where(f.close > top, 0.0) + (f.close - bottom).where(f.close < bottom, 0.0)
    return outside / talib.ATR(*_hlc(f), 14)


def _vwap(f: pd.DataFrame) -> pd.Series:
    return (_typical(f) * f.volume).rolling(20).sum() / f.volume.rolling(20).sum()


def _divergence(f: pd.DataFrame, sign: int) -> pd.Series:
    close = f.close.to_numpy()
    price = sign * talib.LINEARREG_SLOPE(close, 10)
    oscillator = sign * talib.LINEARREG_SLOPE(talib.RSI(close, 14), 10)
    return (price < 0) & (oscillator > 0)


def _retracement(share: float) -> Golden:
    def golden(f: pd.DataFrame) -> pd.Series:
        high, low = f.high.rolling(20).max(), f.low.rolling(20).min()
        return 1.0 - (high * (1.0 - share) + low * share) / f.close

    return golden


def _gap(f: pd.DataFrame) -> pd.Series:
    return (f.open - f.close.shift(1)) / f.close.shift(1)


GOLDEN: dict[str, Golden] = {
    "close_to_sma_10": lambda f: f.close / talib.SMA(f.close.to_numpy(), 10),
    "close_to_sma_50": lambda f: f.close / talib.SMA(f.close.to_numpy(), 50),
    "price_momentum_14": lambda f: talib.ROCP(f.close.to_numpy(), 14),
    "price_change_5": lambda f: talib.ROCP(f.close.to_numpy(), 5),
    "price_change_20": lambda f: talib.ROCP(f.close.to_numpy(), 20),
    "high_low_position": lambda f: talib.STOCHF(*_hlc(f), fastk_period=1, fastd_period=1)[0] / 100,
    "price_range": lambda f: f.high / f.close - f.low / f.close,
    "body_size": lambda f: (1 - f.open / f.close).abs(),
    "upper_shadow": lambda f: (f.high - f[["open", "close"]].max(axis=1)) / f.close,
    "lower_shadow": lambda f: (f[["open", "close"]].min(axis=1) - f.low) / f.close,
    "price_position_20": lambda f: talib.STOCHF(*[f.close.to_numpy()] * 3, 20, 1)[0] / 100,
    "gap": _gap,
    "true_range": lambda f: talib.TRANGE(*_hlc(f)),
    "atr_14": lambda f: talib.ATR(*_hlc(f), 14),
    "atr_20": lambda f: talib.ATR(*_hlc(f), 20),
    "natr_14": lambda f: talib.NATR(*_hlc(f), 14),
    "natr_20": lambda f: talib.NATR(*_hlc(f), 20),
    "volatility_spike_20": _volatility_spike,
    "high_volatility_regime_20_40": lambda f: _volatility(f) > _volatility(f).rolling(40).quantile(0.8),
    "volatility_change_20": lambda f: _volatility(f).pct_change(fill_method=None).clip(-5, 5),
    "volume_ratio_20": _volume_ratio,
    "volume_trend_5_20": lambda f: f.volume.rolling(5).mean() / f.volume.rolling(20).mean(),
    "volume_spike_20": lambda f: f.volume > f.volume.rolling(20).quantile(0.9),
    "vwap_20": _vwap,
    "vwap_deviation_20": lambda f: (f.close - _vwap(f)) / _vwap(f),
    "price_volume_trend_20": lambda f: (f.close.pct_change() * f.volume).rolling(20).sum(),
    "obv_change_20": lambda f: pd.Series(talib.OBV(f.close.to_numpy(), f.volume.to_numpy())).diff(20),
    "ad_change_20": lambda f: pd.Series(np.append(0.0, talib.AD(*_hlcv(f)))).diff(20).to_numpy()[1:],
    "adosc_3_10": lambda f: talib.ADOSC(*_hlcv(f), 3, 10),
    "mfi_14": lambda f: talib.MFI(*_hlcv(f), 14),
    "trend_strength_10_50": _trend_strength,
    "range_bound_ratio_20": lambda f: (
        1 - f.close.diff(20).abs() / (f.high.rolling(21).max() - f.low.rolling(21).min())
    ),
    "breakout_strength_20": _breakout,
    "return_autocorrelation_20": lambda f: (
        f.close.pct_change().rolling(20).corr(f.close.pct_change().shift(1))
    ),
    "plus_di_14": lambda f: talib.PLUS_DI(*_hlc(f), 14),
    "minus_di_14": lambda f: talib.MINUS_DI(*_hlc(f), 14),
    "adx_14": lambda f: talib.ADX(*_hlc(f), 14),
    "adxr_14": lambda f: talib.ADXR(*_hlc(f), 14),
    "aroon_up_14": lambda f: talib.AROON(f.high.to_numpy(), f.low.to_numpy(), 14)[1],
    "aroon_down_14": lambda f: talib.AROON(f.high.to_numpy(), f.low.to_numpy(), 14)[0],
    "aroon_oscillator_14": lambda f: talib.AROONOSC(f.high.to_numpy(), f.low.to_numpy(), 14),
    "rsi_14": lambda f: talib.RSI(f.close.to_numpy(), 14),
    "macd_12_26": lambda f: talib.MACD(f.close.to_numpy(), 12, 26, 9)[0],
    "macd_signal_12_26_9": lambda f: talib.MACD(f.close.to_numpy(), 12, 26, 9)[1],
    "macd_histogram_12_26_9": lambda f: talib.MACD(f.close.to_numpy(), 12, 26, 9)[2],
    "stochastic_k_14": lambda f: talib.STOCHF(*_hlc(f), 14, 3)[0],
    "stochastic_d_14_3": lambda f: talib.STOCHF(*_hlc(f), 14, 3)[1],
    "slow_stochastic_k_5_3": lambda f: talib.STOCH(*_hlc(f), 5, 3, 0, 3, 0)[0],
    "slow_stochastic_d_5_3_3": lambda f: talib.STOCH(*_hlc(f), 5, 3, 0, 3, 0)[1],
    "williams_r_14": lambda f: talib.WILLR(*_hlc(f), 14),
    "cci_14": lambda f: talib.CCI(*_hlc(f), 14),
    "cci_20": lambda f: talib.CCI(*_hlc(f), 20),
    "roc_12": lambda f: talib.ROC(f.close.to_numpy(), 12),
    "momentum_10": lambda f: talib.MOM(f.close.to_numpy(), 10),
    "ultimate_oscillator_7_14_28": lambda f: talib.ULTOSC(*_hlc(f), 7, 14, 28),
    "bull_divergence_10": lambda f: _divergence(f, 1),
    "bear_divergence_10": lambda f: _divergence(f, -1),
    "support_distance_20": lambda f: 1 - talib.MIN(f.low.to_numpy(), 20) / f.close,
    "resistance_distance_20": lambda f: talib.MAX(f.high.to_numpy(), 20) / f.close - 1,
    "pivot_distance": lambda f: f.close / _typical(f).shift(1) - 1,
    "fib_236_distance_20": _retracement(0.236),
    "fib_382_distance_20": _retracement(0.382),
    "fib_500_distance_20": _retracement(0.5),
    "fib_618_distance_20": _retracement(0.618),
    "fib_786_distance_20": _retracement(0.786),
    "gap_up_1pct": lambda f: _gap(f) > 0.01,
    "gap_down_1pct": lambda f: _gap(f) < -0.01,
    "gap_size": lambda f: _gap(f).abs(),
    "doji": lambda f: talib.CDLDOJI(*_ohlc(f)) / 100,
    "hammer": lambda f: talib.CDLHAMMER(*_ohlc(f)) / 100,
    "shooting_star": lambda f: -talib.CDLSHOOTINGSTAR(*_ohlc(f)) / 100,
    "volatility_momentum_20_14": lambda f: _volatility(f) * f.close.pct_change(14),
    "volatility_spike_momentum_20_14": lambda f: _volatility_spike(f) * f.close.pct_change(14),
    "volume_trend_strength_20_10_50": lambda f: _volume_ratio(f) * _trend_strength(f),
    "volume_breakout_20": lambda f: _volume_ratio(f) * _breakout(f),
    "price_volume_product": lambda f: f.close * f.volume,
    "price_volume_ratio": lambda f: 1 / (f.volume / f.close),
    "volatility_volume_product_20": lambda f: _volatility(f) * f.volume,
    "rsi_stochastic_mean_14": lambda f: (
        0.5 * talib.RSI(f.close.to_numpy(), 14) + 0.5 * talib.STOCHF(*_hlc(f), 14, 3)[0]
    ),
    "rsi_stochastic_difference_14": lambda f: (
        talib.RSI(f.close.to_numpy(), 14) - talib.STOCHF(*_hlc(f), 14, 3)[0]
    ),
    **goldens_volatility.GOLDEN,
    **goldens_profile.GOLDEN,
    **goldens_regime.GOLDEN,
}


@pytest.mark.parametrize("kind", ["walk", "real"])
@pytest.mark.parametrize("feature", FEATURES.values(), ids=FEATURES)
def test_a_technical_feature_equals_its_golden_reference(feature: Feature, kind: str):
    frame = frame_of(kind)
    if kind == "real" and feature.name in RARE:
        assert not np.nanmax(feature.compute(columns_of(frame)))
        return
    assert_golden(feature, GOLDEN, frame)


def test_every_golden_reference_belongs_to_a_feature():
    assert GOLDEN.keys() == FEATURES.keys()


def values(name: str, **prices: list[float]) -> np.ndarray:
    index = pd.date_range(START, periods=len(next(iter(prices.values()))), freq="1h", name="open_time")
    return FEATURES[name].compute(columns_of(pd.DataFrame(prices, index, dtype=np.float64)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("high_low_position", 2 / 3),
        ("price_range", 15 / 105),
        ("body_size", 5 / 105),
        ("upper_shadow", 5 / 105),
        ("lower_shadow", 5 / 105),
        ("gap", 100 / 98 - 1),
        ("gap_size", 100 / 98 - 1),
        ("gap_up_1pct", 1),
        ("gap_down_1pct", 0),
        ("pivot_distance", 105 / 99 - 1),
        ("true_range", 15),
        ("price_volume_product", 2100),
        ("price_volume_ratio", 5.25),
    ],
)
def test_a_bar_worked_out_by_hand(name: str, value: float):
    bars = {"open": [97, 100], "high": [103, 110], "low": [96, 95], "close": [98, 105], "volume": [10, 20]}
    assert values(name, **bars)[-1] == pytest.approx(value, rel=1e-14)


def test_momentum_over_14_bars_spans_14_bars():
    """Not the change of one bar, 14 bars ago."""
    close = [100.0, *[50.0] * 13, 150.0]
    assert values("price_momentum_14", close=close)[-1] == pytest.approx(0.5)


def test_aroon_up_is_high_when_prices_rise():
    rising = list(np.linspace(100, 130, 15))
    assert values("aroon_up_14", high=rising)[-1] == 100.0
    assert values("aroon_down_14", low=rising)[-1] == 0.0


def test_of_equal_highs_aroon_counts_from_the_newest():
    assert values("aroon_up_14", high=[1.0] * 15)[-1] == 100.0


def test_a_volume_ratio_is_not_moved_by_a_later_burst():
    volume = [10.0] * 39 + [1000.0]
    assert values("volume_ratio_20", volume=volume)[-1] == pytest.approx(1000 / (1190 / 20))
    assert values("volume_ratio_20", volume=volume)[-2] == 1.0


def test_a_volume_profile_worked_out_by_hand():
    """Bars over all twenty bins but one that trades a hundred times as much in the eleventh."""
    high, low, volume = [120.0] * 49 + [111.0], [100.0] * 49 + [110.0], [1.0] * 49 + [100.0]
    bars = {"high": high, "low": low, "volume": volume, "close": [110.5] * 50}
    assert values("volume_profile_poc_distance_50", **bars)[-1] == pytest.approx(0.0, abs=1e-15)
    assert values("volume_profile_in_value_area_50", **bars)[-1] == 1.0
    # 100 + 49 / 20 in the fullest bin; 70 % of 149 needs one bin more, and the upper of equals is taken.
    assert values("volume_profile_vah_distance_50", **bars)[-1] == pytest.approx(1 - 112 / 110.5)
    assert values("volume_profile_val_distance_50", **bars)[-1] == pytest.approx(1 - 110 / 110.5)


def test_a_profile_without_trade_or_range_is_missing():
    bars = {"high": [2.0] * 50, "low": [1.0] * 50, "close": [1.5] * 50}
    assert np.isnan(values("volume_profile_poc_distance_50", **bars, volume=[0.0] * 50)[-1])
    flat = bars | {"high": [1.5] * 50, "low": [1.5] * 50}
    assert np.isnan(values("volume_profile_poc_distance_50", **flat, volume=[1.0] * 50)[-1])


def test_the_bounce_between_bid_and_ask_is_the_spread_that_roll_finds():
    """Prices jump by 1 % between two sides: the covariance of neighbours is minus a move's square."""
    close = [100.0 * 1.01 ** (i % 2) for i in range(22)]
    spread = values("roll_spread_20", close=close)[-1]
    assert spread == pytest.approx(2 * np.log(1.01) * np.sqrt(20 / 19), rel=1e-9)
    assert values("roll_spread_20", close=[100.0 * 1.01 ** (i * i) for i in range(22)])[-1] == 0.0


def test_bars_without_trade_do_not_count_as_infinitely_illiquid():
    close, volume = [100.0, 101.0] * 10 + [100.0], [1.0] * 21
    full = values("amihud_illiquidity_20", close=close, volume=volume)[-1]
    close[11:] = [close[10]] * 10
    empty = values("amihud_illiquidity_20", close=close, volume=volume[:11] + [0.0] * 10)[-1]
    assert empty == pytest.approx(full, rel=0.01)


def test_a_steady_rise_is_efficient_of_quality_and_far_from_its_stop():
    close = np.linspace(100.0, 200.0, 201)
    bars = {"close": list(close), "high": list(close + 0.1), "low": list(close - 0.1)}
    assert values("efficiency_ratio_20", close=bars["close"])[-1] == pytest.approx(1.0)
    assert values("trend_quality_20", close=bars["close"])[-1] == pytest.approx(1.0)
    assert values("trend_quality_20", close=bars["close"][::-1])[-1] == pytest.approx(-1.0)
    assert values("psar_trend_100", **bars)[-1] == 1.0
    assert values("psar_distance_100", **bars)[-1] > 0.0
    assert values("sma_cross_50_200", close=bars["close"])[-1] == 1.0


def test_a_drift_does_not_count_as_volatility_for_rogers_and_satchell():
    """Bars that only rise from low to high: the range is all drift."""
    opened = 100.0 * 1.01 ** np.arange(20)
    bars = {"open": opened, "low": opened, "high": opened * 1.01, "close": opened * 1.01}
    bars = {name: list(each) for name, each in bars.items()}
    assert values("rogers_satchell_vol_20", **bars)[-1] == pytest.approx(0.0, abs=1e-9)
    assert values("garman_klass_vol_20", **bars)[-1] > 0.01
