"""Estimators of volatility and liquidity as pandas one-liners, and window by window from the papers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from tests.features.golden import Golden

DAY = math.sqrt(24)


def garman_klass(f: pd.DataFrame, window: int) -> pd.Series:
    spread, body = np.log(f.high / f.low), np.log(f.close / f.open)
    return (0.5 * spread**2 - (2 * np.log(2) - 1) * body**2).rolling(window).mean() ** 0.5 * DAY


def rogers_satchell_bars(f: pd.DataFrame) -> pd.Series:
    up, down, close = (np.log(f[name] / f.open) for name in ("high", "low", "close"))
    return up * (up - close) + down * (down - close)


def rogers_satchell(f: pd.DataFrame, window: int) -> pd.Series:
    return rogers_satchell_bars(f).rolling(window).mean() ** 0.5 * DAY


def yang_zhang(f: pd.DataFrame, window: int) -> pd.Series:
    k = 0.34 / (1.34 + (window + 1) / (window - 1))
    between = np.log(f.open / f.close.shift(1)).rolling(window).var()
    within = np.log(f.close / f.open).rolling(window).var()
    drifting = rogers_satchell_bars(f).rolling(window).mean()
    return (between + k * within + (1 - k) * drifting) ** 0.5 * DAY


def returns(f: pd.DataFrame) -> pd.Series:
    return np.log(f.close).diff()


def amihud(f: pd.DataFrame) -> pd.Series:
    value = f.close * f.volume
    return 1e6 * (returns(f).abs() / value.where(value > 0)).rolling(20, min_periods=1).mean()


def roll(f: pd.DataFrame) -> pd.Series:
    covariance = returns(f).rolling(20).cov(returns(f).shift(1))
    return 2 * (-covariance).clip(lower=0) ** 0.5


def kyle(f: pd.DataFrame) -> np.ndarray:
    flow = np.sign(returns(f)) * (f.close * f.volume / 1e6) ** 0.5
    pairs = np.lib.stride_tricks.sliding_window_view(np.stack([flow, returns(f)]), 20, axis=1)
    slopes = [
        stats.linregress(x, y).slope if np.isfinite(x).all() else np.nan for x, y in zip(*pairs, strict=True)
    ]
    return np.append(np.full(19, np.nan), slopes)


def corwin_schultz(f: pd.DataFrame) -> pd.Series:
    beta = (np.log(f.high / f.low) ** 2).rolling(2).sum()
    gamma = np.log(f.high.rolling(2).max() / f.low.rolling(2).min()) ** 2
    k = 3 - 2 * math.sqrt(2)
    alpha = ((2 * beta) ** 0.5 - beta**0.5) / k - (gamma / k) ** 0.5
    return (2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha))).clip(lower=0).rolling(20).mean()


def vpin(f: pd.DataFrame) -> pd.Series:
    bought = f.volume * stats.norm.cdf(returns(f) / returns(f).rolling(50).std())
    return (2 * bought - f.volume).abs().rolling(50).sum() / f.volume.rolling(50).sum()


GOLDEN: dict[str, Golden] = {
    f"{name}_vol_{window}": lambda f, of=of, window=window: of(f, window)
    for window in (10, 20, 50)
    for name, of in (
        ("garman_klass", garman_klass),
        ("rogers_satchell", rogers_satchell),
        ("yang_zhang", yang_zhang),
    )
} | {
    "amihud_illiquidity_20": lambda f: amihud(f).where(np.arange(len(f)) >= 20),
    "roll_spread_20": roll,
    "kyle_lambda_20": kyle,
    "corwin_schultz_spread_20": corwin_schultz,
    "vpin_50": vpin,
    "volume_variation_20": lambda f: f.volume.rolling(20).std() / f.volume.rolling(20).mean(),
}
