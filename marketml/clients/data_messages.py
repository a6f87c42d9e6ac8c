"""Python values as the fields of the data room's requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import pandas as pd
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1 import market_pb2
from marketml.rpc.refusals import InvalidArgument

# Venue and symbol.
Instrument: TypeAlias = tuple[str, str]


def ingest_header(
    venue: str,
    symbol: str,
    timeframe: str,
    source: str,
    on_conflict: str | int | None,
    on_invalid: str | int | None,
    capture_time: datetime | None,
) -> pb.IngestHeader:
    """The header of an ingest."""
    return pb.IngestHeader(
        venue=venue,
        symbol=symbol,
        timeframe=timeframe,
        source=source,
        on_conflict=enum_number(pb.OnConflict, "ON_CONFLICT", on_conflict, "header.on_conflict"),
        on_invalid=enum_number(pb.OnInvalid, "ON_INVALID", on_invalid, "header.on_invalid"),
        capture_time=written_moment(capture_time, "header.capture_time"),
    )


def query_message(
    message: Callable[..., Any], keys: Sequence[market_pb2.SeriesKey], options: Mapping[str, Any], **more: str
) -> Any:
    """A query of series, with its `QueryOptions`."""
    return message(
        series=keys[0] if keys else None,
        more_series=keys[1:],
        range=time_range(options.get("start"), options.get("end"), "range"),
        limit=options.get("limit", 0),
        newest_first=options.get("newest_first", False),
        as_of_time=written_moment(options.get("as_of"), "as_of_time"),
        columns=options.get("columns", ()),
        float32=options.get("float32", False),
        **more,
    )


def frame_spec(
    key: market_pb2.SeriesKey,
    start: datetime | None,
    end: datetime | None,
    as_of: datetime | None,
    funding_max_age: timedelta | None,
    open_interest_max_age: timedelta | None,
    base_timeframe: str,
    reference: Instrument | None = None,
) -> pb.FrameSpec:
    """What an aligned frame is made of."""
    return pb.FrameSpec(
        series=key,
        range=time_range(start, end, "frame.range"),
        funding_max_age=written_span(funding_max_age),
        open_interest_max_age=written_span(open_interest_max_age),
        as_of_time=written_moment(as_of, "frame.as_of_time"),
        base_timeframe=base_timeframe,
        reference=reference_key(reference),
    )


def reference_key(reference: Instrument | None) -> market_pb2.SeriesKey | None:
    """The instrument beside a series as its message."""
    return None if reference is None else market_pb2.SeriesKey(venue=reference[0], symbol=reference[1])


def time_range(start: datetime | None, end: datetime | None, field: str) -> market_pb2.TimeRange:
    """The range [start, end); None is open."""
    return market_pb2.TimeRange(
        start_time=written_moment(start, f"{field}.start_time"),
        end_time=written_moment(end, f"{field}.end_time"),
    )


def written_moment(moment: datetime | None, field: str) -> Timestamp | None:
    """An aware moment as a Timestamp."""
    if moment is None:
        return None
    stamp = pd.Timestamp(moment)
    if pd.isna(stamp) or stamp.tz is None:
        raise InvalidArgument.of(field, "aware", f"must be a moment with a time zone, not {moment!r}.")
    # Not by its nanoseconds: those end in the year 2262.
    seconds, microseconds = divmod(int(stamp.asm8.astype("datetime64[us]").astype("int64")), 1_000_000)
    return Timestamp(seconds=seconds, nanos=microseconds * 1000 + stamp.nanosecond)


def written_span(span: timedelta | None) -> Duration | None:
    """A span of time as a Duration."""
    if span is None:
        return None
    duration = Duration()
    duration.FromTimedelta(span)
    return duration


def enum_number(kind: Any, prefix: str, choice: str | int | None, field: str) -> Any:
    """The number of a choice given by its word, as `revise`, or by its number."""
    if choice is None or isinstance(choice, int):
        return choice
    name = f"{prefix}_{choice.upper().replace('-', '_')}"
    if name not in kind.keys():  # noqa: SIM118
        words = ", ".join(key.removeprefix(f"{prefix}_").lower() for key in kind.keys()[1:])
        raise InvalidArgument.of(field, "unknown", f"must be one of {words}, not {choice!r}.")
    return kind.Value(name)
