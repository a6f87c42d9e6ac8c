"""Runs collection policies when they are due, beside the calls of the room."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from marketml.rpc.refusals import Internal, Refusal
from services.data.collection.policies import Ending, Lease, storable_sentence
from services.data.series import Series
from services.data.store import PolicyStore

LOOK_SECONDS = 1.0  # between two looks for what is due, and before a database that is down is asked again

_log = logging.getLogger("marketml.data")


class Collector(Protocol):
    """What collects one series, see `services.data.collection.collector`."""

    def collect_one(self, series: Series, start_us: int | None) -> AsyncGenerator[Ending, None]: ...


class Schedule:
    """Claims policies that are due and runs them.

    Parameters
    ----------
    runs_max
        At once in this process; 0 runs none.
    lease_seconds
        How long after its last sign of life a process loses its runs to others.
    """

    def __init__(
        self, policies: PolicyStore, collector: Collector, *, runs_max: int, lease_seconds: float
    ) -> None:
        self._policies = policies
        self._collector = collector
        self._runs_max = runs_max
        self._lease_seconds = lease_seconds
        self._lease_us = int(lease_seconds * 1e6)
        self._is_database_down = False

    async def run_for_ever(self) -> None:
        """Look, claim, run, until cancelled. Every run then stops where it is; whoever looks next goes on."""
        running: set[asyncio.Task[None]] = set()
        with contextlib.suppress(Refusal):  # or they fall due at the end of their leases
            await asyncio.to_thread(self._policies.free_dead)
        try:
            while self._runs_max:
                running = {task for task in running if not task.done()}
                if len(running) < self._runs_max:
                    leases = await self._claim(self._runs_max - len(running))
                    running |= {asyncio.create_task(self._run(lease)) for lease in leases}
                await _first_of(running, LOOK_SECONDS)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _claim(self, count: int) -> list[Lease]:
        claiming = asyncio.create_task(asyncio.to_thread(self._policies.claim, count, self._lease_us))
        try:
            leases = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):  # the thread went on: what it got is for others
                for lease in await claiming:
                    await asyncio.to_thread(self._policies.give_back, lease)
            raise
        except Refusal:
            if not self._is_database_down:
                _log.warning("The database does not say which policies are due; asking on.", exc_info=True)
            self._is_database_down = True
            return []
        except Exception:
            _log.exception("A bug kept the room from looking for policies that are due; looking on.")
            return []
        if self._is_database_down:
            _log.info("The database says again which policies are due.")
        self._is_database_down = False
        return leases

    async def _run(self, lease: Lease) -> None:
        """Collect and write down how it went. A run that is stopped on the way counts as not begun."""
        working = asyncio.create_task(self._work(lease))
        keeping = asyncio.create_task(self._keep(lease))
        is_over = False
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            is_over = working.done() and working.result()
        except Exception:
            _log.exception("A bug ended a policy's run; it is run again when its lease is over.")
            is_over = True
        finally:
            working.cancel()
            keeping.cancel()
            await asyncio.gather(working, keeping, return_exceptions=True)
            if not is_over:
                with contextlib.suppress(Refusal):  # or the lease falls due to others at its end
                    await asyncio.to_thread(self._policies.give_back, lease)

    async def _work(self, lease: Lease) -> bool:
        """Whether the run came to an end of its own."""
        ending = await self._collect(lease)
        while ending is not None:
            try:
                return await asyncio.to_thread(self._policies.end_run, lease, ending)
            except Refusal:
                _log.warning("How a policy's run ended could not be stored; trying on.", exc_info=True)
                await asyncio.sleep(LOOK_SECONDS)
        return False

    async def _collect(self, lease: Lease) -> Ending | None:
        """How the run went; None when it is not ours any more."""
        inserted_count, error = 0, ""
        try:
            async with aclosing(self._collector.collect_one(lease.series, lease.start_us)) as parts:
                async for part in parts:
                    inserted_count, error = part.inserted_count, part.error
                    if not await self._is_ours(lease):
                        return None
        except Refusal as refusal:
            error = error or refusal.message.removeprefix("series[0].").removeprefix("key.")
        except Exception:
            bug = Internal(uuid.uuid4().hex)
            _log.exception("A bug ended a policy's run; its error says %s.", bug.reference)
            error = bug.message
        return Ending(inserted_count, storable_sentence(error))

    async def _keep(self, lease: Lease) -> None:
        """Renew the lease while it is ours, however long a page takes."""
        await asyncio.sleep(self._lease_seconds / 3)
        while await self._is_ours(lease):
            await asyncio.sleep(self._lease_seconds / 3)

    async def _is_ours(self, lease: Lease) -> bool:
        try:
            return await asyncio.to_thread(self._policies.renew, lease, self._lease_us)
        except Refusal:  # the database is down: nothing is stored then, and what it says next decides
            return True


async def _first_of(tasks: set[asyncio.Task[None]], seconds: float) -> None:
    """Wait until one of the tasks is done, or for so long."""
    if tasks:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    else:
        await asyncio.sleep(seconds)
