"""A workshop of several hands: units of several recipes are fitted at once, by the processes of a pool."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

from services.training.models.recipes import Recipe
from services.training.results import Learned
from services.training.workshop.alone import B, Batch, Memory, Watch
from services.training.workshop.units import FitOutcome, FitTask, digest_of

LOOK_SECONDS = 0.1  # between looks whether to go on


@dataclass(frozen=True)
class Round:
    """A round of the unit with this ticket is finished."""

    ticket: int
    number: int
    loss: float | None


@dataclass(frozen=True, eq=False)
class Fit:
    """The unit with this ticket is fitted; `is_whole` unless it was told to end early."""

    ticket: int
    outcome: FitOutcome
    is_whole: bool


class Work(Protocol):
    """Units of one run on their way through a pool."""

    @property
    def width(self) -> int:
        """So many units are fitted at once."""

    def submit(self, ticket: int, task: FitTask) -> None:
        """Have a unit fitted."""

    def drop(self, ticket: int) -> None:
        """Have a unit that was submitted not fitted: nothing more is heard of it."""

    def end_early(self) -> None:
        """End what is fitted, and what is submitted from now on, with the rounds that it has."""

    def next(self, seconds: float) -> Round | Fit | None:
        """What happened next, if anything does in that time.

        Raises
        ------
        Refusal
            Why a unit cannot be fitted.
        """


class Pool(Protocol):
    """Who fits units. What runs when `opened` is left is withdrawn."""

    def opened(self) -> AbstractContextManager[Work]: ...


class Together:
    """Has the units of several recipes fitted at once: recipes begin in order, as there is room, and those of
    an earlier batch first.

    A unit that the check ended early is not remembered.
    """

    def __init__(self, pool: Pool, memory: Memory | None = None) -> None:
        self._pool = pool
        self._memory = memory

    def run(self, recipes: Iterable[Recipe], watch: Watch) -> Generator[Learned, None, None]:
        """What each recipe returns."""
        offered = iter([Batch(iter(recipes))])
        with closing(self.run_batches(lambda: next(offered, None), watch)) as learnt:
            for _, learned in learnt:
                yield learned

    def run_batches(
        self, more: Callable[[], B | None], watch: Watch
    ) -> Generator[tuple[B, Learned], None, None]:
        """The results of batches, as they come."""
        with self._pool.opened() as work:
            yield from _Shift(work, self._memory, more, watch).run()


@dataclass(eq=False)
class _Open(Generic[B]):
    """A batch under way: its recipes that have begun, and the units they wait for that nobody fits yet."""

    batch: B
    has_more: bool = True
    begun: deque[_Begun] = field(default_factory=deque)
    waiting: deque[_Wanted] = field(default_factory=deque)


@dataclass(eq=False)
class _Begun:
    """A recipe under way, and what it waits for."""

    recipe: Recipe
    of: _Open[Any]
    outcomes: list[FitOutcome | None] = field(default_factory=list)
    missing_count: int = 0
    learned: Learned | None = None


@dataclass(frozen=True, eq=False)
class _Wanted:
    """A unit that is to be fitted: the place of its outcome in a recipe."""

    begun: _Begun
    place: int
    task: FitTask
    digest: str


class _Shift(Generic[B]):
    """One run of several batches at once."""

    def __init__(self, work: Work, memory: Memory | None, more: Callable[[], B | None], watch: Watch) -> None:
        self._work = work
        self._memory = memory
        self._more = more
        self._watch = watch
        self._open: list[_Open[B]] = []
        self._fitted: dict[int, _Wanted] = {}
        self._tickets = itertools.count(1)
        self._is_ended = False

    def run(self) -> Iterator[tuple[B, Learned]]:
        while True:
            for opened in tuple(self._open):
                yield from self._hand_over(opened)
            self._look()
            if self._begin_something():
                continue
            if not any(opened.begun for opened in self._open):
                return
            match self._work.next(LOOK_SECONDS):
                case Round(ticket, number, loss):
                    self._watch.on_round(self._fitted[ticket].task, number, loss)
                case Fit(ticket, outcome, is_whole):
                    wanted = self._fitted.pop(ticket)
                    if self._memory is not None and is_whole:
                        self._memory.keep(wanted.task.key, wanted.digest, outcome)
                    self._take(wanted, outcome)

    def _hand_over(self, opened: _Open[B]) -> Iterator[tuple[B, Learned]]:
        """What is learnt of a batch and next in its order; the last of it closes the batch."""
        begun, batch = opened.begun, opened.batch
        while not batch.is_over and begun and (learned := begun[0].learned) is not None:
            begun.popleft()
            yield batch, learned
        if batch.is_over or not (begun or opened.has_more):
            self._open.remove(opened)
            for ticket in [each for each, wanted in self._fitted.items() if wanted.begun.of is opened]:
                del self._fitted[ticket]
                self._work.drop(ticket)

    def _look(self) -> None:
        if self._watch.check() and not self._is_ended:
            self._is_ended = True
            self._work.end_early()

    def _begin_something(self) -> bool:
        """Have a unit fitted or begin a recipe or a batch, if there is room and one to begin."""
        if len(self._fitted) >= self._work.width:
            return False
        for opened in self._open:
            if opened.waiting:
                self._begin_unit(opened.waiting.popleft())
                return True
            recipe = next(opened.batch.recipes, None) if opened.has_more else None
            if recipe is not None:
                begun = _Begun(recipe, opened)
                opened.begun.append(begun)
                self._go_on(begun, None)
                return True
            opened.has_more = False
        batch = self._more()
        if batch is None:
            return False
        self._open.append(_Open(batch))
        return True

    def _begin_unit(self, wanted: _Wanted) -> None:
        known = None if self._memory is None else self._memory.recall(wanted.task.key, wanted.digest)
        if known is not None:
            self._take(wanted, known)
            return
        ticket = next(self._tickets)
        self._fitted[ticket] = wanted
        self._work.submit(ticket, wanted.task)

    def _take(self, wanted: _Wanted, outcome: FitOutcome) -> None:
        self._watch.on_finished(wanted.task, outcome)
        begun = wanted.begun
        begun.outcomes[wanted.place] = outcome
        begun.missing_count -= 1
        if not begun.missing_count:
            self._go_on(begun, [each for each in begun.outcomes if each is not None])

    def _go_on(self, begun: _Begun, outcomes: Sequence[FitOutcome] | None) -> None:
        """Send a recipe what it waited for, until it waits for something that is not there."""
        try:
            tasks = next(begun.recipe) if outcomes is None else begun.recipe.send(outcomes)
            while not tasks:
                tasks = begun.recipe.send(())
        except StopIteration as end:
            begun.learned = end.value
            return
        begun.outcomes = [None] * len(tasks)
        begun.missing_count = len(tasks)
        digests = ["" if self._memory is None else digest_of(task) for task in tasks]
        begun.of.waiting.extend(
            _Wanted(begun, place, task, digest)
            for place, (task, digest) in enumerate(zip(tasks, digests, strict=True))
        )
