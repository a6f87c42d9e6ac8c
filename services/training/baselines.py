"""Baselines: what a score has to beat. They know what a model may know, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.training.learners.fitting import Classes
from services.training.scores import Scores, score
from services.training.splits import Microseconds, Rows


def score_baselines(
    classes: Classes,
    t0: Microseconds,
    t1: Microseconds,
    parts: Sequence[tuple[Rows, Rows]],
    class_names: tuple[str, ...],
) -> dict[str, Scores]:
    """Scores of the baselines on the test rows of all parts together, named as in the reports.

    `majority`: the most frequent class of the training rows, with their class frequencies as probabilities
    (so its log loss is that of the class prior). `persistence`: the newest label whose outcome is known at
    the decision; without probabilities, and only on rows that have one. A baseline without a row is left out.

    Parameters
    ----------
    classes : int (rows,)
    t0, t1 : int64 (rows,)
    parts : sequence of (train, test), intp
        Row numbers: what may be learnt from for which rows.
    class_names : tuple of str
    """
    test = np.concatenate([rows for _, rows in parts])
    truth = classes[test]
    priors = np.concatenate(
        [
            np.tile(np.bincount(classes[train], minlength=len(class_names)) / train.size, (rows.size, 1))
            for train, rows in parts
        ]
    )
    majority = priors.argmax(axis=1).astype(np.int8)
    found = {"majority": score(truth, majority, priors, class_names)}
    persisted, known = persist(classes, t0, t1, test)
    if known.any():
        found["persistence"] = score(truth[known], persisted[known], None, class_names)
    return found


def persist(
    classes: Classes, t0: Microseconds, t1: Microseconds, rows: Rows
) -> tuple[Classes, npt.NDArray[np.bool_]]:
    """For each of `rows`, the class of the label that became known last, at or before its decision.

    Returns
    -------
    persisted : int8 (rows,)
        Meaningless where nothing was known.
    known : bool (rows,)
    """
    order = np.lexsort((t0, t1))
    known_count = np.searchsorted(t1[order], t0[rows], side="right")
    return classes[order[known_count - 1]], known_count > 0
