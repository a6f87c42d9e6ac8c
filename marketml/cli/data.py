"""`marketml data`: files in, series and snapshots out."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pandas as pd

from marketml.cli.command import Context, command
from marketml.cli.documents import parse_time
from marketml.cli.frames import write_frame
from marketml.cli.output import Output, enum_text
from marketml.cli.series import series_options
from marketml.clients.data import DataClient
from marketml.data.v1 import data_pb2 as pb
from marketml.imports import ImportedFile, Kind, read_market_file
from marketml.imports.series import TIMEFRAMES

_KINDS = ("candles", "funding", "open-interest")
_UNIFIED = re.compile(r"[^/:]+/[^/:]+(:[^/:]+)?")


@click.group()
def data() -> None:
    """Import, list and read market data; make snapshots."""


@data.command("import")
@click.argument("paths", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(_KINDS), help="Refuse anything else; default: what the file holds.")
@click.option("--venue", required=True, help="Exchange, as binance.")
@click.option("--symbol", help="As BTC/USDT:USDT or a venue's spelling; default: what the file names.")
@click.option("--timeframe", type=click.Choice(list(TIMEFRAMES)), help="Default: the spacing of the rows.")
@click.option("--utc-offset", metavar="+HH:MM", help="How far ahead of UTC the file's clock is.")
@click.option("--column", "columns", multiple=True, metavar="ROLE=NAME", help="What a column is, as open=3.")
@click.option("--only", metavar="TEXT", help="The rows of this instrument, as the file spells it.")
@click.option("--day-first/--month-first", default=None, help="For dates that can be read both ways.")
@click.option("--on-conflict", type=click.Choice(["revise", "keep", "refuse"]), help="Default revise.")
@click.option("--skip-invalid", is_flag=True, help="Leave impossible rows out instead of refusing all.")
@click.option("--dry-run", is_flag=True, help="Read and report; send nothing.")
@command("data")
def import_files(
    context: Context,
    paths: tuple[Path, ...],
    kind: Kind | None,
    venue: str,
    symbol: str | None,
    timeframe: str | None,
    utc_offset: str | None,
    columns: tuple[str, ...],
    only: str | None,
    day_first: bool | None,
    on_conflict: str | None,
    skip_invalid: bool,
    dry_run: bool,
) -> None:
    """Import candles, funding rates or open interest from files.

    CSV (plain, .gz or .zip, with or without header), JSON, Parquet and Feather; what each file holds is
    found out and told, what it leaves open is refused. Importing a file again changes nothing.
    """
    roles = dict(_role(text) for text in columns)
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        for path in paths:
            imported = read_market_file(
                path,
                kind,
                timeframe=timeframe,
                utc_offset=utc_offset,
                columns=roles,
                symbol=only,
                day_first=day_first,
            )
            tell_file(context.output, path, imported)
            if dry_run:
                _document(context.output, path, imported, None, None)
                continue
            unified = unified_symbol(context.output, client, symbol or imported.symbol, venue, path)
            report = send(
                client,
                imported,
                venue,
                unified,
                source=f"file {path.name}"[:200],
                on_conflict=on_conflict,
                skip_invalid=skip_invalid,
            )
            _document(context.output, path, imported, unified, report)
            _tell_report(context.output, venue, unified, imported, report)


def send(
    client: DataClient,
    imported: ImportedFile,
    venue: str,
    symbol: str,
    *,
    source: str,
    on_conflict: str | None = None,
    skip_invalid: bool = False,
) -> pb.IngestReport:
    """Give an imported file to the data room."""
    more: dict[str, Any] = {"source": source}
    if on_conflict is not None:
        more["on_conflict"] = pb.OnConflict.Value(f"ON_CONFLICT_{on_conflict.upper()}")
    if skip_invalid:
        more["on_invalid"] = pb.ON_INVALID_SKIP
    if imported.kind == "candles":
        return client.ingest_candles(imported.frame, venue, symbol, str(imported.timeframe), **more)
    if imported.kind == "funding":
        return client.ingest_funding_rates(imported.frame, venue, symbol, **more)
    return client.ingest_open_interest(imported.frame, venue, symbol, **more)


def unified_symbol(output: Output, client: DataClient, text: str | None, venue: str, path: Path) -> str:
    """The unified form of a symbol; what was understood is said when it was spelled otherwise."""
    if text is None:
        raise click.UsageError(f"{path.name} names no instrument: give --symbol.")
    if _UNIFIED.fullmatch(text):
        return text
    found = client.normalize_symbol(text, venue)
    output.say(f"{text} is {found.symbol} ({found.recognised_as}).")
    return str(found.symbol)


@data.command("list")
@click.option("--venue", default="", help="Only this venue.")
@click.option("--symbol", default="", help="Only this symbol.")
@command("data")
def list_series(context: Context, venue: str, symbol: str) -> None:
    """List series with their coverage."""
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        found = client.list_series(venue=venue, symbol=symbol)
    if context.output.is_json:
        for series in found:
            context.output.line(series)
        return
    context.output.table(
        ("venue", "symbol", "kind", "timeframe", "rows", "first", "last", "absent bars", "revised", "source"),
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
            )
            for one in found
        ],
    )


@data.command("query")
@series_options()
@click.option("--kind", type=click.Choice([*_KINDS, "frame"]), default="candles", show_default=True)
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


class _ListsByDefault(click.Group):
    """`marketml data snapshots` is `marketml data snapshots list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["list"])


@data.group("snapshots", cls=_ListsByDefault)
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


def _role(text: str) -> tuple[str, str]:
    role, equals, name = text.partition("=")
    if not equals:
        raise click.UsageError(f"--column is ROLE=NAME: {text!r}.")
    return role, name


def tell_file(output: Output, path: Path, imported: ImportedFile) -> None:
    frame = imported.frame
    what = f"{imported.kind}{f' {imported.timeframe}' if imported.timeframe else ''}"
    first, last = (time.strftime("%Y-%m-%d %H:%M") for time in (frame.index[0], frame.index[-1]))
    output.say(f"{path.name}: {len(frame):,} rows of {what}, {first} to {last} UTC")
    for note in imported.notes:
        output.say(f"  {note}", style="yellow" if note.startswith("Warning:") else None)


def _document(
    output: Output, path: Path, imported: ImportedFile, symbol: str | None, report: pb.IngestReport | None
) -> None:
    if not output.is_json:
        return
    output.line(
        {
            "file": str(path),
            "kind": imported.kind,
            "timeframe": imported.timeframe,
            "symbol": symbol or imported.symbol,
            "rows": len(imported.frame),
            "first_time": imported.frame.index[0],
            "last_time": imported.frame.index[-1],
            "notes": imported.notes,
            "report": report,
        }
    )


def _tell_report(
    output: Output, venue: str, symbol: str, imported: ImportedFile, report: pb.IngestReport
) -> None:
    if output.is_json:
        return
    rejected = f", {report.rejected_count:,} rejected" if report.rejected_count else ""
    output.show(
        f"{venue} {symbol} {imported.kind}: {report.inserted:,} inserted, {report.revised:,} revised, "
        f"{report.unchanged:,} unchanged{rejected}"
    )
    for rejection in report.rejections[:10]:
        output.show(f"  row {rejection.row + 1}: {rejection.field} {rejection.rule}: {rejection.value}")
