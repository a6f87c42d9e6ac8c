"""Candles without a header: which of the numbers is what, decided by testing the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from marketml.imports.refused import ImportRefused
from marketml.imports.times import are_epochs

_DUMP_COLUMNS = 12  # of Binance's klines, the time included
_DUMP_WRONG_SHARE_MAX = 0.1  # its layout is known; the rows only have to agree with it
_HIGH_OVER_LOW_MAX = 2.0  # of the middle bar; beyond it one of the two is an amount
_WRONG_SHARE_MAX = 0.01  # damaged rows do not overturn a layout that all others fit


def candle_positions(
    names: Sequence[str], values: Mapping[str, npt.NDArray[np.float64]]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Roles of the columns after the time, and notes.

    The high is the column that no other price exceeds, the low the one below none; of the two left the open
    stands first, unless the rows say otherwise (one bar's close is near the next one's open).

    Raises
    ------
    ImportRefused
        Several orders fit the rows, or none does; more columns than a known layout explains.
    """
    prices = np.column_stack([values[name] for name in names[:4]])
    prices = prices[~np.isnan(prices).any(axis=1)]
    if len(prices) and not (prices > 0).all(axis=1).mean() > 1 - _WRONG_SHARE_MAX:
        raise ImportRefused(
            "No header, and the second to fifth columns are not prices above zero: name the columns."
        )
    is_highest = prices >= prices.max(axis=1, keepdims=True)
    is_lowest = prices <= prices.min(axis=1, keepdims=True)
    if len(names) >= _DUMP_COLUMNS - 1 and _are_close_times(values.get(names[5])):
        wrong = 1 - (is_highest[:, 1] & is_lowest[:, 2]).mean() if len(prices) else 0.0
        if wrong <= _DUMP_WRONG_SHARE_MAX:  # flat bars and single ones decide nothing; the layout does
            roles = dict(zip(("open", "high", "low", "close", "volume"), names, strict=False))
            roles |= dict(zip(("quote_volume", "trade_count", "taker_buy_volume"), names[6:], strict=False))
            return roles, (
                "Exchange dump of 12 columns: time, open, high, low, close, volume, close time, quote "
                "volume, trades and taker volumes.",
            )
    high = _only(is_highest, "high")
    low = _only(is_lowest, "low")
    bars = prices[(prices > 0).all(axis=1)]
    if len(bars) and float(np.median(bars[:, high] / bars[:, low])) > _HIGH_OVER_LOW_MAX:
        raise ImportRefused(
            f"No header, and columns {names[low]} and {names[high]} are too far apart to be the low and high "
            f"of bars: name the columns."
        )
    first, second = (position for position in range(4) if position not in (high, low))
    if _is_reversed(prices[:, first], prices[:, second]):
        raise ImportRefused(
            f"No header, and columns {names[first]} and {names[second]} look like close and open in this "
            f"order: "
            "name the columns."
        )
    order = {first: "open", second: "close", high: "high", low: "low"}
    roles = {order[position]: names[position] for position in range(4)}
    notes = [f"Column order by the rows: time, {', '.join(order[position] for position in range(4))}."]
    notes += _further(names[4:], values, roles)
    return roles, tuple(notes)


def _only(holds: npt.NDArray[np.bool_], word: str) -> int:
    """The one column that holds on (nearly) all rows."""
    wrong = 1 - holds.mean(axis=0) if len(holds) else np.zeros(4)
    fitting = np.flatnonzero(wrong <= _WRONG_SHARE_MAX)
    if len(fitting) > 1:  # flat bars fit twice: take the one that is never wrong where the others are
        best = wrong.min()
        fitting = np.flatnonzero((wrong == best) & (wrong < np.partition(wrong, 1)[1]))
    if len(fitting) != 1:
        raise ImportRefused(
            f"No header, and the rows do not tell which column is the {word}: name the columns "
            "(open, high, low, close or open, close, high, low?)."
        )
    return int(fitting[0])


def _is_reversed(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> bool:
    """Whether the rows say clearly that `second` is the open and `first` the close."""
    if len(first) < 20:
        return False
    as_given = float(np.median(np.abs(first[1:] - second[:-1])))
    turned = float(np.median(np.abs(second[1:] - first[:-1])))
    newest_first = float(np.median(np.abs(first[:-1] - second[1:])))  # a file in descending time
    return turned < 0.5 * as_given and turned < 0.5 * newest_first


def _further(
    names: Sequence[str], values: Mapping[str, npt.NDArray[np.float64]], roles: dict[str, str]
) -> list[str]:
    """Volume and what stands behind it."""
    if not names:
        return []
    roles["volume"] = names[0]
    rest = names[1:]
    if not rest:
        return []
    if len(rest) == 1 and rest[0] in values and names[0] in values:
        last, volume, close = values[rest[0]], values[names[0]], values[roles["close"]]
        traded = (volume > 0) & (last > 0) & (close > 0)
        apart = np.log(last[traded]) - np.log(volume[traded]) - np.log(close[traded])
        if traded.any() and float(np.median(np.abs(apart))) < 0.05:
            roles["quote_volume"] = rest[0]
            return [f"Column {rest[0]} is the volume in quote currency: it is about volume times price."]
        if bool((np.isnan(last) | (last == np.floor(last))).all()):
            roles["trade_count"] = rest[0]
            return [f"Column {rest[0]} is taken as the number of trades: it is whole."]
    raise ImportRefused(f"No header, and columns {', '.join(rest)} fit no known layout: name the columns.")


def _are_close_times(values: npt.NDArray[np.float64] | None) -> bool:
    """Whether a column holds epochs."""
    return values is not None and are_epochs(values)
