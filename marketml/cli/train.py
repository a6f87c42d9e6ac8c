"""`marketml train`: jobs started, watched, listed, stopped. Leaving a watch never stops the job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from marketml.cli.command import FAILED, Context, command
from marketml.cli.documents import read_mapping, to_message
from marketml.cli.output import Output, enum_text
from marketml.cli.series import read_reference, reference_option
from marketml.cli.train_forecast import plan, reproduce
from marketml.cli.training_view import JobView, show_job, show_log_entry, show_result
from marketml.clients.training import TrainingClient
from marketml.training.v1 import training_pb2 as pb

_STATES: dict[str, Any] = {
    enum_text(pb.JobState.DESCRIPTOR, number): number for number in pb.JobState.values() if number
}


@click.group()
def train() -> None:
    """Start, watch, list and stop training jobs, and read their logs; forecast them, train models again."""


train.add_command(plan)
train.add_command(reproduce)


@train.command("start")
@click.argument("config_path", metavar="CONFIG.yaml", type=click.Path(path_type=Path))
@click.option("--name", help="Of the model; default: model_name in the file.")
@reference_option
@click.option("--watch", "is_watched", is_flag=True, help="Follow the job to its end.")
@click.option(
    "--priority",
    type=click.IntRange(-100, 100),
    help="Of the jobs that wait the highest is taken first, then the oldest; default 0.",
)
@click.option("--request-id", help="Makes a repeat return the same job.")
@command("training")
def start(
    context: Context,
    config_path: Path,
    name: str | None,
    reference: str | None,
    is_watched: bool,
    priority: int | None,
    request_id: str | None,
) -> None:
    """Queue a job. CONFIG.yaml holds the fields of a TrainingConfig, and model_name."""
    mapping = read_mapping(config_path)
    model_name = mapping.pop("model_name", None)
    if name is None and not isinstance(model_name, str):
        raise click.UsageError(f"Give --name, or model_name in {config_path}.")
    config = to_message(mapping, pb.TrainingConfig(), str(config_path))
    _put_reference(config, reference)
    with _client(context) as training:
        handle = training.start_training(
            name or str(model_name), config, request_id=request_id, priority=priority
        )
        if is_watched:
            context.output.show(f"job {handle.job_id}")
            _watch(context.output, training, handle.job_id, 0)
            return
        job = handle.job()
    if context.output.is_json:
        context.output.document(job)
    else:
        context.output.show(f"job {job.job_id} is {enum_text(pb.JobState.DESCRIPTOR, job.state)}.")
        context.output.say(f"Follow it: marketml train watch {job.job_id}")


@train.command("watch")
@click.argument("job_id")
@click.option("--after", type=click.IntRange(0), default=0, help="The last event already seen.")
@command("training")
def watch(context: Context, job_id: str, after: int) -> None:
    """Follow a job to its end: what was missed, then what comes. Exit status 1 unless it succeeds."""
    with _client(context) as training:
        _watch(context.output, training, job_id, after)


@train.command("list")
@click.option("--state", type=click.Choice(list(_STATES)), help="Only jobs in this state.")
@click.option("--name", default="", help="Only jobs of this model.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@command("training")
def list_jobs(context: Context, state: str | None, name: str, limit: int) -> None:
    """List jobs, newest first."""
    with _client(context) as training:
        jobs = training.list_trainings(model_name=name, state=_STATES[state] if state else None, limit=limit)
    if context.output.is_json:
        for job in jobs:
            context.output.line(job)
        return
    context.output.table(
        ("job", "model", "state", "done", "created", "ended", "attempt", "version"),
        [
            (
                job.job_id,
                job.model_name,
                enum_text(pb.JobState.DESCRIPTOR, job.state),
                f"{job.progress_fraction:.0%}",
                job.create_time,
                job.end_time,
                job.attempt,
                job.result.model_version or None,
            )
            for job in jobs
        ],
    )


@train.command("show")
@click.argument("job_id")
@command("training")
def show(context: Context, job_id: str) -> None:
    """Show a job, its scores and what it came to."""
    with _client(context) as training:
        job = training.get_training(job_id)
    if context.output.is_json:
        context.output.document(job)
    else:
        show_job(context.output, job)


@train.command("logs")
@click.argument("job_id")
@click.option("--attempt", type=click.IntRange(1), help="Only lines of this attempt.")
@click.option("--after", type=click.IntRange(0), default=0, help="The last line already seen.")
@click.option("--follow", is_flag=True, help="Go on until the job has ended.")
@command("training")
def logs(context: Context, job_id: str, attempt: int | None, after: int, follow: bool) -> None:
    """Show what a job's workers logged and printed, as far as it is kept: its newest 2,000 lines."""
    last = after
    with _client(context) as training:
        try:
            for entry in training.read_training_logs(job_id, after, attempt=attempt, follow=follow):
                if entry.line > last + 1 and attempt is None:
                    context.output.say(f"{entry.line - last - 1:,} lines are not kept.")
                last = entry.line
                show_log_entry(context.output, entry)
        except KeyboardInterrupt:
            context.output.say(f"Go on: marketml train logs {job_id} --after {last} --follow")


@train.command("stop")
@click.argument("job_id")
@click.option("--keep-best", "keeps_best", is_flag=True, help="Finish quickly with what there is.")
@command("training")
def stop(context: Context, job_id: str, keeps_best: bool) -> None:
    """Stop a job and throw its work away, unless --keep-best."""
    mode = pb.STOP_MODE_KEEP_BEST if keeps_best else pb.STOP_MODE_DISCARD
    with _client(context) as training:
        job = training.stop_training(job_id, mode)
    if context.output.is_json:
        context.output.document(job)
    else:
        context.output.show(f"job {job_id} is {enum_text(pb.JobState.DESCRIPTOR, job.state)}.")


def _put_reference(config: pb.TrainingConfig, text: str | None) -> None:
    """Say what stands beside the series of the dataset, as the file does with `dataset.series.reference`."""
    source = config.dataset.series
    if (said := read_reference(text, source.series.venue)) is None:
        return
    if config.dataset.WhichOneof("source") != "series":
        raise click.UsageError("--reference is for a dataset of a series: a snapshot has its own, or none.")
    source.reference.venue, source.reference.symbol = said


def _watch(output: Output, training: TrainingClient, job_id: str, after: int) -> None:
    """Show events until the job ends; Ctrl-C leaves the job alone."""
    training.get_training(job_id)  # a room that is down is told now; the watch itself would wait for it
    with JobView(output) as view:
        view.last_sequence = after
        try:
            for event in training.watch_training(job_id, after):
                view.show(event)
        except KeyboardInterrupt:
            pass
        else:
            _end(output, training.get_training(job_id))
            return
    output.say("Left the watch; the job goes on.")
    output.say(f"Come back: marketml train watch {job_id} --after {view.last_sequence}")
    output.say(f"Stop it:   marketml train stop {job_id}")


def _end(output: Output, job: pb.Job) -> None:
    if not output.is_json:
        if job.state == pb.JOB_STATE_SUCCEEDED:
            output.show()
            show_result(output, job.result)
        elif job.state == pb.JOB_STATE_FAILED:
            output.say(f"Failed: {job.failure.code} {job.failure.reason}: {job.failure.message}")
    if job.state != pb.JOB_STATE_SUCCEEDED:
        raise SystemExit(FAILED)


def _client(context: Context) -> TrainingClient:
    return TrainingClient(context.endpoint("training"), tls=context.tls)
