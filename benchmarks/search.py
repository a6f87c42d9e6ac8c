"""Parameter search against the plain script, in one run: `python benchmarks/search.py`.

    python benchmarks/search.py [--rows 20000] [--features 100] [--trials 20] [--rounds 150] [--patience 50]
                                [--seeds 0] [--models lightgbm xgboost] [--rules whole stops] [--parts]

Seconds of CPU of the whole process, one thread, and how many times ours that is. Both try the same trials,
those that ours asks for, on the same purged five folds, and compare them by the mean log loss over the folds.

The peer is what people write: a frame of float64, scikit-learn's interface, every fold of every trial fitted
from scratch, the library's own number of bins, nothing given up. Ours is a whole run: it asks the sampler,
scores the folds by every metric, fits the model that is kept and draws the intervals of its scores.

A slice to stop early on costs rows to learn from, and so log loss, whoever gives it up. So each is measured
against the peer that learns from the same rows:

whole   every fit takes all its rows and all its rounds
stops   every fit gives up its newest rows and stops on them

`best` is what each says of its best trial. They tell log losses of different models (bins), so chance decides
which is the less by a little: with several seeds the last lines give the mean difference and its standard
error. `chosen` is what the peer comes to with the trial that ours chose: how much a better one given up cost.

`--parts` tells what each part of ours is worth: the search without it, by the same clock.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import lightgbm
import numpy as np
import optuna
import pandas as pd
import xgboost
from sklearn.metrics import log_loss

from services.training import splits
from services.training.learners import LightgbmParameters, ModelParameters, XgboostParameters
from services.training.learners.readings import MOST_BYTES, Readings
from services.training.pipeline import evaluate_and_fit
from services.training.plan import EarlyStopping, SplitPlan, TrainingPlan
from services.training.samples import Samples
from services.training.search import SearchPlan, default_space
from services.training.search.study import TrialState
from services.training.splits import Embargo, KFold, Rows
from services.training.workshop import units

LABEL_BARS, BAR_US = 24, 3_600_000_000
CLASS_NAMES = ("down", "range", "up")
MODELS: dict[str, type[LightgbmParameters] | type[XgboostParameters]] = {
    "lightgbm": LightgbmParameters,
    "xgboost": XgboostParameters,
}
RULES = ("whole", "stops")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--patience", type=int, default=50)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rules", nargs="+", choices=RULES, default=list(RULES))
    parser.add_argument("--parts", action="store_true", help="measure what each part is worth, too")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("lightgbm", "xgboost", "optuna"))
    print(
        f"{given.rows:,} x {given.features}, {given.trials} trials, {given.rounds} rounds at most, patience "
        f"{given.patience}, purged five folds, one thread, CPU seconds; {libraries}\n"
    )
    print(f"{'model':9}{'seed':>4}  {'rule':6} {'search':30} {'CPU, s':>8} {'ratio':>7} {'best':>9}")
    summaries = []
    for name in given.models:
        for rule in given.rules:
            pairs = [compare(name, rule, given, seed) for seed in given.seeds]
            summaries.append(f"{name:9}      {rule:6} {summary(pairs)}")
    print("\n" + "\n".join(summaries))


@dataclass(frozen=True)
class Pair:
    """How many times ours the peer takes, and by how much the best of ours is worse."""

    ratio: float
    worse: float


def summary(pairs: list[Pair]) -> str:
    """All seeds in one line."""
    worse = np.array([pair.worse for pair in pairs])
    doubt = f" ± {worse.std(ddof=1) / np.sqrt(worse.size):.5f}" if worse.size > 1 else ""
    ratios = sorted(pair.ratio for pair in pairs)
    return (
        f"{np.median(ratios):.1f}x less CPU ({ratios[0]:.1f}x to {ratios[-1]:.1f}x), best log loss "
        f"{worse.mean():+.5f}{doubt} of the peer's, {worse.size} seeds"
    )


def compare(name: str, rule: str, given: Any, seed: int) -> Pair:
    """One model, by one rule, with one seed of rows and of everything else."""
    model, samples = MODELS[name](rounds=given.rounds), made_up(given.rows, given.features, seed)
    plan = TrainingPlan(
        model,
        SplitPlan(method=KFold(5), embargo=Embargo(LABEL_BARS)),
        EarlyStopping(given.patience) if rule == "stops" else None,
        search=SearchPlan(default_space(model), given.trials),
    )

    def told(words: str, work: Callable[[], Found]) -> tuple[float, Found]:
        started = time.process_time()
        found = work()
        taken = time.process_time() - started
        ratio = f"{taken / reference:6.1f}x" if reference else ""
        print(
            f"{name:9}{seed:4}  {rule:6} {words:30} {taken:8.1f} {ratio:>7} {found.best:9.5f}  {found.words}",
            flush=True,
        )
        return taken, found

    reference = 0.0
    reference, mine = told("ours", lambda: ours(samples, plan, seed))
    taken, theirs = told("plain script", lambda: plain(samples, plan, seed, mine))
    if given.parts:
        search = plan.search
        assert search is not None
        fine, unpruned = without_bins(search), replace(search, pruning=False)
        told("ours, the library's own bins", lambda: ours(samples, replace(plan, search=fine), seed))
        told("ours without pruning", lambda: ours(samples, replace(plan, search=unpruned), seed))
        told("ours, rows read for every fit", lambda: ours(samples, plan, seed, most_bytes=0))
    return Pair(taken / reference, mine.best - theirs.best)


@dataclass(frozen=True)
class Found:
    """What a search came to: its best value, what its trials tried, the best of them, and words about it."""

    best: float
    values: list[dict[str, Any]]
    chosen: int
    words: str


def ours(samples: Samples, plan: TrainingPlan, seed: int, most_bytes: int = MOST_BYTES) -> Found:
    """A whole run."""
    units._READINGS = Readings(most_bytes)
    found = evaluate_and_fit(samples, plan, seed, events=lambda event: None).search
    assert found is not None
    assert found.best.value is not None
    fits = sum(len(trial.fold_values) for trial in found.trials)
    words = f"{len(found.trials)} trials, {found.count(TrialState.PRUNED)} given up, {fits} fits of folds"
    values = [dict(trial.values) for trial in found.trials]
    return Found(found.best.value, values, found.best.number - 1, words)


def plain(samples: Samples, plan: TrainingPlan, seed: int, mine: Found) -> Found:
    """The script: everything anew for every fold of every trial that ours tried."""
    stopping = plan.early_stopping
    rows, _, _ = splits.final_test_split(samples.t0, samples.t1, plan.split.test_fraction, plan.split.embargo)
    folds = splits.split_folds(samples.t0, samples.t1, plan.split.method, plan.split.embargo, rows)
    frame = pd.DataFrame(samples.features, columns=list(samples.feature_names))
    target = pd.Series(samples.classes)
    means = []
    for values in mine.values:
        tried = {name: value for name, value in values.items() if name != "max_bin"}
        losses = []
        for fold in folds:
            train, held_out = fold.train, None
            if stopping is not None:
                train, held_out, _ = splits.newest_slice(
                    train, samples.t0, samples.t1, stopping.fraction, plan.split.embargo
                )
            patience = None if stopping is None else stopping.patience_rounds
            model = classifier(plan.model, tried, seed, patience)
            fit(model, frame, target, train, held_out, patience)
            losses.append(log_loss(target.iloc[fold.test], model.predict_proba(frame.iloc[fold.test])))
        means.append(float(np.mean(losses)))
    chosen = means[mine.chosen]
    words = f"{len(means)} trials, {len(means) * len(folds)} fits of folds; chosen {chosen:.5f}"
    return Found(min(means), mine.values, int(np.argmin(means)), words)


def without_bins(search: SearchPlan) -> SearchPlan:
    """The search of all but the number of bins."""
    return replace(search, space={name: each for name, each in search.space.items() if name != "max_bin"})


def classifier(model: ModelParameters, values: dict[str, Any], seed: int, patience: int | None) -> Any:
    if isinstance(model, LightgbmParameters):
        return lightgbm.LGBMClassifier(
            n_estimators=model.rounds, subsample_freq=1, n_jobs=1, random_state=seed, verbosity=-1, **values
        )
    assert isinstance(model, XgboostParameters)
    return xgboost.XGBClassifier(
        n_estimators=model.rounds, n_jobs=1, random_state=seed, early_stopping_rounds=patience, **values
    )


def fit(
    model: Any,
    frame: pd.DataFrame,
    target: pd.Series,
    train: Rows,
    held_out: Rows | None,
    patience: int | None,
) -> None:
    if held_out is None or patience is None:
        model.fit(frame.iloc[train], target.iloc[train])
        return
    watched = [(frame.iloc[held_out], target.iloc[held_out])]
    if isinstance(model, lightgbm.LGBMClassifier):
        stop = lightgbm.early_stopping(patience, verbose=False)
        model.fit(frame.iloc[train], target.iloc[train], eval_set=watched, callbacks=[stop])
    else:
        model.fit(frame.iloc[train], target.iloc[train], eval_set=watched, verbose=False)


def made_up(rows: int, count: int, seed: int) -> Samples:
    """Features of which eight tell a little of what comes, alone and in pairs; labels overlap."""
    generator = np.random.default_rng((3, seed))
    features = generator.normal(size=(rows, count))
    told = features[:, :4] @ np.array([0.3, -0.25, 0.2, 0.15]) + 0.3 * features[:, 4] * features[:, 5]
    told += 0.25 * np.abs(features[:, 6]) * np.sign(features[:, 7])
    outcome = told + generator.normal(size=rows)
    t0 = np.arange(rows, dtype=np.int64) * BAR_US
    return Samples(
        features=features,
        feature_names=tuple(f"f{index}" for index in range(count)),
        classes=np.searchsorted(np.quantile(outcome, (1 / 3, 2 / 3)), outcome).astype(np.int8),
        t0=t0,
        t1=t0 + LABEL_BARS * BAR_US,
        class_names=CLASS_NAMES,
        weights=np.ones(rows),
    )


if __name__ == "__main__":
    main()
