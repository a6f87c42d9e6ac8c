"""The exchanges that the room can collect from: what each gives, and how much of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from marketml.rpc.refusals import Violation
from services.data.series import (
    CANDLES,
    DAY_US,
    FUNDING_RATES,
    HOUR_US,
    MINUTE_US,
    OPEN_INTEREST,
    Kind,
    Series,
)

INTEREST_TIMEFRAME = "5m"  # the finest that exchanges keep of open interest
FUNDING_INTERVAL_MAX_US = 8 * HOUR_US  # a longer hole may be the end of a short page


@dataclass(frozen=True)
class Venue:
    """One exchange.

    Attributes
    ----------
    candles_max, funding_max, interest_max
        Rows of a page; 0 where it gives no history of that kind.
    kept_bars_count
        How many newest bars it still gives, where it does not give all.
    interest_days
        How many days of open interest it keeps, where not all.
    span_days_max
        The longest range that it answers in one request.
    has_klines
        Its own answer has more columns than ccxt hands on; and asked without an end, for candles or funding
        rates, it answers with what follows the start, however late.
    """

    candles_max: int
    funding_max: int = 0
    interest_max: int = 0
    kept_bars_count: int | None = None
    interest_days: int | None = None
    span_days_max: int | None = None
    has_klines: bool = False

    def rows_max(self, kind: Kind) -> int:
        """Rows of a page; 0 where it has no history of the kind."""
        return {CANDLES: self.candles_max, FUNDING_RATES: self.funding_max}.get(kind, self.interest_max)

    def window_us(self, series: Series) -> int:
        """The longest range that is sure to fit in a page when nothing of it is absent."""
        span_us = self.rows_max(series.kind) * grain_us(series)
        return span_us if self.span_days_max is None else min(span_us, self.span_days_max * DAY_US)

    def kept_us(self, series: Series) -> int | None:
        """How far back it has rows of the series; None where it has all."""
        if series.kind is CANDLES and self.kept_bars_count is not None:
            return self.kept_bars_count * series.step_us
        if series.kind is OPEN_INTEREST and self.interest_days is not None:
            return self.interest_days * DAY_US
        return None


# By ccxt's own ids. Binance's contracts cost least per row in pages of 499.
VENUES = {
    "binance": Venue(499, 1000, 500, interest_days=29, span_days_max=199, has_klines=True),
    "binancecoinm": Venue(499, 1000, 500, interest_days=29, span_days_max=199, has_klines=True),
    "binanceus": Venue(1000, has_klines=True),
    "binanceusdm": Venue(499, 1000, 500, interest_days=29, has_klines=True),
    "bitfinex": Venue(10_000),
    "bitget": Venue(200),
    "bybit": Venue(1000, 200, 200),
    "coinbase": Venue(300),
    "deribit": Venue(1000, 744),
    "gate": Venue(999, 1000, kept_bars_count=9_900),
    "hyperliquid": Venue(500, 500, kept_bars_count=4_990),
    "kraken": Venue(719, kept_bars_count=719),
    "krakenfutures": Venue(2000),
    "kucoin": Venue(1500),
    "kucoinfutures": Venue(500, 100),
    "mexc": Venue(1000),
    "okx": Venue(100, 100),
}


def grain_us(series: Series) -> int:
    """The time between two rows: the timeframe, what exchanges keep of open interest, and the longest usual
    interval of funding."""
    if series.kind is CANDLES:
        return series.step_us
    return 5 * MINUTE_US if series.kind is OPEN_INTEREST else FUNDING_INTERVAL_MAX_US


def venue_violation(series: Series, prefix: str) -> Violation | None:
    """Why no exchange can be asked for a series, if so."""
    venue = VENUES.get(series.venue)
    if venue is None:
        near = nearest(series.venue, VENUES)
        known = f"the nearest are {near}" if near else f"it knows {', '.join(VENUES)}"
        return Violation(
            f"{prefix}key.venue",
            "unknown",
            f"must be an exchange that the room can ask, not {series.venue!r}; {known}.",
        )
    if not venue.rows_max(series.kind):
        return Violation(
            f"{prefix}kind",
            "not_offered",
            f"must be what {series.venue} gives a history of, not {series.kind.name}.",
        )
    return None


def nearest(text: str, known: Iterable[str], count: int = 3) -> str:
    """The nearest of the known words, for a refusal."""
    return ", ".join(difflib.get_close_matches(text, list(known), n=count, cutoff=0.4))
