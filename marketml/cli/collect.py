"""`marketml data collect`: the data room pulls series from an exchange, the command tells how far it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import product

import click

from marketml.cli.command import FAILURES, CommandFailed, Context, command
from marketml.cli.documents import parse_time
from marketml.cli.output import Output, seconds_text
from marketml.cli.progress import PlainProgress, bar
from marketml.cli.series import KINDS, SERIES_KINDS, kind_text
from marketml.clients.data import DataClient
from marketml.clients.data_messages import enum_number, written_moment
from marketml.data.v1 import data_pb2 as pb
from marketml.imports.series import TIMEFRAMES
from marketml.market.v1 import market_pb2
from marketml.rpc.refusals import DeadlineExceeded, Refusal

_UNIFIED = re.compile(r"[A-Z0-9]+/[A-Z0-9]+(:[A-Z0-9]+(-[0-9]{6})?)?")
_REJECTIONS_LISTED = 5

Part = pb.CollectionProgress | pb.CollectionOutcome


@click.command("collect")
@click.option("--venue", required=True, help="Exchange, as binanceusdm, bybit or okx.")
@click.option(
    "--symbol",
    "symbols",
    multiple=True,
    required=True,
    help="As BTC/USDT:USDT or a venue's spelling; repeatable.",
)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Repeatable; default candles.")
@click.option(
    "--timeframe",
    "timeframes",
    multiple=True,
    type=click.Choice(list(TIMEFRAMES)),
    help="Of candles; repeatable.",
)
@click.option(
    "--start",
    metavar="TIME",
    help="Where a series without rows begins; default: the oldest row that the exchange gives.",
)
@click.option("--end", metavar="TIME", help="First time outside; default now.")
@command("data")
def collect(
    context: Context,
    venue: str,
    symbols: tuple[str, ...],
    kinds: tuple[str, ...],
    timeframes: tuple[str, ...],
    start: str | None,
    end: str | None,
) -> None:
    """Pull candles, funding rates and open interest from an exchange.

    The room asks the exchange's public interface (no key is needed) page by page and stores each page whole.
    A series that has rows goes on after its newest one: run the same command again and only what is new is
    asked for. The bar that is still open is never stored; rows that cannot be true are left out and listed.
    Ctrl-C stops the collection and keeps what was stored.

    \b
    A year of hourly candles of two perpetuals, with their funding and open interest:
      marketml data collect --venue binanceusdm --symbol BTCUSDT --symbol ETHUSDT
          --kind candles --kind funding --kind open-interest --timeframe 1h --start 2024-01-01
    What came since:
      marketml data collect --venue binanceusdm --symbol BTCUSDT --timeframe 1h
    Let the room do that by itself, every hour:
      marketml data policies create --venue binanceusdm --symbol BTC/USDT:USDT --timeframe 1h --every 1h

    With --json each message is a line, {"progress": …} or {"outcome": …}.
    """
    kinds = kinds or ("candles",)
    if ("candles" in kinds) != bool(timeframes):
        raise click.UsageError(
            "Candles need --timeframe." if "candles" in kinds else "--timeframe is for candles: add --kind."
        )
    began = [
        None if text is None else parse_time(text, name)
        for text, name in ((start, "--start"), (end, "--end"))
    ]
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        unified = [_unified(context.output, client, text, venue) for text in dict.fromkeys(symbols)]
        source = _source(venue, unified, kinds, timeframes, *began)
        _collect(context.output, client, source)


def _source(
    venue: str,
    symbols: list[str],
    kinds: tuple[str, ...],
    timeframes: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
) -> pb.ExchangeSource:
    series = [
        pb.CollectionTarget(
            kind=enum_number(pb.SeriesKind, "SERIES_KIND", SERIES_KINDS[kind], "kind"),
            key=market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe),
        )
        for symbol, kind in product(dict.fromkeys(symbols), dict.fromkeys(kinds))
        for timeframe in (dict.fromkeys(timeframes) if kind == "candles" else ("",))
    ]
    return pb.ExchangeSource(
        series=series,
        start_time=written_moment(start, "exchange.start_time"),
        end_time=written_moment(end, "exchange.end_time"),
    )


def _unified(output: Output, client: DataClient, text: str, venue: str) -> str:
    if _UNIFIED.fullmatch(text):
        return text
    found = client.normalize_symbol(text, venue)
    output.say(f"{text} is {found.symbol} ({found.recognised_as}).")
    return str(found.symbol)


def _collect(output: Output, client: DataClient, source: pb.ExchangeSource) -> None:
    outcomes: dict[str, pb.CollectionOutcome] = {}
    newest: dict[str, pb.CollectionProgress] = {}
    try:
        with _view(output) as tell:
            for part in _parts(client, source):
                if output.is_json:
                    output.line(part)
                if part.HasField("outcome"):
                    outcomes[_name(part.outcome)] = part.outcome
                    if not output.is_live:
                        _show(output, part.outcome)
                else:
                    newest[_name(part.progress)] = part.progress
                    tell(part.progress)
    except KeyboardInterrupt:
        inserted = sum(progress.inserted for progress in newest.values())
        output.say(f"Stopped. {inserted:,} new rows are stored; the same command goes on after them.")
        raise
    except Refusal as refusal:
        if not any(outcome.failure for outcome in outcomes.values()) or not isinstance(refusal, FAILURES):
            raise
    finally:
        if output.is_live:  # not between its bars
            for outcome in outcomes.values():
                _show(output, outcome)
    failed = [name for name, outcome in outcomes.items() if outcome.failure]
    if failed:
        raise CommandFailed(
            f"{len(failed)} of {len(outcomes)} series did not come to their end: {', '.join(failed)}; the "
            "same command goes on there."
        )


def _parts(client: DataClient, source: pb.ExchangeSource) -> Iterator[pb.CollectSeriesResponse]:
    """The messages of the call; where the room ends it because of its length, of the same call again."""
    while True:
        has_moved = False
        try:
            for part in client.collect_series(source):
                has_moved = has_moved or part.progress.inserted > 0
                yield part
            return
        except DeadlineExceeded:
            if not has_moved:
                raise


@contextmanager
def _view(output: Output) -> Iterator[Callable[[pb.CollectionProgress], None]]:
    """A bar for each series on a terminal, lines now and then elsewhere."""
    if output.is_json:
        yield lambda progress: None
    elif output.is_live:
        with bar(output) as bars:
            tasks = {}

            def draw(progress: pb.CollectionProgress) -> None:
                name = _name(progress)
                if name not in tasks:
                    tasks[name] = bars.add_task(name, total=1.0)
                done = progress.progress_fraction
                told = ", ".join(_stage(progress))
                bars.update(tasks[name], completed=done, description=f"{name}: {told}")

            yield draw
    else:
        lines: dict[str, PlainProgress] = {}

        def write(progress: pb.CollectionProgress) -> None:
            name = _name(progress)
            line = lines.setdefault(name, PlainProgress(output, name))
            line.tell(progress.progress_fraction, ", ".join([*_stage(progress), *_remaining(progress)]))
            if "attempt" in progress.waiting_for:
                output.say(f"{name}: {progress.waiting_for}")

        yield write


def _stage(progress: pb.CollectionProgress) -> list[str]:
    words = [f"{progress.inserted:,} rows"]
    if progress.missing_bars_count:
        words.append(f"{progress.missing_bars_count:,} absent bars")
    if progress.waiting_for:
        words.append(f"waiting: {progress.waiting_for}")
    return words


def _remaining(progress: pb.CollectionProgress) -> list[str]:
    if not progress.HasField("remaining_time") or progress.progress_fraction == 1:
        return []
    return [f"{seconds_text(progress.remaining_time.ToTimedelta().total_seconds())} left"]


def _name(part: Part) -> str:
    series = part.series
    return " ".join(
        word for word in (series.key.symbol, series.key.timeframe, kind_text(series.kind)) if word
    )


def _show(output: Output, outcome: pb.CollectionOutcome) -> None:
    report = outcome.report
    counts = [f"{report.inserted:,} inserted"]
    counts += [f"{report.revised:,} revised"] if report.revised else []
    counts += [f"{report.rejected_count:,} rejected"] if report.rejected_count else []
    counts += [f"{outcome.missing_bars_count:,} absent bars"] if outcome.missing_bars_count else []
    output.show(f"{outcome.series.key.venue} {_name(outcome)}: {', '.join(counts)}")
    for note in outcome.notes:
        output.say(f"  {note}")
    for rejection in report.rejections[:_REJECTIONS_LISTED]:
        output.say(f"  row {rejection.row + 1}: {rejection.field} {rejection.rule}: {rejection.value}")
    if outcome.failure:
        output.say(f"  {outcome.failure}", style="red")
