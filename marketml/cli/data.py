"""`marketml data`: files in, series and snapshots out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pandas as pd

from marketml.cli.collect_files import collect_files
from marketml.cli.command import Context, ListsByDefault, command
from marketml.cli.documents import parse_time
from marketml.cli.frames import write_frame
from marketml.cli.import_files import KINDS, import_files
from marketml.cli.output import enum_text
from marketml.cli.policies import lag, policies
from marketml.cli.quality import quality
from marketml.cli.series import series_options
from marketml.cli.symbols import infer, symbol
from marketml.clients.data import DataClient
from marketml.data.v1 import data_pb2 as pb


@click.group()
def data() -> None:
    """Import, list and read market data; make snapshots."""


data.add_command(import_files)
data.add_command(collect_files)
data.add_command(policies)
data.add_command(quality)
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
            *("venue", "symbol", "kind", "timeframe", "rows", "first", "last", "absent bars", "revised"),
            *("source", "lag", "collection"),
        ),
        [
            (
                one.key.venue,
                one.key.symbol,
                enum_text(pb.SeriesKind.DESCRIPTOR, one.kind).replace("_", " "),
                one.key.timeframe,
                one.row_count,
                one.first_time,
                one.last_time,
                one.missing_bars_count if one.HasField("missing_bars_count") else None,
                one.revised_count,
                one.source,
                lag(one.collection),
                (one.collection.error or "well") if one.HasField("collection") else None,
            )
            for one in found
        ],
    )


@data.command("query")
@series_options()
@click.option("--kind", type=click.Choice([*KINDS, "frame"]), default="candles", show_default=True)
@click.option("--limit", type=click.IntRange(0), default=0, help="At most so many rows.")
@click.option("--newest", "is_newest", is_flag=True, help="The last rows instead of the first.")
@click.option("--as-of", metavar="TIME", help="What was known then, before later revisions.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write .csv, .parquet or .feather, not to stdout."
)
@command("data")
def query(
    context: Context,
    venue: str,
    symbol: str,
    timeframe: str | None,
    start: str | None,
    end: str | None,
    kind: str,
    limit: int,
    is_newest: bool,
    as_of: str | None,
    out: Path | None,
) -> None:
    """Read a series; --kind frame is candles with the funding rate and open interest known at each close."""
    if (timeframe is None) == (kind in ("candles", "frame")):
        needs = "needs" if timeframe is None else "takes no"
        raise click.UsageError(f"--kind {kind} {needs} --timeframe.")
    span: dict[str, Any] = {
        "start": parse_time(start, "--start") if start else None,
        "end": parse_time(end, "--end") if end else None,
        "as_of": parse_time(as_of, "--as-of") if as_of else None,
        "limit": limit,
        "newest_first": is_newest,
    }
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        frame = _query(client, kind, venue, symbol, timeframe, span)
    write_frame(context.output, frame, out)


def _query(
    client: DataClient, kind: str, venue: str, symbol: str, timeframe: str | None, span: dict[str, Any]
) -> pd.DataFrame:
    match kind:
        case "candles":
            return client.query_candles(venue, symbol, str(timeframe), **span)
        case "frame":
            return client.query_frame(venue, symbol, str(timeframe), **span)
        case "funding":
            return client.query_funding_rates(venue, symbol, **span)
        case _:
            return client.query_open_interest(venue, symbol, **span)


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
@click.option("--funding-max-age", metavar="HOURS", type=click.FloatRange(0, min_open=True))
@click.option("--open-interest-max-age", metavar="HOURS", type=click.FloatRange(0, min_open=True))
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
) -> None:
    """Freeze the aligned frame of a series."""
    if timeframe is None:
        raise click.UsageError("Give --timeframe.")
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        made = client.create_snapshot(
            venue,
            symbol,
            timeframe,
            start=parse_time(start, "--start") if start else None,
            end=parse_time(end, "--end") if end else None,
            as_of=parse_time(as_of, "--as-of") if as_of else None,
            funding_max_age=timedelta(hours=funding_max_age) if funding_max_age else None,
            open_interest_max_age=timedelta(hours=open_interest_max_age) if open_interest_max_age else None,
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
