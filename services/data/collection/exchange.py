"""The exchanges of the room: one object each, asked again when an attempt fails, quiet when they want it.

ccxt works on a thread and loop of its own: reading ten thousand markets never keeps the server's loop busy.
It is imported when the first series is collected: that takes seconds and memory which most rooms never need.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from marketml.rpc.refusals import Reason, Unavailable, Violation
from services.data.collection.ccxt_exchange import (
    Access,
    Quiet,
    TroubleError,
    asked_rows,
    exchange_us,
    made,
    piece,
    tried,
)
from services.data.collection.venues import VENUES, Venue, nearest
from services.data.series import CANDLES, FUNDING_RATES, Series
from services.data.uploads import Piece

T = TypeVar("T")
Tell = Callable[[str], None]

BEGINNING_US = 1_230_940_800_000_000  # 2009-01-03: no exchange has older rows
BACKOFF_SECONDS_MAX = 30.0
RELOAD_SECONDS = 600.0  # how old markets may be when a symbol is not among them


@dataclass(frozen=True)
class Page:
    """What an exchange answered, and its own clock where it says it."""

    rows: Piece
    exchange_us: int | None


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
                self._ccxt = await asyncio.to_thread(made, self.name, self._access, self._quiet)
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
            times, columns = await asked_rows(self._ccxt, series, since, until, rows_max)
            return Page(piece(series, times, columns, since, until), exchange_us())

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
                return await self._run(lambda: tried(self.name, work))
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


async def _end_other_tasks() -> None:
    """ccxt's own: a rate limit that waits for its next turn."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
