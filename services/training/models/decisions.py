"""Decisions: thresholds by which probabilities become a class, chosen by rows the model was not fitted on."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from services.training.learners.fitting import Classes, Probabilities

Thresholds: TypeAlias = npt.NDArray[np.float64]

CANDIDATES = 200  # places of one class's threshold that are tried in one turn
MOST_TURNS = 5
LARGEST_RATIO = 100.0  # of two thresholds: beyond it one class would hardly ever be said


class DecisionMetric(StrEnum):
    """What the thresholds are to make large, by its name among `scores.METRICS`."""

    BALANCED_ACCURACY = "balanced_accuracy"
    MACRO_F1 = "macro_f1"
    MCC = "mcc"


def decide(probabilities: Probabilities, thresholds: Thresholds | None) -> Classes:
    """The class of each row: of which the probability is the most multiples of its threshold; without
    thresholds, the likeliest."""
    multiples = probabilities if thresholds is None else probabilities / thresholds
    return np.asarray(multiples.argmax(axis=1), dtype=np.int8)


def choose_thresholds(metric: DecisionMetric, probabilities: Probabilities, classes: Classes) -> Thresholds:
    """Thresholds (classes,), of sum 1, that make the metric on these rows as large as turns of one class
    after the other find; equal ones where none is better.

    Parameters
    ----------
    metric : DecisionMetric
    probabilities : float64 (rows, classes)
    classes : int8 (rows,)
    """
    class_count = probabilities.shape[1]

    def value(thresholds: Thresholds) -> float:
        said = decide(probabilities, thresholds)
        pairs = np.bincount(classes.astype(np.intp) * class_count + said, minlength=class_count**2)
        return _value(metric, pairs.reshape(class_count, class_count).astype(np.float64))

    best = np.full(class_count, 1.0 / class_count)
    best_value = value(best)
    for _ in range(MOST_TURNS):
        before = best_value
        for column in range(class_count):
            tried = best.copy()
            tried[column] = _best_of_one(metric, probabilities, classes, best, column)
            found = value(tried)
            if found > best_value + 1e-12:
                best, best_value = tried, found
        if best_value <= before:
            break
    return np.asarray(best / best.sum(), dtype=np.float64)


def _best_of_one(
    metric: DecisionMetric,
    probabilities: Probabilities,
    classes: Classes,
    thresholds: Thresholds,
    column: int,
) -> float:
    """The threshold of one class, the others as they are, that makes the metric largest.

    A row is said to be of the class while its threshold is below the row's turn, else of the best other one:
    so the confusion matrices of all candidates are running sums over the rows' turns.
    """
    class_count = thresholds.size
    multiples = probabilities / thresholds
    multiples[:, column] = -1.0
    other = multiples.argmax(axis=1)
    others, own = multiples.max(axis=1), probabilities[:, column]
    with np.errstate(over="ignore"):  # too large a turn is none
        turns = np.divide(own, others, out=np.zeros(own.size), where=others > 0)
    rest = np.delete(thresholds, column)
    candidates = _candidates(turns, rest.max() / LARGEST_RATIO, rest.min() * LARGEST_RATIO)
    if not candidates.size:
        return float(thresholds[column])
    place = np.searchsorted(candidates, turns)  # candidates below the turn
    cells = (place * class_count + classes) * class_count + other
    shape = (candidates.size + 1, class_count, class_count)
    counts = np.bincount(cells, minlength=shape[0] * shape[1] * shape[2]).reshape(shape).astype(np.float64)
    confusions = counts.cumsum(axis=0)[:-1]  # of a candidate: rows whose turn is not above it
    confusions[:, :, column] = (counts.sum(axis=0) - confusions).sum(axis=2)
    values = [_value(metric, confusion) for confusion in confusions]
    return float(candidates[int(np.argmax(values))])


def _candidates(turns: Thresholds, low: float, high: float) -> Thresholds:
    """Places between the turns, where some row would change sides."""
    kept = np.unique(turns[(turns >= low) & (turns <= high)])
    if kept.size < 2:
        return np.empty(0)
    between = (kept[:-1] + kept[1:]) / 2.0
    spread = np.unique(np.linspace(0, between.size - 1, CANDIDATES).round().astype(np.intp))
    return np.asarray(between[spread], dtype=np.float64)


def _value(metric: DecisionMetric, confusion: npt.NDArray[np.float64]) -> float:
    """The metric of a confusion matrix, as `scores` has it; -1 where there is none."""
    hits, came, said = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    match metric:
        case DecisionMetric.BALANCED_ACCURACY:
            return float((hits[came > 0] / came[came > 0]).mean())
        case DecisionMetric.MACRO_F1:
            known = came + said > 0
            return float((2.0 * hits[known] / (came + said)[known]).mean())
        case DecisionMetric.MCC:
            rows = confusion.sum()
            spread = (rows**2 - (said**2).sum()) * (rows**2 - (came**2).sum())
            return float((hits.sum() * rows - said @ came) / np.sqrt(spread)) if spread > 0 else -1.0
