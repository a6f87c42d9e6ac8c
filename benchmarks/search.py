"""Parameter search against the plain script, in one run: `python benchmarks/search.py`.

    python benchmarks/search.py [--rows 20000] [--features 100] [--trials 20] [--rounds 150] [--patience 50]
                                [--seeds 1] [--models lightgbm xgboost] [--without-parts]

Seconds of CPU of the whole process, one thread, and how many times ours that is. Both try the same trials,
those that ours asks for, on the same purged five folds, and compare them by the mean log loss over the folds.

The peer is what people write: a frame of float64, scikit-learn's interface, every fold of every trial fitted
from scratch, all rounds of it, the library's own number of bins, nothing given up. A second peer stops early
as ours does. Ours is a whole run: it asks the sampler, scores the folds by every metric, and fits the model.

Then what each part of ours is worth: the search without it, by the same clock.
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--patience", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--without-parts", action="store_true", help="measure what each part is worth, too")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("lightgbm", "xgboost", "optuna"))
    print(
        f"{given.rows:,} x {given.features}, {given.trials} trials, {given.rounds} rounds at most, patience "
        f"{given.patience}, purged five folds, one thread, CPU seconds; {libraries}\n"
    )
    print(f"{'model':9} {'seed':>4} {'search':32} {'CPU, s':>8} {'ratio':>6} {'best log loss':>14}")
    for name in given.models:
        for seed in range(given.seeds):
            compare(name, MODELS[name](rounds=given.rounds), made_up(given.rows, given.features), given, seed)


def compare(name: str, model: ModelParameters, samples: Samples, given: Any, seed: int) -> None:
    """One model, one seed."""
    plan = TrainingPlan(
        model,
        SplitPlan(method=KFold(5), embargo=Embargo(LABEL_BARS)),
        EarlyStopping(given.patience),
        search=SearchPlan(default_space(model), given.trials),
    )

    def told(words: str, work: Callable[[], Found]) -> Found:
        started = time.process_time()
        found = work()
        taken = time.process_time() - started
        ratio = f"{taken / reference:5.1f}x" if reference else ""
        print(
            f"{name:9} {seed:4} {words:32} {taken:8.1f} {ratio:>6} {found.best:14.5f}  {found.words}",
            flush=True,
        )
        spent.append(taken)
        return found

    spent: list[float] = []
    reference = 0.0
    values = told("ours", lambda: ours(samples, plan, seed)).values
    reference = spent[0]
    told("plain script", lambda: plain(samples, plan, seed, values, stops=False))
    told("plain script that stops early", lambda: plain(samples, plan, seed, values, stops=True))
    if given.without_parts:
        search = plan.search
        assert search is not None
        fine, unpruned = without_bins(search), replace(search, pruning=False)
        told("ours with all parameters but bins", lambda: ours(samples, replace(plan, search=fine), seed))
        told("ours without pruning", lambda: ours(samples, replace(plan, search=unpruned), seed))
        told("ours without early stopping", lambda: ours(samples, replace(plan, early_stopping=None), seed))
        told("ours, rows read for every fit", lambda: ours(samples, plan, seed, most_bytes=0))


@dataclass(frozen=True)
class Found:
    """What a search came to: its best value, what its trials tried, and words about them."""

    best: float
    values: list[dict[str, Any]]
    words: str


def ours(samples: Samples, plan: TrainingPlan, seed: int, most_bytes: int = MOST_BYTES) -> Found:
    """A whole run."""
    units._READINGS = Readings(most_bytes)
    found = evaluate_and_fit(samples, plan, seed, events=lambda event: None).search
    assert found is not None
    assert found.best.value is not None
    fits = sum(len(trial.fold_values) for trial in found.trials)
    words = f"{len(found.trials)} trials, {found.count(TrialState.PRUNED)} given up, {fits} fits of folds"
    return Found(found.best.value, [dict(trial.values) for trial in found.trials], words)


def plain(
    samples: Samples, plan: TrainingPlan, seed: int, trials: list[dict[str, Any]], *, stops: bool
) -> Found:
    """The script: everything anew for every fold of every trial."""
    stopping = plan.early_stopping
    assert stopping is not None
    rows, _, _ = splits.final_test_split(samples.t0, samples.t1, plan.split.test_fraction, plan.split.embargo)
    folds = splits.split_folds(samples.t0, samples.t1, plan.split.method, plan.split.embargo, rows)
    frame = pd.DataFrame(samples.features, columns=list(samples.feature_names))
    target = pd.Series(samples.classes)
    best = np.inf
    for values in trials:
        tried = {name: value for name, value in values.items() if name != "max_bin"}
        losses = []
        for fold in folds:
            train, held_out = fold.train, None
            if stops:
                train, held_out, _ = splits.early_stopping_slice(
                    train, samples.t0, samples.t1, stopping.fraction, plan.split.embargo
                )
            model = classifier(plan.model, tried, seed, stopping.patience_rounds if stops else None)
            fit(model, frame, target, train, held_out, stopping.patience_rounds)
            losses.append(log_loss(target.iloc[fold.test], model.predict_proba(frame.iloc[fold.test])))
        best = min(best, float(np.mean(losses)))
    return Found(best, trials, f"{len(trials)} trials, {len(trials) * len(folds)} fits of folds")


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
    model: Any, frame: pd.DataFrame, target: pd.Series, train: Rows, held_out: Rows | None, patience: int
) -> None:
    if held_out is None:
        model.fit(frame.iloc[train], target.iloc[train])
        return
    watched = [(frame.iloc[held_out], target.iloc[held_out])]
    if isinstance(model, lightgbm.LGBMClassifier):
        stop = lightgbm.early_stopping(patience, verbose=False)
        model.fit(frame.iloc[train], target.iloc[train], eval_set=watched, callbacks=[stop])
    else:
        model.fit(frame.iloc[train], target.iloc[train], eval_set=watched, verbose=False)


def made_up(rows: int, count: int) -> Samples:
    """Features of which eight tell a little of what comes, alone and in pairs; labels overlap."""
    generator = np.random.default_rng(3)
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
