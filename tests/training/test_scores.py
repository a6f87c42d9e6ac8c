"""Scores: equal to scikit-learn's where both exist, absent with a reason where there is no answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from marketml.rpc.refusals import InvalidArgument
from services.training.scores import (
    METRICS,
    Score,
    score,
    summarise,
)

NAMES = ("down", "range", "up")
SECOND = 1_000_000


def random_case(seed: int, rows: int, classes: int):
    """Truth and probabilities that know a little about it."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, rows).astype(np.int8)
    logits = generator.normal(size=(rows, classes)) + 0.7 * np.eye(classes)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return truth, probabilities


def scored(truth, probabilities, names=NAMES):
    return score(truth, probabilities.argmax(axis=1).astype(np.int8), probabilities, names)


def values(scores) -> dict[str, float | None]:
    return {name: each.value for name, each in scores.metrics.items()}


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 100_000), rows=st.integers(60, 400), classes=st.integers(2, 3))
def test_every_metric_equals_scikit_learns(seed, rows, classes):
    truth, probabilities = random_case(seed, rows, classes)
    predicted = probabilities.argmax(axis=1)
    if np.unique(truth).size < classes or np.unique(predicted).size < classes:
        return
    one_hot = np.eye(classes)[truth]
    expected = {
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
        "accuracy": metrics.accuracy_score(truth, predicted),
        "macro_precision": metrics.precision_score(truth, predicted, average="macro"),
        "macro_recall": metrics.recall_score(truth, predicted, average="macro"),
        "macro_f1": metrics.f1_score(truth, predicted, average="macro"),
        "mcc": metrics.matthews_corrcoef(truth, predicted),
        "kappa": metrics.cohen_kappa_score(truth, predicted),
        "log_loss": metrics.log_loss(truth, probabilities),
        "brier": np.mean(np.sum((probabilities - one_hot) ** 2, axis=1)),
        "roc_auc": metrics.roc_auc_score(one_hot, probabilities, average="macro"),
        "pr_auc": metrics.average_precision_score(one_hot, probabilities, average="macro"),
    }
    found = scored(truth, probabilities, NAMES[:classes])
    assert values(found) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert found.confusion.tolist() == metrics.confusion_matrix(truth, predicted).tolist()
    assert tuple(found.metrics) == METRICS
    assert found.row_count == rows
    assert found.class_counts == tuple(np.bincount(truth, minlength=classes))


def test_a_class_without_rows_leaves_metrics_absent_with_the_class_in_the_reason():
    truth, probabilities = random_case(0, 50, 3)
    kept = truth != 1
    found = scored(truth[kept], probabilities[kept])
    for name in ("balanced_accuracy", "macro_recall", "roc_auc", "pr_auc"):
        assert found.metrics[name] == Score(None, "No row is of class 'range'.")
    for name in ("accuracy", "mcc", "kappa", "log_loss", "brier"):
        assert found.metrics[name].value is not None
        assert not found.metrics[name].reason


def test_a_class_never_predicted_has_no_precision_and_the_reason_says_which():
    truth = np.array([0, 1, 2, 0], dtype=np.int8)
    found = score(truth, np.array([0, 0, 2, 0], dtype=np.int8), None, NAMES)
    assert found.metrics["macro_precision"] == Score(None, "No row was predicted as class 'range'.")
    assert found.metrics["balanced_accuracy"].value == pytest.approx(2 / 3)
    assert found.metrics["macro_f1"].value == pytest.approx(
        metrics.f1_score(truth, [0, 0, 2, 0], average="macro")
    )


def test_a_constant_prediction_has_no_correlation():
    truth = np.array([0, 1, 0, 1], dtype=np.int8)
    found = score(truth, np.zeros(4, dtype=np.int8), None, ("down", "up"))
    assert found.metrics["mcc"].value is None
    assert "one class" in found.metrics["mcc"].reason
    assert found.metrics["kappa"].value == 0
    one_class = score(np.zeros(4, dtype=np.int8), np.zeros(4, dtype=np.int8), None, ("down", "up"))
    assert one_class.metrics["kappa"].value is None


def test_predictions_without_probabilities_have_no_probability_metrics():
    truth, probabilities = random_case(1, 60, 3)
    found = score(truth, probabilities.argmax(axis=1).astype(np.int8), None, NAMES)
    for name in ("log_loss", "brier", "roc_auc", "pr_auc"):
        assert found.metrics[name] == Score(None, "The predictions carry no probabilities.")
    assert found.metrics["accuracy"] == scored(truth, probabilities).metrics["accuracy"]


def test_a_confident_mistake_costs_much_and_stays_finite():
    truth = np.array([0, 1], dtype=np.int8)
    found = scored(truth, np.array([[1.0, 0.0], [1.0, 0.0]]), ("down", "up"))
    assert found.metrics["log_loss"].value == pytest.approx(-np.log(1e-15) / 2)


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_a_probability_outside_its_range_is_refused(wrong):
    truth, probabilities = random_case(2, 10, 3)
    probabilities[3, 1] = wrong
    with pytest.raises(InvalidArgument, match="probabilities"):
        scored(truth, probabilities)


def test_no_rows_are_refused():
    with pytest.raises(InvalidArgument, match="at least one row"):
        score(np.zeros(0, dtype=np.int8), np.zeros(0, dtype=np.int8), None, NAMES)


def test_the_fold_table_is_over_the_folds_that_have_the_metric():
    folds = [scored(*random_case(seed, 80, 3)) for seed in range(4)]
    truth, probabilities = random_case(9, 80, 3)
    kept = truth != 0
    folds.append(scored(truth[kept], probabilities[kept]))
    table = summarise(folds)
    accuracies = np.array([fold.metrics["accuracy"].value for fold in folds])
    found = table["accuracy"]
    assert (found.mean, found.std) == pytest.approx((accuracies.mean(), accuracies.std(ddof=1)))
    assert (found.minimum, found.maximum) == (accuracies.min(), accuracies.max())
    assert found.variation == pytest.approx(accuracies.std(ddof=1) / accuracies.mean())
    assert (found.fold_count, found.reason) == (5, "")
    assert table["roc_auc"].fold_count == 4
    assert table["roc_auc"].reason == "No row is of class 'down'."


def test_one_fold_has_no_deviation_and_no_fold_has_no_mean():
    alone = summarise([scored(*random_case(0, 80, 3))])["accuracy"]
    assert alone.mean is not None
    assert (alone.std, alone.variation, alone.fold_count) == (None, None, 1)
    none = summarise([])["accuracy"]
    assert (none.mean, none.fold_count, none.reason) == (None, 0, "No fold was finished.")
