"""The table of venues against ccxt: what it promises is there, and a mirror stands for every address."""

from __future__ import annotations

from typing import Any

import pytest

from services.data.collection.ccxt_exchange import Access, Quiet, made
from services.data.collection.venues import VENUES, venue_violation
from services.data.series import CANDLES, FUNDING_RATES, OPEN_INTEREST, Series


@pytest.mark.parametrize("name", sorted(VENUES))
def test_ccxt_has_what_the_table_says_of_a_venue(name: str) -> None:
    exchange = made(name, Access(), Quiet())
    venue = VENUES[name]
    assert exchange.id == name
    assert exchange.enableRateLimit
    assert exchange.has["fetchOHLCV"]
    assert exchange.has["fetchFundingRateHistory"] or not venue.funding_max
    assert exchange.has["fetchOpenInterestHistory"] or not venue.interest_max
    assert "1m" in exchange.timeframes


@pytest.mark.parametrize("name", sorted(VENUES))
def test_a_mirror_stands_for_every_address_of_a_venue(name: str) -> None:
    exchange = made(name, Access(urls={name: "http://127.0.0.1:1/mirror/"}), Quiet())
    addresses = [url for url in _texts(exchange.urls["api"]) if not url.startswith("ws")]
    assert addresses
    assert all(url.startswith("http://127.0.0.1:1/mirror") and "{" not in url for url in addresses)


def test_a_venue_is_refused_where_it_has_no_history_of_the_kind() -> None:
    for name, venue in VENUES.items():
        for kind, rows_max in (
            (CANDLES, venue.candles_max),
            (FUNDING_RATES, venue.funding_max),
            (OPEN_INTEREST, venue.interest_max),
        ):
            series = Series(kind, name, "BTC/USDT:USDT", "1h" if kind is CANDLES else "")
            violation = venue_violation(series, "")
            assert (violation is None) == (rows_max > 0)
            if rows_max:
                assert venue.window_us(series) > 0


def test_an_unknown_venue_is_refused_with_the_nearest() -> None:
    violation = venue_violation(Series(CANDLES, "binanceusd", "BTC/USDT:USDT", "1h"), "series.")
    assert violation is not None
    assert violation.field == "series.key.venue"
    assert "binanceusdm" in violation.description


def _texts(urls: Any) -> list[str]:
    if isinstance(urls, dict):
        return [text for inner in urls.values() for text in _texts(inner)]
    return [urls] if isinstance(urls, str) else []
