"""Technical features of how much the price moves."""

from __future__ import annotations

from functools import partial

import numpy as np

from services.features.calculators import derived, windows
from services.features.calculators.declaration import declare
from services.features.calculators.windows import ratio, relative, wilder_bars
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

_volatility = partial(declare, Family.TECHNICAL, "volatility")


def _normalized_atr(columns: Columns, period: int) -> Floats:
    return ratio(derived.average_true_range(columns, period), columns["close"], times=100.0)


def _high_regime(columns: Columns) -> Floats:
    return windows.above(derived.realized_volatility(columns, 20), 40, 0.8)


def _volatility_change(columns: Columns) -> Floats:
    volatility = derived.realized_volatility(columns, 20)
    return np.clip(relative(volatility, volatility, back=1), -5.0, 5.0)


FEATURES: tuple[Feature, ...] = (
    _volatility(
        "true_range",
        "high low close",
        1,
        "The highest of high - low, |high - previous close|, |low - previous close| (TA-Lib TRANGE).",
        derived.true_range,
    ),
    *(
        _volatility(
            f"atr_{period}",
            "high low close",
            wilder_bars(period) + 1,
            f"Wilder's mean over {period} of the true range (TA-Lib ATR).",
            partial(derived.average_true_range, period=period),
            period=period,
        )
        for period in (14, 20)
    ),
    *(
        _volatility(
            f"natr_{period}",
            "high low close",
            wilder_bars(period) + 1,
            f"100 atr_{period} / close (TA-Lib NATR).",
            partial(_normalized_atr, period=period),
            period=period,
        )
        for period in (14, 20)
    ),
    _volatility(
        "volatility_spike_20",
        "close",
        39,
        "realized_vol_20 over the mean of its last 20 values.",
        partial(derived.volatility_spike, window=20),
        window=20,
    ),
    _volatility(
        "high_volatility_regime_20_40",
        "close",
        59,
        "1 when realized_vol_20 is above the 80 % quantile of its last 40 values, else 0.",
        _high_regime,
        volatility_window=20,
        window=40,
        quantile=0.8,
    ),
    _volatility(
        "volatility_change_20",
        "close",
        21,
        "realized_vol_20 over its value one bar ago, minus 1, held within -5 and 5.",
        _volatility_change,
        window=20,
    ),
)
