"""A series and the reference beside it: what features of both share, computed once per frame.

A bar's reference is the bar of the same open time, so that both are known at the same close. Where it is
missing, so is every window that would hold it.
"""

from __future__ import annotations

import numpy as np

from services.features.calculators import derived, windows
from services.features.calculators.funding import z_scores
from services.features.calculators.interest import interest_change
from services.features.calculators.settlements import known_funding_rate
from services.features.calculators.windows import log_relative, ratio, relative
from services.features.columns import Columns, Floats

REFERENCE = "reference_close"


def own_return(columns: Columns, bars: int) -> Floats:
    """The log return over `bars`."""
    if bars == 1:
        return derived.log_returns(columns)
    return columns.shared(
        ("log_return", bars), lambda: log_relative(columns["close"], columns["close"], back=bars)
    )


def reference_return(columns: Columns, bars: int) -> Floats:
    """The reference's log return over `bars`."""
    return columns.shared(
        ("reference_return", bars),
        lambda: log_relative(columns[REFERENCE], columns[REFERENCE], back=bars),
    )


def price_ratio(columns: Columns) -> Floats:
    """ln(close / the reference's), of prices that may be as far apart as a coin's and a share of it."""

    def compute() -> Floats:
        return _log(columns["close"]) - _log(columns[REFERENCE])

    return columns.shared(("price_ratio",), compute)


def price_ratio_mean(columns: Columns, window: int) -> Floats:
    return columns.shared(("price_ratio_mean", window), lambda: windows.means(price_ratio(columns), window))


def co_moments(columns: Columns, window: int) -> tuple[Floats, Floats, Floats]:
    """Of the last `window` one-bar log returns, the series' and the reference's; looks `window` bars back."""
    return columns.shared(
        ("co_moments", window),
        lambda: windows.co_moments(own_return(columns, 1), reference_return(columns, 1), window),
    )


def beta(columns: Columns, window: int) -> Floats:
    """The least-squares slope of returns against the reference's; NaN where the reference stood still."""

    def compute() -> Floats:
        products, _, squares = co_moments(columns, window)
        return ratio(products, squares)

    return columns.shared(("beta", window), compute)


def correlation(columns: Columns, window: int) -> Floats:
    """Pearson's; NaN where either stood still."""
    return columns.shared(
        ("reference_correlation", window), lambda: windows.correlation_of(*co_moments(columns, window))
    )


def unexplained(columns: Columns, window: int) -> Floats:
    """The share of the returns' variance that a line through the reference's leaves."""
    explained = correlation(columns, window)
    return (1.0 - explained) * (1.0 + explained)


def idiosyncratic_return(columns: Columns, window: int) -> Floats:
    return own_return(columns, 1) - beta(columns, window) * reference_return(columns, 1)


def idiosyncratic_volatility(columns: Columns, window: int) -> Floats:
    """The deviation of what the line leaves, of two degrees of freedom less, scaled to a day."""
    left = co_moments(columns, window)[1] * unexplained(columns, window)
    return windows.roots(left / (window - 2) * columns.bars_per_day)


def lead_correlation(columns: Columns, bars: int, window: int) -> Floats:
    """Pearson's correlation of returns with the reference's `bars` before; looks `window` + `bars` back."""
    before = windows.lag(reference_return(columns, 1), bars)
    return windows.correlations(own_return(columns, 1), before, window)


def reference_volatility(columns: Columns, window: int) -> Floats:
    """As `derived.realized_volatility`, of the reference."""
    return columns.shared(
        ("reference_volatility", window),
        lambda: windows.deviations(reference_return(columns, 1), window) * np.sqrt(columns.bars_per_day),
    )


def volatility_ratio(columns: Columns, window: int) -> Floats:
    return ratio(derived.realized_volatility(columns, window), reference_volatility(columns, window))


def volume_difference(columns: Columns, window: int) -> Floats:
    """Of z-scores, each of its own window: volumes are in units of their own."""
    return z_scores(columns["volume"], window) - z_scores(columns["reference_volume"], window)


def funding_spread(columns: Columns) -> Floats:
    return columns.shared(
        ("funding_spread",), lambda: known_funding_rate(columns) - columns["reference_funding_rate"]
    )


def open_interest_difference(columns: Columns, bars: int) -> Floats:
    reference = columns["reference_open_interest"]
    return interest_change(columns, bars) - relative(reference, reference, back=bars)


def _log(x: Floats) -> Floats:
    return np.log(x, out=np.full(x.shape, np.nan), where=x > 0.0)
