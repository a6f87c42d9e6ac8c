"""`marketml train plan` and `marketml train reproduce`: what a job would take, and a model trained again."""

from __future__ import annotations

import time
from pathlib import Path

import click

from marketml.cli.command import FAILED, Context, command
from marketml.cli.documents import read_mapping, to_message
from marketml.cli.output import Output, enum_text, seconds_text
from marketml.cli.progress import told_progress
from marketml.clients.training import TrainingClient
from marketml.rpc.refusals import Unavailable
from marketml.training.v1 import training_pb2 as pb

_STAGE, _STATE, _INPUT = pb.JobStage.DESCRIPTOR, pb.JobState.DESCRIPTOR, pb.InputKind.DESCRIPTOR
_MEASURING_SECONDS = 300.0


@click.command()
@click.argument("config_path", metavar="CONFIG.yaml", type=click.Path(path_type=Path))
@click.option("--name", help="Of the model: its finished jobs tell how many rounds fits take.")
@command("training")
def plan(context: Context, config_path: Path, name: str | None) -> None:
    """Forecast a job: rows, time, memory, size. CONFIG.yaml is as for `train start`.

    The first forecast on a host waits until the host is measured. Exit status 1 when a bound would be broken.
    """
    mapping = read_mapping(config_path)
    model_name = mapping.pop("model_name", "")
    config = to_message(mapping, pb.TrainingConfig(), str(config_path))
    with TrainingClient(context.endpoint("training"), tls=context.tls) as training:
        planned = _patiently(context.output, training, config, name or str(model_name))
    if context.output.is_json:
        context.output.document(planned)
    else:
        _show_plan(context.output, planned)
    if planned.refusals:
        raise SystemExit(FAILED)


@click.command()
@click.argument("model_name", metavar="NAME")
@click.option("--version", type=click.IntRange(1), help="Default: the newest.")
@command("training")
def reproduce(context: Context, model_name: str, version: int | None) -> None:
    """Train a registered version again from its manifest, and say whether it comes out equal.

    Nothing is registered; Ctrl-C stops the work. Exit status 1 unless the bytes are equal: then the first
    input that differs is named.
    """
    output = context.output
    with (
        TrainingClient(context.endpoint("training"), tls=context.tls) as training,
        told_progress(output, "reproducing") as tell,
    ):

        def on_progress(progress: pb.ReproductionProgress) -> None:
            doing = enum_text(_STAGE, progress.stage) if progress.stage else enum_text(_STATE, progress.state)
            tell(progress.fraction, doing.replace("_", " "))

        found = training.reproduce_model(model_name, version or 0, on_progress=on_progress)
    if output.is_json:
        output.document(found)
    else:
        _show_reproduction(output, found)
    if not found.is_equal:
        raise SystemExit(FAILED)


def _patiently(
    output: Output, training: TrainingClient, config: pb.TrainingConfig, model_name: str
) -> pb.PlanTrainingResponse:
    """The forecast, once the host is measured."""
    until, is_told = time.monotonic() + _MEASURING_SECONDS, False
    while True:
        try:
            return training.plan_training(config, model_name)
        except Unavailable as refusal:
            if time.monotonic() > until or refusal.retry_after_seconds <= 1.0:
                raise
            if not is_told:
                output.say(refusal.message)
                is_told = True
            time.sleep(refusal.retry_after_seconds)


def _show_plan(output: Output, planned: pb.PlanTrainingResponse) -> None:
    output.table(
        ("stage", "time", "CPU"),
        [
            (
                enum_text(_STAGE, each.stage).replace("_", " "),
                seconds_text(each.duration.ToTimedelta().total_seconds()),
                seconds_text(each.cpu_seconds),
            )
            for each in planned.stages
        ],
    )
    took, most = (
        seconds_text(each.ToTimedelta().total_seconds())
        for each in (planned.duration, planned.duration_at_most)
    )
    output.show()
    output.show(f"rows        {planned.row_count:,} at most, {planned.feature_count:,} features")
    output.show(f"fits        {planned.fit_count:,}")
    output.show(f"time        {took}" + (f", {most} at most" if most != took else ""))
    output.show(f"memory      {_mebibytes(planned.peak_memory_bytes)} at its highest")
    output.show(f"model       {_mebibytes(planned.bundle_bytes)} at most")
    for sentence in planned.assumptions:
        output.say(sentence)
    for each in planned.refusals:
        output.say(f"Would be refused: {each.field} is {each.bound:,.15g}. {each.description}")


def _show_reproduction(output: Output, found: pb.Reproduction) -> None:
    if found.is_equal:
        output.show(
            f"Version {found.model_version} of {found.model_name} comes out equal: {found.model_digest}."
        )
        return
    again = found.reproduced_digest or "not trained"
    output.show(f"Version {found.model_version} of {found.model_name} does not come out equal.")
    output.show(f"registered  {found.model_digest}")
    output.show(f"again       {again}")
    if found.HasField("first_difference"):
        first = found.first_difference
        output.show(f"first       {enum_text(_INPUT, first.kind)}: {first.description}")
    else:
        output.show("first       unknown: same inputs, other bytes")
    for part in found.differing_parts:
        output.show(f"differs     {part}")


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
