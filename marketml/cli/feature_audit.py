"""`marketml features audit`: whether features see the future."""

from __future__ import annotations

from pathlib import Path

import click

from marketml.cli.command import FAILED, Context, command
from marketml.cli.documents import parse_given_time, read_mapping, to_message
from marketml.cli.output import Output, enum_text
from marketml.cli.progress import told_progress
from marketml.cli.series import check_source, read_reference, reference_option, series_options
from marketml.clients.feature_audit import LeakAudit
from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb


@click.command("audit")
@click.option("--snapshot", metavar="ID", help="On this snapshot, instead of a series.")
@series_options(is_required=False)
@reference_option
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="FeatureConfig as YAML.")
@click.option("--preset", help="This preset, instead of a config.")
@click.option("--cuts", type=click.IntRange(1), help="Random bars at which the history is cut.")
@click.option("--live", type=click.IntRange(0), help="Random bars that are computed as the newest one.")
@click.option("--seed", type=int, default=0, help="Of the random choices.")
@command("features")
def audit(
    context: Context,
    snapshot: str | None,
    venue: str | None,
    symbol: str | None,
    timeframe: str | None,
    start: str | None,
    end: str | None,
    reference: str | None,
    config_path: Path | None,
    preset: str | None,
    cuts: int | None,
    live: int | None,
    seed: int,
) -> None:
    """Name every feature whose value changes when the history ends earlier, when the future is another, or
    when it is computed as the newest bar's. Exit status 1 when there is one."""
    check_source(snapshot, venue, symbol, timeframe, reference)
    if config_path is not None and preset is not None:
        raise click.UsageError("Give --config or --preset, not both.")
    config = pb.FeatureConfig(preset=preset) if preset else None
    if config_path is not None:
        config = to_message(read_mapping(config_path), pb.FeatureConfig(), str(config_path))
    with (
        FeaturesClient(context.endpoint("features"), tls=context.tls) as client,
        told_progress(context.output, "audit") as told,
    ):
        found = client.audit_leakage(
            snapshot,
            venue=venue,
            symbol=symbol,
            timeframe=timeframe,
            start=parse_given_time(start, "--start"),
            end=parse_given_time(end, "--end"),
            reference=read_reference(reference, venue),
            config=config,
            cuts_count=cuts or 0,
            live_count=live,
            seed=seed,
            on_progress=told,
        )
    show_audit(context.output, found)
    if found.findings:
        raise SystemExit(FAILED)


def show_audit(output: Output, found: LeakAudit) -> None:
    """The findings and what was looked at."""
    summary = found.summary
    if output.is_json:
        output.document({"findings": found.findings, "summary": summary})
        return
    if found.findings:
        output.table(
            ("feature", "check", "first wrong bar", "batch", "other", "size", "wrong bars"),
            [
                (
                    one.feature,
                    enum_text(pb.LeakCheck.DESCRIPTOR, one.check),
                    one.open_time,
                    f"{one.batch_value:.6g}",
                    f"{one.other_value:.6g}",
                    f"{one.size:.3g}",
                    one.wrong_bars,
                )
                for one in found.findings
            ],
        )
    if summary.omitted:
        columns = sorted({one.missing_column for one in summary.omitted})
        output.say(f"{len(summary.omitted)} features left out: the source has no {', '.join(columns)}.")
    output.show(
        f"{summary.offender_count:,} of {summary.feature_count:,} features see the future on "
        f"{summary.row_count:,} bars. It took {summary.seconds:.1f} s, computing them once "
        f"{summary.batch_seconds:.1f} s."
    )
