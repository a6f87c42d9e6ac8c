"""The options that name series and tell files, and series in words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar, cast

import click

from marketml.cli.output import enum_text
from marketml.data.v1 import data_pb2 as pb
from marketml.imports.series import TIMEFRAMES

F = TypeVar("F", bound=Callable[..., Any])

# The kinds of series in the words of commands, and in the contract's.
SERIES_KINDS = {"candles": "candles", "funding": "funding_rates", "open-interest": "open_interest"}
KINDS = tuple(SERIES_KINDS)


def series_options(*, is_required: bool = True, has_range: bool = True) -> Callable[[F], F]:
    """`--venue`, `--symbol`, `--timeframe`, and perhaps `--start` and `--end`."""

    def decorate(function: F) -> F:
        options = [
            click.option("--venue", required=is_required, help="Exchange, as binance."),
            click.option("--symbol", required=is_required, help="As BTC/USDT or BTC/USDT:USDT."),
            click.option("--timeframe", type=click.Choice(list(TIMEFRAMES)), help="Of candles, as 1h."),
        ]
        if has_range:
            options += [
                click.option("--start", metavar="TIME", help="First time inside, as 2024-01-31T08:00Z."),
                click.option("--end", metavar="TIME", help="First time after."),
            ]
        return _with_options(function, options)

    return decorate


def reference_option(function: F) -> F:
    """`--reference`, which `read_reference` reads."""
    said = "Another instrument beside it: BTC/USDT:USDT of the same exchange, bybit:BTC/USDT:USDT of another."
    return _with_options(function, [click.option("--reference", metavar="[VENUE:]SYMBOL", help=said)])


def read_reference(text: str | None, venue: str | None) -> tuple[str, str] | None:
    """Venue and symbol that `--reference` says, of the series' venue where it says none; a symbol has its
    colon after a slash."""
    if text is None:
        return None
    named, colon, symbol = text.partition(":")
    return (named, symbol) if colon and "/" not in named else (venue or "", text)


def file_options(function: F) -> F:
    """`--kind`, `--timeframe`, `--market` and `--prices` of files that tell them by themselves, or do not."""
    timeframes, markets, prices = list(TIMEFRAMES), ["spot", "contract"], ["trade", "mark", "index"]
    market = (
        "What BTCUSDT in a file or its name is; default: what its folders say (spot, futures), else spot."
    )
    price = "What the bars are of. Mark and index prices go under VENUE-mark and VENUE-index."
    options = [
        click.option(
            "--kind", type=click.Choice(KINDS), help="Refuse anything else; default: what the file holds."
        ),
        click.option(
            "--timeframe", type=click.Choice(timeframes), help="Of candles; default: what the rows say."
        ),
        click.option("--market", type=click.Choice(markets), help=market),
        click.option("--prices", type=click.Choice(prices), help=price),
    ]
    return _with_options(function, options)


def check_source(
    snapshot: str | None, venue: str | None, symbol: str | None, timeframe: str | None, reference: str | None
) -> None:
    """Refuse features of neither a snapshot nor a series, or of both."""
    if (snapshot is None) == (venue is None or symbol is None or timeframe is None):
        raise click.UsageError("Give --snapshot, or --venue, --symbol and --timeframe.")
    if snapshot is not None and reference is not None:
        raise click.UsageError("A snapshot has its --reference already, or none.")


def check_timeframe(kind: str, timeframe: str | None, barred: Collection[str] = ("candles",)) -> None:
    """Refuse a kind that has bars without `--timeframe`, and one that has none with it."""
    if (timeframe is None) == (kind in barred):
        needs = "needs" if timeframe is None else "takes no"
        raise click.UsageError(f"--kind {kind} {needs} --timeframe.")


def kind_text(kind: int) -> str:
    """A kind by the contract's number, as `funding rates`."""
    return enum_text(pb.SeriesKind.DESCRIPTOR, kind).replace("_", " ")


def _with_options(function: F, options: Sequence[Callable[[Any], Any]]) -> F:
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    return cast(F, decorated)
