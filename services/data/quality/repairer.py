"""Repairs of one series: what was asked for, action by action. Each is whole or not, and is remembered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from marketml.rpc.refusals import InvalidArgument, Violation
from services.data.quality.repairs import TIMES_MAX, Action, Outcome, Remedy, action_violations, step_id
from services.data.records import no_series
from services.data.series import Series
from services.data.store import RepairStore, SeriesStore

Run = Callable[..., Awaitable[Any]]


class Exchanges(Protocol):
    """What is asked again."""

    def can_refetch(self, series: Series) -> bool:
        """Whether its venue is an exchange that can be asked for it."""

    async def refetch(
        self, series: Series, start_us: int, end_us: int, run: Run, check: Callable[[], None]
    ) -> Outcome:
        """Ask for [start_us, end_us) again; what is said becomes the newest revision, whole or not."""


class Repairer:
    """Applies actions. `clock` is microseconds since 1970 UTC."""

    def __init__(
        self, series: SeriesStore, repairs: RepairStore, exchanges: Exchanges | None, clock: Callable[[], int]
    ) -> None:
        self._series = series
        self._repairs = repairs
        self._exchanges = exchanges
        self._clock = clock

    def can_refetch(self, series: Series) -> bool:
        """Whether its venue is an exchange that can be asked for it."""
        return self._exchanges is not None and self._exchanges.can_refetch(series)

    async def repair(
        self,
        series: Series,
        actions: Sequence[Action],
        *,
        request_id: str,
        body: bytes,
        run: Run,
        check: Callable[[], None],
    ) -> list[Outcome]:
        """Apply the actions in order.

        Parameters
        ----------
        request_id, body
            A repeat of the request, told by these, does what the first did not get to, and has its answers
            for the rest.
        run
            Calls a function on a thread that may block.
        check
            Raises when nobody waits any more.

        Raises
        ------
        InvalidArgument
            An action's range breaks a rule, or its venue cannot be asked. None was applied.
        NotFound
            There is no such series.
        """
        self._refuse(series, actions)
        if await run(self._series.find, series) is None:
            raise no_series(series)
        await run(self._repairs.begin, request_id, body)
        outcomes = []
        for position, action in enumerate(actions):
            step = step_id(request_id, position)
            if action.remedy is Remedy.REFETCH:
                outcomes.append(await self._refetch(series, action, step, body, run, check))
            else:
                outcomes.append(await run(self._mark, series, action, step, body, check))
        return outcomes

    def _mark(
        self, series: Series, action: Action, step: str, body: bytes, check: Callable[[], None]
    ) -> Outcome:
        marked_count = self._series.mark_missing(
            series,
            action.start_us,
            action.end_us,
            clock=self._clock,
            times_max=TIMES_MAX,
            only_absent=action.remedy is Remedy.MARK_ABSENT,
            request_id=step,
            body=body,
            check=check,
        )
        return Outcome(marked_count=marked_count)

    async def _refetch(
        self, series: Series, action: Action, step: str, body: bytes, run: Run, check: Callable[[], None]
    ) -> Outcome:
        assert self._exchanges is not None
        outcome: Outcome | None = await run(self._repairs.remembered, step, body)
        if outcome is None:
            said = await self._exchanges.refetch(series, action.start_us, action.end_us, run, check)
            outcome = await run(self._repairs.remember, step, body, said)
        return outcome

    def _refuse(self, series: Series, actions: Sequence[Action]) -> None:
        now_us = self._clock()
        found: list[Violation] = []
        for position, action in enumerate(actions):
            field = f"actions[{position}].{action.remedy.value}"
            found += action_violations(series, action, field, now_us)
            if action.remedy is Remedy.REFETCH and not self.can_refetch(series):
                said = f"must be mark_missing: {series.venue} is no exchange that the room can ask."
                found.append(Violation(field, "venue", said))
        if found:
            raise InvalidArgument(found)
