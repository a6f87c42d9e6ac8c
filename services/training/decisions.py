"""Decisions: thresholds by which probabilities become a class, chosen by rows the model was not fitted on."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from services.training.learners.fitting import Classes, Probabilities

Thresholds: TypeAlias = npt.NDArray[np.float64]

CANDIDATES = 64  # places of one class's threshold that are tried in one turn
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
            for candidate in _candidates(probabilities, best, column):
                tried = best.copy()
                tried[column] = candidate
                found = value(tried)
                if found > best_value + 1e-12:
                    best, best_value = tried, found
        if best_value <= before:
            break
    return np.asarray(best / best.sum(), dtype=np.float64)


def _candidates(probabilities: Probabilities, thresholds: Thresholds, column: int) -> Thresholds:
    """Thresholds of one class between which some row would change sides."""
    others = np.delete(probabilities / thresholds, column, axis=1).max(axis=1)
    own = probabilities[:, column]
    with np.errstate(over="ignore"):  # too large a turn is none
        turns = np.unique(np.divide(own, others, out=np.zeros(own.size), where=others > 0))
    rest = np.delete(thresholds, column)
    turns = turns[(turns >= rest.max() / LARGEST_RATIO) & (turns <= rest.min() * LARGEST_RATIO)]
    if turns.size < 2:
        return np.empty(0)
    between = (turns[:-1] + turns[1:]) / 2.0
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
