"""Sample weights: how much a row tells that the rows beside it do not, by their label intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketml.rpc.refusals import Violation
from services.training.labels import Microseconds, Path
from services.training.learners.fitting import Weights


@dataclass(frozen=True)
class SampleWeights:
    """What a row's weight is made of; the factors are multiplied.

    Attributes
    ----------
    uniqueness : bool
        The average, over the bars of the label, of one by the labels open there.
    return_attribution : bool
        The size of the sum of the label's log returns, each divided by the labels open there.
    oldest_weight : float
        Time decay: linear in the uniqueness that has added up, from about this much at the oldest row to 1
        at the newest. 1 is no decay.
    """

    uniqueness: bool = False
    return_attribution: bool = False
    oldest_weight: float = 1.0


NO_WEIGHTS = SampleWeights()


def violations(plan: SampleWeights, path: str = "sample_weights") -> list[Violation]:
    """Every rule that `plan` breaks, with the full field path."""
    if 0 <= plan.oldest_weight <= 1:
        return []
    description = f"must be from 0 to 1, is {plan.oldest_weight}."
    return [Violation(f"{path}.oldest_weight", "range", description)]


def weigh(plan: SampleWeights, path: Path, t0: Microseconds, t1: Microseconds) -> Weights:
    """Weights of the rows of one fit, from their own label intervals and no other's; their mean is 1.

    Parameters
    ----------
    plan : SampleWeights
    path : Path
        The bars that the labels were read from.
    t0, t1 : int64 (rows,)
        Microseconds since the epoch, closes of bars of the path; `t0` ascending.

    Returns
    -------
    float64 (rows,)
        Equal ones where all of them would be 0 (returns of a market that did not move).

    References
    ----------
    López de Prado (2018), *Advances in Financial Machine Learning*, chapter 4.
    """
    if plan == NO_WEIGHTS or not t0.size:
        return np.ones(t0.size)
    # The bars after the decision, up to the one that decided: [first, last) of the path.
    first, last = (np.searchsorted(path.closes_at, times, side="right") for times in (t0, t1))
    steps = np.bincount(first, minlength=path.closes_at.size + 1) - np.bincount(
        last, minlength=path.closes_at.size + 1
    )
    open_labels = np.cumsum(steps)[:-1]
    shares = np.divide(1.0, open_labels, out=np.zeros(open_labels.size), where=open_labels > 0)
    uniqueness = _sums(shares, first, last) / (last - first)
    weights = np.ones(t0.size)
    if plan.uniqueness:
        weights *= uniqueness
    if plan.return_attribution:
        weights *= np.abs(_sums(np.where(open_labels > 0, path.log_returns * shares, 0.0), first, last))
    grown = np.cumsum(uniqueness)
    weights *= plan.oldest_weight + (1.0 - plan.oldest_weight) * grown / grown[-1]
    mean = weights.mean()
    return weights / mean if mean > 0 else np.ones(t0.size)


def weigh_each(
    plan: SampleWeights,
    paths: Sequence[Path],
    symbols: npt.NDArray[np.intp] | None,
    t0: Microseconds,
    t1: Microseconds,
) -> Weights:
    """`weigh` for rows of several symbols: each symbol's by its own labels alone, with a mean of 1.

    Parameters
    ----------
    paths : sequence of Path
        One for each symbol.
    symbols : intp (rows,) or None
        Of each row, an index into `paths`; None: there is one symbol.
    """
    if symbols is None:
        return weigh(plan, paths[0], t0, t1)
    weights = np.ones(t0.size)
    for symbol in np.unique(symbols):
        rows = symbols == symbol
        weights[rows] = weigh(plan, paths[symbol], t0[rows], t1[rows])
    return weights


def _sums(values: Weights, first: np.ndarray, last: np.ndarray) -> Weights:
    """Sum of `values[first:last]` of each row."""
    until = np.concatenate(([0.0], np.cumsum(values)))
    sums: Weights = until[last] - until[first]
    return sums
