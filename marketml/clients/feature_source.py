"""Where features are computed from, as requests say it: a snapshot, or a series in a span of time."""

from __future__ import annotations

from datetime import datetime

from marketml.clients.data_messages import Instrument, reference_key
from marketml.features.v1 import features_pb2 as pb
from marketml.market.v1 import market_pb2


def aware(time: datetime) -> datetime:
    """A time that knows its zone, or ValueError."""
    if time.tzinfo is None:
        raise ValueError(f"start, end and as_of must be aware of their zone: {time!r}.")
    return time


def put_source(
    request: pb.GenerateFeaturesRequest
    | pb.AuditLeakageRequest
    | pb.SelectFeaturesRequest
    | pb.SelectionSource,
    snapshot_id: str | None,
    venue: str | None,
    symbol: str | None,
    timeframe: str | None,
    start: datetime | None,
    end: datetime | None,
    as_of: datetime | None,
    reference: Instrument | None,
) -> None:
    """Say the snapshot, or the series in [start, end) as known at `as_of` with a `reference` beside it; both
    are a TypeError."""
    if snapshot_id is not None:
        if any(given is not None for given in (venue, symbol, timeframe, start, end, as_of, reference)):
            raise TypeError("Features are of a snapshot_id or of a series, not both.")
        request.snapshot_id = snapshot_id
        return
    key = market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe)
    series = market_pb2.SeriesRange(series=key, reference=reference_key(reference))
    for stamp, time in (
        (series.range.start_time, start),
        (series.range.end_time, end),
        (series.as_of_time, as_of),
    ):
        if time is not None:
            stamp.FromDatetime(aware(time))
    request.series.CopyFrom(series)
