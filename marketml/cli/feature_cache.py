"""`marketml features cache`: what the features room keeps on disk, and removing it."""

from __future__ import annotations

from pathlib import Path

import click

from marketml.cli.command import Context, ListsByDefault, command
from marketml.cli.documents import read_mapping, to_message
from marketml.cli.series import series_options
from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb

_config_option = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="Only of this FeatureConfig, as YAML."
)


@click.group(cls=ListsByDefault)
def cache() -> None:
    """Say what the features room keeps on disk, or remove it."""


@cache.command("list")
@series_options(is_required=False, has_range=False)
@_config_option
@command("features")
def show_cache(
    context: Context,
    venue: str | None,
    symbol: str | None,
    timeframe: str | None,
    config_path: Path | None,
) -> None:
    """Say what is kept: of all, or of one series, of one config."""
    _check_series(venue, symbol, timeframe)
    with FeaturesClient(context.endpoint("features"), tls=context.tls) as client:
        status = client.get_feature_cache_status(venue, symbol, timeframe, config=_config(config_path))
    output = context.output
    if output.is_json:
        output.document(status)
        return
    output.table(
        ("venue", "symbol", "timeframe", "entries", "bytes"),
        [
            (each.series.venue, each.series.symbol, each.series.timeframe, each.entry_count, each.size_bytes)
            for each in status.series
        ],
    )
    output.say(
        f"{status.entry_count:,} entries of {status.size_bytes:,} bytes; the bound of all is "
        f"{status.limit_bytes:,}. Since the room started: {status.hit_count:,} answers from here, "
        f"{status.miss_count:,} computed, {status.eviction_count:,} entries made room for others."
    )


@cache.command("clear")
@series_options(is_required=False, has_range=False)
@_config_option
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@command("features")
def clear_cache(
    context: Context,
    venue: str | None,
    symbol: str | None,
    timeframe: str | None,
    config_path: Path | None,
    dry_run: bool,
) -> None:
    """Remove what is kept: all, or what is of one series, of one config."""
    _check_series(venue, symbol, timeframe)
    with FeaturesClient(context.endpoint("features"), tls=context.tls) as client:
        cleared = client.clear_feature_cache(
            venue, symbol, timeframe, config=_config(config_path), dry_run=dry_run
        )
    if context.output.is_json:
        context.output.document(cleared)
        return
    what = "would be removed" if dry_run else "removed"
    context.output.show(f"{cleared.entry_count:,} entries of {cleared.size_bytes:,} bytes {what}.")


def _check_series(venue: str | None, symbol: str | None, timeframe: str | None) -> None:
    if (venue is None) != (symbol is None) or (timeframe is not None and symbol is None):
        raise click.UsageError(
            "Give --venue and --symbol, and --timeframe with them or not; or none of them."
        )


def _config(path: Path | None) -> pb.FeatureConfig | None:
    return None if path is None else to_message(read_mapping(path), pb.FeatureConfig(), str(path))
