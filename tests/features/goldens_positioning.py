"""Open interest against price, volume and funding with pandas, and the funding rate's further features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import talib

from tests.features.golden import Golden

Settled = Callable[[pd.DataFrame, int, Callable[[np.ndarray], float]], pd.Series]


def change(f: pd.DataFrame, bars: int) -> pd.Series:
    return f.open_interest.pct_change(bars)


def weighted(f: pd.DataFrame, values: pd.Series, window: int) -> pd.Series:
    held = f.open_interest.where(values.notna())
    return (values * held).rolling(window).sum() / held.rolling(window).sum()


def liquidation(f: pd.DataFrame) -> pd.Series:
    returns = np.log(f.close).diff()
    return (-change(f, 1)).clip(lower=0) * -returns / returns.rolling(20).std()


def regime(f: pd.DataFrame) -> pd.Series:
    price, held = np.sign(f.close.diff(24)), np.sign(f.open_interest.diff(24))
    cases = {(1, 1): 2.0, (1, -1): 1.0, (-1, -1): -1.0, (-1, 1): -2.0, (1, 0): 1.5, (-1, 0): -1.5}
    cases |= {(0, side): 0.0 for side in (-1, 0, 1)}
    return pd.Series([cases.get(pair, np.nan) for pair in zip(price, held, strict=True)], f.index)


def disagreement(f: pd.DataFrame) -> pd.Series:
    moves = f.close.diff() * f.open_interest.diff()
    return (moves < 0).astype(float).where(moves.notna()).rolling(24).mean()


def flow(f: pd.DataFrame) -> pd.Series:
    location = (2 * f.close - f.low - f.high) / (f.high - f.low)
    return (location * change(f, 1)).rolling(24).sum()


def confirmed(f: pd.DataFrame) -> pd.Series:
    agrees = f.funding_rate * f.close.diff(10)
    return change(f, 10).where(agrees > 0, 0.0).where(agrees.notna() & change(f, 10).notna())


def z(x: pd.Series, window: int) -> pd.Series:
    return (x - x.rolling(window).mean()) / x.rolling(window).std()


def ema(x: np.ndarray) -> float:
    weights = 0.5 ** np.arange(x.size)[::-1]
    return float(weights @ x / weights.sum())


def standing_score(x: np.ndarray) -> float:
    return (x[-1] - x.mean()) / x.std(ddof=1) if np.ptp(x) else np.nan


def standing(x: np.ndarray) -> float:
    return float(x[-1] > np.quantile(x, 0.9)) - float(x[-1] < np.quantile(x, 0.1))


def goldens(rolled: Settled, funding_z: Golden, interest_z: Golden) -> dict[str, Golden]:
    """`rolled` gives a statistic of the last settlements at the bars."""

    def stress(f: pd.DataFrame) -> pd.Series:
        volatility = z(np.log(f.close).diff().rolling(20).std(), 168)
        return (funding_z(f) ** 2 + interest_z(f) ** 2 + volatility**2) ** 0.5

    def squeeze(f: pd.DataFrame) -> pd.Series:
        return -funding_z(f) * interest_z(f).clip(lower=0) * np.sign(f.close.diff(24))

    def divergence(f: pd.DataFrame) -> pd.Series:
        return -np.sign(rolled(f, 2, lambda x: x[1] - x[0]) * f.open_interest.diff(24))

    return {
        "funding_rate_bps": lambda f: f.funding_rate * 1e4,
        "funding_rate_deviation": lambda f: f.funding_rate - 0.0001,
        "funding_rate_direction": lambda f: np.sign(f.funding_rate),
        "funding_rate_lag_3": lambda f: rolled(f, 4, lambda x: x[0]),
        "funding_rate_momentum_7": lambda f: rolled(f, 8, lambda x: x[-1] - x[0]),
        "funding_rate_acceleration": lambda f: rolled(f, 3, lambda x: np.diff(x, 2)[0]),
        "funding_rate_ema_3": lambda f: rolled(f, 41, ema),
        "funding_rate_spread_3_21": lambda f: rolled(f, 21, lambda x: x[-3:].mean() - x.mean()),
        "funding_rate_zscore_42": lambda f: rolled(f, 42, standing_score),
        "funding_rate_regime_21": lambda f: rolled(f, 21, standing),
        "open_interest_rsi_14": lambda f: talib.RSI(f.open_interest.to_numpy(), 14),
        "open_interest_macd_12_26": lambda f: (
            talib.EMA(f.open_interest.to_numpy(), 12) / talib.EMA(f.open_interest.to_numpy(), 26) - 1
        ),
        "open_interest_price_regime_24": regime,
        "open_interest_price_disagreement_24": disagreement,
        "open_interest_weighted_price_deviation_24": lambda f: f.close / weighted(f, f.close, 24) - 1,
        "volume_open_interest_ratio": lambda f: f.volume / f.open_interest,
        "leverage_ratio_24": lambda f: f.open_interest / f.volume.rolling(24).sum(),
        "open_interest_volume_interaction_20": lambda f: (
            change(f, 1) * f.volume / f.volume.rolling(20).mean()
        ),
        "open_interest_flow_24": flow,
        "liquidity_efficiency_20": lambda f: (
            f.close.pct_change(20).abs() * f.open_interest / f.volume.rolling(20).sum()
        ),
        "liquidation_pressure_20": liquidation,
        "liquidation_cascade_20_24": lambda f: liquidation(f).abs().rolling(24).mean(),
        "open_interest_weighted_funding_24": lambda f: weighted(f, f.funding_rate, 24),
        "open_interest_weighted_funding_168": lambda f: weighted(f, f.funding_rate, 168),
        "open_interest_momentum_confirmed_10": confirmed,
        "funding_price_correlation_168": lambda f: f.funding_rate.mul(1e4).rolling(168).corr(f.close),
        "funding_open_interest_divergence_24": divergence,
        "funding_open_interest_sentiment_24": lambda f: funding_z(f) * change(f, 24),
        "squeeze_score_24": squeeze,
        "market_stress_volatility_20": stress,
    }
