"""`marketml features`: what features there are, their values, and whether a config is right."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
import pandas as pd

from marketml.cli.command import REFUSED, Context, command
from marketml.cli.documents import parse_given_time, read_mapping, to_message
from marketml.cli.feature_audit import audit
from marketml.cli.feature_cache import cache
from marketml.cli.frames import write_frame
from marketml.cli.output import enum_text
from marketml.cli.progress import told_progress
from marketml.cli.series import check_source, read_reference, reference_option, series_options
from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb

_FAMILIES: dict[str, Any] = {
    enum_text(pb.FeatureFamily.DESCRIPTOR, number): number for number in pb.FeatureFamily.values() if number
}


@click.group()
def features() -> None:
    """List, compute and check features."""


features.add_command(audit)
features.add_command(cache)


@features.command("list")
@click.option("--family", type=click.Choice(list(_FAMILIES)), help="Only this family.")
@command("features")
def list_features(context: Context, family: str | None) -> None:
    """List every feature there is: name, inputs, how far it looks back, what it is."""
    with FeaturesClient(context.endpoint("features"), tls=context.tls) as client:
        found = client.list_features(_FAMILIES[family] if family else None)
    if context.output.is_json:
        for feature in found:
            context.output.line(feature)
        return
    context.output.table(
        ("feature", "family", "looks back", "inputs", "description"),
        [
            (
                one.name,
                enum_text(pb.FeatureFamily.DESCRIPTOR, one.family),
                one.lookback_bars if one.HasField("lookback_bars") else None,
                ", ".join(one.inputs),
                one.description,
            )
            for one in found
        ],
    )


@features.command("presets")
@command("features")
def list_feature_presets(context: Context) -> None:
    """List the configs with a name, which `preset: NAME` in a FeatureConfig takes."""
    with FeaturesClient(context.endpoint("features"), tls=context.tls) as client:
        found = client.list_feature_presets()
    if context.output.is_json:
        for preset in found:
            context.output.line(preset)
        return
    context.output.table(
        ("preset", "features", "warm-up", "description"),
        [(one.name, one.feature_count, one.warm_up_bars, one.description) for one in found],
    )


@features.command("generate")
@click.option("--snapshot", metavar="ID", help="From this snapshot, instead of a series.")
@series_options(is_required=False)
@reference_option
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="FeatureConfig as YAML.")
@click.option("--newest", type=click.IntRange(0), default=0, help="Only the last so many rows.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write .csv, .parquet or .feather, not to stdout."
)
@command("features")
def generate(
    context: Context,
    snapshot: str | None,
    venue: str | None,
    symbol: str | None,
    timeframe: str | None,
    start: str | None,
    end: str | None,
    reference: str | None,
    config_path: Path | None,
    newest: int,
    out: Path | None,
) -> None:
    """Compute features at every bar of a snapshot or of a series."""
    check_source(snapshot, venue, symbol, timeframe, reference)
    config = read_config(config_path) if config_path else None
    output = context.output
    with (
        FeaturesClient(context.endpoint("features"), tls=context.tls) as client,
        told_progress(output, "features") as told,
    ):
        generated = client.generate_features(
            snapshot,
            venue=venue,
            symbol=symbol,
            timeframe=timeframe,
            start=parse_given_time(start, "--start"),
            end=parse_given_time(end, "--end"),
            reference=read_reference(reference, venue),
            config=config,
            newest_count=newest,
            on_progress=told,
        )
    omitted = generated.header.omitted
    if omitted:
        columns = sorted({one.missing_column for one in omitted})
        output.say(f"{len(omitted)} features left out: the source has no {', '.join(columns)}.")
    output.say(
        f"{len(generated.frame):,} rows of {generated.frame.shape[1]} features; the first "
        f"{generated.warm_up_bars:,} bars of the source are warm-up. Digest {generated.digest}."
    )
    write_frame(output, generated.frame, out)


@features.command("latest")
@series_options(has_range=False)
@reference_option
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="FeatureConfig as YAML.")
@click.option("--as-of", metavar="TIME", help="The newest bar that was closed then, as known then.")
@command("features")
def get_latest_features(
    context: Context,
    venue: str,
    symbol: str,
    timeframe: str | None,
    reference: str | None,
    config_path: Path | None,
    as_of: str | None,
) -> None:
    """Compute the features of the newest closed bar of a series, from just enough history."""
    if timeframe is None:
        raise click.UsageError("Give --timeframe.")
    config = read_config(config_path) if config_path else None
    with FeaturesClient(context.endpoint("features"), tls=context.tls) as client:
        found = client.get_latest_features(
            venue,
            symbol,
            timeframe,
            config=config,
            as_of=parse_given_time(as_of, "--as-of"),
            reference=read_reference(reference, venue),
        )
    output = context.output
    if output.is_json:
        known = {name: None if math.isnan(value) else value for name, value in found.items()}
        output.document(
            {
                "open_time": pd.Timestamp(str(found.name)).isoformat(),
                "known_time": found.attrs["known_time"].isoformat(),
                "history_bars": found.attrs["history_bars"],
                "config_digest": found.attrs["config_digest"],
                "features": known,
            }
        )
        return
    output.table(
        ("feature", "value"),
        [(name, None if math.isnan(value) else f"{value:.10g}") for name, value in found.items()],
    )
    output.say(
        f"Bar opened {found.name:%Y-%m-%d %H:%M}, known at {found.attrs['known_time']:%Y-%m-%d %H:%M}; "
        f"{found.attrs['history_bars']:,} bars read."
    )


@features.command("validate")
@click.argument("config_path", metavar="CONFIG.yaml", type=click.Path(path_type=Path))
@command("features")
def validate(context: Context, config_path: Path) -> None:
    """Say what is wrong with a FeatureConfig, and what it would compute."""
    with FeaturesClient(context.endpoint("features"), tls=context.tls) as client:
        found = client.validate_feature_config(read_config(config_path))
    if context.output.is_json:
        context.output.document(found)
    else:
        for violation in found.violations:
            context.output.show(f"{violation.field}: {violation.description}")
        for warning in found.warnings:
            context.output.show(f"Warning: {warning}")
        if not found.violations:
            context.output.show(f"{found.feature_count} features, warm-up {found.warm_up_bars:,} bars.")
    if found.violations:
        raise SystemExit(REFUSED)


def read_config(path: Path) -> pb.FeatureConfig:
    """A FeatureConfig as YAML."""
    return to_message(read_mapping(path), pb.FeatureConfig(), str(path))
