"""What the registry does by itself: load what is aliased before it serves, look around, sweep."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta

from marketml.rpc.refusals import Refusal
from services.registry.application import RegistryApplication

_log = logging.getLogger("marketml.registry")


def background(
    application: RegistryApplication,
    now: Callable[[], datetime],
    *,
    refresh_seconds: float,
    sweep_seconds: float,
    grace_seconds: float,
    retention_seconds: float,
) -> Callable[[], AbstractAsyncContextManager[None]]:
    """The room's lifespan: the models in force are loaded when it has been entered.

    A model that does not load is logged and does not stop the others; asking for it is DATA_LOSS.
    """

    def refresh() -> None:
        for problem in application.refresh():
            _log.error(problem)

    def sweep() -> None:
        oldest = now() - timedelta(seconds=grace_seconds)
        count = application.sweep(oldest.timestamp(), retention_seconds)
        if count:
            _log.info("Removed %d files that belonged to no version.", count)

    async def go_on(stopping: asyncio.Event) -> None:
        swept = asyncio.get_running_loop().time()
        while not await _comes_true(stopping, refresh_seconds):
            try:
                await asyncio.to_thread(refresh)
                if asyncio.get_running_loop().time() - swept >= sweep_seconds:
                    swept = asyncio.get_running_loop().time()
                    await asyncio.to_thread(sweep)
            except Refusal as refusal:  # the database is down for a while: what is loaded goes on answering
                _log.warning("Could not look after the models: %s", refusal.message)
            except Exception:
                _log.exception("Could not look after the models.")

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await asyncio.to_thread(refresh)
        await asyncio.to_thread(sweep)
        stopping = asyncio.Event()
        task = asyncio.create_task(go_on(stopping))
        try:
            yield
        finally:
            stopping.set()
            await task  # to its end: a thread that is cut off keeps its connection to the database

    return lifespan


async def _comes_true(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
