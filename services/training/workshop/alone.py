"""The workshop: runs recipes, fits the units that they want, and remembers the outcomes that are kept."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from services.training.jobs import Tree
from services.training.learners.fitting import Check
from services.training.models.recipes import Recipe
from services.training.results import Learned
from services.training.workshop.units import FitOutcome, FitTask, Noting, digest_of, fit_unit


@dataclass(frozen=True)
class Watch:
    """Who is told what happens, and who says whether to go on.

    Attributes
    ----------
    on_round : callable
        Takes a task, the round that is finished and the validation loss, if there is a slice.
    on_finished : callable
        Takes a task and its outcome.
    check : callable
        Called before every round, see `learners.fitting.Check`.
    """

    on_round: Callable[[FitTask, int, float | None], None]
    on_finished: Callable[[FitTask, FitOutcome], None]
    check: Check


class Memory(Protocol):
    """Outcomes that are kept, by the key and the digest of their task."""

    def recall(self, key: str, digest: str) -> FitOutcome | None: ...
    def keep(self, key: str, digest: str, outcome: FitOutcome) -> None: ...


class Records(Protocol):
    """JSON objects that are kept, by their key and the digest of what they came of."""

    def recall_record(self, key: str, digest: str) -> Tree | None: ...
    def keep_record(self, key: str, digest: str, record: Mapping[str, Any]) -> None: ...


class Trials(Records, Protocol):
    """Records of trials, beside the outcomes that they came of."""

    def forget(self, beginning: str) -> None: ...


@dataclass(eq=False)
class Batch:
    """Recipes whose results are wanted in their order, until who takes them says that it `is_over`: then
    nothing more is fitted for it."""

    recipes: Iterator[Recipe]
    is_over: bool = field(default=False, init=False)


B = TypeVar("B", bound=Batch)


class Workshop(Protocol):
    """Runs recipes. Their results come in their order, and do not depend on who fits what when. Closing them
    ends what is under way."""

    def run(self, recipes: Iterable[Recipe], watch: Watch) -> Generator[Learned, None, None]: ...

    def run_batches(
        self, more: Callable[[], B | None], watch: Watch
    ) -> Generator[tuple[B, Learned], None, None]:
        """The results of several batches, those of each in order. There are no more of them once `more` gives
        none while none is under way; it is asked when there is room."""


class Alone:
    """Fits one unit after the other, on the calling thread.

    A unit that the check ended early is not remembered.
    """

    def __init__(self, memory: Memory | None = None) -> None:
        self._memory = memory

    def run(self, recipes: Iterable[Recipe], watch: Watch) -> Generator[Learned, None, None]:
        """What each recipe returns."""
        for recipe in recipes:
            yield finish(recipe, lambda tasks: [self._fit(task, watch) for task in tasks])

    def run_batches(
        self, more: Callable[[], B | None], watch: Watch
    ) -> Generator[tuple[B, Learned], None, None]:
        """The results of one batch after the other."""
        while (batch := more()) is not None:
            for learned in self.run(batch.recipes, watch):
                yield batch, learned
                if batch.is_over:
                    break

    def _fit(self, task: FitTask, watch: Watch) -> FitOutcome:
        digest = None if self._memory is None else digest_of(task)
        outcome = None
        if self._memory is not None and digest is not None:
            outcome = self._memory.recall(task.key, digest)
        if outcome is None:
            check = Noting(watch.check)
            outcome = fit_unit(task, lambda number, loss: watch.on_round(task, number, loss), check)
            if self._memory is not None and digest is not None and not check.said_end:
                self._memory.keep(task.key, digest, outcome)
        watch.on_finished(task, outcome)
        return outcome


def finish(recipe: Recipe, fit: Callable[[Sequence[FitTask]], Sequence[FitOutcome]]) -> Learned:
    """Run one recipe to its end."""
    try:
        tasks = next(recipe)
        while True:
            tasks = recipe.send(fit(tasks))
    except StopIteration as end:
        learned: Learned = end.value
        return learned
