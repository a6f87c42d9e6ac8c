"""Technical features of momentum: oscillators."""

from __future__ import annotations

from functools import partial

import numpy as np

from services.features.calculators import derived, windows
from services.features.calculators.declaration import declare
from services.features.calculators.windows import ema_bars, ratio, wilder_bars
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

_momentum = partial(declare, Family.TECHNICAL, "momentum")
_MACD = {"fast_span": 12, "slow_span": 26}
_MACD_SIGNAL = _MACD | {"signal_span": 9}


def _macd(columns: Columns) -> Floats:
    return columns.shared(
        ("macd", 12, 26), lambda: windows.emas(columns["close"], 12) - windows.emas(columns["close"], 26)
    )


def _macd_signal(columns: Columns) -> Floats:
    return columns.shared(("macd_signal", 12, 26, 9), lambda: windows.emas(_macd(columns), 9))


def _slow_k(columns: Columns) -> Floats:
    return columns.shared(("slow_k", 5, 3), lambda: windows.means(derived.stochastic(columns, 5), 3))


def _commodity_channel_index(columns: Columns, period: int) -> Floats:
    typical = derived.typical_price(columns)
    away = typical - windows.means(typical, period)
    return ratio(away, 0.015 * windows.mean_absolute_deviations(typical, period))


def _ultimate_oscillator(columns: Columns) -> Floats:
    before = derived.lagged(columns, "close", 1)
    pressure = columns["close"] - np.minimum(columns["low"], before)
    span = derived.true_range(columns)
    short, middle, long = (ratio(windows.sums(pressure, n), windows.sums(span, n)) for n in (7, 14, 28))
    return 100.0 * (4.0 * short + 2.0 * middle + long) / 7.0


FEATURES: tuple[Feature, ...] = (
    *(
        _momentum(
            f"rsi_{period}",
            "close",
            wilder_bars(period) + 1,
            "100 times the smoothed gain over the smoothed gain plus loss (Wilder 1978; TA-Lib RSI).",
            partial(derived.relative_strength, period=period),
            period=period,
        )
        for period in (14, 24)
    ),
    _momentum(
        "macd_12_26",
        "close",
        ema_bars(26),
        "EMA 12 minus EMA 26 of close (TA-Lib MACD).",
        _macd,
        **_MACD,
    ),
    _momentum(
        "macd_signal_12_26_9",
        "close",
        ema_bars(26) + ema_bars(9),
        "EMA 9 of macd_12_26 (TA-Lib MACD, second result).",
        _macd_signal,
        **_MACD_SIGNAL,
    ),
    _momentum(
        "macd_histogram_12_26_9",
        "close",
        ema_bars(26) + ema_bars(9),
        "macd_12_26 - macd_signal_12_26_9 (TA-Lib MACD, third result).",
        lambda columns: _macd(columns) - _macd_signal(columns),
        **_MACD_SIGNAL,
    ),
    _momentum(
        "stochastic_k_14",
        "high low close",
        13,
        "100 (close - lowest low) / (highest high - lowest low) of 14 bars (TA-Lib STOCHF, first result).",
        partial(derived.stochastic, window=14),
        window=14,
    ),
    _momentum(
        "stochastic_d_14_3",
        "high low close",
        15,
        "The mean of the last 3 values of stochastic_k_14 (TA-Lib STOCHF, second result).",
        lambda columns: windows.means(derived.stochastic(columns, 14), 3),
        window=14,
        smoothing=3,
    ),
    _momentum(
        "slow_stochastic_k_5_3",
        "high low close",
        6,
        "The mean of the last 3 values of the stochastic of 5 bars (TA-Lib STOCH, first result).",
        _slow_k,
        window=5,
        smoothing=3,
    ),
    _momentum(
        "slow_stochastic_d_5_3_3",
        "high low close",
        8,
        "The mean of the last 3 values of slow_stochastic_k_5_3 (TA-Lib STOCH, second result).",
        lambda columns: windows.means(_slow_k(columns), 3),
        window=5,
        smoothing=3,
        signal_smoothing=3,
    ),
    _momentum(
        "williams_r_14",
        "high low close",
        13,
        "-100 (highest high - close) / (highest high - lowest low) of 14 bars (TA-Lib WILLR).",
        lambda columns: derived.stochastic(columns, 14) - 100.0,
        window=14,
    ),
    *(
        _momentum(
            f"cci_{period}",
            "high low close",
            period - 1,
            f"The typical price minus its mean of {period} bars, over 0.015 times its mean absolute "
            "deviation (Lambert 1980; TA-Lib CCI).",
            partial(_commodity_channel_index, period=period),
            period=period,
        )
        for period in (14, 20)
    ),
    _momentum(
        "roc_12",
        "close",
        12,
        "100 (close / close 12 bars ago - 1) (TA-Lib ROC).",
        lambda columns: 100.0 * derived.change(columns, "close", 12),
        bars=12,
    ),
    _momentum(
        "momentum_10",
        "close",
        10,
        "The close minus the close 10 bars ago (TA-Lib MOM).",
        lambda columns: columns["close"] - derived.lagged(columns, "close", 10),
        bars=10,
    ),
    _momentum(
        "ultimate_oscillator_7_14_28",
        "high low close",
        28,
        "Buying pressure over true range, weighted 4:2:1 over 7, 14 and 28 bars, 0 to 100 (Williams 1985; "
        "TA-Lib ULTOSC).",
        _ultimate_oscillator,
        short=7,
        middle=14,
        long=28,
    ),
)
