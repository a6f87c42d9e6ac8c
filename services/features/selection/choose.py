"""The choice: step after step, with a verdict for every feature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from marketml.rpc.refusals import FailedPrecondition, Reason
from services.features.columns import Floats
from services.features.config import SelectionChoice
from services.features.selection.correlation import companions
from services.features.selection.importance import gain_shares
from services.features.selection.relevance import Relevance
from services.features.selection.spans import spans
from services.features.selection.stability import stability
from services.features.selection.target import Target


class SelectionStep(StrEnum):
    """The steps, in order."""

    CONSTANT = "constant"
    RELEVANCE = "relevance"
    CORRELATION = "correlation"
    STABILITY = "stability"
    COUNT = "count"


@dataclass(frozen=True)
class Verdict:
    """Why a feature was chosen (`dropped_at` None) or not; what was not asked for is None or empty."""

    name: str
    dropped_at: SelectionStep | None = None
    p_value: float | None = None
    correlated_with: str = ""
    stability: float | None = None
    importance: float | None = None
    expression: str = ""


class Choice:
    """A choice in the making: which features are still in, and why the others are not.

    Parameters
    ----------
    names : sequence of str
    values : float64 (features, rows), NaN where not known, rows in order of time
    target : Target
    found : Relevance
        Of these features.
    look
        Called between pieces of the work; what it raises ends it.
    """

    def __init__(
        self,
        names: Sequence[str],
        values: Floats,
        target: Target,
        found: Relevance,
        look: Callable[[], None],
    ) -> None:
        self._values = values
        self._target = target
        self._found = found
        self._look = look
        self._verdicts = [
            Verdict(name, p_value=None if np.isnan(p_value) else float(p_value))
            for name, p_value in zip(names, found.smallest, strict=True)
        ]
        self._left = list(range(len(names)))
        still = [
            at
            for some in spans(len(values), values.shape[1], look)
            for at in self._left[some]
            if is_constant(values[at])
        ]
        self._drop(still, SelectionStep.CONSTANT)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Those chosen first, by rank, then the others from the most relevant on."""
        others = [int(at) for at in self._found.order if self._verdicts[int(at)].dropped_at is not None]
        return tuple(self._verdicts[at] for at in [*self._left, *others])

    def keep_relevant(self, among: Sequence[int], fdr_level: float, count_max: int) -> None:
        """Of the features `among`, tested as though there were no others, keep those that are relevant, and
        of them the most relevant ones."""
        inside = set(among)
        tested = [at for at in self._ordered() if at in inside]
        some = Relevance(self._found.p_values[tested], self._found.logarithms[tested])
        is_relevant = dict(zip(tested, some.is_relevant(fdr_level), strict=True))
        self._drop([at for at in tested if not is_relevant[at]], SelectionStep.RELEVANCE)
        passed = [at for at in tested if is_relevant[at]]
        self._drop(passed[count_max:], SelectionStep.COUNT)

    def run(self, choice: SelectionChoice, seed: int) -> None:
        """Every step that a config asks for, on the features that are left.

        Raises
        ------
        FailedPrecondition
            None is left.
        """
        tested = [at for at in self._ordered() if self._found.is_tested[at]]
        some = Relevance(self._found.p_values[tested], self._found.logarithms[tested])
        is_relevant = some.is_relevant(choice.fdr_level)
        passed = [at for at, is_one in zip(tested, is_relevant, strict=True) if is_one]
        failed = [at for at, is_one in zip(tested, is_relevant, strict=True) if not is_one]
        kept = self._apart(passed, choice, SelectionStep.CORRELATION)
        missing = min(choice.feature_count_min, choice.feature_count_limit) - len(kept)
        if missing > 0 and failed:  # the most relevant of the others, those that repeat one kept apart
            more = self._apart([*kept, *failed], choice, SelectionStep.RELEVANCE)[len(kept) :]
            kept += more[:missing]
        inside = set(kept)
        self._drop([at for at in self._left if at not in inside], SelectionStep.RELEVANCE)
        self._left = kept
        if choice.stability_blocks > 1 and choice.fdr_level < 1.0:
            self._keep_stable(choice)
        if not self._left:
            raise FailedPrecondition(
                "target_arrow",
                f"None of {len(self._verdicts):,} features is relevant to the target at "
                f"config.selection.fdr_level of {choice.fdr_level:g}, and config.selection.feature_count_min "
                f"is {choice.feature_count_min}.",
                Reason.TOO_LITTLE_DATA,
            )
        if choice.model_importance:
            self._rank(seed)
        self._drop(self._left[choice.feature_count_limit :], SelectionStep.COUNT)

    def _ordered(self) -> list[int]:
        """What is left, the most relevant first."""
        left = set(self._left)
        return [int(at) for at in self._found.order if int(at) in left]

    def _apart(self, order: Sequence[int], choice: SelectionChoice, step: SelectionStep) -> list[int]:
        """Those that do not go with one before; the others are dropped at `step`."""
        if choice.correlation_max >= 1.0:
            return list(order)
        gone = companions(self._values, order, choice.correlation_max, self._look)
        for at, other in gone.items():
            goes_with = self._verdicts[other].name if step is SelectionStep.CORRELATION else ""
            self._mark(at, step, correlated_with=goes_with)
        return [at for at in order if at not in gone]

    def _keep_stable(self, choice: SelectionChoice) -> None:
        shares = stability(
            self._values, self._left, self._target, choice.stability_blocks, choice.fdr_level, self._look
        )
        for at, share in zip(self._left, shares, strict=True):
            self._mark(at, None, stability=float(share))
        by_share = sorted(zip(self._left, shares, strict=True), key=lambda each: -each[1])
        count = max(
            sum(share >= choice.stability_share for share in shares),
            min(choice.feature_count_min, choice.feature_count_limit),
        )
        stable = {at for at, _ in by_share[:count]}
        self._drop([at for at in self._left if at not in stable], SelectionStep.STABILITY)

    def _rank(self, seed: int) -> None:
        shares = gain_shares(self._values, self._left, self._target, seed, self._look)
        for at, share in zip(self._left, shares, strict=True):
            self._mark(at, None, importance=float(share))
        ranked = sorted(zip(self._left, shares, strict=True), key=lambda each: -each[1])
        self._left = [at for at, _ in ranked]

    def _drop(self, gone: Sequence[int], step: SelectionStep) -> None:
        out = set(gone)
        for at in gone:
            if self._verdicts[at].dropped_at is None:
                self._mark(at, step)
        self._left = [at for at in self._left if at not in out]

    def _mark(self, at: int, step: SelectionStep | None, **said: str | float) -> None:
        self._verdicts[at] = replace(self._verdicts[at], dropped_at=step, **said)  # type: ignore[arg-type]


def is_constant(values: Floats) -> bool:
    """Whether a feature has the same value wherever it is known, or is known nowhere."""
    known = values[~np.isnan(values)]
    return not len(known) or bool(known.min() == known.max())
