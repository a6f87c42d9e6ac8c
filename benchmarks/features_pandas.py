"""What of the features room's families goes over windows and can be said in pandas, as a script would say it.

Each function shares what its features share. Exponential means start at the first bar, as `ewm` does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

Said = dict[str, pd.Series]


def statistical(frame: pd.DataFrame) -> Said:
    found: Said = {}
    changes, logs = frame["close"].pct_change(), np.log(frame["close"]).diff()
    height = frame["high"] / frame["low"] - 1.0
    position = (frame["close"] - frame["low"]) / (frame["high"] - frame["low"])
    for window in (5, 10, 20, 50):
        sizes = changes.abs().rolling(window)
        close, volume = frame["close"].rolling(window), frame["volume"].rolling(window)
        low, high = close.quantile(0.25), close.quantile(0.75)
        found |= {
            f"close_mean_{window}": close.mean(),
            f"close_std_{window}": close.std(),
            f"close_skew_{window}": close.skew(),
            f"close_kurt_{window}": close.kurt(),
            f"close_q25_{window}": low,
            f"close_q75_{window}": high,
            f"close_median_{window}": close.median(),
            f"close_range_{window}": close.max() - close.min(),
            f"close_iqr_{window}": high - low,
            f"volume_mean_{window}": volume.mean(),
            f"volume_std_{window}": volume.std(),
            f"volume_skew_{window}": volume.skew(),
            f"volume_kurt_{window}": volume.kurt(),
            f"return_skew_{window}": changes.rolling(window).skew(),
            f"return_kurt_{window}": changes.rolling(window).kurt(),
            f"log_return_skew_{window}": logs.rolling(window).skew(),
            f"high_low_ratio_mean_{window}": height.rolling(window).mean(),
            f"high_low_ratio_std_{window}": height.rolling(window).std(),
            f"close_position_mean_{window}": position.rolling(window).mean(),
            f"close_position_std_{window}": position.rolling(window).std(),
            f"abs_return_mean_{window}": sizes.mean(),
            f"return_asymmetry_{window}": changes.rolling(window).sum() / sizes.sum(),
            f"price_volume_correlation_{window}": close.corr(frame["volume"]),
        }
    return found


def series(frame: pd.DataFrame) -> Said:
    close, logs = frame["close"], np.log(frame["close"]).diff()
    spread = np.log(frame["high"] / frame["low"]) ** 2
    found: Said = {f"cumulative_log_return_{bars}": logs.rolling(bars).sum() for bars in (6, 12, 24)}
    for window in (5, 10, 20):
        found[f"close_deviation_from_ma_{window}"] = close / close.rolling(window).mean() - 1.0
    for window in (5, 10, 20, 50):
        volatility = logs.rolling(window).std() * 24**0.5
        found |= {
            f"realized_vol_{window}": volatility,
            f"vol_of_vol_{window}": volatility.rolling(window).std(),
            f"parkinson_vol_{window}": (spread.rolling(window).mean() * 24 / (4 * np.log(2))) ** 0.5,
        }
    past = found["realized_vol_20"].rolling(240)
    lower, upper = past.quantile(1 / 3), past.quantile(2 / 3)
    volatility = found["realized_vol_20"]
    regime = (volatility > lower).astype(float) + (volatility > upper)
    found["volatility_regime_20_240"] = regime.where(lower.notna())
    return found


def technical(frame: pd.DataFrame) -> Said:
    opened, high, low = frame["open"], frame["high"], frame["low"]
    close, volume = frame["close"], frame["volume"]
    before, changes, logs = close.shift(), close.pct_change(), np.log(close).diff()
    found: Said = {}

    span = np.maximum(high, before) - np.minimum(low, before)
    ranges = {period: _wilder(span, period) for period in (14, 20)}
    for period, each in ranges.items():
        found |= {f"atr_{period}": each, f"natr_{period}": 100 * each / close}

    means = {window: close.rolling(window).mean() for window in (10, 20, 50)}
    trend = means[10] / means[50] - 1.0
    found |= {f"close_to_sma_{window}": close / means[window] for window in (10, 50)}
    found |= {"trend_strength_10_50": trend}
    deviation = close.rolling(20).std()
    lowest, highest = close.rolling(20).min(), close.rolling(20).max()
    found["price_position_20"] = (close - lowest) / (highest - lowest)

    volatility = logs.rolling(20).std() * 24**0.5
    spike = volatility / volatility.rolling(20).mean()
    limit = volatility.rolling(40).quantile(0.8)
    momentum = close / close.shift(14) - 1.0
    found |= {
        "volatility_spike_20": spike,
        "high_volatility_regime_20_40": (volatility > limit).astype(float).where(limit.notna()),
        "volatility_change_20": volatility.pct_change(fill_method=None).clip(-5, 5),
        "volatility_momentum_20_14": volatility * momentum,
        "volatility_spike_momentum_20_14": spike * momentum,
        "volatility_volume_product_20": volatility * volume,
    }

    usual = volume.rolling(20).mean()
    relative = volume / usual
    limit = volume.rolling(20).quantile(0.9)
    typical = (high + low + close) / 3.0
    vwap = (typical * volume).rolling(20).sum() / volume.rolling(20).sum()
    location = ((close - low) - (high - close)) / (high - low)
    flow = location.where(high != low, 0.0) * volume
    line = flow.cumsum()
    money, rises = typical * volume, typical.diff()
    inflow = money.where(rises > 0.0, 0.0).rolling(14).sum()
    outflow = money.where(rises < 0.0, 0.0).rolling(14).sum()
    found |= {
        "volume_ratio_20": relative,
        "volume_trend_5_20": volume.rolling(5).mean() / usual,
        "volume_spike_20": (volume > limit).astype(float).where(limit.notna()),
        "vwap_20": vwap,
        "vwap_deviation_20": close / vwap - 1.0,
        "vwap_zscore_20": (close - vwap) / deviation,
        "relative_volume_20": volume / usual.shift(),
        "absorption_20": relative / (span / span.rolling(20).mean()),
        "price_volume_trend_20": (changes * volume).rolling(20).sum(),
        "obv_change_20": (np.sign(close.diff()) * volume).rolling(20).sum(),
        "ad_change_20": flow.rolling(20).sum(),
        "adosc_3_10": _ema(line, 3) - _ema(line, 10),
        "mfi_14": 100 * inflow / (inflow + outflow),
        "volume_trend_strength_20_10_50": relative * trend,
        "volume_variation_20": volume.rolling(20).std() / usual,
    }

    top, bottom = high.rolling(20).max(), low.rolling(20).min()
    outside = (close - top.shift()).clip(lower=0.0) + (close - bottom.shift()).clip(upper=0.0)
    breakout = outside / ranges[14]
    found |= {
        "range_bound_ratio_20": 1.0 - close.diff(20).abs() / (high.rolling(21).max() - low.rolling(21).min()),
        "breakout_strength_20": breakout,
        "volume_breakout_20": relative * breakout,
        "return_autocorrelation_20": changes.rolling(20).corr(changes.shift()),
        "support_distance_20": (close - bottom) / close,
        "resistance_distance_20": (top - close) / close,
    }
    for share in (0.236, 0.382, 0.5, 0.618, 0.786):
        level = top - share * (top - bottom)
        found[f"fib_{1000 * share:.0f}_distance_20"] = (close - level) / close

    up, down = high.diff(), -low.diff()
    plus = 100 * _wilder(up.where((up > down) & (up > 0.0), 0.0), 14) / ranges[14]
    minus = 100 * _wilder(down.where((down > up) & (down > 0.0), 0.0), 14) / ranges[14]
    index = _wilder(100 * (plus - minus).abs() / (plus + minus), 14)
    found |= {
        "plus_di_14": plus,
        "minus_di_14": minus,
        "adx_14": index,
        "adxr_14": (index + index.shift(13)) / 2.0,
    }

    strengths = {}
    for period in (14, 24):
        gain, loss = (_wilder((sign * close.diff()).clip(lower=0.0), period) for sign in (1, -1))
        strengths[period] = 100 * gain / (gain + loss)
        found[f"rsi_{period}"] = strengths[period]
    macd = _ema(close, 12) - _ema(close, 26)
    signal = _ema(macd, 9)
    found |= {"macd_12_26": macd, "macd_signal_12_26_9": signal, "macd_histogram_12_26_9": macd - signal}
    fast, slow = _stochastic(high, low, close, 14), _stochastic(high, low, close, 5).rolling(3).mean()
    found |= {
        "stochastic_k_14": fast,
        "stochastic_d_14_3": fast.rolling(3).mean(),
        "slow_stochastic_k_5_3": slow,
        "slow_stochastic_d_5_3_3": slow.rolling(3).mean(),
        "williams_r_14": fast - 100.0,
        "rsi_stochastic_mean_14": (strengths[14] + fast) / 2.0,
        "rsi_stochastic_difference_14": strengths[14] - fast,
    }
    pressure = close - np.minimum(low, before)
    short, middle, long = (pressure.rolling(n).sum() / span.rolling(n).sum() for n in (7, 14, 28))
    found["ultimate_oscillator_7_14_28"] = 100 * (4 * short + 2 * middle + long) / 7.0

    heights, bodies, gaps = np.log(high / low) ** 2, np.log(close / opened), np.log(opened / before)
    drifting = np.log(high / close) * np.log(high / opened) + np.log(low / close) * np.log(low / opened)
    klass = heights / 2 - (2 * np.log(2) - 1) * bodies**2
    for window in (10, 20, 50):
        free = drifting.rolling(window).mean()
        weight = 0.34 / (1.34 + (window + 1) / (window - 1))
        within = weight * bodies.rolling(window).var() + (1 - weight) * free
        found |= {
            f"garman_klass_vol_{window}": (24 * klass.rolling(window).mean()) ** 0.5,
            f"rogers_satchell_vol_{window}": (24 * free) ** 0.5,
            f"yang_zhang_vol_{window}": (24 * (gaps.rolling(window).var() + within)) ** 0.5,
        }
    covariance = logs.rolling(20).cov(logs.shift())
    signed = np.sign(logs) * (close * volume / 1e6) ** 0.5
    found |= {
        "roll_spread_20": 2 * (-covariance).clip(lower=0.0) ** 0.5,
        "kyle_lambda_20": logs.rolling(20).cov(signed) / signed.rolling(20).var(),
        "market_impact_20": logs.abs() / (logs.rolling(20).std() * relative**0.5),
    }
    return found


def market(frame: pd.DataFrame) -> Said:
    """Those over bars: of the funding rate at each bar and of open interest. Settlements are no rolling."""
    close, volume = frame["close"], frame["volume"]
    interest, rate = frame["open_interest"], frame["funding_rate"]
    change, moved = interest.pct_change(), close.pct_change()
    means = {window: interest.rolling(window).mean() for window in (6, 24, 168)}
    found: Said = {}
    for window, mean in means.items():
        found |= {
            f"open_interest_mean_{window}": mean,
            f"open_interest_deviation_{window}": interest / mean - 1.0,
        }
    limit = change.rolling(168).quantile(0.9)
    deviation = np.log(close).diff().rolling(20).std()
    gain, loss = (_wilder((sign * interest.diff()).clip(lower=0.0), 14) for sign in (1, -1))
    against = (np.sign(change) * np.sign(moved) < 0.0).astype(float).where(change.notna() & moved.notna())
    weighted = (close * interest).rolling(24).sum() / interest.rolling(24).sum()
    ratio = volume / volume.rolling(20).mean()
    location = 2.0 * (close - frame["low"]) / (frame["high"] - frame["low"]) - 1.0
    pressure = (-change).clip(lower=0.0) * -np.log(close).diff() / deviation
    return found | {
        "open_interest_trend_24_168": means[24] / means[168] - 1.0,
        "open_interest_zscore_168": (interest - means[168]) / interest.rolling(168).std(),
        "open_interest_surge_168": (change > limit).astype(float).where(limit.notna()),
        "open_interest_volatility_adjusted_20": change / deviation,
        "open_interest_price_correlation_24": change.rolling(24).corr(moved),
        "funding_open_interest_ratio": rate / (interest / means[168]),
        "open_interest_rsi_14": 100 * gain / (gain + loss),
        "open_interest_macd_12_26": _ema(interest, 12) / _ema(interest, 26) - 1.0,
        "open_interest_price_disagreement_24": against.rolling(24).mean(),
        "open_interest_weighted_price_deviation_24": close / weighted - 1.0,
        "leverage_ratio_24": interest / volume.rolling(24).sum(),
        "open_interest_volume_interaction_20": change * ratio,
        "open_interest_flow_24": (change * location).rolling(24).sum(),
        "liquidation_pressure_20": pressure,
        "liquidation_cascade_20_24": pressure.abs().rolling(24).mean(),
        "open_interest_weighted_funding_24": (rate * interest).rolling(24).sum() / interest.rolling(24).sum(),
        "open_interest_weighted_funding_168": (
            (rate * interest).rolling(168).sum() / interest.rolling(168).sum()
        ),
        "funding_price_correlation_168": rate.rolling(168).corr(close),
    }


def _ema(x: pd.Series, span: int) -> pd.Series:
    return x.ewm(span=span, adjust=False).mean()


def _wilder(x: pd.Series, period: int) -> pd.Series:
    return x.ewm(alpha=1.0 / period, adjust=False).mean()


def _stochastic(high: pd.Series, low: pd.Series, close: pd.Series, window: int) -> pd.Series:
    bottom, top = low.rolling(window).min(), high.rolling(window).max()
    return 100 * (close - bottom) / (top - bottom)
