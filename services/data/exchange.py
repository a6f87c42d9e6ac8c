"""The door to exchanges: the only file that knows ccxt.

ccxt works on a thread and loop of its own: reading ten thousand markets never keeps the server's loop busy.
It is imported when the first series is collected: that takes seconds and memory which most rooms never need.
"""

from __future__ import annotations

import asyncio
import contextvars
import email.utils
import logging
import math
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from marketml.rpc.refusals import FailedPrecondition, Reason, Unavailable, Violation
from services.data.checks import ABSENT_US
from services.data.revisions import Values
from services.data.series import CANDLES, FUNDING_RATES, Series
from services.data.uploads import Piece
from services.data.venues import INTEREST_TIMEFRAME, VENUES, Venue, nearest

T = TypeVar("T")
Tell = Callable[[str], None]

BEGINNING_US = 1_230_940_800_000_000  # 2009-01-03: no exchange has older rows
BACKOFF_SECONDS_MAX = 30.0
FUNDING_JITTER_MS = 1000
_TOO_MANY = (418, 429)
RELOAD_SECONDS = 600.0  # how old markets may be when a symbol is not among them

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


@dataclass(frozen=True)
class Page:
    """What an exchange answered, and its own clock where it says it."""

    rows: Piece
    exchange_us: int | None


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


class Exchanges:
    """The exchanges of the room, one object each: all series of a venue share its rate limit."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._open: dict[str, Exchange] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def of(self, venue: str) -> Exchange:
        """The exchange of a venue that `VENUES` has; nothing is asked yet."""
        if venue not in self._open:
            self._open[venue] = Exchange(venue, VENUES[venue], self._access, self.run)
        return self._open[venue]

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await `work()` on the exchanges' loop; a cancelled caller cancels it there."""

        async def on_loop() -> T:
            return await work()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(on_loop(), self._started()))

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="exchanges", daemon=True)
            self._thread.start()
        return self._loop

    async def close(self) -> None:
        """Close connections and end the thread."""
        if self._loop is None or self._thread is None:
            return
        for exchange in self._open.values():
            await exchange.close()
        await self.run(_end_other_tasks)
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join, 5.0)
        self._loop.close()
        self._loop, self._thread, self._open = None, None, {}


class Exchange:
    """One venue. Its methods run on the server's loop and never block it."""

    def __init__(
        self,
        name: str,
        venue: Venue,
        access: Access,
        run: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]],
    ) -> None:
        self.name = name
        self.venue = venue
        self._access = access
        self._run = run
        self._ccxt: Any = None
        self._loading = asyncio.Lock()
        self._loaded_at: float | None = None
        self._quiet = Quiet()

    async def load(self, symbols: Iterable[str], tell: Tell) -> None:
        """Load its markets, once, and again when one of `symbols` may have been listed since.

        Raises
        ------
        Unavailable, FailedPrecondition
            As `page`.
        """
        async with self._loading:
            if self._ccxt is None:
                tell("the exchange's markets")
                self._ccxt = await asyncio.to_thread(_made, self.name, self._access, self._quiet)
            is_known = all(symbol in (self._ccxt.markets or {}) for symbol in symbols)
            if is_known and self._loaded_at is not None:
                return
            if self._loaded_at is not None and time.monotonic() - self._loaded_at < RELOAD_SECONDS:
                return
            await self._attempts(lambda: self._ccxt.load_markets(self._loaded_at is not None), tell)
            self._loaded_at = time.monotonic()

    def violation(self, series: Series, prefix: str) -> Violation | None:
        """What of the series the exchange does not have, by the markets it has loaded."""
        market = self._ccxt.markets.get(series.symbol)
        if market is None:
            near = nearest(series.symbol, self._ccxt.markets)
            hint = f"; the nearest are {near}." if near else "."
            return Violation(
                f"{prefix}key.symbol",
                "unknown",
                f"must be a market of {self.name}, not {series.symbol!r}{hint}",
            )
        if series.kind is CANDLES and series.timeframe not in self._ccxt.timeframes:
            known = " ".join(self._ccxt.timeframes)
            return Violation(
                f"{prefix}key.timeframe",
                "not_offered",
                f"must be one that {self.name} gives ({known}), not {series.timeframe!r}.",
            )
        if not {CANDLES: True, FUNDING_RATES: market["swap"]}.get(series.kind, market["contract"]):
            return Violation(
                f"{prefix}kind",
                "not_offered",
                f"must be what {series.symbol} has at {self.name}, not {series.kind.name}.",
            )
        return None

    async def page(self, series: Series, start_us: int, end_us: int, tell: Tell) -> Page:
        """Rows in [start, end), at most a page of them, by time; there may be more.

        Raises
        ------
        Unavailable
            It did not answer in as many attempts as are made, or asks for a longer wait than is allowed.
        FailedPrecondition
            It refuses what is asked for good.
        """
        since, until = -(-start_us // 1000), (end_us - 1) // 1000
        return await self._asked(series, since, until, self.venue.rows_max(series.kind), tell)

    def can_look_ahead(self, series: Series) -> bool:
        """Whether it says what follows a time, however late; Binance does not of coin-margined contracts."""
        is_inverse = bool(self._ccxt.markets[series.symbol]["inverse"])
        return self.venue.has_klines and not is_inverse and self.venue.kept_us(series) is None

    async def following_us(self, series: Series, start_us: int, tell: Tell) -> int | None:
        """Time of the first row from `start_us` on; None without any. Only where it can look ahead."""
        page = await self._asked(series, start_us // 1000, None, 1, tell)
        return int(page.rows.times[0]) if len(page.rows.times) else None

    async def oldest_us(self, series: Series, end_us: int, tell: Tell) -> int | None:
        """A time shortly before the oldest row, found by halving the years; None without a row."""
        if self.can_look_ahead(series):
            return await self.following_us(series, 0, tell)
        window_us = self.venue.window_us(series)
        low, high, found_us = BEGINNING_US // window_us, -(-end_us // window_us), None
        while low < high:
            middle = (low + high) // 2
            page = await self.page(series, middle * window_us, (middle + 1) * window_us, tell)
            if len(page.rows.times):
                found_us, high = middle * window_us, middle
            else:
                low = middle + 1
        return found_us

    async def close(self) -> None:
        """Close its connections."""
        if self._ccxt is not None:
            await self._run(self._ccxt.close)

    async def _asked(self, series: Series, since: int, until: int | None, rows_max: int, tell: Tell) -> Page:
        async def ask() -> Page:
            times, columns = await self._rows(series, since, until, rows_max)
            return Page(_piece(series, times, columns, since, until), _exchange_us())

        page: Page = await self._attempts(ask, tell)
        return page

    async def _attempts(self, work: Callable[[], Awaitable[Any]], tell: Tell) -> Any:
        count = self._access.attempts_count
        for attempt in range(1, count + 1):
            while seconds := self._quiet.seconds:
                if seconds > self._access.wait_seconds_max:
                    raise self._down("the exchange's rate limit", attempt - 1, seconds)
                tell("rate limit")
                await asyncio.sleep(seconds)
            try:
                return await self._run(lambda: _tried(self.name, work))
            except TroubleError as trouble:
                seconds = min(self._access.backoff_seconds * 2 ** (attempt - 1), BACKOFF_SECONDS_MAX)
                seconds *= 0.5 + random.random()
                seconds = max(seconds, trouble.wait_seconds or 0.0)
                if trouble.is_rate_limit:
                    self._quiet.ask(seconds)
                if attempt == count or seconds > self._access.wait_seconds_max:
                    raise self._down(trouble.sentence, attempt, seconds) from trouble
                told = "rate limit" if trouble.is_rate_limit else trouble.sentence
                tell(f"{told}, attempt {attempt + 1} of {count}")
                await asyncio.sleep(seconds)
        raise AssertionError("unreachable")

    def _down(self, sentence: str, attempts_count: int, seconds: float) -> Unavailable:
        return Unavailable(
            f"{self.name}: {sentence} ({attempts_count} of {self._access.attempts_count} attempts); what was "
            "stored before stays, the same call goes on there.",
            max(seconds, 1.0),
            Reason.EXCHANGE_DOWN,
        )

    async def _rows(
        self, series: Series, since: int, until: int | None, rows_max: int
    ) -> tuple[list[Any], list[list[Any]]]:
        """Times in milliseconds and rows of columns, as the exchange says them."""
        ccxt, symbol = self._ccxt, series.symbol
        params = {} if until is None else {"until": until}
        if series.kind is CANDLES and self.venue.has_klines:
            return await self._klines(series, since, until, rows_max)
        if series.kind is CANDLES:
            rows = await ccxt.fetch_ohlcv(symbol, series.timeframe, since, rows_max, params)
            return [row[0] for row in rows], [[*row[1:6], None, None, None] for row in rows]
        if series.kind is FUNDING_RATES:
            if until is not None:  # a record of that very settlement may be written later
                params = {"until": until + FUNDING_JITTER_MS - 1}
            if self.name == "okx" and until is not None:  # ccxt leaves the end out there
                params = {"after": until + FUNDING_JITTER_MS}
            rows = await ccxt.fetch_funding_rate_history(symbol, since, rows_max, params)
            times = [_settlement_ms(row["timestamp"]) for row in rows]
            return times, [[row["fundingRate"], row["info"].get("markPrice")] for row in rows]
        rows = await ccxt.fetch_open_interest_history(symbol, INTEREST_TIMEFRAME, since, rows_max, params)
        values = [[row["openInterestAmount"], row["openInterestValue"]] for row in rows]
        return [row["timestamp"] for row in rows], values

    async def _klines(
        self, series: Series, since: int, until: int | None, rows_max: int
    ) -> tuple[list[Any], list[list[Any]]]:
        """Binance's candles with all their columns, of which ccxt hands on five."""
        ccxt = self._ccxt
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


async def _end_other_tasks() -> None:
    """ccxt's own: a rate limit that waits for its next turn."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _made(name: str, access: Access, quiet: Quiet) -> Any:
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


async def _tried(name: str, work: Callable[[], Awaitable[Any]]) -> Any:
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


def _exchange_us() -> int | None:
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


def _piece(
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
