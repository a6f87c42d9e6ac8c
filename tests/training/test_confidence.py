"""Intervals: how wide they are, and that they hold what they say they hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal, stats

from services.training.confidence import block_bootstrap, mean_overlap, persistence
from services.training.scores import score
from tests.training.cases import SECOND

NAMES = ("down", "range", "up")


def random_case(seed, rows, classes):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, rows).astype(np.int8)
    return truth, generator.dirichlet(np.ones(classes), rows)


def values(truth, probabilities):
    predicted = probabilities.argmax(axis=1).astype(np.int8)
    found = score(truth, predicted, probabilities, NAMES[: probabilities.shape[1]])
    return {name: each.value for name, each in found.metrics.items()}


def intervals(truth, probabilities, overlap=1.0, seed=0, draws=2_000, level=0.95, predicted=None):
    generator = np.random.default_rng(seed)
    return block_bootstrap(truth, probabilities, overlap, draws, level, generator, predicted)


def width(found, name="balanced_accuracy"):
    return found[name].high - found[name].low


def test_on_many_independent_rows_the_interval_is_the_textbooks():
    truth, probabilities = random_case(3, 50_000, 3)
    accuracy = values(truth, probabilities)["accuracy"]
    found = intervals(truth, probabilities)["accuracy"]
    deviation = np.sqrt(accuracy * (1 - accuracy) / truth.size)
    assert found.low == pytest.approx(accuracy - 1.96 * deviation, abs=0.15 * deviation)
    assert found.high == pytest.approx(accuracy + 1.96 * deviation, abs=0.15 * deviation)
    assert (found.level, found.draws) == (0.95, 2_000)


def test_rows_that_repeat_each_other_have_the_interval_of_the_rows_that_do_not():
    """Twenty copies of each row add no knowledge, and whoever scores them sees it without being told."""
    truth, probabilities = random_case(4, 500, 3)
    repeated = np.repeat(truth, 20), np.repeat(probabilities, 20, axis=0)
    honest = intervals(truth, probabilities)
    for overlap in (1.0, 20.0):
        found = intervals(*repeated, overlap)
        assert width(found) == pytest.approx(width(honest), rel=0.25)
        assert width(found, "log_loss") == pytest.approx(width(honest, "log_loss"), rel=0.25)


def test_fewer_labels_make_wider_intervals():
    cases = [random_case(seed, 2_000, 2) for seed in range(20)]

    def mean_width(overlap):
        return np.mean([width(intervals(*case, overlap, draws=300)) for case in cases])

    assert mean_width(400.0) > 1.3 * mean_width(1.0), "few blocks tell little of their own spread"


def test_every_interval_of_the_bootstrap_holds_the_score_itself_and_stays_in_the_metrics_range():
    truth, probabilities = random_case(5, 600, 3)
    scores = values(truth, probabilities)
    for name, found in intervals(truth, probabilities, 10.0).items():
        assert found.low < scores[name] < found.high, name
    assert not {"roc_auc", "pr_auc"} & intervals(truth, probabilities).keys()
    few = random_case(1, 30, 2)
    for name, found in intervals(*few, overlap=20.0).items():
        assert found.high <= {"log_loss": np.inf, "brier": 2.0}.get(name, 1.0), name
        assert found.low >= {"mcc": -1.0, "kappa": -1.0}.get(name, 0.0), name


def test_the_class_that_was_said_counts_not_the_likeliest():
    truth, probabilities = random_case(9, 400, 2)
    said = np.zeros(truth.size, dtype=np.int8)
    accuracy = float((truth == 0).mean())
    found = intervals(truth, probabilities, predicted=said)["accuracy"]
    assert found.low < accuracy < found.high
    other = intervals(truth, probabilities)["accuracy"]
    assert (other.low, other.high) != (found.low, found.high)


def test_the_bootstrap_is_its_seeds():
    case = random_case(6, 300, 2)
    assert intervals(*case, seed=1) == intervals(*case, seed=1)
    assert intervals(*case, seed=1) != intervals(*case, seed=2)


def test_a_rare_class_leaves_no_interval_and_says_in_how_many_draws():
    truth, probabilities = random_case(7, 300, 2)
    truth[:] = 0
    truth[17] = 1
    found = intervals(truth, probabilities)["balanced_accuracy"]
    assert (found.low, found.high) == (None, None)
    assert found.reason.startswith("The metric is undefined in ")
    assert found.reason.endswith("of 2000 draws.")


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 9])
def test_a_handful_of_rows_still_bootstraps(rows):
    truth, probabilities = random_case(8, rows, 2)
    found = intervals(truth, probabilities, overlap=9.0, draws=100)["log_loss"]
    assert found.draws == 100
    assert found.low <= values(truth, probabilities)["log_loss"] <= found.high


def test_the_overlap_counts_the_labels_decided_while_one_is_open():
    t0 = np.arange(1_000, dtype=np.int64) * SECOND
    assert mean_overlap(t0, t0) == 1.0
    assert mean_overlap(t0, t0 + SECOND) == 1.0  # the next is decided when this one is known
    assert mean_overlap(t0, t0 + 24 * SECOND) == pytest.approx(24, abs=0.5)  # a few at the end fewer
    both = np.repeat(t0, 2)
    assert mean_overlap(both, both + 24 * SECOND) == pytest.approx(47.5, abs=1)  # of two symbols


@pytest.mark.parametrize("lasting", [0.0, 0.5, 0.9, 0.97])
def test_persistence_is_that_of_the_process(lasting):
    noise = np.random.default_rng(1).normal(size=400_000)
    found = persistence(signal.lfilter([1.0], [1.0, -lasting], noise))
    assert found == pytest.approx(2 * lasting / (1 - lasting**2), rel=0.2, abs=0.02)


def test_what_never_changes_has_no_persistence():
    assert persistence(np.ones(100)) == 0.0
    assert persistence(np.ones(1)) == 0.0


@pytest.mark.parametrize("rows", [500, 2_500])
@pytest.mark.parametrize("horizon", [4, 24])
def test_on_random_walks_the_intervals_hold_chance_as_often_as_they_say(rows, horizon):
    """Momentum says what a random walk will do: it knows nothing, and errs for as long as labels do."""
    spans, held = 250, dict.fromkeys(("balanced_accuracy", "accuracy", "mcc", "kappa"), 0)
    for seed in range(spans):
        generator = np.random.default_rng([seed, rows, horizon])
        walk = generator.normal(size=rows + horizon + 24).cumsum()
        past = walk[24 : 24 + rows] - walk[:rows]
        truth = (walk[24 + horizon :] > walk[24 : 24 + rows]).astype(np.int8)
        up = 1 / (1 + np.exp(-past / 10))
        found = block_bootstrap(truth, np.stack([1 - up, up], 1), float(horizon), 300, 0.95, generator)
        for name in held:
            at = found[name]
            chance = 0.0 if name in ("mcc", "kappa") else 0.5
            held[name] += at.low is None or at.low <= chance <= at.high
    # So few would be held once in a thousand times if 92.5 of 100 were; before, 84 and 90 of 100 were.
    least = stats.binom.ppf(0.001, spans, 0.925)
    assert min(held.values()) >= least, held
