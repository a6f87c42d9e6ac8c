"""When a trial is given up: when what its folds came to so far leaves it little hope to end as the best.

Folds differ from each other by far more than trials do on one of them, so a trial is held against the
complete ones fold by fold. By how much the difference of two trials changes from fold to fold is known
from the complete ones; so it is known how far a mean over a few folds is from that over all. A trial is
given up if it is behind by more than that, in two ways at once:

- behind the best one, which says most of trials that are like it. But the best may be it for its luck on
  the first folds, where all that follow would be held against its luck;
- behind by what each fold does to the complete trials: the median of them, for one that is far off is
  often far off in its own way on each fold.

While one trial alone is complete, by how much its folds differ stands in for that; it is more, so only what
is far behind is given up.

Against the median rule (worse so far than the median of three complete trials or more), on the tables of
24 searches of 24 trials, each in 40 orders (`benchmarks/race.py`): where the trials differ clearly, 0.46 of
all fits instead of 0.48, and 7 of 100 searches lose the best instead of 10, which costs 0.00004 of log loss
in the mean instead of 0.00006; where they hardly do, 0.51 instead of 0.48, and 2 instead of 12 of 100
searches lose the best.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.training.search.plan import LOSSES

STANDARD_ERRORS = 1.0
"""So many behind, in both ways, a trial is given up."""

FoldValues = tuple[float, ...]


def is_behind(metric: str, so_far: FoldValues, complete: Sequence[FoldValues]) -> bool:
    """Whether a trial is given up.

    Parameters
    ----------
    metric : str
    so_far : tuple of float
        The metric on each fold that the trial has scored; not on all of them.
    complete : sequence of tuple of float
        The metric on every fold, of the complete trials that it follows.
    """
    if not complete:
        return False
    sign = 1.0 if metric in LOSSES else -1.0
    losses = sign * np.array(complete)
    best = losses[losses.mean(axis=1).argmin()]
    behind = losses - best
    trials, folds = behind.shape
    count = len(so_far)
    lag = (sign * np.array(so_far) - best[:count]).mean()

    few = 1.0 / count - 1.0 / folds
    if trials == 1:
        return bool(lag > STANDARD_ERRORS * np.sqrt(best.var(ddof=1) * few))

    apart = behind - behind.mean(axis=1, keepdims=True)  # each fold from the mean of them
    error = np.sqrt((apart**2).sum() / ((trials - 1) * (folds - 1)) * few)

    of_all = np.median(apart, axis=0)
    of_all -= of_all.mean()
    own = np.median(((apart - of_all) ** 2).sum(axis=1)) / (folds - 1)
    error_by_all = np.sqrt(own * (trials + 1) / (trials - 1) * few)
    return bool(
        lag > STANDARD_ERRORS * error and lag - of_all[:count].mean() > STANDARD_ERRORS * error_by_all
    )
