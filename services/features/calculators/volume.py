"""Technical features of volume, and of price weighed by it.

On-balance volume, accumulation/distribution and the price-volume trend are sums since the first bar, so their
level says only where the history starts; here they are their change over a window, which does not.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from services.features.calculators import derived, windows
from services.features.calculators.declaration import declare
from services.features.calculators.windows import ema_bars, ratio, relative
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

_volume = partial(declare, Family.TECHNICAL, "volume")


def _price_volume_trend(columns: Columns) -> Floats:
    return windows.sums(derived.change(columns, "close", 1) * columns["volume"], 20)


def _vwap(columns: Columns) -> Floats:
    def compute() -> Floats:
        value = windows.sums(derived.typical_value(columns), 20)
        return ratio(value, windows.sums(columns["volume"], 20))

    return columns.shared(("vwap", 20), compute)


def _vwap_score(columns: Columns) -> Floats:
    return ratio(columns["close"] - _vwap(columns), derived.deviation(columns, "close", 20))


def _relative_volume(columns: Columns) -> Floats:
    return ratio(columns["volume"], derived.mean(columns, "volume", 20), back=1)


def _absorption(columns: Columns) -> Floats:
    ranges = derived.true_range(columns)
    return ratio(derived.volume_ratio(columns, 20), ratio(ranges, windows.means(ranges, 20)))


def _volume_spike(columns: Columns) -> Floats:
    return windows.above(columns["volume"], 20, 0.9)


def _volume_trend(columns: Columns) -> Floats:
    return ratio(derived.mean(columns, "volume", 5), derived.mean(columns, "volume", 20))


def _on_balance_change(columns: Columns) -> Floats:
    direction = np.sign(columns["close"] - derived.lagged(columns, "close", 1))
    return windows.sums(direction * columns["volume"], 20)


def _money_flow_volume(columns: Columns) -> Floats:
    """Volume times where the close lies in its bar, -1 to 1; a bar without range adds 0, as in TA-Lib."""

    return columns.shared(("money_flow_volume",), lambda: derived.close_location(columns) * columns["volume"])


def _accumulation_change(columns: Columns) -> Floats:
    return windows.sums(_money_flow_volume(columns), 20)


def _chaikin_oscillator(columns: Columns) -> Floats:
    """EMA 3 minus EMA 10 of the running sum A of the flow f, without A.

    A lies above its EMA by (1 - alpha) / alpha EMA(f): put A[t] = A[t-1] + f[t] into the EMA's recursion. So
    A itself cancels, and with it the place where the sum starts.
    """
    flow = _money_flow_volume(columns)
    fast, slow = 2.0 / 4.0, 2.0 / 11.0
    below_slow = (1.0 - slow) / slow * windows.exponential_sizes(flow, slow)
    below_fast = (1.0 - fast) / fast * windows.exponential_sizes(flow, fast)
    return below_slow - below_fast


def _money_flow_index(columns: Columns) -> Floats:
    typical = derived.typical_price(columns)
    flow = np.sign(typical - windows.lag(typical, 1)) * derived.typical_value(columns)
    inflow, outflow = windows.sums(np.maximum(flow, 0.0), 14), windows.sums(np.maximum(-flow, 0.0), 14)
    return ratio(inflow, inflow + outflow, times=100.0)


FEATURES: tuple[Feature, ...] = (
    _volume(
        "volume_ratio_20",
        "volume",
        19,
        "The volume over the mean of the last 20 volumes.",
        partial(derived.volume_ratio, window=20),
        window=20,
    ),
    _volume(
        "volume_trend_5_20",
        "volume",
        19,
        "The mean of the last 5 volumes over the mean of the last 20.",
        _volume_trend,
        short_window=5,
        long_window=20,
    ),
    _volume(
        "volume_spike_20",
        "volume",
        19,
        "1 when the volume is above the 90 % quantile of the last 20 volumes, else 0.",
        _volume_spike,
        window=20,
        quantile=0.9,
    ),
    _volume(
        "vwap_20",
        "high low close volume",
        19,
        "The mean of (high + low + close) / 3 over 20 bars, weighted by volume.",
        _vwap,
        window=20,
    ),
    _volume(
        "vwap_deviation_20",
        "high low close volume",
        19,
        "The close over vwap_20, minus 1: a fraction.",
        lambda columns: relative(columns["close"], _vwap(columns)),
        window=20,
    ),
    _volume(
        "vwap_zscore_20",
        "high low close volume",
        19,
        "The close minus vwap_20, in sample deviations of the last 20 closes.",
        _vwap_score,
        window=20,
    ),
    _volume(
        "relative_volume_20",
        "volume",
        20,
        "The volume over the mean of the 20 volumes before it.",
        _relative_volume,
        window=20,
    ),
    _volume(
        "absorption_20",
        "high low close volume",
        20,
        "volume_ratio_20 over the true range relative to the mean of its last 20: high where much volume "
        "hardly moves the price.",
        _absorption,
        window=20,
    ),
    _volume(
        "price_volume_trend_20",
        "close volume",
        20,
        "The change of the price-volume trend over 20 bars: the sum of one-bar relative change times volume.",
        _price_volume_trend,
        window=20,
    ),
    _volume(
        "obv_change_20",
        "close volume",
        20,
        "The change of on-balance volume over 20 bars (TA-Lib OBV minus OBV 20 bars ago).",
        _on_balance_change,
        window=20,
    ),
    _volume(
        "ad_change_20",
        "high low close volume",
        19,
        "The change of the accumulation/distribution line over 20 bars (TA-Lib AD minus AD 20 bars ago).",
        _accumulation_change,
        window=20,
    ),
    _volume(
        "adosc_3_10",
        "high low close volume",
        ema_bars(10),
        "Chaikin's oscillator: EMA 3 minus EMA 10 of the accumulation/distribution line (TA-Lib ADOSC).",
        _chaikin_oscillator,
        fast_span=3,
        slow_span=10,
    ),
    _volume(
        "mfi_14",
        "high low close volume",
        14,
        "Money flow index: the share of 14 bars' typical price times volume that came with a rise, 0 to 100 "
        "(TA-Lib MFI).",
        _money_flow_index,
        period=14,
    ),
)
