"""Messages and what they mean, in both directions. Every refusal here names the field by its full path."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1 import market_pb2
from marketml.rpc.frames import pack_parts
from marketml.rpc.refusals import InvalidArgument, Violation
from services.data.query.views import END_US
from services.data.records import Coverage
from services.data.series import (
    KINDS,
    Kind,
    Series,
    series_violations,
    symbol_violations,
    venue_violations,
)
from services.data.symbols.unified import Symbol
from services.data.uploads import Report

PAGE_SIZE = 100
PAGE_SIZE_MAX = 1000

_SECONDS_MIN, _SECONDS_MAX = -62_135_596_800, 253_402_300_799  # years 1 to 9999, as Timestamp says
_DURATION_SECONDS_MAX = 315_576_000_000
_SNAPSHOT_ID = re.compile(r"[0-9a-f]{64}")


def instant_us(stamp: Timestamp, field: str, *, up: bool = True) -> int:
    """A time in microseconds; a finer one goes up, so that half-open bounds keep their meaning, or down."""
    if not (_SECONDS_MIN <= stamp.seconds <= _SECONDS_MAX and 0 <= stamp.nanos < 1_000_000_000):
        raise InvalidArgument.of(
            field,
            "timestamp",
            f"must lie in the years 1 to 9999: {stamp.seconds} seconds, {stamp.nanos} nanoseconds.",
        )
    return stamp.seconds * 1_000_000 + (-(-stamp.nanos // 1000) if up else stamp.nanos // 1000)


def written_instant(time_us: int | None) -> Timestamp | None:
    """Microseconds as a Timestamp."""
    if time_us is None:
        return None
    seconds, rest = divmod(time_us, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def written_duration(span_us: int | None) -> Duration | None:
    """Microseconds as a Duration."""
    if span_us is None:
        return None
    seconds, rest = divmod(span_us, 1_000_000)
    return Duration(seconds=seconds, nanos=rest * 1000)


def duration_ns(span: Duration) -> int | None:
    """A duration in nanoseconds; None when its fields make none."""
    is_valid = abs(span.nanos) < 1_000_000_000 and span.seconds * span.nanos >= 0
    return span.seconds * 1_000_000_000 + span.nanos if is_valid else None


def read_age(age: Duration, field: str) -> int:
    """A duration of at least a microsecond, in microseconds."""
    nanos = duration_ns(age)
    if nanos is None or nanos < 1000 or age.seconds > _DURATION_SECONDS_MAX:
        raise InvalidArgument.of(
            field,
            "positive",
            f"must be at least a microsecond: {age.seconds} seconds, {age.nanos} nanoseconds.",
        )
    return nanos // 1000


def canonical(request: Message) -> bytes:
    """A serialisation that is equal for equal requests."""
    return request.SerializeToString(deterministic=True)


def read_series(kind: Kind, key: market_pb2.SeriesKey, field: str) -> Series:
    """The series that a key names."""
    series = Series(kind, key.venue, key.symbol, key.timeframe)
    refuse(series_violations(series, field))
    return series


def written_key(series: Series) -> market_pb2.SeriesKey:
    """A series as the key that names it."""
    return market_pb2.SeriesKey(venue=series.venue, symbol=series.symbol, timeframe=series.timeframe)


def written_target(series: Series) -> pb.CollectionTarget:
    """A series as one that is collected."""
    return pb.CollectionTarget(
        kind=series.kind.number,  # type: ignore[arg-type]
        key=written_key(series),
    )


def written_chunks(streams: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Arrow streams in parts as serialised responses whose field 1 is the chunk."""
    for sequence, parts in enumerate(streams):
        yield pack_parts(parts, sequence)


def read_snapshot_id(snapshot_id: str) -> str:
    """A snapshot's id."""
    if not _SNAPSHOT_ID.fullmatch(snapshot_id):
        raise InvalidArgument.of(
            "snapshot_id", "digest", f"must be 64 lower-case hex digits, not {snapshot_id[:80]!r}."
        )
    return snapshot_id


def written_coverage(coverage: Coverage) -> pb.Series:
    """A series and its coverage as its message."""
    series = coverage.series
    message = pb.Series(
        kind=series.kind.number,  # type: ignore[arg-type]
        key=written_key(series),
        row_count=coverage.row_count,
        first_time=written_instant(coverage.first_time_us),
        last_time=written_instant(coverage.last_time_us),
        revised_count=coverage.revised_count,
        newest_capture_time=written_instant(coverage.newest_capture_us),
        source=coverage.source,
        marked_missing_count=coverage.marked_count,
        settlement_interval=written_duration(coverage.settlement_interval_us),
    )
    if series.step_us and coverage.first_time_us is not None and coverage.last_time_us is not None:
        message.missing_bars_count = series.missing_count(
            coverage.first_time_us, coverage.last_time_us, coverage.row_count
        )
    return message


def written_symbol(symbol: Symbol) -> pb.NormalizeSymbolResponse:
    """A recognised symbol as its message."""
    return pb.NormalizeSymbolResponse(
        symbol=symbol.text,
        base=symbol.base,
        quote=symbol.quote,
        settle=symbol.settle,
        recognised_as=symbol.recognised_as,
    )


def written_report(report: Report) -> pb.IngestReport:
    """What an ingest did as its message."""
    return pb.IngestReport(
        received=report.received_count,
        inserted=report.counts.inserted,
        revised=report.counts.revised,
        unchanged=report.counts.unchanged,
        rejected_count=report.rejected_count,
        rejections=[
            pb.Rejection(row=fault.row, field=fault.field, rule=fault.rule, value=fault.value)
            for fault in report.faults
        ],
        first_time=written_instant(report.first_time_us),
        last_time=written_instant(report.last_time_us),
        doubtful_count=report.doubtful_count,
        doubtful=[
            pb.DoubtfulRow(row=one.row, field=one.field, rule=one.rule, value=one.value)
            for one in report.doubtful
        ],
    )


def read_filter(request: pb.ListSeriesRequest) -> tuple[str, str, Kind | None]:
    """Venue, symbol and kind of ListSeriesRequest; empty and None filter nothing."""
    if request.venue:
        refuse(venue_violations(request.venue, "venue"))
    if request.symbol:
        refuse(symbol_violations(request.symbol, "symbol"))
    return request.venue, request.symbol, read_kind(request.kind) if request.HasField("kind") else None


def read_kind(number: int, field: str = "kind") -> Kind:
    """A kind by the contract's number."""
    if number not in KINDS:
        rule = "unknown" if number else "required"
        raise InvalidArgument.of(field, rule, f"must be one of the kinds of series, not {number}.")
    return KINDS[number]


def read_spelling(request: pb.NormalizeSymbolRequest) -> tuple[str, str]:
    """Text and venue of NormalizeSymbolRequest."""
    if request.venue:
        refuse(venue_violations(request.venue, "venue"))
    return request.text, request.venue


def read_page_size(page_size: int) -> int:
    """A page's size, the default for 0."""
    if not 0 <= page_size <= PAGE_SIZE_MAX:
        raise InvalidArgument.of("page_size", "range", f"must be 0 to {PAGE_SIZE_MAX}, not {page_size}.")
    return page_size or PAGE_SIZE


def read_page_token(token: str, request: Sequence[Any], types: Sequence[type]) -> list[Any] | None:
    """The key after which a page starts; None for the first page.

    Parameters
    ----------
    request
        What else was asked, which must be what was asked when the token was given.
    types
        Of the key's parts.
    """
    if not token:
        return None
    try:
        asked, key = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
        if (
            asked == list(request)
            and [type(part) for part in key] == list(types)
            and all(_is_storable(part) for part in key)
        ):
            return list(key)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        pass
    raise InvalidArgument.of(
        "page_token", "token", f"must be one that this call gave for the same filters: {token[:80]!r}."
    )


def _is_storable(part: str | int) -> bool:
    """Whether a database takes it: no zero byte and no half of a character, which JSON can spell."""
    return part.isascii() and part.isprintable() if isinstance(part, str) else abs(part) < END_US


def written_page_token(request: Sequence[Any], key: Sequence[Any]) -> str:
    """The token of the page after `key`."""
    return base64.urlsafe_b64encode(json.dumps([list(request), list(key)]).encode()).decode()


def read_range(span: market_pb2.TimeRange | pb.ExchangeSource, field: str) -> tuple[int | None, int | None]:
    """A range's start and end in microseconds, None where it is open."""
    start_us = read_optional_time(span, "start_time", f"{field}.start_time", up=True)
    end_us = read_optional_time(span, "end_time", f"{field}.end_time", up=True)
    if start_us is not None and end_us is not None and end_us <= start_us:
        raise InvalidArgument.of(f"{field}.end_time", "after_start", "must be later than start_time.")
    return start_us, end_us


def read_start(message: Any, field: str) -> int | None:
    """Where a series without rows begins: `start_time` of a message at `field`, None when it is absent."""
    start_us = read_optional_time(message, "start_time", f"{field}.start_time", up=True)
    if start_us is not None and start_us < 0:
        raise InvalidArgument.of(f"{field}.start_time", "range", "must not be before 1970-01-01.")
    return start_us


def read_optional_time(message: Any, name: str, field: str, *, up: bool = False) -> int | None:
    """A time of a message in microseconds, None when it is absent."""
    return instant_us(getattr(message, name), field, up=up) if message.HasField(name) else None


def refuse(violations: list[Violation]) -> None:
    """Raise them, if there are any."""
    if violations:
        raise InvalidArgument(violations)
