"""Known truths, from raw bars through labels, features, splits and fits to the scores.

A random walk scores chance, whatever the learner; folds that are shuffled score it far above; a signal that
was planted is found. Lag returns are all the features there are, so no leak can hide in them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn import model_selection
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from services.training import learners
from services.training.labels import (
    Fixed,
    FixedHorizon,
    FractionBarriers,
    MetaLabel,
    MovingAverages,
    QuantileThreshold,
    TrailingVolatility,
    TrendScanning,
    TripleBarrier,
    VolatilityBarriers,
    label,
)
from services.training.learners import ForestParameters, LightgbmParameters, XgboostParameters
from services.training.pipeline import evaluate_and_fit
from services.training.plan import EarlyStopping, SplitPlan, TrainingPlan
from services.training.samples import join_samples, pool_samples
from services.training.splits import CombinatorialPurged, Embargo, KFold, PurgedSplitter, WalkForward

HOUR = timedelta(hours=1)
LIGHTGBM = LightgbmParameters(rounds=40, num_leaves=7, learning_rate=0.1)
EVERY = [LIGHTGBM, XgboostParameters(rounds=40, max_depth=3, learning_rate=0.1), ForestParameters(trees=40)]
PLAN = TrainingPlan(LIGHTGBM, split=SplitPlan(method=KFold(4), embargo=Embargo(bars=12)), interval_draws=400)


def bars_of(returns) -> pd.DataFrame:
    """Bars whose closes follow `returns`, each with a path around them."""
    generator = np.random.default_rng(len(returns))
    close = 30_000 * np.exp(np.cumsum(returns))
    spread = np.abs(generator.normal(0, 0.002, (2, close.size)))
    index = pd.date_range("2022-01-01", periods=close.size, freq="1h", tz="UTC", name="open_time")
    return pd.DataFrame(
        {"high": close * (1 + spread[0]), "low": close * (1 - spread[1]), "close": close}, index=index
    )


def random_walk(seed: int, count: int) -> pd.DataFrame:
    return bars_of(np.random.default_rng(seed).normal(0, 0.01, count))


def lag_returns(bars: pd.DataFrame, lags) -> pd.DataFrame:
    """Returns over the last so many bars, known at each bar's close; the warm-up is cut off."""
    return pd.DataFrame({f"return_{lag}": bars["close"].pct_change(lag) for lag in lags}).iloc[max(lags) :]


def samples_of(bars, rule, lags=(1, 2, 3, 5, 8, 24), *, binary=False):
    return join_samples(lag_returns(bars, lags), HOUR, label(bars, HOUR, rule, binary=binary))


def run(samples, plan=PLAN, seed=1):
    return evaluate_and_fit(samples, plan, seed, events=lambda event: None)


METHODS = (
    KFold(5),
    WalkForward(),
    WalkForward(4, train_row_count=1_200),
    CombinatorialPurged(),
)
CHANCE_RULES = {
    "one_bar": (FixedHorizon(1), True, 1 / 2),
    "day_ahead": (FixedHorizon(24), True, 1 / 2),
    "volatility_band": (FixedHorizon(6, TrailingVolatility(1.0, 48)), False, 1 / 3),
    "triple_barrier": (TripleBarrier(VolatilityBarriers(2.0, 2.0, 48), 24), True, 1 / 2),
    "quantiles": (FixedHorizon(12, QuantileThreshold(0.3)), False, 1 / 3),
    "trend_scanning": (TrendScanning(4, 12), True, 1 / 2),
    "meta_label": (
        MetaLabel(MovingAverages(6, 24), TripleBarrier(VolatilityBarriers(2.0, 2.0, 48), 24)),
        False,
        1 / 2,
    ),
}


@pytest.mark.parametrize("name", CHANCE_RULES)
def test_a_random_walk_scores_chance_within_its_interval(name):
    rule, binary, chance = CHANCE_RULES[name]
    seeds = range(6)
    found = [run(samples_of(random_walk(seed, 2_500), rule, binary=binary)) for seed in seeds]
    intervals = [each.test_intervals["balanced_accuracy"] for each in found]
    # Of six 95 % intervals, hardly ever do two miss.
    assert sum(interval.low <= chance <= interval.high for interval in intervals) >= 5
    scores = np.array([each.test_scores.metrics["balanced_accuracy"].value for each in found])
    assert abs(scores.mean() - chance) < 3 * scores.std(ddof=1) / np.sqrt(len(seeds))
    in_folds = np.array([each.fold_table["balanced_accuracy"].mean for each in found])
    assert in_folds.mean() == pytest.approx(chance, abs=0.03)


def test_random_walks_of_one_market_score_chance_together():
    """Three symbols, half of whose moves are the market's: their rows are not as many as they look."""
    held = 0
    for seed in range(6):
        market, *own = np.random.default_rng(seed).normal(0, 0.01, (4, 1_500))
        parts = [samples_of(bars_of(market + each), FixedHorizon(12), binary=True) for each in own]
        found = run(pool_samples(parts)).test_intervals["balanced_accuracy"]
        held += found.low <= 0.5 <= found.high
    assert held >= 5


@pytest.mark.parametrize("model", EVERY[1:], ids=learners.kind_of)
def test_a_random_walk_scores_chance_with_every_learner(model):
    found = run(samples_of(random_walk(11, 4_000), FixedHorizon(4), binary=True), replace(PLAN, model=model))
    interval = found.test_intervals["balanced_accuracy"]
    assert interval.low <= 0.5 <= interval.high
    assert found.fold_table["balanced_accuracy"].mean == pytest.approx(0.5, abs=0.03)
    majority = found.baseline_tables["majority"]["log_loss"].mean
    assert found.fold_table["log_loss"].mean >= majority - 0.005


@pytest.mark.parametrize("horizon_bars", [24, 96])
def test_shuffled_folds_see_skill_in_a_random_walk_and_no_purged_method_sees_any(horizon_bars):
    """The neighbours of a row in feature space are its neighbours in time, whose labels overlap its own."""
    samples = samples_of(
        random_walk(3, 6_000), FixedHorizon(horizon_bars), lags=(24, 48, 72, 96, 144, 192), binary=True
    )
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(5))

    def score(folds) -> float:
        found = cross_val_score(
            model, samples.features, samples.classes, cv=folds, scoring="balanced_accuracy"
        )
        return float(found.mean())

    assert score(model_selection.KFold(5, shuffle=True, random_state=0)) > 0.75
    for method in METHODS:
        purged = PurgedSplitter(samples.t0, samples.t1, method)
        assert score(purged) == pytest.approx(0.5, abs=0.04), method


def momentum(seed: int, count: int, strength: float) -> pd.DataFrame:
    """Bars where a share `strength` of a return carries over to the next one."""
    shocks = np.random.default_rng(seed).normal(0, 0.01, count)
    returns = np.zeros(count)
    for bar in range(1, count):
        returns[bar] = strength * returns[bar - 1] + shocks[bar]
    return bars_of(returns)


@pytest.mark.parametrize("model", EVERY, ids=learners.kind_of)
def test_a_planted_signal_is_found_by_every_learner(model):
    """Of two jointly normal returns with correlation 0.4, the signs agree with probability 0.631."""
    found = run(samples_of(momentum(5, 4_000, 0.4), FixedHorizon(1), binary=True), replace(PLAN, model=model))
    agreement = 0.5 + np.arcsin(0.4) / np.pi
    for value in (
        found.test_scores.metrics["balanced_accuracy"].value,
        found.fold_table["balanced_accuracy"].mean,
    ):
        assert agreement - 0.06 < value < agreement + 0.03
    assert found.test_intervals["balanced_accuracy"].low > 0.53
    assert found.learned.feature_names[found.learned.importances.argmax()] == "return_1"
    assert found.fold_table["log_loss"].mean < found.baseline_tables["majority"]["log_loss"].mean


def test_a_planted_signal_is_found_in_three_classes_with_early_stopping():
    bars = momentum(6, 4_000, 0.5)
    plan = replace(PLAN, model=replace(LIGHTGBM, rounds=300), early_stopping=EarlyStopping(15))
    found = run(samples_of(bars, FixedHorizon(1, Fixed(0.004))), plan)
    assert found.learned.rounds < 150
    assert found.test_intervals["balanced_accuracy"].low > 0.37
    assert found.test_scores.metrics["roc_auc"].value > 0.6
    persistence = found.test_baselines["persistence"].metrics["balanced_accuracy"].value
    assert (
        found.test_scores.metrics["balanced_accuracy"].value > persistence - 0.05
    )  # itself good on momentum


def test_barriers_on_a_drifting_market_are_no_news_to_the_majority():
    """Drift makes one class common, not predictable: accuracy is high, balanced accuracy is chance."""
    bars = bars_of(np.random.default_rng(8).normal(0.004, 0.01, 3_000))
    found = run(samples_of(bars, TripleBarrier(FractionBarriers(0.02, 0.02), 24), binary=True))
    assert found.test_scores.metrics["accuracy"].value > 0.7
    interval = found.test_intervals["balanced_accuracy"]
    assert interval.low <= 0.5 <= interval.high
