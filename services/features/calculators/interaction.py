"""Technical features that join two others."""

from __future__ import annotations

from functools import partial

from services.features.calculators import derived
from services.features.calculators.declaration import declare
from services.features.calculators.windows import ratio, wilder_bars
from services.features.feature import Family, Feature

_interaction = partial(declare, Family.TECHNICAL, "interaction")

FEATURES: tuple[Feature, ...] = (
    _interaction(
        "volatility_momentum_20_14",
        "close",
        20,
        "realized_vol_20 times price_momentum_14.",
        lambda columns: derived.realized_volatility(columns, 20) * derived.change(columns, "close", 14),
        volatility_window=20,
        bars=14,
    ),
    _interaction(
        "volatility_spike_momentum_20_14",
        "close",
        39,
        "volatility_spike_20 times price_momentum_14.",
        lambda columns: derived.volatility_spike(columns, 20) * derived.change(columns, "close", 14),
        volatility_window=20,
        bars=14,
    ),
    _interaction(
        "volume_trend_strength_20_10_50",
        "close volume",
        49,
        "volume_ratio_20 times trend_strength_10_50.",
        lambda columns: derived.volume_ratio(columns, 20) * derived.trend_strength(columns, 10, 50),
        volume_window=20,
        short_window=10,
        long_window=50,
    ),
    _interaction(
        "volume_breakout_20",
        "high low close volume",
        derived.BREAKOUT_ATR_BARS,
        "volume_ratio_20 times breakout_strength_20.",
        lambda columns: derived.volume_ratio(columns, 20) * derived.breakout_strength(columns, 20),
        window=20,
        atr_period=derived.BREAKOUT_ATR_PERIOD,
    ),
    _interaction(
        "price_volume_product",
        "close volume",
        0,
        "close times volume, in quote currency.",
        lambda columns: columns["close"] * columns["volume"],
    ),
    _interaction(
        "price_volume_ratio",
        "close volume",
        0,
        "close over volume.",
        lambda columns: ratio(columns["close"], columns["volume"]),
    ),
    _interaction(
        "volatility_volume_product_20",
        "close volume",
        20,
        "realized_vol_20 times volume.",
        lambda columns: derived.realized_volatility(columns, 20) * columns["volume"],
        window=20,
    ),
    _interaction(
        "rsi_stochastic_mean_14",
        "high low close",
        wilder_bars(14) + 1,
        "The mean of rsi_14 and stochastic_k_14.",
        lambda columns: (derived.relative_strength(columns, 14) + derived.stochastic(columns, 14)) / 2.0,
        period=14,
    ),
    _interaction(
        "rsi_stochastic_difference_14",
        "high low close",
        wilder_bars(14) + 1,
        "rsi_14 minus stochastic_k_14.",
        lambda columns: derived.relative_strength(columns, 14) - derived.stochastic(columns, 14),
        period=14,
    ),
)
