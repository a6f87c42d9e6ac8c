"""The folds in the shape that scikit-learn's `cv=` parameters take."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from services.training.splits.folds import FIVE_FOLDS, Method, split_folds
from services.training.splits.intervals import NO_EMBARGO, Embargo, Microseconds, Rows


class PurgedSplitter:
    """`split_folds` for scikit-learn: `cross_val_score(model, X, y, cv=PurgedSplitter(t0, t1))`.

    Parameters
    ----------
    t0, t1 : int64 (rows,)
        The times of the rows of every `X` that is split.
    method : Method
    embargo : Embargo
    """

    def __init__(
        self,
        t0: Microseconds,
        t1: Microseconds,
        method: Method = FIVE_FOLDS,
        embargo: Embargo = NO_EMBARGO,
    ) -> None:
        self._t0, self._t1 = t0, t1
        self._method, self._embargo = method, embargo

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:  # noqa: N803
        """Number of folds."""
        return self._method.fold_count

    def split(
        self,
        X: npt.ArrayLike,  # noqa: N803
        y: object = None,
        groups: object = None,
    ) -> Iterator[tuple[Rows, Rows]]:
        """Train and test row numbers of each fold; `X` must have the rows of the times given."""
        if np.shape(X)[0] != self._t0.size:
            raise ValueError(f"X has {np.shape(X)[0]} rows, the times have {self._t0.size}.")
        for fold in split_folds(self._t0, self._t1, self._method, self._embargo):
            yield fold.train, fold.test
