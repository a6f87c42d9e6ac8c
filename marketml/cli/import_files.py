"""`marketml data import`: files and folders of market data into the data room."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from marketml.cli.command import FAILURES, CommandFailed, Context, command
from marketml.cli.output import Output
from marketml.cli.progress import told_progress
from marketml.cli.series import SERIES_KINDS, file_options
from marketml.clients.data import DataClient
from marketml.data.v1 import data_pb2 as pb
from marketml.imports import (
    ImportedFile,
    ImportRefused,
    Kind,
    MarketFiles,
    Prices,
    find_market_files,
    read_market_file,
    venue_of,
)
from marketml.rpc.refusals import Refusal

_UNIFIED = re.compile(r"[^/:]+/[^/:]+(:[^/:]+)?")
_LISTED_MAX = 5


@click.command("import")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--venue", required=True, help="Exchange, as binance.")
@click.option("--symbol", help="As BTC/USDT:USDT; default: what each file, or its name, says.")
@file_options
@click.option("--utc-offset", metavar="+HH:MM", help="How far ahead of UTC the files' clock is; or UTC.")
@click.option("--day-first/--month-first", default=None, help="For dates that can be read both ways.")
@click.option("--column", "columns", multiple=True, metavar="ROLE=NAME", help="What a column is, as open=3.")
@click.option("--only", metavar="TEXT", help="The rows of this instrument, as the files spell it.")
@click.option("--on-conflict", type=click.Choice(["revise", "keep", "refuse"]), help="Default revise.")
@click.option("--skip-invalid", is_flag=True, help="Leave impossible rows out instead of refusing a file.")
@click.option("--dry-run", is_flag=True, help="Read and report; send nothing.")
@command("data")
def import_files(
    context: Context,
    paths: tuple[Path, ...],
    venue: str,
    symbol: str | None,
    kind: Kind | None,
    timeframe: str | None,
    market: str | None,
    prices: Prices | None,
    utc_offset: str | None,
    day_first: bool | None,
    columns: tuple[str, ...],
    only: str | None,
    on_conflict: str | None,
    skip_invalid: bool,
    dry_run: bool,
) -> None:
    """Import candles, funding rates or open interest: files, or folders with all below them.

    CSV (plain, .gz or .zip, with or without header), JSON, Parquet and Feather. What each file holds is
    found out and told, with everything that is odd in it; what it leaves open is refused with the option that
    settles it. A file is stored whole or not at all, a bad one does not stop the others, and importing a
    file again changes nothing. A .CHECKSUM file beside a file is verified.

    \b
    See what a file holds, without a room:
      marketml data import FILE.csv --venue binance --dry-run
    A folder of exchange dumps (klines, fundingRate, metrics with open interest):
      marketml data import data/futures/um --venue binance
    Dumps of spot and of futures look alike: say which, where no folder does:
      marketml data import BTCUSDT-1m-2024-04.zip --venue binance --market contract
    A file that names no instrument:
      marketml data import EURUSD.csv --venue fx --symbol EUR/USD
    Stamps three hours ahead of UTC; dates like 03/04/2024; a file without header:
      marketml data import funding.csv --venue binance --utc-offset +03:00
      marketml data import daily.csv --venue x --symbol A/B --day-first
      marketml data import rows.csv --venue x --symbol A/B --column time=1 --column open=2 \\
          --column high=3 --column low=4 --column close=5
    One instrument of a file that holds several:
      marketml data import allswap-fundingrates.zip --venue okx --only BTC-USDT-SWAP
    """
    options = {
        "timeframe": timeframe,
        "utc_offset": utc_offset,
        "columns": dict(_role(text) for text in columns),
        "symbol": only,
        "day_first": day_first,
        "prices": prices,
    }
    found = find_market_files(paths)
    if not found.files:
        raise CommandFailed(f"No market-data file lies in {', '.join(map(str, paths))}.")
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        importer = _Importer(
            context.output, client, venue, symbol, market, on_conflict, skip_invalid, dry_run
        )
        importer.take(found, lambda path: read_market_file(path, kind, **options))


class _Importer:
    """One run of the command: what was told, what was stored, which files were not."""

    def __init__(
        self,
        output: Output,
        client: DataClient,
        venue: str,
        symbol: str | None,
        market: str | None,
        on_conflict: str | None,
        skip_invalid: bool,
        dry_run: bool,
    ) -> None:
        self._output = output
        self._client = client
        self._venue = venue
        self._symbol = symbol
        self._market = market
        self._more: dict[str, Any] = {"on_conflict": on_conflict, "skip_invalid": skip_invalid}
        self._dry_run = dry_run
        self._understood: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()
        self._totals: dict[tuple[str, str, str, str], Counter[str]] = {}

    def take(self, found: MarketFiles, read: Callable[[Path], ImportedFile]) -> None:
        """Import the files, and tell of each and of all.

        Raises
        ------
        CommandFailed
            Files were not imported; they are named.
        """
        is_one = len(found.files) == 1
        failed: list[Path] = []
        sizes = [path.stat().st_size if path.exists() else 0 for path in found.files]
        done, total = 0, max(1, sum(sizes))
        self._tell_left_out(found.left_out)
        with told_progress(self._output, "Import") as progress:
            for (path, imported), size_bytes in zip(_read_ahead(found.files, read), sizes, strict=True):
                if not is_one:
                    progress(done / total, path.name)
                try:
                    self._take(path, imported.result())
                except (ImportRefused, Refusal) as error:
                    if is_one or isinstance(error, FAILURES):
                        raise
                    failed.append(path)
                    self._tell_failure(path, error)
                done += size_bytes
        if not is_one:
            self._tell_totals(found, failed)
        if failed:
            raise CommandFailed(
                f"{len(failed)} of {len(found.files)} files were not imported: {first_few(failed)}."
            )

    def _take(self, path: Path, imported: ImportedFile) -> None:
        if self._market is not None:
            imported = dataclasses.replace(imported, market=self._market)
        tell_file(self._output, path, imported, self._told)
        venue = venue_of(self._venue, imported.prices)
        if self._dry_run:
            self._document(path, imported, None, None)
            return
        symbol = self._unified(path, imported)
        report = send(self._client, imported, venue, symbol, source=f"file {path.name}"[:200], **self._more)
        self._document(path, imported, symbol, report)
        self._tell_report(venue, symbol, imported, report)
        key = (venue, symbol, imported.kind, imported.timeframe or "")
        self._totals.setdefault(key, Counter()).update(
            files=1,
            rows=report.received,
            inserted=report.inserted,
            revised=report.revised,
            unchanged=report.unchanged,
            rejected=report.rejected_count,
        )

    def _unified(self, path: Path, imported: ImportedFile) -> str:
        """The unified form of a file's symbol; what was understood is said when it was spelled otherwise."""
        text = self._symbol or imported.symbol
        if text is None:
            raise ImportRefused(f"{path.name} names no instrument: give --symbol.")
        unified = text if _UNIFIED.fullmatch(text) else self._normalized(text)
        return unified if text == self._symbol == unified else imported.symbol_of(unified)

    def _normalized(self, text: str) -> str:
        if text not in self._understood:
            found = self._client.normalize_symbol(text, self._venue)
            self._output.say(f"{text} is {found.symbol} ({found.recognised_as}).")
            self._understood[text] = found.symbol
        return self._understood[text]

    def _document(
        self, path: Path, imported: ImportedFile, symbol: str | None, report: pb.IngestReport | None
    ) -> None:
        if not self._output.is_json:
            return
        self._output.line(
            {
                "file": str(path),
                "kind": imported.kind,
                "timeframe": imported.timeframe,
                "prices": imported.prices,
                "symbol": symbol or imported.symbol,
                "rows": len(imported.frame),
                "first_time": imported.frame.index[0],
                "last_time": imported.frame.index[-1],
                "notes": imported.notes,
                "report": report,
            }
        )

    def _tell_report(self, venue: str, symbol: str, imported: ImportedFile, report: pb.IngestReport) -> None:
        rejected = f", {report.rejected_count:,} rejected" if report.rejected_count else ""
        self._output.show(
            f"{venue} {symbol} {imported.kind}: {report.inserted:,} inserted, {report.revised:,} revised, "
            f"{report.unchanged:,} unchanged{rejected}"
        )
        for rejection in report.rejections[:10]:
            self._output.show(
                f"  row {rejection.row + 1}: {rejection.field} {rejection.rule}: {rejection.value}"
            )
        if report.doubtful_count:
            self._output.show(f"  {report.doubtful_count:,} stored rows are doubtful, look at them:")
        for doubt in report.doubtful[:10]:
            self._output.show(f"  row {doubt.row + 1}: {doubt.field} {doubt.rule}: {doubt.value}")

    def _tell_failure(self, path: Path, error: ImportRefused | Refusal) -> None:
        message = error.message if isinstance(error, Refusal) else str(error)
        if self._output.is_json:
            self._output.line({"file": str(path), "error": message})
        self._output.say(f"{path} is left out: {message}", style="red")

    def _tell_left_out(self, paths: tuple[Path, ...]) -> None:
        if not paths:
            return
        endings = Counter(path.suffix or path.name for path in paths)
        listed = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(_LISTED_MAX))
        self._output.say(f"{len(paths)} files are no market data and left out: {listed}.")

    def _tell_totals(self, found: MarketFiles, failed: list[Path]) -> None:
        """What of each series is stored now."""
        rows = []
        for (venue, symbol, kind, timeframe), counts in sorted(self._totals.items()):
            stored = next(
                one
                for one in self._client.list_series(venue=venue, symbol=symbol, kind=SERIES_KINDS[kind])
                if one.key.timeframe == timeframe
            )
            rows.append(
                {
                    "venue": venue,
                    "symbol": symbol,
                    "kind": kind,
                    "timeframe": timeframe,
                    **counts,
                    "stored": stored.row_count,
                    "first": stored.first_time,
                    "last": stored.last_time,
                    "absent": stored.missing_bars_count if stored.HasField("missing_bars_count") else None,
                }
            )
        if self._output.is_json:
            self._output.line({"series": rows, "left_out": found.left_out, "failed": failed})
        elif rows:
            headings = {"stored": "stored now", "absent": "absent bars"}
            columns = [headings.get(name, name) for name in rows[0]]
            self._output.table(columns, [list(row.values()) for row in rows])


def _read_ahead(
    paths: tuple[Path, ...], read: Callable[[Path], ImportedFile]
) -> Iterator[tuple[Path, Future[ImportedFile]]]:
    """Each file with what is read of it; the next one is read while this one is stored."""
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read, paths[0])
        for number, path in enumerate(paths):
            this = ahead
            if number + 1 < len(paths):
                ahead = reader.submit(read, paths[number + 1])
            yield path, this


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
    more: dict[str, Any] = {"source": source, "on_conflict": on_conflict}
    if skip_invalid:
        more["on_invalid"] = pb.ON_INVALID_SKIP
    if imported.kind == "candles":
        return client.ingest_candles(imported.frame, venue, symbol, str(imported.timeframe), **more)
    if imported.kind == "funding":
        return client.ingest_funding_rates(imported.frame, venue, symbol, **more)
    return client.ingest_open_interest(imported.frame, venue, symbol, **more)


def first_few(names: Sequence[object]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - _LISTED_MAX} more" if len(names) > _LISTED_MAX else ""
    return f"{', '.join(map(str, names[:_LISTED_MAX]))}{more}"


def tell_file(output: Output, path: Path, imported: ImportedFile, told: set[tuple[str, str]]) -> None:
    """Say what a file holds and what is odd in it; what was told of an earlier file of the same series is not
    told again."""
    frame = imported.frame
    what = f"{imported.kind}{f' {imported.timeframe}' if imported.timeframe else ''}"
    first, last = (time.strftime("%Y-%m-%d %H:%M") for time in (frame.index[0], frame.index[-1]))
    output.say(f"{path.name}: {len(frame):,} rows of {what}, {first} to {last} UTC")
    tell_notes(output, imported.notes, f"{imported.symbol} {what} {imported.prices}", told)


def tell_notes(output: Output, notes: Iterable[str], series: str, told: set[tuple[str, str]]) -> None:
    """Say notes on a file of a series but those that are in `told`; they are then in it."""
    for note in notes:
        shape = re.sub(r"[0-9]", "0", note) if note.startswith("Time from ") else note  # its example differs
        if (series, shape) not in told:
            told.add((series, shape))
            output.say(f"  {note}", style="yellow" if note.startswith("Warning:") else None)


def _role(text: str) -> tuple[str, str]:
    role, equals, name = text.partition("=")
    if not equals:
        raise click.UsageError(f"--column is ROLE=NAME: {text!r}.")
    return role, name
