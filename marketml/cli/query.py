"""`marketml data query`: rows of series, and aligned frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pandas as pd

from marketml.cli.command import Context, command
from marketml.cli.documents import parse_given_time
from marketml.cli.frames import write_frame
from marketml.cli.series import KINDS, check_timeframe, read_reference, reference_option
from marketml.clients.data import DataClient
from marketml.imports.series import TIMEFRAMES

_BARS = ("candles", "frame")


@click.command("query")
@click.option("--venue", required=True, help="Exchange, as binance.")
@click.option(
    "--symbol", "symbols", multiple=True, required=True, help="As BTC/USDT or BTC/USDT:USDT; may be repeated."
)
@click.option("--timeframe", type=click.Choice(list(TIMEFRAMES)), help="Of candles and frames, as 1h.")
@click.option("--start", metavar="TIME", help="First time inside, as 2024-01-31T08:00Z.")
@click.option("--end", metavar="TIME", help="First time after.")
@click.option("--kind", type=click.Choice([*KINDS, "frame"]), default="candles", show_default=True)
@click.option("--limit", type=click.IntRange(0), default=0, help="At most so many rows of each symbol.")
@click.option("--newest", "is_newest", is_flag=True, help="The last rows instead of the first.")
@click.option("--as-of", metavar="TIME", help="What was known then, before later revisions.")
@click.option("--columns", metavar="NAME,NAME…", help="Only these, in this order.")
@click.option("--float32", is_flag=True, help="Values of half the size, with 7 digits.")
@click.option(
    "--resample",
    type=click.Choice(list(TIMEFRAMES)),
    help="Candles of this longer timeframe, made of those of --timeframe; each once its time is over.",
)
@click.option(
    "--base-timeframe",
    type=click.Choice(list(TIMEFRAMES)),
    help="Make a frame's bars of these shorter ones; default: its own, else the longest stored that fit.",
)
@reference_option
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write .csv, .parquet or .feather, not to stdout."
)
@command("data")
def query(
    context: Context,
    venue: str,
    symbols: tuple[str, ...],
    timeframe: str | None,
    start: str | None,
    end: str | None,
    kind: str,
    limit: int,
    is_newest: bool,
    as_of: str | None,
    columns: str | None,
    float32: bool,
    resample: str | None,
    base_timeframe: str | None,
    reference: str | None,
    out: Path | None,
) -> None:
    """Read series; --kind frame is candles with the funding rate and open interest known at each close.

    Rows of several symbols come one symbol after the other, with the symbol in a column of that name.
    """
    check_timeframe(kind, timeframe, _BARS)
    for option, value, fitting in (
        ("--resample", resample, "candles"),
        ("--base-timeframe", base_timeframe, "frame"),
        ("--reference", reference, "frame"),
    ):
        if value is not None and kind != fitting:
            raise click.UsageError(f"{option} is for --kind {fitting}, not {kind}.")
    options: dict[str, Any] = {
        "start": parse_given_time(start, "--start"),
        "end": parse_given_time(end, "--end"),
        "as_of": parse_given_time(as_of, "--as-of"),
        "limit": limit,
        "newest_first": is_newest,
        "columns": [name.strip() for name in columns.split(",")] if columns else [],
        "float32": float32,
    }
    if resample is not None:
        options["resample_timeframe"] = resample
    if base_timeframe is not None:
        options["base_timeframe"] = base_timeframe
    if reference is not None:
        options["reference"] = read_reference(reference, venue)
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        frames = _ask(client, kind, venue, symbols, timeframe, options)
    write_frame(context.output, _joined(symbols, frames), out)


def _ask(
    client: DataClient,
    kind: str,
    venue: str,
    symbols: tuple[str, ...],
    timeframe: str | None,
    options: dict[str, Any],
) -> list[pd.DataFrame]:
    bars = [(venue, symbol, str(timeframe)) for symbol in symbols]
    instruments = [(venue, symbol) for symbol in symbols]
    match kind:
        case "candles":
            return list(client.query_candles_of_many(bars, **options).values())
        case "frame":
            return list(client.query_frame_of_many(bars, **options).values())
        case "funding":
            return list(client.query_funding_rates_of_many(instruments, **options).values())
        case _:
            return list(client.query_open_interest_of_many(instruments, **options).values())


def _joined(symbols: tuple[str, ...], frames: list[pd.DataFrame]) -> pd.DataFrame:
    if len(frames) == 1:
        return frames[0]
    for symbol, frame in zip(symbols, frames, strict=True):
        frame.insert(0, "symbol", symbol)
        frame.attrs = {}
    return pd.concat(frames)
