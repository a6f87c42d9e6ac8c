"""Cross-symbol features as pandas and numpy compute them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from tests.features.golden import Golden


def own(f: pd.DataFrame) -> pd.Series:
    return np.log(f.close).diff()


def reference(f: pd.DataFrame) -> pd.Series:
    return np.log(f.reference_close).diff()


def z_score(x: pd.Series, window: int) -> pd.Series:
    rolling = x.rolling(window)
    return (x - rolling.mean()) / rolling.std()


def price_ratio(f: pd.DataFrame) -> pd.Series:
    return np.log(f.close / f.reference_close)


def of_pairs(f: pd.DataFrame, window: int, statistic: object, bars: int = 0) -> np.ndarray:
    """A statistic of each window of returns and those of the reference `bars` before."""
    pairs = np.stack([own(f), reference(f).shift(bars)])
    views = np.lib.stride_tricks.sliding_window_view(pairs, window, axis=1)
    found = np.full(len(f), np.nan)
    for at in range(window + bars, len(f)):
        found[at] = statistic(*views[:, at - window + 1])
    return found


def slope(x: np.ndarray, y: np.ndarray) -> float:
    return np.linalg.lstsq(np.stack([y, np.ones_like(y)], axis=1), x, rcond=None)[0][0]


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    return np.corrcoef(x, y)[0, 1]


def residual(x: np.ndarray, y: np.ndarray) -> float:
    """The standard error of the regression."""
    squares = np.linalg.lstsq(np.stack([y, np.ones_like(y)], axis=1), x, rcond=None)[1][0]
    return np.sqrt(squares / (x.size - 2))


def beta(f: pd.DataFrame, window: int) -> np.ndarray:
    return of_pairs(f, window, slope)


def return_difference(f: pd.DataFrame, bars: int) -> pd.Series:
    return np.log(f.close / f.close.shift(bars)) - np.log(f.reference_close / f.reference_close.shift(bars))


def ratio_trend(f: pd.DataFrame, short: int, long: int) -> pd.Series:
    return price_ratio(f).rolling(short).mean() - price_ratio(f).rolling(long).mean()


def volume_difference(f: pd.DataFrame, window: int) -> pd.Series:
    return z_score(f.volume, window) - z_score(f.reference_volume, window)


def interest_difference(f: pd.DataFrame, bars: int) -> pd.Series:
    return f.open_interest.pct_change(bars) - f.reference_open_interest.pct_change(bars)


def ratio_z_score(f: pd.DataFrame, window: int) -> pd.Series:
    return z_score(price_ratio(f), window)


def volatility_ratio(f: pd.DataFrame, window: int) -> pd.Series:
    return own(f).rolling(window).std() / reference(f).rolling(window).std()


def reference_volatility(f: pd.DataFrame, window: int) -> pd.Series:
    return reference(f).rolling(window).std() * np.sqrt(24.0)


def reference_return(f: pd.DataFrame, bars: int) -> pd.Series:
    return np.log(f.reference_close / f.reference_close.shift(bars))


def idiosyncratic_return(f: pd.DataFrame, window: int) -> pd.Series:
    return own(f) - beta(f, window) * reference(f)


GOLDENS: dict[str, Golden] = {
    **{f"cross_return_difference_{n}": partial(return_difference, bars=n) for n in (1, 6, 24, 72)},
    **{f"cross_price_ratio_zscore_{n}": partial(ratio_z_score, window=n) for n in (24, 168)},
    "cross_price_ratio_trend_6_24": partial(ratio_trend, short=6, long=24),
    "cross_price_ratio_trend_24_168": partial(ratio_trend, short=24, long=168),
    **{f"cross_beta_{n}": partial(beta, window=n) for n in (24, 72, 168)},
    "cross_beta_shift_24_168": lambda f: beta(f, 24) - beta(f, 168),
    **{f"cross_correlation_{n}": partial(of_pairs, window=n, statistic=pearson) for n in (24, 72, 168)},
    "cross_unexplained_share_72": lambda f: 1.0 - of_pairs(f, 72, pearson) ** 2,
    **{f"cross_idiosyncratic_return_{n}": partial(idiosyncratic_return, window=n) for n in (24, 168)},
    "cross_idiosyncratic_volatility_72": lambda f: of_pairs(f, 72, residual) * np.sqrt(24.0),
    **{
        f"cross_lead_correlation_{n}_72": partial(of_pairs, window=72, statistic=pearson, bars=n)
        for n in (1, 2, 3)
    },
    **{f"cross_volatility_ratio_{n}": partial(volatility_ratio, window=n) for n in (24, 168)},
    **{f"cross_volume_zscore_difference_{n}": partial(volume_difference, window=n) for n in (24, 168)},
    "cross_funding_spread": lambda f: f.funding_rate - f.reference_funding_rate,
    "cross_funding_spread_zscore_168": lambda f: z_score(f.funding_rate - f.reference_funding_rate, 168),
    **{f"cross_open_interest_growth_difference_{n}": partial(interest_difference, bars=n) for n in (6, 24)},
    **{f"reference_log_return_{n}": partial(reference_return, bars=n) for n in (1, 6, 24)},
    **{f"reference_realized_vol_{n}": partial(reference_volatility, window=n) for n in (24, 168)},
    "reference_trend_strength_24_168": lambda f: (
        f.reference_close.rolling(24).mean() / f.reference_close.rolling(168).mean() - 1.0
    ),
}
