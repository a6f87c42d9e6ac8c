"""Whether a feature is relevant at all times, or only at some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from services.features.columns import Floats
from services.features.selection.relevance import relevance
from services.features.selection.target import Target


def stability(
    values: Floats,
    features: Sequence[int],
    target: Target,
    blocks: int,
    fdr_level: float,
    look: Callable[[], None],
) -> Floats:
    """Share of the blocks of time in which each of these features is relevant, tested on the rows of the
    block alone (after Meinshausen and Buehlmann 2010, with blocks of time for subsamples).

    Parameters
    ----------
    values : float64 (features, rows), rows in order of time, NaN where not known
    blocks : int
        Into how many blocks of equal rows they are cut; a block without two classes finds nothing.
    """
    borders = np.linspace(0, values.shape[1], blocks + 1).astype(int)
    found = np.zeros(len(features))
    for start, stop in pairwise(borders):
        rows = slice(int(start), int(stop))
        found += relevance(values[:, rows], target.of(rows), look, features).is_relevant(fdr_level)
    return found / blocks
