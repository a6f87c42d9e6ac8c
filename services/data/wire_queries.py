"""Queries, frames and snapshots on the wire."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1 import market_pb2
from marketml.rpc.refusals import InvalidArgument, Violation
from services.data.query.alignment import FrameSpec, frame_schema, open_interest_max_age_us
from services.data.query.forms import Form, column_violations
from services.data.query.reading import FrameQuery, Query
from services.data.query.resampling import divides, shorter_timeframes
from services.data.query.views import BEGINNING_US, END_US, Selection
from services.data.records import Snapshot
from services.data.series import CANDLES, TIMEFRAMES_US, Kind, Series
from services.data.wire import (
    read_age,
    read_optional_time,
    read_range,
    read_series,
    refuse,
    written_duration,
    written_instant,
    written_key,
)

MORE_SERIES_MAX = 99


def read_query(kind: Kind, request: Any) -> Query:
    """QueryCandlesRequest, QueryFundingRatesRequest, QueryOpenInterestRequest."""
    first = read_series(kind, request.series, "series")
    series = (first, *_read_more_series(kind, first, request.more_series))
    start_us, end_us = read_range(request.range, "range")
    selection = Selection(
        BEGINNING_US if start_us is None else start_us,
        END_US if end_us is None else end_us,
        read_limit(request),
        request.newest_first,
        read_optional_time(request, "as_of_time", "as_of_time"),
    )
    timeframe = request.resample_timeframe if kind is CANDLES else ""
    if timeframe:
        refuse(_longer_violations(timeframe, series))
    return Query(series, selection, _read_form(request, kind.schema), timeframe)


def read_frame_query(request: pb.QueryFrameRequest) -> FrameQuery:
    """QueryFrameRequest."""
    spec = read_frame(request.frame)
    specs = [spec]
    for position, series in enumerate(_read_more_series(CANDLES, spec.series, request.more_series)):
        age_us = spec.open_interest_max_age_us
        if not request.frame.HasField("open_interest_max_age"):
            age_us = open_interest_max_age_us(series)
        if spec.base_timeframe is not None:
            refuse(_shorter_violations(spec.base_timeframe, series, f"more_series[{position}].timeframe"))
        reference = spec.reference
        if reference is not None:
            reference = dataclasses.replace(reference, timeframe=series.timeframe)
            refuse(_itself_violations(reference, series, f"more_series[{position}]", "the reference"))
        own = dataclasses.replace(spec, series=series, reference=reference)
        specs.append(dataclasses.replace(own, open_interest_max_age_us=age_us))
    form = _read_form(request, frame_schema(spec))
    return FrameQuery(tuple(specs), read_limit(request), request.newest_first, form)


def read_limit(request: Any) -> int:
    """A query's `limit`."""
    if request.limit < 0:
        raise InvalidArgument.of("limit", "range", f"must not be negative: {request.limit}.")
    return int(request.limit)


def read_frame(spec: pb.FrameSpec, field: str = "frame") -> FrameSpec:
    """A frame's spec, with the default age of open interest."""
    series = read_series(CANDLES, spec.series, f"{field}.series")
    start_us, end_us = read_range(spec.range, f"{field}.range")
    funding_us, interest_us = (
        read_age(getattr(spec, name), f"{field}.{name}") if spec.HasField(name) else None
        for name in ("funding_max_age", "open_interest_max_age")
    )
    as_of_us = read_optional_time(spec, "as_of_time", f"{field}.as_of_time")
    if spec.base_timeframe:
        refuse(_shorter_violations(spec.base_timeframe, series, f"{field}.base_timeframe"))
    return FrameSpec(
        series,
        start_us,
        end_us,
        funding_us,
        open_interest_max_age_us(series) if interest_us is None else interest_us,
        as_of_us,
        spec.base_timeframe or None,
        _read_reference(spec.reference, series, f"{field}.reference") if spec.HasField("reference") else None,
    )


def written_frame(spec: FrameSpec) -> pb.FrameSpec:
    """A frame's spec as its message."""
    frame = pb.FrameSpec(
        series=written_key(spec.series),
        funding_max_age=written_duration(spec.funding_max_age_us),
        open_interest_max_age=written_duration(spec.open_interest_max_age_us),
        as_of_time=written_instant(spec.as_of_us),
        base_timeframe=spec.base_timeframe or "",
        reference=None if spec.reference is None else written_key(spec.reference),
    )
    if (spec.start_us, spec.end_us) != (None, None):
        start_time, end_time = written_instant(spec.start_us), written_instant(spec.end_us)
        frame.range.CopyFrom(market_pb2.TimeRange(start_time=start_time, end_time=end_time))
    return frame


def written_snapshot(snapshot: Snapshot) -> pb.Snapshot:
    """A snapshot as its message."""
    return pb.Snapshot(
        snapshot_id=snapshot.snapshot_id,
        frame=written_frame(snapshot.frame),
        row_count=snapshot.row_count,
        size_bytes=snapshot.size_bytes,
        first_time=written_instant(snapshot.first_time_us),
        last_time=written_instant(snapshot.last_time_us),
        create_time=written_instant(snapshot.create_time_us),
    )


def _read_more_series(kind: Kind, first: Series, keys: Sequence[market_pb2.SeriesKey]) -> list[Series]:
    if len(keys) > MORE_SERIES_MAX:
        raise InvalidArgument.of(
            "more_series", "count", f"must be at most {MORE_SERIES_MAX} series, not {len(keys)}."
        )
    found: list[Series] = []
    for position, key in enumerate(keys):
        series = read_series(kind, key, f"more_series[{position}]")
        if series == first or series in found:
            raise InvalidArgument.of(
                f"more_series[{position}]", "unique", f"must be asked for once: {series.name}."
            )
        found.append(series)
    return found


def _read_reference(key: market_pb2.SeriesKey, series: Series, field: str) -> Series:
    """The candles beside those of a frame's series, of the same timeframe."""
    if key.timeframe not in ("", series.timeframe):
        said = f"must be empty or {series.timeframe}, as the series has it, not {key.timeframe[:32]!r}."
        raise InvalidArgument.of(f"{field}.timeframe", "same", said)
    named = market_pb2.SeriesKey(venue=key.venue, symbol=key.symbol, timeframe=series.timeframe)
    reference = read_series(CANDLES, named, field)
    refuse(_itself_violations(reference, series, field, "the series itself"))
    return reference


def _itself_violations(reference: Series, series: Series, field: str, what: str) -> list[Violation]:
    if reference != series:
        return []
    return [Violation(field, "other", f"must be another one than {what}: {series.name}.")]


def _read_form(request: Any, schema: Any) -> Form:
    refuse(column_violations(request.columns, schema))
    return Form(tuple(request.columns), request.float32)


def _longer_violations(timeframe: str, series: Sequence[Series]) -> list[Violation]:
    field = "resample_timeframe"
    if timeframe not in TIMEFRAMES_US:
        return [_unknown_timeframe(timeframe, field)]
    for each in series:
        if not divides(each.timeframe, timeframe):
            said = f"must be a longer timeframe that {each.timeframe} bars make up, not {timeframe!r}."
            return [Violation(field, "multiple", said)]
    return []


def _shorter_violations(timeframe: str, series: Series, field: str) -> list[Violation]:
    if timeframe not in TIMEFRAMES_US:
        return [_unknown_timeframe(timeframe, field)]
    if timeframe == series.timeframe or divides(timeframe, series.timeframe):
        return []
    fitting = " ".join([series.timeframe, *shorter_timeframes(series.timeframe)])
    said = f"{series.timeframe} bars must be made of one of {fitting}, not of {timeframe!r}."
    return [Violation(field, "multiple", said)]


def _unknown_timeframe(timeframe: str, field: str) -> Violation:
    return Violation(field, "unknown", f"must be one of {' '.join(TIMEFRAMES_US)}, not {timeframe[:32]!r}.")
