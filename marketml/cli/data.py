"""`marketml data`: files in, series and snapshots out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from marketml.cli.collect import collect
from marketml.cli.collect_files import collect_files
from marketml.cli.command import Context, ListsByDefault, command
from marketml.cli.documents import parse_given_time
from marketml.cli.frames import write_frame
from marketml.cli.import_files import import_files
from marketml.cli.policies import lag, policies
from marketml.cli.quality import quality
from marketml.cli.query import query
from marketml.cli.series import kind_text, read_reference, reference_option, series_options
from marketml.cli.symbols import infer, symbol
from marketml.clients.data import DataClient
from marketml.imports.series import TIMEFRAMES


@click.group()
def data() -> None:
    """Collect, import, check and query market data; make snapshots.

    \b
    Get it       collect (an exchange), policies (again and again), import (files here),
                 collect-files (files there)
    Name it      symbol (a spelling), infer (a file)
    Check it     list, quality
    Use it       query, snapshots
    """


data.add_command(import_files)
data.add_command(collect)
data.add_command(collect_files)
data.add_command(policies)
data.add_command(quality)
data.add_command(query)
data.add_command(infer)
data.add_command(symbol)


@data.command("list")
@click.option("--venue", default="", help="Only this venue.")
@click.option("--symbol", default="", help="Only this symbol.")
@command("data")
def list_series(context: Context, venue: str, symbol: str) -> None:
    """List series with their coverage, and how those fare that the room collects by itself."""
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        found = client.list_series(venue=venue, symbol=symbol)
    if context.output.is_json:
        for series in found:
            context.output.line(series)
        return
    context.output.table(
        (
            *("venue", "symbol", "kind", "timeframe", "rows", "first", "last", "absent bars", "marked"),
            *("revised", "source", "lag", "collection"),
        ),
        [
            (
                one.key.venue,
                one.key.symbol,
                kind_text(one.kind),
                one.key.timeframe,
                one.row_count,
                one.first_time,
                one.last_time,
                one.missing_bars_count if one.HasField("missing_bars_count") else None,
                one.marked_missing_count or None,
                one.revised_count,
                one.source,
                lag(one.collection),
                (one.collection.error or "well") if one.HasField("collection") else None,
            )
            for one in found
        ],
    )


@data.group("snapshots", cls=ListsByDefault)
def snapshots() -> None:
    """List, make, read and delete immutable aligned frames; alone it lists them."""


@snapshots.command("list")
@command("data")
def list_snapshots(context: Context) -> None:
    """List snapshots, newest first."""
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        found = client.list_snapshots()
    if context.output.is_json:
        for snapshot in found:
            context.output.line(snapshot)
        return
    context.output.table(
        ("snapshot", "venue", "symbol", "timeframe", "rows", "first", "last", "made", "bytes"),
        [
            (
                one.snapshot_id,
                one.frame.series.venue,
                one.frame.series.symbol,
                one.frame.series.timeframe,
                one.row_count,
                one.first_time,
                one.last_time,
                one.create_time,
                one.size_bytes,
            )
            for one in found
        ],
    )


@snapshots.command("create")
@series_options()
@click.option("--as-of", metavar="TIME", help="What was known then; default now.")
@click.option(
    "--funding-max-age",
    metavar="HOURS",
    type=click.FloatRange(0, min_open=True),
    help="Older rates count as missing; default one and a half times the time between settlements.",
)
@click.option(
    "--open-interest-max-age",
    metavar="HOURS",
    type=click.FloatRange(0, min_open=True),
    help="Older open interest counts as missing; default the larger of 2 hours and 2 bars.",
)
@click.option(
    "--base-timeframe",
    type=click.Choice(list(TIMEFRAMES)),
    help="Make the bars of these shorter ones; default: the series' own, else the longest stored that fit.",
)
@reference_option
@command("data")
def create_snapshot(
    context: Context,
    venue: str,
    symbol: str,
    timeframe: str | None,
    start: str | None,
    end: str | None,
    as_of: str | None,
    funding_max_age: float | None,
    open_interest_max_age: float | None,
    base_timeframe: str | None,
    reference: str | None,
) -> None:
    """Freeze the aligned frame of a series."""
    if timeframe is None:
        raise click.UsageError("Give --timeframe.")
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        made = client.create_snapshot(
            venue,
            symbol,
            timeframe,
            start=parse_given_time(start, "--start"),
            end=parse_given_time(end, "--end"),
            as_of=parse_given_time(as_of, "--as-of"),
            funding_max_age=timedelta(hours=funding_max_age) if funding_max_age else None,
            open_interest_max_age=timedelta(hours=open_interest_max_age) if open_interest_max_age else None,
            base_timeframe=base_timeframe or "",
            reference=read_reference(reference, venue),
        )
    if context.output.is_json:
        context.output.document(made)
    else:
        context.output.show(f"{made.snapshot_id}: {made.row_count:,} rows, {made.size_bytes:,} bytes")


@snapshots.command("read")
@click.argument("snapshot_id")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write .csv, .parquet or .feather, not to stdout."
)
@command("data")
def read_snapshot(context: Context, snapshot_id: str, out: Path | None) -> None:
    """Read a snapshot's rows."""
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        write_frame(context.output, client.read_snapshot(snapshot_id), out)


@snapshots.command("delete")
@click.argument("snapshot_id")
@command("data")
def delete_snapshot(context: Context, snapshot_id: str) -> None:
    """Delete a snapshot and its file."""
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        freed = client.delete_snapshot(snapshot_id)
    if context.output.is_json:
        context.output.document({"freed_bytes": freed})
    else:
        context.output.show(f"{freed:,} bytes freed.")
