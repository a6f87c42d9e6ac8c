"""Baselines: what a score has to beat. They know what a model may know, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.training.learners.fitting import Classes
from services.training.scores import Scores, score
from services.training.splits import Microseconds, Rows


@dataclass(frozen=True, eq=False)
class Sight:
    """What one model sees, and on which rows it is scored.

    Attributes
    ----------
    classes : int8 (rows,)
        Of all rows, as they are to the model.
    train, test : intp
        Row numbers: what may be learnt from, and what is scored.
    """

    classes: Classes
    train: Rows
    test: Rows


def score_baselines(
    t0: Microseconds,
    t1: Microseconds,
    sights: Sequence[Sight],
    class_names: tuple[str, ...],
    symbols: npt.NDArray[np.intp] | None = None,
) -> dict[str, Scores]:
    """Scores of the baselines on the test rows of all sights together, named as in the reports.

    `majority`: the most frequent class of the training rows, with their class frequencies as probabilities
    (so its log loss is that of the class prior). `persistence`: the newest label whose outcome is known at
    the decision; without probabilities, and only on rows that have one. A baseline without a row is left out.

    Parameters
    ----------
    t0, t1 : int64 (rows,)
    sights : sequence of Sight
    class_names : tuple of str
    symbols : intp (rows,), optional
        Of rows of several: each row is persisted by labels of its own.
    """
    truth = np.concatenate([sight.classes[sight.test] for sight in sights])
    priors = np.concatenate([_priors(sight, len(class_names)) for sight in sights])
    majority = priors.argmax(axis=1).astype(np.int8)
    found = {"majority": score(truth, majority, priors, class_names)}
    persisted, known = (
        np.concatenate(each)
        for each in zip(
            *(persist(sight.classes, t0, t1, sight.test, symbols) for sight in sights), strict=True
        )
    )
    if known.any():
        found["persistence"] = score(truth[known], persisted[known], None, class_names)
    return found


def _priors(sight: Sight, class_count: int) -> npt.NDArray[np.float64]:
    counts = np.bincount(sight.classes[sight.train], minlength=class_count)
    return np.tile(counts / sight.train.size, (sight.test.size, 1))


def persist(
    classes: Classes,
    t0: Microseconds,
    t1: Microseconds,
    rows: Rows,
    symbols: npt.NDArray[np.intp] | None = None,
) -> tuple[Classes, npt.NDArray[np.bool_]]:
    """For each of `rows`, the class of the label of its symbol that became known last, at or before its
    decision.

    Returns
    -------
    persisted : int8 (rows,)
        Meaningless where nothing was known.
    known : bool (rows,)
    """
    if symbols is not None:
        persisted, known = np.zeros(rows.size, dtype=classes.dtype), np.zeros(rows.size, dtype=np.bool_)
        for symbol in np.unique(symbols[rows]):
            mine, asked = np.flatnonzero(symbols == symbol), symbols[rows] == symbol
            own = np.searchsorted(mine, rows[asked])
            persisted[asked], known[asked] = persist(classes[mine], t0[mine], t1[mine], own)
        return persisted, known
    order = np.lexsort((t0, t1))
    known_count = np.searchsorted(t1[order], t0[rows], side="right")
    return classes[order[known_count - 1]], known_count > 0
