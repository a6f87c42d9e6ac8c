"""Scores: every metric with its doubt. A metric that cannot be computed is absent with a reason, never 0."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.rpc.refusals import InvalidArgument
from services.training.learners.fitting import SMALLEST_PROBABILITY, Classes

Floats: TypeAlias = npt.NDArray[np.float64]

METRICS = (
    "balanced_accuracy",
    "accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "mcc",
    "kappa",
    "log_loss",
    "brier",
    "roc_auc",
    "pr_auc",
)
_CURVES = ("roc_auc", "pr_auc")  # each class against the rest


@dataclass(frozen=True)
class Score:
    """A metric's value, or None and why there is none."""

    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class Scores:
    """All metrics on one set of rows.

    Attributes
    ----------
    metrics : mapping
        Name in `METRICS` to `Score`. Precision, recall, F1, ROC-AUC and PR-AUC are means over the classes,
        each against the rest; Brier is the summed squared error over the classes, from 0 to 2.
    confusion : int64 (classes, classes)
        Count of rows by true class (row) and predicted class (column).
    class_names : tuple of str
    """

    metrics: Mapping[str, Score]
    confusion: npt.NDArray[np.int64]
    class_names: tuple[str, ...]

    @property
    def row_count(self) -> int:
        """Rows scored."""
        return int(self.confusion.sum())

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Rows of each true class."""
        return tuple(int(count) for count in self.confusion.sum(axis=1))


@dataclass(frozen=True)
class MetricSummary:
    """One metric over folds: statistics of the `fold_count` folds that have it; None where there is none.

    `std` is the sample deviation (two folds or more); `variation` is `std` over the size of the mean.
    """

    mean: float | None
    std: float | None
    minimum: float | None
    maximum: float | None
    variation: float | None
    fold_count: int
    reason: str = ""


def score(
    truth: Classes,
    predicted: Classes,
    probabilities: Floats | None,
    class_names: tuple[str, ...],
    wanted: Collection[str] = METRICS,
) -> Scores:
    """Score predictions.

    Parameters
    ----------
    truth, predicted : int (rows,)
        Index into `class_names`.
    probabilities : float64 (rows, classes), optional
        Without them log loss, Brier and the AUCs are absent.
    class_names : tuple of str
    wanted : collection of str
        The metrics; curves take their time.

    Raises
    ------
    InvalidArgument
        No rows, or a probability that is not in [0, 1].
    """
    if not truth.size:
        raise InvalidArgument.of("truth", "required", "must hold at least one row.")
    confusion = confusion_of(truth, predicted, len(class_names))
    of_confusion = confusion_metrics(confusion.astype(np.float64))
    metrics = {
        name: Score(float(value))
        if np.isfinite(value)
        else Score(None, _why_undefined(name, confusion, class_names))
        for name, value in of_confusion.items()
    }
    metrics.update(_probability_metrics(truth, probabilities, confusion, class_names, wanted))
    return Scores({name: metrics[name] for name in METRICS if name in wanted}, confusion, class_names)


def summarise(scores: Sequence[Scores]) -> dict[str, MetricSummary]:
    """The fold table: each metric over the folds that have it."""
    return {name: _summary([each.metrics[name] for each in scores]) for name in METRICS}


def confusion_of(truth: Classes, predicted: Classes, classes: int) -> npt.NDArray[np.int64]:
    """Count of rows by true class (row) and predicted class (column)."""
    cell = truth.astype(np.int64) * classes + predicted
    return np.bincount(cell, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def confusion_metrics(confusion: Floats) -> dict[str, Floats]:
    """Metrics of confusion counts (..., classes, classes); NaN where a denominator is 0."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    total = true.sum(axis=-1)
    chance = (true * predicted).sum(axis=-1)
    right = hits.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = (hits / true).mean(axis=-1)
        spread = (total**2 - (predicted**2).sum(axis=-1)) * (total**2 - (true**2).sum(axis=-1))
        return {
            "balanced_accuracy": recall,
            "accuracy": right / total,
            "macro_precision": (hits / predicted).mean(axis=-1),
            "macro_recall": recall,
            "macro_f1": (2 * hits / (true + predicted)).mean(axis=-1),
            "mcc": (right * total - chance) / np.sqrt(spread),
            "kappa": (right * total - chance) / (total**2 - chance),
        }


def _why_undefined(name: str, confusion: npt.NDArray[np.int64], class_names: tuple[str, ...]) -> str:
    if name in ("mcc", "kappa"):
        return "All rows are of one class, or all predictions are."
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    if name == "macro_precision":
        return f"No row was predicted as {_join(class_names, predicted == 0)}."
    return f"No row is of {_join(class_names, true == 0)}."


def _join(class_names: tuple[str, ...], chosen: npt.NDArray[np.bool_]) -> str:
    return " or ".join(
        f"class {name!r}" for name, is_chosen in zip(class_names, chosen, strict=True) if is_chosen
    )


def _probability_metrics(
    truth: Classes,
    probabilities: Floats | None,
    confusion: npt.NDArray[np.int64],
    class_names: tuple[str, ...],
    wanted: Collection[str],
) -> dict[str, Score]:
    if probabilities is None:
        absent = Score(None, "The predictions carry no probabilities.")
        return dict.fromkeys(("log_loss", "brier", *_CURVES), absent)
    if not np.all((probabilities >= 0) & (probabilities <= 1)):
        raise InvalidArgument.of("probabilities", "range", "must all be in [0, 1].")
    found = {
        "log_loss": Score(float(log_losses(truth, probabilities).mean())),
        "brier": Score(float(brier_losses(truth, probabilities).mean())),
    }
    missing = confusion.sum(axis=1) == 0
    if missing.any():
        absent = Score(None, f"No row is of {_join(class_names, missing)}.")
        return found | dict.fromkeys(_CURVES, absent)
    each = [(truth == index, probabilities[:, index]) for index in range(len(class_names))]
    for name in set(_CURVES) & set(wanted):
        area = _area_under(name)
        found[name] = Score(float(np.mean([area(is_class, p) for is_class, p in each])))
    return found


def load() -> None:
    """Import what scores, which takes a second: what the server does not need, and a job not at its start."""
    from sklearn import metrics  # noqa: F401


def _area_under(name: str) -> Callable[[npt.NDArray[np.bool_], Floats], float]:
    """What computes the area under one of the curves."""
    from sklearn import metrics

    area: Callable[[npt.NDArray[np.bool_], Floats], float]
    area = metrics.roc_auc_score if name == "roc_auc" else metrics.average_precision_score
    return area


def log_losses(truth: Classes, probabilities: Floats) -> Floats:
    """Of each row (rows,)."""
    chosen = probabilities[np.arange(truth.size), truth]
    losses: Floats = -np.log(np.maximum(chosen, SMALLEST_PROBABILITY))
    return losses


def brier_losses(truth: Classes, probabilities: Floats) -> Floats:
    """Of each row (rows,), summed over the classes."""
    losses: Floats = ((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(axis=1)
    return losses


def _summary(scores: list[Score]) -> MetricSummary:
    values = np.array([each.value for each in scores if each.value is not None])
    if not values.size:
        reason = scores[0].reason if scores else "No fold was finished."
        return MetricSummary(None, None, None, None, None, 0, reason)
    mean = float(values.mean())
    std = float(values.std(ddof=1)) if values.size > 1 else None
    return MetricSummary(
        mean=mean,
        std=std,
        minimum=float(values.min()),
        maximum=float(values.max()),
        variation=std / abs(mean) if std is not None and mean else None,
        fold_count=int(values.size),
        reason=next((each.reason for each in scores if each.value is None), ""),
    )
