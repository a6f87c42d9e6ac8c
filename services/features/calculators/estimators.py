"""Technical features of volatility estimated from open, high, low and close: of less noise than from closes.

All are the root of a variance a bar times the root of the bars in a day, as `realized_vol_20` is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from services.features.calculators import derived, windows
from services.features.calculators.declaration import declare
from services.features.calculators.windows import log_relative
from services.features.columns import Columns, Floats
from services.features.feature import Family, Feature

WINDOWS = (10, 20, 50)

_volatility = partial(declare, Family.TECHNICAL, "volatility")


def _daily(columns: Columns, variance: Floats) -> Floats:
    return windows.roots(variance * columns.bars_per_day)


def _open_to_close(columns: Columns) -> Floats:
    return columns.shared(("open_to_close",), lambda: log_relative(columns["close"], columns["open"]))


def _close_to_open(columns: Columns) -> Floats:
    return columns.shared(("close_to_open",), lambda: log_relative(columns["open"], columns["close"], back=1))


def _garman_klass(columns: Columns, window: int) -> Floats:
    def variances() -> Floats:
        spread, body = derived.log_heights(columns), _open_to_close(columns)
        return spread * spread / 2.0 - (2.0 * math.log(2.0) - 1.0) * body * body

    bars = columns.shared(("garman_klass",), variances)
    return _daily(columns, windows.means(bars, window))


def _rogers_satchell_bars(columns: Columns) -> Floats:
    def variances() -> Floats:
        opened, high, low, close = (columns[name] for name in ("open", "high", "low", "close"))
        above = log_relative(high, close) * log_relative(high, opened)
        return above + log_relative(low, close) * log_relative(low, opened)

    return columns.shared(("rogers_satchell",), variances)


def _rogers_satchell_mean(columns: Columns, window: int) -> Floats:
    return columns.shared(
        ("rogers_satchell_mean", window), lambda: windows.means(_rogers_satchell_bars(columns), window)
    )


def _rogers_satchell(columns: Columns, window: int) -> Floats:
    return _daily(columns, _rogers_satchell_mean(columns, window))


def _yang_zhang(columns: Columns, window: int) -> Floats:
    between = windows.moments(_close_to_open(columns), window, 2)[1]
    within = windows.moments(_open_to_close(columns), window, 2)[1]
    weight = 0.34 / (1.34 + (window + 1) / (window - 1))
    squares = (between + weight * within) / (window - 1)
    return _daily(columns, squares + (1.0 - weight) * _rogers_satchell_mean(columns, window))


def _estimated(
    name: str, window: int, lookback_bars: int, description: str, compute: Callable[[Columns, int], Floats]
) -> Feature:
    return _volatility(
        f"{name}_vol_{window}",
        "open high low close",
        lookback_bars,
        description,
        lambda columns: compute(columns, window),
        window=window,
    )


FEATURES: tuple[Feature, ...] = (
    *(
        _estimated(
            "garman_klass",
            window,
            window - 1,
            f"The mean over {window} bars of ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2, as "
            "volatility a day (Garman & Klass 1980).",
            _garman_klass,
        )
        for window in WINDOWS
    ),
    *(
        _estimated(
            "rogers_satchell",
            window,
            window - 1,
            f"The mean over {window} bars of ln(high / close) ln(high / open) + ln(low / close) "
            "ln(low / open), as volatility a day (Rogers & Satchell 1991): right under a drift too.",
            _rogers_satchell,
        )
        for window in WINDOWS
    ),
    *(
        _estimated(
            "yang_zhang",
            window,
            window,
            f"Over {window} bars the variance of ln(open / close before), k that of ln(close / open) and "
            "1 - k Rogers and Satchell's, k = 0.34 / (1.34 + (n + 1) / (n - 1)), as volatility a day "
            "(Yang & Zhang 2000).",
            _yang_zhang,
        )
        for window in WINDOWS
    ),
)
