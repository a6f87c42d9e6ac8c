"""The data of the demo: the file in the package, or whatever market data a folder holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import marketml.demo
from marketml.cli.command import CommandFailed
from marketml.cli.import_files import send, tell_file
from marketml.cli.output import Output
from marketml.clients.data import DataClient
from marketml.imports import ImportedFile, ImportRefused, is_market_name, read_market_file
from marketml.rpc.refusals import InvalidArgument


@dataclass(frozen=True)
class Market:
    """The series to train on."""

    venue: str
    symbol: str
    timeframe: str


@dataclass(frozen=True)
class MarketFiles:
    """Files of one market, read and not yet stored. `folder` is None for the set in the package."""

    folder: Path | None
    files: tuple[tuple[Path, ImportedFile], ...]
    timeframe: str
    kinds: frozenset[str]


def read_market(output: Output, folder: Path | None) -> MarketFiles:
    """Read the package's file, or every market-data file of a folder.

    Raises
    ------
    CommandFailed
        The folder holds no candles, or candles of several timeframes.
    """
    files = _read(output, [marketml.demo.FILE] if folder is None else _listed(folder))
    timeframes = {str(one.timeframe) for _, one in files if one.kind == "candles"}
    if not timeframes:
        raise CommandFailed(f"{folder} holds no file of candles.")
    if len(timeframes) > 1:
        raise CommandFailed(f"{folder} holds candles of {', '.join(sorted(timeframes))}: keep one timeframe.")
    kinds = frozenset(one.kind for _, one in files)
    for kind, words in (("funding", "funding rates"), ("open-interest", "open interest")):
        if kind not in kinds:
            output.say(f"  No {words} here: the features that need it are left out, nothing is made up.")
    return MarketFiles(folder, tuple(files), timeframes.pop(), kinds)


def store_market(
    output: Output, client: DataClient, read: MarketFiles, venue: str | None, symbol: str | None
) -> Market:
    """Give the files to the data room; doing it again changes nothing.

    Raises
    ------
    CommandFailed
        The files are of several instruments, or of none that is recognised.
    """
    if read.folder is None:
        venue, symbol = venue or marketml.demo.VENUE, symbol or marketml.demo.SYMBOL
    elif venue is None:
        venue = "files"
        output.say('  The files name no exchange: they go under "files" (--venue says it better).')
    symbol = symbol or _symbol(output, client, venue, read)
    for path, one in read.files:
        report = send(client, one, venue, symbol, source=f"file {path.name}"[:200], skip_invalid=True)
        rejected = f", {report.rejected_count:,} left out as impossible" if report.rejected_count else ""
        output.say(
            f"  {venue} {symbol} {one.kind}: {report.inserted:,} new, {report.revised:,} revised, "
            f"{report.unchanged:,} as they were{rejected}"
        )
    return Market(venue, symbol, read.timeframe)


def _listed(folder: Path) -> list[Path]:
    found = [path for path in sorted(folder.iterdir()) if path.is_file() and is_market_name(path.name)]
    if not found:
        raise CommandFailed(f"{folder} holds no market-data files.")
    return found


def _read(output: Output, paths: list[Path]) -> list[tuple[Path, ImportedFile]]:
    files = []
    for path in paths:
        try:
            imported = read_market_file(path)
        except ImportRefused as refused:
            output.say(f"  {path.name} is left out: {refused}", style="yellow")
            continue
        if imported.prices != "trade":
            output.say(f"  {path.name} is left out: {imported.prices} prices, not trades.", style="yellow")
            continue
        tell_file(output, path, imported, set())
        files.append((path, imported))
    return files


def _symbol(output: Output, client: DataClient, venue: str, read: MarketFiles) -> str:
    """The one instrument of all files, from what they say or are called."""
    found: dict[str, str] = {}
    for path, imported in read.files:
        for text in filter(None, [imported.symbol, *_spellings(path)]):
            try:
                found[client.normalize_symbol(text, venue).symbol] = path.name
            except InvalidArgument:
                continue
            break
    if len(found) != 1:
        listed = ", ".join(f"{symbol} ({name})" for symbol, name in found.items()) or "none"
        raise CommandFailed(f"The files must be of one instrument; found: {listed}. Give --symbol.")
    symbol = next(iter(found))
    if ":" not in symbol and read.kinds - {"candles"}:
        symbol = f"{symbol}:{symbol.partition('/')[2]}"
        output.say(f"  Funding or open interest belong to a perpetual: taken as {symbol} (--symbol decides).")
    return symbol


def _spellings(path: Path) -> list[str]:
    """Parts of a file's name that may be a symbol: `BTCUSDT` of `BTCUSDT_1h_ohlcv.csv.gz`, `BTC-USDT` of …"""
    words = re.split(r"[^A-Za-z0-9]+", path.name.split(".")[0])
    return [*words, *(f"{one}-{two}" for one, two in pairwise(words))]
