"""What a run tells, in the words of the contract: details of events, and the result of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from services.training.confidence import Interval
from services.training.config.search_config import write_values
from services.training.events import FoldFinished, TrialFinished
from services.training.jobs import Tree
from services.training.results import TrainedResult
from services.training.samples import Samples
from services.training.scores import MetricSummary, Scores
from services.training.search.study import SearchResult, TrialState

MAX_IMPORTANCES = 50


def fold_finished(event: FoldFinished) -> Tree:
    """The detail of a fold that is scored."""
    fold = event.result
    return {
        "fold_finished": {
            "fold": fold.number,
            "fold_count": event.fold_count,
            "rounds": fold.rounds,
            "metrics": _all_metrics(fold.scores, fold.baselines),
        }
    }


def trial_finished(event: TrialFinished) -> Tree:
    """The detail of a trial that is over."""
    trial, best = event.trial, event.best
    return {
        "trial_finished": _present(
            trial=trial.number,
            trial_count=event.trial_count,
            state=f"TRIAL_STATE_{trial.state.name}",
            metric=event.metric,
            value=trial.value,
            fold_values=list(trial.fold_values),
            parameters=write_values(trial.values),
            best_trial=None if best is None else best.number,
            best_value=None if best is None else best.value,
            absent_reason=trial.reason,
        )
    }


def metric(name: str, value: float) -> Tree:
    return {"metric": {"name": name, "value": float(value)}}


def warning(message: str) -> Tree:
    return {"warning": {"message": message}}


def model_registered(model_name: str, version: int, digest: str) -> Tree:
    return {"model_registered": {"model_name": model_name, "model_version": version, "model_digest": digest}}


def result_of(result: TrainedResult, samples: Samples, model_name: str, version: int, digest: str) -> Tree:
    """The result of a job that succeeded."""
    fold_table = _metric_rows("", result.fold_table)
    test = _test_metrics("", result.test_scores, result.test_intervals)
    for name in sorted(result.baseline_tables):
        fold_table += _metric_rows(name, result.baseline_tables[name])
    for name in sorted(result.test_baselines):
        test += _test_metrics(name, result.test_baselines[name])
    path_table = _metric_rows("", result.path_table)
    for name in sorted(result.path_baseline_tables):
        path_table += _metric_rows(name, result.path_baseline_tables[name])
    learned = result.learned
    largest = np.argsort(-learned.importances, kind="stable")[:MAX_IMPORTANCES]
    thresholds = learned.return_thresholds
    return {
        **({} if thresholds is None else {"return_thresholds": asdict(thresholds)}),
        **({} if result.search is None else {"search": _search(result.search)}),
        "model_name": model_name,
        "model_version": version,
        "model_digest": digest,
        "class_names": list(result.class_names),
        "row_count": int(samples.classes.size),
        "feature_count": len(learned.feature_names),
        "rounds": learned.rounds,
        "fold_table": fold_table,
        "test": test,
        "test_row_count": result.test_scores.row_count,
        "importances": [
            {"feature": learned.feature_names[index], "share": float(learned.importances[index])}
            for index in largest
            if learned.importances[index] > 0
        ],
        "proofs": [
            {
                "consumer": proof.consumer,
                "train_row_count": proof.train_rows,
                "held_out_row_count": proof.held_out_rows,
                "purged_count": proof.purged_count,
                "embargoed_count": proof.embargoed_count,
                "gap": proof.gap_microseconds / 1_000_000,
            }
            for proof in result.proofs
        ],
        "stopped_early": result.stopped,
        "path_table": path_table,
        "paths": [
            {
                "path": path.number,
                "folds": list(path.folds),
                "row_count": path.scores.row_count,
                "metrics": _all_metrics(path.scores, path.baselines),
            }
            for path in result.paths
        ],
    }


def _search(search: SearchResult) -> Tree:
    counts = {f"{state}_count": search.count(state) for state in TrialState}
    return _present(
        metric=search.metric,
        trial_count=len(search.trials),
        **counts,
        best_trial=search.best.number,
        best_value=search.best.value,
        best_parameters=write_values(search.best.values),
        first_value=search.trials[0].value,
    )


def symbol_scores(result: TrainedResult, samples: Samples, instruments: Sequence[tuple[str, str]]) -> Tree:
    """Of each of several symbols (venue, symbol): its rows, and the model on those of the test span."""
    if samples.symbols is None:
        return {}
    found = []
    for index, (venue, symbol) in enumerate(instruments):
        scores = result.test_symbols.get(index)
        known = None if scores is None else scores.metrics["balanced_accuracy"]
        found.append(
            _present(
                venue=venue,
                symbol=symbol,
                row_count=int((samples.symbols == index).sum()),
                test_row_count=0 if scores is None else scores.row_count,
                balanced_accuracy=None if known is None else known.value,
                absent_reason="No row is of the symbol." if known is None else known.reason,
            )
        )
    return {"symbols": found}


def _all_metrics(scores: Scores, baselines: Mapping[str, Scores]) -> list[Tree]:
    metrics = _test_metrics("", scores)
    for name in sorted(baselines):
        metrics += _test_metrics(name, baselines[name])
    return metrics


def _metric_rows(baseline: str, table: Mapping[str, MetricSummary]) -> list[Tree]:
    return [
        _present(
            baseline=baseline,
            metric=name,
            mean=summary.mean,
            std=summary.std,
            min=summary.minimum,
            max=summary.maximum,
            fold_count=summary.fold_count,
            absent_reason=summary.reason,
        )
        for name, summary in table.items()
    ]


def _test_metrics(
    baseline: str, scores: Scores, intervals: Mapping[str, Interval] | None = None
) -> list[Tree]:
    rows = []
    for name, score in scores.metrics.items():
        interval = (intervals or {}).get(name)
        rows.append(
            _present(
                baseline=baseline,
                metric=name,
                value=score.value,
                low=interval.low if interval else None,
                high=interval.high if interval else None,
                absent_reason=score.reason,
            )
        )
    return rows


def _present(**fields: Any) -> Tree:
    return {name: value for name, value in fields.items() if value not in (None, "")}
