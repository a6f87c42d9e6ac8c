"""A workshop of several hands: units of several recipes are fitted at once, by the processes of a pool."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from services.training.models.recipes import Recipe
from services.training.results import Learned
from services.training.workshop.alone import Memory, Watch
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
    """Has the units of several recipes fitted at once: recipes begin in order, as there is room.

    A unit that the check ended early is not remembered.
    """

    def __init__(self, pool: Pool, memory: Memory | None = None) -> None:
        self._pool = pool
        self._memory = memory

    def run(self, recipes: Iterable[Recipe], watch: Watch) -> Generator[Learned, None, None]:
        """What each recipe returns."""
        with self._pool.opened() as work:
            yield from _Shift(work, self._memory, iter(recipes), watch).run()


@dataclass(eq=False)
class _Begun:
    """A recipe under way, and what it waits for."""

    recipe: Recipe
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


class _Shift:
    """One run of several recipes at once."""

    def __init__(self, work: Work, memory: Memory | None, recipes: Iterator[Recipe], watch: Watch) -> None:
        self._work = work
        self._memory = memory
        self._recipes = recipes
        self._watch = watch
        self._has_more = True
        self._begun: deque[_Begun] = deque()
        self._waiting: deque[_Wanted] = deque()
        self._fitted: dict[int, _Wanted] = {}
        self._tickets = itertools.count(1)
        self._is_ended = False

    def run(self) -> Iterator[Learned]:
        while True:
            while self._begun and (learned := self._begun[0].learned) is not None:
                self._begun.popleft()
                yield learned
            self._look()
            if self._begin_something():
                continue
            if not self._begun:
                return
            match self._work.next(LOOK_SECONDS):
                case Round(ticket, number, loss):
                    self._watch.on_round(self._fitted[ticket].task, number, loss)
                case Fit(ticket, outcome, is_whole):
                    wanted = self._fitted.pop(ticket)
                    if self._memory is not None and is_whole:
                        self._memory.keep(wanted.task.key, wanted.digest, outcome)
                    self._take(wanted, outcome)

    def _look(self) -> None:
        if self._watch.check() and not self._is_ended:
            self._is_ended = True
            self._work.end_early()

    def _begin_something(self) -> bool:
        """Have a unit fitted or begin a recipe, if there is room and one to begin."""
        if len(self._fitted) >= self._work.width:
            return False
        if self._waiting:
            wanted = self._waiting.popleft()
            known = None if self._memory is None else self._memory.recall(wanted.task.key, wanted.digest)
            if known is not None:
                self._take(wanted, known)
                return True
            ticket = next(self._tickets)
            self._fitted[ticket] = wanted
            self._work.submit(ticket, wanted.task)
            return True
        recipe = next(self._recipes, None) if self._has_more else None
        if recipe is None:
            self._has_more = False
            return False
        begun = _Begun(recipe)
        self._begun.append(begun)
        self._go_on(begun, None)
        return True

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
        self._waiting.extend(
            _Wanted(begun, place, task, digest)
            for place, (task, digest) in enumerate(zip(tasks, digests, strict=True))
        )
