"""What giving trials up costs and spares: `python benchmarks/race.py`.

    python benchmarks/race.py [--tables tables.json] [--seeds 4] [--orders 40]

Searches that give nothing up are run first: two libraries, on data whose trials differ clearly and on data
where they hardly do, 24 trials of five folds each; minutes, so `--tables` keeps what they found and reads it
again. Each is then replayed in many orders under each rule, without fitting anything: the share of the fits
that were made, how much worse than the best trial is the one that is chosen (log loss), and how many searches
lost the best.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

import numpy as np
import optuna
from scipy import stats

from benchmarks.search import MODELS, made_up
from services.training.pipeline import evaluate_and_fit
from services.training.plan import SplitPlan, TrainingPlan
from services.training.samples import Samples
from services.training.search import SearchPlan, default_space, race
from services.training.splits import Embargo, KFold

ROWS, FEATURES, ROUNDS, TRIALS = 5_000, 30, 60, 24
MEDIAN_FROM_TRIALS = 3  # complete ones; Optuna's default is five, which makes more fits
Table = Sequence[race.FoldValues]
Rule = Callable[[race.FoldValues, Table], bool]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, help="where the searches are kept, or were")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--orders", type=int, default=40)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if given.tables and given.tables.exists():
        tables = json.loads(given.tables.read_text())
    else:
        tables = searched(given.seeds)
        if given.tables:
            given.tables.write_text(json.dumps(tables))
    random = np.random.default_rng(0)
    orders = [random.permutation(TRIALS) for _ in range(given.orders)]
    print(f"{'rule':<40}{'of the fits':>12}{'log loss lost':>15}{'lost the best':>15}")
    for name, rule in RULES.items():
        for kind, of_kind in tables.items():
            turned = [[table[i] for i in order] for table in of_kind for order in orders]
            fits, lost = np.array([replay(table, rule) for table in turned]).T
            print(f"{f'{name}, {kind}':<40}{fits.mean():12.2f}{lost.mean():15.5f}{(lost > 0).mean():15.0%}")


def searched(seeds: int) -> dict[str, list[Table]]:
    """Of each kind of search, the folds of each of its trials, for each seed."""
    tables: dict[str, list[Table]] = {}
    for name, defaults in MODELS.items():
        model = defaults(rounds=ROUNDS)
        search = SearchPlan(default_space(model), TRIALS, pruning=False)
        plan = TrainingPlan(model, SplitPlan(method=KFold(5), embargo=Embargo(24)), None, search=search)
        for seed in range(seeds):
            clear = made_up(ROWS, FEATURES, seed)
            for words, samples in (("clear", clear), ("hardly any", _noisy(clear, seed))):
                result = evaluate_and_fit(samples, plan, seed, events=lambda _: None).search
                assert result is not None
                tables.setdefault(f"{name}, {words}", []).append([each.fold_values for each in result.trials])
    return tables


def replay(table: Table, rule: Rule) -> tuple[float, float]:
    """The share of the fits that a search makes under a rule, and what it loses of log loss."""
    complete: list[race.FoldValues] = []
    fits = 0
    for folds in table:
        for count in range(1, len(folds) + 1):
            fits += 1
            if count == len(folds):
                complete.append(folds)
            elif rule(folds[:count], complete):
                break
    best, chosen = (min(np.mean(folds) for folds in some) for some in (table, complete))
    return fits / sum(map(len, table)), float(chosen - best)


def is_worse_than_the_median(so_far: race.FoldValues, complete: Table) -> bool:
    """The rule of Optuna's median pruner."""
    if len(complete) < MEDIAN_FROM_TRIALS:
        return False
    means = [np.mean(folds[: len(so_far)]) for folds in complete]
    return bool(np.mean(so_far) > np.median(means))


def is_worse_by_wilcoxon(so_far: race.FoldValues, complete: Table) -> bool:
    """The rule of Optuna's Wilcoxon pruner, which is made for folds, with its defaults: worse than the best,
    fold by fold, by a signed-rank test at 0.1."""
    if not complete or len(so_far) < 2:
        return False
    best = min(complete, key=np.mean)
    if np.mean(so_far) <= np.mean(best):
        return False
    lags = np.subtract(so_far, best[: len(so_far)])
    return bool(stats.wilcoxon(lags, alternative="greater", zero_method="zsplit").pvalue < 0.1)


def is_behind(so_far: race.FoldValues, complete: Table) -> bool:
    """Ours."""
    return race.is_behind("log_loss", so_far, complete)


RULES: dict[str, Rule] = {
    "median": is_worse_than_the_median,
    "Wilcoxon": is_worse_by_wilcoxon,
    "ours": is_behind,
}


def _noisy(samples: Samples, seed: int) -> Samples:
    """Of the same features, a target that they hardly tell, as in markets."""
    random = np.random.default_rng((9, seed))
    told = 0.06 * samples.features[:, 0] + random.normal(size=len(samples.features))
    classes = np.searchsorted(np.quantile(told, (1 / 3, 2 / 3)), told).astype(np.int8)
    return replace(samples, classes=classes)


if __name__ == "__main__":
    main()
