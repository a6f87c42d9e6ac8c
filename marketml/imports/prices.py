"""What the prices of bars are: of trades, of quotes, or computed by the exchange."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from marketml.imports.file_names import FileName
from marketml.imports.names import PRICES
from marketml.imports.refused import ImportRefused

Prices: TypeAlias = Literal["trade", "mark", "index"]


def prices_of(
    said: Prices | None, name: FileName, values: dict[str, npt.NDArray[np.float64]], notes: list[str]
) -> Prices:
    """Whether candles are of trades, of the mark or of the index price. The last two lose their columns of
    volume, which hold fillers.

    Raises
    ------
    ImportRefused
        The premium index, which is no price; or bars that nobody traded and that nothing tells apart.
    """
    if said is not None and said not in get_args(Prices):
        raise ImportRefused(f"prices must be one of {', '.join(get_args(Prices))}: {said!r}.")
    if name.prices == "premium" and said is None:
        raise ImportRefused(
            "The file holds the premium index by its name: a fraction of the price, not a price; it makes no "
            "candles."
        )
    if said is None and name.prices is None and _is_untraded(values):
        raise ImportRefused(
            "No bar has any volume although each counts its ticks: these are bars of the mark, index or "
            "premium price, not of trades; say which: prices mark or index."
        )
    if said is not None and name.prices is not None and said != name.prices:
        notes.append(f"Warning: the file's name says {name.prices} prices; taken as {said} prices as told.")
    found: Prices = said or ("mark" if name.prices == "mark" else "index" if name.prices else "trade")
    if found == "trade":
        if name.quote_side is not None:
            notes.append(f"Bars of {name.quote_side} quotes by the file's name, not of trades.")
        return found
    how = "as told" if said else "by the file's name"
    notes.append(f"Warning: {found} prices {how}, not trades: kept apart, their volumes left unknown.")
    for column in [column for column in values if column not in PRICES]:
        del values[column]
    return found


def venue_of(venue: str, prices: Prices) -> str:
    """The venue under which candles of these prices are stored: `binance-mark` keeps mark prices apart from
    the trades of `binance`."""
    return venue if prices == "trade" else f"{venue}-{prices}"


def _is_untraded(values: dict[str, npt.NDArray[np.float64]]) -> bool:
    volume, count = values.get("volume"), values.get("trade_count")
    if volume is None or count is None:
        return False
    return bool((volume == 0).all() and (count > 0).all())
