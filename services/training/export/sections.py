"""The manifest's sections that follow from a result: plain JSON; a number that does not exist is null."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from marketml.bundle.canonical import JsonObject
from services.training.labels import ReturnThresholds
from services.training.learners import extra_trees, forest, lightgbm, xgboost
from services.training.results import TrainedResult
from services.training.scores import MetricSummary, Scores
from services.training.search.study import SearchResult, TrialState

FILLED_SECTIONS = frozenset({"importances", "libraries", "proof", "scores", "seeds"})

_LIBRARY_PACKAGES = {
    lightgbm.KIND: "lightgbm",
    xgboost.KIND: "xgboost",
    forest.KIND: "scikit-learn",
    extra_trees.KIND: "scikit-learn",
}


def filled_sections(result: TrainedResult, seed: int) -> dict[str, JsonObject]:
    """The sections in `FILLED_SECTIONS`."""
    return {
        "importances": {
            "measure": "gain_share",
            "values": {
                name: float(share)
                for name, share in zip(result.learned.feature_names, result.learned.importances, strict=True)
            },
        },
        "libraries": libraries_of(
            (member.kind for member in result.learned.members),
            *(() if result.search is None else ("optuna",)),
        ),
        "proof": {"splits": [asdict(proof) for proof in result.proofs]},
        "scores": _scores_section(result),
        "seeds": {"run": seed},
    }


def libraries_of(kinds: Iterable[str], *beside: str) -> dict[str, str]:
    """Versions of what decides a bundle's bytes: Python, this package, what labels and scores are computed
    with, the libraries of `kinds`, and what else there was."""
    of_kinds = (_LIBRARY_PACKAGES[kind] for kind in kinds)
    names = ("marketml", "numba", "numpy", "pandas", "scikit-learn", *of_kinds, *beside)
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}


def _scores_section(result: TrainedResult) -> dict[str, Any]:
    """Every score with its doubt; a metric without a value says why in `reason`."""
    learned = result.learned
    return {
        "folds": [
            {
                "number": fold.number,
                "rounds": fold.rounds,
                **_thresholds(fold.return_thresholds),
                **_scores(fold.scores),
                "baselines": {name: _scores(scores) for name, scores in fold.baselines.items()},
            }
            for fold in result.folds
        ],
        "fold_table": _table(result.fold_table),
        "baseline_tables": {name: _table(table) for name, table in result.baseline_tables.items()},
        **_paths(result),
        **_search(result.search),
        "test": {
            **_scores(result.test_scores),
            "intervals": {name: asdict(interval) for name, interval in result.test_intervals.items()},
            "baselines": {name: _scores(scores) for name, scores in result.test_baselines.items()},
            **_symbols(result),
        },
        "model": {
            "kind": learned.kind,
            "rounds": learned.rounds,
            "trained_rounds": learned.trained_rounds,
            "validation_losses": list(learned.validation_losses),
            "stopped": result.stopped,
            **({} if len(learned.members) == 1 else {"members": [asdict(each) for each in learned.members]}),
            **_thresholds(learned.return_thresholds),
        },
    }


def _thresholds(thresholds: ReturnThresholds | None) -> dict[str, Any]:
    """Those by which classes were told apart; where they follow from no rows, no word of them."""
    return {} if thresholds is None else {"return_thresholds": asdict(thresholds)}


def _search(search: SearchResult | None) -> dict[str, Any]:
    """How the parameters were found: the fold table is that of the best of so many trials."""
    if search is None:
        return {}
    return {
        "search": {
            "metric": search.metric,
            "planned_count": search.planned_count,
            "trial_count": len(search.trials),
            **{f"{state}_count": search.count(state) for state in TrialState},
            "best_trial": search.best.number,
            "best_value": search.best.value,
            "best_parameters": dict(search.best.values),
            "complete_values": [trial.value for trial in search.trials if trial.state is TrialState.COMPLETE],
        }
    }


def _symbols(result: TrainedResult) -> dict[str, Any]:
    """The scores of each of several symbols, by its place in the section of the data: 0 is the first."""
    if not result.test_symbols:
        return {}
    return {"symbols": {str(symbol): _scores(scores) for symbol, scores in result.test_symbols.items()}}


def _paths(result: TrainedResult) -> dict[str, Any]:
    """The backtest paths of combinatorial folds; other folds make none, and no word of them."""
    if not result.paths:
        return {}
    return {
        "paths": [
            {
                "number": path.number,
                "folds": list(path.folds),
                **_scores(path.scores),
                "baselines": {name: _scores(scores) for name, scores in path.baselines.items()},
            }
            for path in result.paths
        ],
        "path_table": _table(result.path_table),
        "path_baseline_tables": {name: _table(table) for name, table in result.path_baseline_tables.items()},
    }


def _scores(scores: Scores) -> dict[str, Any]:
    return {
        "rows": scores.row_count,
        "metrics": {name: asdict(score) for name, score in scores.metrics.items()},
        "confusion": scores.confusion.tolist(),
    }


def _table(table: Mapping[str, MetricSummary]) -> dict[str, Any]:
    return {name: asdict(summary) for name, summary in table.items()}
