"""`marketml data collect-files`: dump files that the data room reads itself, from its import folder."""

from __future__ import annotations

import click

from marketml.cli.command import FAILURES, CommandFailed, Context, command
from marketml.cli.import_files import first_few, tell_notes
from marketml.cli.output import Output, seconds_text
from marketml.cli.progress import told_progress
from marketml.cli.series import SERIES_KINDS, file_options, kind_text
from marketml.clients.data import DataClient
from marketml.clients.data_messages import enum_number
from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.refusals import Refusal


@click.command("collect-files")
@click.argument("path")
@click.option("--venue", required=True, help="Exchange, as binance.")
@click.option("--symbol", default="", help="As BTC/USDT:USDT; default: what each file, or its name, says.")
@file_options
@click.option(
    "--utc-offset", metavar="+HH:MM", default="", help="How far ahead of UTC the files' clock is; or UTC."
)
@click.option("--on-conflict", type=click.Choice(["revise", "keep", "refuse"]), help="Default revise.")
@click.option("--skip-invalid", is_flag=True, help="Leave impossible rows out instead of refusing a file.")
@command("data")
def collect_files(
    context: Context,
    path: str,
    venue: str,
    symbol: str,
    kind: str | None,
    timeframe: str | None,
    market: str | None,
    prices: str | None,
    utc_offset: str,
    on_conflict: str | None,
    skip_invalid: bool,
) -> None:
    """Have the room import dump files that lie on its own disk.

    PATH is a file or a folder below the room's import folder (its setting MARKETML_DATA_IMPORT_FOLDER), with
    `/` between names; a folder is read whole. Nothing is sent from here, so this is the way for large
    archives; files on this machine go in with `marketml data import`. Each file is stored whole or not at
    all, a bad one does not stop the others, and taking a file again changes nothing. Ctrl-C stops after the
    file under way.

    \b
    With MARKETML_DATA_IMPORT_FOLDER=/srv/dumps, all of /srv/dumps/data/futures/um:
      marketml data collect-files data/futures/um --venue binance
    One file whose name and folders do not tell its instrument:
      marketml data collect-files old/bars.csv --venue okx --symbol ETH/USDT --timeframe 1h
    """
    source = pb.FileSource(
        path=path,
        venue=venue,
        symbol=symbol,
        timeframe=timeframe or "",
        kind=None if kind is None else enum_number(pb.SeriesKind, "SERIES_KIND", SERIES_KINDS[kind], "kind"),
        on_conflict=enum_number(pb.OnConflict, "ON_CONFLICT", on_conflict, "on_conflict"),
        on_invalid=pb.ON_INVALID_SKIP if skip_invalid else None,
        utc_offset=utc_offset,
        market=enum_number(pb.Market, "MARKET", market, "market"),
        bar_prices=enum_number(pb.BarPrices, "BAR_PRICES", prices, "prices"),
    )
    taken, failed = 0, list[str]()
    told: set[tuple[str, str]] = set()
    with (
        DataClient(context.endpoint("data"), tls=context.tls) as client,
        told_progress(context.output, "Collect") as progress,
    ):
        try:
            for part in client.collect_series(source):
                if part.HasField("progress"):
                    progress(part.progress.progress_fraction, _stage(part.progress))
                    continue
                _tell(context.output, part.outcome, told)
                taken += not part.outcome.failure
                if part.outcome.failure:
                    failed.append(part.outcome.file)
        except Refusal as refusal:
            has_ended = isinstance(refusal, FAILURES) or getattr(refusal, "retry_after_seconds", None)
            if has_ended or not taken or not failed:
                raise
    if failed:
        count = taken + len(failed)
        raise CommandFailed(f"{len(failed)} of {count} files were not taken: {first_few(failed)}.")


def _stage(progress: pb.CollectionProgress) -> str:
    name = progress.file.rpartition("/")[2]
    if not progress.HasField("remaining_time"):
        return name
    return f"{name}, {seconds_text(progress.remaining_time.ToTimedelta().total_seconds())} left"


def _tell(output: Output, outcome: pb.CollectionOutcome, told: set[tuple[str, str]]) -> None:
    """Tell how one file ended; what was told of an earlier one is not told again."""
    if output.is_json:
        output.line(outcome)
        return
    if outcome.failure:
        output.say(f"{outcome.file} is left out: {outcome.failure}", style="red")
        return
    key, report = outcome.series.key, outcome.report
    words = [
        key.venue,
        key.symbol,
        kind_text(outcome.series.kind),
        *([key.timeframe] if key.timeframe else []),
    ]
    rejected = f", {report.rejected_count:,} rejected" if report.rejected_count else ""
    output.show(
        f"{outcome.file}: {' '.join(words)}: {report.inserted:,} inserted, {report.revised:,} revised, "
        f"{report.unchanged:,} unchanged{rejected}"
    )
    tell_notes(output, outcome.notes, " ".join(words), told)
