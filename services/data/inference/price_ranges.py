"""Between which prices in dollars the majors traded in a year, roughly: what a price alone may belong to."""

from __future__ import annotations

import numpy as np

from services.data.revisions import Times, Values
from services.data.series import DAY_US

# The lowest and highest daily prices of the year on large exchanges, rounded outwards by some per cent.
_RANGES: dict[str, dict[int, tuple[float, float]]] = {
    "BTC": {
        2011: (0.28, 33),
        2012: (4, 14),
        2013: (12, 1250),
        2014: (265, 1000),
        2015: (150, 510),
        2016: (350, 990),
        2017: (730, 20_000),
        2018: (3_100, 17_800),
        2019: (3_300, 14_000),
        2020: (3_600, 29_500),
        2021: (27_500, 69_500),
        2022: (15_400, 48_500),
        2023: (16_400, 45_000),
        2024: (38_300, 109_000),
        2025: (74_000, 127_000),
    },
    "ETH": {
        2016: (0.9, 22),
        2017: (7.8, 890),
        2018: (80, 1_450),
        2019: (100, 370),
        2020: (85, 760),
        2021: (710, 4_900),
        2022: (870, 3_950),
        2023: (1_180, 2_500),
        2024: (2_080, 4_120),
        2025: (1_370, 4_970),
    },
    "BNB": {
        2018: (4, 26),
        2019: (5.2, 41),
        2020: (6, 44),
        2021: (35, 700),
        2022: (180, 540),
        2023: (200, 345),
        2024: (280, 800),
        2025: (490, 1_380),
    },
    "SOL": {
        2021: (1.4, 265),
        2022: (7.8, 182),
        2023: (9.5, 128),
        2024: (78, 268),
        2025: (94, 297),
    },
    "XRP": {
        2018: (0.24, 3.9),
        2019: (0.17, 0.52),
        2020: (0.1, 0.8),
        2021: (0.2, 2.0),
        2022: (0.28, 0.94),
        2023: (0.3, 0.95),
        2024: (0.38, 2.95),
        2025: (1.55, 3.7),
    },
    "DOGE": {
        2021: (0.004, 0.75),
        2022: (0.048, 0.19),
        2023: (0.054, 0.11),
        2024: (0.073, 0.49),
        2025: (0.12, 0.45),
    },
}
CHANCE_MAX = 0.4
_OTHERS = 0.3  # the weight of all other coins
_ROWS_MIN = 20
_YEAR_US = 365.25 * DAY_US
# Of coins over a year; money of states moves less, random numbers more.
_VOLATILITY = (0.2, 6.0)


def majors_at(times: Times, prices: Values) -> dict[str, float]:
    """Which majors the prices may be of, with a chance each; together at most `CHANCE_MAX`.

    Parameters
    ----------
    times
        Strictly increasing, microseconds.
    prices
        As many; absent ones are NaN.
    """
    there = np.isfinite(prices) & (prices > 0)
    times, prices = times[there], prices[there]
    if len(times) < _ROWS_MIN or not _VOLATILITY[0] <= _volatility(times, prices) <= _VOLATILITY[1]:
        return {}
    years = times.astype("datetime64[us]").astype("datetime64[Y]").astype(np.int64) + 1970
    weights = {base: weight for base in _RANGES if (weight := _weight(_RANGES[base], years, prices))}
    total = sum(weights.values()) + _OTHERS
    return {base: CHANCE_MAX * weight / total for base, weight in weights.items()}


def _weight(ranges: dict[int, tuple[float, float]], years: Times, prices: Values) -> float:
    """How narrow the ranges are that the prices keep within; 0 when they leave one."""
    widths = []
    for year in np.unique(years):
        if int(year) not in ranges:
            return 0.0
        low, high = ranges[int(year)]
        mine = prices[years == year]
        if mine.min() < low or mine.max() > high:
            return 0.0
        widths.append(np.log(high / low))
    return float(1 / np.mean(widths))


def _volatility(times: Times, prices: Values) -> float:
    """Of log returns, a year; robust against single jumps."""
    returns = np.abs(np.diff(np.log(prices)))
    moved = returns[returns > 0]
    if not len(moved):
        return 0.0
    step_us = float(np.median(np.diff(times)))
    return float(1.4826 * np.median(moved) * np.sqrt(_YEAR_US / step_us))
