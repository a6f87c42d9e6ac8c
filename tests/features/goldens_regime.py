"""Bands, trends and volume against price: TA-Lib and pandas one-liners."""

from __future__ import annotations

import numpy as np
import pandas as pd
import talib

from tests.features.golden import Golden


def bands(f: pd.DataFrame, window: int) -> tuple[np.ndarray, ...]:
    return talib.BBANDS(f.close.to_numpy(), window, 2.0, 2.0)


def width(window: int) -> Golden:
    return lambda f: (bands(f, window)[0] - bands(f, window)[2]) / bands(f, window)[1]


def position(window: int) -> Golden:
    return lambda f: (f.close - bands(f, window)[2]) / (bands(f, window)[0] - bands(f, window)[2])


def true_range(f: pd.DataFrame) -> pd.Series:
    return pd.Series(talib.TRANGE(*(f[name].to_numpy() for name in ("high", "low", "close"))), f.index)


def squeeze(f: pd.DataFrame) -> pd.Series:
    keltner = 1.5 * true_range(f).rolling(20).mean()
    return (2 * f.close.rolling(20).std(ddof=0) < keltner).astype(float).where(keltner.notna())


def middle(f: pd.DataFrame, window: int) -> np.ndarray:
    return talib.MIDPRICE(f.high.to_numpy(), f.low.to_numpy(), window)


def choppiness(f: pd.DataFrame) -> pd.Series:
    span = f.high.rolling(14).max() - f.low.rolling(14).min()
    return 100 * np.log10(true_range(f).rolling(14).sum() / span) / np.log10(14)


def efficiency(bars: int) -> Golden:
    return lambda f: f.close.diff(bars).abs() / f.close.diff().abs().rolling(bars).sum()


def quality(f: pd.DataFrame) -> np.ndarray:
    correlation = talib.CORREL(f.close.to_numpy(), np.arange(float(len(f))), 20)
    return correlation * np.abs(correlation)


def trend(f: pd.DataFrame) -> pd.Series:
    return f.close.rolling(50).mean() / f.close.rolling(200).mean() - 1


def stop(f: pd.DataFrame) -> np.ndarray:
    high, low = f.high.to_numpy(), f.low.to_numpy()
    stops = [talib.SAR(high[t - 99 : t + 1], low[t - 99 : t + 1], 0.02, 0.2)[-1] for t in range(99, len(f))]
    return np.append(np.full(99, np.nan), stops)


def volume_ratio(f: pd.DataFrame) -> pd.Series:
    return f.volume / f.volume.rolling(20).mean()


def vwap(f: pd.DataFrame) -> pd.Series:
    typical = (f.high + f.low + f.close) / 3
    return (typical * f.volume).rolling(20).sum() / f.volume.rolling(20).sum()


def impact(f: pd.DataFrame) -> pd.Series:
    returns = np.log(f.close).diff()
    return returns.abs() / returns.rolling(20).std() / volume_ratio(f) ** 0.5


GOLDEN: dict[str, Golden] = {
    "bollinger_width_20": width(20),
    "bollinger_width_48": width(48),
    "bollinger_position_20": position(20),
    "bollinger_position_48": position(48),
    "bollinger_squeeze_20": squeeze,
    "ichimoku_base_distance_26": lambda f: f.close / middle(f, 26) - 1,
    "ichimoku_conversion_distance_9_26": lambda f: middle(f, 9) / middle(f, 26) - 1,
    "choppiness_14": choppiness,
    "efficiency_ratio_10": efficiency(10),
    "efficiency_ratio_20": efficiency(20),
    "trend_quality_20": quality,
    "trend_strength_50_200": trend,
    "sma_cross_50_200": lambda f: np.sign(trend(f)),
    "psar_trend_100": lambda f: np.sign(f.close - stop(f)),
    "psar_distance_100": lambda f: 1 - stop(f) / f.close,
    "rsi_24": lambda f: talib.RSI(f.close.to_numpy(), 24),
    "vwap_zscore_20": lambda f: (f.close - vwap(f)) / f.close.rolling(20).std(),
    "relative_volume_20": lambda f: f.volume / f.volume.shift(1).rolling(20).mean(),
    "absorption_20": lambda f: volume_ratio(f) / true_range(f) * true_range(f).rolling(20).mean(),
    "market_impact_20": impact,
}
