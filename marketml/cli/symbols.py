"""`marketml data symbol` and `marketml data infer`: what a spelling means, what a file may be."""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd
import pyarrow as pa

from marketml.cli.command import Context, command
from marketml.cli.output import Output
from marketml.cli.series import kind_text
from marketml.clients.data import DataClient
from marketml.data.v1 import data_pb2 as pb
from marketml.imports import ImportRefused, read_market_bytes
from marketml.imports.containers import UNBOUNDED, read_table
from marketml.imports.names import find_symbol

_METADATA_LENGTH_MAX = 1000


@click.command("symbol")
@click.argument("text")
@click.option(
    "--venue", default="", help="Exchange whose spelling it is, as bybit; needed where they disagree."
)
@command("data")
def symbol(context: Context, text: str, venue: str) -> None:
    """Tell what a venue's spelling of an instrument means, in unified form.

    BTCUSDT, BTC-USDT-SWAP, XBTUSD, PF_XBTUSD, BTCUSD_250328, BINANCE:BTCUSDT.P… become
    BASE/QUOTE[:SETTLE[-YYMMDD]]. What means different things on different venues is refused with its
    meanings: give --venue.

    \b
      marketml data symbol XBTUSD --venue kraken
    """
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        found = client.normalize_symbol(text, venue)
    if context.output.is_json:
        context.output.document(found)
    else:
        context.output.show(f"{found.symbol}  ({found.recognised_as})")


@click.command("infer")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--venue", default="", help="Exchange, when it is known.")
@click.option("--utc-offset", metavar="+HH:MM", help="How far ahead of UTC the file's clock is.")
@command("data")
def infer(context: Context, path: Path, venue: str, utc_offset: str | None) -> None:
    """Suggest what a file holds: kind, instrument and timeframe, each with a confidence and reasons.

    The file's name, its columns, the spacing of its rows and its prices count, and above all whether its rows
    are like those that the room has stored. Nothing is imported: give what you take of it to
    `marketml data import` as --venue, --symbol and --timeframe.
    """
    table, said = _read(context.output, path, utc_offset)
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        found = client.infer_series(table, said, venue=venue)
    if context.output.is_json:
        for one in found:
            context.output.line(one)
        return
    if not found:
        context.output.show(
            "Nothing speaks for anything: its columns name no prices, rates or open interest."
        )
        return
    context.output.table(
        ("kind", "venue", "symbol", "confidence", "timeframe", "confidence "),
        [_row(one) for one in found],
    )
    for reason in found[0].reasons:
        context.output.show(f"  {reason}")


def _row(one: pb.SeriesSuggestion) -> tuple[object, ...]:
    is_timed = one.key.timeframe != ""
    return (
        kind_text(one.kind),
        one.key.venue,
        one.key.symbol,
        f"{one.symbol_confidence:.0%}" if one.key.symbol else None,
        one.key.timeframe,
        f"{one.timeframe_confidence:.0%}" if is_timed else None,
    )


def _read(
    output: Output, path: Path, utc_offset: str | None
) -> tuple[pd.DataFrame | pa.Table, dict[str, str]]:
    """The file's rows as market data where they can be read so, else as its cells are; and what it says."""
    content = path.read_bytes()
    cells = read_table(content, UNBOUNDED)
    said = {"file": str(path)[-_METADATA_LENGTH_MAX:]}
    if cells.has_names:
        said["columns"] = ", ".join(cells.names)[:_METADATA_LENGTH_MAX]
    try:
        imported = read_market_bytes(content, str(path), utc_offset=utc_offset)
    except ImportRefused as refused:
        output.say(f"It cannot be imported as it is: {refused}", style="yellow")
        return pa.table(list(cells.columns), names=list(cells.names)), said
    if imported.symbol and find_symbol(cells):
        said["symbol"] = imported.symbol
    return imported.frame, said
