"""When a trial is given up: when what its folds came to so far leaves it little hope to end as the best.

Folds differ from each other by far more than trials do on one of them, so a trial is held against the
complete ones fold by fold: against the best of them, and against what a fold does to all of them. By how much
such a difference changes from fold to fold is known from the complete trials; so it is known how far the mean
over a few folds is from that over all. Only a trial behind by both is given up. The best says most of trials
that are like it. But it may be the best for its luck on the first folds, where all that follow are held
against it: then what folds do to all of them says more.

Against the median rule (worse so far than the median of the complete trials), on the tables of 24 searches of
24 trials, each in 40 orders (`benchmarks/race.py`): where the trials differ clearly, 0.48 of all fits, as by
the median, and 10 of 100 searches lose the best by either, which costs 0.00005 of log loss in the mean and
0.00007; where they hardly do, 0.60 instead of 0.48, and no search instead of 12 of 100 loses the best.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.training.search.plan import LOSSES

FROM_TRIALS = 3
"""Complete ones, before any trial is given up: the difference of two trials is then known twice."""
STANDARD_ERRORS = 0.75
"""So many behind by both, a trial is given up."""

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
    if len(complete) < FROM_TRIALS:
        return False
    sign = 1.0 if metric in LOSSES else -1.0
    losses = sign * np.array(complete)
    best = losses[losses.mean(axis=1).argmin()]
    behind = losses - best
    trials, folds = behind.shape
    count = len(so_far)
    lag = (sign * np.array(so_far) - best[:count]).mean()

    apart = behind - behind.mean(axis=1, keepdims=True)  # each fold from the mean of them
    of_all = apart.mean(axis=0)
    freedom = (trials - 1) * (folds - 1)
    few = 1.0 / count - 1.0 / folds
    error = np.sqrt((apart**2).sum() / freedom * few)
    error_of_all = np.sqrt(((apart - of_all) ** 2).sum() / freedom * few * (1.0 + 1.0 / trials))
    return bool(
        lag > STANDARD_ERRORS * error and lag - of_all[:count].mean() > STANDARD_ERRORS * error_of_all
    )
