"""Technical features of liquidity and information, estimated from bars where no order book is at hand."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from scipy import special

from services.features.calculators import derived, windows
from services.features.calculators.declaration import declare
from services.features.calculators.windows import log_relative, ratio
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

WINDOW = 20
VPIN_BARS = 50
MILLION = 1e6

_microstructure = partial(declare, Family.TECHNICAL, "microstructure")


def _value(columns: Columns) -> Floats:
    """What was traded, in quote currency, at the close."""
    return columns.shared(("traded_value",), lambda: columns["close"] * columns["volume"])


def _amihud(columns: Columns) -> Floats:
    value = _value(columns)
    move = np.abs(derived.log_returns(columns))
    impact = np.where(value == 0.0, move * 0.0, ratio(move, value))
    traded = np.where(np.isnan(value), np.nan, value != 0.0)
    return MILLION * ratio(windows.sums(impact, WINDOW), windows.sums(traded, WINDOW))


def _roll(columns: Columns) -> Floats:
    returns = derived.log_returns(columns)
    covariance = windows.covariances(returns, windows.lag(returns, 1), WINDOW)
    return 2.0 * windows.roots(np.maximum(-covariance, 0.0))


def _kyle(columns: Columns) -> Floats:
    returns = derived.log_returns(columns)
    return windows.betas(returns, np.sign(returns) * windows.roots(_value(columns) / MILLION), WINDOW)


def _impact(columns: Columns) -> Floats:
    returns = derived.log_returns(columns)
    usual = derived.return_deviation(columns, WINDOW) * windows.roots(derived.volume_ratio(columns, WINDOW))
    return ratio(np.abs(returns), usual)


def _corwin_schultz(columns: Columns) -> Floats:
    high, low = columns["high"], columns["low"]
    spread = derived.log_heights(columns) ** 2
    beta = spread + windows.lag(spread, 1)
    gamma = log_relative(np.maximum(high, windows.lag(high, 1)), np.minimum(low, windows.lag(low, 1))) ** 2
    scale = 3.0 - 2.0 * math.sqrt(2.0)
    alpha = (math.sqrt(2.0) - 1.0) / scale * windows.roots(beta) - windows.roots(gamma / scale)
    return windows.means(np.maximum(2.0 * np.tanh(alpha / 2.0), 0.0), WINDOW)


def _vpin(columns: Columns) -> Floats:
    returns = derived.log_returns(columns)
    surprise = ratio(returns, derived.return_deviation(columns, VPIN_BARS))
    imbalance = np.abs(special.erf(surprise / math.sqrt(2.0))) * columns["volume"]
    return ratio(windows.sums(imbalance, VPIN_BARS), windows.sums(columns["volume"], VPIN_BARS))


def _volume_variation(columns: Columns) -> Floats:
    return ratio(derived.deviation(columns, "volume", WINDOW), derived.mean(columns, "volume", WINDOW))


FEATURES: tuple[Feature, ...] = (
    _microstructure(
        f"amihud_illiquidity_{WINDOW}",
        "close volume",
        WINDOW,
        f"The mean of |log return| over close times volume, per million, of the traded ones among {WINDOW} "
        "bars (Amihud 2002).",
        _amihud,
        window=WINDOW,
    ),
    _microstructure(
        f"roll_spread_{WINDOW}",
        "close",
        WINDOW + 1,
        f"Twice the root of minus the covariance of {WINDOW} log returns with those before them: the spread "
        "as a fraction; 0 where the covariance is positive (Roll 1984).",
        _roll,
        window=WINDOW,
    ),
    _microstructure(
        f"kyle_lambda_{WINDOW}",
        "close volume",
        WINDOW,
        f"The least-squares slope over {WINDOW} bars of the log return against its sign times the root of "
        "close times volume in millions (Kyle 1985, as Hasbrouck 2009 estimates it).",
        _kyle,
        window=WINDOW,
    ),
    _microstructure(
        f"market_impact_{WINDOW}",
        "close volume",
        WINDOW,
        f"The absolute log return over the sample deviation of the last {WINDOW} and over the root of "
        f"volume_ratio_{WINDOW}: what the square-root law leaves unexplained (Almgren et al. 2005).",
        _impact,
        window=WINDOW,
    ),
    _microstructure(
        f"corwin_schultz_spread_{WINDOW}",
        "high low",
        WINDOW,
        f"The mean over {WINDOW} bars of the spread that the ranges of one and two bars tell, negative ones "
        "0: a fraction (Corwin & Schultz 2012; markets without a night need no correction for it).",
        _corwin_schultz,
        window=WINDOW,
    ),
    _microstructure(
        f"vpin_{VPIN_BARS}",
        "close volume",
        2 * VPIN_BARS - 1,
        f"The share of {VPIN_BARS} bars' volume that one side has more of, each bar's divided by the normal "
        f"probability of its log return over the deviation of {VPIN_BARS} (bulk classification, Easley, "
        "Lopez de Prado & O'Hara 2012, over bars instead of equal volumes).",
        _vpin,
        window=VPIN_BARS,
    ),
    _microstructure(
        f"volume_variation_{WINDOW}",
        "volume",
        WINDOW - 1,
        f"The sample deviation of {WINDOW} volumes over their mean.",
        _volume_variation,
        window=WINDOW,
    ),
)
