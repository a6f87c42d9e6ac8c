"""A local HTTP server that answers like an exchange, with an exchange's quirks.

with ExchangeServer(now="2024-01-02T00:30Z") as exchange:
    exchange.url                                 # for `exchange_urls`: binanceusdm=<url> bybit=<url>
    exchange.absent.add(exchange.stamp("2024-01-01T05:00Z"))
    exchange.troubles.append(Trouble(503))

It speaks what ccxt asks of Binance's USD-M futures (oldest first, numbers in lists) and of Bybit's linear
contracts (newest first, text). Every bar, settlement and observation follows from its time: a test computes
what must be stored.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pandas as pd
from aiohttp import web

MINUTE, HOUR = 60_000, 3_600_000
BARS = {"1m": MINUTE, "5m": 5 * MINUTE, "1h": HOUR, "4h": 4 * HOUR, "1d": 24 * HOUR}
_BYBIT_BARS = {"1": MINUTE, "5": 5 * MINUTE, "60": HOUR, "240": 4 * HOUR, "D": 24 * HOUR}


@dataclass(frozen=True)
class Asked:
    """One request for rows."""

    what: str  # klines, funding, interest
    symbol: str
    start: int | None
    end: int | None
    limit: int


@dataclass(frozen=True)
class Trouble:
    """Instead of the next answer: a status; 0 cuts the connection in the middle of a body; -1 is no JSON; -2
    never answers."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


class ExchangeServer:
    """The server, on a loop of its own thread. Times are milliseconds since 1970 UTC.

    Attributes
    ----------
    absent
        Stamps that it has no row of.
    revised
        Stamps whose close (rate, open interest) it now says otherwise.
    contradicted
        Stamps that it says twice in one answer, first with a close that is not the right one.
    repeated
        Stamps that it says twice, alike.
    impossible
        Stamps of bars whose high lies below their low.
    overlap_count
        Rows before the asked start that each answer begins with.
    rows_max
        Of one answer, whatever is asked.
    shows_open_bar
        The bar that is still open is in every answer, whatever the asked end.
    troubles
        Instead of the next answers for rows.
    is_down
        Every request is answered with 503.
    settlements
        When another interval of funding begins, and which, in hours.
    settlement_delay
        How late settlements are stamped.
    """

    def __init__(self, now: str = "2024-01-02T00:30Z", listed: str = "2024-01-01T00:00Z") -> None:
        self.now = self.stamp(now)
        self.listed = self.stamp(listed)
        self.symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
        self.absent: set[int] = set()
        self.revised: dict[int, float] = {}
        self.contradicted: set[int] = set()
        self.repeated: set[int] = set()
        self.impossible: set[int] = set()
        self.overlap_count = 0
        self.rows_max = 1500
        self.shows_open_bar = False
        self.troubles: deque[Trouble] = deque()
        self.is_down = False
        self.settlements: list[tuple[int, int]] = [(0, 8)]
        self.settlement_delay = 0
        self.asked: list[Asked] = []
        self.requests_count = 0
        self.early_count = 0  # requests before a Retry-After was over
        self.hold = threading.Event()  # while clear, answers for rows wait
        self.hold.set()
        self._quiet_until = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self.url = ""

    @staticmethod
    def stamp(time: str | pd.Timestamp) -> int:
        return int(pd.Timestamp(time).value // 1_000_000)

    def bar(self, open_time: int, length: int) -> list[float]:
        """Open, high, low, close, volume, quote volume, trades, bought volume."""
        number = open_time // length
        opened = 100.0 + number % 50
        close = self.revised.get(open_time, opened + 0.5)
        high, low = max(opened, close) + 1.0, min(opened, close) - 1.0
        volume = 10.0 + number % 7
        return [opened, high, low, close, volume, volume * opened, float(5 + number % 11), volume / 2]

    def rate(self, time: int) -> float:
        return self.revised.get(time, (time // HOUR % 100) / 1e6)

    def interest(self, time: int) -> float:
        return self.revised.get(time, 1000.0 + time // (5 * MINUTE) % 100)

    def bars(self, start: int, end: int, length: int) -> list[int]:
        """The opens of the closed bars that it has in [start, end)."""
        first = -(-max(start, self.listed) // length) * length
        last = min(end, self.now - length + 1)
        return [at for at in range(first, last, length) if at not in self.absent]

    def funding_times(self, start: int, end: int) -> list[int]:
        """Its settlements in [start, end) so far."""
        hours = range(-(-max(start, self.listed) // HOUR) * HOUR, min(end, self.now + 1), HOUR)
        return [at for at in hours if at not in self.absent and self._is_settlement(at)]

    def interest_times(self, start: int, end: int) -> list[int]:
        """Its observations of open interest in [start, end) so far."""
        step = 5 * MINUTE
        return [
            at
            for at in range(-(-max(start, self.listed) // step) * step, min(end, self.now + 1), step)
            if at not in self.absent
        ]

    def _is_settlement(self, at: int) -> bool:
        hours = [hours for begin, hours in self.settlements if begin <= at][-1]
        return at // HOUR % hours == 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.hold.set()
        assert self._runner is not None
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> str:
        app = web.Application()
        app.router.add_get("/fapi/v1/exchangeInfo", self._binance_markets)
        app.router.add_get("/fapi/v1/klines", self._binance_klines)
        app.router.add_get("/fapi/v1/fundingRate", self._binance_funding)
        app.router.add_get("/futures/data/openInterestHist", self._binance_interest)
        app.router.add_get("/v5/market/instruments-info", self._bybit_markets)
        app.router.add_get("/v5/market/kline", self._bybit_klines)
        app.router.add_get("/v5/market/funding/history", self._bybit_funding)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def _answer(self, request: web.Request, body: Any, asked: Asked | None) -> web.StreamResponse:
        self.requests_count += 1
        if time.monotonic() < self._quiet_until:
            self.early_count += 1
        headers = {"Date": email.utils.formatdate(self.now / 1000, usegmt=True)}
        text = json.dumps(body)
        if self.is_down:
            return web.Response(status=503, text="maintenance", headers=headers)
        if asked is not None:
            self.asked.append(asked)
            while not self.hold.is_set():
                await asyncio.sleep(0.005)
            if self.troubles:
                return await self._trouble(request, self.troubles.popleft(), text, headers)
        return web.Response(text=text, content_type="application/json", headers=headers)

    async def _trouble(
        self, request: web.Request, trouble: Trouble, text: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        if trouble.status > 0:
            if "Retry-After" in trouble.headers:
                self._quiet_until = time.monotonic() + float(trouble.headers["Retry-After"]) - 0.05
            said = '{"code":-1003,"msg":"Too many requests."}' if trouble.status in (418, 429) else "trouble"
            return web.Response(status=trouble.status, text=said, headers=headers | trouble.headers)
        if trouble.status == -1:
            return web.Response(text="<html>maintenance</html>", content_type="text/html", headers=headers)
        if trouble.status == -2:
            await asyncio.sleep(3600)
        cut = web.StreamResponse(headers=headers | {"Content-Length": str(len(text))})
        await cut.prepare(request)
        await cut.write(text[: len(text) // 2].encode())
        assert request.transport is not None
        request.transport.close()
        return cut

    def _times(self, asked: Asked, has: list[int], length: int) -> list[int]:
        """What one answer holds, oldest first, before it is said twice or cut."""
        times = has[: min(asked.limit, self.rows_max)]
        if self.overlap_count and asked.start is not None:
            before = [at for at in self.bars(0, asked.start, length) if at < asked.start]
            times = before[-self.overlap_count :] + times
        if self.shows_open_bar:
            times = [*times, self.now // length * length]
        return times

    def _rows(self, times: Iterable[int], length: int) -> list[tuple[int, list[float]]]:
        rows = []
        for at in times:
            row = self.bar(at, length)
            if at in self.contradicted:
                rows.append((at, [*row[:3], row[3] - 0.25, *row[4:]]))
            if at in self.repeated:
                rows.append((at, row))
            if at in self.impossible:
                row = [row[0], row[2] - 5.0, *row[2:]]
            rows.append((at, row))
        return rows

    async def _binance_markets(self, request: web.Request) -> web.StreamResponse:
        symbols = [
            {
                "symbol": symbol,
                "pair": symbol,
                "contractType": "PERPETUAL",
                "deliveryDate": 4133404800000,
                "onboardDate": self.listed,
                "status": "TRADING",
                "baseAsset": symbol.removesuffix("USDT"),
                "quoteAsset": "USDT",
                "marginAsset": "USDT",
                "pricePrecision": 2,
                "quantityPrecision": 3,
                "baseAssetPrecision": 8,
                "quotePrecision": 8,
                "filters": [],
                "orderTypes": ["LIMIT"],
                "timeInForce": ["GTC"],
            }
            for symbol in self.symbols
        ]
        return await self._answer(request, {"timezone": "UTC", "symbols": symbols}, None)

    async def _binance_klines(self, request: web.Request) -> web.StreamResponse:
        asked = _asked("klines", request, "startTime", "endTime", 500)
        length = BARS[request.query["interval"]]
        has = self.bars(asked.start or 0, (asked.end or 2**60) + 1, length)
        body = [
            [at, *map(str, row[:5]), at + length - 1, str(row[5]), int(row[6]), str(row[7]), "0", "0"]
            for at, row in self._rows(self._times(asked, has, length), length)
        ]
        return await self._answer(request, body, asked)

    async def _binance_funding(self, request: web.Request) -> web.StreamResponse:
        asked = _asked("funding", request, "startTime", "endTime", 100)
        late = self.settlement_delay
        has = self.funding_times((asked.start or 0) - late, (asked.end or 2**60) - late + 1)
        body = [
            {
                "symbol": asked.symbol,
                "fundingTime": at + self.settlement_delay,
                "fundingRate": f"{self.rate(at):.8f}",
                "markPrice": "100.5",
            }
            for at in has[: min(asked.limit, self.rows_max)]
        ]
        return await self._answer(request, body, asked)

    async def _binance_interest(self, request: web.Request) -> web.StreamResponse:
        asked = _asked("interest", request, "startTime", "endTime", 30)
        has = self.interest_times(asked.start or 0, (asked.end or 2**60) + 1)
        body = [
            {
                "symbol": asked.symbol,
                "sumOpenInterest": str(self.interest(at)),
                "sumOpenInterestValue": str(self.interest(at) * 100),
                "timestamp": at,
            }
            for at in has[: min(asked.limit, self.rows_max)]
        ]
        return await self._answer(request, body, asked)

    async def _bybit_markets(self, request: web.Request) -> web.StreamResponse:
        listed = [
            {
                "symbol": symbol,
                "contractType": "LinearPerpetual",
                "status": "Trading",
                "baseCoin": symbol.removesuffix("USDT"),
                "quoteCoin": "USDT",
                "settleCoin": "USDT",
                "launchTime": str(self.listed),
                "deliveryTime": "0",
                "priceScale": "2",
                "fundingInterval": 480,
                "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"},
                "priceFilter": {"minPrice": "0.1", "maxPrice": "199999", "tickSize": "0.1"},
                "lotSizeFilter": {"maxOrderQty": "100", "minOrderQty": "0.001", "qtyStep": "0.001"},
            }
            for symbol in self.symbols
        ]
        category = request.query.get("category")
        result = {"category": category, "list": listed if category == "linear" else [], "nextPageCursor": ""}
        return await self._answer(request, {"retCode": 0, "retMsg": "OK", "result": result}, None)

    async def _bybit_klines(self, request: web.Request) -> web.StreamResponse:
        asked = _asked("klines", request, "start", "end", 200)
        length = _BYBIT_BARS[request.query["interval"]]
        has = self.bars(asked.start or 0, (asked.end or 2**60) + 1, length)
        rows = self._rows(has[-min(asked.limit, self.rows_max) :], length)
        listed = [[str(at), *map(str, row[:6])] for at, row in reversed(rows)]
        result = {"category": "linear", "symbol": asked.symbol, "list": listed}
        return await self._answer(request, {"retCode": 0, "retMsg": "OK", "result": result}, asked)

    async def _bybit_funding(self, request: web.Request) -> web.StreamResponse:
        asked = _asked("funding", request, "startTime", "endTime", 200)
        has = self.funding_times(asked.start or 0, (asked.end or 2**60) + 1)
        listed = [
            {"symbol": asked.symbol, "fundingRate": f"{self.rate(at):.8f}", "fundingRateTimestamp": str(at)}
            for at in reversed(has[-min(asked.limit, self.rows_max) :])
        ]
        result = {"category": "linear", "list": listed}
        return await self._answer(request, {"retCode": 0, "retMsg": "OK", "result": result}, asked)


def _asked(what: str, request: web.Request, start: str, end: str, limit: int) -> Asked:
    query = request.query
    return Asked(
        what,
        query["symbol"],
        int(query[start]) if start in query else None,
        int(query[end]) if end in query else None,
        int(query.get("limit", limit)),
    )
