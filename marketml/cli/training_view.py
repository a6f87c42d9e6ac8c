"""Training jobs for people: events as they come, the folds beside the chance baselines, the test span."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.progress import Progress, TaskID

from marketml.cli.output import Output, enum_text, seconds_text, time_text
from marketml.cli.progress import PlainProgress, bar
from marketml.training.v1 import training_pb2 as pb

_STATE, _STAGE = pb.JobState.DESCRIPTOR, pb.JobStage.DESCRIPTOR
# Metrics worth a line first; what else a job scored follows.
_FIRST_METRICS = ("balanced_accuracy", "log_loss", "roc_auc", "mcc")


class JobView:
    """Shows a job's events: a bar on a terminal, lines elsewhere, JSON lines with `--json`."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._progress: Progress | None = bar(output) if output.is_live else None
        self._task: TaskID | None = None
        self._plain = PlainProgress(output, "training")
        self._stage = "queued"
        self.last_sequence = 0

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
            self._task = self._progress.add_task("training", total=1.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, event: pb.Event) -> None:
        """One event."""
        self.last_sequence = event.sequence
        if self._output.is_json:
            self._output.line(event)
            return
        match event.WhichOneof("detail"):
            case "state_changed":
                moved = event.state_changed
                cause = f": {moved.cause}" if moved.cause else ""
                self._say(f"{enum_text(_STATE, moved.state)}{cause}")
            case "stage_started":
                self._stage = enum_text(_STAGE, event.stage_started.stage).replace("_", " ")
                self._say(self._stage)
            case "progress":
                self._show_progress(event.progress)
            case "fold_finished":
                self._say(fold_line(event.fold_finished))
            case "trial_finished":
                self._say(trial_line(event.trial_finished))
            case "metric":
                self._say(f"{event.metric.name.replace('_', ' ')}: {event.metric.value:,g}")
            case "model_registered":
                one = event.model_registered
                self._say(f"registered {one.model_name} version {one.model_version}, {one.model_digest[:12]}")
            case "warning":
                warning: Any = event.warning  # the stubs take it for Python's own Warning
                self._say(f"Warning: {warning.message}")

    def _say(self, text: str) -> None:
        self._output.say(f"  {text}")

    def _show_progress(self, done: pb.Progress) -> None:
        where = [self._stage]
        if done.HasField("trial"):
            where.append(f"trial {done.trial}")
        if done.HasField("fold"):
            where.append(f"fold {done.fold}")
        if done.HasField("round"):
            where.append(f"round {done.round}")
        if done.HasField("validation_loss"):
            where.append(f"log loss {done.validation_loss:.4f}")
        text = ", ".join(where)
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done.fraction, description=text)
        else:
            if done.HasField("remaining"):
                text += f", {seconds_text(done.remaining.ToTimedelta().total_seconds())} to go"
            self._plain.tell(done.fraction, text)


def fold_line(done: pb.FoldFinished) -> str:
    """`fold 2 of 5: balanced accuracy 0.412 (majority 0.333, persistence 0.338), 84 rounds`."""
    metric = _metrics_in_order({one.metric for one in done.metrics})[:1]
    scores = {one.baseline: one for one in done.metrics if one.metric in metric}
    own = scores.pop("", None)
    chance = ", ".join(f"{name} {number(one, 'value')}" for name, one in scores.items())
    value = f"{metric[0].replace('_', ' ')} {number(own, 'value')}" if own is not None else "scored"
    return (
        f"fold {done.fold} of {done.fold_count}: {value}{f' ({chance})' if chance else ''}, "
        f"{done.rounds} rounds"
    )


def trial_line(done: pb.TrialFinished) -> str:
    """`trial 12 of 50: log loss 1.0133 (best 1.0126, trial 8)`, and what it came to when it was given up."""
    match done.state:
        case pb.TRIAL_STATE_PRUNED:
            folds = len(done.fold_values)
            how = f"{_words(done.metric)} {number(done, 'value')}, given up after {_count(folds, 'fold')}"
        case pb.TRIAL_STATE_UNSCORED:
            how = f"no {_words(done.metric)}. {done.absent_reason}"
        case _:
            how = f"{_words(done.metric)} {number(done, 'value')}"
    if done.HasField("best_trial"):
        how += f" (best {number(done, 'best_value')}, trial {done.best_trial})"
    return f"trial {done.trial} of {done.trial_count}: {how}"


def _show_search(output: Output, search: pb.SearchResult) -> None:
    """Which trial the folds are of, and what it tried."""
    own = number(search, "first_value") or "none"
    output.show(
        f"Trial {search.best_trial} of {search.trial_count} is the best: {_words(search.metric)} "
        f"{search.best_value:.4f}, the config's own parameters {own}; {search.pruned_count} were "
        "given up. Its folds flatter it; the test span took no part."
    )
    values = sorted(search.best_parameters.items())
    output.show(", ".join(f"{name} {_value(value)}" for name, value in values))
    output.show()


def _value(value: pb.ParameterValue) -> str:
    return value.word if value.HasField("word") else f"{value.number:.4g}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _show_table(output: Output, table: Sequence[pb.MetricRow], words: str) -> None:
    names = list(dict.fromkeys(row.baseline for row in table))
    rows = {(row.metric, row.baseline): row for row in table}
    metrics = _metrics_in_order({row.metric for row in table})
    count = max((row.fold_count for row in table), default=0)
    output.table(
        ("metric", "mean", "std", "min", "max", *(name for name in names if name)),
        [(metric, *_spread(rows.get((metric, ""))), *_means(rows, metric, names)) for metric in metrics],
        title=f"{words} ({count}), mean of the chance baselines beside",
    )
    output.show()


def show_result(output: Output, result: pb.TrainingResult) -> None:
    """The folds and paths beside the chance baselines, the test span with its intervals, the importances."""
    if result.HasField("search"):
        _show_search(output, result.search)
    _show_table(output, result.fold_table, "Purged folds")
    if result.path_table:
        _show_table(output, result.path_table, "Backtest paths of every row once")
    tests = {(one.metric, one.baseline): one for one in result.test}
    names = list(dict.fromkeys(one.baseline for one in result.test))
    output.table(
        ("metric", "value", "interval", *(name for name in names if name)),
        [
            (
                metric,
                number(tests.get((metric, "")), "value"),
                _interval(tests.get((metric, ""))),
                *(number(tests.get((metric, name)), "value") for name in names if name),
            )
            for metric in _metrics_in_order({one.metric for one in result.test})
        ],
        title=f"Untouched test span ({result.test_row_count:,} rows), used once",
    )
    for one in result.test:
        if not one.baseline and one.absent_reason:
            output.show(f"{one.metric} is absent: {one.absent_reason}")
    if result.HasField("return_thresholds"):
        between = result.return_thresholds
        output.show(
            f"The range of the final model lies between {between.lower:+.3%} and {between.upper:+.3%}."
        )
    if result.symbols:
        output.show()
        output.table(
            ("symbol", "rows", "test rows", "balanced accuracy"),
            [
                (
                    f"{one.venue} {one.symbol}",
                    f"{one.row_count:,}",
                    f"{one.test_row_count:,}",
                    number(one, "balanced_accuracy") or one.absent_reason,
                )
                for one in result.symbols
            ],
            title="The model on each symbol's rows of the test span",
        )
    if result.importances:
        output.show()
        top = ", ".join(f"{one.feature} {one.share:.1%}" for one in result.importances[:5])
        output.show(f"Largest shares of the gain: {top}.")


def show_job(output: Output, job: pb.Job) -> None:
    """A job for people."""
    output.show(f"job {job.job_id} of {job.model_name}: {enum_text(_STATE, job.state)}")
    if job.stage:
        output.show(f"  {enum_text(_STAGE, job.stage).replace('_', ' ')}, {job.progress_fraction:.0%} done")
    output.show(f"  attempt {job.attempt}, {job.last_sequence} events")
    if job.priority:
        output.show(f"  priority {job.priority}")
    if job.HasField("resources"):
        used = job.resources
        output.show(
            f"  took {seconds_text(used.cpu_seconds)} of processors in {seconds_text(used.wall_seconds)}, "
            f"{used.peak_memory_bytes / 2**20:,.0f} MiB at most"
        )
    if job.HasField("snapshot_id"):
        output.show(f"  snapshot {job.snapshot_id}")
    if job.HasField("failure"):
        output.show(f"  {job.failure.code} {job.failure.reason}: {job.failure.message}")
    if job.HasField("result"):
        result = job.result
        output.show(
            f"  {result.model_name} version {result.model_version}, {result.row_count:,} rows, "
            f"{result.feature_count} features, {result.rounds} rounds"
        )
        output.show()
        show_result(output, result)


def show_log_entry(output: Output, entry: pb.LogEntry) -> None:
    """A line of a job's log: `2024-10-31T23:00:00.125Z 1 INFO marketml.job: Features.`"""
    if output.is_json:
        output.line(entry)
        return
    who = "" if entry.logger == "stderr" else f"{entry.logger}: "
    output.show(f"{time_text(entry.time)} {entry.attempt} {entry.level} {who}{entry.message}")


def number(message: Any, field: str) -> str:
    """A score, or nothing where there is none."""
    if message is None or not message.HasField(field):
        return ""
    return f"{getattr(message, field):.4f}"


def _metrics_in_order(metrics: Iterable[str]) -> list[str]:
    found = set(metrics)
    return [name for name in _FIRST_METRICS if name in found] + sorted(found - set(_FIRST_METRICS))


def _spread(row: pb.MetricRow | None) -> tuple[str, ...]:
    return tuple(number(row, field) for field in ("mean", "std", "min", "max"))


def _means(
    rows: Mapping[tuple[str, str], pb.MetricRow], metric: str, names: Sequence[str]
) -> tuple[str, ...]:
    return tuple(number(rows.get((metric, name)), "mean") for name in names if name)


def _interval(metric: pb.TestMetric | None) -> str:
    low, high = number(metric, "low"), number(metric, "high")
    return f"{low} to {high}" if low and high else ""
