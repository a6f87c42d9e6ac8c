"""What is asked of ccxt, and what its answers and errors mean: the only file that knows it.

Everything but `made` runs on the exchanges' loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import email.utils
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from marketml.rpc.refusals import FailedPrecondition
from services.data.checks import ABSENT_US
from services.data.collection.venues import INTEREST_TIMEFRAME, VENUES
from services.data.revisions import Values
from services.data.series import CANDLES, FUNDING_RATES, Series
from services.data.uploads import Piece

FUNDING_JITTER_MS = 1000
_TOO_MANY = (418, 429)

_log = logging.getLogger("marketml.data")
# Status and headers of the newest answer to the attempt under way; the tasks that ccxt makes share it.
_answer: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("_answer")


@dataclass(frozen=True)
class Access:
    """How exchanges are reached.

    Attributes
    ----------
    urls
        By venue: what stands in place of scheme and host of every address, an operator's mirror.
    proxy
        Of all requests; None goes straight.
    attempts_count
        Of a request; the waits between them double from `backoff_seconds` on.
    wait_seconds_max
        The longest wait that an exchange may ask for before it is told as trouble.
    """

    urls: Mapping[str, str] = field(default_factory=dict)
    proxy: str | None = None
    attempts_count: int = 6
    request_seconds: float = 20.0
    backoff_seconds: float = 1.0
    wait_seconds_max: float = 120.0


@dataclass
class Quiet:
    """Until when, by the monotonic clock, an exchange wants no request of anybody."""

    until: float = 0.0

    def ask(self, seconds: float) -> None:
        self.until = max(self.until, time.monotonic() + seconds)

    @property
    def seconds(self) -> float:
        return max(0.0, self.until - time.monotonic())


class TroubleError(Exception):
    """An attempt that failed and is worth another; `sentence` says how."""

    def __init__(
        self, sentence: str, wait_seconds: float | None = None, *, is_rate_limit: bool = False
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.wait_seconds = wait_seconds
        self.is_rate_limit = is_rate_limit


def made(name: str, access: Access, quiet: Quiet) -> Any:
    """The exchange of ccxt. Takes seconds the first time."""
    import ccxt.async_support as ccxt

    assert name in VENUES
    exchange: Any = getattr(ccxt, name)(
        {
            "enableRateLimit": True,
            "timeout": int(access.request_seconds * 1000),
            "aiohttp_proxy": access.proxy,
        }
    )
    exchange.timeout_on_exit = 0
    if base := access.urls.get(name):
        exchange.urls["api"] = _rebased(exchange.urls["api"], base.rstrip("/"))

    def heard(status: int, _reason: Any, _url: Any, _method: Any, headers: Any, body: Any, *_: Any) -> Any:
        heard_of = _answer.get()
        heard_of["status"], heard_of["headers"] = status, headers
        if status in _TOO_MANY:
            quiet.ask(_retry_after_seconds() or 0.0)
        return body.strip()

    in_turn = exchange.throttle

    async def throttle(cost: Any = None) -> None:
        await in_turn(cost)
        while seconds := quiet.seconds:  # it may have been asked for while the request waited for its turn
            await asyncio.sleep(seconds)

    exchange.on_rest_response = heard
    exchange.throttle = throttle
    return exchange


def _rebased(urls: Any, base: str) -> Any:
    """Every address below another scheme and host; streams stay what they are."""
    if isinstance(urls, dict):
        return {name: _rebased(inner, base) for name, inner in urls.items()}
    if isinstance(urls, str) and urls.startswith("http"):
        return base + urlsplit(urls).path
    return urls


async def tried(name: str, work: Callable[[], Awaitable[Any]]) -> Any:
    """One attempt, on the exchanges' loop.

    Raises
    ------
    TroubleError
        Worth another attempt.
    FailedPrecondition
        Not worth one.
    """
    _answer.set({})
    try:
        return await work()
    except Exception as error:
        raise _understood(name, error) from error


def _understood(name: str, error: Exception) -> Exception:
    # What the exchange said may hold addresses: neither told nor logged.
    import aiohttp
    import ccxt

    status = int(_answer.get().get("status", 0))
    _log.info("%s: an attempt failed with %s, status %d.", name, type(error).__name__, status)
    if status in _TOO_MANY or isinstance(error, ccxt.DDoSProtection):
        return TroubleError("the exchange's rate limit", _retry_after_seconds(), is_rate_limit=True)
    if status >= 500:
        return TroubleError(f"the exchange answered {status}", _retry_after_seconds())
    if isinstance(error, ccxt.RequestTimeout):
        return TroubleError("the exchange did not answer in time")
    if isinstance(error.__cause__, aiohttp.ClientError | OSError):
        return TroubleError("the connection to the exchange broke")
    lasting = (ccxt.BadRequest, ccxt.AuthenticationError, ccxt.NotSupported, ccxt.OperationRejected)
    if isinstance(error, lasting) or (400 <= status < 500 and status not in (408, 425)):
        said = f", status {status}" if status else ""
        return FailedPrecondition(
            name, f"{name} refuses what is asked ({type(error).__name__}{said}); asking again would not help."
        )
    return TroubleError("the exchange's answer could not be read")


def _headers() -> Mapping[str, str]:
    return {str(key).lower(): str(value) for key, value in _answer.get().get("headers", {}).items()}


def _retry_after_seconds() -> float | None:
    text = _headers().get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until_us = _date_us(text)
    return None if until_us is None else max(0.0, until_us / 1e6 - time.time())


def exchange_us() -> int | None:
    return _date_us(_headers().get("date", ""))


def _date_us(text: str) -> int | None:
    try:
        return int(email.utils.parsedate_to_datetime(text).timestamp() * 1e6)
    except (TypeError, ValueError, OverflowError):
        return None


def _settlement_ms(stamp: Any) -> Any:
    """A settlement on its minute: venues write the record some milliseconds later."""
    if stamp is None:
        return None
    late = int(stamp) % 60_000
    return int(stamp) - late if late < FUNDING_JITTER_MS else int(stamp)


def piece(
    series: Series, stamps: Sequence[Any], rows: Sequence[Sequence[Any]], since: int, until: int | None
) -> Piece:
    """The rows that were asked for, by time, those of one time as they came."""
    times = np.array([ABSENT_US if stamp is None else int(stamp) * 1000 for stamp in stamps], np.int64)
    inside = np.flatnonzero((times >= since * 1000) & ((until is None) | (times <= (until or 0) * 1000)))
    order = inside[np.argsort(times[inside], kind="stable")]
    columns: list[Values] = [
        np.array([_number(row[position]) for row in rows], np.float64)[order]
        for position in range(len(series.kind.columns))
    ]
    return Piece(times[order], tuple(columns))


def _number(value: Any) -> float:
    """NaN for what is none: the checks of the rows name it."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


async def asked_rows(
    ccxt: Any, series: Series, since: int, until: int | None, rows_max: int
) -> tuple[list[Any], list[list[Any]]]:
    """Times in milliseconds and rows of columns, as the exchange says them."""
    symbol = series.symbol
    params = {} if until is None else {"until": until}
    if series.kind is CANDLES and VENUES[series.venue].has_klines:
        return await _klines(ccxt, series, since, until, rows_max)
    if series.kind is CANDLES:
        rows = await ccxt.fetch_ohlcv(symbol, series.timeframe, since, rows_max, params)
        return [row[0] for row in rows], [[*row[1:6], None, None, None] for row in rows]
    if series.kind is FUNDING_RATES:
        if until is not None:  # a record of that very settlement may be written later
            params = {"until": until + FUNDING_JITTER_MS - 1}
        if series.venue == "okx" and until is not None:  # ccxt leaves the end out there
            params = {"after": until + FUNDING_JITTER_MS}
        rows = await ccxt.fetch_funding_rate_history(symbol, since, rows_max, params)
        times = [_settlement_ms(row["timestamp"]) for row in rows]
        return times, [[row["fundingRate"], row["info"].get("markPrice")] for row in rows]
    rows = await ccxt.fetch_open_interest_history(symbol, INTEREST_TIMEFRAME, since, rows_max, params)
    values = [[row["openInterestAmount"], row["openInterestValue"]] for row in rows]
    return [row["timestamp"] for row in rows], values


async def _klines(
    ccxt: Any, series: Series, since: int, until: int | None, rows_max: int
) -> tuple[list[Any], list[list[Any]]]:
    """Binance's candles with all their columns, of which ccxt hands on five."""
    market = ccxt.market(series.symbol)
    asked = {
        "symbol": market["id"],
        "interval": ccxt.timeframes[series.timeframe],
        "startTime": since,
        "limit": rows_max,
    }
    if until is not None:
        asked["endTime"] = until
    if market["linear"]:
        rows = await ccxt.fapiPublicGetKlines(asked)
    elif market["inverse"]:
        rows = await ccxt.dapiPublicGetKlines(asked)
    else:
        rows = await ccxt.publicGetKlines(asked)
    if not isinstance(rows, list):
        raise TypeError("no list")
    # Contracts counted in coins have no volume in quote currency: that field is the volume in coins.
    quote = (lambda row: None) if market["inverse"] else (lambda row: row[7])
    values = [[*row[1:6], quote(row), row[8], row[9]] for row in rows]
    return [row[0] for row in rows], values
