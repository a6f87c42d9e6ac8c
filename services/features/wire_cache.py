"""What is asked of the cache, and what it answers, as messages."""

from __future__ import annotations

from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import InvalidArgument, Violation
from marketml.timeframes import TIMEFRAMES
from services.features.cached import CacheFilter, CacheStatus, CacheUse
from services.features.config import FeatureConfig
from services.features.wire import write_key
from services.features.wire_config import read_config

SERIES_MAX = 100


def read_filter(request: pb.ClearFeatureCacheRequest | pb.GetFeatureCacheStatusRequest) -> CacheFilter:
    """Which entries; what is absent leaves them all."""
    if not request.HasField("series"):
        return CacheFilter()
    series = request.series
    violations = [
        Violation(f"series.{name}", "required", "must be given: it is empty.")
        for name in ("venue", "symbol")
        if not getattr(series, name)
    ]
    if series.timeframe and series.timeframe not in TIMEFRAMES:
        sentence = f"must be one of {' '.join(TIMEFRAMES)}, or empty: {series.timeframe!r:.60}."
        violations.append(Violation("series.timeframe", "unknown", sentence))
    if violations:
        raise InvalidArgument(violations)
    return CacheFilter(series.venue, series.symbol, series.timeframe)


def read_filter_config(
    request: pb.ClearFeatureCacheRequest | pb.GetFeatureCacheStatusRequest,
) -> FeatureConfig | None:
    """The config whose entries are meant; None for all."""
    return read_config(request.config) if request.HasField("config") else None


def write_cleared(use: CacheUse) -> pb.ClearFeatureCacheResponse:
    return pb.ClearFeatureCacheResponse(entry_count=use.entry_count, size_bytes=use.size_bytes)


def write_status(status: CacheStatus) -> pb.GetFeatureCacheStatusResponse:
    return pb.GetFeatureCacheStatusResponse(
        entry_count=status.use.entry_count,
        size_bytes=status.use.size_bytes,
        limit_bytes=status.limit_bytes,
        hit_count=status.hit_count,
        miss_count=status.miss_count,
        eviction_count=status.eviction_count,
        series=[
            pb.SeriesCacheUse(series=write_key(key), entry_count=use.entry_count, size_bytes=use.size_bytes)
            for key, use in status.of_series[:SERIES_MAX]
        ],
    )
