"""The file part of CollectSeries: its request, and what it streams."""

from __future__ import annotations

from marketml.data.v1 import data_pb2 as pb
from marketml.imports import ImportRefused, Prices
from marketml.imports.times import parse_offset
from marketml.rpc.refusals import InvalidArgument, Violation
from services.data import wire, wire_rows
from services.data.collection.file_imports import FileOutcome, FileProgress, FileRequest
from services.data.series import TIMEFRAMES_US, symbol_violations, venue_violations
from services.data.wire_collection import written_seconds

PATH_LENGTH_MAX = 4096

_MARKETS: dict[int, str | None] = {pb.MARKET_SPOT: "spot", pb.MARKET_CONTRACT: "contract"}
_PRICES: dict[int, Prices | None] = {
    pb.BAR_PRICES_TRADE: "trade",
    pb.BAR_PRICES_MARK: "mark",
    pb.BAR_PRICES_INDEX: "index",
}


def read_file_source(source: pb.FileSource) -> FileRequest:
    """FileSource."""
    violations = list(venue_violations(source.venue, "files.venue"))
    if not source.path:
        violations.append(
            Violation("files.path", "required", "must name a file or a folder below the import folder.")
        )
    elif len(source.path) > PATH_LENGTH_MAX:
        violations.append(
            Violation(
                "files.path",
                "at_most",
                f"must be at most {PATH_LENGTH_MAX} characters, not {len(source.path)}.",
            )
        )
    if source.symbol:
        violations += symbol_violations(source.symbol, "files.symbol")
    if source.timeframe and source.timeframe not in TIMEFRAMES_US:
        known = " ".join(TIMEFRAMES_US)
        violations.append(
            Violation("files.timeframe", "unknown", f"must be one of {known}, not {source.timeframe[:32]!r}.")
        )
    if source.utc_offset:
        try:
            parse_offset(source.utc_offset)
        except ImportRefused as refused:
            violations.append(Violation("files.utc_offset", "offset", str(refused)))
    if violations:
        raise InvalidArgument(violations)
    return FileRequest(
        source.path,
        source.venue,
        source.symbol,
        source.timeframe,
        wire.read_kind(source.kind, "files.kind") if source.HasField("kind") else None,
        wire_rows.read_on_conflict(source, "files"),
        wire_rows.read_skip_invalid(source, "files"),
        source.utc_offset,
        wire_rows.read_choice(source, "files", "market", _MARKETS, None),
        wire_rows.read_choice(source, "files", "bar_prices", _PRICES, None),
    )


def written_file_part(part: FileProgress | FileOutcome) -> pb.CollectSeriesResponse:
    """One message of the stream."""
    if isinstance(part, FileProgress):
        progress = pb.CollectionProgress(
            file=part.file,
            progress_fraction=part.fraction,
            remaining_time=written_seconds(part.remaining_seconds),
        )
        return pb.CollectSeriesResponse(progress=progress)
    return pb.CollectSeriesResponse(
        outcome=pb.CollectionOutcome(
            series=None if part.series is None else wire.written_target(part.series),
            file=part.file,
            report=None if part.report is None else wire.written_report(part.report),
            missing_bars_count=part.missing_count,
            failure=part.failure,
            failure_reason=part.failure_reason,
            notes=part.notes,
        )
    )
