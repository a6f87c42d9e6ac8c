"""Admission: how many calls at once. It is asked after the message arrived, so that callers who never send
one cannot fill it, and health never asks it."""

from __future__ import annotations

import asyncio

from marketml.rpc.refusals import Reason, ResourceExhausted
from services.host.metrics import Metrics

RETRY_AFTER_SECONDS = 0.5


class Slots:
    """A bound on calls of one kind with a bounded queue in front; the queue is first come, first served."""

    def __init__(self, kind: str, in_flight_max: int, queue_max: int, metrics: Metrics) -> None:
        self._kind = kind
        self._in_flight_max = in_flight_max
        self._queue_max = queue_max
        self._queued_count = 0
        self._free = asyncio.Semaphore(in_flight_max)
        self._in_flight = metrics.in_flight.labels(kind)
        self._queued = metrics.queued

    async def take(self) -> None:
        """Enter, waiting in the queue when all slots are taken.

        Raises
        ------
        ResourceExhausted
            The queue is full too; reason OVERLOADED, with the time after which to try again.
        """
        if self._free.locked():
            if self._queued_count >= self._queue_max:
                raise ResourceExhausted(
                    f"{self._kind}_in_flight",
                    f"The server has {self._in_flight_max} {self._kind} calls running and "
                    f"{self._queued_count} waiting; try again in {RETRY_AFTER_SECONDS} s.",
                    retry_after_seconds=RETRY_AFTER_SECONDS,
                    reason=Reason.OVERLOADED,
                )
            self._queued_count += 1
            self._queued.inc()
            try:
                await self._free.acquire()
            finally:
                self._queued_count -= 1
                self._queued.dec()
        else:
            await self._free.acquire()  # never waits: nothing ran since `locked()`
        self._in_flight.inc()

    def give_back(self) -> None:
        """Leave."""
        self._in_flight.dec()
        self._free.release()
